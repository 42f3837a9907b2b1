"""Decode a batch token by token, by the shortcuts that were tried and found to change nothing.

Axes: R rows (replies drawn side by side), T tokens of a prompt, V vocabulary.

The truth to compare a shortcut with is the slow way: each sequence alone, whole, without a cache.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plumbrule.errors import ModelError
from plumbrule.models.capabilities import Capabilities
from plumbrule.models.key_values import KeyValues
from plumbrule.models.modules import base_module
from plumbrule.models.prefill import limits_of, prefill
from plumbrule.models.prefixes import BatchLimits, Stem, plan

_ANY = 2**62


class Stream:
    """One batch of prompts, continued token by token."""

    def __init__(
        self,
        module: Any,
        capabilities: Capabilities,
        ids: Int[Tensor, "R T"],
        padding: Sequence[int],
        *,
        room: int,
        limits: BatchLimits | None = None,
    ) -> None:
        """Set a batch up.

        Args:
            module: The model.
            capabilities: How it may be run.
            ids: Prompts, padded on the left.
            padding: How many of each row's tokens are padding.
            room: Most tokens that will be added.
            limits: Of the batches in which the prompts are read, where they share beginnings;
                chosen for the model where not given.
        """
        self._module = module
        self._capabilities = capabilities
        self._ids = ids
        self._padding = list(padding)
        self._length = ids.shape[1]
        self._state: Any = KeyValues(self._length + room) if capabilities.shares else None
        self._limits = limits
        self._mask: Bool[Tensor, "R columns"] | None = None
        self._positions: Int[Tensor, "R columns"] | None = None
        columns = torch.arange(self._length + room, device=ids.device)
        if any(padding):
            start = torch.tensor(padding, device=ids.device)[:, None]
            self._mask = columns >= start
            self._positions = (columns - start).clamp(min=0)
        elif capabilities.positions:
            self._positions = columns.expand(ids.shape[0], -1)

    def start(self) -> Float[Tensor, "R V"]:
        """Logits of the first token of each reply."""
        if self._capabilities.shares:
            limits = self._limits or limits_of(
                self._module, rows=len(self._ids), tokens=_ANY, own=_ANY
            )
            prompts = [
                row[padding:]
                for row, padding in zip(self._ids.tolist(), self._padding, strict=True)
            ]
            stems = plan(prompts, [len(prompt) - 1 for prompt in prompts], limits)
            if sum(len(stem.batches) for stem in stems) > 1 or len(stems) > 1:
                return self._read(prompts, stems)
        return self._forward(self._ids, 0)

    def _read(self, prompts: list[list[int]], stems: Sequence[Stem]) -> Float[Tensor, "R V"]:
        """Read the prompts, each common beginning once, and put what is remembered together."""
        wanted = [len(prompt) - 1 for prompt in prompts]
        logits: dict[int, Float[Tensor, " V"]] = {}
        for part in prefill(
            self._module, self._capabilities, prompts, wanted, stems, remember=True
        ):
            places = [(item, self._padding[item], self._length) for item in part.items]
            self._state.place(part.state, places, len(prompts))
            for item, row in zip(part.items, part.logits, strict=True):
                logits[item] = row[wanted[item] - part.first]
        return torch.stack([logits[item] for item in range(len(prompts))])

    def advance(self, tokens: Int[Tensor, " R"]) -> Float[Tensor, "R V"]:
        """Logits of the next token, after one more of each reply."""
        self._length += 1
        if self._capabilities.cache:
            return self._forward(tokens[:, None], self._length - 1)
        self._ids = torch.cat([self._ids, tokens[:, None]], dim=1)
        return self._forward(self._ids, 0)

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Go on with these rows alone."""
        self._ids = self._ids[rows]
        self._mask = None if self._mask is None else self._mask[rows]
        self._positions = None if self._positions is None else self._positions[rows]
        self._state = _select(self._state, rows)

    def _forward(self, ids: Int[Tensor, "R columns"], first: int) -> Float[Tensor, "R V"]:
        capabilities, given = self._capabilities, dict[str, Any]()
        if capabilities.cache:
            given["use_cache"] = True
            if self._state is not None:
                given[capabilities.cache] = self._state
        else:
            given["use_cache"] = False
        if self._mask is not None:
            given["attention_mask"] = self._mask[:, : self._length].long()
        if capabilities.positions and self._positions is not None:
            given["position_ids"] = self._positions[:, first : self._length]
        if capabilities.keeps_last:
            given["logits_to_keep"] = 1
        out = self._module(input_ids=ids, **given)
        if capabilities.cache:
            self._state = out[capabilities.cache]
        logits: Tensor = out["logits"][:, -1]
        return logits


