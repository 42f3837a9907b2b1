"""Which of many claims are confirmed, when all were made beside one another."""

import math

import numpy as np
from jaxtyping import Bool, Float, Real

from plumbrule.errors import ConfigError, DataError


def e_bh(e_values: Real[np.ndarray, " claims"], *, level: float) -> Bool[np.ndarray, " claims"]:
    """Choose the claims to make so that the expected share of false ones is at most `level`.

    Holds whatever the dependence between the claims, so they may be made on the same prompts.

    Args:
        e_values: One per claim considered, those one would rather forget included.
        level: Largest expected share of false claims among those made, strictly between 0 and 1.

    Returns:
        True where the claim is confirmed, in the order given; empty for no claims.

    Raises:
        ConfigError: `level` is not strictly between 0 and 1.
        DataError: An e-value is negative or not a number, or they do not lie along one axis.

    Source:
        Wang & Ramdas (2022), "False discovery rate control with e-values", JRSS-B: base e-BH.

    Example:
        >>> e_bh(np.array([50.0, 1.0, 30.0, 0.2]), level=0.1).tolist()
        [True, False, True, False]
    """
    check_false_share(level)
    evidence = checked_evidence(e_values, name="e-values")
    count = evidence.size
    descending = np.argsort(-evidence, kind="stable")
    ranks = np.arange(1, count + 1)
    enough = np.flatnonzero(evidence[descending] * ranks * level >= count)
    confirmed = np.zeros(count, dtype=bool)
    if enough.size:
        confirmed[descending[: enough[-1] + 1]] = True
    return confirmed


def holm(p_values: Real[np.ndarray, " claims"], *, level: float) -> Bool[np.ndarray, " claims"]:
    """Choose the claims to make so that the chance of any false one is at most `level`.

    Holds whatever the dependence between the claims.

    Args:
        p_values: One per claim considered.
        level: Largest chance that any claim made is false, strictly between 0 and 1.

    Returns:
        True where the claim is confirmed, in the order given; empty for no claims.

    Raises:
        ConfigError: `level` is not strictly between 0 and 1.
        DataError: A p-value is outside 0 to 1, or they do not lie along one axis.

    Source:
        Holm (1979), "A simple sequentially rejective multiple test procedure".

    Example:
        >>> holm(np.array([0.02, 0.5, 0.01]), level=0.05).tolist()
        [True, False, True]
    """
    check_false_share(level)
    chances = checked_evidence(p_values, largest=1.0, name="p-values")
    order = np.argsort(chances, kind="stable")
    enough = chances[order] <= level / np.arange(chances.size, 0, -1)
    confirmed = np.zeros(chances.size, dtype=bool)
    confirmed[order] = np.logical_and.accumulate(enough)
    return confirmed


def check_false_share(level: float) -> None:
    """Refuse a share of false claims that is not strictly between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise ConfigError(f"level must be strictly between 0 and 1, got {level}; 0.05 is usual")


def checked_evidence(
    values: Real[np.ndarray, " claims"], *, largest: float = math.inf, name: str
) -> Float[np.ndarray, " claims"]:
    """Take one number per claim as floats, or name the first that is not in `[0, largest]`.

    Raises:
        DataError: Not one axis, not numbers, or one of them outside the bounds or NaN.
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"{name} must lie along one axis, got the shape {array.shape}")
    if array.dtype.kind not in "iuf" and array.size:
        raise DataError(f"{name} must be numbers, got an array of {array.dtype}")
    floats = array.astype(np.float64)
    outside = np.flatnonzero(~((floats >= 0) & (floats <= largest)))  # NaN is outside as well
    if outside.size:
        first = int(outside[0])
        bounds = "0 or more" if math.isinf(largest) else f"between 0 and {largest:g}"
        raise DataError(
            f"{name} must be {bounds}, number {first} is {floats[first]}; "
            f"a claim that was not tested has none of these {name}: leave it out"
        )
    return floats
