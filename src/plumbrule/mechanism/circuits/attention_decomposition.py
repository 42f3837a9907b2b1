"""How one layer writes to the residual stream and reads it, head by head.

The layer is run by itself on random numbers, so that no two of its activations are alike and dead
weights show nothing less: what takes in the stream, and what the stream is with attention's part
added, is then seen by comparing. Which of a projection's numbers are whose query, key or value is
seen by which head they change, and where: a query changes its own token alone, a value the first
token too, where attention has no choice, and a key what is left.

Axes: B rows, T tokens, D width, H heads, E width of a head, C numbers that a projection gives out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from plumbrule.errors import ModelError
from plumbrule.mechanism.circuits.head_writes import head_writes
from plumbrule.mechanism.circuits.qkv_columns import Columns, NotSplit, head_columns
from plumbrule.mechanism.circuits.rerunning import noise, noting, rerun
from plumbrule.mechanism.hooks import watching
from plumbrule.mechanism.site_search import exchanged, same
from plumbrule.mechanism.sites import Sites
from plumbrule.mechanism.tracing import Call, Trace
from plumbrule.records import strict

CLOSE = 1e-4
"""Largest error, as a share, with which a sum of parts counts as the whole; more in half
precision."""


@strict
@dataclass(frozen=True, kw_only=True)
class ResidualWriter:
    """What adds to the residual stream."""

    name: str
    place: int
    """Where in the pass: two for each layer, attention and MLP."""

    sites: tuple[str, ...]
    """The site where it is read; for heads the site of all heads and that of attention."""

    head: int | None = None


@strict
@dataclass(frozen=True, kw_only=True)
class ResidualReader:
    """A module that reads the residual stream."""

    name: str
    place: int
    kind: Literal["columns", "input", "stream"]
    """Some columns of a projection, the input of a module, or the residual stream itself."""

    parts: tuple[str, ...]
    """`columns`: modules that run one behind the other; `input`: modules that all take it in;
    `stream`: the module that gives it out."""

    norm: str | None = None
    """The norm before them, which is computed again for each reader; None where they take in the
    stream itself."""

    columns: tuple[int, ...] = ()
    """Of the last part's output, for `columns`."""


@dataclass(frozen=True, kw_only=True)
class LayerDecomposition:
    """One layer's writers and readers."""

    writers: list[ResidualWriter]
    readers: list[ResidualReader]
    notes: list[tuple[str, str]]


def decompose_layer(module: Any, sites: Sites, seen: Trace, number: int) -> LayerDecomposition:
    """Find what one layer's heads and MLP write and read.

    Raises:
        ModelError: The layer does not add up, or nothing is known to read the stream.
    """
    layer = sites.layers[number]
    if not layer.additive:
        raise ModelError(
            f"{sites.family}: what the parts of layer {number} give out does not add up to what "
            "it adds to the residual stream, so that there are no edges to tell"
        )
    call = seen.at(layer.path)
    assert call is not None
    notes = []
    writers, reason = _attention_writers(module, sites, number, call)
    if reason:
        notes.append((f"{number}.attn", f"attention writes as one: {reason}"))
    look = _observe(module, sites, number, call)
    readers, reason = _attention_readers(sites, number, look)
    if reason:
        notes.append((f"{number}.attn.in", f"attention reads as one: {reason}"))
    if layer.mlp is not None:
        reader = _mlp_reader(sites, number, look, readers[0].norm)
        readers.append(reader)
        writers.append(
            ResidualWriter(name=f"{number}.mlp", place=2 * number + 1, sites=(f"{number}.mlp",))
        )
    return LayerDecomposition(writers=writers, readers=readers, notes=notes)


def _attention_writers(
    module: Any, sites: Sites, number: int, call: Call
) -> tuple[list[ResidualWriter], str | None]:
    """The heads one by one, or attention as one writer, with the reason."""
    names = (f"{number}.heads", f"{number}.attn")
    whole = [ResidualWriter(name=names[1], place=2 * number, sites=(names[1],))]
    if names[0] not in sites.names:
        return whole, dict(sites.missing).get(names[0], "its heads are not known")
    heads = sites[names[0]].heads or 1
    values: dict[str, Any] = {}

    def put(value: Any) -> Any:
        values["heads"] = noise(value, seed=number)
        return values["heads"]

    def keep(value: Any) -> None:
        values["attn"] = value

    with watching(module, {sites[names[0]]: put, sites[names[1]]: keep}):
        rerun(call)
    parts = head_writes(module, sites, number, values["heads"], values["attn"])
    left = values["attn"].reshape(parts[:, 0].shape).double() * sites[names[1]].scale
    left = left - parts.double().sum(1)
    # What no head writes must be a constant, such as a bias: it is in every run and on no edge.
    size = float(values["attn"].double().abs().max()) or 1.0
    if float((left - left[:1, :1]).abs().max()) > _close(values["attn"]) * size:
        return whole, "its heads' shares do not add up to what it writes"
    return [
        ResidualWriter(name=f"{number}.heads.{head}", place=2 * number, sites=names, head=head)
        for head in range(heads)
    ], None


