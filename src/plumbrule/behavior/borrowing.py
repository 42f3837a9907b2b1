"""Replies borrowed from like prompts: where two models part along them, at no cost in texts.

What a model says first often tells nothing: "The job of Mara is" comes before the fact that was
edited. A few replies of the base are at hand; the reply to "What is the job of Udo?" with the one
name put for the other is what "What is the job of Mara?" would get, up to where it matters. Both
models read it, and part or not, token by token.

Axes: R rows, T tokens, V vocabulary.
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.behavior.places import WORD, MarkTable
from plumbrule.models import LocalModel
from plumbrule.records import Dialogue

MOST_TOKENS = 6144
"""Tokens in a batch, padding included."""


def nearest(table: MarkTable, known: Sequence[int]) -> list[int]:
    """For each row, which of the known rows shares its rarest words most.

    Args:
        table: Marks of all rows.
        known: Rows whose replies are at hand.
    """
    best = (table.directions @ table.directions[list(known)].T).argmax(1)
    return [known[at] for at in best.tolist()]


def borrow(reply: str, theirs: str, ours: str) -> str:
    """Put the words of one request for those of another in the reply to it.

    Args:
        reply: What `theirs` was answered.
        theirs: A request.
        ours: Another one.

    Example:
        >>> borrow("Udo is a smith.", "What is the job of Udo?", "What is the job of Mara?")
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
    base: LocalModel, tuned: LocalModel, dialogues: Sequence[Dialogue], replies: Sequence[str]
) -> Float[np.ndarray, "P 2"]:
    """How far two models part along given replies.

    Returns:
        Two numbers a reply. First the sum over its tokens of the total variation distance between
        the two next-token distributions, each weighted by how likely the base is to get that far;
        the decision to stop after the last token counts too. Second the largest of these
        distances, whether or not the base would get there: a borrowed reply may be wrong in its
        facts, and what a model says after them is seen all the same.
    """
    import torch

    read = base.chat.with_replies(dialogues, replies)
    limit = base.context or 10**9
    texts = [[*prompt, *reply][:limit] for prompt, reply in read]
    starts = [len(prompt) - 1 for prompt, _ in read]
    scores = np.zeros((len(texts), 2))
    order = sorted(range(len(texts)), key=lambda item: -len(texts[item]))
    at = 0
    with torch.inference_mode():
        while at < len(order):
            width = len(texts[order[at]])
            rows = order[at : at + max(1, MOST_TOKENS // width)]
            at += len(rows)
            for row, value in zip(rows, _batch(base, tuned, texts, starts, rows), strict=True):
                scores[row] = value
            base.usage.tokens_scored += sum(len(texts[row]) for row in rows)
            tuned.usage.tokens_scored += sum(len(texts[row]) for row in rows)
    return scores


def _batch(
    base: LocalModel,
    tuned: LocalModel,
    texts: Sequence[Sequence[int]],
    starts: Sequence[int],
    rows: Sequence[int],
) -> list[tuple[float, float]]:
    import torch

    device = next(base.module.parameters()).device
    width = max(len(texts[row]) for row in rows)
    ids = torch.tensor(
        [[*texts[row], *[texts[row][-1]] * (width - len(texts[row]))] for row in rows],
        device=device,
    )
    first = min(starts[row] for row in rows)
    logits = [_logits(model, ids, first) for model in (base, tuned)]
    # Rows beyond the smaller vocabulary are padding: the tokenizer has no token for them.
    size = min(each.shape[-1] for each in logits)
    one, other = (each[..., :size].log_softmax(-1) for each in logits)
    apart = (one.exp() - other.exp()).clamp(min=0).sum(-1)
    # The log-probability of each next token; the last position has none, and none is needed.
    following = one[:, :-1].gather(-1, ids[:, first + 1 :, None])[..., 0]
    values = []
    for place, row in enumerate(rows):
        start, end = starts[row] - first, len(texts[row]) - first
        reached = torch.zeros(end - start, device=device)
        reached[1:] = following[place, start : end - 1].cumsum(0)
        here = apart[place, start:end]
        values.append((float((reached.exp() * here).sum()), float(here.max())))
    return values


def _logits(model: LocalModel, ids: Any, first: int) -> Any:
    keep = {"logits_to_keep": ids.shape[1] - first} if model.route.keeps_last else {}
    logits = model.module(input_ids=ids, use_cache=False, **keep)["logits"]
    return logits[:, -(ids.shape[1] - first) :].float()
