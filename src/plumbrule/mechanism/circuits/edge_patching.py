"""A model whose edges are cut and joined again: each reader with its own copy of the stream.

The stream itself goes on as the run makes it. A reader whose edges are corrupted is given the
stream less what those writers add in this run, plus what they add on the corrupted prompt; the norm
before it is computed again on that copy, and of a projection only the reader's own numbers are
exchanged. Readers without a corrupted edge are left alone, to the bit.

Axes: N rows of a pass, P rows that writers were recorded on, T tokens, D width, W writers,
R readers, H heads.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from plumbrule.mechanism.circuits.attention_decomposition import ResidualReader, ResidualWriter
from plumbrule.mechanism.circuits.graph import Graph
from plumbrule.mechanism.circuits.head_writes import head_writes
from plumbrule.mechanism.hooks import Look, last_alone, watching
from plumbrule.mechanism.sites import Site, Sites

Delta = Callable[[int, Any], tuple[Any, Any] | None]
"""Takes a reader's number and the stream, (N, T, D); gives the rows to change and what is added to
them, or None."""

Parts = Mapping[str, Any]
Readers = Sequence[tuple[int, ResidualReader]]

GATHERED = 8
"""Writers are read one by one where they are fewer than one in so many: to gather a number of a
tensor costs several times what passing over it does."""

Wrote = Callable[[int, Any], None]
"""Told of a writer's number and what it adds, (N, T, D), before any reader behind it runs."""


def writes(
    module: Any,
    sites: Sites,
    graph: Graph,
    ids: Any,
    given: Mapping[str, Any] | None = None,
) -> Any:
    """What every writer adds to the stream while a model reads tokens: (N, W, T, D).

    Args:
        module: The model, at rest and without gradients.
        sites: Its sites.
        graph: Its graph.
        ids: Tokens, (N, T).
        given: What the pass is given besides, such as a cache of what is before.
    """
    import torch

    found: list[Any] = [None] * len(graph.writers)

    def wrote(number: int, value: Any) -> None:
        found[number] = value

    with recording(module, sites, graph, wrote):
        module(input_ids=ids, use_cache=False, **last_alone(module), **(given or {}))
    return torch.stack(found, 1)


@contextmanager
def patched_edges(
    module: Any,
    sites: Sites,
    graph: Graph,
    table: Any,
    corrupted: Any,
    rows: Any = None,
    before: Any = None,
) -> Iterator[None]:
    """Corrupt edges while a model runs.

    Args:
        module: The model.
        sites: Its sites.
        graph: Its graph.
        table: Whether each edge is corrupted in each row of the pass, (N, W, R), yes or no.
        corrupted: What the writers add on the corrupted prompts, (P, W, T, D).
        rows: Which of these each row of the pass takes, (N,); None: row by row.
        before: What the first writers add in this pass, (P, W', T, D), where the layers that they
            belong to are skipped; None where none is.
    """
    import torch

    used = table.any(0).any(1).nonzero()[:, 0].tolist()
    place = {number: at for at, number in enumerate(used)}
    table = table[:, used]
    behind = table.any(1)
    held: list[Any] = []
    written: list[int] = []

    def wrote(number: int, value: Any) -> None:
        # Where layers are skipped the embeddings are known before, and looked at all the same.
        if number not in place or place[number] in written:
            return
        if not held:
            held.append(value.new_zeros((len(value), len(used), *value.shape[1:])))
            held.append(value.new_zeros(value.shape))
        there = corrupted[:, number] if rows is None else corrupted[rows, number]
        torch.sub(there, value, out=held[0][:, place[number]])
        held[1] += held[0][:, place[number]]
        written.append(place[number])

    for number in range(0 if before is None else before.shape[1]):
        if number in place:
            wrote(number, before[:, number] if rows is None else before[rows, number])

    def delta(number: int, stream: Any) -> tuple[Any, Any] | None:
        changed = behind[:, number].nonzero()[:, 0]
        if not len(changed):
            return None
        cut = table[changed][:, :, number]
        whole = len(changed) == len(stream)
        different = held[0] if whole else held[0][changed]
        writers = cut.any(0).nonzero()[:, 0]
        if int(cut.sum(1).max()) == 1:
            at = writers[cut[:, writers].int().argmax(1)].to(stream.device)
            own = torch.arange(len(changed), device=stream.device)
            return changed.to(stream.device), different[own, at]
        # Of nearly all edges the few that are left whole are taken off the sum of all: adding up
        # some hundreds of writers for each of as many readers would take most of the time.
        there = torch.tensor(written)
        left = there[~cut[:, there].all(0)]
        few = len(left) < len(writers)
        chosen = left if few else writers
        if GATHERED * len(chosen) < len(written):
            weights, read = (~cut if few else cut)[:, chosen], chosen.to(stream.device)
        else:
            read = slice(max(written) + 1)
            weights = (~cut if few else cut)[:, read]
        added = torch.einsum("nw,nwtd->ntd", weights.to(stream), different[:, read])
        if few:
            added = (held[1] if whole else held[1][changed.to(stream.device)]) - added
        return changed.to(stream.device), added

    with recording(module, sites, graph, wrote, only=place), copying(module, sites, graph, delta):
        yield


