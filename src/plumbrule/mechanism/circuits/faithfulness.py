"""How well a circuit answers by itself: every edge outside it corrupted.

Faithfulness is 0 where all edges are corrupted and 1 where none is; a circuit can lie beyond both.

Axes: P pairs, C circuits, E edges.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.circuits.graph import Edge, Graph
from plumbrule.mechanism.circuits.path_patching import PairMetric, answer_difference, run_tables
from plumbrule.mechanism.circuits.tasks import PromptPair
from plumbrule.mechanism.sites import Sites
from plumbrule.records import Estimate, strict
from plumbrule.store import Progress, derive_seed, silent

SHARES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Sizes of circuit that a curve is drawn through, as shares of all edges; those of MIB."""

RESAMPLES = 4000
"""Draws of the bootstrap."""

NOT_TOLD_APART = 3.0
"""Standard errors below which the prompts' mean difference counts as none."""

Order = Literal["size", "help"]


@strict
@dataclass(frozen=True, kw_only=True)
class Curve:
    """Faithfulness over the size of circuit."""

    order: Order
    """Whether edges come in by the size of their effect, or those that help first."""

    shares: tuple[float, ...]
    """Sizes asked for, as shares of all edges."""

    counts: tuple[int, ...]
    """Edges in each circuit."""

    values: tuple[float, ...]
    """Faithfulness of each circuit."""

    @property
    def cpr(self) -> float:
        """Circuit performance ratio: the area below the curve. Higher is better; may exceed 1."""
        return _area(self.shares, self.values)

    @property
    def cmd(self) -> float:
        """Circuit-model distance: the area between the curve and 1. 0 is best."""
        return _area(self.shares, [abs(1.0 - value) for value in self.values])


def _area(places: Sequence[float], heights: Sequence[float]) -> float:
    points = list(zip(places, heights, strict=True))
    return float(sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(points)))


class Faithfulness:
    """Faithfulness on some pairs; the metric with all edges and with none is measured once.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        graph: Its graph.
        pairs: Prompts.
        metric: What is measured after the last token.
        progress: Told of runs done, one per pair and circuit, each time circuits are measured.

    Raises:
        DataError: The metric does not tell the prompts apart, so that there is no whole.
        PlumbruleError: As for `run_with`.
    """

    def __init__(
        self,
        module: Any,
        sites: Sites,
        graph: Graph,
        pairs: Sequence[PromptPair],
        metric: PairMetric = answer_difference,
        *,
        progress: Progress = silent,
    ) -> None:
        self._run = partial(
            run_tables, module, sites, graph, pairs, metric=metric, progress=progress
        )
        self._graph = graph
        self._known: dict[bytes, Float[np.ndarray, " P"]] = {}
        nothing = np.zeros_like(graph.allowed)
        self._whole, self._empty = self._values([graph.allowed, nothing]).T
        check_told_apart(self._whole - self._empty)

    def of(self, circuits: Sequence[Iterable[Edge]]) -> Float[np.ndarray, " C"]:
        """Faithfulness of each circuit."""
        if not circuits:
            return np.zeros(0)
        values = self._values([self._graph.mask(circuit) for circuit in circuits]).mean(0)
        empty = self._empty.mean()
        found: np.ndarray = (values - empty) / (self._whole.mean() - empty)
        return found

    def interval(self, circuit: Iterable[Edge], *, level: float = 0.95) -> Estimate:
        """Faithfulness of a circuit with its interval, by the bootstrap over these pairs.

        Args:
            circuit: Edges that are left whole.
            level: Of the interval.
        """
        values = self._values([self._graph.mask(circuit)])[:, 0]
        rng = np.random.default_rng(derive_seed(0, "faithfulness"))
        drawn = rng.integers(0, len(values), (RESAMPLES, len(values)))
        above, whole = ((each - self._empty)[drawn].mean(1) for each in (values, self._whole))
        tail = 100 * (1 - level) / 2
        low, high = np.percentile(above / whole, [tail, 100 - tail])
        value = (values - self._empty).mean() / (self._whole - self._empty).mean()
        return Estimate(
            value=float(value),
            low=float(min(low, value)),
            high=float(max(high, value)),
            level=level,
            n=len(values),
            unit="share of what tells the prompts apart",
            method="percentile bootstrap over pairs",
        )

    def _values(self, kept: Sequence[Bool[np.ndarray, "W R"]]) -> Float[np.ndarray, "P C"]:
        """The metric on each pair with all edges corrupted but those kept."""
        # Small circuits of a small graph are often the same.
        keys = [np.packbits(each).tobytes() for each in kept]
        fresh = {key: each for key, each in zip(keys, kept, strict=True) if key not in self._known}
        if fresh:
            tables = np.stack([self._graph.allowed & ~each for each in fresh.values()])
            self._known |= dict(zip(fresh, self._run(tables).T, strict=True))
        return np.stack([self._known[key] for key in keys], 1)


def check_told_apart(differences: Float[np.ndarray, " P"]) -> None:
    """Refuse to divide by a difference that is none.

    Raises:
        DataError: The mean is within three standard errors of 0.
    """
    mean, count = float(differences.mean()), len(differences)
    error = float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    if abs(mean) <= NOT_TOLD_APART * error or mean == 0.0:
        raise DataError(
            f"the metric is {mean:.3g} higher on the clean prompts than on the corrupted ones, "
            f"with a standard error of {error:.2g}; choose prompts or answers that it tells apart"
        )


def faithfulness_curve(
    module: Any,
    sites: Sites,
    graph: Graph,
    pairs: Sequence[PromptPair],
    effects: Float[np.ndarray, " E"],
    metric: PairMetric = answer_difference,
    *,
    order: Order = "size",
    shares: Sequence[float] = SHARES,
    measured: Faithfulness | None = None,
) -> Curve:
    """Measure circuits of growing size.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        graph: Its graph.
        pairs: Prompts, best others than those the effects are from.
        effects: For each edge of the graph, how corrupting it moves the metric.
        metric: What is measured after the last token.
        order: By `size` of the effect, which CMD is meant for, or those that `help` the answer
            first, which CPR is meant for.
        shares: Sizes, from 0 to 1.
        measured: Faithfulness on these pairs, where it was begun before.

    Raises:
        ConfigError: Shares do not rise from 0 to 1, or there is not one effect an edge.
        PlumbruleError: As for `faithfulness`.

    Source:
        Mueller et al. (2025), "MIB", arXiv 2504.13151: CPR and CMD, by the trapezoid rule.
    """
    if list(shares) != sorted(set(shares)) or shares[0] != 0.0 or shares[-1] != 1.0:
        raise ConfigError(f"shares must rise from 0 to 1, got {tuple(shares)}")
    if len(effects) != len(graph.edges):
        raise ConfigError(
            f"expected an effect for each of {len(graph.edges)} edges, got {len(effects)}"
        )
    key = -np.abs(effects) if order == "size" else np.asarray(effects)
    ranked = [graph.edges[at] for at in np.argsort(key, kind="stable")]
    counts = [round(share * len(ranked)) for share in shares]
    circuits = [ranked[:count] for count in counts]
    values = (measured or Faithfulness(module, sites, graph, pairs, metric)).of(circuits)
    return Curve(
        order=order,
        shares=tuple(float(share) for share in shares),
        counts=tuple(counts),
        values=tuple(float(value) for value in values),
    )
