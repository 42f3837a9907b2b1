"""Synthetic papers with planted flaws: what the checks without a model find, and how fast."""

import re
import resource
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.rows import Row, show, single, spread
from benchmarks.synthetic_papers import (
    KINDS,
    STATISTICS_KINDS,
    PlantedFlaw,
    SyntheticPaper,
    make_paper,
)
from plumbrule.oversight.papers import (
    Flaw,
    Paper,
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
    return review_parts(read_paper(path))


def review_parts(paper: Paper) -> list[Flaw]:
    """The same for a paper that was read."""
    checks = (check_citations(paper), check_numbers(paper), check_instructions(paper))
    return [flaw for check in checks for flaw in check.flaws]


def hits(planted: PlantedFlaw, flaw: Flaw) -> bool:
    """Whether a flaw that was found is the one that was planted."""
    if flaw.kind != planted.kind and flaw.kind not in planted.also:
        return False
    quotes = " ".join(" ".join(each.quote.split()) for each in flaw.evidence)
    words = f"{quotes} {flaw.message}"
    marks = planted.mark.split("|")
    return any(re.search(rf"(?<!\d){re.escape(mark)}(?!\d)", words) for mark in marks)


def kinds_of(seed: int) -> Sequence[str]:
    """Flaws of one paper: none in every other, else four.

    All kinds come equally often.
    """
    if seed % 2 == 0:
        return ()
    rng = np.random.default_rng(derive_seed(seed, "kinds"))
    every = (*KINDS, *STATISTICS_KINDS)
    first = (seed // 2) % len(every)
    others = rng.permutation([kind for kind in every if kind != every[first]])
    return (every[first], *map(str, others[: FLAWS_A_PAPER - 1]))


@dataclass
class Parts:
    """Counts over many papers of what the checks of parts find, by kind."""

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    clean: int = 0
    alarmed: int = 0
    """Clean papers in which any check reported anything."""

    def add(self, made: SyntheticPaper, flaws: Sequence[Flaw]) -> None:
        """Take in one paper and the flaws that were found in it."""
        for each in made.truth:
            self.planted[each.kind] += 1
            self.found[each.kind] += any(
                hits(each, flaw) and flaw.kind == each.kind for flaw in flaws
            )
        for flaw in flaws:
            known = any(hits(each, flaw) for each in made.truth)
            (self.right if known else self.wrong)[flaw.kind] += 1
        self.clean += not made.truth
        self.alarmed += bool(flaws) and not made.truth

    def rows(self) -> list[Row]:
        """Recall and precision of each kind."""
        table = [
            _share(f"recall, {kind}", self.found[kind], self.planted[kind], RECALL)
            for kind in KINDS
            if self.planted[kind]
        ]
        for kind in KINDS:
            if made := self.right[kind] + self.wrong[kind]:
                table.append(_share(f"precision, {kind}", self.right[kind], made, PRECISION))
        return table


def rows(*, quick: bool) -> list[Row]:
    """Recall and precision of each kind, and seconds for a paper of 30 pages.

    Args:
        quick: 20 papers instead of 600.
    """
    parts = Parts()
    with tempfile.TemporaryDirectory() as name:
        for seed in range(20 if quick else 600):
            paper = make_paper(seed, flaws=kinds_of(seed))
            form, text = (".md", paper.markdown) if seed % 4 < 2 else (".tex", paper.latex)
            path = Path(name) / f"paper{form}"
            path.write_text(text, encoding="utf-8")
            parts.add(paper, review_parts(read_paper(path)))
        seconds = long_rows(Path(name))
    return [
        *parts.rows(),
        single("clean papers with any flaw reported", parts.alarmed, unit="papers", n=parts.clean),
        *seconds,
    ]


def _share(measure: str, count: int, of: int, target: float) -> Row:
    value = count / of
    return single(measure, value, unit="share", n=of, target=f">= {target}", met=value >= target)


def long_rows(folder: Path) -> list[Row]:
    """`plumbrule review` of 30 pages, as it is typed: from the command to the page it writes."""
    paper = make_paper(0, flaws=KINDS, pages=30)
    clock, processor = [], []
    for number, (form, text) in enumerate(((".md", paper.markdown), (".tex", paper.latex)) * 2):
        path = folder / f"long{form}"
        path.write_text(text, encoding="utf-8")
        started, before = time.perf_counter(), _children_seconds()
        subprocess.run(
            [
                sys.executable, "-c", "from plumbrule.cli import main; main()",
                "review", str(path), "--out", str(folder / f"review-{number}"),
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        if not (folder / f"review-{number}" / "report" / "index.html").is_file():
            raise RuntimeError(f"the review of {path} wrote no page")
        clock.append(time.perf_counter() - started)
        processor.append(_children_seconds() - before)
    return [
        spread(
            "`plumbrule review` of 30 pages, without a model", clock, unit="s", seeds=[0],
            target=f"<= {SECONDS:g} s", met=lambda each: each <= SECONDS, worst=max,
        ),
        spread("processor time of the same", processor, unit="s", seeds=[0]),
    ]  # fmt: skip


def _children_seconds() -> float:
    """Processor time of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the table, and write it where asked."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20 papers, not 600")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    arguments = parser.parse_args()
    table = rows(quick=arguments.quick)
    show("Reviewing papers without a model", table, arguments.json)


if __name__ == "__main__":
    main()
