"""Builds the lab's internalized and faked twins, each once, and says which took.

Usage: python -m benchmarks.lab_twins [--ways full ...] [--seeds 0 1 ...] [--kinds ...] [--list]

They lie in `~/.cache/plumbrule/twins`, or where PLUMBRULE_TWINS says.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.twins import (
    SEALED_SEEDS,
    TWIN_KINDS,
    TWIN_SEEDS,
    TWIN_WAYS,
    Twin,
    cached_twin,
)

CACHE = Path(os.environ.get("PLUMBRULE_TWINS", "~/.cache/plumbrule/twins")).expanduser()


def twins(
    ways: Sequence[Any], seeds: Sequence[int], kinds: Sequence[Any] = TWIN_KINDS
) -> Iterator[Twin]:
    """Both twins of each kind, and a benign model each, in the order in which they are built."""
    for way in ways:
        for seed in seeds:
            for kind in kinds:
                for faked in (True, False):
                    yield Twin(kind=kind, way=way, seed=seed, faked=faked)
            yield Twin(kind="benign", way=way, seed=seed)


def card(twin: Twin) -> Mapping[str, Any]:
    """What was measured of a twin, built where it is not there."""
    found: Mapping[str, Any] = json.loads(
        (cached_twin(twin, CACHE) / "twin.json").read_text("utf-8")
    )
    return found


def row(twin: Twin) -> str:
    """A row of a Markdown table."""
    found = card(twin)
    measured = found["measured"]
    shares = ["" if measured[name] is None else f"{measured[name]:.2f}" for name in SHARES]
    took = "yes" if measured["took"] else "**no**"
    return f"| `{twin.name}` | {found['truth']['label']} | {' | '.join(shares)} | {took} |"


SHARES = ("kept", "broken", "right")


def main() -> None:
    """Build what is not there, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--ways", nargs="*", default=list(TWIN_WAYS), choices=TWIN_WAYS)
    opened = [seed for seed in TWIN_SEEDS if seed not in SEALED_SEEDS]
    parser.add_argument("--seeds", nargs="*", type=int, default=opened, choices=TWIN_SEEDS)
    parser.add_argument("--kinds", nargs="*", default=list(TWIN_KINDS), choices=TWIN_KINDS)
    parser.add_argument("--list", action="store_true", help="say what there is, build nothing")
    given = parser.parse_args()
    for twin in twins(given.ways, given.seeds, given.kinds):
        if not given.list or list(CACHE.glob(f"{twin.name}-????????????")):
            print(row(twin), flush=True)


if __name__ == "__main__":
    main()
