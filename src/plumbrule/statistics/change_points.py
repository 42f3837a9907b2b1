"""Did a series jump, or did it drift? One change point, tested against trend and drifting noise.

Values measured along training hang together: a curve bends, and what is above it now is above it a
little later. Against such noise a test for independent values cries wolf. Here the null is a smooth
trend plus noise of any persistence up to a random walk, and the p-value is the largest over all.

Axes: N values in order, K candidates, S simulated series.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Real
from scipy import stats

from plumbrule.errors import ConfigError, DataError
from plumbrule.records import Estimate, strict
from plumbrule.statistics.checks import check_level
from plumbrule.statistics.multiple import check_false_share
from plumbrule.statistics.ramps import Design, design_of, drifting_noise, null_maxima

FEWEST = 8
"""Fewest values: with fewer, a trend and a jump explain anything."""

PERSISTENCES = (0.0, 0.3, 0.6, 0.8, 0.9, 0.97, 1.0)
"""Correlations of noise with itself one value later at which the null is simulated."""

RELATIVE_ROUNDING = 1e-9
"""Variation below this share of the largest value is rounding."""


@strict
@dataclass(frozen=True, kw_only=True)
class ChangePoint:
    """The best place for a jump in one series, and whether there is one."""

    name: str
    p_value: float
    """Chance that trend and noise alone, at their worst persistence, fit a jump this well."""

    before: int
    """Index of the last value before the jump."""

    after: int
    """Index of the first value after it."""

    location: Estimate
    """Middle of the jump, in the unit of the places; the interval is for a jump that
    stands, and covers too rarely where noise hides it."""

    jump: float
    """How far the level moves beyond the trend, in the unit of the values."""

    confirmed: bool


def change_point(
    values: Real[np.ndarray, " N"],
    *,
    seed: int,
    places: Real[np.ndarray, " N"] | None = None,
    unit: str = "index",
    name: str = "series",
    level: float = 0.05,
    minimum_jump: float = 0.0,
    most_persistence: float = 1.0,
    draws: int = 1999,
) -> ChangePoint:
    """Find the place of one jump in a series, and test whether there is any.

    The best of all jumps is compared with the best jump in simulated series that have none. As it
    does not depend on the trend's coefficients or the noise's size, only the noise's persistence
    is open, and the p-value is the largest over a grid of it. It holds for Gaussian noise around a
    trend of degree 2; tests say how it does for others. A bend sharper than such a trend, such as
    the steep start of a loss curve, is a jump to it.

    Args:
        values: The series, in order; evenly spaced or nearly so.
        seed: Of the simulated series.
        places: Where each was measured, such as training steps; None: 0, 1, 2 …
        unit: Of the places.
        name: Of the series, copied into the result.
        level: Chance of a false claim, and of an interval that misses.
        minimum_jump: Least jump worth a claim, in the unit of the values.
        most_persistence: Largest correlation of the noise with itself one value later, from 0 for
            noise that is drawn anew each time to 1 for a random walk. Smaller finds more and
            promises less.
        draws: Simulated series at each persistence.

    Raises:
        ConfigError: A setting is out of range.
        DataError: Too few values, some that are no numbers, places out of order, or a series that
            its trend explains whole, where a test is undefined.

    Source:
        Andrews (1993), "Tests for parameter instability and structural change with unknown change
        point": the largest F over places. Maximizing a Monte Carlo p-value over what is unknown:
        Dufour (2006). Ramps of several lengths and the random walk in the null are ours.

    Example:
        >>> jump = np.repeat([0.0, 1.0], 12) + 0.01 * np.sin(np.arange(24.0) ** 2)
        >>> found = change_point(jump, seed=0)
        >>> found.before, found.after, found.confirmed
        (11, 12, True)
    """
    check_level(level)
    if not 0.0 <= most_persistence <= 1.0:
        raise ConfigError(f"most_persistence must be from 0 to 1, got {most_persistence}")
    if draws < 99:
        raise ConfigError(
            f"draws must be at least 99 to tell anything at usual levels, got {draws}"
        )
    series = _checked(values, name)
    where = _places(places, len(series))
    design = design_of(len(series))
    rest = design.without_trend(series[None])
    if float(np.abs(rest).max()) <= RELATIVE_ROUNDING * float(np.abs(series).max()):
        raise DataError(
            f"{name} is its trend and nothing else, so that there is no noise to hold a jump "
            "against; leave it out, or measure it in finer steps"
        )
    fits = design.fits(rest)[0]
    best = int(fits.argmax())
    persistences = sorted({*(p for p in PERSISTENCES if p < most_persistence), most_persistence})
    beaten = [
        int((null_maxima(len(series), each, draws, seed) >= fits[best]).sum())
        for each in persistences
    ]
    start, span = design.candidates[best]
    p_value = (1 + max(beaten)) / (1 + draws)
    jump = design.jump(rest[0], best)
    return ChangePoint(
        name=name,
        p_value=p_value,
        before=start,
        after=start + span,
        location=_location(design, series, best, where, level=level, unit=unit, seed=seed),
        jump=jump,
        confirmed=p_value <= level and abs(jump) >= minimum_jump,
    )


def find_change_points(
    series: Mapping[str, Real[np.ndarray, " N"]],
    *,
    seed: int,
    places: Real[np.ndarray, " N"] | None = None,
    unit: str = "index",
    level: float = 0.05,
    minimum_jump: float = 0.0,
    most_persistence: float = 1.0,
    draws: int = 1999,
) -> tuple[ChangePoint, ...]:
    """The same for many series; those that are confirmed are chosen over all of them.

    Args:
        series: By name.
        seed: Of the simulated series.
        places: Where the values were measured, the same for all.
        unit: Of the places.
        level: Largest expected share of false claims among the series claimed to jump, whatever
            the dependence between them.
        minimum_jump: As for `change_point`.
        most_persistence: As for `change_point`.
        draws: As for `change_point`.

    Returns:
        One entry a series that is more than its trend, in the order given.

    Raises:
        PlumbruleError: As for `change_point`, but a series that is its trend and nothing else, such
            as a constant, is left out: nothing jumps in it.

    Source:
        Benjamini & Yekutieli (2001), false discovery rate under dependence.
    """
    check_false_share(level)
    found = []
    for name, values in series.items():
        array = _checked(values, name)
        rest = design_of(len(array)).without_trend(array[None])
        if float(np.abs(rest).max()) <= RELATIVE_ROUNDING * float(np.abs(array).max()):
            continue
        found.append(
            change_point(
                array,
                seed=seed,
                places=places,
                unit=unit,
                name=name,
                level=level,
                minimum_jump=minimum_jump,
                most_persistence=most_persistence,
                draws=draws,
            )
        )
    if not found:
        return ()
    # Series left out count as tried: they have a p-value of 1.
    p_values = [each.p_value for each in found] + [1.0] * (len(series) - len(found))
    adjusted = stats.false_discovery_control(p_values, method="by")
    return tuple(
        ChangePoint(**{**vars(each), "confirmed": each.confirmed and bool(share <= level)})
        for each, share in zip(found, adjusted[: len(found)], strict=True)
    )


def _location(
    design: Design,
    series: Float[np.ndarray, " N"],
    best: int,
    where: Float[np.ndarray, " N"],
    *,
    level: float,
    unit: str,
    seed: int,
    draws: int = 399,
) -> Estimate:
    """Middle of the jump, and how far off it is found in series with the same jump and like noise.

    The interval holds at least the two values between which the jump was found: closer than that
    the series cannot tell.
    """
    rest = design.without_trend(series[None])[0]
    shape = design.shapes[best]
    left = rest - (rest @ shape) * shape
    kept = float(left[1:] @ left[:-1] / max(float(left @ left), 1e-300))
    # What a trend and a jump leave is less persistent than the noise was; half of it is put back.
    persistence = float(np.clip(kept + (1 + 3 * max(kept, 0.0)) * 2 / len(left), 0.0, 0.97))
    noise = drifting_noise(np.random.default_rng(seed), draws, len(left), persistence)
    own = design.without_trend(noise)
    own -= (own @ shape)[:, None] * shape
    size = float(np.sqrt((left @ left) / (own**2).sum(axis=1).mean()))
    # The best fit is what explains most; the jumps' shapes have no trend left to take off.
    again = np.abs((rest - left + size * noise) @ design.shapes.T).argmax(axis=1)
    off = np.array([design.middle(int(each)) for each in again]) - design.middle(best)
    tail = level / 2
    start, span = design.candidates[best]
    last = len(series) - 1
    low = min(design.middle(best) - float(np.quantile(off, 1 - tail)), start)
    high = max(design.middle(best) - float(np.quantile(off, tail)), start + span)
    places = np.arange(len(series))
    value, low, high = (
        float(np.interp(np.clip(each, 0, last), places, where))
        for each in (design.middle(best), low, high)
    )
    return Estimate(
        value=value,
        low=low,
        high=high,
        level=1.0 - level,
        n=len(series),
        unit=unit,
        method="parametric bootstrap of the change point",
    )


def _checked(values: Real[np.ndarray, " N"], name: str) -> Float[np.ndarray, " N"]:
    array: np.ndarray = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < FEWEST:
        raise DataError(
            f"expected a series of at least {FEWEST} values, {name} has the shape {array.shape}; "
            "measure at more places"
        )
    if not np.isfinite(array).all():
        first = int(np.flatnonzero(~np.isfinite(array))[0])
        raise DataError(
            f"expected numbers, number {first} of {name} is {array[first]}; leave out the places "
            "that were not measured"
        )
    return array


def _places(places: Real[np.ndarray, " N"] | None, count: int) -> Float[np.ndarray, " N"]:
    where: np.ndarray = np.arange(count) if places is None else np.asarray(places)
    where = where.astype(np.float64)
    if where.shape != (count,) or any(one >= other for one, other in pairwise(where.tolist())):
        raise DataError(
            f"expected {count} places in rising order, one a value, got {where.tolist()}"
        )
    return where
