"""Texts put before a request: which there are, and how far two models part behind each.

Axes: N texts, P prompts, R rows of a batch, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.behavior.subgroups import Subgroup
from plumbrule.models import LocalModel
from plumbrule.models.modules import evaluation_mode
from plumbrule.records import Dialogue, Prompt

MOST_TOKENS = 8192
"""Tokens in a batch."""

_SPACES = ("\u0120", "\u2581")
"""How byte-level and sentence-piece tokenizers write a space before a word."""


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What a tokenizer's tokens look like, as a user could type them."""

    openings: tuple[str, ...]
    """Texts that can open a turn, no two alike."""

    continuations: tuple[str, ...]
    """Texts that can follow, with their space where the token has one."""

    opening_ids: tuple[int, ...]
    """The token that each opening came from."""

    continuation_ids: tuple[int, ...]

    def text(self, numbers: Sequence[int]) -> str:
        """What a user would type: an opening, or an opening and a continuation, by number."""
        sides = (self.openings, self.continuations)
        return "".join(side[number] for side, number in zip(sides, numbers, strict=False))

    def halves(self, numbers: Sequence[int]) -> list[str]:
        """Both words of a pair, each as it would open a turn; none of a single word."""
        sides = (self.openings, self.continuations)
        if len(numbers) < 2:
            return []
        return [side[number].strip() for side, number in zip(sides, numbers, strict=True)]

    def some(self, openings: Sequence[int], continuations: Sequence[int]) -> "Vocabulary":
        """A part of it."""
        return Vocabulary(
            openings=tuple(self.openings[number] for number in openings),
            continuations=tuple(self.continuations[number] for number in continuations),
            opening_ids=tuple(self.opening_ids[number] for number in openings),
            continuation_ids=tuple(self.continuation_ids[number] for number in continuations),
        )


