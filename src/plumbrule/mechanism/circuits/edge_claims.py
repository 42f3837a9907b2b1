"""Which edges are confirmed: each held against chance on held-out pairs, all of them together.

**The null and its test.** Under the null an edge moves the metric that far, that way, in at most
half of all pairs. Pairs are drawn independently, so that the number of those in which it does is at
worst a count of fair coins, whatever the effects' distribution: no symmetry, no scale and no normal
approximation enter. Betting on that count gives an e-value; the average over both directions and
both signs is one too. e-BH over all edges of the graph, those not patched counted with an e-value
of 0, keeps the expected share of false claims at the level whatever the dependence between edges,
which share prompts and so are strongly dependent.

Axes: P pairs, E edges.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError
from plumbrule.mechanism.circuits.graph import Edge
from plumbrule.records import Estimate, strict
from plumbrule.statistics import clopper_pearson, e_bh
from plumbrule.statistics.multiple import check_false_share
from plumbrule.statistics.sequences import log_wealth

HALF = 0.5
"""Share of all pairs in which an edge may matter under the null."""


@strict
@dataclass(frozen=True, kw_only=True)
class EdgeClaim:
    """One edge that was patched exactly."""

    edge: Edge
    effect: float
    """How far corrupting it moves the metric of the clean prompt, mean over held-out pairs."""

    restored: float
    """How far restoring it moves the metric of the corrupted prompt, likewise."""

    share: float
    """The larger of both as a share of what tells the prompts apart; above 0 where the edge helps
    the right answer."""

    matters: Estimate
    """Share of held-out pairs in which it moves the metric by the minimum, that way."""

    e_value: float
    confirmed: bool


Moves = Float[np.ndarray, "P E"]


def edge_claims(
    edges: Sequence[Edge],
    effect: Moves,
    restored: Moves,
    *,
    size: float,
    minimum_share: float,
    scanned: int,
    fdr: float,
) -> tuple[EdgeClaim, ...]:
    """Decide which edges matter.

    Args:
        edges: Edges that were patched.
        effect: How far corrupting each moves the metric of each clean prompt.
        restored: How far restoring each moves the metric of each corrupted prompt.
        size: What tells the prompts apart, in the metric's unit; from other pairs.
        minimum_share: Least move that matters, as a share of `size`.
        scanned: Edges that count, those not patched included.
        fdr: Largest expected share of false claims.

    Returns:
        A claim for each edge, the confirmed ones first and then by share.

    Raises:
        ConfigError: A setting is out of range.
    """
    check_settings(fdr, minimum_share)
    if scanned < len(edges):
        raise ConfigError(f"expected at least {len(edges)} edges that count, got {scanned}")
    shares = np.stack([-effect, restored]) / size
    hits = np.stack([shares >= minimum_share, -shares >= minimum_share], 1).sum(2)
    pairs = shares.shape[1]
    wealth = np.array([_e_value(count, pairs) for count in range(pairs + 1)])
    e_values = wealth[hits].mean((0, 1))
    stand = e_bh(np.concatenate([e_values, np.zeros(scanned - len(edges))]), level=fdr)
    means = shares.mean(1)
    found = []
    for at, edge in enumerate(edges):
        way = int(np.argmax(np.abs(means[:, at])))
        most = int(hits[:, :, at].max())
        found.append(
            EdgeClaim(
                edge=edge,
                effect=float(effect[:, at].mean()),
                restored=float(restored[:, at].mean()),
                share=float(means[way, at]),
                matters=clopper_pearson(most, pairs, unit="share of pairs in which it matters"),
                e_value=float(e_values[at]),
                confirmed=bool(stand[at]),
            )
        )
    return tuple(sorted(found, key=lambda each: (not each.confirmed, -abs(each.share), each.edge)))


def check_settings(fdr: float, minimum_share: float) -> None:
    """Refuse settings before anything is computed with them.

    Raises:
        ConfigError: One is out of range.
    """
    check_false_share(fdr)
    if not 0.0 < minimum_share < 1.0:
        raise ConfigError(
            f"minimum_share must be strictly between 0 and 1, got {minimum_share}; 0.02 is usual"
        )


def _e_value(hits: int, pairs: int) -> float:
    """Evidence that an edge matters in more than half of all pairs, from a count of them."""
    payoffs, times = np.array([1 - HALF, -HALF]), np.array([hits, pairs - hits], dtype=float)
    return math.exp(min(log_wealth(payoffs, times, largest_stake=1 / HALF), 690.0))
