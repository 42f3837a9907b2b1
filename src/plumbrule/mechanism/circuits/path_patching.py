"""Path patching: what single edges carry, and what a model says with any set of them corrupted.

A reader whose edge is corrupted is given what the writer adds on the corrupted prompt; everything
behind it is computed again. Corrupting all edges outside a circuit tells what the circuit does by
itself.

Axes: P pairs, S sets of edges, N rows of a batch, T tokens, D width, V vocabulary, W writers,
R readers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.circuits.beginnings import NOTHING, Beginning, beginning, shared
from plumbrule.mechanism.circuits.edge_patching import patched_edges, writes
from plumbrule.mechanism.circuits.graph import Edge, Graph
from plumbrule.mechanism.circuits.tasks import PromptPair
from plumbrule.mechanism.hooks import layer_outputs, logits_at, skipping
from plumbrule.mechanism.patching import (
    check_device,
    check_numbers,
    check_prompts,
    check_tokens,
    halving,
)
from plumbrule.mechanism.sites import Sites
from plumbrule.mechanism.tracing import first_tensor, with_first_tensor
from plumbrule.models.modules import evaluation_mode
from plumbrule.store import Progress, silent

BATCH_TOKENS = 2048
"""Tokens in a batch, padding included."""

TOGETHER = 64
"""Edges whose tables are made at once."""

HELD = 2**27
"""Most numbers of what writers add that are held at once."""


PairMetric = Callable[[Any, Sequence[PromptPair]], Any]
"""Takes the logits after the last token, (N, V), and each row's pair; gives one number per row."""


def answer_difference(logits: Any, pairs: Sequence[PromptPair]) -> Any:
    """How much more a model leans to the right answer than to the wrong one, in logits."""
    import torch

    rows = torch.arange(len(pairs), device=logits.device)
    right, wrong = (
        torch.tensor([getattr(pair, name) for pair in pairs], device=logits.device)
        for name in ("right", "wrong")
    )
    return logits[rows, right] - logits[rows, wrong]


