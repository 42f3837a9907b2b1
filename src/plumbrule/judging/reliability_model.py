"""The model behind an ensemble: how members err, learned from rows of votes and their counts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit

from plumbrule.judging.votes import Votes, said_votes

RIGHT, WRONG = 2.0, 1.0
"""Answers that every member is credited with before it is heard: two right, one wrong, for each
kind of reply. Weak, but it says which way round most judges answer; ours."""


@dataclass(frozen=True, kw_only=True)
class MemberState:
    """What is believed of the members. Axes: resamples, kind (kept, broken), member."""

    prevalence: Float[np.ndarray, " resamples"]
    right: Float[np.ndarray, "resamples 2 members"]


@dataclass(frozen=True, kw_only=True)
class VoteTable:
    """Different rows of votes and how often each occurs: what is learned depends on these alone."""

    said: Float[np.ndarray, "rows members"]
    heard: Bool[np.ndarray, "rows members"]
    truth: Float[np.ndarray, " rows"]
    counts: Float[np.ndarray, " rows"]
    item: Int[np.ndarray, " items"]
    """Row of each item."""

    @classmethod
    def of(cls, votes: Votes, truth: np.ndarray) -> "VoteTable":
        """From votes, and the truth where it is known (1, 0 or NaN)."""
        said, heard = said_votes(votes)
        code = np.column_stack([np.where(heard, said, -1), np.where(np.isnan(truth), -1, truth)])
        rows, item, counts = np.unique(code, axis=0, return_inverse=True, return_counts=True)
        return cls(
            said=np.maximum(rows[:, :-1], 0),
            heard=rows[:, :-1] >= 0,
            truth=np.where(rows[:, -1] < 0, np.nan, rows[:, -1]),
            counts=counts.astype(float),
            item=item.reshape(-1),
        )

    def start(self, same: np.ndarray) -> MemberState:
        """Where to begin: with what most families say, and where they tie, most members."""
        broken = np.zeros(len(self.said))
        for share, weights in ((0.75, self.heard / same.sum(axis=1)), (0.25, self.heard * 1.0)):
            total = weights.sum(axis=1)
            yes = (weights * self.said).sum(axis=1)
            broken += share * np.where(total > 0, yes / np.maximum(total, 1e-12), 0.5)
        return self.learn(self.counts[None], self.anchored(broken[None]))

    def anchored(self, broken: np.ndarray) -> np.ndarray:
        """What is known is known, whatever the votes."""
        return np.where(np.isnan(self.truth), broken, np.nan_to_num(self.truth))

    def learn(self, counts: np.ndarray, broken: np.ndarray) -> MemberState:
        """Reliabilities from what is believed of the items, with the prior."""
        yes, no = self.heard * self.said, self.heard * (1 - self.said)
        right = []
        for share, hit in ((1 - broken, no), (broken, yes)):
            weighed = counts * share
            right.append((weighed @ hit + RIGHT) / (weighed @ self.heard + RIGHT + WRONG))
        total = counts.sum(axis=1)
        return MemberState(
            prevalence=((counts * broken).sum(axis=1) + 1) / (total + 2),
            right=np.stack(right, axis=1),
        )

    def evidence(self, state: MemberState, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds that a member's "yes" and "no" add, in nats. Axes: resamples, members."""
        kept, broken = state.right[:, 0], state.right[:, 1]
        return np.log(broken / (1 - kept)) * weights, np.log((1 - broken) / kept) * weights

    def posterior(self, state: MemberState, weights: np.ndarray) -> np.ndarray:
        """What is believed of the items. Axes: resamples, rows."""
        yes, no = self.evidence(state, weights)
        prior = np.log(state.prevalence / (1 - state.prevalence))[:, None]
        odds = prior + yes @ (self.heard * self.said).T + no @ (self.heard * (1 - self.said)).T
        return self.anchored(expit(odds))

    def fit(
        self,
        counts: np.ndarray,
        state: MemberState,
        weights: np.ndarray,
        *,
        steps: int,
        learned: bool,
    ) -> MemberState:
        """Expectation and maximization in turns, until nothing moves."""
        if not learned:  # all alike, by the prior alone
            level = RIGHT / (RIGHT + WRONG)
            return MemberState(
                prevalence=np.full(len(counts), 0.5), right=np.full_like(state.right, level)
            )
        for _ in range(steps):
            new = self.learn(counts, self.posterior(state, weights))
            moved = np.abs(new.right - state.right).max()
            state = new
            if moved < 1e-7:
                break
        return state


def residual_correlation(
    table: VoteTable, state: MemberState, weights: np.ndarray, trusted: np.ndarray
) -> np.ndarray:
    """Correlation of two members' votes given the truth; what luck may bring counts as none."""
    broken = table.posterior(state, weights)[0]
    counts = table.counts * trusted
    cross = np.zeros((len(weights), len(weights)))
    for kind, share in ((0, 1 - broken), (1, broken)):
        rate = state.right[0, kind] if kind else 1 - state.right[0, kind]
        off = np.where(table.heard, table.said - rate, 0.0)
        cross += (off * (counts * share)[:, None]).T @ off
    both = (table.heard * counts[:, None]).T @ table.heard.astype(float)
    scale = np.sqrt(np.maximum(np.diag(cross), 1e-12))
    rho = np.clip(cross / np.outer(scale, scale), -1, 1)
    return np.where(rho > 3 / np.sqrt(np.maximum(both, 1)), rho, 0.0)
