"""How well a score tells two groups apart, from ranks alone."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from plumbrule.records import Estimate
from plumbrule.statistics.checks import check_level, check_some


def auroc(
    high: Sequence[float],
    low: Sequence[float],
    *,
    level: float = 0.95,
    independent: tuple[int, int] | None = None,
) -> Estimate:
    """Chance that a member of the first group scores higher than one of the second.

    The interval is a score interval: it keeps its width where all pairs are in the right order,
    as they easily are in small groups.

    Args:
        high: Scores of those that should be high; any unit, ties count half.
        low: Scores of those that should be low.
        level: Confidence level of the interval, between 0 and 1.
        independent: How many of either group are independent of each other, where some repeat
            others; the interval is then as wide as these numbers make it.

    Returns:
        Area under the receiver operating characteristic: 0.5 is chance, 1 is perfect. Its `n` is
        the size of the smaller group.

    Raises:
        DataError: A group is empty, or the level is out of range.

    Source:
        Newcombe (2006), "Confidence intervals for an effect size measure based on the
        Mann-Whitney statistic. Part 2", Statistics in Medicine 25: method 5, which puts the
        variance of Hanley and McNeil (1982) at the ends of the interval.

    Example:
        >>> found = auroc([3.0, 2.0, 4.0], [1.0, 0.0, 2.5])
        >>> round(found.value, 3), round(found.low, 2), round(found.high, 2)
        (0.889, 0.4, 0.99)
    """
    check_level(level)
    check_some(len(high), name="scores of the first group")
    check_some(len(low), name="scores of the second group")
    first, second = np.asarray(high, float)[:, None], np.asarray(low, float)[None, :]
    value = float(((first > second) + 0.5 * (first == second)).mean())
    z = float(norm.isf((1 - level) / 2))
    n, m = (len(high), len(low)) if independent is None else independent
    check_some(min(n, m), name="independent scores of each group")
    return Estimate(
        value=value,
        low=_end(value, 0.0, n, m, z),
        high=_end(value, 1.0, n, m, z),
        level=level,
        n=min(n, m),
        unit="share of pairs in the right order",
        method="Newcombe's score interval for AUROC",
    )


def _end(value: float, edge: float, n: int, m: int, z: float) -> float:
    """The end of the interval toward an edge, by bisection."""
    inside, outside = value, edge
    for _ in range(60):
        middle = (inside + outside) / 2
        if abs(middle - value) <= z * _spread(middle, n, m):
            inside = middle
        else:
            outside = middle
    return inside


def _spread(area: float, n: int, m: int) -> float:
    """Standard error of an area under the curve that is truly `area`."""
    more = (n + m) / 2 - 1
    inflation = 1 + more * ((1 - area) / (2 - area) + area / (1 + area))
    return math.sqrt(max(area * (1 - area) * inflation / (n * m), 0.0))
