"""How much counts of two arms say of their difference, at any moment at which one looks.

A small share of the conversations, by a hash, goes to the candidate. One may look as often as one
likes: each claim is a bet against its opposite, and is made when the bet has won enough.

One conversation tells of both arms at once: a violation in the candidate's share counts for it,
divided by that share; one in the other share against it; so the mean is the difference of the two
rates. What was expected of the incumbent is taken off first, which changes no mean and makes the
numbers smaller.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize, special

from plumbrule.errors import DataError
from plumbrule.monitoring.trial_plan import TrialPlan
from plumbrule.records import Estimate

UNIT = "violations per conversation, candidate minus incumbent"


COUNTS = ("candidate_broken", "candidate_kept", "incumbent_broken", "incumbent_kept")
"""Order of the four counts in an array."""


Counts = Int[np.ndarray, "*looks 4"] | Float[np.ndarray, "*looks 4"]


def log_evidence(
    counts: Counts, scores: Float[np.ndarray, "4"], bound: float, *, lower: bool
) -> Float[np.ndarray, "*looks"]:
    """Logarithm of what a bettor holds who stakes on the difference lying beyond a bound.

    Args:
        counts: Conversations of each kind so far, one row a look.
        scores: What each kind tells.
        bound: A difference of rates.
        lower: Whether the stake is on lower.

    Returns:
        One number per row; where the difference is not beyond the bound, the chance that it ever
        reaches `log(1 / alpha)` is at most alpha.

    Source:
        Waudby-Smith & Ramdas (2024), as `statistics.sequences`: 16 fixed shares of the largest
        stake, and their wealth taken together.
    """
    payoffs = (bound - scores) if lower else (scores - bound)
    worst = -float(payoffs.min())
    if worst <= 0.0:  # the bound lies outside of what can be: nothing can be bet
        return np.zeros(counts.shape[:-1])
    angles = np.pi * (np.arange(16) + 0.5) / 32
    stakes = np.sin(angles) ** 2 / worst
    wealth = counts @ np.log1p(stakes[:, None] * payoffs).T
    most = wealth.max(axis=-1)
    return np.asarray(most + np.log(np.exp(wealth - most[..., None]).mean(axis=-1)))


def log_share_evidence(candidate: Any, total: Any, share: float) -> Float[np.ndarray, "*looks"]:
    """Logarithm of the evidence that the arms do not get the shares that they should.

    Source:
        The beta-binomial mixture of Robbins (1970), with a uniform prior, as in sequential checks
        of sample ratios (Lindon & Malek 2022, arXiv:2011.03567).
    """
    k, n = np.asarray(candidate, dtype=float), np.asarray(total, dtype=float)
    mixed = special.betaln(k + 1.0, n - k + 1.0)
    return np.asarray(mixed - k * math.log(share) - (n - k) * math.log1p(-share))


def difference(
    counts: Counts, plan: TrialPlan, principle: str, *, level: float | None = None
) -> Estimate:
    """The difference of the two rates, with an interval valid at any time.

    Args:
        counts: Conversations of each of the four kinds.
        plan: The plan.
        principle: Which.
        level: Two-sided; None: such that each side is missed with the plan's alpha.

    Raises:
        DataError: An arm has no conversation yet.
    """
    one = np.asarray(counts, dtype=float).reshape(4)
    value = plain_difference(one)
    if value is None:
        raise DataError("a difference needs conversations of both arms")
    scores = plan.scores(principle)
    side = (1.0 - level) / 2.0 if level is not None else plan.alpha
    enough = math.log(1.0 / side)

    def end(lower: bool) -> float:
        edge = 1.0 if lower else -1.0

        def missing(bound: float) -> float:
            return float(log_evidence(one[None], scores, bound, lower=lower)[0]) - enough

        middle = float(np.clip(one @ scores / one.sum(), -1.0, 1.0))
        if missing(middle) > 0.0 or missing(edge) < 0.0:
            return edge
        return float(optimize.brentq(missing, middle, edge, xtol=1e-9))

    low, high = end(False), end(True)
    return Estimate(
        value=min(max(value, low), high),
        low=low,
        high=high,
        level=1.0 - 2.0 * side,
        n=int(one.sum()),
        unit=UNIT,
        method="betting confidence sequence of weighted differences",
    )


def plain_difference(counts: Float[np.ndarray, "4"]) -> float | None:
    """The difference of the two rates; None where an arm has no conversations."""
    candidate, incumbent = counts[0] + counts[1], counts[2] + counts[3]
    if not candidate or not incumbent:
        return None
    return float(counts[0] / candidate - counts[2] / incumbent)
