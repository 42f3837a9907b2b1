"""What both prompts of a pair begin with, read once: nothing in there depends on an edge.

Before the first token in which two prompts differ, every part writes the same in both, so that a
corrupted edge changes nothing there. What attention needs of it later is kept as a cache of keys
and values, and only the rest of each prompt is run again.

Axes: P pairs, T tokens.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plumbrule.mechanism.circuits.tasks import PromptPair
from plumbrule.mechanism.hooks import last_alone, last_logits

FEWEST = 4
"""Least tokens in common that are worth it; below, passes are the model's own to the bit."""

CLOSE = 1e-4
"""Largest error of the logits behind a cache, as a share of their span."""


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """The first tokens of some pairs."""

    length: int
    cache: Any = None
    """Keys and values of all pairs; None where there is nothing to keep."""

    def given(self, rows: Any = None) -> dict[str, Any]:
        """What a pass over the rest of some pairs is given besides its tokens.

        Args:
            rows: Numbers of the pairs, a tensor; None: all, in order.
        """
        if self.cache is None:
            return {}
        # A pass adds its own keys and values to what it is given.
        taken = copy.deepcopy(self.cache)
        if rows is not None:
            taken.batch_select_indices(rows)
        return {"past_key_values": taken}


NOTHING = Beginning(length=0)


def shared(pairs: Sequence[PromptPair]) -> int:
    """How many tokens both prompts of each of some pairs have in common before they differ."""
    lengths = []
    for pair in pairs:
        both = enumerate(zip(pair.clean, pair.corrupted, strict=True))
        most = len(pair.clean) - 1
        lengths.append(min(most, next((at for at, (one, other) in both if one != other), most)))
    return min(lengths)


def beginning(module: Any, ids: Any, length: int) -> Beginning:
    """Read what rows begin with, where the model keeps keys and values that can be gone on from.

    Args:
        module: The model, at rest and without gradients.
        ids: Tokens of the clean prompts, (P, T).
        length: Tokens in common.

    Returns:
        Nothing where they are too few, or where the model does not answer the same from a cache.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer

    if length < FEWEST:
        return NOTHING
    out = module(input_ids=ids[:, :length], use_cache=True, **last_alone(module))
    cache = out.get("past_key_values")
    if not isinstance(cache, DynamicCache) or not all(
        isinstance(layer, DynamicLayer) for layer in cache.layers
    ):
        return NOTHING
    found = Beginning(length=length, cache=cache)
    whole = last_logits(module, ids)
    from_cache = last_logits(module, ids[:, length:], given=found.given())
    error = float((whole - from_cache).abs().max())
    return found if error <= CLOSE * float(whole.max() - whole.min()) else NOTHING
