"""Can whole numbers have this mean, this deviation, this percentage? GRIM, GRIMMER and DEBIT."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from plumbrule.errors import DataError
from plumbrule.oversight.papers.statistics.records import (
    Printed,
    StatisticFinding,
    Verdict,
    parse_printed,
)
from plumbrule.oversight.papers.statistics.text import Plain, whole
from plumbrule.records import strict

MOST_SUMS = 50
"""Sums that GRIMMER goes through; the first fits unless n is large and the deviation near 0."""

GrimmerOutcome = Literal[
    "consistent", "GRIM-inconsistent", "no-integer-SS", "parity-inconsistent", "too many sums"
]


@strict
@dataclass(frozen=True, kw_only=True)
class Granularity:
    """Whether a sum of whole numbers fits a printed mean."""

    consistent: bool

    below: float
    """Largest possible mean not above the printed one, in its unit."""

    above: float
    """Smallest possible mean not below it."""

    decisive: bool
    """False where so many observations are behind it that every printed mean is possible."""


def grim(mean: str, n: int, *, items: int = 1, percent: bool = False) -> Granularity:
    """Can n answers to some items of whole numbers have this mean?

    Args:
        mean: As printed, trailing zeros included.
        n: Answers, at least 1.
        items: Whole numbers averaged within each answer, at least 1.
        percent: The mean is a percentage of yes-or-no answers.

    Raises:
        DataError: A number cannot be read, or a count is below 1.

    Source:
        Brown and Heathers (2017), "The GRIM test".

    Example:
        >>> found = grim("5.19", 28)
        >>> found.consistent, round(found.below, 3), round(found.above, 3)
        (False, 5.179, 5.214)
    """
    _at_least(1, n=n, items=items)
    printed = parse_printed(mean)
    share = printed.scaled(Fraction(1, 100)) if percent else printed
    total, unit = n * items, 100 if percent else 1
    return Granularity(
        consistent=math.ceil(share.low * total) <= math.floor(share.high * total),
        below=float(Fraction(math.floor(share.value * total) * unit, total)),
        above=float(Fraction(math.ceil(share.value * total) * unit, total)),
        decisive=share.unit * total < 1,
    )


def grimmer(mean: str, sd: str, n: int, *, items: int = 1) -> GrimmerOutcome:
    """Can n answers of whole numbers have this mean and this standard deviation?

    A whole sum S must fit the mean, and a whole sum of squares Q the deviation (denominator n - 1);
    S and Q are both even or both odd; and Q is at least what the most even spread of S gives. The
    last condition is ours: it excludes more and never a real data set.

    Args:
        mean: As printed.
        sd: Standard deviation as printed, denominator n - 1.
        n: Answers, at least 2.
        items: Whole numbers averaged within each answer; their sums are then the whole numbers.

    Returns:
        `no-integer-SS` where no whole Q fits, `parity-inconsistent` where only ones of the wrong
        parity do, `too many sums` where more than 50 sums would have to be gone through.

    Raises:
        DataError: A number cannot be read, a count is too small, or the deviation is negative.

    Source:
        Allard (2018), "Analytic-GRIMMER", for the parity of S and Q.
    """
    _at_least(2, n=n)
    _at_least(1, items=items)
    center, spread = parse_printed(mean).scaled(Fraction(items)), parse_printed(sd)
    if spread.value < 0:
        raise DataError(f"a standard deviation is not negative, got {sd}")
    spread = spread.scaled(Fraction(items))
    sums = range(math.ceil(center.low * n), math.floor(center.high * n) + 1)
    if not sums:
        return "GRIM-inconsistent"
    wrong_parity = False
    for each in sums[:MOST_SUMS]:
        low, high = _squares(each, n, spread)
        if low + (low - each) % 2 <= high:
            return "consistent"
        wrong_parity |= low <= high
    if len(sums) > MOST_SUMS:
        return "too many sums"
    return "parity-inconsistent" if wrong_parity else "no-integer-SS"


def _squares(total: int, n: int, spread: Printed) -> tuple[int, int]:
    """Smallest and largest whole sum of squares that fits; the least possible one counts in."""
    base = Fraction(total * total, n)
    low = math.ceil((n - 1) * max(spread.low, Fraction(0)) ** 2 + base)
    high = math.floor((n - 1) * spread.high**2 + base)
    each, more = divmod(total, n)
    return max(low, (n - more) * each**2 + more * (each + 1) ** 2), high


def debit(mean: str, sd: str, n: int) -> bool:
    """Can n zeros and ones have this mean and this standard deviation?

    Args:
        mean: Share of ones as printed.
        sd: Standard deviation as printed, denominator n - 1.
        n: Observations, at least 2.

    Raises:
        DataError: A number cannot be read, n is below 2, or no share rounds to the mean.

    Source:
        Heathers and Brown (2019), "DEBIT: a simple consistency test for binary data".

    Example:
        >>> debit("0.53", "0.50", 1683), debit("0.53", "0.45", 1683)
        (True, False)
    """
    _at_least(2, n=n)
    share, spread = parse_printed(mean), parse_printed(sd)
    low, high = max(share.low, Fraction(0)), min(share.high, Fraction(1))
    if low > high:
        raise DataError(f"the mean of zeros and ones lies between 0 and 1, got {mean}")
    ends = [low * (1 - low), high * (1 - high)]
    most = Fraction(1, 4) if low <= Fraction(1, 2) <= high else max(ends)
    scale = Fraction(n, n - 1)
    # Squares are compared, so that no root is rounded.
    return spread.high >= 0 and (
        scale * min(ends) <= spread.high**2 and scale * most >= max(spread.low, Fraction(0)) ** 2
    )


def _at_least(least: int, **counts: int) -> None:
    for name, count in counts.items():
        if count < least:
            raise DataError(f"expected {name} of at least {least}, got {count}")


_COUNT = r"\d{1,3}(?:,\d{3}){1,3}|\d{1,9}"
_PERCENT = r"\d{1,3}(?:\.\d{1,4})?"
_NOUN = (
    r"(?:participants|patients|students|adults|respondents|subjects|volunteers|people|children"
    r"|women|men|undergraduates|individuals|users|teachers|workers|answers|responses|papers)"
)
_PART_FIRST = re.compile(
    rf"(?<![\d.,/-])(?P<part>{_COUNT})(?: ?/ ?| (?:out )?of (?:the |all )?)(?P<total>{_COUNT})"
    rf"(?: [a-z]{{3,20}}){{0,2}} ?[(\[] ?(?P<percent>{_PERCENT}) ?%"
)
_PERCENT_FIRST = re.compile(
    rf"(?<![\d.,-])(?P<percent>{_PERCENT}) ?% ?[(\[] ?(?:n ?= ?)?(?P<part>{_COUNT})"
    rf"(?: ?/ ?| (?:out )?of (?:the |all )?)(?P<total>{_COUNT})(?![\d.%])"
)
_SHARE = re.compile(
    rf"(?<![\d.,-])(?:(?P<percent>{_PERCENT}) ?% of (?:the |all |our ){{0,2}}(?P<total>{_COUNT})"
    rf" (?:[a-z]{{3,20}} )?{_NOUN}"
    rf"|(?P<before>{_COUNT}) (?:[a-z]{{3,20}} )?{_NOUN} ?[(\[](?P<inside>{_PERCENT}) ?%"
    r" (?:female|male|women|men|girls|boys))"
)


def check_percentages(plain: Plain) -> Iterator[StatisticFinding]:
    """Is each percentage what its count and total, or its total alone, can give?"""
    for pattern in (_PART_FIRST, _PERCENT_FIRST):
        for found in pattern.finditer(plain.text):
            yield _check_part(plain, found)
    for found in _SHARE.finditer(plain.text):
        yield _check_share(plain, found)


def _check_part(plain: Plain, found: re.Match[str]) -> StatisticFinding:
    part, total = whole(found["part"]), whole(found["total"])
    percent = parse_printed(found["percent"])
    if total == 0 or part > total:
        reason = f"{part} is no part of {total}"
        return plain.finding(found.span(), "percentage", "impossible", reason)
    exact = Fraction(100 * part, total)
    fits = percent.low <= exact <= percent.high
    return plain.finding(
        found.span(),
        "percentage",
        "consistent" if fits else "inconsistent",
        f"{part} of {total} {'give' if fits else 'do not give'} {percent.text}%",
        f"{float(exact):.6g}%",
        {"percent": float(exact)},
    )


def _check_share(plain: Plain, found: re.Match[str]) -> StatisticFinding:
    percent = found["percent"] or found["inside"]
    total = whole(found["total"] or found["before"])
    if total == 0 or parse_printed(percent).low > 100:
        reason = f"{percent}% is no share of {total}"
        return plain.finding(found.span(), "percentage", "impossible", reason)
    seen = grim(percent, total, percent=True)
    verdict: Verdict = "not checked"
    if seen.consistent and not seen.decisive:
        reason = f"a share of {total} can be any percentage of so few digits"
    elif seen.consistent:
        verdict, reason = "consistent", f"some part of {total} is {percent}%"
    else:
        verdict, reason = "impossible", f"no part of {total} is {percent}%, if all were counted"
    return plain.finding(
        found.span(),
        "percentage",
        verdict,
        reason,
        f"the nearest possible shares are {seen.below:.6g}% and {seen.above:.6g}%",
        {"below": seen.below, "above": seen.above},
    )
