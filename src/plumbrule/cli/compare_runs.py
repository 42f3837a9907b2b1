"""The verb `compare-runs`: finished runs in, one report that sets them side by side out."""

from pathlib import Path
from typing import Annotated

import typer

from plumbrule.cli.shown import print_outcome, typed


def compare_runs(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of finished runs; the others are held against the first."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the comparison.")] = Path(
        "runs/compare-runs"
    ),
) -> None:
    """Set finished runs side by side: principles, help against harm, labels, cost, differences.

    [bold]plumbrule compare-runs RUN RUN … --out DIR[/]. Nothing is trained or judged again: all of
    it is read from the runs' own reports.
    """
    from plumbrule.loop.runs import compare_runs as compare

    content = compare(runs or [], out=out, command=typed())
    print_outcome(content, out / "report")
