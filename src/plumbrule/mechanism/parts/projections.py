"""The matrices through which a layer's heads and neurons write into the residual stream.

Found by what they do: among the layer's modules with a matrix, the one that gives what the layer's
half adds, or what the norm behind it takes in. Which way round the matrix lies is seen from one
pass, because families store it both ways.

Axes: N numbers taken in, D width of the residual stream.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from plumbrule.errors import ModelError
from plumbrule.mechanism.hooks import Reached, watching
from plumbrule.mechanism.sites import Site, Sites
from plumbrule.mechanism.tracing import Call, Trace, trace
from plumbrule.models.modules import evaluation_mode

CLOSE = 1e-3
"""Largest error, as a share, with which a matrix counts as what a module multiplies by, and with
which values count as linear; more in half precision."""


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What a module writes for each number of its input."""

    path: str
    rows: Float[Any, "N D"]
    """In 32 bits, with the scale of a norm behind it, if any."""

    scale: Float[Any, " D"]
    """Of that norm; 1 where there is none."""

    def head(self, head: int, count: int) -> Float[Any, "E D"]:
        """The rows of one of `count` heads that lie side by side."""
        found: Any = self.rows.reshape(count, -1, self.rows.shape[1])[head]
        return found


def projection_of(
    module: Any, sites: Sites, layer: int, kind: str = "heads", *, seen: Trace | None = None
) -> Projection:
    """The matrix through which a layer's heads, or its neurons, write.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        layer: Number of the layer.
        kind: `heads` or `mlp`.
        seen: A pass that was traced before; None: one is traced.

    Raises:
        ConfigError: The layer has no such half; the reason is given.
        ModelError: The half is no single matrix at its end, as in a mixture of experts.
    """
    seen = seen or trace(module)
    write = seen.at(sites[f"{layer}.{'attn' if kind == 'heads' else 'mlp'}"].path)
    assert write is not None
    if kind == "heads":
        call = seen.at(sites[f"{layer}.heads"].path)
    else:
        call = _last_matrix(seen, sites, layer, write)
    if call is None:
        raise ModelError(
            f"{sites.family}: what the MLP of layer {layer} writes is not given by one matrix of "
            "numbers, as where experts are chosen for each token; its neurons cannot be read"
        )
    rows = matrix_of(call)
    if rows is None:
        raise ModelError(
            f"{sites.family}: {call.path} does more than multiply by its matrix; what is written "
            "through it cannot be read off"
        )
    scale = _scale_behind(call, write, sites.width)
    return Projection(path=call.path, rows=rows.float().cpu() * scale, scale=scale)


def matrix_of(call: Call) -> Float[Any, "N D"] | None:
    """The matrix that a module multiplies by, inputs by outputs.

    Returns:
        None where the module does not multiply by its matrix, up to a constant.
    """
    weight = getattr(call.module, "weight", None)
    if weight is None or weight.dim() != 2 or call.taken is None or call.given is None:
        return None
    if not call.taken.is_floating_point():
        return None
    taken = call.taken.reshape(-1, call.taken.shape[-1]).double()
    given = call.given.reshape(-1, call.given.shape[-1]).double()
    if len(taken) != len(given):
        return None
    moved, seen = taken - taken[:1], given - given[:1]  # without a bias
    for matrix in (weight.detach().T, weight.detach()):
        if matrix.shape != (taken.shape[1], given.shape[1]):
            continue
        error = float((moved @ matrix.double() - seen).norm())
        allowed = CLOSE if weight.element_size() > 2 else 20 * CLOSE
        if error <= allowed * float(seen.norm()) + 1e-12:
            return matrix
    return None


def _last_matrix(seen: Trace, sites: Sites, layer: int, write: Call) -> Call | None:
    """The module with a matrix that gives what the MLP writes, or what the norm behind it reads."""
    prefix, mixer = sites.layers[layer].path, sites.layers[layer].mixer or ""
    ends = [end for end in (write.given, write.taken) if end is not None]
    found = None
    for call in seen.calls:
        inside = call.path.startswith(f"{prefix}.") and not (
            mixer and (call.path == mixer or call.path.startswith(f"{mixer}."))
        )
        weight = getattr(call.module, "weight", None)
        if not inside or weight is None or weight.dim() != 2 or call.order > write.order:
            continue
        if any(alike(call.given, end) for end in ends):
            found = call
    return found


def alike(one: Any, other: Any) -> bool:
    """Whether two activations are the same numbers, whatever shape they are kept in."""
    import torch

    if one is None or other is None or one.numel() != other.numel():
        return False
    return bool(torch.equal(one.reshape(-1), other.reshape(-1)))


def _scale_behind(call: Call, write: Call, width: int) -> Any:
    """What a norm behind the matrix multiplies each number by; 1 where there is none."""
    import torch

    from plumbrule.models.unembedding import norm_scale

    vector = getattr(write.module, "weight", None)
    behind = write.path != call.path and not call.path.startswith(f"{write.path}.")
    if behind and vector is not None and vector.dim() == 1 and len(vector) == width:
        return norm_scale(write.module, width)
    return torch.ones(width)


def single_values(
    module: Any, sites: Sites, layers: Sequence[int], probes: Float[Any, "N D"]
) -> Mapping[int, Float[Any, "N C"]]:
    """What the heads of some layers give for single tokens, where attention reads given vectors.

    With nothing else to attend to, what a head gives is the token's value, whatever projection or
    sharing between heads it comes from.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        layers: Layers whose heads are known.
        probes: What the attention of each of them reads.
    """
    import torch

    values: dict[int, Any] = {}

    def keep(number: int) -> Any:
        def look(value: Any) -> None:
            values[number] = value.detach().reshape(len(probes), -1).float().cpu()
            if len(values) == len(layers):
                raise Reached

        return look

    looks: dict[Site, Any] = {}
    for number in layers:
        path = sites.layers[number].mixer
        assert path is not None  # there are heads
        looks[Site(name=f"{number}.mixer", path=path, side="in")] = lambda value: probes[
            :, None
        ].to(value)
        looks[sites[f"{number}.heads"]] = keep(number)
    ids = torch.zeros(len(probes), 1, dtype=torch.long, device=next(module.parameters()).device)
    with evaluation_mode(module), torch.no_grad(), watching(module, looks), suppress(Reached):
        module(input_ids=ids, use_cache=False)
    return values


def linear_values(module: Any, sites: Sites, layers: Sequence[int]) -> Mapping[int, bool]:
    """By layer, whether what heads give for a single token is linear in what attention reads."""
    import torch

    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(sites.width, generator=generator) for _ in range(2))
    values = single_values(
        module, sites, layers, torch.stack([first, second, (first + second) / 2])
    )
    half = next(module.parameters()).element_size() <= 2
    found = {}
    for number, (one, other, between) in values.items():
        error = float((between - (one + other) / 2).norm())
        found[number] = error <= (20 if half else 1) * CLOSE * float((one - other).norm())
    return found
