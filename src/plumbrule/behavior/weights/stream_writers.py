"""Which modules write into the residual stream, found by trying and never by their names."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from plumbrule.behavior.weights.model_parts import layer_list
from plumbrule.behavior.weights.reading_in import listening

_FOLLOWS = 0.3
"""Cosine between a push of a module's output and the move of its layer's output from which the
module counts as writing into the stream: modules that do not write have about 0."""


def writers(module: Any, names: Sequence[str]) -> list[str]:
    """Which of these modules write into the residual stream, found by pushing their outputs.

    Each is given a small random push, in a row of its own of one batch of a single token. Where
    its layer's output moves along with the push, the module writes. A single token, because then
    queries and keys have no say.

    Args:
        module: The model.
        names: Modules whose output has the width of the stream.
    """
    if not names:
        return []
    prefix, layers = layer_list(module)
    inside = [name for name in names if name.startswith(prefix + ".")]
    places = [int(name.removeprefix(prefix + ".").partition(".")[0]) for name in inside]
    if not inside:
        return []
    probe = _Probe(len(inside))
    parts = dict(module.named_modules(remove_duplicate=False))
    device = next(module.parameters()).device
    with listening(module, ()), ExitStack() as undo:
        for row, name in enumerate(inside):
            undo.callback(parts[name].register_forward_hook(probe.pusher(row)).remove)
        for place in sorted(set(places)):
            undo.callback(layers[place].register_forward_hook(probe.watcher(place)).remove)
        ids = torch.full((len(inside) + 1, 1), _some_token(module), device=device)
        module(input_ids=ids, use_cache=False)
    return [
        name
        for row, (name, place) in enumerate(zip(inside, places, strict=True))
        if probe.follows(row, place)
    ]


class _Probe:
    """One batch of the same token: a row for each module to push, and a last one left alone."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._pushes: dict[int, Tensor] = {}
        self._outputs: dict[int, Tensor] = {}

    def pusher(self, row: int) -> Any:
        def push(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            if not isinstance(output, Tensor) or len(output) != self._rows + 1:
                return None
            generator = torch.Generator().manual_seed(row)
            noise = torch.randn(output.shape[-1], generator=generator).to(output)
            plain = output[-1].float()
            # Small, so that what follows stays about linear; of a size that 16 bits can carry.
            size = 0.1 * torch.linalg.vector_norm(plain) + 1e-3
            self._pushes[row] = noise.float() / torch.linalg.vector_norm(noise.float()) * size
            pushed = output.clone()
            pushed[row] += self._pushes[row].to(output.dtype)
            return pushed

        return push

    def watcher(self, place: int) -> Any:
        def watch(_module: nn.Module, _inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple | list) else output
            self._outputs[place] = first.float().reshape(self._rows + 1, -1)

        return watch

    def follows(self, row: int, place: int) -> bool:
        if row not in self._pushes or place not in self._outputs:
            return False
        moved = self._outputs[place][row] - self._outputs[place][-1]
        push = self._pushes[row].to(moved.device)
        if moved.shape != push.shape or not float(torch.linalg.vector_norm(moved)):
            return False
        return float(nn.functional.cosine_similarity(moved, push, dim=0)) > _FOLLOWS


def _some_token(module: Any) -> int:
    """Any token but the first ones, which are often padding."""
    return int(module.get_input_embeddings().weight.shape[0]) // 2
