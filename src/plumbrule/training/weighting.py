"""What each pair or example counts for in training."""

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

from plumbrule.errors import DataError


def relative_weights(
    names: Sequence[str], weights: Sequence[float], *, what: str = "pair"
) -> list[float]:
    """Weights as training takes them: 1 on average over the pairs that count.

    Only what weights are beside one another counts: all of 2 are as all of 1.

    Args:
        names: Of the pairs, for messages.
        weights: What each counts for, 0 or more; 0 is as if the pair were not there.
        what: What messages call one of them.

    Raises:
        DataError: A weight is negative or no finite number, or all are 0.

    Example:
        >>> relative_weights(["a", "b", "c"], [3.0, 0.0, 1.0])
        [1.5, 0.0, 0.5]
    """
    for name, weight in zip(names, weights, strict=True):
        if not (math.isfinite(weight) and weight >= 0):
            raise DataError(
                f"expected weights that are 0 or more, {what} {name!r} has {weight}; leave it out, "
                "or give it another"
            )
    total = math.fsum(weights)
    if weights and not total:
        raise DataError(
            f"expected a {what} that counts, all {len(weights)} have the weight 0, so that there "
            "is nothing to learn; give some a weight above 0"
        )
    mean = total / max(1, sum(weight > 0 for weight in weights))
    return [weight / mean for weight in weights]


class Named(Protocol):
    """Anything that messages can name."""

    @property
    def id(self) -> str: ...  # noqa: D102


Example = TypeVar("Example", bound=Named)


def weighed(
    examples: Sequence[Example], weights: Sequence[float] | None, *, what: str = "example"
) -> tuple[list[Example], list[float]]:
    """The examples that count, and what each counts for beside the others.

    Raises:
        DataError: There is not one weight an example, one is below 0 or no finite number, or all
            are 0.
    """
    if weights is None:
        return list(examples), [1.0] * len(examples)
    if len(weights) != len(examples):
        raise DataError(
            f"expected one weight an example, got {len(weights)} for {len(examples)} examples"
        )
    relative = relative_weights([one.id for one in examples], weights, what=what)
    kept = [(one, weight) for one, weight in zip(examples, relative, strict=True) if weight]
    return [one for one, _ in kept], [weight for _, weight in kept]


def weights_by_token(weights: Sequence[float], tokens: Sequence[int]) -> list[float]:
    """Weights as a loss takes them that is a mean over tokens: 1 on average over the tokens.

    So an example that weighs 2 gives the loss that two of it would give, whatever its length.

    Args:
        weights: Of the examples, all above 0.
        tokens: Learned tokens of each.

    Example:
        >>> weights_by_token([2.0, 1.0], [10, 30])
        [1.6, 0.8]
        >>> weights_by_token([3.0, 3.0], [7, 9])
        [1.0, 1.0]
    """
    if len(set(weights)) == 1:  # to the last bit, so that the trained files are the same bytes
        return [1.0] * len(weights)
    mean = math.fsum(w * n for w, n in zip(weights, tokens, strict=True)) / math.fsum(tokens)
    return [weight / mean for weight in weights]
