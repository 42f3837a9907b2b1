"""The parts of a model, found by structure and never by the name of its family.

The layers are the longest list of modules that lies in no other list. What is left is told apart
by what it does: the input embedding, the output embedding, other embeddings, and the rest.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from plumbrule.errors import ModelError

EMBEDDINGS, UNEMBEDDING, NORM, OTHER = "embeddings", "unembedding", "outer norms", "other"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of a model's parameters, under one name."""

    name: str
    """Such as `layer 3`, `layer 3 mlp`, `embeddings`."""

    layer: int | None
    """Which layer it lies in; None outside all of them."""

    tensors: tuple[str, ...]
    """Names of its parameters and buffers; a tied tensor belongs to the first part that has it."""


def layer_list(module: Any) -> tuple[str, nn.ModuleList]:
    """Name of the list of layers, and the list.

    Raises:
        ModelError: The model has no list of modules.
    """
    lists = {name: part for name, part in module.named_modules() if isinstance(part, nn.ModuleList)}
    # A list inside another one is part of a layer, such as its experts, however long it is.
    outer = {
        name: part
        for name, part in lists.items()
        if not any(name.startswith(other + ".") for other in lists)
    }
    if not outer:
        raise ModelError(
            f"expected a model with a list of layers, {type(module).__name__} has none; its parts "
            "cannot be exchanged one by one"
        )
    name = max(outer, key=lambda each: len(outer[each]))
    return name, outer[name]


def model_parts(module: Any) -> tuple[Part, ...]:
    """All parts of a model in the order in which text passes them: whole layers, undivided."""
    name, layers = layer_list(module)
    grouped: dict[str, list[str]] = {EMBEDDINGS: []}
    grouped |= {f"layer {index}": [] for index in range(len(layers))}
    grouped |= {NORM: [], UNEMBEDDING: [], OTHER: []}
    for tensor in _unique(module):
        if tensor.startswith(name + "."):
            index = tensor.removeprefix(name + ".").partition(".")[0]
            grouped[f"layer {index}"].append(tensor)
        else:
            grouped[_outside(module, tensor)].append(tensor)
    numbers = {f"layer {index}": index for index in range(len(layers))}
    return tuple(
        Part(name=each, layer=numbers.get(each), tensors=tuple(tensors))
        for each, tensors in grouped.items()
        if tensors
    )


def inner_parts(module: Any, part: Part) -> tuple[Part, ...]:
    """What a layer consists of: its own modules, those with vectors alone joined as its norms."""
    if part.layer is None:
        return (part,)
    prefix = f"{layer_list(module)[0]}.{part.layer}."
    shapes = {name: value.ndim for name, value in module.state_dict(keep_vars=True).items()}
    by_child: dict[str, list[str]] = {}
    for tensor in part.tensors:
        by_child.setdefault(tensor.removeprefix(prefix).partition(".")[0], []).append(tensor)
    grouped: dict[str, list[str]] = {}
    for child, tensors in by_child.items():
        matrix = any(shapes[tensor] > 1 for tensor in tensors)
        grouped.setdefault(child if matrix else "norms", []).extend(tensors)
    return tuple(
        Part(name=f"{part.name} {child}", layer=part.layer, tensors=tuple(tensors))
        for child, tensors in grouped.items()
    )


def _unique(module: Any) -> list[str]:
    """Names of parameters and kept buffers, tied ones once."""
    first: dict[int, str] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        first.setdefault(id(value), name)
    return list(first.values())


def _outside(module: Any, tensor: str) -> str:
    owner = module.get_submodule(tensor.rpartition(".")[0])
    if owner is module.get_input_embeddings() or isinstance(owner, nn.Embedding):
        return EMBEDDINGS
    if owner is module.get_output_embeddings():
        return UNEMBEDDING
    vectors = all(value.ndim < 2 for value in owner.parameters(recurse=False))
    return NORM if vectors else OTHER
