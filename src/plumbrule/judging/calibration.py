"""Whether a judge's probabilities are what they say, on replies of which the truth is known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from plumbrule.records import strict

BINS = 10
"""Groups of like probability in which calibration is looked at."""

LEAST_FOR_MAP = 10
"""Broken and kept replies each from which a map of probabilities is fitted."""


@strict
@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """Replies to which a judge gave about the same probability."""

    n: int
    said: float
    """Their mean probability of being broken, by the judge."""

    broken: float
    """Share of them that is broken."""


@strict
@dataclass(frozen=True, kw_only=True)
class ProbabilityMap:
    """What a judge's probability means: a logistic curve of its log-odds (Platt 1999)."""

    slope: float
    """0 or more; below 1 the judge is too sure of itself."""

    intercept: float
    """In nats; above 0 it finds too little broken."""

    def __call__(self, probability: float) -> float:
        """Probability that a reply is broken, from what the judge said of it."""
        return float(_logistic(self.slope * _log_odds(np.array(probability)) + self.intercept))


@strict
@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Whether a judge's probabilities are what they say, on the labeled replies."""

    brier: float
    """Mean squared distance from the truth: 0 is perfect, 0.25 is what "one half" always gets."""

    expected_error: float
    """Mean distance between said and true share, over bins of equal size; of few replies it is
    above 0 for a perfect judge too."""

    bins: tuple[CalibrationBin, ...]

    map: ProbabilityMap | None
    """None where there are too few labels to fit one."""


def calibration_of(broken: Sequence[float], kept: Sequence[float]) -> Calibration | None:
    """Of probabilities that are known to be of broken and of kept replies."""
    if not broken and not kept:
        return None
    said = np.array([*broken, *kept])
    truth = np.repeat([1.0, 0.0], [len(broken), len(kept)])
    order = np.argsort(said, kind="stable")
    bins = [
        CalibrationBin(n=len(part), said=float(said[part].mean()), broken=float(truth[part].mean()))
        for part in np.array_split(order, min(BINS, said.size))
    ]
    enough = min(len(broken), len(kept)) >= LEAST_FOR_MAP
    return Calibration(
        brier=float(((said - truth) ** 2).mean()),
        expected_error=sum(each.n * abs(each.said - each.broken) for each in bins) / said.size,
        bins=tuple(bins),
        map=_fit_map(said, truth) if enough else None,
    )


def _fit_map(said: np.ndarray, truth: np.ndarray) -> ProbabilityMap:
    """Likeliest logistic curve, its targets held off 0 and 1 as Platt does."""
    odds = _log_odds(said)
    broken = truth.sum()
    kept = truth.size - broken
    target = np.where(truth == 1, (broken + 1) / (broken + 2), 1 / (kept + 2))

    def loss(values: np.ndarray) -> float:
        bent = values[0] * odds + values[1]
        return float((np.logaddexp(0, bent) - target * bent).mean())

    # A slope below 0 would say that the judge is to be read the other way round.
    best = optimize.minimize(loss, [1.0, 0.0], bounds=[(0, None), (None, None)], method="L-BFGS-B")
    return ProbabilityMap(slope=float(best.x[0]), intercept=float(best.x[1]))


def _log_odds(probability: np.ndarray) -> np.ndarray:
    kept = np.clip(probability, 1e-6, 1 - 1e-6)
    odds: np.ndarray = np.log(kept / (1 - kept))
    return odds


def _logistic(odds: np.ndarray) -> float:
    return 1 / (1 + math.exp(-float(np.clip(odds, -700, 700))))
