"""Deterministic checks of a paper as specialists of a review.

What makes a check fail: a flaw of severity `medium` or `high`. A `low` one leaves it `uncertain`,
and `info` moves nothing. A check that found nothing to look at says `not checked`.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from plumbrule.oversight.cases import Case
from plumbrule.oversight.papers.bibliographies import compare_entries
from plumbrule.oversight.papers.citations import check_citations
from plumbrule.oversight.papers.document import CheckResult, Flaw, Paper
from plumbrule.oversight.papers.instructions import check_instructions
from plumbrule.oversight.papers.material import PAPER, Material
from plumbrule.oversight.papers.numbers import check_numbers
from plumbrule.oversight.papers.reading import NOT_ENGLISH
from plumbrule.oversight.papers.statistics import StatisticFinding, check_statistics
from plumbrule.oversight.papers.support import look_up
from plumbrule.oversight.records import (
    FREE,
    Kind,
    Opinion,
    Outcome,
    Quote,
    Report,
    ReportedFlaw,
    ReviewCost,
    Severity,
)

VERSION = "2"
"""Of the checks; changes whenever one of them may answer otherwise."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
FAILING: tuple[Severity, ...] = ("medium", "high")
NOTHING = "the paper holds nothing of the kind that this checks"
NONE_OF_IT = "nothing here could be checked"
NO_PLACE = "-"
CERTAIN = "a deterministic check: the same text gives the same answer"
STANDING_NOTES = ("tables of a PDF were not read",)
"""What is never read of a format; it is said, and keeps nothing from passing."""
NO_REFERENCES = "no list of references was found"


@dataclass(frozen=True, kw_only=True)
class CheckSpecialist:
    """A check of the whole paper, as someone who can be asked about a task."""

    name: str
    material: Material
    run: Callable[[Case], CheckResult]
    watches: bool = False
    """Whether it only reports: what it finds leaves it `uncertain` and never fails."""

    kind: Kind = "tool"
    most: ReviewCost = FREE

    @property
    def version(self) -> str:
        """Of the check and of what it reads."""
        return f"{VERSION}-{self.material.hash}"

    def check(self, case: Case) -> Opinion:
        """Run the check; every flaw is a line of the rationale, with its quotes as evidence."""
        opinion = opinion_of(self.run(case), self.material, watches=self.watches)
        if case.question is None:
            return opinion
        asked = f"\nAsked: {' '.join(case.question.split())}\nThis is {CERTAIN}."
        return replace(opinion, rationale=opinion.rationale + asked)


def opinion_of(check: CheckResult, material: Material, *, watches: bool = False) -> Opinion:
    """The opinion of a check, with every flaw and the words it quotes.

    Args:
        check: A finished check of the material's paper.
        material: Where the words are looked up.
        watches: Let flaws of any severity make it `uncertain` and none make it fail.
    """
    told = [_reported(flaw, material) for flaw in check.flaws]
    lines, quotes = [], list[Quote]()
    for flaw in told:
        numbers = _numbers(len(quotes), len(flaw.quotes))
        lines.append(f"[{numbers}] {flaw.severity}, {flaw.kind}: {flaw.message}")
        quotes += flaw.quotes
    verdict, first = _verdict(check, material.paper, watches=watches)
    reasons = check.not_checked
    if verdict == "not checked":
        reasons = tuple(dict.fromkeys([*reasons, first]))
    return Opinion(
        verdict=verdict,
        rationale="\n".join([first, *lines]),
        confidence_reason=CERTAIN,
        evidence=tuple(quotes),
        flaws=tuple(told),
        not_checked=reasons,
    )


def _reported(flaw: Flaw, material: Material) -> ReportedFlaw:
    quotes = [quote for each in flaw.evidence if (quote := material.quote(each)) is not None]
    message = " ".join(flaw.message.split())
    words = " ".join("; ".join(each.quote for each in flaw.evidence).split())
    if words and not quotes:
        message += f" (words: {words!r})"
    return ReportedFlaw(
        severity=flaw.severity, kind=flaw.kind, message=message, quotes=tuple(quotes)
    )


def flaws_in(report: Report) -> list[ReportedFlaw]:
    """The flaws of a check's report; empty for a report of someone else."""
    return list(report.flaws)


def _numbers(before: int, count: int) -> str:
    if count == 0:
        return NO_PLACE
    return str(before + 1) if count == 1 else f"{before + 1}-{before + count}"


