"""Which of many claims stand, when all were made beside one another."""

import numpy as np
from jaxtyping import Bool, Real

from plumbrule.errors import ConfigError, DataError


def e_bh(e_values: Real[np.ndarray, " claims"], *, level: float) -> Bool[np.ndarray, " claims"]:
    """Choose the claims to make so that the expected share of false ones is at most `level`.

    Holds whatever the dependence between the claims, so they may be made on the same prompts.

    Args:
        e_values: One per claim considered, those one would rather forget included.
        level: Largest expected share of false claims among those made, strictly between 0 and 1.

    Returns:
        True where the claim stands, in the order given; empty for no claims.

    Raises:
        ConfigError: `level` is not strictly between 0 and 1.
        DataError: An e-value is negative or not a number, or they do not lie along one axis.

    Source:
        Wang & Ramdas (2022), "False discovery rate control with e-values", JRSS-B: base e-BH.

    Example:
        >>> e_bh(np.array([50.0, 1.0, 30.0, 0.2]), level=0.1).tolist()
        [True, False, True, False]
    """
    if not 0.0 < level < 1.0:
        raise ConfigError(f"level must be strictly between 0 and 1, got {level}; 0.05 is usual")
    evidence = np.asarray(e_values, dtype=np.float64)
    if evidence.ndim != 1:
        raise DataError(f"e-values must lie along one axis, got the shape {evidence.shape}")
    if not (evidence >= 0).all():  # also false for NaN
        first = int(np.flatnonzero(~(evidence >= 0))[0])
        raise DataError(
            f"e-values must be 0 or more, number {first} is {evidence[first]}; "
            "a claim that was not tested has no e-value: leave it out"
        )
    count = evidence.size
    descending = np.argsort(-evidence, kind="stable")
    ranks = np.arange(1, count + 1)
    enough = np.flatnonzero(evidence[descending] * ranks * level >= count)
    stand = np.zeros(count, dtype=bool)
    if enough.size:
        stand[descending[: enough[-1] + 1]] = True
    return stand
