"""The smallest circuit that still answers: dead ends first, then what can be spared.

Axes: E edges.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from plumbrule.errors import ConfigError
from plumbrule.mechanism.circuits.faithfulness import Faithfulness
from plumbrule.mechanism.circuits.graph import Edge, Graph
from plumbrule.mechanism.circuits.path_patching import PairMetric, answer_difference
from plumbrule.mechanism.circuits.tasks import PromptPair
from plumbrule.mechanism.sites import Sites
from plumbrule.store import Progress, silent

EVERY_SIZE, MOST_TRIED = 16, 24
"""Most circuits tried when the size is chosen, and edges that are then left out in turn."""


def connected(graph: Graph, edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """Edges that lie on a way from the embeddings to the answer.

    Where everything else is corrupted the others change nothing: a writer whose edges are all
    corrupted writes what it writes on the corrupted prompt, and a reader whose writer nobody reads
    is not heard.

    Args:
        graph: The model's graph.
        edges: Edges of it.
    """
    edges = list(edges)
    feeds = fed_by(graph)
    reached = _closure({"embed"}, [(e.writer, out) for e in edges for out in feeds[e.reader]])
    heard = _closure({"final"}, [(out, e.writer) for e in edges for out in feeds[e.reader]])
    return tuple(
        edge
        for edge in edges
        if edge.writer in reached and any(out in heard for out in feeds[edge.reader])
    )


def fed_by(graph: Graph) -> Mapping[str, tuple[str, ...]]:
    """Whom each reader belongs to: heads that share a key are all fed by it."""
    found: dict[str, tuple[str, ...]] = {"final": ("final",)}
    for number in range(graph.layers):
        writers = [each.name for each in graph.writers if each.place == 2 * number]
        heads = [name for name in writers if ".heads." in name] or writers
        for reader in graph.readers:
            layer, _, rest = reader.name.partition(".")
            if layer != str(number):
                continue
            role, _, head = rest.partition(".")
            if role == "mlp":
                found[reader.name] = (f"{number}.mlp",)
            elif role == "attn" or len(heads) == 1:
                found[reader.name] = tuple(heads)
            else:
                count = sum(each.name.startswith(f"{number}.{role}.") for each in graph.readers)
                shared = len(heads) // count
                found[reader.name] = tuple(heads[int(head) * shared : (int(head) + 1) * shared])
    return found


def _closure(start: set[str], steps: Sequence[tuple[str, str]]) -> set[str]:
    """What can be reached by steps."""
    found = set(start)
    while True:
        more = {there for here, there in steps if here in found} - found
        if not more:
            return found
        found |= more


def prune(
    module: Any,
    sites: Sites,
    graph: Graph,
    pairs: Sequence[PromptPair],
    effects: Mapping[Edge, float],
    metric: PairMetric = answer_difference,
    *,
    loss: float = 0.05,
    progress: Progress = silent,
) -> tuple[Edge, ...]:
    """Leave edges out of a circuit for as long as it answers nearly as faithfully.

    The edges of largest effect that suffice are taken; then each is left out in turn, smallest
    first, where the rest still suffices. Beyond 16 edges sizes are tried in growing steps, and the
    24 smallest are left out in turn.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        graph: Its graph.
        pairs: Prompts to decide on.
        effects: The circuit's edges, each with its effect.
        metric: What is measured after the last token.
        loss: How much further from 1 faithfulness may be than with all these edges.
        progress: Told of edges tried.

    Returns:
        The edges kept, by size of effect; the empty circuit where there were none.

    Raises:
        ConfigError: `loss` is not between 0 and 1.
        PlumbruleError: As for `faithfulness`.
    """
    check_loss(loss)
    alive = set(connected(graph, effects))
    ranked = sorted(alive, key=lambda edge: (-abs(effects[edge]), edge))
    if not ranked:
        return ()

    measured = Faithfulness(module, sites, graph, pairs, metric)

    def distances(circuits: Sequence[Sequence[Edge]]) -> list[float]:
        return [abs(1.0 - float(each)) for each in measured.of(circuits)]

    counts = _sizes(len(ranked))
    nested = [connected(graph, ranked[:count]) for count in counts]
    found = distances(nested)
    bound = found[-1] + loss
    kept = list(nested[next(at for at, distance in enumerate(found) if distance <= bound)])
    spared = kept[::-1][:MOST_TRIED]
    for done, edge in enumerate(spared):
        progress(done, len(spared))
        if edge not in kept:
            continue
        rest = connected(graph, [each for each in kept if each != edge])
        if distances([rest])[0] <= bound:
            kept = list(rest)
    return tuple(kept)


def _sizes(most: int) -> list[int]:
    """Sizes to try: all of them, or from some on ever larger steps."""
    if most <= EVERY_SIZE:
        return list(range(most + 1))
    steps = np.geomspace(1, most, EVERY_SIZE).round().astype(int).tolist()
    return sorted({0, *steps})


def check_loss(loss: float) -> None:
    """Refuse a loss that is no share.

    Raises:
        ConfigError: It is not between 0 and 1.
    """
    if not 0.0 <= loss < 1.0:
        raise ConfigError(f"loss must be at least 0 and below 1, got {loss}")
