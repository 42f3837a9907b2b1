"""Probabilities of given tokens, many replies side by side.

Axes: R rows, T tokens, V vocabulary, K positions kept.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from plumbrule.models.capabilities import Capabilities
from plumbrule.models.prefill import PrefilledBatch, prefill
from plumbrule.models.prefixes import BatchLimits, plan
from plumbrule.models.sampling import check_numbers


def score_all(
    module: Any,
    capabilities: Capabilities,
    prompts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
    limits: BatchLimits,
) -> Iterator[tuple[int, tuple[float, ...]]]:
    """Natural logarithm of the probability of each reply's tokens, given its prompt.

    Returns:
        The number of each reply with its tokens' values, as they are found.
    """
    texts = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
    for part in _read(module, capabilities, texts, [len(prompt) - 1 for prompt in prompts], limits):
        for row, item in enumerate(part.items):
            start, count = len(prompts[item]) - 1 - part.first, len(replies[item])
            yield item, _log_probs(part.logits[row, start : start + count], replies[item])


def next_all(
    module: Any,
    capabilities: Capabilities,
    prompts: Sequence[Sequence[int]],
    tokens: Sequence[int],
    limits: BatchLimits,
) -> Iterator[tuple[int, list[float]]]:
    """Probability of each of the given tokens right after each prompt.

    Returns:
        The number of each prompt with the probabilities, as they are found.
    """
    wanted = [len(prompt) - 1 for prompt in prompts]
    for part in _read(module, capabilities, prompts, wanted, limits):
        for row, item in zip(part.logits, part.items, strict=True):
            logits = check_numbers(row[wanted[item] - part.first]).double()
            yield item, (logits[list(tokens)] - logits.logsumexp(-1)).exp().tolist()


def _read(
    module: Any,
    capabilities: Capabilities,
    texts: Sequence[Sequence[int]],
    wanted: Sequence[int],
    limits: BatchLimits,
) -> Iterator[PrefilledBatch]:
    most = wanted if capabilities.shares else [0] * len(texts)
    return prefill(module, capabilities, texts, wanted, plan(texts, most, limits))


def _log_probs(logits: Float[Tensor, "K V"], tokens: Sequence[int]) -> tuple[float, ...]:
    # A row at a time, so that the copy in full precision is never larger than one row's logits.
    full = check_numbers(logits.float())
    targets = torch.tensor(tokens, dtype=torch.long, device=full.device)[:, None]
    values: list[float] = (full.gather(-1, targets)[:, 0] - full.logsumexp(-1)).tolist()
    return tuple(values)
