"""Which of two replies keeps a principle better: asked in both orders, answered in probabilities.

A judge that leans to the first reply leans the other way when the replies are swapped, so the mean
of both orders cancels the lean and the distance between them measures it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from plumbrule.constitution import Constitution, Principle
from plumbrule.judging.grading import NOTHING_KNOWN, Standing, grade
from plumbrule.judging.guarding import GUARDED, Suspicion, suspect
from plumbrule.judging.prompts import PromptSet, transcript
from plumbrule.judging.trial import log_odds_of
from plumbrule.models import Choice, LanguageModel
from plumbrule.records import Dialogue, Exchange, LabelSource, Preference

CLAMP = 0.02
"""No single comparison counts for more than this much certainty: probabilities stay in
[0.02, 0.98]. Ours; the field clamps more tightly where labels are overconfident (Bai et al. 2022,
arXiv:2212.08073, use 0.4-0.6 for chain-of-thought labels)."""

DECISIVE = 0.1
"""A tier decides when its combined probability is at least this far from one half."""


@dataclass(frozen=True, kw_only=True)
class CandidatePair:
    """Two replies to one dialogue."""

    id: str
    dialogue: Dialogue
    first: str
    second: str


def compare(
    model: LanguageModel,
    pairs: Sequence[CandidatePair],
    constitution: Constitution,
    *,
    prompts: PromptSet,
    seeds: Sequence[int],
    source: LabelSource = "ai",
    standing: Standing = NOTHING_KNOWN,
    guard: bool = True,
) -> list[Preference]:
    """Compare each pair under every principle of a constitution, in both orders.

    A pair with a reply that seems to talk to its judge is compared once more without that talk, in
    a second call; what counts against such a reply counts.

    Args:
        model: The critic.
        pairs: What to compare.
        constitution: The principles.
        prompts: The words to ask in.
        seeds: One per pair.
        source: Who the critic stands for, noted on each preference.
        standing: What is known beforehand; principles under which the critic was seen not to
            work, or that a request is outside of, are not asked about.
        guard: Whether to look for talk to the judge; off only to measure what it does.

    Returns:
        One preference a pair. A principle whose comparison gave no answer in either order is left
        out of `by_principle`; a pair that no principle decided has probability None.
    """
    judged = standing.judged(constitution)
    principles = [
        [each for each in judged if standing.outside(pair.id, each.id) is None] for pair in pairs
    ]
    heard = _compared(model, pairs, principles, prompts, seeds)
    again = _suspected(pairs, constitution) if guard else {}
    second = _compared(
        model,
        [_unspoken(pairs[at], found) for at, found in again.items()],
        [principles[at] for at in again],
        prompts,
        [seeds[at] for at in again],
    )
    for at, other in zip(again, second, strict=True):
        heard[at] = _guarded(heard[at], other, again[at])
    return _preferences(pairs, heard, model, constitution, source)


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """What a judge said of one pair."""

    by_principle: dict[str, float]
    disagreement: dict[str, float] = field(default_factory=dict)
    method: str


def _preferences(
    pairs: Sequence[CandidatePair],
    heard: Sequence[_Heard],
    model: LanguageModel,
    constitution: Constitution,
    source: LabelSource,
) -> list[Preference]:
    return [
        Preference(
            id=pair.id,
            dialogue=pair.dialogue,
            first=pair.first,
            second=pair.second,
            probability=combine(each.by_principle, constitution),
            by_principle=each.by_principle,
            order_disagreement=each.disagreement,
            constitution_sha256=constitution.sha256,
            source=source,
            labeler=model.identity,
            method=each.method,
        )
        for pair, each in zip(pairs, heard, strict=True)
    ]


def _compared(
    model: LanguageModel,
    pairs: Sequence[CandidatePair],
    principles: Sequence[Sequence[Principle]],
    prompts: PromptSet,
    seeds: Sequence[int],
) -> list[_Heard]:
    """Ask about each pair under its own principles, in both orders, all in one call."""
    asked, own_seeds = [], []
    for pair, own, seed in zip(pairs, principles, seeds, strict=True):
        cases = [(principle, swapped) for principle in own for swapped in (False, True)]
        asked += [_dialogue(pair, principle, swapped, prompts) for principle, swapped in cases]
        own_seeds += [seed + index for index in range(len(cases))]
    options = prompts.template("compare").options
    choices = iter(model.choose(asked, tuple(options), seeds=own_seeds) if asked else ())
    first_is = [meaning == "first" for meaning in options.values()].index(True)
    found = []
    for own in principles:
        heard = [next(choices) for _ in range(2 * len(own))]
        by_principle, disagreement = _both_orders(heard, own, first_is)
        found.append(
            _Heard(
                by_principle=by_principle,
                disagreement=disagreement,
                method=heard[0].method if heard else "none",
            )
        )
    return found


_Pair = tuple[Suspicion | None, Suspicion | None]


def _suspected(pairs: Sequence[CandidatePair], constitution: Constitution) -> dict[int, _Pair]:
    """Pairs with a reply that seems to talk to its judge, by their place."""
    texts = [principle.text for principle in constitution.principles]
    found: dict[int, _Pair] = {}
    for at, pair in enumerate(pairs):
        request = transcript(pair.dialogue)
        one, other = (
            suspect(reply, request=request, principles=texts) for reply in (pair.first, pair.second)
        )
        if one or other:
            found[at] = (one, other)
    return found


def _unspoken(pair: CandidatePair, found: _Pair) -> CandidatePair:
    """A pair without the talk to the judge."""
    one, other = found
    return replace(
        pair,
        first=one.rest if one else pair.first,
        second=other.rest if other else pair.second,
    )


def _guarded(heard: _Heard, other: _Heard, found: _Pair) -> _Heard:
    """What counts against whichever reply talks to the judge; where both do, what is said without.

    A principle that got no answer without the talk is left out: with it, the talk may have spoken.
    """
    one, two = found
    by_principle = dict(other.by_principle)
    if not (one and two):
        against = min if one else max
        for name in by_principle.keys() & heard.by_principle.keys():
            by_principle[name] = against(by_principle[name], heard.by_principle[name])
    return _Heard(
        by_principle=by_principle,
        disagreement=other.disagreement,
        method=f"{heard.method}, {GUARDED}",
    )


def compare_by_grades(
    model: LanguageModel,
    pairs: Sequence[CandidatePair],
    constitution: Constitution,
    *,
    prompts: PromptSet,
    seeds: Sequence[int],
    standing: Standing,
    source: LabelSource = "ai",
) -> list[Preference]:
    """Prefer the reply that a critic grades better, principle by principle.

    For a critic that was examined: what was found to work is its grading, and small models that
    grade better than chance may still name the first of two replies whatever it says.

    Args:
        model: The critic.
        pairs: What to compare.
        constitution: The principles.
        prompts: The words to grade in.
        seeds: One per pair.
        standing: What the examination of the critic found.
        source: Who the critic stands for, noted on each preference.

    Returns:
        One preference a pair. Its probability under a principle is that of the difference of both
        log-odds; no order enters, so nothing can disagree with itself.
    """
    graded = [
        grade(
            model,
            [
                Exchange(id=pair.id, dialogue=pair.dialogue, response=getattr(pair, side), model="")
                for pair in pairs
            ],
            constitution,
            prompts=prompts,
            seeds=seeds,
            standing=standing,
        )
        for side in ("first", "second")
    ]
    by_pair: dict[str, dict[str, float]] = {pair.id: {} for pair in pairs}
    for first, second in zip(*graded, strict=True):
        if first.probability is not None and second.probability is not None:
            against = log_odds_of(second.probability) - log_odds_of(first.probability)
            by_pair[first.exchange_id][first.principle_id] = 1 / (1 + math.exp(-against))
    method = next((each.method for each in graded[0] if each.probability is not None), "none")
    heard = [_Heard(by_principle=by_pair[pair.id], method=method) for pair in pairs]
    return _preferences(pairs, heard, model, constitution, source)


def _dialogue(
    pair: CandidatePair, principle: Principle, swapped: bool, prompts: PromptSet
) -> Dialogue:
    first, second = (pair.second, pair.first) if swapped else (pair.first, pair.second)
    values = {"request": transcript(pair.dialogue), "first": first, "second": second}
    return prompts.render("compare", principle=principle, values=values)


def _both_orders(
    choices: Sequence[Choice], principles: Sequence[Principle], first_is: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean over both orders, and the distance between them, per principle."""
    mean, distance = {}, {}
    for index, principle in enumerate(principles):
        straight, swapped = choices[2 * index : 2 * index + 2]
        if straight.probabilities is None or swapped.probabilities is None:
            continue
        forward = straight.probabilities[first_is]
        backward = 1.0 - swapped.probabilities[first_is]
        mean[principle.id] = (forward + backward) / 2
        distance[principle.id] = abs(forward - backward)
    return mean, distance


