"""What candidates for a rule say of labeled pairs, and how far that explains the labels.

Axes: N pairs, M rules, F faces, C conditions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.drafting.candidates import Face, Library, PreferenceRule
from plumbrule.drafting.pairs import LabeledPair

RIDGE = 2.0
"""Inverse variance of what a single phrase weighs beforehand, in log-odds."""

Votes = Float[np.ndarray, "N M"]
"""What each rule says of each pair: 1 for the first reply, -1 for the second, 0 for neither."""


def fit(
    votes: Votes, labels: Float[np.ndarray, " N"], ridge: Float[np.ndarray, " M"] | float = 0.1
) -> tuple[Float[np.ndarray, " M"], float]:
    """Weights of a logistic model without an intercept, and its log-likelihood."""
    weights = np.zeros(votes.shape[1])
    held = np.broadcast_to(np.asarray(ridge, dtype=np.float64), weights.shape)
    for _ in range(30):
        predicted = chances(votes @ weights)
        slope = votes.T @ (labels - predicted) - held * weights
        spread = predicted * (1 - predicted)
        curve = (votes * spread[:, None]).T @ votes + np.diag(held)
        step = np.linalg.solve(curve, slope)
        weights = weights + np.clip(step, -2, 2)
        if np.abs(step).max(initial=0) < 1e-8:
            break
    odds = np.clip(votes @ weights, -30, 30)
    return weights, float((labels * odds - np.logaddexp(0, odds)).sum())


def chances(odds: np.ndarray) -> np.ndarray:
    """Probabilities of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


def labels_of(pairs: Sequence[LabeledPair]) -> Float[np.ndarray, " N"]:
    """How likely the first reply of each pair is the better one."""
    return np.array([pair.probability for pair in pairs], dtype=np.float64)


def cast(rules: Sequence[PreferenceRule], library: Library, pairs: Sequence[LabeledPair]) -> Votes:
    """The votes of some rules."""
    rows = [library.votes(rule, pairs) for rule in rules]
    return np.array(rows).reshape(len(rows), len(pairs)).T


@dataclass(frozen=True, kw_only=True, eq=False)
class Ballots:
    """Every face under every condition, on the pairs that principles are proposed from."""

    library: Library
    pairs: Sequence[LabeledPair]
    labels: Float[np.ndarray, " N"]
    shown: Float[np.ndarray, "N F"]
    holds: Float[np.ndarray, "N C"]
    single: Float[np.ndarray, "N phrases"]
    """Which reply has each single phrase."""

    cost: Float[np.ndarray, "F C"]
    """Log of the number of rules of the kind, which each has to make up for."""

    @classmethod
    def of(cls, library: Library, pairs: Sequence[LabeledPair]) -> "Ballots":
        """Have all that a library knows vote on some pairs."""
        faces, conditions = library.faces, library.conditions
        shown, single = library.table(pairs)
        topics = library.topics.of(pairs)
        holds = np.array(
            [
                topics[each.topics] == each.topic
                if each.kind == "topic"
                else library.holds(each, pairs)
                for each in conditions
            ],
            dtype=np.float64,
        ).T
        kinds = np.array([face.kind for face in faces])
        by_face = np.log([max(1, int((kinds == kind).sum())) for kind in kinds])
        always = np.array([each.kind == "always" for each in conditions])
        by_condition = np.where(always, 0.0, np.log(max(2, len(conditions))))
        return cls(
            library=library,
            pairs=pairs,
            labels=labels_of(pairs),
            shown=shown.astype(np.float64),
            holds=holds,
            single=single.astype(np.float64),
            cost=by_face[:, None] + by_condition[None, :] + np.log(2),
        )

    def votes(self, rules: Sequence[PreferenceRule]) -> Votes:
        """The votes of some rules on these pairs."""
        return cast(rules, self.library, self.pairs)

    def ranked(
        self, votes: Votes, *, strict: float, price: float, most: int
    ) -> Iterator[tuple[PreferenceRule, float, float]]:
        """Rules that would explain most beside others, with what each gains net and its cost.

        Args:
            votes: Of the others.
            strict: Share of its cost that a rule has to make up for.
            price: Nats that it has to make up for besides.
            most: How many at most.
        """
        weights, _ = fit(votes, self.labels)
        predicted = chances(votes @ weights)
        residual, spread = self.labels - predicted, predicted * (1 - predicted)
        gain = (self.shown * residual[:, None]).T @ self.holds
        information = (self.shown**2 * spread[:, None]).T @ self.holds
        z = gain / np.sqrt(np.maximum(information, 1e-9))
        worth = np.where(information >= 1.0, z**2 / 2 - strict * self.cost, -np.inf) - price
        for flat in np.argsort(-worth, axis=None, kind="stable")[:most].tolist():
            face, condition = np.unravel_index(flat, worth.shape)
            rule = PreferenceRule(
                face=self.library.faces[face],
                direction=1 if z[face, condition] > 0 else -1,
                condition=self.library.conditions[condition],
            )
            yield rule, float(worth[face, condition]), float(self.cost[face, condition])

    def pulls(
        self,
        rules: Sequence[PreferenceRule],
        votes: Votes,
        holds: Float[np.ndarray, "N C"] | None = None,
    ) -> tuple[Float[np.ndarray, "phrases C"], Float[np.ndarray, "phrases C"]]:
        """How each phrase pulls under each condition beside all others, in standard errors.

        All phrases enter at once, held back by a ridge: replies that open with one thing do not
        open with another, so that each by itself would seem to pull the other way of its neighbors.

        Args:
            rules: Rules that explain what is theirs.
            votes: Of these.
            holds: Where each condition holds; None: of all conditions.

        Returns:
            Standard errors from 0, and the information behind each.
        """
        library, labels = self.library, self.labels
        holds = self.holds if holds is None else holds
        columns = np.flatnonzero(library.own & library.free & self.untaken(rules))
        table = np.column_stack([votes, self.single[:, columns]])
        ridge = np.array([0.1] * votes.shape[1] + [RIDGE] * len(columns))
        weights, _ = fit(table, labels, ridge)
        predicted = chances(table @ weights)
        own = np.zeros(len(library.phrases))
        own[columns] = weights[votes.shape[1] :]
        information = (self.single**2 * (predicted * (1 - predicted))[:, None]).T @ holds
        gain = (self.single * (labels - predicted)[:, None]).T @ holds + own[:, None] * information
        return gain / np.sqrt(np.maximum(information, 1e-9)), information

    def untaken(
        self, rules: Sequence[PreferenceRule], but: Face | None = None
    ) -> Bool[np.ndarray, " phrases"]:
        """Which phrases are in none of some rules, or are in one face all the same."""
        taken = frozenset[str]().union(*(rule.face.phrases for rule in rules))
        taken -= but.phrases if but else frozenset()
        return np.array([phrase not in taken for phrase in self.library.phrases], dtype=bool)

    def joining(
        self,
        untaken: Bool[np.ndarray, " phrases"],
        opening: bool,
        information: Float[np.ndarray, " phrases"],
    ) -> np.ndarray:
        """Rows of the phrases that can join a set of those near the beginning, or not near it."""
        library = self.library
        return np.flatnonzero(
            library.own
            & library.free
            & untaken
            & (library.openings == opening)
            & (information >= 1.0)
        )
