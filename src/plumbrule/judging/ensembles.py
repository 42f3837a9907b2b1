"""Several judges beside one another: how reliable each is, what they say together, who disagrees.

Judges share their errors, so that nine of them are worth about two, and the best one alone is
seldom beaten. An ensemble is for finding the items that people should look at first; what it says
itself is shown beside its best member. Axes: items x members. A vote is the probability that a
reply breaks its principle, NaN where a member did not answer; one half says nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy import stats
from scipy.special import expit

from plumbrule.errors import DataError
from plumbrule.judging.reliability_model import MemberState, VoteTable, residual_correlation
from plumbrule.judging.votes import (
    ALIKE,
    COPIES,
    Votes,
    check_votes,
    effective_votes,
    mean_error_correlation,
    same_family,
)
from plumbrule.records import Estimate

_ROUNDS, _STEPS, _WARM_STEPS = 4, 300, 25


LEAST_MEMBERS = 3
"""Independent members from whose disagreement alone reliabilities can be learned: with two, who is
right where they differ is anybody's guess (Dawid & Skene 1979)."""


FALSE_ALARM = 0.01
"""Chance that any member of an honest ensemble is accused of answering the reverse."""


LEAST_KNOWN = 30
"""Known replies from which correlations between members are taken from these alone: what is learned
without them takes errors that most members share for the truth. Ours."""