def combine(by_principle: Mapping[str, float], constitution: Constitution) -> float | None:
    """Let the principles decide in the order of their tiers.

    Within a tier the principles' odds are multiplied, so that one with something to say is not
    drowned by many that are indifferent; the first tier that is decisive speaks for all.

    Returns:
        Probability that the first reply is better; None where no tier is decisive.

    Example:
        >>> from plumbrule.constitution import Constitution, Principle
        >>> both = (
        ...     Principle(id="harmless", text="Do no harm.", tier=0),
        ...     Principle(id="helpful", text="Help.", tier=1),
        ... )
        >>> law = Constitution(name="two", version="1", principles=both)
        >>> combine({"harmless": 0.9, "helpful": 0.05}, law)
        0.9
        >>> round(combine({"harmless": 0.5, "helpful": 0.05}, law), 2)
        0.05
        >>> combine({"harmless": 0.5, "helpful": 0.55}, law) is None
        True
    """
    decided = deciding_tier(by_principle, constitution)
    return None if decided is None else decided.probability


@dataclass(frozen=True, kw_only=True)
class TierDecision:
    """The first tier that had something to say of two replies."""

    tier: int

    probability: float
    """Combined probability that the first reply is better."""


def deciding_tier(
    by_principle: Mapping[str, float], constitution: Constitution
) -> TierDecision | None:
    """Find the tier that decides, as `combine` does; None where all are indifferent."""
    for tier, principles in constitution.by_tier():
        odds = [
            math.log(p / (1 - p))
            for p in (
                min(max(by_principle[principle.id], CLAMP), 1 - CLAMP)
                for principle in principles
                if principle.id in by_principle
            )
        ]
        if not odds:
            continue
        # Rounded before it is held against the margin: 0.6 is 0.1 away from one half.
        probability = round(min(max(1 / (1 + math.exp(-sum(odds))), CLAMP), 1 - CLAMP), 12)
        if round(abs(probability - 0.5), 12) >= DECISIVE:
            return TierDecision(tier=tier, probability=probability)
    return None
