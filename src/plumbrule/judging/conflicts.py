"""Which principles pull apart on which requests, and what resolves it, before labels are bought.

Two principles conflict over a pair of replies where one of them prefers the first reply and the
other the second, both by more than the margin of indifference. A constitution resolves that by a
condition that takes one of them out, by their tiers, by their weight within a tier, or not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import DataError
from plumbrule.judging.comparison import DECISIVE, CandidatePair, compare, deciding_tier
from plumbrule.judging.conditions import Scope
from plumbrule.judging.prompts import PromptSet
from plumbrule.models import LanguageModel
from plumbrule.records import Estimate, Message, Preference, strict
from plumbrule.statistics import wilson
from plumbrule.store import Progress, silent

_AT_ONCE = 4  # pairs of replies, each compared under every principle

Resolution = Literal["condition", "tier", "weight", "margin", "unresolved"]
"""What settles a conflict: a `condition` takes a principle out; an earlier `tier` decides; both
are of one tier, and its combined odds have enough `weight` on one side; the earlier tier as a whole
stays within the `margin`, so that a later one decides; or it is `unresolved`."""

RESOLUTIONS: tuple[Resolution, ...] = ("condition", "tier", "weight", "margin", "unresolved")

Outcome = Literal["first", "second", "none"]
"""The reply that a constitution prefers."""


@strict
@dataclass(frozen=True, kw_only=True)
class PrincipleConflict:
    """Two principles that prefer different replies to one request."""

    item_id: str
    """The pair of replies."""

    principles: tuple[str, str]
    """The one for the first reply, then the one for the second."""

    probabilities: tuple[float, float]
    """That the first reply is better, under each."""

    resolution: Resolution

    outcome: Outcome
    """The reply that is preferred in the end, all principles considered."""

    reason: str
    """How it is resolved, in words."""


@strict
@dataclass(frozen=True, kw_only=True)
class ConflictRate:
    """How often two principles pull apart, of all pairs of replies on which both spoke."""

    principles: tuple[str, str]
    conflicts: int
    rate: Estimate
    resolved: Mapping[Resolution, int]

    items: tuple[str, ...]
    """The pairs of replies, in order."""


@strict
@dataclass(frozen=True, kw_only=True)
class ConflictSurvey:
    """What a constitution's principles say to each other on some pairs of replies."""

    constitution_sha256: str

    items: int
    """Pairs of replies that were looked at."""

    outcomes: Mapping[Outcome, int]
    """How often the constitution prefers which reply."""

    conflicts: tuple[PrincipleConflict, ...]

    rates: tuple[ConflictRate, ...]
    """Of the pairs of principles that conflict at all, those with unresolved conflicts first, then
    the most frequent."""

    @property
    def unresolved(self) -> int:
        """Conflicts that nothing in the constitution settles."""
        return sum(each.resolution == "unresolved" for each in self.conflicts)


def preferred(
    by_principle: Mapping[str, float],
    constitution: Constitution,
    *,
    outside: Mapping[str, str] | None = None,
) -> Outcome:
    """Say which reply a constitution prefers, from what each principle says.

    Args:
        by_principle: Probability that the first reply is better, under each principle that spoke.
        constitution: The principles with their tiers.
        outside: Principles that do not apply to the request, and why.

    Returns:
        `none` where no tier is decisive.

    Raises:
        DataError: A probability is not between 0 and 1, or belongs to no principle.

    Example:
        >>> from plumbrule.constitution import Constitution, Principle
        >>> both = (
        ...     Principle(id="harmless", text="Do no harm.", tier=0),
        ...     Principle(id="helpful", text="Help.", tier=1),
        ... )
        >>> law = Constitution(name="two", version="1", principles=both)
        >>> preferred({"harmless": 0.9, "helpful": 0.05}, law)
        'first'
        >>> preferred({"harmless": 0.9, "helpful": 0.05}, law, outside={"harmless": "a game"})
        'second'
    """
    _check(by_principle, constitution)
    return _outcome(_inside(by_principle, outside or {}), constitution)


