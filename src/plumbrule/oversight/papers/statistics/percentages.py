"""Percentages against the count and the total they were made from."""

import re
from collections.abc import Iterator
from fractions import Fraction

from plumbrule.oversight.papers.statistics.plain import Plain
from plumbrule.oversight.papers.statistics.printed import parse_printed
from plumbrule.oversight.papers.statistics.records import StatisticFinding
from plumbrule.oversight.papers.statistics.testing import finding
from plumbrule.oversight.papers.statistics.whole_numbers import grim

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
    part, total = _whole(found["part"]), _whole(found["total"])
    percent = parse_printed(found["percent"])
    if total == 0 or part > total:
        return finding(
            plain,
            *found.span(),
            check="percentage",
            verdict="impossible",
            reason=f"{part} is no part of {total}",
        )
    exact = Fraction(100 * part, total)
    fits = percent.low <= exact <= percent.high
    return finding(
        plain,
        *found.span(),
        check="percentage",
        verdict="consistent" if fits else "inconsistent",
        reason=f"{part} of {total} {'give' if fits else 'do not give'} {percent.text}%",
        recomputed=f"{float(exact):.6g}%",
        values={"percent": float(exact)},
    )


def _check_share(plain: Plain, found: re.Match[str]) -> StatisticFinding:
    percent = found["percent"] or found["inside"]
    total = _whole(found["total"] or found["before"])
    if total == 0 or parse_printed(percent).low > 100:
        return finding(
            plain,
            *found.span(),
            check="percentage",
            verdict="impossible",
            reason=f"{percent}% is no share of {total}",
        )
    seen = grim(percent, total, percent=True)
    if seen.consistent and not seen.decisive:
        verdict, reason = (
            "not checked",
            f"a share of {total} can be any percentage of so few digits",
        )
    elif seen.consistent:
        verdict, reason = "consistent", f"some part of {total} is {percent}%"
    else:
        verdict, reason = "impossible", f"no part of {total} is {percent}%, if all were counted"
    return finding(
        plain,
        *found.span(),
        check="percentage",
        verdict=verdict,  # type: ignore[arg-type]
        reason=reason,
        recomputed=f"the nearest possible shares are {seen.below:.6g}% and {seen.above:.6g}%",
        values={"below": seen.below, "above": seen.above},
    )


def _whole(text: str) -> int:
    return int(text.replace(",", ""))
