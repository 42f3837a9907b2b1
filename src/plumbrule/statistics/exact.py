"""Exact one-sided tests of counts, for prompts that are looked at once."""

import numpy as np
from jaxtyping import Bool, Real

from plumbrule.errors import DataError


def share_above(said: Bool[np.ndarray, " items"], bound: float) -> float:
    """Test whether something happens more often than in a share of the cases.

    Args:
        said: Whether it happened, case by case; each case is a draw of its own.
        bound: The share that is allowed, strictly between 0 and 1.

    Returns:
        The chance of at least as many if its share is `bound` or less: a p-value.

    Raises:
        DataError: There are no cases, or the bound is no such share.

    Source:
        The exact binomial test: Clopper & Pearson (1934).

    Example:
        >>> round(share_above(np.array([True] * 3), 0.5), 3)
        0.125
    """
    from scipy.stats import binom

    if not len(said) or not 0 < bound < 1:
        raise DataError(
            f"expected some cases and a bound between 0 and 1, got {len(said)} and {bound}"
        )
    return float(binom.sf(int(said.sum()) - 1, len(said), bound))


def mostly_up(changes: Real[np.ndarray, " items"]) -> float:
    """Test whether what changed mostly rose.

    Args:
        changes: By how much each case changed; those that did not change say nothing.

    Returns:
        The chance of as many rises if a rise is no more likely than a fall: a p-value, 1 where
        nothing changed.

    Source:
        The exact sign test: Arbuthnot (1710); on yes and no it is McNemar's (1947), one-sided.

    Example:
        >>> mostly_up(np.array([1.0, 1.0, 0.5, 0.0]))
        0.125
    """
    from scipy.stats import binom

    up, down = int((changes > 0).sum()), int((changes < 0).sum())
    return float(binom.sf(up - 1, up + down, 0.5)) if up else 1.0
