"""What a watch holds between two batches and between two processes, and its form on the disk."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from plumbrule.constitution import Principle
from plumbrule.judging import transcript
from plumbrule.monitoring.detection import Bound, RiseDetector
from plumbrule.monitoring.rulings import Alarm, Ruling
from plumbrule.monitoring.traffic import LiveExchange, TracePiece, shortened
from plumbrule.people import QueueItem
from plumbrule.records import Estimate, Message


@dataclass
class WatchedPrinciple:
    """What is known of one principle."""

    scores: Counter[float] = field(default_factory=Counter)
    bound: Bound | None = None
    detector: RiseDetector | None = None
    drift: dict[str, RiseDetector] = field(default_factory=dict)
    points: list[list[float]] = field(default_factory=list)
    """Conversations counted, rate, low, high; the sum of scores until then, and their number."""

    judged: int = 0
    flagged: int = 0
    unanswered: int = 0
    kept_cases: int = 0


@dataclass
class TrafficBatch:
    """What one batch adds, until it is committed."""

    fresh: list[LiveExchange] = field(default_factory=list)
    keys: set[bytes] = field(default_factory=set)
    places: dict[str, Any] = field(default_factory=dict)
    held: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    days: Counter[tuple[str, str, float]] = field(default_factory=Counter)
    cases: list[tuple[Any, ...]] = field(default_factory=list)
    anchors: list[tuple[Any, ...]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    size: int = 0
    """Bytes read."""


def broken_of(ruling: Mapping[str, Ruling] | None, name: str) -> bool | None:
    """Whether a principle was broken; None where nobody can say."""
    if ruling is None:
        return False
    verdict = ruling[name].verdict
    return None if verdict in ("errored", "refused") else verdict == "fail"


def queue_item(principle: Principle, data: Mapping[str, Any]) -> QueueItem:
    """The question to people about a stored reply."""
    return QueueItem(
        principle_id=principle.id,
        principle=principle.statement(),
        request=transcript(dialogue_of(data)),
        replies=(data["reply"],),
    )


def dialogue_of(data: Mapping[str, Any]) -> tuple[Message, ...]:
    """The turns of a stored reply."""
    return tuple(Message(role, content) for role, content in data["messages"])


def stored_exchange(data: Mapping[str, Any]) -> LiveExchange:
    """A stored anchor as a conversation to judge."""
    return LiveExchange(
        id=data.get("id", ""),
        messages=dialogue_of(data),
        reply=data["reply"],
        model=data.get("model", ""),
        time=data.get("time"),
    )


def short_piece(piece: TracePiece) -> TracePiece:
    """A piece with its texts within bounds, because it waits in memory."""
    cut = piece.cut
    inputs, outputs = [], []
    for each in piece.inputs:
        text, short = shortened(each.content)
        cut |= short
        inputs.append(Message(each.role, text))
    for said, reason in piece.outputs:
        text, short = shortened(said)
        cut |= short
        outputs.append((text, reason))
    return replace(piece, inputs=tuple(inputs), outputs=tuple(outputs), cut=cut)


def piece_json(piece: TracePiece) -> dict[str, Any]:
    """A piece as values that JSON can hold."""
    return {
        "key": piece.key,
        "inputs": [[each.role, each.content] for each in piece.inputs],
        "outputs": [list(each) for each in piece.outputs],
        "about": dict(piece.about),
        "cut": piece.cut,
    }


def piece_of(told: Mapping[str, Any]) -> TracePiece:
    """A piece from what `piece_json` gave."""
    return TracePiece(
        key=told["key"],
        inputs=tuple(Message(role, content) for role, content in told["inputs"]),
        outputs=tuple((text, reason) for text, reason in told["outputs"]),
        about=told["about"],
        cut=told["cut"],
    )


def alarm_of(told: Mapping[str, Any]) -> Alarm:
    """An alarm from its JSON."""
    shift = told.get("shift")
    return Alarm(**{**told, "shift": None if shift is None else Estimate(**shift)})


def saved_detector(detector: RiseDetector | None) -> dict[str, Any] | None:
    """What of a detector changes, as JSON can hold it."""
    if detector is None:
        return None
    return {
        "held": detector.held.tolist(),
        "since_start": detector.since_start,
        "every": detector.every,
    }


def restore_detector(detector: RiseDetector, held: Mapping[str, Any]) -> None:
    """Bring a detector to where `saved_detector` found one."""
    detector.held = np.array(held["held"], dtype=float)
    detector.since_start = held["since_start"]
    detector.every = held["every"]


_DAYS: dict[int, str] = {}


def day_of(seconds: float | None) -> str:
    """The day of a time, UTC; empty where there is none."""
    if seconds is None:
        return ""
    number = int(seconds // 86_400)
    if number not in _DAYS:
        if len(_DAYS) > 100_000:
            _DAYS.clear()
        _DAYS[number] = datetime.fromtimestamp(number * 86_400, UTC).date().isoformat()
    return _DAYS[number]
