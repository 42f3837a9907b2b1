"""Draw replies side by side, each from its own seed.

Axes: R rows, V vocabulary. A reply's random numbers are drawn before anything else from its own
seed, one per token, so neighbors, order and batch size do not enter; what is left is the rounding
of matrix products, which differs between batch shapes in the last bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plumbrule.errors import ModelError
from plumbrule.models.capabilities import Capabilities
from plumbrule.models.decoding import Stream
from plumbrule.models.handle import Sampling

BELOW_ONE = 1 - 2**-50
"""Largest number drawn, so that a share of the whole never rounds up to the whole."""

_BLOCK = 64


@dataclass(frozen=True, kw_only=True)
class SampledReply:
    """One reply as tokens."""

    tokens: tuple[int, ...]
    """As drawn, the end token included where there is one."""

    finish_reason: Literal["stop", "length"]

    log_probs: tuple[float, ...] | None
    """Natural logarithm of each token's probability at temperature 1 with nothing cut off."""


def batches(
    lengths: Sequence[int], *, extra: int, rows: int, tokens: int, equal: bool
) -> list[list[int]]:
    """Cut work into batches of alike lengths, longest first.

    Args:
        lengths: Tokens of each item.
        extra: Tokens that each may grow by.
        rows: Most items in a batch.
        tokens: Most tokens in a batch, padding included; one item always fits.
        equal: Only items of one length may share a batch.

    Returns:
        Positions of the items, a list a batch.

    Example:
        >>> batches([3, 9, 8], extra=1, rows=8, tokens=20, equal=False)
        [[1, 2], [0]]
    """
    order = sorted(range(len(lengths)), key=lambda item: (-lengths[item], item))
    cut: list[list[int]] = []
    for item in order:
        longest = lengths[cut[-1][0]] if cut else 0
        fits = cut and len(cut[-1]) < rows and (len(cut[-1]) + 1) * (longest + extra) <= tokens
        if fits and not (equal and lengths[item] != longest):
            cut[-1].append(item)
        else:
            cut.append([item])
    return cut


def sample_batch(
    module: Any,
    capabilities: Capabilities,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    *,
    sampling: Sampling,
    stops: frozenset[int],
    log_probs: bool,
) -> list[SampledReply]:
    """Draw one reply to each prompt of a batch."""
    device = next(module.parameters()).device
    ids, padding = pad_left(prompts, device)
    room = sampling.max_new_tokens
    stream = Stream(module, capabilities, ids, padding, room=room)
    uniforms = _uniforms(seeds, room, device) if sampling.temperature else None
    drawn: list[list[int]] = [[] for _ in prompts]
    scores: list[list[float]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))
    done: set[int] = set()
    logits = check_numbers(stream.start())
    for step in range(room):
        chosen = pick(logits, None if uniforms is None else uniforms[step], sampling)
        if log_probs:
            _note(scores, rows, done, logits, chosen)
        for row, token in zip(rows, chosen.tolist(), strict=True):
            if row not in done:
                drawn[row].append(token)
                if token in stops:
                    done.add(row)
        if len(done) == len(prompts) or step + 1 == room:
            break
        alive = [place for place, row in enumerate(rows) if row not in done]
        # Taking rows out copies the cache, which is worth it only for a good share of them.
        if capabilities.drops and len(alive) <= 0.8 * len(rows):
            keep = torch.tensor(alive, device=device)
            stream.keep(keep)
            chosen, rows = chosen[keep], [rows[place] for place in alive]
            uniforms = None if uniforms is None else uniforms[:, keep]
        logits = stream.advance(chosen)
    return [
        SampledReply(
            tokens=tuple(tokens),
            finish_reason="stop" if row in done else "length",
            log_probs=tuple(scores[row]) if log_probs else None,
        )
        for row, tokens in enumerate(drawn)
    ]


def pick(
    logits: Float[Tensor, "R V"], uniforms: Float[Tensor, " R"] | None, sampling: Sampling
) -> Int[Tensor, " R"]:
    """Choose each row's token: the one in whose stretch of probability the row's number falls."""
    if uniforms is None:
        return logits.argmax(-1)
    logits = logits.float()
    if sampling.temperature != 1:
        logits = (logits - logits.amax(-1, keepdim=True)) / sampling.temperature
    shares = logits.softmax(-1)
    if sampling.top_p < 1:
        shares, order = shares.sort(dim=-1, descending=True, stable=True)
        before = shares.cumsum(-1, dtype=torch.float64) - shares
        return order.gather(-1, _fall(shares * (before < sampling.top_p), uniforms))[:, 0]
    return _fall(shares, uniforms)[:, 0]


def check_numbers(values: Tensor) -> Tensor:
    """The same, once it is sure that all are numbers.

    Raises:
        ModelError: One is not: the weights are damaged, or training diverged.
    """
    if bool(values.isnan().any()):
        raise ModelError(
            "expected numbers from the model, got NaN: its weights are damaged or training "
            "diverged; "
            "try dtype='float32', or an earlier checkpoint"
        )
    return values


def pad_left(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[Int[Tensor, "R T"], list[int]]:
    """Put prompts into one tensor, and say how much of each row is padding."""
    width = max(map(len, prompts))
    padding = [width - len(prompt) for prompt in prompts]
    # Any token serves, since padding is masked: the row's own first one is valid in every
    # vocabulary.
    filled = [
        [prompt[0]] * pad + list(prompt) for prompt, pad in zip(prompts, padding, strict=True)
    ]
    return torch.tensor(filled, device=device), padding


def _fall(shares: Float[Tensor, "R V"], uniforms: Float[Tensor, " R"]) -> Int[Tensor, "R 1"]:
    """The place whose stretch holds each row's number: first the block of places, then within."""
    width = shares.shape[1]
    if width > _BLOCK**2:  # summing blocks takes a quarter of the time of summing up to each place
        shares = F.pad(shares, (0, -width % _BLOCK)).view(len(shares), -1, _BLOCK)
        block, inside = _stretch(shares.sum(-1), uniforms)
        shares = shares[torch.arange(len(shares), device=shares.device), block]
        return (block * _BLOCK + _stretch(shares, inside)[0])[:, None]
    return _stretch(shares, uniforms)[0][:, None]


def _stretch(
    shares: Float[Tensor, "R W"], uniforms: Float[Tensor, " R"]
) -> tuple[Int[Tensor, " R"], Float[Tensor, " R"]]:
    """The place where each row's number falls, and how far into its stretch, from 0 to 1."""
    edges = shares.cumsum(-1, dtype=torch.float64)
    goal = (uniforms * edges[:, -1])[:, None]
    place = torch.searchsorted(edges, goal, right=True)
    size = shares.gather(1, place).double()
    into = (goal - edges.gather(1, place) + size) / size
    return place[:, 0], into[:, 0].clamp(0, BELOW_ONE)


def _uniforms(seeds: Sequence[int], room: int, device: torch.device) -> Float[Tensor, "room R"]:
    numbers = [np.random.Generator(np.random.PCG64(seed)).random(room) for seed in seeds]
    table = np.minimum(np.stack(numbers, axis=1), BELOW_ONE)
    return torch.from_numpy(table).to(device)


def _note(
    scores: list[list[float]],
    rows: list[int],
    done: set[int],
    logits: Float[Tensor, "R V"],
    chosen: Int[Tensor, " R"],
) -> None:
    values = logits.float().log_softmax(-1).gather(-1, chosen[:, None])[:, 0]
    for row, value in zip(rows, values.tolist(), strict=True):
        if row not in done:
            scores[row].append(value)
