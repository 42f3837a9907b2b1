"""Circuits: the edges that carry an answer, claimed with a known share of false claims.

Half of the pairs is searched, the other half decides. Attribution on the first half orders all
edges and chooses those that are patched exactly on the second, one at a time and in both
directions: corrupted in the clean prompt's pass, and restored in the corrupted one's. An edge
matters in a pair where that moves the metric by at least a minimum share of what tells the prompts
apart. The claim is that it does so, one way, in more than half of all such pairs.

The test is in `edge_claims`.

Axes: P pairs, E edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.circuits.edge_attribution import attribute_edges
from plumbrule.mechanism.circuits.edge_claims import EdgeClaim, check_settings, edge_claims
from plumbrule.mechanism.circuits.edges import edges_of
from plumbrule.mechanism.circuits.faithfulness import (
    Curve,
    Faithfulness,
    Order,
    check_told_apart,
    faithfulness_curve,
)
from plumbrule.mechanism.circuits.graph import Edge, Graph
from plumbrule.mechanism.circuits.path_patching import (
    PairMetric,
    answer_difference,
    patch_edges,
    run_tables,
)
from plumbrule.mechanism.circuits.pruning import check_loss, prune
from plumbrule.mechanism.circuits.tasks import PromptPair
from plumbrule.mechanism.sites import Sites
from plumbrule.records import Estimate, Guarantee, strict
from plumbrule.store import Tell, derive_seed, silent

FEWEST = 8
"""Least pairs."""

LARGE = 2000
"""Edges from which on a graph is one of a real model, where minutes count."""

CANDIDATES, OF_LARGE = 1024, 128
"""Edges to patch exactly where nothing is said, and of a large graph."""


@strict
@dataclass(frozen=True, kw_only=True)
class Circuit:
    """The result of a search for a circuit."""

    family: str
    edges: tuple[Edge, ...]
    """The smallest circuit found among the confirmed claims, by size of effect: enough to tell
    these prompts apart. What they share, such as where a head looks, it need not bring."""

    claims: tuple[EdgeClaim, ...]
    """Every edge that was patched exactly, those confirmed first and then by size."""

    scanned: int
    """Edges of the graph, all of which count."""

    difference: float
    """What tells the prompts apart: mean size of the metric's move from clean to corrupted."""

    minimum_share: float
    searched: int
    """Pairs of the first half."""

    held_out: int
    loss: float
    faithfulness: float | None
    """Of the circuit, on held-out pairs; None where `reason` says why."""

    interval: Estimate | None
    """The same with its interval."""

    faithfulness_of_claims: float | None
    """Of all confirmed claims, before pruning."""

    curves: tuple[Curve, ...]
    """On held-out pairs, by attribution on the others; none where `reason` says why."""

    reason: str | None
    notes: tuple[tuple[str, str], ...]
    """Parts of the model that could not be split into heads."""

    guarantee: Guarantee

    @property
    def confirmed(self) -> tuple[Edge, ...]:
        """Edges that matter, by size: each by itself, also where the circuit can spare it."""
        return tuple(each.edge for each in self.claims if each.confirmed)

    def claim(self, edge: Edge) -> EdgeClaim:
        """What is known of an edge."""
        return next(each for each in self.claims if each.edge == edge)


def find_circuit(
    module: Any,
    sites: Sites,
    pairs: Sequence[PromptPair],
    metric: PairMetric = answer_difference,
    *,
    seed: int,
    fdr: float = 0.05,
    loss: float = 0.05,
    minimum_share: float = 0.02,
    candidates: int | None = None,
    steps: int = 5,
    graph: Graph | None = None,
    progress: Tell = silent,
) -> Circuit:
    """Find the edges that carry an answer.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        pairs: Prompts, drawn independently; half of them decide. From 40 on, an edge that matters
            in every pair stands among some thousands of edges.
        metric: What is measured after the last token.
        seed: Of the halves.
        fdr: Largest expected share of false claims among the edges claimed.
        loss: How much faithfulness pruning may cost.
        minimum_share: Least move that matters, as a share of what tells the prompts apart.
        candidates: Most edges to patch exactly; those of largest attribution. None: 1024, and 128
            of a graph of more than 2,000 edges.
        steps: Of attribution.
        graph: The model's graph, where it was made before.
        progress: Told of each stage by name, with what is done of it and all there is to do.

    Raises:
        ConfigError: A setting is out of range.
        DataError: Too few pairs, or the metric is the same on both prompts of every pair.
        ModelError: The model's edges cannot be told.

    Source:
        Search and validation are ours; path patching after Wang et al. (2022), attribution after
        Hanna et al. (2024), the betting of Waudby-Smith & Ramdas (2024), e-BH of Wang & Ramdas
        (2022).
    """
    check_settings(fdr, minimum_share)
    check_loss(loss)
    if candidates is not None and candidates < 1:
        raise ConfigError(f"candidates must be at least 1, got {candidates}")
    first, second = _halves(pairs, seed)
    graph = graph or edges_of(module, sites)
    candidates = candidates or (OF_LARGE if len(graph.edges) > LARGE else CANDIDATES)
    difference = _difference(module, sites, graph, first, metric)
    attributed = attribute_edges(
        module,
        sites,
        graph,
        first,
        metric,
        steps=steps,
        progress=partial(progress, "attribution, pairs"),
    ).mean(0)
    chosen = np.argsort(-np.abs(attributed), kind="stable")[:candidates]
    edges = [graph.edges[at] for at in chosen]
    size = float(np.abs(difference).mean())
    effect, restored = (
        patch_edges(module, sites, graph, part, edges, metric, progress=partial(progress, stage))
        for stage, part in (
            ("edges corrupted", second),
            ("edges restored", [_swapped(pair) for pair in second]),
        )
    )
    claims = edge_claims(
        edges,
        effect,
        restored,
        size=size,
        minimum_share=minimum_share,
        scanned=len(graph.edges),
        fdr=fdr,
    )
    search = partial(
        _answer, module, sites, graph, first, second, metric, loss=loss, progress=progress
    )
    kept, faithful, of_claims, curves, reason = search(difference, claims, attributed)
    return Circuit(
        family=graph.family,
        edges=kept,
        claims=claims,
        scanned=len(graph.edges),
        difference=size,
        minimum_share=minimum_share,
        searched=len(first),
        held_out=len(second),
        loss=loss,
        faithfulness=None if faithful is None else faithful.value,
        interval=faithful,
        faithfulness_of_claims=of_claims,
        curves=curves,
        reason=reason,
        notes=graph.notes,
        guarantee=Guarantee(
            procedure="e-BH over all edges, on the count of pairs in which an edge matters",
            level=fdr,
            family_size=len(graph.edges),
        ),
    )


