"""Finds an effect that the results and the conclusions report in different directions."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from plumbrule.oversight.papers.document import Flaw, Paper
from plumbrule.oversight.papers.whole.claims import comparable, conflict
from plumbrule.oversight.papers.whole.direction_words import BAD_OUTCOMES
from plumbrule.oversight.papers.whole.effects import Effect, effects_in
from plumbrule.oversight.papers.whole.places import CONCLUDING, Place

MOST_WORDS = 0.5
"""Share of the words of the shorter clause that both must hold to speak of one outcome."""


def direction_conflicts(paper: Paper, places: Sequence[Place]) -> tuple[list[Flaw], int]:
    """Effects on one outcome that differ between results and conclusions; and their number."""
    effects = [each for place in places if _reports(place) for each in effects_in(place)]
    agents = frozenset(word for each in effects for word in each.agents)
    by_pair: dict[tuple[object, ...], list[Effect]] = defaultdict(list)
    for each in _different(effects):
        by_pair[(each.pair, each.when, each.place.study)].append(each)
    flaws: dict[tuple[int, int], Flaw] = {}
    for group in by_pair.values():
        for first, second in _clashes(group, agents):
            starts = (first.place.start, second.place.start)
            if any(starts[0] in each or starts[1] in each for each in flaws):
                continue
            reason = (
                f"{' '.join(sorted(first.outcome))}: one part says {first.says!r}, another "
                f"says {second.says!r}"
            )
            places_of_both = [first.place, second.place]
            flaws[starts] = conflict(paper, "direction_conflict", reason, places_of_both)
    return list(flaws.values()), len(effects)


def _different(effects: Sequence[Effect]) -> list[Effect]:
    """The first effect of each sort in each section: a repeated one adds no conflict."""
    kept: dict[tuple[object, ...], Effect] = {}
    for each in effects:
        kept.setdefault(
            (each.outcome, each.words, each.pair, each.when, each.sign, each.axis,
             each.place.study, each.place.role, each.place.section_start),
            each,
        )  # fmt: skip
    return list(kept.values())


def _clashes(
    group: Sequence[Effect], agents: frozenset[str]
) -> Iterator[tuple[Effect, Effect]]:  # fmt: skip
    """Pairs that clash, in the order of the later one.

    Effects are looked up by their words, so that the time grows with the number of effects on one
    outcome and not with that of all pairs.
    """
    by_word: dict[str, list[int]] = defaultdict(list)
    for number, each in enumerate(group):
        for word in each.outcome | each.words:
            by_word[word].append(number)
    for second in group:
        near = {at for word in second.outcome | second.words for at in by_word[word]}
        same = [group[at] for at in sorted(near) if _one_outcome(second, group[at], agents)]
        reported = {each.sign for each in same if each.place.role not in CONCLUDING}
        if len(reported) > 1:
            continue
        for first in same:
            if first is second:
                break
            if _clash(first, second):
                yield first, second
                break


def _one_outcome(first: Effect, second: Effect, agents: frozenset[str]) -> bool:
    """Whether two clauses speak of one outcome: the same words name it, or most words agree."""
    if first.outcome == second.outcome:
        return True
    shared = first.words & second.words
    fewest = min(len(first.words), len(second.words))
    return bool(shared - agents) and len(shared) >= max(min(2, fewest), MOST_WORDS * fewest)


def _reports(place: Place) -> bool:
    return place.own and not place.partial and not place.full.endswith("?") and (
        place.role not in ("introduction", "notes")
    )  # fmt: skip


def _clash(first: Effect, second: Effect) -> bool:
    if first.place.role not in CONCLUDING and second.place.role not in CONCLUDING:
        return False
    return comparable(first.place, second.place) and _signs_clash(first, second)


def _signs_clash(first: Effect, second: Effect) -> bool:
    one, other = first.sign, second.sign
    if first.axis != second.axis and one and other and BAD_OUTCOMES.search(" ".join(first.outcome)):
        other = -other
    if 2 in (abs(one), abs(other)):
        return 0 in (one, other)
    return one != other
