"""Says when a rate has risen, with a promise on how seldom it says so for nothing.

The bet: suppose the mean of what comes is at most a bound. Then a gambler who stakes on "higher"
gains nothing on average. A new one begins every so often, because nobody knows when a rise will
begin, and all of them together hold at most as much as they brought: so their sum passes
`starts / alpha` within that many starts with a chance of at most alpha, whatever the data are like
beside that mean. That is an e-detector of the Shiryaev-Roberts kind.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError, DataError
from plumbrule.records import Estimate
from plumbrule.statistics import BettingSequence, clopper_pearson

Scores = Float[np.ndarray, " observations"]

RISES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
"""Rises that gamblers stake on, as shares: from half a point on, each twice the one before, so that
none between is further than a factor 1.5 from one of them. Which is not known beforehand."""

STARTS_PER_YEAR = 24 * 365
"""Gamblers that begin in a year's traffic: one an hour. More cost threshold, fewer cost delay."""

ALLOWANCES = (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.13, 0.21)
"""How much of a rise may be the judge's, as shares: beside the bound itself, the same bet is made
against each bound raised by that much."""

MOST = 1e80
"""What a gambler may hold before the sum would overflow; far beyond any threshold."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What a rate was at most before it was watched, and how that is known."""

    value: float
    """A share, above 0 and below 1."""

    source: str
    """`baseline`, or `limit` where somebody set it."""

    estimate: Estimate | None = None
    """Of the baseline."""


def baseline_bound(scores: Scores, *, largest: float, chance: float) -> Bound:
    """The rate that a first stretch of traffic allows at most.

    Args:
        scores: One a conversation of the baseline, 0 or more; a violation counts as the inverse of
            the chance that it had to be looked at.
        largest: Largest score that can come.
        chance: That the true rate lies above the bound.

    Returns:
        The bound; exact for plain yes and no, by betting where scores have weights.

    Raises:
        DataError: No scores, or one beyond `largest`.

    Example:
        >>> round(baseline_bound(np.zeros(1000), largest=1.0, chance=0.01).value, 4)
        0.0046
    """
    if not len(scores):
        raise DataError("a baseline needs conversations, got none")
    unit, level = "violations per conversation", 1.0 - 2.0 * chance
    if largest <= 1.0:
        found = clopper_pearson(round(float(scores.sum())), len(scores), level=level, unit=unit)
    else:
        sequence = BettingSequence(high_bound=largest, level=level, unit=unit)
        sequence.update(scores)
        found = sequence.estimate()
    return Bound(value=min(found.high, 0.99), source="baseline", estimate=found)


def stakes_against(
    bound: float, *, rises: Sequence[float] = RISES, largest: Sequence[float] = (1.0,)
) -> Float[np.ndarray, " stakes"]:
    """What to stake on "higher than the bound" for each rise: the likelihood ratio's own stake.

    Args:
        bound: The rate, above 0 and below 1.
        rises: What to stake on.
        largest: Scores that a violation may count as; a stake is made for each.
    """
    found = []
    for size in sorted(set(largest)):
        for rise in rises:
            rise = min(rise, (size - bound) * 0.9 / size)
            found.append(min(rise / (bound * (size - bound)), 0.99 / bound))
    return np.array(found)


