"""Edits read off directly: a direction taken out of all that writes, a head's output cut off.

Axes: D width of the residual stream, K directions, L layers, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError, ModelError
from plumbrule.mechanism.capturing import capture
from plumbrule.mechanism.repairs.steering import span, stream_writes
from plumbrule.mechanism.repairs.weight_edits import WeightChange, WeightEdit, edited
from plumbrule.mechanism.repairs.writers import (
    Writer,
    check_plain,
    find_writers,
    refuse_quantized,
    weight_of,
)
from plumbrule.mechanism.sites import Sites

GONE = 1e-3
"""Largest share of a direction that may be left in the stream after it was taken out of the
weights; what is more than rounding means that something else writes."""


def ablation_edit(
    module: Any,
    sites: Sites,
    directions: Float[np.ndarray, "K D"] | Float[np.ndarray, " D"],
    *,
    layer_weights: Sequence[float] | None = None,
    keep: Float[np.ndarray, " D"] | None = None,
) -> WeightEdit:
    """Directional ablation in the weights: nothing writes along the directions any more.

    W' = W - w r r^T W for every matrix that writes into the residual stream, biases included. Where
    a norm is behind a matrix, r is first carried back through its scale, so that what is
    *added* has no part along it. Embeddings count as writers; where the input's is the output's
    too, they are untied, since the output must go on as it was.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        directions: One or several, of any length.
        layer_weights: How much of it is taken out in each layer, w of L numbers, 1: all. With any
            number other than 1 embeddings are left alone. None: all everywhere.
        keep: A direction that shall stay, such as the mean of harmless prompts: the part of each
            direction along it is left alone.

    Raises:
        ConfigError: A direction is of another width, zero, or all along what shall stay; or there
            is not one weight a layer.
        ModelError: Some part writes that is no ordinary matrix, or the directions are still there
            after the edit, because something else writes them. The model has not changed.

    Source:
        Arditi et al. (2024), "Refusal in language models is mediated by a single direction", arXiv
        2406.11717, section 4. Weights by layer and the orthogonal part as in heretic (p-e-w).
    """
    refuse_quantized(module)
    basis = _basis(directions, sites.width, keep)
    weights = _layer_weights(layer_weights, len(sites.layers))
    whole = all(weight == 1.0 for weight in weights)
    changes = [
        _without(module, writer, basis, weights[writer.layer])
        for writer in find_writers(module, sites)
        if weights[writer.layer]
    ]
    unties = False
    if whole:
        tables = _embeddings(module, sites)
        head = module.get_output_embeddings()
        unties = head is not None and any(part.weight is head.weight for _, part in tables)
        changes += [_without_table(path, part, basis) for path, part in tables]
    edit = WeightEdit(changes=tuple(changes), unties=unties)
    if whole:
        _check_gone(module, sites, basis, edit)
    return edit


def head_edit(module: Any, sites: Sites, heads: Sequence[tuple[int, int]]) -> WeightEdit:
    """Cut heads off by the rows of their output matrix, so that nothing they find is written.

    Every edge that leaves such a head is suppressed with it.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        heads: Layer and number of each.

    Raises:
        ConfigError: A head does not exist.
        ModelError: Its output matrix is no ordinary one.
    """
    refuse_quantized(module)
    by_layer: dict[int, set[int]] = {}
    for layer, head in heads:
        count = sites[f"{layer}.heads"].heads or 0
        if not 0 <= head < count:
            raise ConfigError(f"expected a head of {layer}.heads, which has {count}, got {head}")
        by_layer.setdefault(layer, set()).add(head)
    changes = []
    for layer, numbers in sorted(by_layer.items()):
        (writer,) = find_writers(module, sites, [f"{layer}.attn"])
        weight = weight_of(module, writer).detach().double().cpu().numpy()
        width = weight.shape[1] // (sites[f"{layer}.heads"].heads or 1)
        columns = [at for head in sorted(numbers) for at in range(head * width, (head + 1) * width)]
        right = np.zeros((weight.shape[1], len(columns)))
        right[columns, range(len(columns))] = 1.0
        changes.append(
            WeightChange(
                path=writer.path,
                left=-weight[:, columns],
                right=right,
                transposed=writer.transposed,
            )
        )
    return WeightEdit(changes=tuple(changes))


def _basis(directions: Any, width: int, keep: Any) -> Float[np.ndarray, "K D"]:
    basis = span(directions)
    if basis.shape[1] != width:
        raise ConfigError(
            f"expected directions of {width} numbers, got {basis.shape[1]}; they may be another "
            "model's"
        )
    if keep is None:
        return basis
    (unit,) = span(keep)
    if len(unit) != width:
        raise ConfigError(f"expected {width} numbers of what shall stay, got {len(unit)}")
    rest = basis - np.outer(basis @ unit, unit)
    if float(np.linalg.norm(rest, axis=1).min()) < 1e-6:
        raise ConfigError(
            "expected a direction beyond those to keep, got one that lies wholly within them: "
            "nothing of it is left to ablate; give another, or keep fewer"
        )
    return span(rest)


def _layer_weights(given: Sequence[float] | None, layers: int) -> list[float]:
    if given is None:
        return [1.0] * layers
    if len(given) != layers or not np.isfinite(given).all():
        raise ConfigError(f"expected {layers} weights, one a layer, got {list(given)!r:.80}")
    return [float(each) for each in given]


def _without(module: Any, writer: Writer, basis: Any, weight: float) -> WeightChange:
    """A writer's change: the part of its output along the directions, taken off."""
    # Behind a norm, out = scale * x / |x|: it has no part along r where x has none along scale * r.
    own = span(basis * writer.scale)
    matrix = weight_of(module, writer).detach().double().cpu().numpy()
    bias = getattr(module.get_submodule(writer.path), "bias", None)
    taken = None
    if bias is not None:
        values = bias.detach().double().cpu().numpy()
        taken = -weight * own.T @ (own @ values)
    return WeightChange(
        path=writer.path,
        left=-weight * own.T,
        right=(own @ matrix).T,
        transposed=writer.transposed,
        bias=taken,
    )


