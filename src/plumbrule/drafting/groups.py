"""Opinion groups: people who vote alike, as Polis finds them, and whether there are any.

Votes are laid out along the two directions in which people differ most, and k-means cuts that plane
into as many groups as the silhouette says. A silhouette is never 0, also of people who vote at
random, so it is held against tables in which each statement keeps its votes and the people who cast
them are shuffled. Axes: P people, S statements.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int8
from scipy.linalg import eigh

from plumbrule.errors import ConfigError
from plumbrule.statistics.checks import check_level
from plumbrule.store import derive_seed

LEAST_VOTES = 7
"""Votes of a person who is put into a group; so in Polis. All of them where there are fewer
statements."""

MOST_GROUPS = 5
"""As in Polis."""

LEAST_PEOPLE = 12
"""People with enough votes below whom no groups are looked for."""

SHUFFLES = 99
"""Shuffled tables that the silhouette is held against."""

_SAMPLED = 1500
"""People by whom a silhouette is measured: its cost grows with their square."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OpinionGroups:
    """Who votes with whom."""

    of: Int[np.ndarray, " P"]
    """Group of each person, the largest 0; -1 for those with too few votes, and for all where no
    groups are known."""

    sizes: tuple[int, ...]
    """People in each; empty where no groups are known."""

    positions: Float[np.ndarray, "P 2"]
    """Where each person is on the plane; 0 for those who voted on nothing."""

    silhouette: float | None
    """Of the best cut, from -1 to 1; None where none was looked for."""

    p_value: float | None
    """Share of tables, the observed among the shuffled, that stand out at least as much; None where
    that was not tested."""

    reason: str | None
    """Why no groups are known; None where they are."""

    @property
    def count(self) -> int:
        """Groups that are known."""
        return len(self.sizes)

    @property
    def names(self) -> tuple[str, ...]:
        """Letters in their order: A is the largest."""
        return tuple(chr(ord("A") + at) for at in range(self.count))


