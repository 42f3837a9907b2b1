"""Principles that oppose or repeat each other, and conditions that cannot do what they say."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from plumbrule.constitution import wording
from plumbrule.constitution.complaint import Complaint, complain
from plumbrule.constitution.schema import Constitution, Principle

OVERLAP = 0.8
CONTRADICTION = 0.6
"""Cosines from which two texts count as one subject. Ours, set by eye on the shipped
constitutions; a contradiction is worth a lower bar because it costs more."""

ALIKE = 0.6
"""Share of words from which two conditions count as about the same situation."""


def pairs(constitution: Constitution) -> Iterator[Complaint]:
    """Compare every two principles, sentence by sentence."""
    weights = wording.rarity([each.text for each in constitution.principles])
    bags = [
        (each, frozenset(wording.stems(wording.words(each.text))), wording.sentences(each.text))
        for each in constitution.principles
    ]
    for (first, bag, parts), (second, other_bag, other_parts) in combinations(bags, 2):
        opposed = max(
            (
                wording.similarity(one.words, other.words, weights)
                for one in parts
                for other in other_parts
                if one.demands != other.demands
            ),
            default=0.0,
        )
        if opposed >= CONTRADICTION:
            if first.tier == second.tier and not _separated(first, second):
                yield complain(
                    "contradiction",
                    [first, second],
                    f"one demands what the other forbids, both in tier {first.tier} and with no "
                    f"condition between them (wording {opposed:.0%} the same)",
                    "put one of them in another tier, or add to the `except_when` of one the "
                    "situation in which the other holds",
                )
        elif (same := wording.similarity(bag, other_bag, weights)) >= OVERLAP:
            yield complain(
                "overlap",
                [first, second],
                f"the two say nearly the same (wording {same:.0%} the same) and would count twice",
                "merge them, or write into each what the other leaves out",
            )


def _separated(first: Principle, second: Principle) -> bool:
    """Whether conditions keep two principles from applying to one request."""
    for one, other in ((first, second), (second, first)):
        if other.applies_when and all(
            any(wording.covers(out, case) for out in one.except_when) for case in other.applies_when
        ):
            return True
        # The other's situation may stand in its text: "when the request is harmful, do not ...".
        said = frozenset(wording.stems(wording.words(other.text)))
        subjects = [wording.condition(out).words for out in one.except_when]
        if any(subject and subject <= said for subject in subjects):
            return True
    return bool(first.applies_when and second.applies_when) and not any(
        wording.alike(one, other) >= ALIKE
        for one in first.applies_when
        for other in second.applies_when
    )


def conditions(constitution: Constitution) -> Iterator[Complaint]:
    """Check each principle's conditions against one another."""
    for principle in constitution.principles:
        yield from _conditions_of(principle)


def _conditions_of(principle: Principle) -> Iterator[Complaint]:
    cases, exceptions = principle.applies_when, principle.except_when
    for each in (*cases, *exceptions):
        if wording.impossible(each):
            yield complain(
                "impossible-condition",
                [principle],
                f"{each!r} denies itself and never holds",
                "say which half is meant, or write two conditions",
            )
    lost = [
        case
        for case in cases
        if wording.impossible(case) or any(wording.covers(out, case) for out in exceptions)
    ]
    everywhere = any(wording.covers(out, "anything at all") for out in exceptions)
    if (not cases and everywhere) or (cases and set(lost) == set(cases)):
        if not cases or not all(map(wording.impossible, cases)):
            yield complain(
                "unreachable",
                [principle],
                "its exceptions cover every situation it applies in, so it never applies",
                "narrow `except_when`, or remove the principle",
            )
    else:
        yield from _partly_excepted(principle, lost)
    for out in exceptions:
        if cases and all(wording.excludes(case, out) for case in cases):
            yield complain(
                "idle-exception",
                [principle],
                f"the exception {out!r} can never hold together with `applies_when`",
                "remove it: what applies only elsewhere needs no exception there",
            )
    if any(wording.excludes(one, other) for one, other in combinations(cases, 2)):
        yield complain(
            "always-applies",
            [principle],
            "two of its `applies_when` deny each other; as one of them always holds, the "
            "principle always applies",
            "remove both, or join them to one condition if both were meant to hold",
        )


def _partly_excepted(principle: Principle, lost: Sequence[str]) -> Iterator[Complaint]:
    for case in principle.applies_when:
        near = [
            out
            for out in principle.except_when
            if wording.alike(case, out) >= ALIKE and not wording.covers(case, out)
        ]
        if case in lost and not wording.impossible(case):
            yield complain(
                "condition-excepted",
                [principle],
                f"the situation {case!r} is taken back by its own `except_when`",
                "remove that entry of `applies_when`, or narrow the exception",
            )
        elif near:
            yield complain(
                "condition-excepted",
                [principle],
                f"the situation {case!r} and the exception {near[0]!r} say nearly the same",
                "say more plainly how the two differ",
            )
