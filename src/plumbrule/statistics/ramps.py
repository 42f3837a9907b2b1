"""Ramps on a trend: what a series with one jump looks like, and how well chance fits one.

Axes: N values in order, P columns of the trend, K candidates, S simulated series.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

LONGEST = 0.2
"""Share of the series that a jump may take at most; what takes longer is a trend."""

EDGE = 2
"""Values that must lie before a jump, and after it."""

DEGREE = 2
"""The trend is a polynomial of this degree: it may be straight or bend one way."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """What a series of one length can be explained by."""

    trend: Float[np.ndarray, "N P"]
    """Orthonormal columns that span all trends."""

    candidates: tuple[tuple[int, int], ...]
    """Last index before each jump, and how many steps it takes."""

    shapes: Float[np.ndarray, "K N"]
    """Each jump less its trend, of length 1."""

    sizes: Float[np.ndarray, " K"]
    """Length of each before that."""

    def without_trend(self, series: Float[np.ndarray, "S N"]) -> Float[np.ndarray, "S N"]:
        """Series less the trend that fits them best."""
        found: np.ndarray = series - (series @ self.trend) @ self.trend.T
        return found

    def fits(self, rest: Float[np.ndarray, "S N"]) -> Float[np.ndarray, "S K"]:
        """F of each jump: what it explains over what it leaves, a degree of freedom each."""
        total = (rest**2).sum(axis=1, keepdims=True)
        explained = (rest @ self.shapes.T) ** 2
        left = np.maximum(total - explained, 1e-14 * total)
        found: np.ndarray = explained / left * (rest.shape[1] - self.trend.shape[1] - 1)
        return found

    def jump(self, rest: Float[np.ndarray, " N"], at: int) -> float:
        """Size of one candidate's jump in a series without its trend."""
        return float(rest @ self.shapes[at] / self.sizes[at])

    def middle(self, at: int) -> float:
        """Index half way through one candidate's jump."""
        start, span = self.candidates[at]
        return start + span / 2


@lru_cache(maxsize=64)
def design_of(count: int) -> Design:
    """All jumps that a series of one length can have."""
    places = np.linspace(-1.0, 1.0, count)
    trend = np.linalg.qr(np.vander(places, DEGREE + 1))[0]
    candidates = [
        (start, span)
        for span in range(1, int(LONGEST * count) + 1)
        for start in range(EDGE - 1, count - EDGE - span + 1)
    ]
    steps = np.array(
        [np.clip((np.arange(count) - start) / span, 0.0, 1.0) for start, span in candidates]
    )
    rest = steps - (steps @ trend) @ trend.T
    sizes = np.linalg.norm(rest, axis=1)
    return Design(
        trend=trend, candidates=tuple(candidates), shapes=rest / sizes[:, None], sizes=sizes
    )


@lru_cache(maxsize=256)
def null_maxima(count: int, persistence: float, draws: int, seed: int) -> Float[np.ndarray, " S"]:
    """Largest F in series without a jump."""
    rng = np.random.default_rng(seed)
    design = design_of(count)
    noise = drifting_noise(rng, draws, count, persistence)
    found: np.ndarray = design.fits(design.without_trend(noise)).max(axis=1)
    return found


def drifting_noise(
    rng: np.random.Generator, draws: int, count: int, persistence: float
) -> Float[np.ndarray, "S N"]:
    """Gaussian noise in which each value keeps a share of the one before."""
    noise: np.ndarray = rng.standard_normal((draws, count))
    if persistence < 1.0:
        noise[:, 0] /= np.sqrt(1.0 - persistence**2)
    for at in range(1, count):
        noise[:, at] += persistence * noise[:, at - 1]
    return noise