@dataclass
class RiseDetector:
    """Gamblers against one bound; tells of the first observation at which they hold enough.

    Args:
        bound: Largest mean without an alarm.
        alpha: Chance of an alarm in a year's traffic while the mean is at most the bound.
        every: Observations between two starts.
        stakes: Row per allowance, stake per rise; `for_rate` makes them.
        bounds: The bound with each allowance added.
        starts: Gamblers that begin in a year's traffic.

    Source:
        Shin, Ramdas & Rinaldo (2024), "E-detectors: a nonparametric framework for sequential change
        detection", arXiv:2203.03532: the sum over starts, and its average run length of at least
        one over alpha (in years). That the chance within a year is at most alpha follows from
        Ville's inequality for the sum less its starts. Starts once an hour's traffic, and the
        allowances for the judge, are ours.
    """

    bound: float
    alpha: float
    every: int
    stakes: Float[np.ndarray, "allowances stakes"]
    bounds: Float[np.ndarray, " allowances"]
    starts: float = STARTS_PER_YEAR
    held: Float[np.ndarray, "allowances stakes"] = field(default_factory=lambda: np.zeros((0, 0)))
    since_start: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ConfigError(f"alpha must lie strictly between 0 and 1, got {self.alpha}")
        if self.every < 1:
            raise ConfigError(f"starts need at least one observation between, got {self.every}")
        if not self.held.size:
            self.held = np.zeros_like(self.stakes)

    @classmethod
    def for_rate(
        cls,
        bound: float,
        *,
        alpha: float,
        per_year: float,
        largest: Sequence[float] = (1.0,),
        allowances: Sequence[float] = ALLOWANCES,
    ) -> "RiseDetector":
        """Watch the rate of violations.

        Args:
            bound: Largest rate without an alarm.
            alpha: Chance of an alarm for nothing in a year's traffic.
            per_year: Conversations in a year.
            largest: Scores that a violation may count as.
            allowances: How much of a rise may be the judge's; the first one is 0.
        """
        if not 0.0 < bound < 1.0:
            raise ConfigError(f"a bound on a rate lies strictly between 0 and 1, got {bound}")
        bounds = np.minimum(bound + np.array(allowances), 0.995)
        return cls(
            bound=bound,
            alpha=alpha,
            every=max(1, round(per_year / STARTS_PER_YEAR)),
            stakes=np.stack([stakes_against(each, largest=largest) for each in bounds]),
            bounds=bounds,
        )

    @property
    def threshold(self) -> float:
        """What all together must hold for an alarm, where each brought 1."""
        return self.starts / self.alpha

    @property
    def evidence(self) -> Float[np.ndarray, " allowances"]:
        """What the gamblers hold against each bound, over the threshold: 1 is enough."""
        return np.asarray(self.held.mean(axis=1) / self.threshold)

    def update(self, scores: Scores, *, stop_at_alarm: bool = True) -> int | None:
        """Take in observations in their order, up to the first that is enough.

        Args:
            scores: Observations.
            stop_at_alarm: Whether to; else all are taken in, as after an alarm whose cause is open.

        Returns:
            Place of the observation at which the alarm is raised; None: there is none, and all
            were taken in. Those after an alarm were not.
        """
        at = 0
        while at < len(scores):
            if self.since_start == 0:
                self.held = self.held + 1.0
            stop = min(at + self.every - self.since_start, len(scores))
            gains = np.log1p(self.stakes * (scores[at:stop, None, None] - self.bounds[:, None]))
            grown = np.cumsum(gains, axis=0)
            now = np.minimum(self.held[0] * np.exp(np.minimum(grown[:, 0], 500.0)), MOST)
            enough = np.flatnonzero(
                now.mean(axis=1) >= (self.threshold if stop_at_alarm else np.inf)
            )
            last = int(enough[0]) if enough.size else stop - at - 1
            self.held = np.minimum(self.held * np.exp(np.minimum(grown[last], 500.0)), MOST)
            self.since_start = (self.since_start + last + 1) % self.every
            if enough.size:
                return at + last
            at = stop
        return None

    def restart(self) -> None:
        """Begin again from nothing, as after an alarm that was dealt with."""
        self.held = np.zeros_like(self.stakes)
        self.since_start = 0


def drift_detector(margin: float, *, alpha: float, per_year: float) -> RiseDetector:
    """Watch for a judge that flags more, or fewer, of the anchors than it did.

    The observations are 1 where it flags what it did not, -1 where it no longer does, else 0;
    turned around for the other direction.

    Args:
        margin: Mean of the observations that is no drift yet, a share.
        alpha: Chance of an alarm for nothing in a year's judgments of anchors.
        per_year: Such judgments in a year.
    """
    every = max(1, round(per_year / STARTS_PER_YEAR))
    stakes = np.array([[0.25, 0.5, 0.9]]) / (1.0 + margin)
    return RiseDetector(
        bound=margin,
        alpha=alpha,
        every=every,
        stakes=stakes,
        bounds=np.array([margin]),
        starts=max(per_year / every, 1.0),
    )


def years_between(alpha: float) -> float:
    """Average number of years' traffic to an alarm for nothing, at least.

    Example:
        >>> years_between(0.05)
        20.0
    """
    if not 0.0 < alpha < 1.0 or not math.isfinite(alpha):
        raise ConfigError(f"alpha must lie strictly between 0 and 1, got {alpha}")
    return 1.0 / alpha
