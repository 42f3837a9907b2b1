"""What a model is fed: the tokens of each example, and the order of all examples, set in advance.

The order of a whole run is one list that depends on the seed alone, not on the state of a random
generator, so a run that goes on after a crash only has to skip what it has seen.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plumbrule.errors import DataError, ModelError
from plumbrule.models.chat import Chat
from plumbrule.records import Dialogue
from plumbrule.store import derive_seed

_WINDOW = 8  # batches sorted by length together: little padding, and still well mixed


@dataclass(frozen=True, kw_only=True)
class TokenizedExample:
    """One dialogue and the reply to it, in tokens."""

    prompt: list[int]
    reply: list[int]
    """The token that ends the turn included."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reply)


@dataclass(frozen=True, kw_only=True)
class LengthLimits:
    """How long an example may be."""

    max_tokens: int
    """What the settings allow."""

    context: int | None
    """What the model reads at most; None where it names no limit."""

    def check(self, name: str, tokens: int, *, room: int = 0) -> None:
        """Refuse an example that is too long.

        Raises:
            DataError: It is longer than the settings or the model allow.
        """
        most = self.max_tokens - room
        if tokens > most:
            raise DataError(
                f"expected at most {most} tokens, example {name!r} has {tokens}; raise max_tokens "
                "or leave the example out: nothing is cut silently"
            )
        if self.context is not None and tokens + room > self.context:
            raise DataError(
                f"expected at most {self.context - room} tokens, which is what the model reads, "
                f"example {name!r} has {tokens}; leave it out or take a model with a longer context"
            )


def encode(
    chat: Chat,
    names: Sequence[str],
    dialogues: Sequence[Dialogue],
    replies: Sequence[str],
    limits: LengthLimits,
) -> list[TokenizedExample]:
    """Turn dialogues and replies into tokens, as sampling and scoring do.

    Raises:
        DataError: An example is too long, or its dialogue is none that can be replied to.
        ModelError: The model has no token that ends a reply.
    """
    end = end_token(chat)
    try:
        pairs = chat.with_replies(dialogues, replies)
    except DataError:
        _name_refused(chat, names, dialogues)
        raise
    encoded = [TokenizedExample(prompt=prompt, reply=[*reply, end]) for prompt, reply in pairs]
    for name, example in zip(names, encoded, strict=True):
        limits.check(name, len(example))
    return encoded


def encode_prompts(
    chat: Chat,
    names: Sequence[str],
    dialogues: Sequence[Dialogue],
    limits: LengthLimits,
    *,
    room: int,
) -> list[list[int]]:
    """Turn dialogues into tokens, each to leave room for a reply.

    Raises:
        DataError: A prompt is too long, or its dialogue is none that can be replied to.
    """
    try:
        prompts = chat.prompts(dialogues)
    except DataError:
        _name_refused(chat, names, dialogues)
        raise
    for name, prompt in zip(names, prompts, strict=True):
        limits.check(name, len(prompt), room=room)
    return prompts


def windows(
    chat: Chat, texts: Sequence[str], most: int
) -> tuple[list[TokenizedExample], list[int]]:
    """Texts cut into windows, each after a text's first begun with the last token before it.

    Args:
        chat: Whose tokens.
        texts: Plain texts.
        most: Tokens of a window, at least 2.

    Returns:
        The windows, and for each the number of its text.

    Raises:
        ModelError: The tokenizer has no token that ends a text.
    """
    end = chat.tokenizer.eos_token_id
    end = end_token(chat) if end is None else int(end)
    examples: list[TokenizedExample] = []
    of: list[int] = []
    for number, tokens in enumerate(chat.plain(texts)):
        whole = [*tokens, end]
        for at in range(0, max(1, len(whole) - 1), most - 1):
            part = whole[at : at + most]
            before = 1 if at else 0
            examples.append(TokenizedExample(prompt=part[:before], reply=part[before:]))
            of.append(number)
    return examples, of


def end_token(chat: Chat) -> int:
    """The token that a reply is taught to end with.

    Raises:
        ModelError: The template closes a turn with plain text, and the tokenizer has no end token.
    """
    end = chat.end if chat.end is not None else chat.tokenizer.eos_token_id
    if end is None:
        raise ModelError(
            "expected a token that ends a reply, this model has none: its chat template closes a "
            "turn with plain text and its tokenizer has no eos_token; set one of the two"
        )
    return int(end)


def _name_refused(chat: Chat, names: Sequence[str], dialogues: Sequence[Dialogue]) -> None:
    """Find which dialogue it was."""
    for name, dialogue in zip(names, dialogues, strict=True):
        try:
            chat.render(dialogue)
        except DataError as error:
            raise DataError(f"example {name!r}: {error}") from error


def order(
    lengths: Sequence[int], *, epochs: int, batch_size: int, seed: int, group: bool
) -> list[int]:
    """The whole run as one list of example numbers, to be cut into batches from the front.

    Every example comes once an epoch. With `group`, a few batches of one epoch are sorted by
    length together and their order is drawn anew; a batch that spans two epochs is left as it is.

    Args:
        lengths: Tokens of each example.
        epochs: Times each example comes.
        batch_size: Examples a batch.
        seed: Decides the order.
        group: Put similar lengths together.

    Example:
        >>> sorted(order([3, 1, 2], epochs=2, batch_size=2, seed=0, group=True))
        [0, 0, 1, 1, 2, 2]
    """
    sequence: list[int] = []
    for epoch in range(epochs):
        numbers = list(range(len(lengths)))
        random.Random(derive_seed(seed, "order", epoch)).shuffle(numbers)
        sequence.extend(numbers)
    if not group:
        return sequence
    batches = [sequence[at : at + batch_size] for at in range(0, len(sequence), batch_size)]
    draw = random.Random(derive_seed(seed, "windows"))
    ordered: list[int] = []
    for start, stop in _windows(len(lengths), len(sequence), batch_size):
        part = [number for batch in batches[start:stop] for number in batch]
        part.sort(key=lambda number: -lengths[number])
        cut = [part[at : at + batch_size] for at in range(0, len(part), batch_size)]
        short = cut.pop() if len(cut[-1]) < batch_size else []
        draw.shuffle(cut)
        ordered.extend(number for batch in [*cut, short] for number in batch)
    return ordered


def _windows(examples: int, total: int, batch_size: int) -> list[tuple[int, int]]:
    """Runs of batches that lie within one epoch, and each batch that spans two on its own."""
    windows: list[tuple[int, int]] = []
    last: Any = None
    for batch in range(-(-total // batch_size)):
        first = batch * batch_size // examples
        final = (min((batch + 1) * batch_size, total) - 1) // examples
        kind = first if first == final else None
        if kind is not None and kind == last and batch - windows[-1][0] < _WINDOW:
            windows[-1] = (windows[-1][0], batch + 1)
        else:
            windows.append((batch, batch + 1))
        last = kind
    return windows
