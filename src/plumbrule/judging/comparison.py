"""Which of two replies keeps a principle better: asked in both orders, answered in probabilities.

A judge that leans to the first reply leans the other way when the replies are swapped, so the mean
of both orders cancels the lean and the distance between them measures it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plumbrule.constitution import Constitution, Principle
from plumbrule.judging.grading import NOTHING_KNOWN, Standing, grade
from plumbrule.judging.prompts import PromptSet, transcript
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
) -> list[Preference]:
    """Compare each pair under every principle of a constitution, in both orders.

    Args:
        model: The critic.
        pairs: What to compare.
        constitution: The principles.
        prompts: The words to ask in.
        seeds: One a pair.
        source: Who the critic stands for, noted on each preference.
        standing: What is known beforehand; principles under which the critic was seen not to
            work, or that a request is outside of, are not asked about.

    Returns:
        One preference a pair. A principle whose comparison gave no answer in either order is left
        out of `by_principle`; a pair that no principle decided has probability None.
    """
    judged = standing.judged(constitution)
    principles = [
        [each for each in judged if standing.outside(pair.id, each.id) is None] for pair in pairs
    ]
    asked, own_seeds = [], []
    for pair, own, seed in zip(pairs, principles, seeds, strict=True):
        cases = [(principle, swapped) for principle in own for swapped in (False, True)]
        asked += [_dialogue(pair, principle, swapped, prompts) for principle, swapped in cases]
        own_seeds += [seed + index for index in range(len(cases))]
    options = prompts.template("compare").options
    choices = iter(model.choose(asked, tuple(options), seeds=own_seeds))
    first_is = [meaning == "first" for meaning in options.values()].index(True)
    preferences = []
    for pair, own in zip(pairs, principles, strict=True):
        heard = [next(choices) for _ in range(2 * len(own))]
        by_principle, disagreement = _both_orders(heard, own, first_is)
        preferences.append(
            Preference(
                id=pair.id,
                dialogue=pair.dialogue,
                first=pair.first,
                second=pair.second,
                probability=combine(by_principle, constitution),
                by_principle=by_principle,
                order_disagreement=disagreement,
                constitution_sha256=constitution.sha256,
                source=source,
                labeler=model.identity,
                method=heard[0].method if heard else "none",
            )
        )
    return preferences


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
        seeds: One a pair.
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
            against = _log_odds(second.probability) - _log_odds(first.probability)
            by_pair[first.exchange_id][first.principle_id] = 1 / (1 + math.exp(-against))
    method = next((each.method for each in graded[0] if each.probability is not None), "none")
    return [
        Preference(
            id=pair.id,
            dialogue=pair.dialogue,
            first=pair.first,
            second=pair.second,
            probability=combine(by_pair[pair.id], constitution),
            by_principle=by_pair[pair.id],
            order_disagreement={},
            constitution_sha256=constitution.sha256,
            source=source,
            labeler=model.identity,
            method=method,
        )
        for pair in pairs
    ]


def _log_odds(probability: float) -> float:
    """Of a probability that is kept away from certainty, so that the result is a number."""
    kept = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(kept / (1 - kept))


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
    for _, principles in constitution.by_tier():
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
        probability = min(max(1 / (1 + math.exp(-sum(odds))), CLAMP), 1 - CLAMP)
        if abs(probability - 0.5) >= DECISIVE:
            return round(probability, 12)
    return None
