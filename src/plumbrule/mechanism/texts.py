"""Texts as a model reads them, refused where it would read another."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from plumbrule.errors import ConfigError, DataError


def text_tokens(model: Any, text: str) -> list[int]:
    """A text's tokens as the tokenizer reads it, without the mark that some put behind every text.

    Args:
        model: What was opened.
        text: Any text.
    """
    tokens: list[int] = list(model.tokenizer(text)["input_ids"])
    end = model.tokenizer.eos_token_id
    # Read as the prompt's last token it would ask for what follows the end.
    return tokens[:-1] if len(tokens) > 1 and tokens[-1] == end else tokens


def check_tokens(model: Any, tokens: Sequence[int], text: str, where: str) -> None:
    """Refuse a text that the model cannot read, or would read as another one.

    Args:
        model: What was opened.
        tokens: The text's, with a chat template around it or not.
        text: The text itself.
        where: How a message calls it.

    Raises:
        DataError: It has no token, more than the model has positions, or the tokenizer does not
            know how to write it.
    """
    if not len(tokens):
        raise DataError(f"{where}: expected a text of at least one token, got none")
    if model.context is not None and len(tokens) > model.context:
        raise DataError(
            f"{where} has {len(tokens)} tokens, the model reads at most {model.context}; shorten it"
        )
    read = model.tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False)
    unknown = model.tokenizer.unk_token
    lost = bool(unknown) and read.count(unknown) > text.count(unknown)
    if lost or _letters(text) not in _letters(read):
        raise DataError(
            f"{where}: the tokenizer does not give the text back, so that the model reads another: "
            f"{_short(text)} becomes {_short(read)}"
        )


def check_length(model: Any, length: int, where: str) -> None:
    """Refuse to read more tokens than the model has positions.

    Raises:
        ConfigError: They are more.
    """
    if model.context is not None and length > model.context:
        raise ConfigError(f"{where} is {length} tokens, the model reads at most {model.context}")


def _letters(text: str) -> str:
    """A text without what tokenizers may change in it: blanks, case and compatible letters."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")
