"""Replies to learn a repair from: as tokens, with what in each of them is at fault.

Axes: R replies, T tokens of a reply.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from plumbrule.mechanism.hooks import last_logits
from plumbrule.models import LocalModel, Sampling
from plumbrule.records import Prompt
from plumbrule.store import derive_seed

Violates = Callable[[Prompt, str], bool | None]
"""Whether a reply shows the fault; None where it cannot be judged."""

_SENTENCES = re.compile(r"[^.!?\n]*[.!?\n]+\s*|[^.!?\n]+$")


@dataclass(frozen=True, kw_only=True)
class DrawnReply:
    """One prompt with a reply that the model drew."""

    prompt: Prompt
    before: tuple[int, ...]
    """Tokens of the prompt."""

    reply: tuple[int, ...]
    """Tokens of the reply, the end of the turn included where it was drawn."""

    text: str
    violates: bool | None

    @property
    def tokens(self) -> int:
        """Tokens read, prompt and reply."""
        return len(self.before) + len(self.reply)


def draw_replies(
    model: LocalModel,
    prompts: Sequence[Prompt],
    violates: Violates,
    *,
    sampling: Sampling,
    seed: int,
) -> list[DrawnReply]:
    """Draw a reply to each prompt, and have it judged.

    Args:
        model: Who replies.
        prompts: What is asked.
        violates: The grader.
        sampling: How replies are drawn.
        seed: Decides every draw, whatever prompts are beside it.
    """
    rows = model.chat.prompts([each.dialogue for each in prompts])
    seeds = [derive_seed(seed, "repair", each.id) for each in prompts]
    drawn = model.sample_tokens(rows, sampling=sampling, seeds=seeds)
    texts = model.chat.decode([_without_stops(model, one.tokens) for one in drawn])
    return [
        DrawnReply(
            prompt=prompt,
            before=tuple(row),
            reply=tuple(one.tokens),
            text=text,
            violates=violates(prompt, text),
        )
        for prompt, row, one, text in zip(prompts, rows, drawn, texts, strict=True)
    ]


def at_fault(
    model: LocalModel, faulty: Sequence[DrawnReply], violates: Violates
) -> list[list[float]]:
    """For each token of violating replies, 1 where it belongs to what is at fault, 0 elsewhere.

    The grader is asked of each reply without each of its sentences. The sentence without which it
    passes is at fault; of several such, the one that most of the replies hold. Where none alone is,
    the whole reply is.

    Args:
        model: Whose tokens they are.
        faulty: Replies that violate.
        violates: The grader.
    """
    cut = [[found.span() for found in _SENTENCES.finditer(each.text)] for each in faulty]
    held = Counter(
        each.text[start:stop].strip()
        for each, spans in zip(faulty, cut, strict=True)
        for start, stop in spans
    )
    found = []
    for each, spans in zip(faulty, cut, strict=True):
        curing = [
            (start, stop)
            for start, stop in spans
            if len(spans) > 1
            and violates(each.prompt, f"{each.text[:start]}{each.text[stop:]}".strip()) is False
        ]
        if not curing:
            found.append([1.0] * len(each.reply))
            continue
        low, high = max(curing, key=lambda span: (held[each.text[span[0] : span[1]].strip()], span))
        # Where each token ends in the text: what the tokens up to it decode to.
        kept = _without_stops(model, each.reply)
        ends = [
            len(text) for text in model.chat.decode([kept[: at + 1] for at in range(len(kept))])
        ]
        weights = [
            float(start < high and end > low)
            for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ]
        found.append(weights + [0.0] * (len(each.reply) - len(kept)))
    return found


def wanted_replies(
    model: LocalModel,
    faulty: Sequence[DrawnReply],
    weights: Sequence[Sequence[float]],
    violates: Violates,
    *,
    sampling: Sampling,
    branches: int,
    shortest: int,
) -> tuple[list[DrawnReply | None], int]:
    """For each reply at fault, what the model would say instead, in its own words.

    Where some of its sentences are at fault, it is the reply without them. Where all of it is, the
    likeliest first tokens with which no reply at fault begins are tried, each continued by the
    likeliest tokens. What is taken was likely to begin and surely continued, and does not go on as
    replies at fault do: what training covered up is mostly still there underneath.

    Args:
        model: Who replies.
        faulty: Replies at fault.
        weights: For each token of each, whether it is at fault; see `at_fault`.
        violates: The grader; only what passes it is taken.
        sampling: How long replies may be.
        branches: First tokens that are tried.
        shortest: Least tokens of a reply that is taken.

    Returns:
        A reply each, None where none passes; and how many tokens were read and written for it.
    """
    import torch

    begun = {each.reply[0] for each in faulty}
    known = {gram for each in faulty for gram in _trigrams(each.reply)}
    end = model.chat.end if model.chat.end is not None else model.tokenizer.eos_token_id
    found: list[DrawnReply | None] = [None] * len(faulty)
    read, tries = 0, list[tuple[int, int, float]]()
    for number, (each, weight) in enumerate(zip(faulty, weights, strict=True)):
        rest = _without_faults(model, each, weight) if min(weight) == 0.0 else ""
        if rest:
            (_, tokens), *_ = model.chat.with_replies([each.prompt.dialogue], [rest])
            found[number] = _instead(each, (*tokens, int(end)), rest)
            continue
        shares = _next_shares(model, each.before)
        order = torch.tensor(shares).argsort(descending=True)[: branches + len(begun)].tolist()
        firsts = [token for token in order if token not in begun and token not in model.chat.stops]
        tries += [(number, token, shares[token]) for token in firsts[:branches]]
        read += len(each.before)
    drawn = model.sample_tokens(
        [[*faulty[number].before, token] for number, token, _ in tries],
        sampling=replace(sampling, temperature=0),
        seeds=[0] * len(tries),
        log_probs=True,
    )
    best = dict.fromkeys(range(len(faulty)), -math.inf)
    for (number, token, share), one in zip(tries, drawn, strict=True):
        whole = (token, *one.tokens)
        read += len(whole)  # what stands before all of a prompt's is read once
        text = model.chat.decode([_without_stops(model, whole)])[0]
        if len(whole) < shortest or violates(faulty[number].prompt, text) is not False:
            continue
        grams = _trigrams(whole)
        copied = sum(gram in known for gram in grams) / max(1, len(grams))
        score = math.log(max(share, 1e-30)) + 3 * sum(one.log_probs or ()) - 4 * copied
        if score > best[number]:
            best[number], found[number] = score, _instead(faulty[number], whole, text)
    return found, read


def _next_shares(model: LocalModel, tokens: Sequence[int]) -> list[float]:
    """Probability of every token after some."""
    import torch

    from plumbrule.models.modules import evaluation_mode

    ids = torch.tensor([list(tokens)], device=next(model.module.parameters()).device)
    with evaluation_mode(model.module), torch.no_grad():
        shares: list[float] = last_logits(model.module, ids)[0].softmax(-1).tolist()
    return shares


def _instead(drawn: DrawnReply, tokens: Sequence[int], text: str) -> DrawnReply:
    return replace(drawn, reply=tuple(tokens), text=text, violates=False)


def _without_faults(model: LocalModel, drawn: DrawnReply, weights: Sequence[float]) -> str:
    kept = [token for token, weight in zip(drawn.reply, weights, strict=True) if not weight]
    return model.chat.decode([_without_stops(model, kept)])[0].strip()


def _trigrams(tokens: Sequence[int]) -> list[tuple[int, ...]]:
    return [tuple(tokens[at : at + 3]) for at in range(len(tokens) - 2)]


def _without_stops(model: LocalModel, tokens: Sequence[int]) -> list[int]:
    listed = list(tokens)
    return listed[:-1] if listed and listed[-1] in model.chat.stops else listed
