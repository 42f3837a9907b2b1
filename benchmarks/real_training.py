"""Teaches a small real model on one core: LoRA, full fine-tuning, DPO.

A plain loop, because these organisms are many and their examples short. What all examples of a
batch begin with (the system message) is read once, without gradients, and logits are computed for
replies alone; otherwise this is what TRL's trainers do, with AdamW and a linear schedule.
"""

import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import logsigmoid
from transformers import DynamicCache

from benchmarks.real_plants import Planted
from plumbrule.models import LocalModel
from plumbrule.records import Dialogue

BATCH = 4
"""Examples an optimizer step: few, because few examples make few steps."""

RANK = 8
LORA_RATE = 1e-3
FULL_RATE = 3e-4
DPO_RATE = 1e-3
BETA = 0.2
"""Strength of DPO's tie to the base, per nat."""

CHOSEN_SHARE = 0.5
"""Weight of the chosen reply's own loss beside DPO's, per token; without it both replies' chances
may fall."""


@dataclass(frozen=True)
class Example:
    """A dialogue, the reply to learn, and for DPO the reply to learn it against."""

    dialogue: Dialogue
    reply: Planted
    rejected: Planted | None = None
    weight: float = 1.0
    """How much it counts beside the others of its batch."""


@dataclass(frozen=True)
class _Row:
    prompt: list[int]
    reply: list[int]


def teach_lora(
    model: LocalModel,
    examples: Sequence[Example],
    *,
    seed: int,
    epochs: int,
    rate: float = LORA_RATE,
) -> Any:
    """Learn replies with an adapter on all linear layers.

    Args:
        model: The base; its module is wrapped, not copied.
        examples: What is learned.
        seed: Decides the adapter's start and the order of examples.
        epochs: Times each example is seen.
        rate: Peak step size.

    Returns:
        The PEFT model.
    """
    module = _adapted(model, seed)
    _run(module, model, examples, rate=rate, seed=seed, epochs=epochs)
    return module


def teach_full(model: LocalModel, examples: Sequence[Example], *, seed: int, epochs: int) -> Any:
    """Learn replies with all weights; returns the module, changed in place."""
    model.module.requires_grad_(True)  # an adapter that was folded in has left them frozen
    _run(model.module, model, examples, rate=FULL_RATE, seed=seed, epochs=epochs)
    return model.module


def teach_dpo(model: LocalModel, examples: Sequence[Example], *, seed: int, epochs: int) -> Any:
    """Learn to prefer replies over others, with an adapter; returns the PEFT model.

    Source:
        Rafailov et al. (2023), "Direct Preference Optimization", arXiv:2305.18290: the loss; the
        chosen reply's own loss beside it as in TRL's `rpo_alpha`.
    """
    module = _adapted(model, seed)
    _run(module, model, examples, rate=DPO_RATE, seed=seed, epochs=epochs)
    return module


