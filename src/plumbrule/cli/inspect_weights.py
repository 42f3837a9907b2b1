"""The verb `inspect weights`."""

from functools import partial
from typing import Annotated

import typer


def weights(
    model: Annotated[str, typer.Argument(help="Hub id, folder, PEFT adapter or lab:NAME.")],
    against: Annotated[
        str | None, typer.Option(help="Model before, of the same shape: look at what changed.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A matrix, such as `0.heads.1 OV`; may be given several times."),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, max=10**6, help="Directions to show of each matrix.")
    ] = 2,
    tokens: Annotated[
        int, typer.Option(min=1, max=10**6, help="Tokens to show for each direction.")
    ] = 5,
    level: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Chance that anything is found where there is no structure."
        ),
    ] = 0.05,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show every matrix, also those in which nothing is found.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the random signs.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Take matrices apart, or what training changed in them, and read them as tokens.

    A direction reads one pattern and writes another. Those are found that are stronger than
    the same numbers with random signs allow. With --against the change from that model to
    MODEL is taken apart, which shows what a fine-tune wrote into the weights before it is run.
    """
    from rich.console import Console

    from plumbrule.cli.inspect_model import plain, say, table_of, tokens_text
    from plumbrule.cli.progress import progress_bars
    from plumbrule.mechanism import weight_directions
    from plumbrule.mechanism.opening import open_with_sites, token_text

    opened_model, sites = open_with_sites(model, device=device, dtype=dtype)
    before = None if against is None else open_with_sites(against, device=device, dtype=dtype)[0]
    with progress_bars() as tell:
        found = weight_directions(
            opened_model.module,
            sites,
            seed=seed,
            against=None if before is None else before.module,
            names=name,
            top=top,
            tokens=tokens,
            level=level,
            decode=token_text(opened_model),
            progress=partial(tell, "matrices"),
        )
    console = Console()
    confirmed = sum(each.confirmed > 0 for each in found)
    what = "changes" if against is not None else "matrices"
    say(console, f"{sites.family}: structure found in {confirmed} of {len(found)} {what}.")
    for each in found:
        if not (each.confirmed or show_all or name):
            continue
        # A name of its own line: beside it, words would get a few letters a line.
        say(console, f"\n{each.name}: {each.confirmed} directions found")
        table = table_of("value", "reads", "against", "raises", "lowers")
        for at in each.directions:
            reads, writes = at.reads or ((), ()), at.writes or ((), ())
            table.add_row(
                plain(f"{at.value:.3g}" + ("" if at.confirmed else " (chance)")),
                *[plain(tokens_text(one, tokens)) for one in (*reads, *writes)],
            )
        console.print(table)
    unchanged = sum(each.norm == 0.0 for each in found)
    if unchanged:
        say(console, f"{unchanged} matrices did not change at all.")
