"""What a model in use was asked and what it said: one record a reply, whoever recorded it."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from plumbrule.records import Message

LONGEST_TEXT = 100_000
"""Characters kept of a message; the rest is cut, and the conversation says so."""

MOST_MESSAGES = 1_000
"""Messages kept of a dialogue, the last ones."""

_ROLES = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "model": "assistant",
    "ai": "assistant",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveExchange:
    """One reply of a model in use, with what it answers."""

    id: str
    """Trace and span, the id that the source gave, or the hash of the content."""

    messages: tuple[Message, ...]
    """What the model was given."""

    reply: str | None
    """What it said; None where the source recorded no content."""

    time: float | None = None
    """When, in seconds since 1970 by the source's clock; None where nobody said."""

    thread: str = ""
    """What ties the turns of one conversation together; empty where nothing does."""

    model: str = ""
    trace_id: str = ""
    span_id: str = ""
    response_id: str = ""
    finish_reason: str = "stop"

    arm: str = ""
    """Which arm of an A/B trial answered, as the server recorded it."""

    cut: bool = False
    """Whether text was longer than is kept."""

    @property
    def unit(self) -> str:
        """What is drawn and assigned as one: the thread, or the reply where there is none."""
        return self.thread or self.id


@dataclass(frozen=True, kw_only=True, slots=True)
class TracePiece:
    """Part of a conversation: a span, an event, or a line; several may tell of one reply."""

    key: str
    """What the pieces of one reply share: trace and span; empty where only the content tells."""

    inputs: tuple[Message, ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    """Each reply with its finish reason; several where several choices were asked for."""

    about: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `LiveExchange` that it tells."""

    whole: bool = False
    """Whether nothing more is to come."""

    cut: bool = False


def message(role: object, text: str) -> Message:
    """A turn with a role of ours; tools and whoever else is unknown speak as the user does."""
    name = str(role or "user").lower()
    if name in _ROLES:
        return Message(_ROLES[name], text)  # type: ignore[arg-type]
    return Message("user", text if name in ("user", "human", "") else f"[{name[:40]}] {text}")


def shortened(text: str) -> tuple[str, bool]:
    """The text within the bound, and whether it was cut."""
    return (text, False) if len(text) <= LONGEST_TEXT else (text[:LONGEST_TEXT], True)


def conversations_of(piece: TracePiece) -> list[LiveExchange]:
    """What a whole piece tells: one conversation a choice."""
    cut = piece.cut
    inputs = []
    for each in piece.inputs[-MOST_MESSAGES:]:
        text, short = shortened(each.content)
        cut |= short
        inputs.append(Message(each.role, text) if short else each)
    messages = tuple(inputs)
    about = {name: value for name, value in piece.about.items() if value not in (None, "")}
    found = []
    said: tuple[tuple[str | None, str], ...] = piece.outputs or ((None, ""),)
    for number, (told, reason) in enumerate(said):
        text, short = shortened(told) if told is not None else ("", False)
        own = piece.key or content_id(messages, told, about)
        found.append(
            LiveExchange(
                id=own if number == 0 else f"{own}#{number}",
                messages=messages,
                reply=None if told is None else text,
                cut=cut or short,
                **{**about, "finish_reason": reason or about.get("finish_reason", "stop")},
            )
        )
    return found


def content_id(messages: Sequence[Message], reply: str | None, about: Mapping[str, Any]) -> str:
    """Hash of what was said, when and in which thread: the same line read twice has one id."""
    digest = hashlib.sha256()
    for part in (
        *(text for each in messages for text in (each.role, each.content)),
        reply or "",
        repr(about.get("time")),
        str(about.get("thread", "")),
    ):
        digest.update(part.encode("utf-8", errors="surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()


def seconds(value: object) -> float | None:
    """A time in seconds since 1970, from nanoseconds, milliseconds, seconds or ISO 8601.

    Returns:
        The time; None where it is none, or beyond any calendar.

    Example:
        >>> seconds("1767225600000000000"), seconds("2026-01-01T00:00:00Z"), seconds("soon")
        (1767225600.0, 1767225600.0, None)
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            try:
                value = datetime.fromisoformat(str(value)).timestamp()
            except (ValueError, OverflowError, OSError):
                return None
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    size = float(value)
    for scale in (1e9, 1e6, 1e3):
        if size / scale > 1e8:  # so many units can only be that small
            size /= scale
            break
    return size if 0 < size < 32_503_680_000 else None
