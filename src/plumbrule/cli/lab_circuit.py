"""The verb `lab circuit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from plumbrule.lab.circuits.building import Family


def circuit(
    name: Annotated[
        str | None, typer.Argument(help="Which model; without it all are listed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the weights and the pairs.")] = 0,
    pairs: Annotated[int, typer.Option(min=1, max=10**6, help="Pairs of prompts to draw.")] = 64,
    family: Annotated[str, typer.Option(help="gpt2 or llama, for those set by hand.")] = "gpt2",
    out: Annotated[Path | None, typer.Option(help="Folder that gets the model.")] = None,
) -> None:
    """Make a small model with a circuit to look for, and pairs of prompts to look with.

    Most have weights set by hand, so that every edge of the circuit is known: `truth.json` lists
    them. `copying` and `giving` are trained here, in a minute and in a few: two layers of attention
    that learn to copy, and a model of the village's language that knows whom something was given
    to. Look into what comes out with `plumbrule inspect circuit`.
    """
    from rich.console import Console
    from rich.markup import escape

    from plumbrule.cli.progress import progress_bars
    from plumbrule.lab.trained_circuits import make_circuit, offered

    console = Console()
    if name is None:
        for each, description in offered().items():
            console.print(f"[bold]{each}[/]: {escape(description)}")
        return
    folder = out or Path("runs/circuits") / name
    with progress_bars() as tell:
        right = make_circuit(
            name, folder, seed=seed, pairs=pairs, family=cast("Family", family), tell=tell
        )
    for asked, share in right.items():
        console.print(f"{name}: {share:.0%} right on {asked}", markup=False)
    console.print(f"{name}: model, pairs.jsonl ({folder})", markup=False)
    console.print(
        f"plumbrule inspect circuit {folder} --pairs {folder / 'pairs.jsonl'} --out {folder}-found"
        + (" --chat" if name == "giving" else ""),
        markup=False,
        soft_wrap=True,
    )
