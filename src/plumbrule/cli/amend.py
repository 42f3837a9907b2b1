"""The verb `amend`: a finished run and a changed constitution in, the amended model out."""

from pathlib import Path
from typing import Annotated

import typer

from plumbrule.cli.shown import print_outcome, typed


def amend(
    run: Annotated[Path, typer.Argument(help="Folder of a run that has ended.")],
    constitution: Annotated[str, typer.Option(help="The amended constitution, a YAML file.")],
    out: Annotated[Path, typer.Option(help="Folder of the amendment.")],
    before: Annotated[
        Path | None,
        typer.Option(
            help="The constitution the run was trained on, where its folder does not hold it."
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Rise of the share of replies breaking another principle, borne."
        ),
    ] = 0.05,
    epochs: Annotated[
        int,
        typer.Option(min=1, max=10**5, help="Passes over what was mended and preferred anew."),
    ] = 1,
    replay: Annotated[
        float,
        typer.Option(
            min=0.0, max=10.0**6, help="Own replies kept in training for each one that was mended."
        ),
    ] = 15.0,
) -> None:
    """Bring a trained model in line with a constitution that was changed.

    Only labels that the change touches are asked for again; the model goes on from the run's last
    one for a single pass; every other principle is held against itself before. The run's folder
    stays as it is. An interrupted amendment goes on when the same command is given again.
    """
    from plumbrule.cli.progress import progress_bars
    from plumbrule.loop.amendable import Amending
    from plumbrule.recipes.amending import amend_run

    settings = Amending(epochs=epochs, replay=replay, margin=margin)
    with progress_bars(log=out / "progress.log") as tell:
        tell("loading", 0, 1)
        outcome = amend_run(
            run,
            constitution,
            out=out,
            before=before,
            settings=settings,
            command=typed(),
            tell=tell,
        )
    print_outcome(outcome.content, outcome.report, outcome.model)
    if not outcome.gates_passed:
        raise typer.Exit(1)
