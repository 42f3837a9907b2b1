"""The graph of a model's computation: who writes to the residual stream, and who reads it.

A writer adds to the stream: `embed`, a head `3.heads.1`, an MLP `3.mlp`. A reader takes it in:
`3.q.1`, `3.k.0` and `3.v.0` of attention, `3.mlp.in`, and `final`, what the unembedding's norm
reads. An edge goes from a writer to a reader behind it.

Axes: W writers, R readers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool

from plumbrule.errors import ConfigError
from plumbrule.mechanism.circuits.attention_decomposition import ResidualReader, ResidualWriter
from plumbrule.records import strict


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
    writers: tuple[ResidualWriter, ...]
    """In the order in which a pass reaches them."""

    readers: tuple[ResidualReader, ...]
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
