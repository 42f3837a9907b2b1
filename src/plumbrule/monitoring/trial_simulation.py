"""Simulated trials, and an effect with the bias of stopping early taken out by them."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from plumbrule.monitoring.trial_evidence import Counts, difference, log_evidence, plain_difference
from plumbrule.monitoring.trial_plan import TrialPlan
from plumbrule.records import Estimate


def stops(counts: Counts, plan: TrialPlan) -> Int[np.ndarray, " trials"]:
    """At which look each of many simulated trials ends, by the primary principle alone.

    Args:
        counts: Trials, looks, the four counts so far.
        plan: The plan.
    """
    scores = plan.scores(plan.primary)
    sure, half = math.log(1.0 / plan.alpha), math.log(1.0 / plan.beta)
    harm = log_evidence(counts, scores, 0.0, lower=False) >= sure
    win = log_evidence(counts, scores, 0.0, lower=True) >= sure
    below = log_evidence(counts, scores, plan.margin, lower=True) >= sure
    above = log_evidence(counts, scores, -plan.margin, lower=False) >= sure
    futile = log_evidence(counts, scores, -plan.smallest, lower=False) >= half
    late = counts.sum(axis=-1) >= plan.least
    ended = harm | (late & (win | (below & above) | futile))
    ended[:, -1] = True
    return np.asarray(ended.argmax(axis=1))


def simulate(
    plan: TrialPlan,
    incumbent: float,
    effect: float,
    *,
    trials: int,
    seed: int,
    most: int | None = None,
) -> Float[np.ndarray, "trials looks 4"]:
    """Counts of simulated trials at each look.

    Args:
        plan: The plan.
        incumbent: Its rate of violations.
        effect: The candidate's less that.
        trials: How many.
        seed: Of the draws.
        most: Conversations, in place of the plan's.
    """
    rng = np.random.default_rng(seed)
    looks = max(1, math.ceil((most or plan.most) / plan.every))
    candidate = min(max(incumbent + effect, 0.0), 1.0)
    size = (trials, looks)
    ours = rng.binomial(plan.every, plan.share, size=size)
    broken = rng.binomial(ours, candidate)
    other = plan.every - ours
    other_broken = rng.binomial(other, incumbent)
    each = np.stack([broken, ours - broken, other_broken, other - other_broken], axis=-1)
    return np.cumsum(each, axis=1).astype(float)


STEPS = np.arange(-6, 7)
"""Effects at which the bias of stopping is simulated: so many halves of the smallest one worth
having away from what was seen."""


_MEANS: dict[tuple[str, float, float, int, int], float] = {}


def corrected_effect(
    counts: Counts, plan: TrialPlan, *, trials: int = 200, seed: int = 0
) -> Estimate:
    """The difference of rates with the bias of stopping early taken out.

    A trial that ends when a difference looks large reports too large a one. Here the effect is
    looked for of which a trial by this plan reports, on average, what this one did.

    Args:
        counts: Of the primary principle, when the trial ended.
        plan: The plan.
        trials: Simulated at each effect.
        seed: Of the simulations.

    Returns:
        The effect; its interval is the sequence's, which needs no correction.

    Raises:
        DataError: An arm has no conversation.

    Source:
        Whitehead (1986), "On the bias of maximum likelihood estimation following a sequential
        test", Biometrika 73: the bias-adjusted estimate. That its mean is found by simulation, and
        between a few effects by interpolation, is ours.
    """
    one = np.asarray(counts, dtype=float).reshape(4)
    found = difference(one, plan, plan.primary)
    naive = plain_difference(one)
    assert naive is not None
    # Two digits of the incumbent's rate are enough for a bias, and let it be simulated once.
    incumbent = float(f"{one[2] / (one[2] + one[3]):.2g}")
    half = plan.smallest / 2.0
    effects = np.unique(np.clip((round(naive / half) + STEPS) * half, -incumbent, 1.0 - incumbent))
    means = [_mean_reported(plan, incumbent, each, trials, seed) for each in effects.tolist()]
    rising = np.maximum.accumulate(np.array(means))
    if naive <= rising[0]:
        value = naive + effects[0] - rising[0]
    elif naive >= rising[-1]:
        value = naive + effects[-1] - rising[-1]
    else:
        value = float(np.interp(naive, rising, effects))
    return Estimate(
        value=min(max(float(value), found.low), found.high),
        low=found.low,
        high=found.high,
        level=found.level,
        n=found.n,
        unit=found.unit,
        method="bias-adjusted (Whitehead), interval of the betting sequence",
    )


def _mean_reported(
    plan: TrialPlan, incumbent: float, effect: float, trials: int, seed: int
) -> float:
    """What trials of a true effect report on average."""
    key = (plan.sha256, incumbent, effect, trials, seed)
    if key not in _MEANS:
        if len(_MEANS) > 10_000:
            _MEANS.clear()
        counts = simulate(plan, incumbent, effect, trials=trials, seed=seed)
        _MEANS[key] = float(reported(counts, plan).mean())
    return _MEANS[key]


def reported(counts: Float[np.ndarray, "trials looks 4"], plan: TrialPlan) -> Any:
    """Difference of rates that each simulated trial ends with; 0 where an arm is empty."""
    last = counts[np.arange(len(counts)), stops(counts, plan)]
    ours, other = last[:, 0] + last[:, 1], last[:, 2] + last[:, 3]
    known = (ours > 0) & (other > 0)
    safe = np.where(known, ours, 1.0), np.where(known, other, 1.0)
    return np.where(known, last[:, 0] / safe[0] - last[:, 2] / safe[1], 0.0)
