"""What every verb that looks inside a model begins with."""

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
