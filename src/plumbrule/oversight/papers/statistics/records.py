"""What the checks of reported statistics hand out: one finding a statement, and their count."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from plumbrule.errors import DataError
from plumbrule.records import strict

Verdict = Literal["consistent", "inconsistent", "decision error", "impossible", "not checked"]
Check = Literal[
    "p-value",
    "GRIM",
    "GRIMMER",
    "DEBIT",
    "percentage",
    "degrees of freedom",
    "confidence interval",
    "standard error",
    "range",
    "reading",
]


@strict
@dataclass(frozen=True, kw_only=True)
class StatisticFinding:
    """One reported statistic, what arithmetic makes of it, and where it stands in the text."""

    check: Check
    """Which rule was applied."""

    verdict: Verdict
    """`impossible` breaks arithmetic whatever the data; `inconsistent` contradicts another
    reported number; `decision error` is that, and it moves a result across the threshold."""

    quote: str
    """The words judged, verbatim; hostile text, to be escaped where it is shown."""

    start: int
    """Characters before the quote in the text that was given."""

    end: int
    """Characters before the end of the quote."""

    reason: str
    """Why this verdict, or why nothing could be checked."""

    recomputed: str | None = None
    """What the other numbers imply, in words; None where nothing was recomputed."""

    values: Mapping[str, float] = field(default_factory=dict)
    """The numbers behind `recomputed`, as named in `docs/review_statistics.md`."""

    def __post_init__(self) -> None:
        if self.end - self.start != len(self.quote) or self.start < 0:
            raise DataError(
                f"a quote of {len(self.quote)} characters spans as many, "
                f"got [{self.start}, {self.end})"
            )
        if not self.reason:
            raise DataError("a finding says why, got an empty reason; give one")

    @property
    def flagged(self) -> bool:
        """Whether something is wrong here; `not checked` is neither wrong nor right."""
        return self.verdict in ("inconsistent", "decision error", "impossible")


@strict
@dataclass(frozen=True, kw_only=True)
class StatisticCounts:
    """How much of what was found could be checked."""

    found: int
    """Findings in all: `checked` and `not_checked` together."""

    checked: int
    not_checked: int

    verdicts: Mapping[str, int]
    """Findings under each verdict, zeros included."""

    checks: Mapping[str, int]
    """Findings that were checked under each rule, zeros included."""


def count_findings(findings: Iterable[StatisticFinding]) -> StatisticCounts:
    """Count findings by verdict and by rule, with the unchecked ones in plain sight."""
    verdicts = dict.fromkeys(get_args(Verdict), 0)
    checks = dict.fromkeys(get_args(Check), 0)
    for each in findings:
        verdicts[each.verdict] += 1
        checks[each.check] += each.verdict != "not checked"
    found = sum(verdicts.values())
    return StatisticCounts(
        found=found,
        checked=found - verdicts["not checked"],
        not_checked=verdicts["not checked"],
        verdicts=verdicts,
        checks=checks,
    )