def _embeddings(module: Any, sites: Sites) -> list[tuple[str, Any]]:
    """Tables whose rows go into the stream before the first layer."""
    from torch import nn

    layers = [layer.path for layer in sites.layers]
    found = []
    for path, part in module.named_modules():
        inside = any(path.startswith(f"{layer}.") for layer in layers)
        if isinstance(part, nn.Embedding) and not inside and part.embedding_dim == sites.width:
            check_plain(part, path)
            found.append((path, part))
    return found


def _without_table(path: str, part: Any, basis: Any) -> WeightChange:
    table = part.weight.detach().double().cpu().numpy()
    return WeightChange(path=path, left=-(table @ basis.T), right=basis.T)


def _check_gone(module: Any, sites: Sites, basis: Any, edit: WeightEdit) -> None:
    """See that the directions are nowhere in the stream of the edited model.

    Raises:
        ModelError: They are.
    """
    import torch

    names = list(stream_writes(sites))
    rows = [[at % sites.vocabulary for at in range(3, 40, 5)]]
    unit = torch.as_tensor(basis)
    with edited(module, edit):
        found = capture(module, sites, rows, names)
    for name in names:
        value = found.values[name][0].double().cpu()
        left = float((value @ unit.T).norm() / value.norm().clamp(min=1e-30))
        allowed = GONE if next(module.parameters()).element_size() > 2 else 20 * GONE
        if left > allowed:
            raise ModelError(
                f"{sites.family}: after the edit {left:.1%} of what {name} writes still lies along "
                "the directions; something there writes that is not understood. The model was not "
                "changed; ablate at run time instead"
            )
