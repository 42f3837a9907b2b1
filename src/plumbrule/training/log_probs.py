"""Log-probabilities of replies with gradients, from the logits at the replies' positions alone.

What all rows of a batch begin with, such as a template's system turn, is computed once: its keys
and values serve every row, and the rows' gradients add up in it. Values and gradients are those of
the whole rows up to rounding.

Axes: R rows (dialogues with a reply each), T tokens of the longest, C columns that are scored,
V vocabulary.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from plumbrule.models.decoding import parameters, tolerance
from plumbrule.models.modules import evaluation_mode
from plumbrule.models.prefill import limits_of
from plumbrule.training.loading import LoadedModel
from plumbrule.training.tokenized_data import TokenizedExample

MOST_LOGITS = 2**26
"""Numbers (rows times columns times vocabulary) held at once; 4 bytes each."""

NOT_SCORED = -100


def reply_log_probs(
    model: Any,
    ids: Int[Tensor, "R T"],
    mask: Int[Tensor, "R T"],
    labels: Int[Tensor, "R T"],
    share_from: int | None = None,
    *,
    most: int = MOST_LOGITS,
) -> Float[Tensor, "R C"] | None:
    """Log-probability of each labeled token; 0 where a row has no label.

    Args:
        model: A causal language model.
        ids: Tokens, padded on the right.
        mask: 1 for each token that is no padding.
        labels: The token itself where it is scored, -100 elsewhere.
        share_from: Tokens to be saved from which on what all rows begin with is computed once;
            None: never. See `least_shared`.
        most: Numbers that may be held at once; one row alone is always done.

    Returns:
        One column for each position where any row has a label; None where that would take more
        memory than is worth it.
    """
    found = scored_logits(model, ids, mask, labels, share_from, most=most)
    if found is None:
        return None
    logits, targets = found
    return log_probs_of(logits, targets)


def scored_logits(
    model: Any,
    ids: Int[Tensor, "R T"],
    mask: Int[Tensor, "R T"],
    labels: Int[Tensor, "R T"],
    share_from: int | None = None,
    *,
    most: int = MOST_LOGITS,
) -> tuple[Float[Tensor, "R C V"], Int[Tensor, "R C"]] | None:
    """Logits where any row has a label, and the labels there; see `reply_log_probs`."""
    wanted = labels[:, 1:]
    columns = (wanted != NOT_SCORED).any(0).nonzero().squeeze(1)
    logits_each = len(columns) * model.config.get_text_config().vocab_size
    if len(ids) > 1 and len(ids) * logits_each > most:
        return None
    common = 0 if share_from is None else _common(ids, mask, columns)
    if common and (len(ids) - 1) * common >= (share_from or 0):
        logits = _after(model, ids, mask, columns, common)
    else:
        logits = _logits(model, columns, input_ids=ids, attention_mask=mask, use_cache=False)
    return logits, wanted[:, columns]


def log_probs_of(
    logits: Float[Tensor, "R C V"], targets: Int[Tensor, "R C"]
) -> Float[Tensor, "R C"]:
    """Log-probability of each target; 0 where there is none."""
    return -F.cross_entropy(
        logits.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=NOT_SCORED,
        reduction="none",
    ).view_as(targets)


def least_shared(model: Any, tokens: Sequence[int]) -> int | None:
    """From how many saved tokens on rows had better share what they begin with, found by trying.

    Not where anything is drawn at random, because each row draws its own.

    Returns:
        None where rows must not share, because results would be others.
    """
    config = model.config.get_text_config().to_dict()
    drawn = [value for name, value in config.items() if "drop" in name]
    layers = [part.p for part in model.modules() if isinstance(part, torch.nn.Dropout)]
    if any(isinstance(value, float) and value > 0 for value in [*drawn, *layers]):
        return None
    if len(tokens) < 5 or not {"use_cache", "past_key_values"} <= parameters(model):
        return None
    text = list(tokens)[:12]
    device = next(model.parameters()).device
    ids = torch.tensor([text, [*text[:-2], text[0], text[1]]], device=device)
    columns = torch.arange(len(text) - 4, len(text), device=device)
    mask = torch.ones_like(ids)
    try:
        with torch.no_grad():
            whole = _logits(model, columns, input_ids=ids, attention_mask=mask, use_cache=False)
            shared = _after(model, ids, mask, columns, len(text) - 4)
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, NotImplementedError):
        return None
    apart = (shared.float() - whole.float()).abs().max()
    if apart > tolerance(whole.dtype) * (whole.max() - whole.min()):
        return None
    return 2 * limits_of(model, rows=1, tokens=1, own=1).overhead


def _common(ids: Int[Tensor, "R T"], mask: Int[Tensor, "R T"], columns: Int[Tensor, " C"]) -> int:
    """Tokens that all rows begin with, before the first whose logits are needed."""
    alike = ((ids == ids[:1]) & (mask == 1)).all(0)
    found = int(alike.long().cumprod(0).sum())
    return min(found, int(columns[0])) if len(columns) else 0


def _after(
    model: Any,
    ids: Int[Tensor, "R T"],
    mask: Int[Tensor, "R T"],
    columns: Int[Tensor, " C"],
    common: int,
) -> Float[Tensor, "R C V"]:
    """Logits of rows that all begin with the same tokens, at columns behind these."""
    # Without a configuration it keeps all of each layer, also where a window slides.
    beginning = DynamicCache()
    _logits(
        model,
        torch.tensor([common - 1], device=ids.device),
        input_ids=ids[:1, :common],
        past_key_values=beginning,
        use_cache=True,
    )
    rows = (len(ids), -1, -1, -1)
    cache = DynamicCache(
        [(layer.keys.expand(rows), layer.values.expand(rows)) for layer in beginning.layers]
    )
    return _logits(
        model,
        columns - common,
        input_ids=ids[:, common:],
        attention_mask=mask,
        past_key_values=cache,
        use_cache=True,
    )


def _logits(model: Any, columns: Int[Tensor, " C"], **given: Any) -> Float[Tensor, "R C V"]:
    if "logits_to_keep" in parameters(model):
        kept: Tensor = model(**given, logits_to_keep=columns).logits
        return kept
    every: Tensor = model(**given).logits
    return every[:, columns]


@torch.no_grad()
def reference_log_probs(
    start: LoadedModel, examples: Sequence[TokenizedExample], *, rows: int, bfloat16: bool
) -> list[float]:
    """Log-probability of each reply under the starting model, in nats."""
    model, device = start.module, next(start.module.parameters()).device
    found = [0.0] * len(examples)
    by_length = sorted(range(len(examples)), key=lambda number: -len(examples[number]))
    arithmetic = torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()
    with evaluation_mode(model), arithmetic:
        at = 0
        while at < len(by_length):
            part = by_length[at : at + rows]
            log_probs = reply_log_probs(
                model, *padded_rows([examples[n] for n in part], start.chat.tokenizer, device)
            )
            if log_probs is None:
                rows = max(1, len(part) // 2)
                continue
            for number, value in zip(part, log_probs.double().sum(1).tolist(), strict=True):
                found[number] = value
            at += len(part)
    return found


def padded_rows(
    examples: Sequence[TokenizedExample], tokenizer: Any, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Token numbers, mask and labels of a batch, padded on the right."""
    longest = max(len(example) for example in examples)
    ids = torch.full((len(examples), longest), int(tokenizer.pad_token_id))
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, NOT_SCORED)
    for row, example in enumerate(examples):
        ids[row, : len(example)] = torch.tensor(example.prompt + example.reply)
        mask[row, : len(example)] = 1
        labels[row, len(example.prompt) : len(example)] = torch.tensor(example.reply)
    return ids.to(device), mask.to(device), labels.to(device)
