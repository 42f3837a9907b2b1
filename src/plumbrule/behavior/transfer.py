"""Reply transfer: where two models part along replies to like prompts, at no cost in texts.

What a model says first often tells nothing: "The job of Mara is" comes before the fact that was
edited. A few replies of the base are at hand; the reply to "What is the job of Udo?" with the one
name put for the other is what "What is the job of Mara?" would get, up to where it matters. Both
models read it, and part or not, token by token.

Axes: P prompts, R rows, T tokens, V vocabulary.
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.behavior.subgroups import WORD, SelectorTable
from plumbrule.models import LocalModel
from plumbrule.records import Dialogue

MOST_TOKENS = 4096
"""Tokens in a batch, padding included."""

MOST_LOGITS = 2**25
"""Logits of one model in a batch: 128 MiB in 32 bits."""


def nearest(table: SelectorTable, known: Sequence[int]) -> list[int]:
    """For each row, which of the known rows shares its rarest words most.

    Args:
        table: Selectors of all rows.
        known: Rows whose replies are at hand.
    """
    best = (table.directions @ table.directions[list(known)].T).argmax(1)
    return [known[at] for at in best.tolist()]


def transfer(reply: str, theirs: str, ours: str) -> str:
    """Put the words of one request for those of another in the reply to it.

    Args:
        reply: What `theirs` was answered.
        theirs: A request.
        ours: Another one.

    Example:
        >>> transfer("Udo is a smith.", "What is the job of Udo?", "What is the job of Mara?")
        'Mara is a smith.'
    """
    first, second = WORD.findall(theirs), WORD.findall(ours)
    swaps: dict[str, str] = {}
    matcher = SequenceMatcher(None, [w.lower() for w in first], [w.lower() for w in second], False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "replace" and b - a == d - c:
            swaps |= dict(zip(first[a:b], second[c:d], strict=True))
    if not swaps:
        return reply
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, swaps)) + r")\b")
    return pattern.sub(lambda match: swaps[match.group()], reply)


def part_along(
    base: LocalModel,
    tuned: LocalModel,
    dialogues: Sequence[Dialogue],
    replies: Sequence[str],
    *,
    most_tokens: int,
) -> Float[np.ndarray, "P 3"]:
    """How far two models part along given replies.

    Args:
        base: The model before.
        tuned: The model after, with the same tokens.
        dialogues: Prompts.
        replies: A reply to each, transferred from a like prompt.
        most_tokens: Tokens of each reply that are read.

    Returns:
        Three numbers a prompt, from the total variation distances between the two next-token
        distributions: the first token's; the sum over the reply, each weighted by how likely the
        base is to get that far; the largest, whether or not the base would get there, because a
        transferred reply may be wrong in its facts, and what a model says after them is seen all
        the same.
    """
    import torch

    from plumbrule.models.modules import evaluation_mode
    from plumbrule.models.prefill import limits_of, prefill
    from plumbrule.models.prefixes import plan

    read = base.chat.with_replies(dialogues, replies)
    limit = base.context or 10**9
    texts = [[*prompt, *reply[:most_tokens]][:limit] for prompt, reply in read]
    starts = [min(len(prompt), limit) - 1 for prompt, _ in read]
    size = int(base.module.get_input_embeddings().weight.shape[0])
    # One plan for both models, so that their logits come batch by batch for the same texts.
    rows = max(1, MOST_LOGITS // ((most_tokens + 1) * size))
    limits = limits_of(base.module, rows=rows, tokens=MOST_TOKENS, own=MOST_TOKENS)
    shares = base.capabilities.shares and tuned.capabilities.shares
    stems = plan(texts, starts if shares else [0] * len(texts), limits)
    scores = np.zeros((len(texts), 3))
    with evaluation_mode(base.module, tuned.module), torch.inference_mode():
        parts = zip(
            *(prefill(one.module, one.capabilities, texts, starts, stems) for one in (base, tuned)),
            strict=True,
        )
        for before, after in parts:
            for subgroup, item in enumerate(before.items):
                kept = slice(starts[item] - before.first, len(texts[item]) - before.first)
                scores[item] = _part(
                    before.logits[subgroup, kept],
                    after.logits[subgroup, kept],
                    texts[item][starts[item] + 1 :],
                )
    for model in (base, tuned):
        model.usage.tokens_scored += sum(map(len, texts))
    return scores


def _part(
    before: Float[Any, "T V"], after: Float[Any, "T V"], reply: Sequence[int]
) -> tuple[float, float, float]:
    """First token's distance, the distances weighed by reaching them, the largest."""
    import torch

    # Rows beyond the smaller vocabulary are padding: the tokenizer has no token for them.
    size = min(before.shape[-1], after.shape[-1])
    one, other = (each[:, :size].float().softmax(-1) for each in (before, after))
    apart = (one - other).abs().sum(-1) / 2
    reached = torch.ones(len(apart), device=apart.device)
    if reply:
        tokens = torch.tensor(reply, device=apart.device)[:, None]
        reached[1:] = one[: len(reply)].gather(-1, tokens)[:, 0].cumprod(0)
    return float(apart[0]), float((reached * apart).sum()), float(apart.max())
