"""Edge attribution: what corrupting each edge would do, to first order, for all edges at once.

What a writer adds on the corrupted prompt less what it adds on the clean one, times the metric's
slope at the reader's own copy of the stream. Slopes are averaged over steps between the prompts'
embeddings (integrated gradients). It orders edges; what an edge does is told by path patching.

Axes: P pairs, N rows of a batch, T tokens, D width, W writers, R readers, H heads.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError
from plumbrule.mechanism.circuits.beginnings import Beginning, beginning, shared
from plumbrule.mechanism.circuits.edge_patching import copying, own_numbers, span, writes
from plumbrule.mechanism.circuits.graph import Graph
from plumbrule.mechanism.circuits.path_patching import (
    PairMetric,
    answer_difference,
    check_pairs,
    grouped,
    padded,
)
from plumbrule.mechanism.circuits.tasks import PromptPair
from plumbrule.mechanism.hooks import logits_at, watching
from plumbrule.mechanism.patching import check_numbers, halving
from plumbrule.mechanism.sites import Site, Sites
from plumbrule.models.modules import evaluation_mode
from plumbrule.store import Progress, silent

BATCH_TOKENS = 512
"""Most tokens in a batch, padding included: a pass back holds all activations."""

HELD = 2**28
"""Most numbers of what writers add and of slopes that are held at once."""


def attribute_edges(
    module: Any,
    sites: Sites,
    graph: Graph,
    pairs: Sequence[PromptPair],
    metric: PairMetric = answer_difference,
    *,
    steps: int = 5,
    progress: Progress = silent,
) -> Float[np.ndarray, "P edges"]:
    """Estimate how far corrupting each edge would move the metric.

    Args:
        module: The model; left as it was, without gradients on its weights.
        sites: Its sites.
        graph: Its graph.
        pairs: Prompts.
        metric: What is measured after the last token.
        steps: Steps between the prompts' embeddings, each taken at its middle. More bend less:
            where attention is sharp, slopes at either end may be next to nothing.
        progress: Told of pairs done.

    Returns:
        For each pair and each edge, in the graph's order, the estimated metric with the edge
        corrupted less the metric of the clean prompt; sums over all positions.

    Raises:
        ConfigError: There is no step.
        DataError: A pair cannot be run, or its slopes are not numbers.
        ModelError: Even one pair does not fit into memory.

    Source:
        Hanna, Pezzelle & Belinkov (2024), arXiv 2403.17806: EAP-IG over inputs. The middle of
        each step, separate key-value heads and norms taken at each reader's copy are ours.
    """
    if steps < 1:
        raise ConfigError(f"steps must be at least 1, got {steps}")
    check_pairs(module, sites, pairs)
    found = np.full((len(pairs), len(graph.edges)), np.nan)
    rows, columns = np.nonzero(graph.allowed.T)[::-1]
    device = next(module.parameters()).device
    done = 0
    for group in grouped(pairs, graph):

        def run(batch: list[int]) -> Any:
            return _scores(module, sites, graph, [pairs[at] for at in batch], metric, steps, device)

        width = len(pairs[group[0]].clean)
        each = (3 * len(graph.writers) + len(graph.readers)) * graph.width
        size = max(1, min(BATCH_TOKENS, HELD // each) // width)
        for batch, scores in halving(group, size, run):
            found[batch] = scores[:, rows, columns]
            done += len(batch)
            progress(done, len(pairs))
    check_numbers(found)
    return found


def _scores(
    module: Any,
    sites: Sites,
    graph: Graph,
    pairs: Sequence[PromptPair],
    metric: PairMetric,
    steps: int,
    device: Any,
) -> Float[np.ndarray, "N W R"]:
    """Estimates for a batch of pairs."""
    import torch

    ids, other = (
        padded([getattr(pair, name) for pair in pairs], device) for name in ("clean", "corrupted")
    )
    with evaluation_mode(module):
        with torch.no_grad():
            begun = beginning(module, ids, shared(pairs))
            ids, other = ids[:, begun.length :], other[:, begun.length :]
            here, there = (
                writes(module, sites, graph, each, begun.given()) for each in (ids, other)
            )
        difference = there - here
        total: dict[int, Any] = {}
        for step in range(steps):
            embedded = here[:, 0] + difference[:, 0] * ((step + 0.5) / steps)
            slopes = _slopes(module, sites, graph, ids, embedded, pairs, metric, begun)
            for number, slope in slopes.items():
                total[number] = slope / steps + total.get(number, 0.0)
    return _products(graph, difference, total)


def _products(
    graph: Graph, difference: Any, slopes: Mapping[int, Any]
) -> Float[np.ndarray, "N W R"]:
    """Each writer's difference times the slope at each reader behind it."""
    import torch

    count = len(difference)
    found = np.zeros((count, len(graph.writers), len(graph.readers)))
    flat = difference.reshape(count, len(graph.writers), -1)
    for place in sorted({reader.place for reader in graph.readers}):
        # Readers of one place share a product, so that what writers add is read once for them all.
        numbers = [at for at, each in enumerate(graph.readers) if each.place == place]
        before = sum(writer.place < place for writer in graph.writers)
        # Padding lies behind the token that is measured, so that its slope is 0.
        table = torch.stack([slopes[at].reshape(count, -1) for at in numbers], 2)
        scores = flat[:, :before] @ table
        found[:, :before, numbers] = scores.double().cpu().numpy()
    return found


