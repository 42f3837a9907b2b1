"""What every verb that looks inside a model begins with."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


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
