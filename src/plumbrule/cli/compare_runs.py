"""The verb `compare-runs`: finished runs in, one report that sets them side by side out."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


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

    command = shlex.join(["plumbrule", *sys.argv[1:]])
    _say(compare(runs or [], out=out, command=command), out)


def _say(content: Any, out: Path) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    for line in content["summary"]:
        console.print(escape(line))
    console.print(f"Report: {escape(str(out / 'report' / 'index.html'))}")
