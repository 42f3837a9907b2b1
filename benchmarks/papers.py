"""Synthetic papers with planted flaws: what the checks without a model find, and how fast."""

import re
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.rows import Row, show, single
from plumbrule.lab.papers import KINDS, STATISTICS_KINDS, Planted, make_paper
from plumbrule.oversight.papers import (
    Flaw,
    check_citations,
    check_instructions,
    check_numbers,
    read_paper,
)
from plumbrule.store import derive_seed

RECALL, PRECISION, SECONDS = 0.95, 0.98, 10.0
FLAWS_A_PAPER = 4


def review(path: Path) -> list[Flaw]:
    """Every flaw that the checks of citations, numbers and instructions find."""
    paper = read_paper(path)
    checks = (check_citations(paper), check_numbers(paper), check_instructions(paper))
    return [flaw for check in checks for flaw in check.flaws]


def hits(planted: Planted, flaw: Flaw) -> bool:
    """Whether a flaw that was found is the one that was planted."""
    if flaw.kind != planted.kind and flaw.kind not in planted.also:
        return False
    quotes = " ".join(" ".join(each.quote.split()) for each in flaw.evidence)
    words = f"{quotes} {flaw.message}"
    marks = planted.mark.split("|")
    return any(re.search(rf"(?<!\d){re.escape(mark)}(?!\d)", words) for mark in marks)


def kinds_of(seed: int) -> Sequence[str]:
    """Flaws of one paper: none in every other, else four, all kinds equally often."""
    if seed % 2 == 0:
        return ()
    rng = np.random.default_rng(derive_seed(seed, "kinds"))
    every = (*KINDS, *STATISTICS_KINDS)
    first = (seed // 2) % len(every)
    others = rng.permutation([kind for kind in every if kind != every[first]])
    return (every[first], *(str(kind) for kind in others[: FLAWS_A_PAPER - 1]))


def rows(*, quick: bool) -> list[Row]:
    """Recall of each kind, precision over all, and seconds for a paper of 30 pages."""
    papers = 40 if quick else 200
    planted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    right, wrong = Counter[str](), Counter[str]()
    dirty = 0
    with tempfile.TemporaryDirectory() as name:
        for seed in range(papers):
            paper = make_paper(seed, flaws=kinds_of(seed))
            form, text = (".md", paper.markdown) if seed % 4 < 2 else (".tex", paper.latex)
            path = Path(name) / f"paper{form}"
            path.write_text(text, encoding="utf-8")
            flaws = review(path)
            for each in paper.truth:
                planted[each.kind] += 1
                found[each.kind] += any(
                    hits(each, flaw) and flaw.kind == each.kind for flaw in flaws
                )
            for flaw in flaws:
                known = any(hits(each, flaw) for each in paper.truth)
                (right if known else wrong)[flaw.kind] += 1
            dirty += bool(flaws) and not paper.truth
        seconds = _long(Path(name))
    table = [
        single(
            f"recall, {kind}",
            found[kind] / planted[kind],
            unit="share",
            n=planted[kind],
            target=f">= {RECALL}",
            met=found[kind] / planted[kind] >= RECALL,
        )
        for kind in KINDS
        if planted[kind]
    ]
    for kind in KINDS:
        made = right[kind] + wrong[kind]
        if made:
            table.append(
                single(
                    f"precision, {kind}",
                    right[kind] / made,
                    unit="share",
                    n=made,
                    target=f">= {PRECISION}",
                    met=right[kind] / made >= PRECISION,
                )
            )
    clean = sum(not kinds_of(seed) for seed in range(papers))
    table.append(single("clean papers with any flaw reported", dirty, unit="papers", n=clean))
    table.append(
        single(
            "a paper of 30 pages, without a model",
            seconds,
            unit="seconds",
            n=1,
            target=f"<= {SECONDS:g}",
            met=seconds <= SECONDS,
        )
    )
    return table


def _long(folder: Path) -> float:
    """Seconds for reading and checking 30 pages, the slower of the two formats."""
    paper = make_paper(0, flaws=KINDS, pages=30)
    slowest = 0.0
    for form, text in ((".md", paper.markdown), (".tex", paper.latex)):
        path = folder / f"long{form}"
        path.write_text(text, encoding="utf-8")
        started = time.perf_counter()
        review(path)
        slowest = max(slowest, time.perf_counter() - started)
    return slowest


def main() -> None:
    """Print the table, and write it where asked."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 papers instead of 200")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    arguments = parser.parse_args()
    show("Reviewing papers without a model", rows(quick=arguments.quick), arguments.json)


if __name__ == "__main__":
    main()
