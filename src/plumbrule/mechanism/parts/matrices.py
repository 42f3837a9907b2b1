"""The matrices inside a model's layers, read one at a time, and what they read and write.

Axes: M numbers given out, N numbers taken in, D width of the residual stream.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from plumbrule.errors import ConfigError, ModelError, PlumbruleError
from plumbrule.mechanism.parts.projections import (
    alike,
    linear_values,
    matrix_of,
    projection_of,
    single_values,
)
from plumbrule.mechanism.sites import Sites
from plumbrule.mechanism.tracing import Call, Trace, trace


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """One matrix, not read yet."""

    name: str
    factors: Callable[[], tuple[Any, ...]]
    """Reads it, in 32 bits on the CPU: factors whose product is the (M, N) matrix."""

    read_scale: Any | None
    """D numbers by which the norm before it multiplies the stream; None where it does not read the
    stream."""

    write_scale: Any | None
    """The same of the norm behind it; None where it does not write into the stream."""


def matrices(
    module: Any, sites: Sites, *, against: Any | None, names: Sequence[str] | None
) -> list[Matrix]:
    """Find the matrices asked for.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        against: The model before; its parameters are taken off.
        names: Parameters, or heads such as `3.heads.1 OV`; None: all.

    Raises:
        ConfigError: There is no matrix of that name.
        ModelError: The models differ in shape.
    """
    seen = trace(module)
    before = None if against is None else dict(against.named_parameters())
    found = {}
    for layer, place in enumerate(sites.layers):
        for name, parameter in module.named_parameters():
            if name.startswith(f"{place.path}.") and parameter.dim() == 2:
                found[name] = _parameter(module, sites, seen, layer, name, parameter, before)
        if before is None:
            found |= {each.name: each for each in _heads(module, sites, seen, layer)}
    if not found:
        raise ConfigError(f"{sites.family} has no matrices inside its layers")
    if names is None:
        return list(found.values())
    for name in names:
        if name not in found:
            close = difflib.get_close_matches(name, list(found), n=3, cutoff=0.3)
            raise ConfigError(
                f"expected a matrix inside the layers of {sites.family}, got {name!r}; the "
                f"closest are {', '.join(close) or ', '.join(list(found)[:3])}"
            )
    return [found[name] for name in names]


def _parameter(
    module: Any,
    sites: Sites,
    seen: Trace,
    layer: int,
    name: str,
    parameter: Any,
    before: dict[str, Any] | None,
) -> Matrix:
    """A parameter, or its change."""
    other = None
    if before is not None:
        other = before.get(name)
        if other is None or other.shape != parameter.shape:
            raise ModelError(
                f"expected two models of one shape, {name} is {tuple(parameter.shape)} in one and "
                f"{tuple(other.shape) if other is not None else 'absent'} in the other"
            )
    call = seen.at(name.rpartition(".")[0])
    matrix = None if call is None else matrix_of(call)
    # A module that multiplies from the other side keeps what it takes in along the rows.
    turned = matrix is not None and call is not None and _turned(call, matrix)

    def factors() -> tuple[Any, ...]:
        value = parameter.detach().float().cpu()
        if other is not None:
            value = value - other.detach().float().cpu()
        return (value.mT if turned else value,)

    known = call is not None and matrix is not None
    return Matrix(
        name=name,
        factors=factors,
        read_scale=_read_scale(sites, seen, layer, call) if known and call else None,
        write_scale=_write_scale(module, sites, seen, layer, call) if known and call else None,
    )


def _turned(call: Call, matrix: Any) -> bool:
    """Whether the parameter itself is taken in by given out, and not the other way."""
    weight = call.module.weight
    return bool(matrix.stride() == weight.stride() and matrix.shape == weight.shape)


def _read_scale(sites: Sites, seen: Trace, layer: int, call: Call) -> Any | None:
    """Scale of the norm whose output a matrix takes in; 1 where it takes in the stream itself."""
    import torch

    from plumbrule.models.unembedding import norm_scale

    if not seen.wide(call.taken):
        return None
    place = seen.at(sites.layers[layer].path)
    assert place is not None
    if alike(call.taken, place.taken) or _behind_attention(sites, seen, layer, call, place):
        return torch.ones(sites.width)
    for each in seen.calls:
        weight = getattr(each.module, "weight", None)
        if (
            each.path.startswith(f"{place.path}.")
            and seen.wide(each.taken)
            and weight is not None
            and weight.shape == (sites.width,)
            and alike(each.given, call.taken)
            and not alike(each.taken, call.taken)
        ):
            return norm_scale(each.module, sites.width)
    return None


def _behind_attention(sites: Sites, seen: Trace, layer: int, call: Call, place: Call) -> bool:
    """Whether a matrix takes in the stream with what attention added, and no norm of it."""
    import torch

    if f"{layer}.attn" not in sites.names:
        return False
    site = sites[f"{layer}.attn"]
    write = seen.at(site.path)
    assert write is not None
    middle = place.taken + site.scale * write.given.reshape(place.taken.shape)
    taken = call.taken.reshape(middle.shape)
    return bool(torch.allclose(taken, middle, rtol=1e-4, atol=1e-4 * float(middle.abs().max())))


def _write_scale(module: Any, sites: Sites, seen: Trace, layer: int, call: Call) -> Any | None:
    """Scale of the norm behind a matrix that writes into the stream; None where it does not."""
    for kind in ("heads", "mlp"):
        try:
            projection = projection_of(module, sites, layer, kind, seen=seen)
        except PlumbruleError:
            continue
        if projection.path == call.path:
            return projection.scale
    return None


def _heads(module: Any, sites: Sites, seen: Trace, layer: int) -> list[Matrix]:
    """What each head makes of what it attends to; none where its values are no linear map."""
    if f"{layer}.heads" not in sites.names or not linear_values(module, sites, [layer])[layer]:
        return []
    site, path = sites[f"{layer}.heads"], sites.layers[layer].mixer
    mixer = None if path is None else seen.at(path)
    assert mixer is not None
    projection, count = projection_of(module, sites, layer, seen=seen), site.heads or 1

    def reader(head: int) -> Callable[[], tuple[Any, ...]]:
        def factors() -> tuple[Any, ...]:
            probes = torch.cat([torch.zeros(1, sites.width), torch.eye(sites.width)])
            values = single_values(module, sites, [layer], probes)[layer]
            values = (values[1:] - values[:1]).reshape(sites.width, count, -1)[:, head]
            return (projection.head(head, count) / projection.scale).mT, values.mT

        return factors

    import torch

    return [
        Matrix(
            name=f"{layer}.heads.{head} OV",
            factors=reader(head),
            read_scale=_read_scale(sites, seen, layer, mixer),
            write_scale=projection.scale,
        )
        for head in range(count)
    ]
