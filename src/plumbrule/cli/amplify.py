"""The verb `amplify`: a task and a weak student in, the depth it may be trusted to out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plumbrule.cli.shown import typed

if TYPE_CHECKING:  # torch and its like take seconds to import; --help must not wait for them
    from plumbrule.oversight.amplification import Climb


def amplify(
    recipe: Annotated[
        str | None,
        typer.Argument(help="Name of a shipped climb, or a YAML file; without it all are listed."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the climb.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random choice.")] = None,
) -> None:
    """Climb from easy questions to hard ones, each round taught by the last one's answers.

    An overseer cuts each question into two of half the depth, asks the student, and puts the
    answers together; the student learns the result. Planted questions of known answer are checked
    in every round, and the climb ends before the error budget is spent (exit code 1). Takes
    minutes; an interrupted climb goes on when the same command is given again.
    """
    from rich.console import Console
    from rich.markup import escape

    from plumbrule.lab.ladders import LADDERS

    console = Console()
    if recipe is None:
        for name, ladder in LADDERS.items():
            first = (type(ladder).__doc__ or "").strip().splitlines()[0]
            console.print(f"[bold]{name}[/]: {escape(first)}")
        return
    from plumbrule.cli.progress import progress_bars
    from plumbrule.recipes.amplification import amplify_into, choose_amplification

    chosen = choose_amplification(recipe, seed)
    folder = out or Path("runs/amplify") / Path(recipe).stem
    with progress_bars() as tell:
        done = amplify_into(folder, chosen, command=typed(), tell=tell)
    _say(done, folder)
    if done.stopped is not None:
        raise typer.Exit(1)


def _say(done: "Climb", folder: Path) -> None:
    """Print the rounds and what came of them."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from plumbrule.loop.climbs import COLUMNS, sentences, table

    console = Console()
    console.print(f"Amplification: {done.ladder}", style="bold")
    shown = Table(box=None, pad_edge=False)  # eighty columns hold it without lines
    for name in COLUMNS:
        shown.add_column(name, justify="right", no_wrap=True)
    for row in table(done):
        shown.add_row(*row)
    console.print(shown)
    console.print(
        "[dim]right, teacher: share of right answers, of student and teacher. predicted, "
        "bound: upper bounds of wrong answers, of the teacher before and of the student after. "
        "votes: independent votes that those of the teacher amount to; ? where too few were "
        "wrong.[/]",
        soft_wrap=True,
    )
    for line in sentences(done):
        console.print(escape(line), soft_wrap=True)
    console.print(f"Report: {escape(str(folder / 'report' / 'index.html'))}", soft_wrap=True)