def find_groups(
    votes: Float[np.ndarray, "P S"] | Int8[np.ndarray, "P S"],
    seen: Bool[np.ndarray, "P S"],
    *,
    seed: int,
    cast: Int[np.ndarray, " P"] | None = None,
    most: int = MOST_GROUPS,
    fine: bool = False,
    shuffles: int = SHUFFLES,
    level: float = 0.01,
) -> OpinionGroups:
    """Find groups of people who vote alike.

    Args:
        votes: 1 agrees, -1 disagrees, 0 passed or saw nothing; between, where a column stands for
            several statements.
        seen: Where a person voted.
        cast: Votes that each person cast, where a column stands for several statements.
        seed: Of k-means and of the shuffled tables.
        most: Groups at most.
        fine: Take as many groups as are allowed, to tell statements apart by them.
        shuffles: Shuffled tables; at least 1 / `level` - 1, or nothing could be found. 0 where it
            is known already that there are groups: then it is not tested.
        level: Chance of claiming groups where people vote at random.

    Returns:
        The groups, or why none are known.

    Raises:
        ConfigError: A setting is out of range.

    Source:
        Small et al. (2021), "Polis: Scaling deliberation by mapping high dimensional opinion
        spaces": missing votes at the statement's mean, two principal components, people with few
        votes moved out by the square root of their missing share, k-means, silhouette, at least 7
        votes. That the largest silhouette stands out from those of shuffled tables decides whether
        there are groups (a Monte Carlo permutation test, ours). How many, Polis decides by the
        silhouette too, which prefers two where a small group lies far off; here it is the cut that
        the Bayesian information criterion of latent classes prefers.
    """
    check_level(level)
    if not 2 <= most <= 26:
        raise ConfigError(f"groups at most must be between 2 and 26, got {most}")
    if shuffles and (shuffles + 1) * level < 1:
        raise ConfigError(
            f"expected at least {int(np.ceil(1 / level)) - 1} shuffled tables to decide at "
            f"{level:g}, got {shuffles}"
        )
    positions = np.zeros((len(votes), 2))
    none = np.full(len(votes), -1, dtype=np.int64)
    enough = (seen.sum(1) if cast is None else cast) >= min(LEAST_VOTES, max(1, seen.shape[1]))
    some = np.flatnonzero(enough)

    def unknown(
        reason: str, silhouette: float | None = None, p_value: float | None = None
    ) -> OpinionGroups:
        return OpinionGroups(
            of=none,
            sizes=(),
            positions=positions,
            silhouette=silhouette,
            p_value=p_value,
            reason=reason,
        )

    if not len(votes):
        return unknown("there are no votes")
    if seen.shape[1] < 3:
        return unknown(f"there are {seen.shape[1]} statements with votes, and 3 are needed")
    if len(some) < LEAST_PEOPLE:
        return unknown(
            f"{len(some)} people cast {min(LEAST_VOTES, seen.shape[1])} votes or more, and "
            f"{LEAST_PEOPLE} are needed"
        )
    chosen, given = votes[some].astype(np.float64), seen[some]
    positions[some] = plane = _plane(chosen, given)
    state = derive_seed(seed, "opinion groups") % 2**32
    places = len(np.unique(plane.round(9), axis=0))
    counts = range(2, min(most, max(2, places - 1)) + 1)
    if places < 2:
        return unknown("all people vote alike, so nothing tells groups apart")
    cuts = [_cut(plane, count, state, starts=10) for count in counts]
    rng = np.random.default_rng(derive_seed(seed, "shuffled votes"))
    by_chance = []
    for _ in range(shuffles):
        shuffled = _plane(_shuffled(chosen, given, rng), given)
        by_chance.append([_cut(shuffled, count, state, starts=1)[0] for count in counts])
    # The observed table is one among the shuffled: so the test is exact.
    found = np.array([[cut[0] for cut in cuts], *by_chance])
    above = (found - found.mean(0)) / np.maximum(found.std(0), 1e-9)
    p_value = float((above.max(1) >= above[0].max()).mean())
    numbered = len(cuts) - 1 if fine else _described_best(chosen, given, [cut[1] for cut in cuts])
    best, labels = cuts[numbered]
    if shuffles and p_value > level:
        return unknown(
            f"votes shuffled among the people fall into groups as well (silhouette {best:.2f}, "
            f"p = {p_value:.2f})",
            best,
            p_value,
        )
    order = np.argsort(-np.bincount(labels), kind="stable")
    of = none.copy()
    of[some] = np.argsort(order)[labels]
    return OpinionGroups(
        of=of,
        sizes=tuple(np.bincount(labels)[order].tolist()),
        positions=positions,
        silhouette=best,
        p_value=p_value if shuffles else None,
        reason=None,
    )


def _described_best(
    votes: Float[np.ndarray, "P S"],
    seen: Bool[np.ndarray, "P S"],
    cuts: Sequence[Int[np.ndarray, " P"]],
) -> int:
    """Which cut describes the votes best for the numbers it takes (BIC of latent classes)."""
    kinds = np.stack([(np.sign(votes) == sign) & seen for sign in (1, -1, 0)], axis=2)
    scores = []
    for labels in cuts:
        member = np.eye(int(labels.max()) + 1)[labels]
        counts = np.einsum("pg,psk->gsk", member, kinds.astype(np.float64))
        share = (counts + 0.5) / (counts.sum(2, keepdims=True) + 1.5)
        likelihood = float((counts * np.log(share)).sum())
        sizes = member.sum(0)
        likelihood += float((sizes * np.log(sizes / len(labels))).sum())
        numbers = 2 * seen.shape[1] * len(sizes) + len(sizes) - 1
        scores.append(likelihood - numbers * np.log(max(2.0, seen.sum(0).mean())) / 2)
    return int(np.argmax(scores))


