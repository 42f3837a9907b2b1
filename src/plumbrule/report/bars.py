"""Bars with names beside them, the largest as wide as the plot."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plumbrule.report.numbers import Number
from plumbrule.report.subjects import Json


@dataclass(frozen=True, kw_only=True)
class ShareBar:
    """One bar."""

    name: str

    width: str
    """Percent of the plot's width."""

    value: Number | None
    text: str

    kept: bool | None = None
    """Whether it is among those that are enough to keep the effect; None where nobody asked."""


def bars(
    entries: Sequence[Json], key: str, texts: Iterable[str], kept: str | None = None
) -> tuple[ShareBar, ...]:
    """Lay out one bar an entry, the largest as wide as the plot.

    Args:
        entries: Each with a `name`, and its length under `key`.
        key: Where the length is; what is unknown or below 0 gets no bar.
        texts: What is beside each bar.
        kept: Where it is whether the entry is set apart.
    """
    largest = max((entry.get(key) or 0 for entry in entries), default=0) or 1
    return tuple(
        ShareBar(
            name=str(entry.get("name") or "no name recorded"),
            width=f"{100 * max(0, entry.get(key) or 0) / largest:.3f}%",
            value=entry.get(key),
            text=text,
            kept=entry.get(kept) if kept else None,
        )
        for entry, text in zip(entries, texts, strict=True)
    )
