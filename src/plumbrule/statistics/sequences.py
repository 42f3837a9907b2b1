"""How sure a mean of bounded scores is, at every moment one looks.

The bet: suppose the mean were m. Then no way of betting on the observations makes money on
average, so a bettor who got rich shows that m is not the mean. For every candidate m two bettors
play, one on "higher" and one on "lower", and m is out while either holds 2 / (1 - level) times
its stake. The probability that the true mean is ever out is at most 1 - level, however often one
looks and for whatever reason one stops.

The stakes are shares of the wealth fixed in advance, and the wealth of all shares together
counts. So the interval does not depend on the order of the observations, always holds their
mean, and also covers the average of prompts that each have a mean of their own.
"""

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy import optimize

from plumbrule.errors import ConfigError, DataError
from plumbrule.records import Estimate
from plumbrule.statistics.checks import Observations, bounded, check_level, check_some

Shares = Float[np.ndarray, " distinct"]

RESOLUTION = 1e-12
"""How exactly an end is found, as a share of the distance between the bounds."""


def log_wealth(payoffs: Shares, times: Shares, *, largest_stake: float) -> float:
    """Logarithm of what a bettor holds per unit staked, after all payoffs.

    The stake is split evenly over 16 shares of `largest_stake`, from timid to nearly all and
    dense at both ends. That loses at most a factor 16 against the best of them known afterwards.

    Args:
        payoffs: Distinct gains per unit staked, each at least `-1 / largest_stake`.
        times: How often each was paid.
        largest_stake: Share of the wealth that the worst payoff would just use up.

    Source:
        The grid-Kelly bets of Waudby-Smith & Ramdas (2024); the spacing of the shares is ours.
    """
    angles = np.pi * (np.arange(16) + 0.5) / 32
    stakes = np.sin(angles) ** 2 * largest_stake
    wealth = np.log1p(stakes[:, None] * payoffs) @ times
    return float(np.logaddexp.reduce(wealth)) - math.log(len(stakes))


class BettingSequence:
    """A mean of bounded observations as they come in, with an interval valid at any time.

    Args:
        low_bound: Lowest value an observation can take, in `unit`.
        high_bound: Highest value an observation can take, in `unit`.
        level: Two-sided confidence level that holds over all looks together.
        unit: What one step of an observation means; copied into the estimate.

    Raises:
        ConfigError: `level` is not strictly between 0 and 1, or the bounds are not in order.

    Source:
        Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by betting",
        JRSS-B: hedged capital with grid-Kelly bets. Intervals of earlier looks are not
        intersected: that would narrow by about a tenth, but depend on the order and could end
        in no interval at all.

    Example:
        >>> sequence = BettingSequence(level=0.95, unit="violations per reply")
        >>> sequence.update(np.zeros(100))
        >>> estimate = sequence.estimate()
        >>> estimate.value, estimate.low, round(estimate.high, 3)
        (0.0, 0.0, 0.049)
    """

    def __init__(
        self,
        *,
        low_bound: float = 0.0,
        high_bound: float = 1.0,
        level: float = 0.95,
        unit: str,
    ) -> None:
        check_level(level)
        if not -math.inf < low_bound < high_bound < math.inf:
            raise ConfigError(
                f"low_bound must be below high_bound, both finite; got {low_bound}, {high_bound}"
            )
        self._low_bound, self._high_bound = float(low_bound), float(high_bound)
        self._level, self._unit = level, unit
        self._times: Counter[float] = Counter()

    def update(self, values: Observations) -> None:
        """Take in more observations.

        Raises:
            DataError: A value is not finite or outside the bounds; none of them is counted then.
        """
        floats = bounded(
            values, low=self._low_bound, high=self._high_bound, name="the observations"
        )
        self._times.update(floats.tolist())

    def count(self, times: Mapping[float, int]) -> None:
        """Add observations, given as how often each value was seen; their order does not matter.

        Raises:
            DataError: A value is not finite or outside the bounds, or a number of times is below 0;
                none of them is counted then.
        """
        values = np.array(list(times), dtype=np.float64)
        if any(number < 0 for number in times.values()):
            raise DataError(f"nothing comes fewer than 0 times, got {min(times.values())}")
        bounded(values, low=self._low_bound, high=self._high_bound, name="the observations")
        self._times.update({float(value): number for value, number in times.items() if number})

    def estimate(self) -> Estimate:
        """Say what the observations so far allow.

        Returns:
            Their mean with the interval of all means that no bettor got rich against.

        Raises:
            DataError: No observations yet.
        """
        count = self._times.total()
        check_some(count, name="a mean")
        values = np.array(sorted(self._times))
        times = np.array([float(self._times[value]) for value in values.tolist()])
        span = self._high_bound - self._low_bound
        shares = np.clip((values - self._low_bound) / span, 0.0, 1.0)
        enough = math.log(2.0 / (1.0 - self._level))
        low = self._low_bound + span * _lower_end(shares, times, enough)
        high = self._high_bound - span * _lower_end(1.0 - shares, times, enough)
        # The mean is inside; floating point may place it a hair beyond an end it coincides with.
        mean = min(max(float(values @ times) / count, low), high)
        return Estimate(
            value=mean,
            low=low,
            high=high,
            level=self._level,
            n=count,
            unit=self._unit,
            method="betting confidence sequence",
        )


def _lower_end(shares: Shares, times: Shares, enough: float) -> float:
    """Largest mean that the bettor on "higher" got rich against: all below it are out as well.

    Its wealth falls as the candidate rises, and is at most the stake at the observed mean.
    """

    def missing(mean: float) -> float:
        return log_wealth(shares / mean - 1.0, times, largest_stake=1.0) - enough

    observed = float(shares @ times / times.sum())
    if observed <= 2 * RESOLUTION or missing(RESOLUTION) < 0.0:
        return 0.0
    end = optimize.brentq(missing, RESOLUTION, observed, xtol=RESOLUTION)
    return max(float(end) - 2 * RESOLUTION, 0.0)  # to the safe side of what the search left open


def betting_interval(
    values: Observations,
    *,
    low_bound: float = 0.0,
    high_bound: float = 1.0,
    level: float = 0.95,
    unit: str,
) -> Estimate:
    """Estimate a mean of bounded scores, with an interval valid at any stopping time.

    No shape of distribution is assumed. Looked at once, it covers the average of the prompts'
    own means if the observations are independent, each prompt with a mean of its own. Looked at
    while it grows, it needs every observation to have the same mean given those before it, as
    when prompts are drawn at random.

    Args:
        values: Observations, in `unit`; their order does not matter.
        low_bound: Lowest value an observation can take.
        high_bound: Highest value an observation can take.
        level: Two-sided confidence level that holds over all looks together.
        unit: What one step of an observation means; copied into the result.

    Returns:
        Their mean with the interval of all means that no bettor got rich against.

    Raises:
        ConfigError: `level` or the bounds are out of range.
        DataError: No observations, or one outside the bounds.

    Example:
        >>> estimate = betting_interval(np.array([0.2, 0.4] * 100), unit="score")
        >>> round(estimate.value, 2), round(estimate.low, 2), round(estimate.high, 2)
        (0.3, 0.28, 0.32)
    """
    sequence = BettingSequence(low_bound=low_bound, high_bound=high_bound, level=level, unit=unit)
    sequence.update(values)
    return sequence.estimate()
