"""What the verbs print: text of models, papers and files, and where a report is."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape


def shown(text: str, most: int | None = None, *, keep: str = "") -> str:
    r"""Text without markup or control characters, whoever wrote it.

    Args:
        text: Anything.
        most: Characters kept; None keeps all.
        keep: Control characters that may stand.

    Example:
        >>> print(shown("a" + chr(27) + "[red]"))
        a\x1b\[red]
    """
    cut = text if most is None or len(text) <= most else text[: most - 1] + "…"
    plain = "".join(
        letter
        if letter.isprintable() or letter in keep
        else letter.encode("unicode_escape").decode()
        for letter in cut
    )
    return escape(plain)


def plain_console() -> Console:
    """A console that breaks no line and colors nothing by itself."""
    return Console(soft_wrap=True, highlight=False)


def typed() -> str:
    """The command as it was typed, for a report."""
    return shlex.join(["plumbrule", *sys.argv[1:]])


def print_outcome(content: Mapping[str, Any], report: Path, model: Path | None = None) -> None:
    """Print a report's summary and where it is; of a trained model its gates and folder too."""
    console = Console()
    for line in content["summary"]:
        console.print(escape(line))
    if model is not None:
        for gate in content["gates"]:
            mark = "[green]passed[/]" if gate["passed"] else "[red]failed[/]"
            console.print(f"{mark}  {escape(gate['name'])} ({escape(gate['bound'])})")
        console.print(f"Model:  {escape(str(model))}")
    console.print(f"Report: {escape(str(report / 'index.html'))}")
