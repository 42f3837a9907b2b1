"""Everything measured of judges and people, in one table: `python -m benchmarks.judges`.

Runs the parts one after the other, each a benchmark of its own that keeps its rows under
`benchmarks/results`; `--kept` prints the rows that are there and runs nothing.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.rows import Row, show

PARTS = ("village", "certified", "panel", "guarded", "people")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the parts and print their rows together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--kept", action="store_true", help="print what was measured, run nothing")
    given = parser.parse_args()
    rows: list[Row] = []
    for name in given.part or PARTS:
        path = RESULTS / f"judges_{name}.json"
        if not given.kept:
            command = [sys.executable, "-m", f"benchmarks.judges_{name}", "--json", str(path)]
            subprocess.run(command, check=True)
        if path.exists():
            rows += [Row(**each) for each in json.loads(path.read_text("utf-8"))]
        else:
            print(f"judges_{name}: nothing kept yet")
    show("Judges and people", rows, None)


if __name__ == "__main__":
    main()