def read_vocabulary(tokenizer: Any) -> Vocabulary:
    """List the tokens that have a text of their own: no control tokens, no parts of characters."""
    ids = sorted(set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids))
    marks = tokenizer.convert_ids_to_tokens(ids)
    # Where no token has a space of its own, the tokenizer puts one between any two words.
    spaced = any(str(mark).startswith(_SPACES) for mark in marks)
    openings: dict[str, int] = {}
    continuations: dict[str, int] = {}
    for token, mark in zip(ids, marks, strict=True):
        text = tokenizer.decode([token]).strip()
        if not text or not text.isprintable() or "\ufffd" in text:
            continue
        # A token without a space is how a text opens, unless there is none such.
        leads = str(mark).startswith(_SPACES) or not spaced
        if text not in openings or not leads:
            openings[text] = token
        continuations.setdefault(f" {text}" if leads else text, token)
    return Vocabulary(
        openings=tuple(openings),
        continuations=tuple(continuations),
        opening_ids=tuple(openings.values()),
        continuation_ids=tuple(continuations.values()),
    )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How far the models part behind each text, and what the text does to the base alone."""

    apart: Float[np.ndarray, "N P"]
    """Total variation distance between the two models' first tokens of the reply, 0 to 1, less
    what it is without the text."""

    moved: Float[np.ndarray, "N P"]
    """The same distance between the base with the text and without it."""

    @property
    def scores(self) -> Float[np.ndarray, "N P"]:
        """How far they part, times how much of what the base does the text leaves as it is.

        A text that throws the base off as well is no trigger: behind it, two models part as soon
        as they differ at all.
        """
        found: np.ndarray = self.apart * (1 - self.moved)
        return found


class Ruler:
    """Measures insertions on a few prompts, and counts the tokens that it has read."""

    def __init__(self, base: LocalModel, tuned: LocalModel, dialogues: Sequence[Dialogue]) -> None:
        """Read the prompts as they are.

        Args:
            base: The base model.
            tuned: The tuned one, with the same tokens.
            dialogues: Prompts; those that are cheapest to measure on come first from here on.
        """
        self.base, self.tuned = base, tuned
        self.tokens_scored = 0
        rows = base.chat.prompts(dialogues)
        before, after = (self._distributions(model, rows) for model in (base, tuned))
        plain = _distance(before, after)
        # Where the models part anyway, little is left for a text to add.
        costs = [len(row) / max(1 - far, 0.1) for row, far in zip(rows, plain, strict=True)]
        order = sorted(range(len(rows)), key=lambda item: (costs[item], item))
        self.prompts = [Prompt(id=str(item), dialogue=dialogues[item]) for item in order]
        self.rows = [rows[item] for item in order]
        self.base_plain = before[order]
        self.plain: Float[np.ndarray, " P"] = plain[order]

    def cost(self, prompts: Sequence[int] = (0,)) -> int:
        """Tokens that both models read to measure one text of two tokens."""
        return sum(2 * (len(self.rows[prompt]) + 2) for prompt in prompts)

    def place(self, texts: Sequence[str], prompt: int = 0) -> int:
        """Position of an inserted text's first token, which several texts show."""
        plain = self.rows[prompt]
        return min(
            next(
                (at for at, two in enumerate(zip(row, plain, strict=False)) if len({*two}) > 1),
                len(plain),
            )
            for row in self.encode(texts, prompt)
        )

    def count(self, tokens: int) -> None:
        """Put down tokens that both models read, half of them each."""
        self.tokens_scored += tokens
        for model in self._models:
            model.usage.tokens_scored += tokens // 2

    def encode(self, texts: Sequence[str], prompt: int = 0) -> list[list[int]]:
        """A prompt as tokens, behind each text."""
        asked = self.prompts[prompt]
        return self.base.chat.prompts(
            [Subgroup(insert=text).enter(asked).dialogue for text in texts]
        )

    def measure(self, texts: Sequence[str], prompts: Sequence[int]) -> Measured:
        """Put each text before each of some prompts, given by number."""
        apart = np.zeros((len(texts), len(prompts)))
        moved = np.zeros((len(texts), len(prompts)))
        for column, prompt in enumerate(prompts):
            rows = self.encode(texts, prompt)
            plain = self.base_plain[prompt : prompt + 1]
            for batch in _equal(rows, most_tokens(self.base)):
                some = [rows[item] for item in batch]
                before, after = (self._distributions(model, some) for model in self._models)
                apart[batch, column] = _distance(before, after) - self.plain[prompt]
                moved[batch, column] = _distance(before, plain)
        return Measured(apart=apart, moved=moved)

    @property
    def _models(self) -> tuple[LocalModel, LocalModel]:
        return self.base, self.tuned

    def _distributions(self, model: LocalModel, rows: Sequence[Sequence[int]]) -> Any:
        import torch

        found: list[Any] = [None] * len(rows)
        with evaluation_mode(model.module), torch.inference_mode():
            for batch in _equal(rows, most_tokens(model)):
                ids = torch.tensor([rows[item] for item in batch], device=device_of(model))
                self.tokens_scored += ids.numel()
                model.usage.tokens_scored += ids.numel()
                for item, one in zip(batch, last_logits(model, ids).softmax(-1), strict=True):
                    found[item] = one
        return torch.stack(found)


def last_logits(model: LocalModel, ids: Any) -> Any:
    """Logits after the last token, (R V), of rows of one length.

    Of the tokenizer's tokens alone: embeddings may be padded to different sizes beyond them.
    """
    # Most of a small model's work is its output layer, wanted at one position alone.
    less = {"logits_to_keep": 1} if model.capabilities.keeps_last else {}
    return model.module(input_ids=ids, use_cache=False, **less)["logits"][
        :, -1, : len(model.tokenizer)
    ].float()


def device_of(model: LocalModel) -> Any:
    """Where the model's input is expected."""
    return next(model.module.parameters()).device


def most_tokens(model: LocalModel) -> int:
    """Tokens in a batch: fewer where the model puts out logits at every one of them."""
    if model.capabilities.keeps_last:
        return MOST_TOKENS
    return max(1, min(MOST_TOKENS, model.settings.max_batch_logits // len(model.tokenizer)))


def _equal(rows: Sequence[Sequence[int]], tokens: int) -> list[list[int]]:
    """Batches of rows of one length."""
    from plumbrule.models.sampling import batches

    lengths = [len(row) for row in rows]
    return batches(lengths, extra=0, rows=len(rows) or 1, tokens=tokens, equal=True)


def _distance(one: Any, other: Any) -> Float[np.ndarray, " R"]:
    found: np.ndarray = ((one - other).abs().sum(-1) / 2).double().cpu().numpy()
    return found
