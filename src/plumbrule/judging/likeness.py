"""Whether a judge's scores of new replies are a mixture of those of known ones."""

from collections.abc import Sequence

import numpy as np

from plumbrule.statistics import monte_carlo_p_value
from plumbrule.store import derive_seed

LEAST_FOR_LIKENESS = 10
"""Scores of broken, kept and new replies each from which their likeness is tested."""

Scores = Sequence[float] | np.ndarray
"""A judge's probabilities that replies are broken."""

_RESAMPLED = 199

_SHARES = np.linspace(0, 1, 51)


def likeness(new: Scores, broken: Scores, kept: Scores, *, seed: int = 0) -> float | None:
    """Whether a judge's scores of new replies are a mixture of those of known ones.

    More or fewer broken replies than before do not make a difference, other kinds of replies do.

    Args:
        new: Scores of new replies, from 0 to 1.
        broken: Scores of known broken replies.
        kept: Scores of known kept ones.
        seed: Of the resampling.

    Returns:
        P-value of the distance between both distributions (Kolmogorov and Smirnov's, at the share
        of broken replies that makes it least), from samples drawn from the fitted mixture; None
        with fewer than ten scores of a kind.
    """
    samples = [np.asarray(each, float) for each in (new, broken, kept)]
    if min(each.size for each in samples) < LEAST_FOR_LIKENESS:
        return None
    chance = np.random.default_rng(derive_seed(seed, "likeness"))
    fresh, bad, good = samples
    distance, share = _distance(fresh, bad, good)
    drawn = []
    for _ in range(_RESAMPLED):
        many = chance.binomial(fresh.size, share)
        again = np.concatenate([chance.choice(bad, many), chance.choice(good, fresh.size - many)])
        drawn.append(
            _distance(again, chance.choice(bad, bad.size), chance.choice(good, good.size))[0]
        )
    return monte_carlo_p_value(distance, np.array(drawn))


def _distance(new: np.ndarray, broken: np.ndarray, kept: np.ndarray) -> tuple[float, float]:
    """Least distance from a mixture, and the share of broken ones in it."""
    at = np.unique(np.concatenate([new, broken, kept]))
    own, bad, good = (
        np.searchsorted(np.sort(each), at, side="right") / each.size for each in (new, broken, kept)
    )
    gaps = np.abs(own - (_SHARES[:, None] * bad + (1 - _SHARES[:, None]) * good)).max(axis=1)
    best = int(gaps.argmin())
    return float(gaps[best]), float(_SHARES[best])