def answer_ahead(
    module: Any, sites: Sites, pairs: Sequence[PromptPair], metric: PairMetric = answer_difference
) -> Float[np.ndarray, " P"]:
    """The metric on each clean prompt, by a plain pass: whether a model can do the task at all.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        pairs: Prompts.
        metric: What is measured after the last token.

    Raises:
        DataError: A pair cannot be run.
        ModelError: Even one prompt does not fit into memory.
    """
    import torch

    check_pairs(module, sites, pairs)
    device = next(module.parameters()).device
    found = np.full(len(pairs), np.nan)

    def run(batch: list[int]) -> Any:
        asked = [pairs[at] for at in batch]
        ids = padded([pair.clean for pair in asked], device)
        logits = logits_at(module, ids, [len(pair.clean) - 1 for pair in asked])
        return metric(logits, asked).double().cpu().numpy()

    size = max(1, BATCH_TOKENS // max(len(pair.clean) for pair in pairs))
    with evaluation_mode(module), torch.no_grad():
        for batch, values in halving(range(len(pairs)), size, run):
            found[batch] = values
    check_numbers(found)
    return found


def run_with(
    module: Any,
    sites: Sites,
    graph: Graph,
    pairs: Sequence[PromptPair],
    corrupted: Sequence[Iterable[Edge]],
    metric: PairMetric = answer_difference,
) -> Float[np.ndarray, "P S"]:
    """Measure a model with sets of edges corrupted.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        graph: Its graph.
        pairs: Prompts to run on.
        corrupted: Sets of edges; with none of them the model is its own, to the bit where batches
            are of the same shape, and with all of them it answers the corrupted prompt.
        metric: What to measure after the last token.

    Returns:
        The metric for each pair and each set.

    Raises:
        ConfigError: There is no such edge.
        DataError: A pair's prompts differ in length, or activations are not numbers.
        ModelError: Even one row does not fit into memory.

    Source:
        Wang et al. (2022), arXiv 2211.00593; Goldowsky-Dill et al. (2023), arXiv 2304.05969.
    """
    return run_tables(
        module, sites, graph, pairs, np.stack([graph.mask(edges) for edges in corrupted]), metric
    )


def patch_edges(
    module: Any,
    sites: Sites,
    graph: Graph,
    pairs: Sequence[PromptPair],
    edges: Sequence[Edge],
    metric: PairMetric = answer_difference,
    *,
    progress: Progress = silent,
) -> Float[np.ndarray, "P edges"]:
    """Corrupt each edge by itself, and measure how far that moves the metric.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        graph: Its graph.
        pairs: Prompts to run on.
        edges: What to corrupt, one at a time.
        metric: What to measure after the last token.
        progress: Told of edges done.

    Returns:
        The metric with the edge corrupted less the metric of the clean prompt: below 0 where the
        edge helps the right answer.

    Raises:
        PlumbruleError: As for `run_with`.
    """
    if not edges:
        raise DataError("expected edges to corrupt, got none")
    graph.mask(edges)
    # Edges into one reader share a batch: then all other readers are left alone.
    place = {reader.name: at for at, reader in enumerate(graph.readers)}
    order = sorted(range(len(edges)), key=lambda at: place[edges[at].reader])
    found = np.zeros((len(pairs), len(edges)))
    base = run_with(module, sites, graph, pairs, [()], metric)
    for start in range(0, len(order), TOGETHER):
        part = order[start : start + TOGETHER]

        def tell(done: int, total: int, start: int = start, count: int = len(part)) -> None:
            progress(start + count * done // total, len(order))

        tables = np.stack([graph.mask([edges[at]]) for at in part])
        values = run_tables(module, sites, graph, pairs, tables, metric, progress=tell)
        found[:, part] = values - base
    return found


def run_tables(
    module: Any,
    sites: Sites,
    graph: Graph,
    pairs: Sequence[PromptPair],
    tables: Bool[np.ndarray, "S W R"],
    metric: PairMetric = answer_difference,
    *,
    progress: Progress = silent,
) -> Float[np.ndarray, "P S"]:
    """The same as `run_with`, with sets given as tables of yes and no.

    `progress` is told of runs done, one for each pair and each set.
    """
    import torch

    check_pairs(module, sites, pairs)
    if not len(tables):
        raise DataError("expected sets of edges to corrupt, got none")
    if np.any(tables & ~graph.allowed):
        raise ConfigError("expected edges of the graph, got one that goes backwards")
    found = np.full((len(pairs), len(tables)), np.nan)
    held = max(1, int(tables.any((0, 2)).sum())) * graph.width
    done = 0
    with evaluation_mode(module), torch.no_grad():
        for group in grouped(pairs, graph):
            recorded = _record(module, sites, graph, [pairs[at] for at in group])
            todo = [(at, row) for row in range(len(tables)) for at in range(len(group))]

            def run(
                batch: list[tuple[int, int]],
                recorded: _Recorded = recorded,
                group: list[int] = group,
            ) -> Any:
                rows = torch.tensor([at for at, _ in batch], device=recorded.ids.device)
                table = torch.tensor(tables[[row for _, row in batch]])
                ends = recorded.ends([pairs[group[at]] for at, _ in batch])
                return _run(module, sites, graph, recorded, rows, table, ends)

            width = recorded.ids.shape[1]
            for batch, logits in halving(
                todo, max(1, min(BATCH_TOKENS // width, HELD // (held * width))), run
            ):
                asked = [pairs[group[at]] for at, _ in batch]
                values = metric(logits, asked).double().cpu().numpy()
                for (at, row), value in zip(batch, values, strict=True):
                    found[group[at], row] = value
                done += len(batch)
                progress(done, found.size)
    check_numbers(found)
    return found


@dataclass(frozen=True, kw_only=True)
class _Recorded:
    """What is known of a group of pairs before an edge is corrupted."""

    ids: Any
    """The clean prompts' tokens behind the beginning, (P, T)."""

    here: Any
    """What writers add on them, (P, W, T, D)."""

    there: Any
    """What they add on the corrupted prompts."""

    given: Mapping[str, Any]
    """What the layers give out on the clean prompts."""

    beginning: Beginning
    """What both prompts of each pair begin with. All else is of the tokens behind it."""

    def ends(self, pairs: Sequence[PromptPair]) -> list[int]:
        """The last token of each pair, counted from where the beginning ends."""
        return [len(pair.clean) - 1 - self.beginning.length for pair in pairs]


def _run(
    module: Any,
    sites: Sites,
    graph: Graph,
    recorded: _Recorded,
    rows: Any,
    table: Any,
    ends: Sequence[int],
) -> Any:
    """Logits at the rows' ends with edges corrupted, (N, V).

    Layers before the first such edge are skipped.
    """
    readers = table.any(0).any(0).nonzero()[:, 0].tolist()
    first = min((graph.readers[at].place // 2 for at in readers), default=0)
    before = sum(writer.place < 2 * first for writer in graph.writers) if first else 0
    given = {
        layer.path: with_first_tensor(
            recorded.given[layer.path], first_tensor(recorded.given[layer.path])[rows]
        )
        for layer in sites.layers[:first]
    }
    with (
        skipping(module, given),
        patched_edges(module, sites, graph, table, recorded.there, rows, recorded.here[:, :before]),
    ):
        return logits_at(module, recorded.ids[rows], ends, recorded.beginning.given(rows))


def check_pairs(module: Any, sites: Sites, pairs: Sequence[PromptPair]) -> None:
    """Refuse pairs that cannot be run.

    Raises:
        DataError: None, prompts of different lengths, padded, or tokens that are none.
    """
    check_device(module)
    if not pairs:
        raise DataError("expected pairs of prompts, got none")
    for number, pair in enumerate(pairs):
        try:
            check_prompts(module, sites, pair.clean, pair.corrupted)
            check_tokens(sites, (pair.right, pair.wrong), "answers")
        except DataError as error:
            raise DataError(f"pair {number}: {error}") from error


def padded(rows: Sequence[Sequence[int]], device: Any) -> Any:
    """Rows of tokens in one tensor, padded on the right, where a causal model cannot see it."""
    import torch

    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[row[-1]] * (width - len(row))] for row in rows], device=device)


def grouped(pairs: Sequence[PromptPair], graph: Graph) -> Iterator[list[int]]:
    """Pairs of like length together, as many as may be held at once."""
    order = sorted(range(len(pairs)), key=lambda at: -len(pairs[at].clean))
    while order:
        width = len(pairs[order[0]].clean)
        size = max(1, HELD // (len(graph.writers) * width * graph.width))
        yield order[:size]
        order = order[size:]


def _record(module: Any, sites: Sites, graph: Graph, pairs: Sequence[PromptPair]) -> _Recorded:
    """Run pairs as they are.

    Raises:
        DataError: What is written is not a number.
        ModelError: The pairs do not fit into memory.
    """
    import torch

    device = next(module.parameters()).device
    ids, other = (
        padded([getattr(pair, name) for pair in pairs], device) for name in ("clean", "corrupted")
    )

    size = max(1, BATCH_TOKENS // ids.shape[1])
    begun = NOTHING if len(pairs) > size else beginning(module, ids, shared(pairs))
    ids, other = ids[:, begun.length :], other[:, begun.length :]

    def record(rows: list[int]) -> Any:
        at = torch.tensor(rows, device=device)
        here, there = (
            writes(module, sites, graph, each[rows], begun.given(at)) for each in (ids, other)
        )
        paths = [layer.path for layer in sites.layers]
        given, _ = layer_outputs(module, paths, ids[rows], begun.given(at))
        return here, there, given

    found = [value for _, value in halving(range(len(pairs)), size, record)]
    here, there = (torch.cat([value[at] for value in found]) for at in (0, 1))
    if not bool(torch.isfinite(here).all() and torch.isfinite(there).all()):
        raise DataError(
            "expected numbers in the residual stream, got NaN or inf; the weights are damaged, or "
            "the number format is too narrow (try float32)"
        )
    given = {
        path: with_first_tensor(value, torch.cat([first_tensor(part[2][path]) for part in found]))
        for path, value in found[0][2].items()
    }
    return _Recorded(ids=ids, here=here, there=there, given=given, beginning=begun)