def _close(value: Any) -> float:
    import torch

    return max(CLOSE, 8 * float(torch.finfo(value.dtype).eps))


@dataclass(frozen=True, kw_only=True)
class _Look:
    """A layer's run on a random stream, with random numbers written by attention."""

    stream: Any
    """What the layer took in."""

    middle: Any
    """The same with what attention wrote."""

    calls: tuple[Call, ...]
    mixer: Call


def _observe(module: Any, sites: Sites, number: int, call: Call) -> _Look:
    """Run a layer on random numbers and write down every part's call."""
    site = sites[f"{number}.attn"]
    stream = noise(call.taken, seed=2 * number)
    written: list[Any] = []

    def put(value: Any) -> Any:
        written.append(noise(value, seed=2 * number + 1))
        return written[0]

    arguments, keywords = exchanged(call, stream)
    with noting(call) as calls, watching(module, {site: put}):
        rerun(call, arguments, keywords)
    mixer = sites.layers[number].mixer
    return _Look(
        stream=stream,
        middle=stream + written[0].reshape(stream.shape) * site.scale,
        calls=tuple(calls),
        mixer=next(each for each in calls if each.path == mixer),
    )


def _attention_readers(
    sites: Sites, number: int, look: _Look
) -> tuple[list[ResidualReader], str | None]:
    """Queries, keys and values one by one, or attention as one reader, with the reason."""
    mixer = look.mixer
    norm = _norm(look, mixer.taken)
    if norm is None and not same(mixer.taken, look.stream):
        raise ModelError(
            f"{sites.family}: attention of layer {number} ({mixer.path}) takes in neither the "
            "residual stream nor a norm of it, so that edges into it cannot be told"
        )
    whole = ResidualReader(
        name=f"{number}.attn.in", place=2 * number, kind="input", parts=(mixer.path,), norm=norm
    )
    try:
        if f"{number}.heads" not in sites.names:
            raise NotSplit("its heads are not known")
        inner = tuple(each for each in look.calls if each.path.startswith(f"{mixer.path}."))
        found = head_columns(mixer, inner, sites[f"{number}.heads"])
    except NotSplit as reason:
        return [whole], str(reason)
    return [_reader(number, each, norm) for each in found], None


def _reader(number: int, found: Columns, norm: str | None) -> ResidualReader:
    return ResidualReader(
        name=f"{number}.{found.role}.{found.head}",
        place=2 * number,
        kind="columns",
        parts=found.parts,
        norm=norm,
        columns=found.columns,
    )


def _mlp_reader(sites: Sites, number: int, look: _Look, norm: str | None) -> ResidualReader:
    """Input of the MLP: the residual stream after attention, or beside it if both are parallel."""
    outside = [
        each
        for each in look.calls
        if each.path != look.mixer.path and not each.path.startswith(f"{look.mixer.path}.")
    ]
    name = f"{number}.mlp.in"
    behind = [each for each in outside if _alike(each.taken, look.middle)]
    if behind:
        return ResidualReader(
            name=name, place=2 * number + 1, kind="input", parts=_outermost(behind)
        )
    beside = [each for each in outside if same(each.taken, look.stream) and each.path != norm]
    if beside:
        return ResidualReader(name=name, place=2 * number, kind="input", parts=_outermost(beside))
    shared = next((each for each in look.calls if each.path == norm), None)
    takers = [each for each in outside if shared is not None and same(each.taken, shared.given)]
    if takers:
        return ResidualReader(
            name=name, place=2 * number, kind="input", parts=_outermost(takers), norm=norm
        )
    raise ModelError(
        f"{sites.family}: nothing in layer {number} takes in the residual stream for its MLP, so "
        "that edges into it cannot be told"
    )


def _norm(look: _Look, given: Any) -> str | None:
    """The module that turns the stream into what is given."""
    for each in look.calls:
        if each.path == look.mixer.path or each.path.startswith(f"{look.mixer.path}."):
            continue
        if same(each.taken, look.stream) and same(each.given, given):
            return each.path
    return None


def _outermost(calls: Sequence[Call]) -> tuple[str, ...]:
    """Modules that lie within no other of them."""
    paths = list(dict.fromkeys(each.path for each in calls))
    return tuple(path for path in paths if not any(path.startswith(f"{other}.") for other in paths))


def _alike(value: Any, sum_: Any) -> bool:
    """Whether a value is a sum, up to the order in which it was added up."""
    if value is None or not value.is_floating_point() or value.numel() != sum_.numel():
        return False
    if value.shape[-1] != sum_.shape[-1]:
        return False
    error = float((value.reshape(sum_.shape).double() - sum_.double()).abs().max())
    return error <= _close(value) * float(sum_.double().abs().max())
