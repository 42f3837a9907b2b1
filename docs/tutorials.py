"""Runs the tutorials: `python docs/tutorials.py [PAGE…]` writes into them what commands print.

A line that begins with `$ ` in a `console` block is a command; what it printed stands below it. A
comment `# ends with N` says how it ends where that is not 0. A block under `<!-- file: NAME -->` is
written to that file first. The commands of a page run one after another in one empty folder.
`tests/test_tutorials.py` runs those that take no time, and `python -m benchmarks.tutorials` all.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
PAGES = sorted(HERE.glob("tutorial_*.md"))
FILE = re.compile(r"<!-- file: (\S+) -->\n\n```\w*\n(.*?)```", re.DOTALL)
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
LONGEST = 40
"""Lines of an output that a page shows."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of a page."""

    line: str
    """As typed, without its comment."""

    ends: int
    """Its exit code."""

    shown: str
    """What the page says it prints."""


def commands(block: str) -> Iterator[Command]:
    """The commands of a console block, in order."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        ends = re.search(r"\s+# ends with (\d+)$", line)
        yield Command(
            line=line[: ends.start()] if ends else line,
            ends=int(ends[1]) if ends else 0,
            shown=shown,
        )


def write_files(text: str, folder: Path) -> None:
    """Write the files that a page gives."""
    for name, content in FILE.findall(text):
        (folder / name).write_text(content, encoding="utf-8")


def call(command: Command, folder: Path) -> str:
    """What a command prints, of its standard output alone.

    Raises:
        RuntimeError: It ended otherwise than the page says.
    """
    shim = folder / ".bin" / "plumbrule"
    if not shim.exists():
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m plumbrule "$@"\n')
        shim.chmod(0o755)
    done = subprocess.run(
        command.line,
        shell=True,
        cwd=folder,
        env={**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != command.ends:
        raise RuntimeError(
            f"expected {command.ends} of `{command.line}`, got {done.returncode}:\n"
            f"{done.stdout}{done.stderr}"
        )
    return done.stdout


def run(text: str, folder: Path, tell: Callable[[str], object]) -> str:
    """A page with what its commands print.

    Args:
        text: The page.
        folder: Where they run; empty.
        tell: Told of each command before it runs.

    Raises:
        RuntimeError: A command ended otherwise than the page says.
    """
    write_files(text, folder)

    def renewed(block: re.Match[str]) -> str:
        parts = []
        for command in commands(block[1]):
            tell(command.line)
            said = f"   # ends with {command.ends}" if command.ends else ""
            lines = call(command, folder).splitlines()
            cut = [*lines[:LONGEST], "…"] if len(lines) > LONGEST else lines
            parts += [f"$ {command.line}{said}", *(line.rstrip() for line in cut)]
        return "\n".join(["```console", *parts, "```"])

    return CONSOLE.sub(renewed, text)


def main() -> None:
    """Run the named pages, or all, and write their outputs into them."""
    for page in [Path(each) for each in sys.argv[1:]] or PAGES:
        with TemporaryDirectory() as folder:
            text = run(
                page.read_text(encoding="utf-8"),
                Path(folder),
                lambda line: sys.stdout.write(f"$ {line}\n"),
            )
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
