"""Votes of several judges on the same items, and how far they err together.

Axes: items I, members M.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from plumbrule.errors import DataError

Votes = Float[np.ndarray, "items members"]
"""Probability that the item's reply breaks its principle, by member; NaN: no answer."""


COPIES, ALIKE = 0.995, 0.9
"""Correlations of two members' votes from which they are the same judge for learning, and from
which they share one vote because neither has much to add to the other. Ours."""


def effective_votes(members: int, correlation: float) -> float:
    """How many judges without common errors are worth as much as these.

    Args:
        members: Judges.
        correlation: Mean correlation between two judges' errors; below 0 counts as 0.

    Source:
        Kish (1965), "Survey Sampling": the design effect 1 + (n - 1) rho.

    Example:
        >>> round(effective_votes(9, 0.45), 2)
        1.96
    """
    return members / (1 + (members - 1) * max(correlation, 0.0))


def mean_error_correlation(votes: Votes, truth: Float[np.ndarray, " items"]) -> float | None:
    """Mean correlation between two judges' errors, over all pairs that vary.

    Args:
        votes: Probabilities; above 0.5 is a "yes", NaN and 0.5 no answer.
        truth: 1 broken, 0 kept; or the probability of it, where it is not known.

    Returns:
        From -1 to 1; None where no pair of judges both err on some and not on all items.
    """
    said, heard = said_votes(votes)
    # Expected products of errors: an error of a "yes" has the probability that it is kept.
    found = []
    for one in range(said.shape[1]):
        for two in range(one):
            both = heard[:, one] & heard[:, two]
            if both.sum() < 2:
                continue
            yes = truth[both]
            first, second = said[both, one], said[both, two]
            wrong_1 = yes * (1 - first) + (1 - yes) * first
            wrong_2 = yes * (1 - second) + (1 - yes) * second
            together = yes * (1 - first) * (1 - second) + (1 - yes) * first * second
            rate_1, rate_2 = wrong_1.mean(), wrong_2.mean()
            scale = math.sqrt(rate_1 * (1 - rate_1) * rate_2 * (1 - rate_2))
            if scale > 1e-9:
                found.append((together.mean() - rate_1 * rate_2) / scale)
    return float(np.mean(found)) if found else None


def check_votes(votes: Votes, names: Sequence[str]) -> Votes:
    """Refuse votes that are none.

    Raises:
        DataError: No items or members, a vote outside 0 to 1, a member without a name of its own.
    """
    given = np.asarray(votes)
    if given.ndim != 2 or given.dtype.kind not in "biuf" or 0 in given.shape:
        raise DataError(
            "votes must be a table of numbers, items x members, with some of both; got "
            f"{given.dtype} of shape {given.shape}. Put NaN where a member did not answer."
        )
    given = given.astype(float)
    outside = ~(np.isnan(given) | ((given >= 0) & (given <= 1)))
    if outside.any():
        item, member = (int(each) for each in np.argwhere(outside)[0])
        raise DataError(
            "a vote must be a probability from 0 to 1, or NaN for no answer; item "
            f"{item}, member {member} has {given[item, member]}"
        )
    if len(names) != given.shape[1] or len(set(names)) != len(names):
        raise DataError(
            f"expected {given.shape[1]} different names, one a member, got {list(names)}"
        )
    return given


def said_votes(votes: Votes) -> tuple[np.ndarray, np.ndarray]:
    """Votes as 1 and 0, and where there is one: one half says nothing."""
    heard = np.isfinite(votes) & (votes != 0.5)
    return np.where(heard, votes > 0.5, 0).astype(float), heard


def same_family(votes: Votes, families: Sequence[str] | None, alike: float) -> np.ndarray:
    """Number of the family of each member; members whose votes correlate so much are one."""
    said, heard = said_votes(votes)
    count = votes.shape[1]
    if families is not None and len(families) != count:
        raise DataError(f"expected a family for each of {count} members, got {len(families)}")
    group = np.arange(count) if families is None else np.unique(families, return_inverse=True)[1]
    for one in range(count):
        for two in range(one):
            both = heard[:, one] & heard[:, two]
            first, second = said[both, one], said[both, two]
            varied = both.sum() > 1 and first.std() > 0 and second.std() > 0
            if varied and np.corrcoef(first, second)[0, 1] >= alike:
                group = np.where(group == group[one], group[two], group)
    return np.asarray(group)
