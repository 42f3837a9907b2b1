"""Compare two models on the same prompts.

Pairing removes what both share: a hard prompt is hard for both. `before` and `after` hold one
number per prompt, in the same order.
"""

import math
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from plumbrule.errors import ConfigError, DataError
from plumbrule.records import Estimate
from plumbrule.statistics.checks import (
    Observations,
    bounded,
    check_level,
    check_same_prompts,
    check_some,
)
from plumbrule.statistics.sequences import betting_interval, log_wealth

YesNo = Bool[np.ndarray, " prompts"]

Alternative = Literal["decrease", "increase", "change"]

LARGEST_E_VALUE = 1e300
"""Evidence beyond this is cut here: a smaller e-value is still one, and infinity is no record."""


def paired_proportions(before: YesNo, after: YesNo, *, level: float = 0.95, unit: str) -> Estimate:
    """Estimate how far a rate moved between two models on the same prompts.

    Args:
        before: Whether it happened with the first model, per prompt.
        after: Whether it happened with the second model, on the same prompts.
        level: Two-sided confidence level, strictly between 0 and 1.
        unit: What the rate counts; copied into the result.

    Returns:
        Rate after minus rate before with Tango's score interval, inside [-1, 1] and of some
        width even when no prompt changed.

    Raises:
        ConfigError: `level` is not strictly between 0 and 1.
        DataError: Two different sets of prompts, none at all, or answers that are not yes or no.

    Source:
        Tango (1998), "Equivalence test and confidence interval for the difference in proportions
        for the paired-sample design", Statistics in Medicine 17: the score and its restricted
        estimate in closed form. Solved here by bisection.

    Example:
        >>> before = np.repeat([True, True, False, False], [1, 1, 7, 12])
        >>> after = np.repeat([True, False, True, False], [1, 1, 7, 12])
        >>> estimate = paired_proportions(before, after, unit="violations per reply")
        >>> round(estimate.value, 3), round(estimate.low, 3), round(estimate.high, 3)
        (0.286, 0.026, 0.517)
    """
    check_level(level)
    gained, lost, n = _discordant(before, after)
    check_some(n, name="a difference of rates")
    z = float(stats.norm.isf((1.0 - level) / 2.0))
    return Estimate(
        value=(gained - lost) / n,
        low=_tango_end(gained, lost, n, z, -1.0),
        high=_tango_end(gained, lost, n, z, 1.0),
        level=level,
        n=n,
        unit=unit,
        method="Tango score, paired",
    )


def mcnemar_exact(before: YesNo, after: YesNo) -> float:
    """Test whether a rate moved at all between two models on the same prompts.

    Only prompts whose answer changed speak; under the null each of them is a fair coin.

    Returns:
        Two-sided exact p-value; 1 where no answer changed.

    Raises:
        DataError: Two different sets of prompts, none at all, or answers that are not yes or no.

    Source:
        McNemar (1947), in its exact binomial form.

    Example:
        >>> mcnemar_exact(np.zeros(5, dtype=bool), np.ones(5, dtype=bool))
        0.0625
    """
    gained, lost, n = _discordant(before, after)
    check_some(n, name="a test")
    return min(1.0, 2.0 * float(stats.binom.cdf(min(gained, lost), gained + lost, 0.5)))


def paired_difference(
    before: Observations,
    after: Observations,
    *,
    level: float = 0.95,
    unit: str,
) -> Estimate:
    """Estimate how far a score between 0 and 1 moved between two models on the same prompts.

    Args:
        before: Score of the first model on each prompt, from 0 to 1, in `unit`.
        after: Score of the second model on the same prompts.
        level: Two-sided confidence level that holds at any stopping time.
        unit: What one step of the score means; copied into the result.

    Returns:
        Mean of `after - before` with a betting confidence sequence on [-1, 1].

    Raises:
        ConfigError: `level` is not strictly between 0 and 1.
        DataError: Two different sets of prompts, none at all, or a score outside [0, 1].

    Example:
        >>> estimate = paired_difference(np.full(50, 0.2), np.full(50, 0.6), unit="score")
        >>> round(estimate.value, 2), estimate.low > 0
        (0.4, True)
    """
    return betting_interval(
        _differences(before, after),
        low_bound=-1.0,
        high_bound=1.0,
        level=level,
        unit=unit,
    )


