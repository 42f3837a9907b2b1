"""Pairs of prompts as text: a user's own, or those of a task that comes with the package."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plumbrule.errors import ConfigError, DataError
from plumbrule.files import read_small_text
from plumbrule.mechanism.circuits.tasks import PromptPair, task_file, tasks
from plumbrule.mechanism.texts import check_tokens, text_tokens
from plumbrule.records import Message, read_jsonl, strict

LARGEST_PAIRS = 64 * 2**20
"""Bytes of a file of pairs."""


@strict
@dataclass(frozen=True, kw_only=True)
class PairLine:
    """One line of a file of pairs."""

    clean: str
    corrupted: str
    right: str
    wrong: str


@dataclass(frozen=True, kw_only=True)
class Given:
    """Pairs of prompts as tokens, with their answers."""

    pairs: tuple[PromptPair, ...]
    text: str
    """The same as JSON lines."""

    dropped: tuple[tuple[str, int], ...]
    """Of a task's pairs how many this model's tokenizer cannot be asked, by reason."""


class UnusablePair(DataError):
    """A pair that a tokenizer cannot be asked."""

    def __init__(self, detail: str, reason: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


def given_pairs(
    model: Any, *, pairs: Path | None, task: str | None, count: int, chat: bool
) -> Given:
    """Read the pairs that were asked for.

    Args:
        model: What was opened.
        pairs: A file of pairs; each of its lines must hold one.
        task: Name of pairs that come along; those that the tokenizer cannot be asked are dropped.
        count: Most pairs of a task.
        chat: Whether prompts are a user's messages, through the chat template.

    Raises:
        ConfigError: Neither or both are given, or there is no such task.
        DataError: A line does not hold a pair; its number is given. Or too few of a task are left.
    """
    if (pairs is None) == (task is None):
        raise ConfigError(
            f"expected --task NAME ({', '.join(tasks())}) or --pairs FILE.jsonl, got "
            f"{'neither' if pairs is None else 'both'}"
        )
    read = _reader(model, chat)
    if pairs is not None:
        lines = _lines(pairs)
        found = read_pairs(model, lines, chat=chat, origin=f"{pairs}, line")
        return Given(pairs=tuple(found), text=_text(lines), dropped=())
    assert task is not None
    path = task_file(task)
    kept: list[tuple[PairLine, PromptPair]] = []
    dropped: Counter[str] = Counter()
    for number, line in enumerate(_lines(path), 1):
        if len(kept) == count:
            break
        try:
            kept.append((line, _pair(line, read, model.tokenizer, f"{task}, pair {number}")))
        except UnusablePair as error:
            dropped[error.reason] += 1
    if len(kept) < min(count, 8):
        raise DataError(
            f"expected at least 8 pairs of {task} that this tokenizer reads as single words, "
            f"{len(kept)} are left ({dict(dropped)}); write pairs of your own for --pairs"
        )
    return Given(
        pairs=tuple(pair for _, pair in kept),
        text=_text([line for line, _ in kept]),
        dropped=tuple(dropped.items()),
    )


def pairs_from(model: Any, lines: Sequence[PairLine], *, chat: bool = False) -> Given:
    """Pairs of texts as a model reads them, with their text.

    Raises:
        DataError: One is no pair for this tokenizer.
    """
    return Given(pairs=tuple(read_pairs(model, lines, chat=chat)), text=_text(lines), dropped=())


def read_pairs(
    model: Any, lines: Sequence[PairLine], *, chat: bool = False, origin: str = "pair"
) -> list[PromptPair]:
    """Pairs of texts as tokens of a model.

    Args:
        model: What was opened.
        lines: The pairs.
        chat: Whether prompts are a user's messages, through the chat template.
        origin: How a message calls a pair, before its number.

    Raises:
        DataError: One is no pair for this tokenizer: prompts of different lengths, or an answer
            of several tokens.
    """
    read = _reader(model, chat)
    return [
        _pair(line, read, model.tokenizer, f"{origin} {number}")
        for number, line in enumerate(lines, 1)
    ]


def _lines(path: Path) -> list[PairLine]:
    if not path.is_file():
        raise DataError(f"expected a file of pairs, there is no {path}")
    if not read_small_text(path, "a file of pairs", most=LARGEST_PAIRS, error=DataError).strip():
        raise DataError(f"expected pairs of prompts in {path}, it is empty")
    return list(read_jsonl(PairLine, path))


def _text(lines: Sequence[PairLine]) -> str:
    return "".join(json.dumps(asdict(line), ensure_ascii=False) + "\n" for line in lines)


def _reader(opened: Any, chat: bool) -> Callable[[str, str], list[int]]:
    """How a prompt's text becomes tokens, checked; the second argument says where it is."""

    def read(text: str, where: str) -> list[int]:
        if chat:
            tokens: list[int] = opened.chat.prompts([(Message("user", text),)])[0]
        else:
            tokens = text_tokens(opened, text)
        check_tokens(opened, tokens, text, where)
        return tokens

    return read


def _pair(
    line: PairLine, read: Callable[[str, str], Sequence[int]], tokenizer: Any, where: str
) -> PromptPair:
    """A line as tokens.

    Raises:
        DataError: It is no pair for this tokenizer.
    """
    clean, corrupted = (
        tuple(read(getattr(line, name), f"{where}: {name}")) for name in ("clean", "corrupted")
    )
    if len(clean) != len(corrupted):
        raise UnusablePair(
            f"{where}: expected two prompts of as many tokens, so that each has its "
            f"counterpart; got {len(clean)} and {len(corrupted)}",
            "prompts of different lengths",
        )
    right, wrong = (
        _single(tokenizer, text, f"{where}: {name}")
        for name, text in (("right", line.right), ("wrong", line.wrong))
    )
    if right == wrong:
        raise DataError(f"{where}: right and wrong are the same token, {line.right!r}")
    return PromptPair(clean=clean, corrupted=corrupted, right=right, wrong=wrong)


def _single(tokenizer: Any, text: str, where: str) -> int:
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(tokens) != 1:
        pieces = tokenizer.convert_ids_to_tokens(tokens)
        raise UnusablePair(
            f"{where} must be a single token, {text!r} is {len(tokens)}: {pieces}. Mind the space "
            "before a word, which belongs to its token in most tokenizers",
            "an answer of several tokens",
        )
    if tokens[0] == tokenizer.unk_token_id and text.strip() != tokenizer.unk_token:
        raise UnusablePair(
            f"{where}: the tokenizer does not know {text!r} and cannot write it", "an unknown word"
        )
    return int(tokens[0])