def survey_conflicts(
    preferences: Sequence[Preference],
    constitution: Constitution,
    *,
    scopes: Mapping[str, Scope] | None = None,
) -> ConflictSurvey:
    """Find the conflicts in a few judged pairs, and how each is resolved.

    Args:
        preferences: Pairs of replies, judged under every principle. A principle that was not asked
            about because of a condition cannot be seen to conflict: judge the pairs without
            scopes, and give the scopes here.
        constitution: The principles they were judged under.
        scopes: Prompt → the principles it is outside of.

    Returns:
        Every conflict, and how often each two principles conflict.

    Raises:
        DataError: No pairs, one twice, one judged under another constitution, or a probability
            that is none.
    """
    _check_all(preferences, constitution)
    found: list[PrincipleConflict] = []
    outcomes: dict[Outcome, int] = {"first": 0, "second": 0, "none": 0}
    for preference in preferences:
        scope = (scopes or {}).get(preference.id)
        outside = {} if scope is None else scope.outside
        inside = _inside(preference.by_principle, outside)
        outcomes[_outcome(inside, constitution)] += 1
        found += _conflicts(preference, constitution, outside)
    return ConflictSurvey(
        constitution_sha256=constitution.sha256,
        items=len(preferences),
        outcomes=outcomes,
        conflicts=tuple(found),
        rates=_rates(found, preferences, constitution),
    )


def known_pairs(constitution: Constitution) -> list[CandidatePair]:
    """Pairs of replies that a constitution brings along, to look for conflicts before any run.

    They are the two replies of each worked example. One breaks its principle; which of the two
    the other principles prefer is what a judge is asked. Sides take turns, so that a leaning judge
    leans to neither.
    """
    return [
        CandidatePair(
            id=f"{principle.id}/{number}",
            dialogue=(Message("user", example.request),),
            first=example.reply if number % 2 else example.revision,
            second=example.revision if number % 2 else example.reply,
        )
        for principle in constitution.principles
        for number, example in enumerate(principle.critique_examples, 1)
    ]


def compare_known(
    model: LanguageModel,
    constitution: Constitution,
    *,
    prompts: PromptSet,
    progress: Progress = silent,
) -> list[Preference]:
    """Have a model compare the pairs of `known_pairs`, a few at a time.

    Args:
        model: The judge.
        constitution: Whose worked examples and principles.
        prompts: The words to ask in.
        progress: Told of pairs.
    """
    pairs = known_pairs(constitution)
    found: list[Preference] = []
    for start in range(0, len(pairs), _AT_ONCE):
        progress(start, len(pairs))
        some = pairs[start : start + _AT_ONCE]
        seeds = list(range(start, start + len(some)))
        found += compare(model, some, constitution, prompts=prompts, seeds=seeds)
    progress(len(pairs), len(pairs))
    return found


