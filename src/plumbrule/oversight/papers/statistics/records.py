"""Printed numbers with their rounding, and the findings of the checks of statistics."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, get_args

from plumbrule.errors import DataError
from plumbrule.records import strict

LONGEST = 40
LARGEST_EXPONENT = 300

_FORM = re.compile(
    r"(?P<sign>[-+]?) ?"
    r"(?P<whole>\d{1,3}(?:,\d{3}){1,4}|\d{0,15})(?:\.(?P<decimals>\d{1,15}))?"
    r"(?: ?(?:[eE]|[x*] ?10 ?\^? ?)(?P<exponent>[-+]? ?\d{1,3}))?"
)


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A printed number and its rounding interval, closed so that ties fit either way."""

    text: str
    value: Fraction

    half: Fraction
    """Half a unit of the last printed digit."""

    @property
    def low(self) -> Fraction:
        """Smallest number that rounds to this one."""
        return self.value - self.half

    @property
    def high(self) -> Fraction:
        """Largest number that rounds to this one."""
        return self.value + self.half

    @property
    def unit(self) -> Fraction:
        """One unit of the last printed digit."""
        return 2 * self.half

    def scaled(self, factor: Fraction) -> "Printed":
        """Give the same number in another unit, such as a percentage as a share."""
        return Printed(text=self.text, value=self.value * factor, half=self.half * factor)


def parse_printed(text: str) -> Printed:
    """Read a printed number: `2.20`, `.03`, `-1,234.5`, `1.2e-4` or `1.2 x 10^-4`.

    Raises:
        DataError: The text is not such a number, or is longer than any sensible one.

    Example:
        >>> number = parse_printed("2.20")
        >>> float(number.low), float(number.high)
        (2.195, 2.205)
    """
    found = _FORM.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if found is None or not (found["whole"] or found["decimals"]):
        raise DataError(
            f"expected a printed number such as 2.20 or .03, got {text[:LONGEST]!r}; "
            "write it with digits and a decimal point"
        )
    decimals = found["decimals"] or ""
    exponent = int((found["exponent"] or "0").replace(" ", ""))
    if abs(exponent) > LARGEST_EXPONENT:
        raise DataError(
            f"expected a power of ten within {LARGEST_EXPONENT}, got {exponent}; check the number"
        )
    digits = int((found["whole"].replace(",", "") + decimals) or "0")
    unit = Fraction(10) ** (exponent - len(decimals))
    value = -digits * unit if found["sign"] == "-" else digits * unit
    return Printed(text=text.strip().lstrip("+ ").replace("- ", "-"), value=value, half=unit / 2)


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
    """One reported statistic, what arithmetic makes of it, and where it is in the text."""

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
