"""Finds people who left or were left out in one part of a paper and count in another."""

import re
from collections.abc import Sequence

from plumbrule.oversight.papers.document import Flaw, Paper
from plumbrule.oversight.papers.numerals import read_count
from plumbrule.oversight.papers.quantities import stems
from plumbrule.oversight.papers.whole.claims import Claim, Ledger, comparable, conflict
from plumbrule.oversight.papers.whole.counting_words import (
    ANALYZED,
    EXCLUDED,
    FINAL,
    IN_TEST,
    MORE,
    NOT_COUNTED,
    OUT,
    RECRUITED,
)
from plumbrule.oversight.papers.whole.leaving import leaving_claims
from plumbrule.oversight.papers.whole.places import Place

SAME_REASON = 0.5
"""Share of the words of the shorter reason that both give."""

_NOT_BEFORE = re.compile(
    r"\b(?:not|never|no|without|nobody|none|neither|nor|n't)\b(?:\W+[\w'-]+){0,2}\W*$"
)


def exclusion_conflicts(paper: Paper, places: Sequence[Place]) -> tuple[list[Flaw], int]:
    """People who left and yet stayed; counts before and after that do not fit."""
    ledger = Ledger(paper, "exclusion_conflict", _clash)
    ledger.read(each for place in places if place.states for each in leaving_claims(place))
    counts, number = _counts(paper, places)
    return [*ledger.flaws.values(), *counts], len(ledger.claims) + number


def _clash(first: Claim, second: Claim) -> str | None:
    if first.value == second.value:
        return None
    return f"leaving the study: one part says {first.says}, another says {second.says}"


def _number(match: re.Match[str]) -> int:
    return read_count(next(each for each in match.groups() if each))


def _claims(places: Sequence[Place], pattern: re.Pattern[str], what: str) -> list[Claim]:
    return [
        Claim(what=what, value=_number(match), place=place, says=match[0])
        for place in places
        if place.states
        for match in pattern.finditer(place.text)
        if not _NOT_BEFORE.search(place.text[: match.start()])
    ]


def _reason(claim: Claim) -> frozenset[str]:
    """Words for why people were left out: those behind the last word for leaving them out."""
    *_, after = re.split(rf"\b{OUT}\b|\bexclud\w+|\bremov\w+", claim.place.text)
    match = re.search(
        r"\b(?:because|for|due to|owing to|as they|since they|who|with|having|on account of"
        r"|on grounds of|whose)\b([^,;.]*)",
        after,
    )
    return stems(match[1]) if match else frozenset()


def _two_counts(paper: Paper, excluded: Sequence[Claim]) -> list[Flaw]:
    """Two parts that count those who were left out for one reason differently."""
    for number, second in enumerate(excluded):
        for first in excluded[:number]:
            one, other = _reason(first), _reason(second)
            same = one and other and len(one & other) >= SAME_REASON * min(len(one), len(other))
            if first.value != second.value and same and comparable(first.place, second.place):
                reason = f"one part says that {first.value} were left out, another {second.value}"
                places = [first.place, second.place]
                return [conflict(paper, "exclusion_conflict", reason, places)]
    return []


def _counts(paper: Paper, places: Sequence[Place]) -> tuple[list[Flaw], int]:
    """Recruited less excluded is what can be analyzed.

    A sentence such as `the sample consisted of 88` mostly counts those who are left, so that only
    words such as `recruited` and `enlisted` count as the number before.
    """
    excluded = [
        each
        for each in _claims(places, EXCLUDED, "excluded")
        if not MORE.search(each.place.text) and each.value > 0
    ]
    two = _two_counts(paper, excluded)
    counted = [each for each in excluded if not NOT_COUNTED.search(each.place.text)]
    if len({each.value for each in counted}) == 1:
        counted = counted[:1]
    if two or len({each.place.paragraph for each in counted}) != 1:
        return two, len(excluded)
    before = _claims(places, RECRUITED, "recruited")
    if not before or any(MORE.search(each.place.text) for each in before):
        return [], len(excluded) + len(before)
    after = [
        (each, exact)
        for pattern, exact in ((ANALYZED, False), (IN_TEST, False), (FINAL, True))
        for each in _claims(places, pattern, "analyzed")
    ]
    flaws = _not_fitting(paper, max(before, key=lambda each: each.value), counted, after)
    return flaws[:1], len(excluded) + len(before) + len(after)


def _not_fitting(
    paper: Paper, whole: Claim, excluded: Sequence[Claim], after: Sequence[tuple[Claim, bool]]
) -> list[Flaw]:
    """Counts of the analyzed that are too large, or not what is left where they say it all."""
    out = sum(each.value for each in excluded)
    first = excluded[0]
    left = whole.value - out
    return [
        conflict(
            paper, "exclusion_conflict",
            f"{whole.value} were recruited and {out} left out, which leaves {left}; "
            f"{each.value} were analyzed",
            [whole.place, first.place, each.place],
        )
        for each, exact in after
        if (each.value > left or (exact and each.value != left))
        and each.place.paragraph not in (first.place.paragraph, whole.place.paragraph)
        and (comparable(each.place, first.place) or comparable(each.place, whole.place))
        and each.place.study == whole.place.study == first.place.study
    ]  # fmt: skip
