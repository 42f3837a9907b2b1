"""The matrices inside a model's layers, read one at a time, and what they read and write.

Axes: M numbers given out, N numbers taken in, D width of the residual stream.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

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

HELD = 2**25
"""Most numbers of what heads give that are held at once."""


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
    everywhere = range(len(sites.layers))
    near = [at for at in everywhere if names is None or _names_layer(sites, at, names)]
    found = _inside(module, sites, seen, near, before)
    if names is not None and any(name not in found for name in names):
        found = _inside(module, sites, seen, everywhere, before)
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


def _names_layer(sites: Sites, layer: int, names: Sequence[str]) -> bool:
    """Whether a matrix that is asked for lies in a layer."""
    begins = (f"{sites.layers[layer].path}.", f"{layer}.")
    return any(name.startswith(begins) for name in names)


def _inside(
    module: Any, sites: Sites, seen: Trace, layers: Sequence[int], before: dict[str, Any] | None
) -> dict[str, Matrix]:
    """All matrices of some layers."""
    values = _Values(module, sites, layers) if before is None else None
    found = {}
    for layer in layers:
        writes = _writes(module, sites, seen, layer)
        for name, parameter in module.named_parameters():
            if name.startswith(f"{sites.layers[layer].path}.") and parameter.dim() == 2:
                found[name] = _parameter(sites, seen, layer, name, parameter, before, writes)
        if values is not None:
            found |= {each.name: each for each in _heads(module, sites, seen, layer, values)}
    return found


def _writes(module: Any, sites: Sites, seen: Trace, layer: int) -> dict[str, Any]:
    """By module that writes into the stream, the scale of the norm behind it."""
    found = {}
    for kind in ("heads", "mlp"):
        try:
            projection = projection_of(module, sites, layer, kind, seen=seen)
        except PlumbruleError:
            continue
        found[projection.path] = projection.scale
    return found


class _Values:
    """What heads make of each direction of the stream, some layers in one pass.

    A pass reads as many single tokens as the stream is wide, and goes through all layers up to the
    last one asked for; to run it for each head anew takes longer than all the rest.
    """

    def __init__(self, module: Any, sites: Sites, layers: Sequence[int]) -> None:
        self._module, self._sites = module, sites
        known = [at for at in layers if f"{at}.heads" in sites.names]
        straight = linear_values(module, sites, known) if known else {}
        self._layers = [at for at in known if straight[at]]
        self._together = max(1, HELD // sites.width**2)
        self._held: dict[int, Any] = {}

    def __contains__(self, layer: int) -> bool:
        return layer in self._layers

    def of(self, layer: int) -> Float[Any, "D C"]:
        """What the heads of a layer give, side by side, for each direction."""
        if layer not in self._held:
            start = self._layers.index(layer) // self._together * self._together
            part = self._layers[start : start + self._together]
            import torch

            width = self._sites.width
            probes = torch.cat([torch.zeros(1, width), torch.eye(width)])
            values = single_values(self._module, self._sites, part, probes)
            self._held = {at: value[1:] - value[:1] for at, value in values.items()}
        return self._held[layer]


def _parameter(
    sites: Sites,
    seen: Trace,
    layer: int,
    name: str,
    parameter: Any,
    before: dict[str, Any] | None,
    writes: dict[str, Any],
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
        write_scale=writes.get(call.path) if known and call else None,
    )


def _turned(call: Call, matrix: Any) -> bool:
    """Whether the parameter is stored inputs by outputs, and not the other way round."""
    weight = call.module.weight
    return bool(matrix.stride() == weight.stride() and matrix.shape == weight.shape)


def _read_scale(sites: Sites, seen: Trace, layer: int, call: Call) -> Any | None:
    """Scale of the norm before a matrix; 1 where its input is the residual stream itself."""
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
    """Whether a matrix reads the residual stream after attention, without a norm before it."""
    import torch

    if f"{layer}.attn" not in sites.names:
        return False
    site = sites[f"{layer}.attn"]
    write = seen.at(site.path)
    assert write is not None
    middle = place.taken + site.scale * write.given.reshape(place.taken.shape)
    taken = call.taken.reshape(middle.shape)
    return bool(torch.allclose(taken, middle, rtol=1e-4, atol=1e-4 * float(middle.abs().max())))


def _heads(module: Any, sites: Sites, seen: Trace, layer: int, values: _Values) -> list[Matrix]:
    """What each head makes of what it attends to; none where its values are no linear map."""
    if layer not in values:
        return []
    site, path = sites[f"{layer}.heads"], sites.layers[layer].mixer
    mixer = None if path is None else seen.at(path)
    assert mixer is not None
    projection, count = projection_of(module, sites, layer, seen=seen), site.heads or 1

    def reader(head: int) -> Callable[[], tuple[Any, ...]]:
        def factors() -> tuple[Any, ...]:
            own = values.of(layer).reshape(sites.width, count, -1)[:, head]
            return (projection.head(head, count) / projection.scale).mT, own.mT

        return factors

    return [
        Matrix(
            name=f"{layer}.heads.{head} OV",
            factors=reader(head),
            read_scale=_read_scale(sites, seen, layer, mixer),
            write_scale=projection.scale,
        )
        for head in range(count)
    ]
