"""What a model goes through after it was repaired: fewer bits, further training, relearning.

Axes: T tokens.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.repairs.replies import DrawnReply
from plumbrule.models import LocalModel
from plumbrule.models.modules import evaluation_mode

GROUP = 32
"""Weights that share one scale and one offset at 4 bits."""


@contextmanager
def rounded(model: LocalModel, bits: int) -> Iterator[LocalModel]:
    """A model whose linear layers are rounded to fewer bits inside the block, and back after it.

    At 8 bits each row has one scale; at 4 bits every 32 weights of a row have a scale and an
    offset, as in the formats that small machines run. Embeddings keep their precision.

    Args:
        model: The model; its weights come back to the byte.
        bits: 8 or 4.

    Raises:
        ConfigError: Another number of bits.
    """
    import torch
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if bits not in (4, 8):
        raise ConfigError(f"expected 8 or 4 bits, got {bits}")
    head = model.module.get_output_embeddings()
    kept: list[tuple[Any, Any]] = []
    try:
        with torch.no_grad():
            for part in model.module.modules():
                if isinstance(part, (nn.Linear, Conv1D)) and part is not head:
                    kept.append((part.weight, part.weight.detach().clone()))
                    turned = isinstance(part, Conv1D)
                    rows = part.weight.detach().T if turned else part.weight.detach()
                    new = _to_bits(rows.float(), bits).to(part.weight.dtype)
                    part.weight.copy_(new.T if turned else new)
        yield model
    finally:
        with torch.no_grad():
            for weight, before in kept:
                weight.copy_(before)


def fine_tuned(
    model: LocalModel, replies: Sequence[DrawnReply], *, steps: int, learning_rate: float, seed: int
) -> LocalModel:
    """A copy of a model trained further on replies, all weights; the model stays as it is.

    Args:
        model: Where training starts.
        replies: What is learned.
        steps: Optimizer steps of four replies each.
        learning_rate: Step size of AdamW.
        seed: Decides the order.
    """
    tuned = copied(model)
    for _ in _steps(tuned.module, replies, steps, learning_rate, seed):
        pass
    tuned.weights_changed()
    return tuned


def steps_to_relearn(
    model: LocalModel,
    lessons: Sequence[DrawnReply],
    held_out: Sequence[DrawnReply],
    weights: Sequence[Sequence[float]],
    *,
    likely: Float[np.ndarray, " replies"],
    most: int,
    learning_rate: float,
    seed: int,
    share: float = 0.5,
) -> int | None:
    """Optimizer steps on replies at fault after which a model says such replies again.

    A held-out reply is back where what is at fault in it is at least half as likely as the
    unrepaired model finds it. That is looked at after each step, so a model that never lost the
    fault needs one.

    Args:
        model: The model; it stays as it is.
        lessons: Replies at fault that it is trained on.
        held_out: Others, with which it is held against them.
        weights: For each token of each of those, whether it is at fault; see `at_fault`.
        likely: How likely the unrepaired model finds each; see `fault_log_probs`.
        most: Steps at most.
        learning_rate: Step size of AdamW.
        seed: Decides the order of the lessons.
        share: Share of held-out replies that must be back.

    Returns:
        The number of steps; None where `most` were not enough.

    Raises:
        DataError: There are no replies.
    """
    if not lessons or not held_out:
        raise DataError("expected replies at fault to relearn from and to hold against, got none")

    least = likely + math.log(0.5)
    learner = copied(model)
    for step, _ in enumerate(_steps(learner.module, lessons, most, learning_rate, seed), 1):
        if (fault_log_probs(learner, held_out, weights) >= least).mean() >= share:
            return step
    return None


def fault_log_probs(
    model: LocalModel, replies: Sequence[DrawnReply], weights: Sequence[Sequence[float]]
) -> Float[np.ndarray, " replies"]:
    """Logarithm of the probability of what is at fault in each reply, given what comes before it.

    Args:
        model: The model.
        replies: Replies at fault.
        weights: For each token of each, whether it is at fault; see `at_fault`.
    """
    values = model.score_tokens([each.before for each in replies], [each.reply for each in replies])
    return np.array([np.dot(row, own) for row, own in zip(values, weights, strict=True)])


def copied(model: LocalModel) -> LocalModel:
    """The same model with weights of its own."""
    return LocalModel(
        copy.deepcopy(model.module),
        model.tokenizer,
        spec=model.spec,
        identity=model.identity,
        settings=model.settings,
    )


def _steps(
    module: Any, replies: Sequence[DrawnReply], steps: int, learning_rate: float, seed: int
) -> Iterator[None]:
    """Train on replies' tokens, all weights; yields after each step."""
    import torch

    device = next(module.parameters()).device
    for weight in module.parameters():
        weight.requires_grad_(weight.is_floating_point())
    optimizer = torch.optim.AdamW(
        [each for each in module.parameters() if each.requires_grad],
        lr=learning_rate,
        betas=(0.9, 0.95),
        weight_decay=0.0,
    )
    chance = np.random.default_rng(seed)
    order: list[int] = []
    for _ in range(steps):
        while len(order) < 4:
            order += chance.permutation(len(replies)).tolist()
        batch, order = [replies[at] for at in order[:4]], order[4:]
        width = max(each.tokens for each in batch)
        rows = [[*each.before, *each.reply] for each in batch]
        ids = torch.tensor([[*row, *[row[-1]] * (width - len(row))] for row in rows], device=device)
        labels = torch.full_like(ids, -100)
        for number, each in enumerate(batch):
            start = len(each.before)
            labels[number, start : each.tokens] = ids[number, start : each.tokens]
        # No dropout: what is asked is how far the weights are from the fault.
        with evaluation_mode(module), torch.enable_grad():
            logits = module(input_ids=ids, use_cache=False)["logits"].float()
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1)
            )
            torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield


def _to_bits(rows: Any, bits: int) -> Any:
    """Rounded and back, in the precision it had."""
    if bits == 8:
        scale = rows.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
        return (rows / scale).round().clamp(-127, 127) * scale
    import torch

    height, width = rows.shape
    padded = torch.nn.functional.pad(rows, (0, -width % GROUP), mode="constant")
    groups = padded.reshape(height, -1, GROUP)
    low, high = groups.amin(2, keepdim=True), groups.amax(2, keepdim=True)
    scale = (high - low).clamp_min(1e-12) / 15
    found = ((groups - low) / scale).round().clamp(0, 15) * scale + low
    return found.reshape(height, -1)[:, :width]