def find_capabilities(module: Any, text: Sequence[int]) -> Capabilities:
    """Try a model's shortcuts on a short text and keep those that change nothing.

    Args:
        module: The model, in evaluation mode.
        text: Eight tokens or more of ordinary text.

    Returns:
        The fastest capabilities on which the next-token distributions agree with the slow way.

    Raises:
        ModelError: The model reads ahead: it is no causal language model.
    """
    names = parameters(module)
    text = list(text)[:12]
    device = next(module.parameters()).device
    with torch.inference_mode():
        truth = _truth(module, text, device)
        carried = _carried(module, names, text, device)
        positions, keeps_last = "position_ids" in names, "logits_to_keep" in names
        for cache in [carried, None] if carried else [None]:
            for padded, drops in [(True, True), (False, True), (False, False)]:
                capabilities = Capabilities(
                    padded=padded and "attention_mask" in names,
                    cache=cache,
                    drops=drops,
                    positions=positions,
                    keeps_last=keeps_last,
                )
                if _agrees(module, capabilities, text, truth, device):
                    shared = replace(capabilities, shares=cache == "past_key_values")
                    agrees = shared.shares and _agrees(module, shared, text, truth, device)
                    return shared if agrees else capabilities
    return Capabilities(padded=False, cache=None, drops=True, positions=False, keeps_last=False)


def parameters(module: Any) -> set[str]:
    """Names of what the model's forward takes, beneath any adapter."""
    return set(inspect.signature(base_module(module).forward).parameters)


def tolerance(dtype: torch.dtype) -> float:
    """Largest difference that rounding explains, as a share of the spread of the logits."""
    return 1e-3 if dtype in (torch.float32, torch.float64) else 3e-2


def _truth(module: Any, text: list[int], device: torch.device) -> Float[Tensor, "T V"]:
    """Logits after each token, each sequence alone and whole; and a look whether it is causal."""
    whole: Tensor = module(input_ids=torch.tensor([text], device=device), use_cache=False)[
        "logits"
    ][0].float()
    if not bool(whole.isfinite().all()):
        raise ModelError(
            "expected weights that give numbers, these give NaN or infinity for ordinary text; "
            "they are damaged, or too large for their number format: copy them again, or open "
            "them with dtype='float32'"
        )
    part = module(input_ids=torch.tensor([text[:-2]], device=device), use_cache=False)["logits"][0]
    if not _close(part.float(), whole[:-2], part.dtype):
        raise ModelError(
            "expected a causal language model, got one whose answer at a token changes with what "
            "follows it. "
            "Encoders cannot write replies; take a decoder."
        )
    return whole


def _carried(module: Any, names: set[str], text: list[int], device: torch.device) -> str | None:
    """Name of the one thing the model both returns and takes back."""
    if "use_cache" not in names:
        return None
    out = module(input_ids=torch.tensor([text], device=device), use_cache=True)
    found = [name for name in out if name in names and name != "logits" and out[name] is not None]
    return found[0] if len(found) == 1 else None


def _agrees(
    module: Any,
    capabilities: Capabilities,
    text: list[int],
    truth: Float[Tensor, "T V"],
    device: torch.device,
) -> bool:
    """Three starts of the text side by side, two steps, one row taken out in between."""
    n = len(text)
    starts = [n - 2, n - 6, n - 3] if capabilities.padded else [n - 2, n - 2, n - 2]
    width = max(starts)
    ids = [[text[0]] * (width - start) + text[:start] for start in starts]
    stream = Stream(
        module,
        capabilities,
        torch.tensor(ids, device=device),
        [width - start for start in starts],
        room=2,
        limits=BatchLimits(
            rows=2, tokens=_ANY, own=_ANY, overhead=0
        ),  # share whatever can be shared
    )
    try:
        logits = [stream.start()]
        if capabilities.drops:
            starts = [starts[0], starts[1]]
            stream.keep(torch.tensor([0, 1], device=device))
        for step in range(2):
            nexts = torch.tensor([text[start + step] for start in starts], device=device)
            logits.append(stream.advance(nexts))
            if capabilities.drops and step == 0:
                starts = starts[1:]
                stream.keep(torch.tensor([1], device=device))
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, NotImplementedError):
        return False
    last = torch.stack([truth[start + 1] for start in starts])
    first = truth[n - 3]
    return _close(logits[-1], last, logits[-1].dtype) and _close(logits[0][0], first, first.dtype)


def _close(one: Tensor, other: Tensor, dtype: torch.dtype) -> bool:
    one, other = one.float().log_softmax(-1), other.float().log_softmax(-1)
    spread = (other.amax(-1) - other.amin(-1)).max()
    return bool((one - other).abs().max() <= tolerance(dtype) * spread + 1e-6)


def _select(state: Any, rows: Int[Tensor, " kept"]) -> Any:
    """Rows of whatever a model carries along."""
    if state is None:
        return None
    if hasattr(state, "reorder_cache"):
        # Not batch_select_indices: layers that mix attention with a recurrent state leave the
        # latter behind.
        state.reorder_cache(rows)
        return state
    if isinstance(state, Tensor):
        return state.index_select(0, rows)
    if isinstance(state, Mapping):
        return {name: _select(part, rows) for name, part in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(_select(part, rows) for part in state)
    raise TypeError(f"cannot take rows out of a {type(state).__name__}")