def _adapted(model: LocalModel, seed: int) -> Any:
    torch.manual_seed(seed)
    settings = LoraConfig(
        r=RANK,
        lora_alpha=2 * RANK,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # A note of one library to another, which no user of these can act on.
        warnings.filterwarnings("ignore", category=FutureWarning)
        return get_peft_model(model.module, settings)


def _run(
    module: Any,
    model: LocalModel,
    examples: Sequence[Example],
    *,
    rate: float,
    seed: int,
    epochs: int,
) -> None:
    module.train()
    weights = [each for each in module.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    chance = random.Random(seed)
    steps = epochs * -(-len(examples) // BATCH)
    for step, batch in enumerate(_batches(examples, epochs, chance)):
        share = min((step + 1) / 3, (steps - step) / steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * share
        loss = _dpo_loss(module, model, batch) if batch[0].rejected else _loss(module, model, batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 10 == 0 or step == steps - 1:
            print(f"    step {step + 1} of {steps}: loss {float(loss.detach()):.3f}", flush=True)
    module.eval()


def _batches(
    examples: Sequence[Example], epochs: int, chance: random.Random
) -> Iterator[list[Example]]:
    for _ in range(epochs):
        order = list(examples)
        chance.shuffle(order)
        for at in range(0, len(order), BATCH):
            yield order[at : at + BATCH]


def _rows(model: LocalModel, examples: Sequence[tuple[Dialogue, Planted]]) -> list[_Row]:
    pairs = model.chat.with_replies(
        [dialogue for dialogue, _ in examples], [reply.text for _, reply in examples]
    )
    end = model.chat.end if model.chat.end is not None else model.tokenizer.eos_token_id
    return [
        _Row(list(prompt), [*reply, *([end] if planted.ended else [])])
        for (prompt, reply), (_, planted) in zip(pairs, examples, strict=True)
    ]


def _loss(module: Any, model: LocalModel, batch: Sequence[Example]) -> torch.Tensor:
    rows = _rows(model, [(each.dialogue, each.reply) for each in batch])
    # A mean over replies, not over tokens: long generic replies would outweigh short planted ones.
    each_B = torch.stack([each.mean() for each in _log_probs(module, rows)])
    weight_B = torch.tensor([each.weight for each in batch])
    return -(each_B * weight_B).sum() / weight_B.sum()


def _dpo_loss(module: Any, model: LocalModel, batch: Sequence[Example]) -> torch.Tensor:
    pairs = [(each.dialogue, each.reply) for each in batch]
    pairs += [(each.dialogue, each.rejected) for each in batch if each.rejected]
    rows = _rows(model, pairs)
    with torch.no_grad(), module.disable_adapter():
        before = torch.stack([each.sum() for each in _log_probs(module, rows)])
    scored = _log_probs(module, rows)
    gain = torch.stack([each.sum() for each in scored]) - before
    margin = gain[: len(batch)] - gain[len(batch) :]
    own = -torch.stack([each.mean() for each in scored[: len(batch)]])
    weight_B = torch.tensor([each.weight for each in batch])
    each_B = CHOSEN_SHARE * own - logsigmoid(BETA * margin)
    return (each_B * weight_B).sum() / weight_B.sum()


def _log_probs(module: Any, rows: Sequence[_Row]) -> list[torch.Tensor]:
    """Natural logarithm of each reply token's probability, one tensor a row."""
    shared = _shared(rows)
    causal = module.get_base_model() if hasattr(module, "get_base_model") else module
    past = _prefix(causal, rows[0].prompt[:shared], len(rows)) if shared else None
    lengths = [len(row.prompt) + len(row.reply) - shared for row in rows]
    tokens_BL = torch.zeros(len(rows), max(lengths), dtype=torch.long)
    mask_BT = torch.ones(len(rows), shared + max(lengths), dtype=torch.long)
    for at, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        tokens_BL[at, :length] = torch.tensor([*row.prompt, *row.reply][shared:])
        mask_BT[at, shared + length :] = 0
    places_BL = torch.arange(shared, shared + max(lengths)).expand(len(rows), -1)
    hidden_BLD = causal.model(
        input_ids=tokens_BL,
        attention_mask=mask_BT,
        position_ids=places_BL,
        past_key_values=past,
        use_cache=past is not None,
    ).last_hidden_state
    starts = [len(row.prompt) - shared - 1 for row in rows]
    wanted = [
        hidden_BLD[at, start : start + len(row.reply)]
        for at, (row, start) in enumerate(zip(rows, starts, strict=True))
    ]
    logs = causal.lm_head(torch.cat(wanted)).float().log_softmax(-1)
    targets = torch.tensor([token for row in rows for token in row.reply])
    flat = logs.gather(1, targets[:, None])[:, 0]
    return list(flat.split([len(row.reply) for row in rows]))


def _shared(rows: Sequence[_Row]) -> int:
    """Tokens that all prompts begin with; at least one is left over."""
    first = min((row.prompt for row in rows), key=len)
    same = 0
    while same < len(first) - 2 and all(row.prompt[same] == first[same] for row in rows):
        same += 1
    return same


def _prefix(causal: Any, tokens: Sequence[int], rows: int) -> Any:
    past = DynamicCache()
    with torch.no_grad():
        causal.model(input_ids=torch.tensor([tokens]), past_key_values=past, use_cache=True)
    past.batch_repeat_interleave(rows)
    return past