def _slopes(
    module: Any,
    sites: Sites,
    graph: Graph,
    ids: Any,
    embedded: Any,
    pairs: Sequence[PromptPair],
    metric: PairMetric,
    begun: Beginning,
) -> dict[int, Any]:
    """The metric's slope at each reader's own copy of the stream, (N, T, D), by its number."""
    import torch

    start = embedded.detach().clone().requires_grad_()
    streams: dict[int, Any] = {}
    copies: dict[int, Any] = {}
    given: dict[str, Any] = {}
    everyone = torch.arange(len(pairs), device=start.device)

    def delta(number: int, stream: Any) -> Any:
        if graph.readers[number].kind == "columns":
            streams[number] = stream.detach()
            return None
        copies[number] = torch.zeros_like(stream).requires_grad_()
        return everyone, copies[number]

    def keep(path: str) -> Any:
        def look(value: Any) -> None:
            given[path] = value

        return look

    ends = dict.fromkeys(each.parts[-1] for each in graph.readers if each.kind == "columns")
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.enter_context(watching(module, {sites["embed"]: lambda _: start}))
        for path in ends:
            stack.enter_context(
                watching(module, {Site(name=path, path=path, side="out"): keep(path)})
            )
        stack.enter_context(copying(module, sites, graph, delta))
        last = [len(pair.clean) - 1 - begun.length for pair in pairs]
        logits = logits_at(module, ids, last, begun.given())
        value = metric(logits, pairs).sum()
        wanted = [*copies.values(), *given.values()]
        found = torch.autograd.grad(value, wanted, allow_unused=True)
    slopes = [
        torch.zeros_like(each) if slope is None else slope
        for each, slope in zip(wanted, found, strict=True)
    ]
    by_path = dict(zip(given, slopes[len(copies) :], strict=True))
    return dict(zip(copies, slopes, strict=False)) | _through_projections(
        module, graph, streams, by_path
    )


def _through_projections(
    module: Any, graph: Graph, streams: dict[int, Any], slopes: dict[str, Any]
) -> dict[int, Any]:
    """Slopes at each head's copy of the stream, from those of its own numbers of a projection."""
    import torch

    parts = dict(module.named_modules())
    found: dict[int, Any] = {}
    for number, stream in streams.items():
        reader = graph.readers[number]
        with torch.enable_grad():
            start = stream.clone().requires_grad_()
            value = own_numbers(parts, reader, start)
        slope = slopes[reader.parts[-1]][..., span(reader.columns)]
        (found[number],) = torch.autograd.grad(value, start, slope)
    return found