def _verdict(check: CheckResult, paper: Paper, *, watches: bool) -> tuple[Outcome, str]:
    counts = Counter(flaw.severity for flaw in check.flaws)
    looked = f"{check.checked} item{'s' * (check.checked != 1)} looked at"
    if not check.flaws and check.checked == 0:
        return "not checked", NOTHING if not check.not_checked else NONE_OF_IT
    if not check.flaws and NOT_ENGLISH in paper.not_read:
        return "not checked", f"no flaw found, which says nothing here: {NOT_ENGLISH}"
    told = ", ".join(f"{counts[each]} {each}" for each in reversed(SEVERITIES) if counts[each])
    first = f"{len(check.flaws) or 'no'} flaw{'s' * (len(check.flaws) != 1)}"
    first += f" ({told})" if told else ""
    if any(counts[each] for each in FAILING) and not watches:
        return "fail", f"{first}; {looked}"
    if counts["low"] or (watches and check.flaws):
        return "uncertain", f"{first}; {looked}"
    return "pass", f"{first}; {looked}"


def tools(material: Material) -> list[CheckSpecialist]:
    """Everyone who can check this material without a model."""
    paper = material.paper
    statistics = StatisticsChecks(material)

    def make(
        name: str, run: Callable[[Case], CheckResult], *, watches: bool = False
    ) -> CheckSpecialist:
        return CheckSpecialist(name=name, material=material, run=run, watches=watches)

    found = [
        make("reading", lambda case: check_reading(material)),
        make("citations", lambda case: check_citations(paper)),
        make("numbers", lambda case: check_numbers(paper)),
        make("statistics", statistics.check),
        make("instructions", lambda case: check_instructions(paper), watches=True),
    ]
    if material.bibliography:
        found.append(make("bibliography", lambda case: compare_bibliography(material)))
    if material.cited is not None:
        found.append(make("sources", lambda case: compare_sources(material)))
    return found


def check_reading(material: Material) -> CheckResult:
    """Whether the paper could be read whole; what could not is a flaw of the reading."""
    notes = material.paper.not_read
    # Without a single citation nothing is lost where no list of references was found.
    standing = STANDING_NOTES if material.paper.citations else (*STANDING_NOTES, NO_REFERENCES)
    return CheckResult(
        name="reading",
        checked=1,
        flaws=tuple(
            Flaw(kind="not_read", severity="low", message=note, evidence=())
            for note in notes
            if not note.startswith(standing)
        ),
        not_checked=tuple(notes),
    )


def compare_bibliography(material: Material) -> CheckResult:
    """Compare the entries of the paper with the bibliography that was given."""
    name = Path(material.bibliography_name).name
    return compare_entries(material.paper, material.bibliography, name)


def compare_sources(material: Material) -> CheckResult:
    """Look up numbers and quotations in the cited works that were given."""
    return look_up(material.paper, material.cited or {}, material.not_read).check


class StatisticsChecks:
    """The statistics of a paper: found once in the whole text, told section by section."""

    def __init__(self, material: Material) -> None:
        self.paper = material.paper
        # Counts beside their percentage belong to the check of numbers: nothing is told twice.
        self.findings = tuple(
            each
            for each in check_statistics(material.paper.text)
            if each.check != "percentage" or "percent" not in each.values
        )

    def check(self, case: Case) -> CheckResult:
        """Those whose words begin in the pieces that the task is about."""
        findings = [
            each
            for each in self.findings
            if any(
                span.start <= each.start < span.end for span in case.spans if span.source == PAPER
            )
        ]
        return CheckResult(
            name="statistics",
            checked=sum(each.verdict != "not checked" for each in findings),
            flaws=tuple(
                self.paper.flaw(
                    each.check,
                    f"{each.verdict}: {each.reason}"
                    + (f"; {each.recomputed}" if each.recomputed else ""),
                    each,
                    severity="high" if _is_sure(each) else "low",
                )
                for each in findings
                if each.flagged
            ),
            not_checked=_gathered(findings),
        )


def _is_sure(found: StatisticFinding) -> bool:
    """Whether a finding was right often enough on real papers to fail one.

    A p-value on the wrong side is, where degrees of freedom say that a test is meant: z and Q stand
    for too many other things.
    """
    test = found.check == "p-value" and found.verdict == "decision error"
    return test and re.match(r"[\s*$\\{_]*[zZQ]", found.quote) is None


def _gathered(findings: Sequence[StatisticFinding]) -> tuple[str, ...]:
    """Statistics that were not checked, one line a reason."""
    groups: dict[tuple[str, str], list[StatisticFinding]] = {}
    for each in findings:
        if each.verdict == "not checked":
            groups.setdefault((each.check, each.reason), []).append(each)
    return tuple(
        f"{check}, {len(some)} time{'s' * (len(some) > 1)}: {reason} "
        f"(first: {' '.join(some[0].quote.split())!r})"
        for (check, reason), some in groups.items()
    )
