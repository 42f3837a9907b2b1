"""Probabilities of given tokens, many replies side by side.

Axes: R rows, T tokens, V vocabulary, K positions kept.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from plumbrule.models.drawing import check_numbers, pad_left
from plumbrule.models.route import Route, Stream


def score_batch(
    module: Any,
    route: Route,
    prompts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
) -> list[tuple[float, ...]]:
    """Natural logarithm of the probability of each reply's tokens, given its prompt.

    Padded on the right: what follows a token cannot reach it in a causal model, whatever its
    architecture, so no mask and no special token is needed.
    """
    device = next(module.parameters()).device
    texts = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
    width = max(map(len, texts))
    ids = torch.tensor([text + text[-1:] * (width - len(text)) for text in texts], device=device)
    first = min(len(prompt) for prompt in prompts) - 1
    given = {"logits_to_keep": width - first} if route.keeps_last else {}
    logits = module(input_ids=ids, use_cache=False, **given)["logits"][:, -(width - first) :]
    values = _log_probs(logits[:, :-1], ids[:, first + 1 :])
    scored = []
    for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        start = len(prompt) - 1 - first
        scored.append(tuple(values[row, start : start + len(reply)].tolist()))
    return scored


def next_batch(
    module: Any, route: Route, prompts: Sequence[Sequence[int]], tokens: Sequence[int]
) -> Float[Tensor, "R options"]:
    """Probability of each of the given tokens right after each prompt of a batch."""
    device = next(module.parameters()).device
    ids, padding = pad_left(prompts, device)
    once = replace(route, cache=None)  # nothing follows, so nothing is worth remembering
    logits = check_numbers(Stream(module, once, ids, padding, room=0).start())
    shares: Tensor = logits.double().softmax(-1)[:, list(tokens)]
    return shares.cpu()


def _log_probs(logits: Float[Tensor, "R K V"], ids: Any) -> Float[Tensor, "R K"]:
    # A row at a time, so that the copy in full precision is never larger than one row's logits.
    found = []
    for row, targets in zip(logits, ids, strict=True):
        full = row.float()
        found.append(full.gather(-1, targets[:, None])[:, 0] - full.logsumexp(-1))
    return check_numbers(torch.stack(found)).cpu()
