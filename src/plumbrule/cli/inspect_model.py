"""What every verb that looks inside a model begins with."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def opened(spec: str, *, device: str, dtype: str) -> Any:
    """A model whose weights are at hand, and its sites.

    A model without a chat template reads messages as plain text: what is looked at is how it works,
    for which it need not follow turns.

    Raises:
        ModelError: It is an endpoint, or its parts cannot be found.
    """
    from plumbrule.errors import ModelError
    from plumbrule.mechanism import find_sites
    from plumbrule.mechanism.hooks import no_room
    from plumbrule.models import LocalModel, open_model

    try:
        model = open_model(spec, device=device, dtype=dtype, plain_text=True)
    except (MemoryError, RuntimeError) as error:
        if not no_room(error):
            raise
        raise ModelError(f"{spec} does not fit into memory; take a smaller model") from error
    if not isinstance(model, LocalModel):
        raise ModelError(
            f"{spec} is an endpoint: there is nothing to look into; give a folder or a hub id"
        )
    return model, find_sites(model.module)


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
    from plumbrule.errors import DataError

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
    from plumbrule.errors import ConfigError

    if model.context is not None and length > model.context:
        raise ConfigError(f"{where} is {length} tokens, the model reads at most {model.context}")


def _letters(text: str) -> str:
    """A text without what tokenizers may change in it: blanks, case and compatible letters."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")


def decoded(model: Any) -> Any:
    """Turns a token into text that can be told apart from its neighbors on a console."""

    def decode(token: int) -> str:
        # Quoted as Python does: blanks and control characters of a model's text do nothing here.
        return repr(str(model.tokenizer.decode([token])))

    return decode


def tokens_text(scores: Any, most: int) -> str:
    """Tokens side by side."""
    return " ".join(each.text for each in scores[:most])


def table_of(*columns: str) -> Table:
    """A table without lines."""
    table = Table(box=None, pad_edge=False)
    for each in columns:
        table.add_column(each, overflow="fold")
    return table


def plain(text: str) -> Text:
    """Text from a model: nothing in it is markup."""
    return Text(text)


def say(console: Console, text: str) -> None:
    """A line in which nothing is markup."""
    console.print(text, markup=False, highlight=False)
