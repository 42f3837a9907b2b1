"""Oversight as a whole: every benchmark of it in turn, and one table of what has a target.

`python -m benchmarks.oversight [--quick] --json FILE` runs each part in a process of its own and
writes the part's rows beside FILE; `--kept` takes the rows that a part wrote before.
"""

import json
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row, show

PARTS = (
    "statistics_checks",
    "papers",
    "real_papers",
    "review_trail",
    "recursive_reward",
    "amplification",
    "debate",
    "oversight_tax",
)
"""Benchmarks of this folder, in the order of their rows in the table."""


def rows_of(path: Path) -> list[Row]:
    """Rows of a part that have a target."""
    return [Row(**each) for each in json.loads(path.read_text("utf-8")) if each["target"]]


def run(part: str, path: Path, *, quick: bool) -> None:
    """Run one part in a process of its own; it prints its table and writes its rows.

    Raises:
        CalledProcessError: The part failed; the rows of those before it are kept.
    """
    command = [sys.executable, "-m", f"benchmarks.{part}", "--json", str(path)]
    subprocess.run([*command, *(["--quick"] if quick else [])], check=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for, print the joint table, and write it where asked."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the same work, smaller")
    parser.add_argument("--kept", action="store_true", help="run only parts without kept rows")
    parser.add_argument(
        "--json", type=Path, default=Path("benchmarks/results/oversight.json"),
        help="the joint rows; each part's own go beside it",
    )  # fmt: skip
    asked = parser.parse_args(arguments)
    table: list[Row] = []
    for part in PARTS:
        path = asked.json.parent / f"{part}.json"
        if not (asked.kept and path.exists()):
            run(part, path, quick=asked.quick)
        table += rows_of(path)
    show("Oversight", table, asked.json)


if __name__ == "__main__":
    main()
