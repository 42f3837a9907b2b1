"""Replies that are made to begin with given words; for models whose weights are at hand."""

from collections.abc import Sequence

from plumbrule.models.handle import Sampling
from plumbrule.models.local import LocalModel
from plumbrule.records import Dialogue


def begun_replies(
    model: LocalModel,
    dialogues: Sequence[Dialogue],
    beginnings: Sequence[str],
    *,
    sampling: Sampling,
    seeds: Sequence[int],
) -> tuple[list[str], int]:
    """Draw one reply to each dialogue, with the words that it must begin with.

    Args:
        model: Who replies.
        dialogues: What comes before.
        beginnings: First words of each reply; empty for none.
        sampling: How the rest is drawn.
        seeds: One a reply.

    Returns:
        The whole replies, and how many tokens were read and written.
    """
    rows = model.chat.prompts(dialogues)
    begun = iter(model.chat.plain([each for each in beginnings if each]))
    rows = [
        [*row, *(next(begun) if begins else ())]
        for row, begins in zip(rows, beginnings, strict=True)
    ]
    drawn = model.sample_tokens(rows, sampling=sampling, seeds=seeds)
    stops = model.chat.stops
    texts = model.chat.decode(
        [[token for token in one.tokens if token not in stops] for one in drawn]
    )
    tokens = sum(map(len, rows)) + sum(len(one.tokens) for one in drawn)
    return [begins + text for begins, text in zip(beginnings, texts, strict=True)], tokens
