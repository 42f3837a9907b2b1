"""The verb `amplify`: a task and a weak student in, the depth it may be trusted to out."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # torch and its like take seconds to import; --help must not wait for them
    from plumbrule.oversight.amplification import Climb
    from plumbrule.recipes.amplification import Amplification

CODE_VERSION = 1


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
    chosen = choose(recipe, seed)
    folder = out or Path("runs/amplify") / Path(recipe).stem
    done = _climb_in(folder, chosen)
    _say(done, folder)
    if done.stopped is not None:
        raise typer.Exit(1)


def choose(recipe: str, seed: int | None) -> "Amplification":
    """The climb that was asked for.

    Raises:
        ConfigError: There is no such climb and no such file, or the file holds none.
    """
    from dataclasses import replace

    from plumbrule.errors import ConfigError
    from plumbrule.lab.ladders import LADDERS
    from plumbrule.recipes.amplification import amplification, read_amplification

    if recipe in LADDERS:
        chosen = amplification(recipe)
    elif Path(recipe).is_file():
        chosen = read_amplification(Path(recipe))
    else:
        raise ConfigError(
            f"expected one of {', '.join(LADDERS)}, or a YAML file; got {recipe!r}, which is "
            "neither"
        )
    return chosen if seed is None else replace(chosen, climb=replace(chosen.climb, seed=seed))


def _climb_in(folder: Path, chosen: "Amplification") -> "Climb":
    """Climb in a folder of its own, with every round in the ledger, and write the report."""
    import yaml

    from plumbrule import __version__
    from plumbrule.cli.progress import progress_bars
    from plumbrule.folders import held_folder
    from plumbrule.ledger import Ledger, record_files
    from plumbrule.oversight.amplification import Round, climb
    from plumbrule.oversight.amplification.climbing import content
    from plumbrule.recipes.amplification import (
        DistillIntoTransformer,
        build_ladder,
        shape_of,
    )
    from plumbrule.records import to_json
    from plumbrule.report import write_report

    ladder = build_ladder(chosen.ladder, chosen.sizes)
    ours = {"amplify": to_json(chosen), "version": CODE_VERSION}
    text = yaml.safe_dump(to_json(chosen), sort_keys=False)
    with (
        held_folder(folder, marker="amplify.json", ours=ours, configuration=text),
        Ledger.open(folder / "ledger.db") as ledger,
        progress_bars() as tell,
    ):

        def sealed(found: Round) -> None:
            ledger.record(f"round-{found.level}", "amplification round", to_json(found))

        done = climb(
            ladder,
            DistillIntoTransformer(shape_of(ladder), chosen.student),
            chosen.climb,
            folder=folder,
            tell=tell,
            sealed=sealed,
        )
        command = shlex.join(["plumbrule", *sys.argv[1:]])
        write_report(content(done, command=command, version=__version__), folder / "report")
        record_files(ledger, folder)
    return done


def _say(done: "Climb", folder: Path) -> None:
    """Print the rounds and what came of them."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from plumbrule.oversight.amplification.climbing import COLUMNS, sentences, table

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
