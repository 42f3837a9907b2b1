"""The edges of a model's computation: who writes to the residual stream, and who reads it.

A writer adds to the stream: `embed`, a head `3.heads.1`, an MLP `3.mlp`. A reader takes it in:
`3.q.1`, `3.k.0` and `3.v.0` of attention, `3.mlp.in`, and `final`, what the unembedding's norm
reads. An edge goes from a writer to a reader behind it. Nothing is looked up by the family's name:
which numbers are whose query, key or value is seen from what they change. The whole is then held
against the model: with every edge corrupted but those into `final` and the embeddings', the model
must say what it says of the corrupted prompt.

Axes: B rows, T tokens, D width, W writers, R readers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool

from plumbrule.errors import ConfigError, ModelError
from plumbrule.mechanism.circuits.splitting import Reader, Writer, split_layer
from plumbrule.mechanism.sites import Sites
from plumbrule.mechanism.tracing import trace
from plumbrule.records import strict

AGREES = 1e-3
"""Largest error of a rewired model's logits, as a share of how far the two prompts' logits are
apart; more in half precision."""


@strict
@dataclass(frozen=True, kw_only=True, order=True)
class Edge:
    """What one writer adds, on its way to one reader."""

    writer: str
    reader: str

    def __str__(self) -> str:
        return f"{self.writer} -> {self.reader}"


@strict
@dataclass(frozen=True, kw_only=True)
class Graph:
    """Every writer, reader and edge of a model."""

    family: str
    layers: int
    width: int
    writers: tuple[Writer, ...]
    """In the order in which a pass reaches them."""

    readers: tuple[Reader, ...]
    notes: tuple[tuple[str, str], ...]
    """Parts that could not be split into heads, each with the reason."""

    @cached_property
    def allowed(self) -> Bool[np.ndarray, "W R"]:
        """Whether a reader comes behind a writer."""
        places = np.array([writer.place for writer in self.writers])
        found: np.ndarray = places[:, None] < np.array([each.place for each in self.readers])
        return found

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """All edges, reader by reader."""
        return tuple(
            Edge(writer=writer.name, reader=reader.name)
            for column, reader in enumerate(self.readers)
            for row, writer in enumerate(self.writers)
            if self.allowed[row, column]
        )

    def mask(self, edges: Iterable[Edge]) -> Bool[np.ndarray, "W R"]:
        """Edges as a table.

        Raises:
            ConfigError: There is no such edge.
        """
        rows, columns = self._rows, self._columns
        table = np.zeros((len(rows), len(columns)), dtype=bool)
        for edge in edges:
            row, column = rows.get(edge.writer), columns.get(edge.reader)
            if row is None or column is None or not self.allowed[row, column]:
                raise ConfigError(self._no_edge(edge, row, column))
            table[row, column] = True
        return table

    def _no_edge(self, edge: Edge, row: int | None, column: int | None) -> str:
        if row is not None and column is not None:
            return f"{edge} goes backwards: {edge.reader} does not come behind {edge.writer}"
        missing, names = (
            (edge.writer, [*self._rows]) if row is None else (edge.reader, [*self._columns])
        )
        reason = dict(self.notes).get(missing.rpartition(".")[0])
        return f"expected an edge of {self.family}, got {edge}: there is no {missing}; " + (
            reason or f"there are {', '.join(names[:6])} and so on"
        )

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {writer.name: at for at, writer in enumerate(self.writers)}

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {reader.name: at for at, reader in enumerate(self.readers)}


def edges_of(module: Any, sites: Sites) -> Graph:
    """Find every writer, reader and edge of a model, and check that they are all there is.

    Args:
        module: The model; left as it was.
        sites: Its sites.

    Returns:
        The graph. Where attention cannot be split by heads, it writes as one `3.attn` and reads
        as one `3.attn.in`, and `notes` says why.

    Raises:
        ModelError: A layer's parts do not add up to what it adds, nothing is known to read the
            stream, or the rewired model is not the model; the layer or the error is named.

    Source:
        The graph of Elhage et al. (2021) and Wang et al. (2022), with one reader for each head's
        query and each key-value head's key and value; finding it by what parts do is ours.
    """
    seen = trace(module)
    writers = [Writer(name="embed", place=-1, sites=("embed",))]
    readers: list[Reader] = []
    notes: list[tuple[str, str]] = []
    for number in range(len(sites.layers)):
        layer = split_layer(module, sites, seen, number)
        writers += layer.writers
        readers += layer.readers
        notes += layer.notes
    count = len(sites.layers)
    readers.append(
        Reader(name="final", place=2 * count, kind="stream", parts=(sites.layers[-1].path,))
    )
    graph = Graph(
        family=sites.family,
        layers=count,
        width=sites.width,
        writers=tuple(writers),
        readers=tuple(readers),
        notes=tuple(notes),
    )
    check_graph(module, sites, graph, seen.ids)
    return graph


def check_graph(module: Any, sites: Sites, graph: Graph, ids: Any) -> None:
    """Hold the graph against the model itself.

    The first row of tokens is run with every edge corrupted by the second row, but `embed`'s alone
    into `final` and all others' into `final` left whole. Each part then reads the second row, so
    that every writer must write what it writes there, by itself, and with the second row's
    embeddings the logits must be the second row's.

    Raises:
        ModelError: They are not.
    """
    import torch

    from plumbrule.mechanism.circuits.rewiring import rewired, writes
    from plumbrule.models.resting import at_rest

    ids = ids[:2]
    table = torch.tensor(graph.allowed)
    table[1:, -1] = False
    with at_rest(module), torch.no_grad():
        plain = module(input_ids=ids, use_cache=False)["logits"].double()
        there = writes(module, sites, graph, ids[1:])
        with rewired(module, sites, graph, table[None], there):
            other = module(input_ids=ids[:1], use_cache=False)["logits"].double()
    apart = float((plain[1] - plain[0]).abs().max())
    error = float((other[0] - plain[1]).abs().max())
    least = max(AGREES, 64 * torch.finfo(next(module.parameters()).dtype).eps)
    if not error <= least * apart:
        raise ModelError(
            f"{graph.family}: with every reader given another prompt's stream the logits are "
            f"{error:.2g} from that prompt's, where the prompts are {apart:.2g} apart; something "
            "reads the stream that is not known, so that edges cannot be told"
        )


def parsed_edges(texts: Sequence[str]) -> tuple[Edge, ...]:
    """Edges from how they are written, such as `0.heads.3 -> 1.k.3`.

    Raises:
        ConfigError: A text is none.
    """
    found = []
    for text in texts:
        writer, arrow, reader = (part.strip() for part in text.partition("->"))
        if not (writer and arrow and reader):
            raise ConfigError(f"expected an edge such as `0.heads.3 -> 1.k.3`, got {text!r}")
        found.append(Edge(writer=writer, reader=reader))
    return tuple(found)