def describe_conflicts(survey: ConflictSurvey, *, most: int = 20) -> str:
    """A survey as a table in Markdown.

    Args:
        survey: What was found.
        most: Rows; the rest is counted below.

    Returns:
        Text in which ids of principles and of pairs are the only words of others.
    """
    counts = ", ".join(f"{name} {count}" for name, count in survey.outcomes.items())
    lines = [
        f"{survey.items} pairs of replies: {len(survey.conflicts)} conflicts, "
        f"{survey.unresolved} unresolved. Preferred: {counts}."
    ]
    if survey.rates:
        lines += [
            "",
            "| principles | conflicts | of | rate, 95% | resolved by | for example |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
    for each in survey.rates[:most]:
        rate = f"{each.rate.value:.0%} ({each.rate.low:.0%} to {each.rate.high:.0%})"
        how = ", ".join(f"{name} {count}" for name, count in each.resolved.items())
        both, item = " and ".join(each.principles), each.items[0].replace("|", "/")
        lines.append(f"| {both} | {each.conflicts} | {each.rate.n} | {rate} | {how} | {item} |")
    if len(survey.rates) > most:
        lines.append(f"\nand {len(survey.rates) - most} more pairs of principles")
    return "\n".join(lines)


def _inside(by_principle: Mapping[str, float], outside: Mapping[str, str]) -> dict[str, float]:
    return {name: value for name, value in by_principle.items() if name not in outside}


def _outcome(inside: Mapping[str, float], constitution: Constitution) -> Outcome:
    decided = deciding_tier(inside, constitution)
    if decided is None:
        return "none"
    return "first" if decided.probability > 0.5 else "second"


def _conflicts(
    preference: Preference, constitution: Constitution, outside: Mapping[str, str]
) -> list[PrincipleConflict]:
    said = preference.by_principle
    loud = [
        each
        for each in constitution.principles
        if each.id in said and round(abs(said[each.id] - 0.5), 12) >= DECISIVE
    ]
    inside = _inside(said, outside)
    outcome = _outcome(inside, constitution)
    found = []
    for one, other in combinations(loud, 2):
        if (said[one.id] > 0.5) == (said[other.id] > 0.5):
            continue
        pair = (one, other) if said[one.id] > 0.5 else (other, one)
        resolution, reason = _resolved(pair, inside, constitution, outside)
        found.append(
            PrincipleConflict(
                item_id=preference.id,
                principles=(pair[0].id, pair[1].id),
                probabilities=(said[pair[0].id], said[pair[1].id]),
                resolution=resolution,
                outcome=outcome,
                reason=reason,
            )
        )
    return found


def _resolved(
    pair: tuple[Principle, Principle],
    inside: Mapping[str, float],
    constitution: Constitution,
    outside: Mapping[str, str],
) -> tuple[Resolution, str]:
    for each in pair:
        if each.id in outside:
            return "condition", f"{each.id} does not apply: {outside[each.id]}"
    decided = deciding_tier(inside, constitution)
    if decided is None:
        return "unresolved", "no tier is far enough from one half"
    name = constitution.tier_name(decided.tier)
    first, last = sorted(each.tier for each in pair)
    if decided.tier > first:
        earlier = constitution.tier_name(first)
        return "margin", f"{earlier} as a whole stays within the margin, so {name} decides"
    if first == last == decided.tier:
        return "weight", f"both belong to {name}, whose combined odds are on one side"
    return "tier", f"{name} decides first"


def _rates(
    conflicts: Sequence[PrincipleConflict],
    preferences: Sequence[Preference],
    constitution: Constitution,
) -> tuple[ConflictRate, ...]:
    by_pair: dict[tuple[str, str], list[PrincipleConflict]] = {}
    place = {each.id: number for number, each in enumerate(constitution.principles)}
    for each in conflicts:
        one, other = sorted(each.principles, key=place.__getitem__)
        by_pair.setdefault((one, other), []).append(each)
    rates = [
        ConflictRate(
            principles=pair,
            conflicts=len(own),
            rate=wilson(
                len(own),
                sum(set(pair) <= each.by_principle.keys() for each in preferences),
                unit="conflicts per pair of replies",
            ),
            resolved={
                kind: count
                for kind in RESOLUTIONS
                if (count := sum(each.resolution == kind for each in own))
            },
            items=tuple(each.item_id for each in own),
        )
        for pair, own in by_pair.items()
    ]
    return tuple(
        sorted(rates, key=lambda each: (-each.resolved.get("unresolved", 0), -each.rate.value))
    )


def _check_all(preferences: Sequence[Preference], constitution: Constitution) -> None:
    if not preferences:
        raise DataError("expected judged pairs of replies to look for conflicts in, got none")
    seen = set()
    for each in preferences:
        if each.id in seen:
            raise DataError(f"expected each pair of replies once, got {each.id!r} twice")
        if each.constitution_sha256 != constitution.sha256:
            raise DataError(
                f"pair {each.id!r} was judged under constitution {each.constitution_sha256[:12]}, "
                f"not under {constitution.name!r} ({constitution.sha256[:12]}); judge it again"
            )
        seen.add(each.id)
        _check(each.by_principle, constitution)


def _check(by_principle: Mapping[str, float], constitution: Constitution) -> None:
    known = {each.id for each in constitution.principles}
    for name, value in by_principle.items():
        if name not in known:
            raise DataError(f"expected principles of {constitution.name!r}, got {name!r:.60}")
        if not 0 <= value <= 1:
            raise DataError(f"a probability lies between 0 and 1, got {value!r:.40} under {name}")
