"""What was not found: how far replies can have moved over the prompts tested, and with what power.

The total variation distance between two models' replies to a prompt is the largest amount by which
the rate of any property whatever can differ there. Its mean over prompts is estimated without bias
from one reply of the base each, weighed under both models, so a bound on it covers every property,
also those nobody thought of.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from plumbrule.behavior.features import FEATURES
from plumbrule.behavior.pair import Draft, PairedReply
from plumbrule.behavior.validation import Racing, hopeless
from plumbrule.records import Estimate, strict
from plumbrule.statistics import (
    betting_interval,
    clopper_pearson,
    paired_difference,
    paired_e_value,
)

SHARES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Shares of the prompts at which the power is stated."""

EFFECTS = (0.2, 0.5, 1.0)
"""Moves of a property's rate at which the power is stated."""

SIMULATED = 200
"""Simulated races for each power; its standard error is then at most 0.035."""


@strict
@dataclass(frozen=True, kw_only=True)
class Power:
    """How likely this run was to find a change, had there been one."""

    share: float
    """Share of the prompts on which replies change."""

    effect: float
    """How far the rate of the changed property moves there."""

    probability: float
    """A lower bound: as if all prompts had been drawn by chance."""


@strict
@dataclass(frozen=True, kw_only=True)
class FeatureMove:
    """How far one readable feature moved over prompts drawn by chance."""

    feature: str
    """Its name in `features.FEATURES`."""

    estimate: Estimate
    """Tuned minus base, in score points; the intervals of all features hold together."""


@strict
@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What a comparison can promise about what it did not find."""

    movement: Estimate | None
    """Mean total variation distance between the models' replies, over the test prompts: no
    property's mean over these prompts can have moved by more than its upper end."""

    elsewhere: Estimate | None
    """The same over the test prompts outside every subgroup that a finding names; None where no
    sampled prompt lies outside."""

    share_moved: Estimate | None
    """Share of sampled replies whose movement is beyond the minimum effect."""

    most_moved: float | None
    """Upper bound on the share of prompts whose replies moved by more than the minimum effect."""

    reason: str | None
    """Why there is no bound; None where there is one."""

    population: int
    """Test prompts in all."""

    sampled: int
    """Replies drawn at random from them."""

    power: tuple[Power, ...]

    features: tuple[FeatureMove, ...] = ()
    """Every readable feature, whether it was suspected of anything or not; empty where no pair of
    replies was drawn by chance."""


def certify(
    drafts: Sequence[Draft],
    *,
    population: int,
    settings: Racing,
    looked_at: int,
    family: int,
    named: Collection[str] = (),
    pairs: Sequence[PairedReply] = (),
    reason: str | None = None,
    seed: int = 0,
) -> Certificate:
    """Bound what was not found.

    Args:
        drafts: Replies of the base to test prompts drawn at random, weighed under both models.
        population: Test prompts in all.
        settings: Level and minimum effect.
        looked_at: Prompts whose replies were looked at while exploring.
        family: Hypotheses that would have been tested beside a further one.
        named: Ids of the test prompts that a finding speaks of, fixed before these replies were
            drawn.
        pairs: Both models' replies to explored prompts drawn by chance.
        reason: Why there are no drafts.
        seed: Of the simulated races.
    """
    power = powers(looked_at=looked_at, family=family, settings=settings, seed=seed)
    if not drafts:
        return Certificate(
            movement=None,
            elsewhere=None,
            share_moved=None,
            most_moved=None,
            reason=reason or "no reply was drawn at random",
            population=population,
            sampled=0,
            power=power,
            features=feature_moves(pairs, settings),
        )
    values = np.array([draft.movement for draft in drafts])
    movement = _bound(values, settings)
    outside = np.array([draft.movement for draft in drafts if draft.prompt_id not in named])
    moved = clopper_pearson(
        int((values > settings.minimum_effect).sum()),
        len(values),
        level=1 - settings.level,
        unit="share of sampled replies",
    )
    # Markov: prompts that moved by more than the effect contribute more than it to the mean.
    bound = movement.high / settings.minimum_effect if settings.minimum_effect else 1.0
    return Certificate(
        movement=movement,
        elsewhere=_bound(outside, settings) if len(outside) else None,
        share_moved=moved,
        most_moved=min(1.0, bound),
        reason=None,
        population=population,
        sampled=len(values),
        power=power,
        features=feature_moves(pairs, settings),
    )


def feature_moves(pairs: Sequence[PairedReply], settings: Racing) -> tuple[FeatureMove, ...]:
    """Bound every readable feature's move at once, by Bonferroni; none without a usable pair."""
    usable = [pair for pair in pairs if pair.usable]
    if not usable:
        return ()
    confidence = 1 - settings.level / len(FEATURES)
    return tuple(
        FeatureMove(
            feature=name,
            estimate=paired_difference(
                np.array([feature.score(pair.base) for pair in usable]),
                np.array([feature.score(pair.tuned) for pair in usable]),
                level=confidence,
                unit="difference in score per reply",
            ),
        )
        for name, feature in FEATURES.items()
    )


def same_models(population: int) -> Certificate:
    """What two models of the same weights, tokenizer and template promise: nothing can differ."""
    return Certificate(
        movement=None,
        elsewhere=None,
        share_moved=None,
        most_moved=0.0,
        reason="both models are the same weights, tokenizer and template",
        population=population,
        sampled=0,
        power=(),
    )


def _bound(values: Float[np.ndarray, " N"], settings: Racing) -> Estimate:
    return betting_interval(
        values, level=1 - settings.level, unit="mean total variation distance of replies"
    )


def powers(*, looked_at: int, family: int, settings: Racing, seed: int) -> tuple[Power, ...]:
    """How likely a change would have been found, by its share of prompts and its size there."""
    found = []
    for effect in EFFECTS:
        race = _race_power(effect, family + 1, settings, seed)
        for share in SHARES:
            # A subgroup needs three prompts to be named; the binomial is the chance to meet them.
            met = float(stats.binom.sf(2, looked_at, share * effect)) if looked_at else 0.0
            found.append(Power(share=share, effect=effect, probability=met * race))
    return tuple(found)


def _race_power(effect: float, family: int, settings: Racing, seed: int) -> float:
    """Share of simulated races won when the rate rises from 0 to `effect`."""
    rng = np.random.default_rng(seed)
    enough = family / settings.level
    known: dict[tuple[int, int], float] = {}

    def e_value(count: int, shown: int) -> float:
        if (count, shown) not in known:
            known[count, shown] = paired_e_value(
                np.zeros(count),
                (np.arange(count) < shown).astype(float),
                minimum_effect=settings.minimum_effect,
                alternative="increase",
            )
        return known[count, shown]

    won = 0
    for _ in range(SIMULATED):
        shown = np.cumsum(rng.random(settings.most_pairs) < effect)
        ends = range(settings.batch, settings.most_pairs, settings.batch)
        for count in (*ends, settings.most_pairs):
            value = e_value(count, int(shown[count - 1]))
            if value >= enough and count >= settings.fewest:
                won += 1
                break
            if hopeless(value, count, settings, enough):
                break
    return won / SIMULATED
