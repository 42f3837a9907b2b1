"""How sure a rate is: intervals for a proportion that hold at small counts and at 0 of n."""

import math
import operator
from typing import SupportsIndex

from scipy import stats

from plumbrule.errors import DataError
from plumbrule.records import Estimate
from plumbrule.statistics.checks import check_level, check_some


def wilson(
    successes: SupportsIndex, n: SupportsIndex, *, level: float = 0.95, unit: str
) -> Estimate:
    """Estimate a rate, with an interval that covers at about its level on average over rates.

    The default for rates in a report. For a bound that must never cover less than it says, as
    in a gate, use `clopper_pearson`.

    Args:
        successes: How often it happened.
        n: Independent observations, at least one.
        level: Two-sided confidence level, strictly between 0 and 1.
        unit: What the rate counts, e.g. "violations per reply"; copied into the result.

    Returns:
        `successes / n` with the Wilson score interval, inside [0, 1] and never of width 0.

    Raises:
        ConfigError: `level` is not strictly between 0 and 1.
        DataError: No observations, or more successes than observations.

    Source:
        Wilson (1927), "Probable inference, the law of succession, and statistical inference".

    Example:
        >>> estimate = wilson(0, 10, unit="violations per reply")
        >>> estimate.value, estimate.low, round(estimate.high, 4)
        (0.0, 0.0, 0.2775)
    """
    yes, count = _counts(successes, n)
    check_level(level)
    z = float(stats.norm.isf((1.0 - level) / 2.0))
    rate, shrink = yes / count, z * z / count
    center = (rate + shrink / 2) / (1 + shrink)
    half_width = math.sqrt(shrink * (rate * (1 - rate) + shrink / 4)) / (1 + shrink)
    return Estimate(
        value=rate,
        # At the ends the formula gives 0 and 1 exactly; floating point may miss by a hair.
        low=0.0 if yes == 0 else min(center - half_width, rate),
        high=1.0 if yes == count else max(center + half_width, rate),
        level=level,
        n=count,
        unit=unit,
        method="Wilson score",
    )


def clopper_pearson(
    successes: SupportsIndex, n: SupportsIndex, *, level: float = 0.95, unit: str
) -> Estimate:
    """Estimate a rate, with an interval that covers at least at its level for every true rate.

    Wider than `wilson`; the choice where a bound is promised, as in a gate or a certificate.

    Args:
        successes: How often it happened.
        n: Independent observations, at least one.
        level: Two-sided confidence level, strictly between 0 and 1.
        unit: What the rate counts; copied into the result.

    Returns:
        `successes / n` with the exact binomial interval, inside [0, 1] and never of width 0.

    Raises:
        ConfigError: `level` is not strictly between 0 and 1.
        DataError: No observations, or more successes than observations.

    Source:
        Clopper & Pearson (1934), "The use of confidence or fiducial limits illustrated in the
        case of the binomial", through quantiles of the beta distribution.

    Example:
        >>> estimate = clopper_pearson(0, 10, unit="violations per reply")
        >>> estimate.low, round(estimate.high, 4)
        (0.0, 0.3085)
    """
    yes, count = _counts(successes, n)
    check_level(level)
    tail, no = (1.0 - level) / 2.0, count - yes
    return Estimate(
        value=yes / count,
        low=float(stats.beta.ppf(tail, yes, no + 1)) if yes else 0.0,
        high=float(stats.beta.isf(tail, yes + 1, no)) if no else 1.0,
        level=level,
        n=count,
        unit=unit,
        method="Clopper-Pearson exact",
    )


def _counts(successes: SupportsIndex, n: SupportsIndex) -> tuple[int, int]:
    try:
        yes, count = operator.index(successes), operator.index(n)
    except TypeError as error:
        raise DataError(
            f"a rate is made of whole counts, got {successes!r} of {n!r}; "
            "for scores between 0 and 1 use `betting_interval`"
        ) from error
    if count < 0 or not 0 <= yes <= count:
        raise DataError(f"successes must be between 0 and n, got {yes} of {count}")
    check_some(count, name="a rate")
    return yes, count