def _plane(votes: Float[np.ndarray, "P S"], seen: Bool[np.ndarray, "P S"]) -> np.ndarray:
    """Two principal components, missing votes at the statement's mean."""
    counts = seen.sum(0)
    means = votes.sum(0) / np.maximum(counts, 1)
    centered = np.where(seen, votes - means, 0.0)
    people, statements = centered.shape
    # The smaller of the two products has the same eigenvalues.
    if statements <= people:
        _, axes = eigh(centered.T @ centered, subset_by_index=(statements - 2, statements - 1))
        plane = centered @ axes[:, ::-1]
    else:
        sizes, rows = eigh(centered @ centered.T, subset_by_index=(people - 2, people - 1))
        plane = rows[:, ::-1] * np.sqrt(np.maximum(sizes[::-1], 0))
    signs = np.sign(plane[np.abs(plane).argmax(0), (0, 1)])
    plane = plane * np.where(signs == 0, 1, signs)
    stretch = np.sqrt(statements / np.maximum(seen.sum(1), 1))
    return np.asarray(plane * stretch[:, None])


def _cut(
    plane: Float[np.ndarray, "P 2"], count: int, state: int, *, starts: int
) -> tuple[float, Int[np.ndarray, " P"]]:
    """Cut the plane into a number of groups: the silhouette, and each person's group."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    if len(np.unique(plane.round(9), axis=0)) < count:
        return -1.0, np.zeros(len(plane), dtype=np.int64)
    labels = KMeans(count, n_init=starts, random_state=state).fit(plane).labels_.astype(np.int64)
    size = _SAMPLED if len(plane) > _SAMPLED else None
    return float(silhouette_score(plane, labels, sample_size=size, random_state=state)), labels


def _shuffled(
    votes: Float[np.ndarray, "P S"], seen: Bool[np.ndarray, "P S"], rng: np.random.Generator
) -> Float[np.ndarray, "P S"]:
    """Each statement's votes, cast by others of those who voted on it."""
    mixed = np.zeros_like(votes)
    for column in range(votes.shape[1]):
        rows = np.flatnonzero(seen[:, column])
        mixed[rows, column] = votes[rng.permutation(rows), column]
    return mixed


def group_consensus(
    agrees: Int[np.ndarray, "G S"], voted: Int[np.ndarray, "G S"]
) -> Float[np.ndarray, " S"]:
    """Group-aware consensus: the product over groups of the smoothed share that agrees.

    Args:
        agrees: People of each group who agree with each statement.
        voted: People of each group who voted on it, passes included.

    Returns:
        From 0 to 1; more groups make it smaller, so it compares statements of one conversation.

    Source:
        Small et al. (2021): the product over groups of (agrees + 1) / (votes + 2).

    Example:
        >>> group_consensus(np.array([[8], [3]]), np.array([[8], [8]])).round(2).tolist()
        [0.36]
    """
    return np.asarray(np.prod((agrees + 1) / (voted + 2), axis=0), dtype=np.float64)


def counts_by_group(
    stance: Int8[np.ndarray, "P V"], voted: Bool[np.ndarray, "P V"], groups: Sequence[int]
) -> tuple[Int[np.ndarray, "G V"], Int[np.ndarray, "G V"]]:
    """How many of each group agree, and how many voted.

    Args:
        stance: 1 where a person agrees.
        voted: Where a person voted at all.
        groups: Group of each person, counted from 0; -1 for none.
    """
    of = np.asarray(groups)
    rows = [of == group for group in range(int(of.max(initial=-1)) + 1)]
    agrees = np.array([((stance == 1) & voted)[row].sum(0) for row in rows], dtype=np.int64)
    counts = np.array([voted[row].sum(0) for row in rows], dtype=np.int64)
    shape = (len(rows), stance.shape[1])
    return agrees.reshape(shape), counts.reshape(shape)