@dataclass(frozen=True, kw_only=True)
class MemberReliability:
    """What an ensemble learned of one member."""

    name: str

    sensitivity: Estimate
    """Share of broken replies that it calls broken."""

    specificity: Estimate
    """Share of kept replies that it calls kept."""

    accuracy: float
    """Share of all replies that it calls rightly, as learned."""

    weight: float
    """What its vote counts for, 1 for a member that errs by itself, 1/3 for one of three copies."""

    answers_reverse: bool
    """Whether it is confirmed to say the contrary of what the others say."""

    answered: int
    """Items it said something of."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """What several judges say together, and how far they can be trusted."""

    members: tuple[MemberReliability, ...]

    probability: Float[np.ndarray, " items"]
    """Probability that each reply is broken, by all votes and what was learned."""

    disagreement: Float[np.ndarray, " items"]
    """Share of the votes, turned round where a member answers the reverse, that go against the
    combination; 0: all agree; 1 where nobody answered."""

    prevalence: float
    """Share of broken replies, as learned."""

    correlation: float | None
    """Mean correlation between two members' errors; None where no two of them vary. Too low where
    fewer than 30 replies are known: what most members get wrong then passes for right."""

    effective_votes: float | None
    """Independent judges that would be worth as much: n / (1 + (n - 1) correlation)."""

    best: str
    """The member with the highest accuracy as learned: show it beside the combination."""

    learned: bool
    """Whether reliabilities were learned; where not, all members count alike."""

    reason: str
    """How they were learned, or why not."""


def learn_reliabilities(
    votes: Votes,
    *,
    names: Sequence[str],
    families: Sequence[str] | None = None,
    known: Float[np.ndarray, " items"] | None = None,
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> Ensemble:
    """Learn how reliable each judge is from where they disagree, and combine what they say.

    Each member has a sensitivity and a specificity; the truth of each item is unknown, or known for
    some. Both are estimated in turns until nothing moves. Members that err together beyond what
    their reliabilities explain are each counted for less, so that three copies have one vote.

    Args:
        votes: Probabilities that the reply is broken; above 0.5 is a "yes". Judges with a border
            of their own give probabilities moved to it, see `ask_members`.
        names: Of the members, all different.
        families: Members of one family are asked of the same model, say, and share one vote; None:
            each is by itself. Members that vote alike (correlation from 0.9) share one anyway.
        known: 1 for a reply known to be broken, 0 for one known to be kept, NaN for the others.
        level: Of the intervals of sensitivity and specificity.
        resamples: Bootstrap samples of the items, for the intervals.
        seed: Of the bootstrap.

    Returns:
        The ensemble. With fewer than three members that are not copies, and nothing known, no
        reliability can be learned: all are then taken as equal, and `learned` is False.

    Raises:
        DataError: No items or members, a vote outside 0 to 1, or names that do not fit.

    Source:
        Dawid & Skene (1979), "Maximum likelihood estimation of observer error-rates using the EM
        algorithm", JRSS C 28; Kish (1965) for effective votes. The prior, the discount for
        correlated members and the test for reversed ones are ours.

    Example:
        >>> truth = np.tile([1.0, 0.0], 50)
        >>> wrong = truth.copy()
        >>> wrong[:20] = 1 - wrong[:20]
        >>> other = truth.copy()
        >>> other[30:45] = 1 - other[30:45]
        >>> third = truth.copy()
        >>> third[60:70] = 1 - third[60:70]
        >>> found = learn_reliabilities(
        ...     np.stack([wrong, other, third], 1), names=["a", "b", "c"], resamples=50
        ... )
        >>> found.best, bool(((found.probability > 0.5) == truth).all())
        ('c', True)
    """
    given = check_votes(votes, names)
    truth = _check_known(known, len(given))
    anchored = bool(np.isfinite(truth).any())
    answering = np.isfinite(given).any(axis=0)
    independent = len(set(same_family(given, families, COPIES)[answering].tolist()))
    learned = anchored or independent >= LEAST_MEMBERS
    table = VoteTable.of(given, truth)
    groups = same_family(given, families, ALIKE if learned else math.inf)
    same = groups[:, None] == groups[None, :]
    trusted = np.isfinite(table.truth)
    if (table.counts * trusted).sum() < LEAST_KNOWN:
        trusted = np.ones(len(trusted), bool)
    rho = same.astype(float)
    state = table.start(same)
    for _ in range(_ROUNDS):
        weights = 1 / rho.sum(axis=1)
        state = table.fit(table.counts[None], state, weights, steps=_STEPS, learned=learned)
        if not learned:
            break
        rho = np.maximum(same, residual_correlation(table, state, weights, trusted))
    broken = table.posterior(state, weights)[0]
    reverse = _reversed(table, state, weights, same, learned)
    sensitivity, specificity = _intervals(table, state, weights, level, resamples, seed, learned)
    accuracy = (
        state.prevalence[0] * state.right[0, 1] + (1 - state.prevalence[0]) * state.right[0, 0]
    )
    members = tuple(
        MemberReliability(
            name=str(name),
            sensitivity=sensitivity[at],
            specificity=specificity[at],
            accuracy=float(accuracy[at]),
            weight=float(weights[at]),
            answers_reverse=bool(reverse[at]),
            answered=int(np.isfinite(given[:, at]).sum()),
        )
        for at, name in enumerate(names)
    )
    shown = np.where(reverse, 1 - table.said, table.said)
    used = trusted[table.item]
    correlation = mean_error_correlation(
        np.where(table.heard, shown, np.nan)[table.item][used], broken[table.item][used]
    )
    return Ensemble(
        members=members,
        probability=broken[table.item],
        disagreement=_disagreement(table, shown, broken)[table.item],
        prevalence=float(state.prevalence[0]),
        correlation=correlation,
        effective_votes=None if correlation is None else effective_votes(len(names), correlation),
        best=max(members, key=lambda each: each.accuracy).name,
        learned=learned,
        reason=_how(learned, anchored, independent, truth),
    )


def most_disputed(ensemble: Ensemble, count: int) -> Int[np.ndarray, " chosen"]:
    """The items that people should see first, the most disputed in front.

    Args:
        ensemble: What the members said.
        count: How many.

    Returns:
        Their numbers: nearest to one half first, of equal ones those more of the votes go against.
    """
    sure = np.abs(ensemble.probability - 0.5).round(9)
    order = np.lexsort((-ensemble.disagreement, sure))
    return np.asarray(order[:count])


def _check_known(known: Float[np.ndarray, " items"] | None, items: int) -> np.ndarray:
    truth = np.full(items, np.nan) if known is None else np.asarray(known, float)
    if truth.shape != (items,) or not (np.isnan(truth) | np.isin(truth, (0.0, 1.0))).all():
        raise DataError(
            f"what is known must be 1, 0 or NaN for each of {items} items, "
            f"got an array of shape {truth.shape} with {np.unique(truth)[:5]}"
        )
    return truth


def _reversed(
    table: VoteTable, state: MemberState, weights: np.ndarray, same: np.ndarray, learned: bool
) -> np.ndarray:
    """Members that say the contrary of what the others and the known replies say.

    Each is held against the combination without it and its family, by Fisher's exact test.
    """
    evidence = table.heard * np.where(table.said > 0, *table.evidence(state, weights))
    prior = math.log(state.prevalence[0] / (1 - state.prevalence[0]))
    members = len(weights)
    found = np.zeros(members, bool)
    if not learned and members < LEAST_MEMBERS:  # either would accuse the other
        return found
    for at in range(members):
        others = np.where(same[at], 0.0, evidence).sum(axis=1)
        told = (np.abs(others) > 1e-9) | np.isfinite(table.truth)
        broken = table.anchored(expit(prior + others)) > 0.5
        used = table.heard[:, at] & told
        yes = table.said[:, at] > 0
        cells = [
            [table.counts[used & (yes == one) & (broken == two)].sum() for two in (True, False)]
            for one in (True, False)
        ]
        p_value = stats.fisher_exact(np.asarray(cells, int), alternative="less").pvalue
        turned = not learned or state.right[0, :, at].sum() < 1
        found[at] = bool(turned and p_value * members <= FALSE_ALARM)
    return found


def _intervals(
    table: VoteTable,
    state: MemberState,
    weights: np.ndarray,
    level: float,
    resamples: int,
    seed: int,
    learned: bool,
) -> tuple[list[Estimate], list[Estimate]]:
    """Sensitivities and specificities with intervals, from items drawn anew.

    The bootstrap's variance says how many plain observations the estimate is worth; an interval
    for proportions of that many keeps its width near 0 and 1.
    """
    broken = table.posterior(state, weights)[0]
    rng = np.random.default_rng(seed)
    items = int(table.counts.sum())
    if learned and resamples > 1:
        drawn = rng.multinomial(items, table.counts / items, size=resamples).astype(float)
        start = replace(
            state,
            prevalence=np.repeat(state.prevalence, resamples),
            right=np.repeat(state.right, resamples, axis=0),
        )
        again = table.fit(drawn, start, weights, steps=_WARM_STEPS, learned=True)
        variance = again.right.var(axis=0)
    else:
        variance = np.full(state.right.shape[1:], np.inf)
    found: list[list[Estimate]] = []
    for kind, share in ((1, broken), (0, 1 - broken)):
        heard = (table.counts * share) @ table.heard
        row = []
        for at, value in enumerate(state.right[0, kind].tolist()):
            plain = value * (1 - value) / max(float(variance[kind, at]), 1e-12)
            worth = min(float(heard[at]), plain)
            tail = (1 - level) / 2
            low, high = stats.beta.ppf(
                [tail, 1 - tail], value * worth + 0.5, (1 - value) * worth + 0.5
            )
            row.append(
                Estimate(
                    value=value,
                    low=min(float(low), value),
                    high=max(float(high), value),
                    level=level,
                    n=round(float(heard[at])),
                    unit="replies of this kind told rightly",
                    method="Dawid-Skene, bootstrap variance, Jeffreys interval",
                )
            )
        found.append(row)
    return found[0], found[1]


def _disagreement(table: VoteTable, shown: np.ndarray, broken: np.ndarray) -> np.ndarray:
    against = table.heard & ((shown > 0.5) != (broken > 0.5)[:, None])
    heard = table.heard.sum(axis=1)
    return np.where(heard > 0, against.sum(axis=1) / np.maximum(heard, 1), 1.0)


def _how(learned: bool, anchored: bool, independent: int, truth: np.ndarray) -> str:
    if anchored:
        return f"learned from disagreement, and from {np.isfinite(truth).sum()} known replies"
    if learned:
        return f"learned from disagreement between {independent} independent members"
    return (
        f"not learned: {independent} independent members, {LEAST_MEMBERS} are needed where nothing "
        "is known; add judges of another kind, or replies whose verdict is known"
    )
