"""Checks changes from one number to another, and percentages that part one whole in a sentence."""

import re
from collections.abc import Iterator
from decimal import Decimal

from plumbrule.oversight.papers.document import Flaw, Paper, Sentence
from plumbrule.oversight.papers.numerals import NUMBER, Printed, read_number

_UP = r"rose|risen|rise|increas\w+|grew|grown|climb\w*"
_DOWN = r"fell|fallen|drop\w*|decreas\w+|declin\w+|shrank"
_UNIT = r"(?:\s*%|\s*percent|\s+[a-z]{1,12})?"
_CHANGE = re.compile(
    rf"\b(?:(?P<up>{_UP})|(?P<down>{_DOWN})|chang\w+|went|improv\w+|reduc\w+)\b[^.;:]{{0,80}}?\bfrom\s+"
    rf"(?P<first>{NUMBER})(?P<unit>{_UNIT})\s+to\s+(?P<last>{NUMBER})(?P<last_unit>{_UNIT})"
    rf"(?:,?\s*\(?(?:(?:that is|i\.e\.|or),?\s+)?(?:(?:an?|the)\s+(?:[a-z]+\s+){{0,2}}?"
    rf"(?:increase|rise|gain|growth|decrease|drop|decline|fall|reduction|change|difference)\s+of|by)"
    rf"\s+(?P<by>{NUMBER})(?P<by_unit>\s*%|\s*percent(?:age points?)?|\s+points?)?)?",
    re.IGNORECASE,
)
_PERCENTAGE = re.compile(
    rf"(?P<share>{NUMBER})\s*(?:%|percent\b|per cent\b)(?P<what>[^%;()]{{0,80}}?)"
    r"(?=,|;|\)|\.|$|\s+and\s)"
)
_APART = re.compile(
    r"\baged?\b|\byears?[ -]olds?\b|\b(?:wo)?men\b|\b(?:fe)?males?\b|\bgirls?\b|\bboys?\b"
    r"|\bnon-?binary\b|\bsingle\b|\bmarried\b|\bdivorced\b|\bwidowed\b|\b(?:left|right)-handed\b"
    r"|\bnever\b|\bsometimes\b|\boften\b|\balways\b|\bgrade\b|\bprimary\b|\bsecondary\b"
    r"|\bno (?:answer|opinion)\b|\bundecided\b|\bunsure\b|\bdisagreed?\b|\bagreed?\b|\bneutral\b",
    re.IGNORECASE,
)
"""Words for groups of which everybody belongs to one."""

FEWEST_PARTS = 3


def changes(paper: Paper, sentence: Sentence) -> Iterator[Flaw | None]:
    """Changes such as `rose from 12 to 15, an increase of 3`; None for one that holds.

    Kind: `change_mismatch`. A change in per cent may be one of points or of the first number.
    """
    for match in _CHANGE.finditer(sentence.text):
        first, last = read_number(match["first"]), read_number(match["last"])
        if first is None or last is None or _other_units(match["unit"], match["last_unit"]):
            continue
        problem = _problem(match, first, last)
        if problem is None:
            yield None
            continue
        yield Flaw(
            kind="change_mismatch",
            severity="low",
            message=problem,
            evidence=(
                paper.evidence(sentence.start + match.start(), sentence.start + match.end()),
            ),
        )


def _other_units(one: str, other: str) -> bool:
    """Whether two numbers are in units of their own, such as mg and g."""
    first, second = one.strip().lower(), other.strip().lower()
    small = {
        "",
        "and",
        "in",
        "at",
        "on",
        "for",
        "with",
        "by",
        "per",
        "after",
        "of",
        "the",
        "a",
        "an",
    }
    return first not in small and second not in small and first != second


def _problem(match: re.Match[str], first: Printed, last: Printed) -> str | None:
    """What is wrong with a change; None where nothing is."""
    told = f"from {match['first']} to {match['last']}"
    if (match["up"] and last.value < first.value) or (match["down"] and last.value > first.value):
        return f"{told} is no {'rise' if match['up'] else 'fall'}"
    by = read_number(match["by"]) if match["by"] else None
    if by is None or (not match["by_unit"] and 1900 <= by.value < 2100):
        return None
    size = abs(last.value - first.value)
    room = first.half + last.half + by.half
    if abs(size - abs(by.value)) <= room:
        return None
    percent = (match["by_unit"] or "").strip() in ("%", "percent")
    if percent and first.value > first.half:
        low = 100 * (size - first.half - last.half) / (first.value + first.half)
        high = 100 * (size + first.half + last.half) / (first.value - first.half)
        if low - by.half <= abs(by.value) <= high + by.half:
            return None
        exact = 100 * size / first.value
        return f"{told} is a change of {size} or of {exact:.3g}%, the text says {by.value}%"
    return f"{told} is a change of {size}, the text says {by.value}"


def percentage_parts(paper: Paper, sentence: Sentence) -> Iterator[Flaw | None]:
    """Percentages of groups that part one whole: together they are no more than 100.

    Kind: `percentage_total`. Only lists of three and more are looked at whose groups nobody can
    belong to two of, such as ages; fewer than 100 may be named for other reasons.
    """
    run: list[re.Match[str]] = []
    for match in [*_PERCENTAGE.finditer(sentence.text), None]:
        if match is not None and run and match.start() - run[-1].end() <= len(", and "):
            run.append(match)
            continue
        if len(run) >= FEWEST_PARTS and sum(bool(_APART.search(each["what"])) for each in run) >= 2:
            yield _over(paper, sentence, run)
        run = [match] if match is not None else []


def _over(paper: Paper, sentence: Sentence, run: list[re.Match[str]]) -> Flaw | None:
    shares = [share for each in run if (share := read_number(each["share"])) is not None]
    value = sum((share.value for share in shares), Decimal(0))
    allowed = sum((share.half for share in shares), Decimal(0))
    if value <= 100 + allowed:
        return None
    return Flaw(
        kind="percentage_total",
        severity="low",
        message=f"the percentages add up to {value}, to more than 100 (rounding allows {allowed})",
        evidence=(paper.evidence(sentence.start + run[0].start(), sentence.start + run[-1].end()),),
    )
