"""Rough treatment of the whole command: malformed inputs, odd endpoints, tampering, `kill -9`.

    python -m benchmarks.house --json benchmarks/results/house.json [--part inputs] [--work DIR]

Each part keeps what it has seen in its folder, one JSON line a case, and goes on from there when it
is started again; `--part` may be given several times, and rows of other parts stay in the JSON.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.rows import show, with_earlier

WORK = Path("runs/house")


@dataclass(frozen=True)
class Kept:
    """What a part has seen so far: one JSON line a case, in a file."""

    path: Path

    def read(self) -> dict[str, dict[str, Any]]:
        """All cases by name."""
        if not self.path.exists():
            return {}
        found = {}
        for line in self.path.read_text("utf-8").splitlines():
            try:
                each = json.loads(line)
            except ValueError:  # the last line of a part that was killed
                continue
            found[each["id"]] = each
        return found

    def add(self, case: Mapping[str, Any]) -> None:
        """Keep one more."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(case, ensure_ascii=True) + "\n")


def parts() -> Mapping[str, ModuleType]:
    """Every part by name: a module whose `rows` does what is left to do in a folder.

    Where a part takes long, its `table` gives the rows of what was done so far.
    """
    from benchmarks import (
        house_cases,
        house_counts,
        house_endpoint,
        house_kill,
        house_refusals,
        house_tampering,
    )

    return {
        "inputs": house_refusals,
        "endpoint": house_endpoint,
        "tampering": house_tampering,
        "kill": house_kill,
        "cases": house_cases,
        "counts": house_counts,
    }


def main() -> None:
    """Run parts and print the table."""
    known = parts()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=list(known))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument(
        "--kept", action="store_true", help="Only show what was done so far, and the number of it."
    )
    given = parser.parse_args()
    work = given.work.resolve()
    for name in given.part or list(known):
        make = getattr(known[name], "table", known[name].rows) if given.kept else known[name].rows
        rows = list(make(work / name))
        show(f"Rough treatment: {name}", rows, None)
        if given.json is not None:
            show("Rough treatment", with_earlier(rows, given.json), given.json)


if __name__ == "__main__":
    main()
