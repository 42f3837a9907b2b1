"""The matrices that write into the residual stream, as something that may be changed.

A matrix is spoken of as outputs by inputs, whichever way its layer keeps it.

Axes: D width of the residual stream, I inputs of a matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError, ModelError
from plumbrule.mechanism.parts.projections import projection_of
from plumbrule.mechanism.sites import Sites
from plumbrule.mechanism.tracing import Trace, trace


@dataclass(frozen=True, kw_only=True)
class Writer:
    """One matrix whose output is added to the residual stream."""

    site: str
    """Where what it writes is read: `3.attn` or `3.mlp`."""

    path: str
    """Its module, as `named_modules` calls it."""

    transposed: bool
    """Whether its weight is kept as inputs by outputs."""

    scale: Float[np.ndarray, " D"]
    """Of a norm that its output passes before it is added; 1 where there is none."""

    @property
    def layer(self) -> int:
        """Number of its layer."""
        return int(self.site.partition(".")[0])


def find_writers(module: Any, sites: Sites, names: Sequence[str] | None = None) -> list[Writer]:
    """Find the matrices that write into the residual stream.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        names: Sites at which they write, such as `3.mlp`; None: all, layer by layer.

    Raises:
        ConfigError: There is no such site, or no matrix writes there.
        ModelError: What writes there is no single matrix of ordinary numbers: several experts, a
            quantized weight, an adapter that was not folded in.
    """
    if names is None:
        for number, layer in enumerate(sites.layers):
            if not layer.additive:
                raise ModelError(
                    f"{sites.family}: the parts of layer {number} do not add up to what it adds "
                    "to the residual stream, so no matrix can be changed on their behalf"
                )
        names = [name for name in sites.names if name.rpartition(".")[2] in ("attn", "mlp")]
    for name in names:
        if sites[name].name.rpartition(".")[2] not in ("attn", "mlp"):
            raise ConfigError(
                f"expected a site at which a matrix writes, such as '0.mlp' or '0.attn', got "
                f"{name!r}"
            )
    seen = trace(module)
    return [_writer(module, sites, seen, name) for name in names]


def weight_of(module: Any, writer: Writer) -> Any:
    """A writer's weight, outputs by inputs: a view, so that changing it changes the model."""
    weight = module.get_submodule(writer.path).weight
    return weight.T if writer.transposed else weight


def check_plain(part: Any, path: str) -> None:
    """Refuse a module whose weight is not an ordinary matrix that may be changed.

    Raises:
        ModelError: It is quantized, packed, or an adapter stands in its place.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if hasattr(part, "base_layer"):
        raise ModelError(
            f"expected a plain weight at {path}, an adapter stands in its place; fold it in first "
            "(merge_and_unload)"
        )
    weight = getattr(part, "weight", None)
    plain = (
        type(part) in (nn.Linear, nn.Embedding, Conv1D)
        or (weight is not None and type(part).__module__.startswith("transformers.models."))
    ) and type(weight) is nn.Parameter
    if not plain or weight is None or not weight.is_floating_point() or weight.element_size() < 2:
        said = "" if weight is None else f" in {str(weight.dtype).removeprefix('torch.')}"
        raise ModelError(
            f"expected a weight of ordinary numbers at {path}, got {type(part).__name__}{said}: a "
            "quantized weight cannot be edited. Edit the model before it is quantized, and "
            "quantize the result"
        )


def refuse_quantized(module: Any) -> None:
    """Refuse a model of which any matrix is kept in a quantized form.

    Raises:
        ModelError: One is; it is named.
    """
    if getattr(module, "is_quantized", False) or getattr(module, "quantization_method", None):
        raise ModelError(
            f"{type(module).__name__} is quantized ({getattr(module, 'quantization_method', '')}): "
            "a quantized weight cannot be edited. Edit the model before it is quantized, and "
            "quantize the result"
        )
    for path, part in module.named_modules():
        for name, weight in part.named_parameters(recurse=False):
            if weight.dim() >= 2 and (not weight.is_floating_point() or weight.element_size() < 2):
                raise ModelError(
                    f"{path}.{name} is kept as {str(weight.dtype).removeprefix('torch.')}: a "
                    "quantized weight cannot be edited. Edit the model before it is quantized, "
                    "and quantize the result"
                )


def _writer(module: Any, sites: Sites, seen: Trace, name: str) -> Writer:
    layer, _, kind = name.rpartition(".")
    projection = projection_of(
        module, sites, int(layer), "heads" if kind == "attn" else "mlp", seen=seen
    )
    part = module.get_submodule(projection.path)
    check_plain(part, projection.path)
    weight = part.weight.detach()
    # Where the matrix is square its shape does not tell which way round it lies.
    turned = weight.shape == projection.rows.shape and bool(
        (weight.float().cpu() * projection.scale - projection.rows).abs().max()
        <= 1e-6 * projection.rows.abs().max()
    )
    return Writer(
        site=name,
        path=projection.path,
        transposed=turned,
        scale=projection.scale.double().numpy(),
    )