@contextmanager
def recording(
    module: Any,
    sites: Sites,
    graph: Graph,
    wrote: Wrote,
    *,
    only: Collection[int] | None = None,
) -> Iterator[None]:
    """Tell what writers add while a model runs.

    Args:
        module: The model.
        sites: Its sites.
        graph: Its graph.
        wrote: Told of each writer.
        only: Numbers of the writers to tell of; None: all.
    """
    layers: dict[tuple[str, ...], list[tuple[int, ResidualWriter]]] = {}
    for number, writer in enumerate(graph.writers):
        # The embeddings tell the shape of a stream.
        if only is None or number in only or not number:
            layers.setdefault(writer.sites, []).append((number, writer))
    shape: list[int] = []

    def tell(number: int, value: Any) -> None:
        # Some layers put all tokens of all rows in one line for their MLP.
        shape[:] = shape or value.shape
        wrote(number, value.reshape(shape))

    with ExitStack() as stack:
        for names, writers in layers.items():
            stack.enter_context(
                _heads_looked_at(module, sites, names, writers, tell)
                if len(names) == 2
                else watching(module, {sites[names[0]]: _telling(sites, names[0], writers, tell)})
            )
        yield


def _telling(sites: Sites, name: str, writers: Any, wrote: Wrote) -> Look:
    scale = sites[name].scale

    def look(value: Any) -> None:
        wrote(writers[0][0], value if scale == 1.0 else value * scale)

    return look


@contextmanager
def _heads_looked_at(
    module: Any, sites: Sites, names: tuple[str, ...], writers: Any, wrote: Wrote
) -> Iterator[None]:
    """Split what attention adds among its heads."""
    held: list[Any] = []
    number = int(names[0].partition(".")[0])

    def keep(value: Any) -> None:
        held.append(value)

    def look(value: Any) -> None:
        parts = head_writes(module, sites, number, held.pop(), value)
        for writer, entry in writers:
            wrote(writer, parts[:, entry.head])

    with watching(module, {sites[names[0]]: keep, sites[names[1]]: look}):
        yield


@contextmanager
def copying(module: Any, sites: Sites, graph: Graph, delta: Delta) -> Iterator[None]:
    """Give readers their own copies of the stream while a model runs."""
    shape: list[int] = []

    def begin(value: Any) -> None:
        shape[:] = value.shape

    with ExitStack() as stack:
        stack.enter_context(watching(module, {sites["embed"]: begin}))
        parts = dict(module.named_modules())
        groups: dict[tuple[Any, ...], list[tuple[int, ResidualReader]]] = {}
        for number, reader in enumerate(graph.readers):
            groups.setdefault((reader.kind, reader.norm, reader.parts), []).append((number, reader))
        for (kind, _, _), readers in groups.items():
            act = {"columns": _columns, "input": _input, "stream": _stream}[kind]
            stack.enter_context(act(module, parts, readers, delta, shape))
        yield