Answer = tuple[tuple[Edge, ...], Estimate | None, float | None, tuple[Curve, ...], str | None]


def _answer(
    module: Any,
    sites: Sites,
    graph: Graph,
    first: Sequence[PromptPair],
    second: Sequence[PromptPair],
    metric: PairMetric,
    difference: Float[np.ndarray, " P"],
    claims: Sequence[EdgeClaim],
    attributed: Float[np.ndarray, " E"],
    *,
    loss: float,
    progress: Tell,
) -> Answer:
    """The circuit, its faithfulness with and without pruning, curves; or why there is none."""
    try:
        check_told_apart(difference)
        confirmed = [each.edge for each in claims if each.confirmed]
        kept: tuple[Edge, ...] = ()
        if confirmed:
            effects = _effects(module, sites, graph, first, metric, confirmed, attributed)
            tell = partial(progress, "pruning, edges")
            kept = prune(module, sites, graph, first, effects, metric, loss=loss, progress=tell)
        tell = partial(progress, "faithfulness, runs")
        measured = Faithfulness(module, sites, graph, second, metric, progress=tell)
        orders: tuple[Order, ...] = ("size", "help")
        draw = partial(faithfulness_curve, module, sites, graph, second, attributed, metric)
        curves = [draw(order=order, measured=measured) for order in orders]
        of_claims = float(measured.of([confirmed])[0])
        faithful = measured.interval(kept)
    except DataError as error:
        return (), None, None, (), str(error)
    return kept, faithful, of_claims, tuple(curves), None


def _effects(
    module: Any,
    sites: Sites,
    graph: Graph,
    pairs: Sequence[PromptPair],
    metric: PairMetric,
    edges: Sequence[Edge],
    attributed: Float[np.ndarray, " E"],
) -> dict[Edge, float]:
    """How much each edge matters on the pairs that were searched, to order what is pruned.

    In a large model by attribution, which is there already: to patch them once more would take as
    long as deciding on them.
    """
    if len(graph.edges) > LARGE:
        place = {edge: at for at, edge in enumerate(graph.edges)}
        return {edge: abs(float(attributed[place[edge]])) for edge in edges}
    moved, back = (
        patch_edges(module, sites, graph, part, edges, metric).mean(0)
        for part in (pairs, [_swapped(pair) for pair in pairs])
    )
    size = np.maximum(np.abs(moved), np.abs(back))
    return dict(zip(edges, size.tolist(), strict=True))


def _halves(pairs: Sequence[PromptPair], seed: int) -> tuple[list[PromptPair], list[PromptPair]]:
    """Pairs to search and pairs to decide on.

    Raises:
        DataError: There are too few, or one occurs twice, so that both halves could hold it.
    """
    if len(pairs) < FEWEST:
        raise DataError(
            f"expected at least {FEWEST} pairs of prompts, half of them to decide on, got "
            f"{len(pairs)}; with fewer no edge could be confirmed"
        )
    if len(set(pairs)) < len(pairs):
        raise DataError(
            f"expected different pairs of prompts, {len(pairs) - len(set(pairs))} of "
            f"{len(pairs)} are given twice; take them out, because each counts as independent"
        )
    order = np.random.default_rng(derive_seed(seed, "circuit")).permutation(len(pairs))
    middle = len(pairs) // 2
    return [pairs[at] for at in order[:middle]], [pairs[at] for at in order[middle:]]


def _swapped(pair: PromptPair) -> PromptPair:
    """The same with the prompts in each other's place; what is right stays right."""
    return replace(pair, clean=pair.corrupted, corrupted=pair.clean)


def _difference(
    module: Any, sites: Sites, graph: Graph, pairs: Sequence[PromptPair], metric: PairMetric
) -> Float[np.ndarray, " P"]:
    """How much higher the metric is on each clean prompt than on its corrupted one.

    Raises:
        DataError: It is the same everywhere.
    """
    tables = np.stack([np.zeros_like(graph.allowed), graph.allowed])
    values = run_tables(module, sites, graph, pairs, tables, metric)
    found: np.ndarray = values[:, 0] - values[:, 1]
    # The same prompt read in another batch differs by the rounding of float32.
    if np.allclose(values[:, 0], values[:, 1], rtol=1e-5, atol=1e-5):
        raise DataError(
            "the metric is the same on the clean and on the corrupted prompt of every pair; choose "
            "prompts or answers that it tells apart"
        )
    return found
