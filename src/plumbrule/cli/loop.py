"""The verbs `loop` and `remedy`: findings answered, proved, and kept where they hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plumbrule.cli.shown import typed

if TYPE_CHECKING:  # the parts below take seconds to import; --help must not wait for them
    from plumbrule.loop.looping import LoopOutcome


def loop(
    recipe: Annotated[
        Path, typer.Argument(help="YAML: constitution, base, model or data, prompts, judge.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the loop; the same command goes on.")],
    rounds: Annotated[
        int | None, typer.Option(min=1, max=100, help="Most rounds, in place of the recipe's.")
    ] = None,
) -> None:
    """Find what is wrong with a model, remedy it, prove it, and again, until the gates hold.

    A remedy amends the constitution, patches the data or changes weights; it is tried on a branch,
    judged on prompts that nothing was found on or learned from, and kept only if it wins against
    what stands. Ends with 1 where the gates do not hold at the end, with 0 where they do.
    """
    from plumbrule.cli.progress import progress_bars
    from plumbrule.loop.recipe import loop_recipe
    from plumbrule.recipes.looping import village_world

    with progress_bars(log=out / "progress.log") as tell:
        done = loop_recipe(
            recipe, out, rounds=rounds, world=village_world(), command=typed(), tell=tell
        )
    _end(done, out)


def remedy(
    run: Annotated[Path, typer.Argument(help="Folder of a run that has ended.")],
    out: Annotated[Path, typer.Option(help="Folder of the remedies; the same command goes on.")],
    judge: Annotated[
        str | None, typer.Option(help="Model that says which principles a reply breaks.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="What the model was trained on, to be patched."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="What people said of its replies: prompt, reply, acceptable, note.",
        ),
    ] = None,
    findings: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of comply, redteam, watch, inspect verdict or compare, to look at first."
        ),
    ] = None,
    library: Annotated[
        list[str] | None,
        typer.Option(help="Constitution from which a principle may be taken where one is missed."),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Rise of the share of replies breaking another principle, borne."
        ),
    ] = 0.05,
    most_tried: Annotated[
        int, typer.Option(min=1, max=100, help="Most remedies tried in answer to one finding.")
    ] = 4,
    seed: Annotated[int, typer.Option(help="Decides every random choice.")] = 0,
) -> None:
    """Answer what is wrong with a run's last model: one round of the loop.

    The run's folder stays as it is. Ends with 1 where something is left at the end.
    """
    from plumbrule.cli.progress import progress_bars
    from plumbrule.loop.recipe import remedy_run
    from plumbrule.recipes.looping import village_world

    settings = {"margin": margin, "most_tried": most_tried, "seed": seed}
    changes = {
        "judge": judge,
        "data": None if data is None else str(data),
        "labels": None if labels is None else str(labels),
        "library": tuple(library or ()),
        "findings": tuple(map(str, findings or ())),
    }
    with progress_bars(log=out / "progress.log") as tell:
        done = remedy_run(
            run,
            out,
            settings=settings,
            changes=changes,
            world=village_world(),
            command=typed(),
            tell=tell,
        )
    _end(done, out)


def _end(done: "LoopOutcome", out: Path) -> None:
    from plumbrule.cli.shown import plain_console, shown

    console = plain_console()
    for each in done.content["rounds"]:
        console.print(f"Round {each['number']}")
        for finding in each["answered"]:
            console.print(f"  finding: {shown(finding['claim'])}")
            console.print(f"    comes from: {shown(finding['cause'])}")
            for trial in finding["trials"]:
                console.print(f"    {trial['decision']}: {shown(trial['what'])}")
                console.print(f"      {shown(trial['why'])}.")
    for line in done.content["summary"]:
        console.print(shown(line))
    console.print(f"Model: {shown(str(done.result.stands.model))}")
    console.print(f"Report: {shown(str(done.page))}")
    if not done.gates_hold:
        raise typer.Exit(1)
