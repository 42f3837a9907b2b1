"""What each labeled pair counts for in training."""

import math
from collections.abc import Sequence

from plumbrule.errors import DataError


def relative_weights(names: Sequence[str], weights: Sequence[float]) -> list[float]:
    """Weights as training takes them: 1 on average over the pairs that count.

    Only what weights are beside one another counts: all of 2 are as all of 1.

    Args:
        names: Of the pairs, for messages.
        weights: What each counts for, 0 or more; 0 is as if the pair were not there.

    Raises:
        DataError: A weight is negative or no finite number, or all are 0.

    Example:
        >>> relative_weights(["a", "b", "c"], [3.0, 0.0, 1.0])
        [1.5, 0.0, 0.5]
    """
    for name, weight in zip(names, weights, strict=True):
        if not (math.isfinite(weight) and weight >= 0):
            raise DataError(
                f"expected weights that are 0 or more, pair {name!r} has {weight}; leave it out, "
                "or give it another"
            )
    total = math.fsum(weights)
    if weights and not total:
        raise DataError(
            f"expected a pair that counts, all {len(weights)} have the weight 0, so that there is "
            "nothing to learn; give some a weight above 0"
        )
    mean = total / max(1, sum(weight > 0 for weight in weights))
    return [weight / mean for weight in weights]
