"""Read many texts, each common beginning once.

Axes: R rows (texts read side by side), T tokens, K positions kept, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from plumbrule.models.capabilities import Capabilities
from plumbrule.models.key_values import KeyValues
from plumbrule.models.prefixes import BatchLimits, Stem

_PEAK_TOKENS = {"cpu": 24, "cuda": 256}
"""Tokens a batch needs before its arithmetic takes longer than fetching the weights."""

_CALL_NUMBERS = {"cpu": 2e7, "cuda": 1e12}
"""Weights that could be multiplied with one token each in the time a call costs beyond that."""

_ENOUGH = 1024
"""Tokens on a CPU beyond which a larger batch is no faster, and only takes memory."""


@dataclass(frozen=True, kw_only=True)
class PrefilledBatch:
    """One batch of texts, read."""

    items: list[int]
    """Numbers of the texts."""

    logits: Float[Tensor, "R K V"]
    """Logits after some of each text's tokens, the same for all."""

    first: int
    """Which of a text's tokens, counted from its beginning, the first logits come after."""

    state: KeyValues | None
    """What the model remembers of the whole texts, padding on the right included."""


def limits_of(module: Any, *, rows: int, tokens: int, own: int) -> BatchLimits:
    """How large a batch may be, and when another one is worth it.

    The cost of another batch is reckoned and not timed: a plan that depends on a clock would
    change the last bits of a result.

    Args:
        module: The model.
        rows: Most texts side by side.
        tokens: Most tokens of them together.
        own: Most tokens of them together beside their common beginning; less where that is as fast.
    """
    size = sum(each.numel() for each in module.parameters())
    kind = "cpu" if next(module.parameters()).device.type == "cpu" else "cuda"
    overhead = _PEAK_TOKENS[kind] + int(_CALL_NUMBERS[kind] / size)
    enough = max(_ENOUGH, _ENOUGH // _PEAK_TOKENS["cpu"] * overhead)
    return BatchLimits(rows=rows, tokens=tokens, own=min(own, enough), overhead=overhead)


def prefill(
    module: Any,
    capabilities: Capabilities,
    texts: Sequence[Sequence[int]],
    wanted: Sequence[int],
    stems: Sequence[Stem],
    *,
    remember: bool = False,
) -> Iterator[PrefilledBatch]:
    """Read texts in batches.

    Padding is on the right: what follows a token cannot reach it in a causal model, whatever its
    architecture, so no mask and no special token is needed.

    Args:
        module: The model.
        capabilities: How it may be run.
        texts: Tokens.
        wanted: For each text, the first token after which logits are wanted, counted from its
            beginning; those of all later ones come along.
        stems: A plan in which no stem covers a wanted token; see `prefixes.plan`.
        remember: Give what the model remembers of the texts, where `capabilities.shares`.
    """
    path: list[tuple[int, KeyValues | None]] = []
    for number, stem in enumerate(stems):
        while path and path[-1][0] != stem.parent:
            path.pop()
        state = path[-1][1] if path else None
        if stem.stop > stem.start:
            beginnings = [texts[each][: stem.stop] for each in stem.examples]
            rows = [0] * len(beginnings)
            state = _copied(state, rows, stem.stop) if state else KeyValues(stem.stop)
            _forward(module, capabilities, beginnings, stem.start, state, 1)
        path.append((number, state))
        for items in stem.batches:
            whole = [texts[item] for item in items]
            longest = len(whole[0])
            mine = None
            if state:
                mine = _copied(state, [stem.members[item] for item in items], longest)
            elif remember:
                mine = KeyValues(longest)
            first = min(wanted[item] for item in items)
            logits = _forward(module, capabilities, whole, stem.stop, mine, longest - first)
            yield PrefilledBatch(
                items=items, logits=logits, first=first, state=mine if remember else None
            )


def _copied(state: KeyValues, rows: Sequence[int], room: int) -> KeyValues:
    device = state.layers[0].view()[0].device
    return state.copied(torch.tensor(rows, dtype=torch.long, device=device), room=room)


def _forward(
    module: Any,
    capabilities: Capabilities,
    rows: Sequence[Sequence[int]],
    start: int,
    state: KeyValues | None,
    keep: int,
) -> Float[Tensor, "R K V"]:
    """Logits after the last `keep` columns of rows whose first `start` tokens are in the state."""
    device = next(module.parameters()).device
    longest = max(map(len, rows))
    filled = [[*row[start:], *[row[-1]] * (longest - len(row))] for row in rows]
    given: dict[str, Any] = {"use_cache": state is not None}
    if state is not None:
        given["past_key_values"] = state
        if capabilities.positions:
            columns = torch.arange(start, longest, device=device)
            given["position_ids"] = columns.expand(len(rows), -1)
    if capabilities.keeps_last:
        given["logits_to_keep"] = keep
    logits: Tensor = module(input_ids=torch.tensor(filled, device=device), **given)["logits"]
    return logits[:, -keep:]
