"""What every procedure refuses: a level that is none, data that numpy would quietly stretch."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Real

from plumbrule.errors import ConfigError, DataError

Observations = Real[np.ndarray, " observations"] | Bool[np.ndarray, " observations"]
"""One number per prompt; true and false count as 1 and 0."""


def check_level(level: float) -> None:
    """Refuse a confidence level that is not strictly between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise ConfigError(
            f"level must be strictly between 0 and 1, got {level}; 0.95 is the usual one"
        )


def bounded(
    values: Observations, *, low: float, high: float, name: str
) -> Float[np.ndarray, " observations"]:
    """Take the observations as floats, or name the first that is not in `[low, high]`.

    Raises:
        DataError: Not one axis, not numbers, or one of them outside the bounds or not finite.
    """
    array: np.ndarray[Any, Any] = np.asarray(values)
    if array.ndim != 1:
        raise DataError(
            f"{name} must have one axis, one number a prompt; got the shape {array.shape}"
        )
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} must hold numbers, got an array of {array.dtype}")
    floats = array.astype(np.float64)
    outside = ~((floats >= low) & (floats <= high))
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise DataError(
            f"{name} must lie between {low:g} and {high:g}; number {first} is {floats[first]}. "
            "Leave out what was not judged, and rescale what has other bounds."
        )
    return floats


def check_same_prompts(before: Observations, after: Observations) -> None:
    """Refuse two arrays of other lengths: numpy would stretch one score over all prompts."""
    shapes = np.shape(before), np.shape(after)
    if shapes[0] != shapes[1]:
        raise DataError(
            "both models must answer the same prompts in the same order, "
            f"got the shapes {shapes[0]} and {shapes[1]}"
        )


def check_some(count: int, *, name: str) -> None:
    """Refuse nothing at all: a mean over no observations is undefined."""
    if count == 0:
        raise DataError(
            f"{name} needs at least one observation, got 0: the number is undefined. "
            "Report it as not measured, with the reason why nothing was observed."
        )
