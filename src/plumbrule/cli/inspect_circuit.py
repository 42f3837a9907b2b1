"""The verb `inspect circuit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from plumbrule.mechanism import Circuit
    from plumbrule.mechanism.circuits.text_pairs import Given

SHOWN = 20
"""Edges in the printed table."""


def circuit(
    model: Annotated[str, typer.Argument(help="Hub id, folder, PEFT adapter or lab:NAME.")],
    out: Annotated[
        Path, typer.Option(help="Folder for circuit.json, circuit.svg and pairs.jsonl.")
    ],
    pairs: Annotated[
        Path | None,
        typer.Option(help="JSON lines, each with clean, corrupted, right and wrong."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Prompts that come along: `indirect-object` or `copying`."),
    ] = None,
    count: Annotated[
        int, typer.Option(min=8, max=10**6, help="Pairs of a task to use; half of them decide.")
    ] = 64,
    fdr: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Largest expected share of false edges among those claimed."
        ),
    ] = 0.05,
    loss: Annotated[
        float, typer.Option(min=0, max=1, help="Faithfulness that pruning may cost.")
    ] = 0.05,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1, max=10**9, help="Most edges to patch exactly; 1024, or 128 of a large model."
        ),
    ] = None,
    chat: Annotated[
        bool, typer.Option(help="Read prompts as a user's messages, through the chat template.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Decides which half is searched and which tested.")] = 0,
    device: Annotated[str, typer.Option(help="Where the model runs.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Number format of the weights.")] = "auto",
) -> None:
    """Find the edges between heads and MLPs that carry an answer.

    Half of the pairs is searched, and every edge is decided on the other half by patching it, with
    at most the share given of false edges to be expected. Give --task for prompts that come along,
    or --pairs for your own. `right` and `wrong` are single tokens; `clean` and `corrupted` have as
    many tokens as each other.
    """
    from plumbrule.cli.progress import progress_bars
    from plumbrule.mechanism import report_circuit
    from plumbrule.mechanism.circuits.reporting import right_answers
    from plumbrule.mechanism.circuits.text_pairs import given_pairs
    from plumbrule.mechanism.opening import open_with_sites

    handle, sites = open_with_sites(model, device=device, dtype=dtype)
    asked = given_pairs(handle, pairs=pairs, task=task, count=count, chat=chat)
    right = right_answers(handle.module, sites, asked)
    _say_asked(asked, right)
    with progress_bars() as tell:
        found = report_circuit(
            handle,
            sites,
            asked,
            name=model,
            task=task,
            right=right,
            seed=seed,
            tell=tell,
            fdr=fdr,
            loss=loss,
            candidates=candidates,
        )
    found.save(out)
    _print(found.circuit, out)


def _say_asked(asked: "Given", told: dict[str, float]) -> None:
    from rich.console import Console

    from plumbrule.cli.inspect_model import say

    console = Console()
    lost = "".join(f"; {number} dropped: {reason}" for reason, number in asked.dropped)
    say(console, f"{len(asked.pairs)} pairs of prompts{lost}.")
    say(
        console,
        f"The right answer is ahead of the wrong one on {told['clean']:.0%} of the clean prompts, "
        f"and behind it on {told['corrupted']:.0%} of the corrupted ones.",
    )


def _print(found: "Circuit", out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    confirmed = [each for each in found.claims if each.confirmed]
    console.print(
        f"{found.family}: {len(confirmed)} of {found.scanned} edges confirmed, {len(found.claims)} "
        f"patched on {found.held_out} held-out pairs; at most {found.guarantee.level:.0%} of them "
        "false, in expectation."
    )
    table = Table("edge", "share", "matters in", "kept", box=None, pad_edge=False)
    for each in confirmed[:SHOWN]:
        table.add_row(
            str(each.edge),
            f"{each.share:+.1%}",
            f"{each.matters.value:.0%} of pairs",
            "yes" if each.edge in found.edges else "",
        )
    if confirmed:
        console.print(table)
    if len(confirmed) > SHOWN:
        console.print(f"and {len(confirmed) - SHOWN} more in circuit.json")
    if found.faithfulness is None:
        console.print(f"No faithfulness: {found.reason}", markup=False)
    else:
        console.print(
            f"Faithfulness {found.faithfulness:.3f}{_between(found)} with {len(found.edges)} edges "
            "kept, "
            f"{found.faithfulness_of_claims:.3f} with all confirmed."
        )
    for name, reason in found.notes:
        console.print(f"{name}: {reason}", markup=False)
    console.print(f"Written to {out}", markup=False)


def _between(found: "Circuit") -> str:
    if found.interval is None:
        return ""
    return f" ({found.interval.low:.3f} to {found.interval.high:.3f})"
