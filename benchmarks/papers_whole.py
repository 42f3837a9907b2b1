"""Flaws that no section shows by itself: what reading a whole synthetic paper finds of them."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.rows import Row, estimated, single
from plumbrule.lab.paper_interactions import Bank
from plumbrule.lab.papers import INTERACTION_KINDS, Planted, SyntheticPaper
from plumbrule.oversight.papers import Check, Flaw, Paper, check_whole, read_paper
from plumbrule.statistics import wilson

RECALL, PRECISION = 0.90, 0.98
WRITTEN_WITH: tuple[Bank, ...] = ("development", "held out")
NEVER_SEEN: tuple[Bank, ...] = ("fresh",)
"""Banks that nobody who works on the reading looks at, nor at what it misses in them."""


@dataclass
class Tally:
    """Counts over many papers, by kind."""

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    """Planted flaws that a check of parts found as well."""

    clean: int = 0
    alarmed: int = 0
    """Clean papers in which the whole reading reported anything."""

    def add(self, made: SyntheticPaper, paper: Paper, others: list[Flaw], folder: Path) -> None:
        """Take in one paper.

        Args:
            made: The paper with its truth.
            paper: The same as it was read.
            others: What every other check found in it.
            folder: Where its sections may be written, each as a paper of its own.
        """
        truth = [each for each in made.truth if each.kind in INTERACTION_KINDS]
        flaws = check_whole(paper).flaws
        for each in truth:
            self.planted[each.kind] += 1
            self.found[each.kind] += any(
                meets(paper, each, flaw) and flaw.kind == each.kind for flaw in flaws
            )
        for flaw in flaws:
            # The conclusion that was planted may also contradict what the paper says elsewhere.
            known = any(meets(paper, each, flaw, passages=1) for each in truth)
            (self.right if known else self.wrong)[flaw.kind] += 1
        self.clean += not made.truth
        self.alarmed += bool(flaws) and not made.truth
        if truth:
            parts = {flaw.kind for check in sections_alone(made, folder) for flaw in check.flaws}
            for each in truth:
                self.alone[each.kind] += each.kind in parts or any(
                    meets(paper, each, flaw, same_kind=False) for flaw in others
                )

    def __add__(self, other: "Tally") -> "Tally":
        """Counts of two sets of papers together."""
        return Tally(
            planted=self.planted + other.planted,
            found=self.found + other.found,
            right=self.right + other.right,
            wrong=self.wrong + other.wrong,
            alone=self.alone + other.alone,
            clean=self.clean + other.clean,
            alarmed=self.alarmed + other.alarmed,
        )

    def recall_rows(self, wordings: str) -> list[Row]:
        """Recall in all and of each kind, over papers worded from the banks that are named."""
        measure = f"recall, interaction flaws, {wordings}"
        return [
            _share(measure, self.found.total(), self.planted.total(), RECALL),
            *(
                _share(f"{measure}, {kind}", self.found[kind], count, RECALL)
                for kind in INTERACTION_KINDS
                if (count := self.planted[kind])
            ),
        ]

    def other_rows(self) -> list[Row]:
        """Precision in all and of each kind, and what parts alone found."""
        right, wrong = self.right.total(), self.wrong.total()
        table = []
        if right + wrong:
            measure = "precision, interaction flaws, all kinds"
            table.append(_share(measure, right, right + wrong, PRECISION))
        for kind in sorted({*INTERACTION_KINDS, *self.right, *self.wrong}):
            if made := self.right[kind] + self.wrong[kind]:
                measure = f"precision, interaction flaws, {kind}"
                table.append(_share(measure, self.right[kind], made, PRECISION))
        alone = self.alone.total()
        return [
            *table,
            single(
                "interaction flaws found by a part alone",
                alone,
                unit="flaws",
                n=self.planted.total(),
                target="0",
                met=alone == 0,
            ),
            single(
                "clean papers with an interaction flaw reported",
                self.alarmed,
                unit="papers",
                n=self.clean,
            ),
        ]


def whole_rows(tallies: Mapping[Bank, Tally]) -> list[Row]:
    """Recall over known and over new wordings and over each bank, and precision over all.

    Args:
        tallies: Counts over the papers of each bank.
    """
    table = []
    for wordings, banks in (
        ("wordings the reader was written with", WRITTEN_WITH),
        ("wordings never seen", NEVER_SEEN),
    ):
        if together := [tallies[bank] for bank in banks if bank in tallies]:
            table += sum(together, Tally()).recall_rows(wordings)
    for bank, tally in tallies.items():
        measure = f"recall, interaction flaws, bank {bank}"
        table.append(_share(measure, tally.found.total(), tally.planted.total()))
    return [*table, *sum(tallies.values(), Tally()).other_rows()]


def meets(
    paper: Paper, planted: Planted, flaw: Flaw, *, passages: int = 2, same_kind: bool = True
) -> bool:
    """Whether the evidence of a flaw touches enough passages of a planted one."""
    if same_kind and flaw.kind not in (planted.kind, *planted.also):
        return False
    touched = 0
    for mark in planted.mark.split("|"):
        match = re.search(r"\s+".join(map(re.escape, mark.split())), paper.text)
        touched += match is not None and any(
            each.start < match.end() and match.start() < each.end for each in flaw.evidence
        )
    return touched >= passages


def sections_alone(made: SyntheticPaper, folder: Path) -> list[Check]:
    """The whole reading of each section, given as a paper of its own."""
    title, *sections = re.split(r"^## ", made.markdown, flags=re.MULTILINE)
    checks = []
    for number, section in enumerate(sections):
        path = folder / f"section{number}.md"
        path.write_text(f"{title}## {section}", encoding="utf-8")
        checks.append(check_whole(read_paper(path)))
    return checks


def _share(measure: str, count: int, of: int, target: float | None = None) -> Row:
    return estimated(
        measure,
        wilson(count, of, unit="share"),
        target="" if target is None else f">= {target:.2f}",
        met=None if target is None else count / of >= target,
    )
