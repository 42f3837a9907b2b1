"""Inputs and outputs of every module of a model in one short forward pass.

A model's parts are known by what they do, not by what they are called: a layer takes in what the
layer before it gave out, attention lets earlier tokens reach later ones, an MLP does not.

Axes: B rows, T tokens, D width.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plumbrule.errors import ModelError
from plumbrule.models.modules import evaluation_mode

ROWS, TOKENS = 2, 7
"""Size of the pass. Seven is no size of anything else, so that shapes cannot be mistaken."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One module's call."""

    path: str
    module: Any
    order: int
    """Calls are numbered as they end: a module's parts come before it."""

    taken: Any
    """The first tensor it took in, or None."""

    given: Any
    """The first tensor it gave out, or None."""

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One forward pass, module by module."""

    ids: Any
    """The tokens read, (B, T)."""

    calls: tuple[Call, ...]
    logits: Any
    hidden_states: tuple[Any, ...] | None
    """What the model itself says its layers gave out; None where it does not say."""

    width: int
    """D: the width of an embedding."""

    def at(self, path: str) -> Call | None:
        """The only call of a module; None where there is none, or several."""
        found = [call for call in self.calls if call.path == path]
        return found[0] if len(found) == 1 else None

    def wide(self, value: Any) -> bool:
        """Whether a value is like a residual stream: one vector for each token."""
        # Some layers put all tokens of all rows in one line for their MLP.
        shapes = ((ROWS, TOKENS, self.width), (ROWS * TOKENS, self.width))
        return getattr(value, "shape", None) is not None and tuple(value.shape) in shapes


def first_tensor(value: Any) -> Any:
    """The first tensor in a module's input or output: itself, or in a tuple or record."""
    import torch

    if isinstance(value, torch.Tensor):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, Mapping):
        value = [getattr(value, each.name) for each in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return next(
            (found for each in value if (found := first_tensor(each)) is not None),
            None,
        )
    return None


def with_first_tensor(value: Any, tensor: Any) -> Any:
    """The same with its first tensor exchanged; nothing is changed in place.

    Raises:
        ModelError: There is no tensor in it.
    """
    import torch

    if isinstance(value, torch.Tensor):
        return tensor
    if isinstance(value, (tuple, list)):
        for at, each in enumerate(value):
            if first_tensor(each) is not None:
                changed = [*value[:at], with_first_tensor(each, tensor), *value[at + 1 :]]
                if hasattr(value, "_fields"):  # a named tuple takes its fields one by one
                    return type(value)(*changed)
                return type(value)(changed)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            if first_tensor(each) is not None:
                changed_items = {**value, name: with_first_tensor(each, tensor)}
                return type(value)(**changed_items) if type(value) is not dict else changed_items
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            each = getattr(value, field.name)
            if first_tensor(each) is not None:
                return dataclasses.replace(value, **{field.name: with_first_tensor(each, tensor)})
    raise ModelError(
        f"expected a tensor in what a module gives out, got {type(value).__name__} without one"
    )


def trace(module: Any) -> Trace:
    """Run a model over a few tokens and write down every module's call.

    Args:
        module: A causal language model of transformers; left as it was.

    Raises:
        ModelError: It is spread over devices, cannot read plain tokens, or gives no logits.
    """
    import torch

    devices = sorted({str(one.device) for one in module.parameters()})
    if len(devices) != 1:
        raise ModelError(
            f"expected a model on one device, {type(module).__name__} is on "
            f"{', '.join(devices) or 'none'}; load it without a device map"
        )
    embedding = module.get_input_embeddings()
    weight = getattr(embedding, "weight", None)
    if weight is None:
        raise ModelError(f"{type(module).__name__} has no table of input embeddings to start from")
    names = {id(each): path for path, each in module.named_modules()}
    calls: list[Call] = []
    held: list[Any] = []

    def note(part: Any, arguments: Any, keywords: Any, given: Any) -> None:
        # What was given out is kept, so that no later tensor can be taken for it.
        held.append(given)
        calls.append(
            Call(
                path=names[id(part)],
                module=part,
                order=len(calls),
                taken=first_tensor([*arguments, *keywords.values()]),
                given=first_tensor(given),
                arguments=arguments,
                keywords=keywords,
            )
        )

    ids = tokens(int(weight.shape[0]), devices[0])
    handles = [each.register_forward_hook(note, with_kwargs=True) for each in module.modules()]
    try:
        with evaluation_mode(module), torch.no_grad():
            out = forward(module, ids, output_hidden_states=True)
    finally:
        for handle in handles:
            handle.remove()
    logits = out.get("logits")
    if logits is None or tuple(logits.shape[:2]) != (ROWS, TOKENS):
        raise ModelError(
            f"expected logits for each of {TOKENS} tokens, {type(module).__name__} gave "
            f"{tuple(logits.shape) if logits is not None else 'none'}"
        )
    states = out.get("hidden_states")
    return Trace(
        ids=ids,
        calls=tuple(calls),
        logits=logits,
        hidden_states=tuple(states) if states is not None else None,
        width=int(weight.shape[-1]),
    )


def tokens(vocabulary: int, device: Any) -> Any:
    """A few tokens, away from the control tokens that tokenizers put first: (B, T)."""
    import torch

    first = min(10, max(0, vocabulary - ROWS * TOKENS))
    return (torch.arange(ROWS * TOKENS, device=device).reshape(ROWS, TOKENS) * 3 + first) % max(
        1, vocabulary
    )


def forward(module: Any, ids: Any, **wanted: Any) -> Any:
    """One pass over tokens without a cache.

    Raises:
        ModelError: The model cannot read plain tokens.
    """
    try:
        return module(input_ids=ids, use_cache=False, return_dict=True, **wanted)
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
        raise ModelError(
            f"{type(module).__name__} cannot read tokens alone: {type(error).__name__}: {error}"
        ) from error