def paired_e_value(
    before: Observations,
    after: Observations,
    *,
    minimum_effect: float = 0.0,
    alternative: Alternative,
) -> float:
    """Weigh the evidence that a score between 0 and 1 moved by more than `minimum_effect`.

    An e-value is what a bettor holds per unit staked against the null: on average at most 1 when
    the null is true, so at least 20 by luck happens at most once in 20. It depends on the pairs,
    not on their order, and stays valid when pairs are added until it is large enough.

    Args:
        before: Score of the first model on each prompt, from 0 to 1. Yes and no count as 1 and 0.
        after: Score of the second model on the same prompts.
        minimum_effect: Smallest move worth a claim, in score points. For "increase" the null is
            a mean difference of at most this, for "decrease" of at least minus this, for "change"
            of at most this either way. Below 0 (not for "change") it asks for "not worse by more".
        alternative: Direction of the claim.

    Returns:
        The e-value, from 0 up, cut at 1e300. For "change" the average of both directions.

    Raises:
        ConfigError: `minimum_effect` is out of range, or `alternative` is none of the three.
        DataError: Two different sets of prompts, none at all, or a score outside [0, 1].

    Source:
        Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by betting":
        the capital of grid-Kelly bets at one candidate mean.

    Example:
        >>> zeros, ones = np.zeros(10), np.ones(10)
        >>> paired_e_value(zeros, ones, alternative="increase") > 20
        True
        >>> paired_e_value(zeros, ones, alternative="decrease") < 1
        True
    """
    _check_claim(alternative, minimum_effect)
    differences = _differences(before, after)
    check_some(differences.size, name="an e-value")
    e_values = []
    if alternative in ("increase", "change"):
        e_values.append(_capital(differences, null_mean=minimum_effect))
    if alternative in ("decrease", "change"):
        e_values.append(_capital(-differences, null_mean=minimum_effect))
    return sum(e_values) / len(e_values)


def _check_claim(alternative: Alternative, minimum_effect: float) -> None:
    if alternative not in ("decrease", "increase", "change"):
        raise ConfigError(f"alternative must be decrease, increase or change, got {alternative!r}")
    if alternative == "change" and not 0.0 <= minimum_effect < 1.0:
        raise ConfigError(
            f"minimum_effect of a change must be at least 0 and below 1, got {minimum_effect}"
        )
    if not -1.0 < minimum_effect < 1.0:
        raise ConfigError(
            "minimum_effect must be strictly between -1 and 1, the largest moves a score between "
            f"0 and 1 can make; got {minimum_effect}"
        )


def _capital(differences: Float[np.ndarray, " prompts"], *, null_mean: float) -> float:
    """Wealth from betting on a mean above `null_mean`, averaged over the stakes."""
    payoffs, times = np.unique(differences, return_counts=True)
    wealth = log_wealth(
        payoffs - null_mean, times.astype(float), largest_stake=1.0 / (1.0 + null_mean)
    )
    return math.exp(min(wealth, math.log(LARGEST_E_VALUE)))


def _differences(before: Observations, after: Observations) -> Float[np.ndarray, " prompts"]:
    check_same_prompts(before, after)
    first = bounded(before, low=0.0, high=1.0, name="scores before")
    second = bounded(after, low=0.0, high=1.0, name="scores after")
    return np.asarray(second - first)


def _discordant(before: YesNo, after: YesNo) -> tuple[int, int, int]:
    """Prompts that went from no to yes, from yes to no, and all of them."""
    check_same_prompts(before, after)
    answers = []
    for name, given in (("before", before), ("after", after)):
        floats = bounded(given, low=0.0, high=1.0, name=f"answers {name}")
        if not np.isin(floats, (0.0, 1.0)).all():
            raise DataError(
                f"answers {name} must be yes or no, got scores in between; "
                "for scores use `paired_difference`"
            )
        answers.append(floats == 1.0)
    first, second = answers
    return int((second & ~first).sum()), int((first & ~second).sum()), first.size


def _tango_end(gained: int, lost: int, n: int, z: float, edge: float) -> float:
    """Outermost difference on the side of `edge` (-1 or 1) that the score test does not reject."""
    inside, outside = (gained - lost) / n, edge
    if _tango_accepts(edge, gained, lost, n, z):
        return edge
    for _ in range(60):  # halves a gap of at most 2 down to the resolution of a float
        middle = (inside + outside) / 2
        if _tango_accepts(middle, gained, lost, n, z):
            inside = middle
        else:
            outside = middle
    return outside


def _tango_accepts(difference: float, gained: int, lost: int, n: int, z: float) -> bool:
    """Whether a true difference is within `z` standard errors, these estimated under it."""
    linear = (2 * n - gained + lost) * difference - gained - lost
    constant = -lost * difference * (1 - difference)
    root = math.sqrt(max(linear * linear - 8 * n * constant, 0.0))
    lost_rate = max((root - linear) / (4 * n), 0.0)  # most likely rate of yes-to-no
    variance = max(2 * lost_rate + difference * (1 - difference), 0.0)
    return abs(gained - lost - n * difference) <= z * math.sqrt(n * variance)