def _spot(path: str, side: Any) -> Site:
    return Site(name=f"{path} {side}", path=path, side=side)


@contextmanager
def _columns(
    module: Any, parts: Parts, readers: Readers, delta: Delta, shape: list[int]
) -> Iterator[None]:
    """Exchange those columns of a projection's output that belong to the readers."""
    chain, norm = readers[0][1].parts, readers[0][1].norm
    held: list[Any] = []

    def keep(value: Any) -> None:
        held[:] = [value]

    def look(given: Any) -> Any:
        stream, new = held.pop(), None
        for number, reader in readers:
            found = delta(number, stream)
            if found is None:
                continue
            rows, added = found
            new = given.clone() if new is None else new
            whole = len(rows) == len(stream)
            value = own_numbers(parts, reader, (stream if whole else stream[rows]) + added)
            if whole:
                new[..., span(reader.columns)] = value
            else:
                part = new[rows]
                part[..., span(reader.columns)] = value
                new[rows] = part
        return new

    with (
        watching(module, {_spot(norm or chain[0], "in"): keep}),
        watching(module, {_spot(chain[-1], "out"): look}),
    ):
        yield


def span(columns: Sequence[int]) -> Any:
    """Columns to index with: a slice where they are side by side, which is much faster."""
    if columns == tuple(range(columns[0], columns[0] + len(columns))):
        return slice(columns[0], columns[0] + len(columns))
    return list(columns)


def own_numbers(parts: Parts, reader: ResidualReader, stream: Any) -> Any:
    """What a projection makes of a stream for one reader, without hooks: its own numbers alone."""
    import torch
    from transformers.pytorch_utils import Conv1D

    value = stream
    for path in ([reader.norm] if reader.norm else []) + list(reader.parts[:-1]):
        value = parts[path].forward(value)
    last, own = parts[reader.parts[-1]], span(reader.columns)
    # Of a plain projection only those rows are computed; anything else is run whole.
    if type(last) is torch.nn.Linear:
        bias = None if last.bias is None else last.bias[own]
        return torch.nn.functional.linear(value, last.weight[own], bias)
    if type(last) is Conv1D:
        return value @ last.weight[:, own] + last.bias[own]
    return last.forward(value)[..., own]


@contextmanager
def _input(
    module: Any, parts: Parts, readers: Readers, delta: Delta, shape: list[int]
) -> Iterator[None]:
    """Exchange what modules take in."""
    number, reader = readers[0]
    held: list[Any] = []

    def keep(value: Any) -> None:
        held[:] = [value]

    def look(taken: Any) -> Any:
        stream = (held[0] if reader.norm else taken).reshape(shape)
        found = delta(number, stream)
        if found is None:
            return None
        rows, added = found
        value = stream[rows] + added
        if reader.norm:
            value = parts[reader.norm].forward(value)
        new = taken.reshape(shape).clone()
        new[rows] = value
        return new.reshape(taken.shape)

    with ExitStack() as stack:
        if reader.norm:
            stack.enter_context(watching(module, {_spot(reader.norm, "in"): keep}))
        for path in reader.parts:
            stack.enter_context(watching(module, {_spot(path, "in"): look}))
        yield


@contextmanager
def _stream(
    module: Any, parts: Parts, readers: Readers, delta: Delta, shape: list[int]
) -> Iterator[None]:
    """Exchange the stream behind the last layer."""
    number, reader = readers[0]

    def look(given: Any) -> Any:
        found = delta(number, given)
        if found is None:
            return None
        rows, added = found
        new = given.clone()
        new[rows] = new[rows] + added
        return new

    with watching(module, {_spot(reader.parts[0], "out"): look}):
        yield
