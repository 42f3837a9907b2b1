"""Replies that came in pieces, held until nothing more of them can come."""

import json
from collections import OrderedDict
from dataclasses import replace

from plumbrule.monitoring.kept import TrafficBatch, piece_json, piece_of, short_piece
from plumbrule.monitoring.redaction import Redactor
from plumbrule.monitoring.state import WatchState
from plumbrule.monitoring.telemetry import merged
from plumbrule.monitoring.traffic import TracePiece, conversations_of
from plumbrule.records import Message


class WaitingPieces:
    """Pieces of replies, put together as they come; what waits lies on the disk too.

    Args:
        state: What is kept between two processes.
        hold: Further pieces after which a reply that got none is taken to be complete.
        redact: Takes out of texts what must not be stored.
    """

    def __init__(self, state: WatchState, *, hold: int, redact: Redactor) -> None:
        self.taken: int = state.fact("pieces", 0)
        self._hold, self._redact = hold, redact
        self._waiting: OrderedDict[str, list[TracePiece]] = OrderedDict()
        self._last: dict[str, int] = {}
        for number, key, data in state.all("SELECT number, key, data FROM pieces ORDER BY 1"):
            self._waiting.setdefault(key, []).append(piece_of(json.loads(data)))
            self._waiting.move_to_end(key)
            self._last[key] = number

    def take(self, piece: TracePiece, batch: TrafficBatch) -> None:
        """Take a piece; replies that are complete by it go into the batch."""
        self.taken += 1
        key = piece.key
        if piece.whole or not key:
            waiting = self._waiting.pop(key, None) if key else None
            if waiting:
                self._let_go(key, batch)
                piece = merged([piece, *waiting])
            batch.fresh += conversations_of(piece)
        else:
            short = short_piece(piece)
            self._waiting.setdefault(key, []).append(short)
            self._waiting.move_to_end(key)
            self._last[key] = self.taken
            row = (self.taken, key, json.dumps(piece_json(self._hidden(short))))
            batch.held.setdefault(key, []).append(row)
        while self._waiting:
            oldest = next(iter(self._waiting))
            if self._last[oldest] > self.taken - self._hold:
                break
            self._release(oldest, batch)

    def release_all(self, batch: TrafficBatch) -> None:
        """Take all that waits to be complete."""
        for key in list(self._waiting):
            self._release(key, batch)

    def _release(self, key: str, batch: TrafficBatch) -> None:
        waiting = self._waiting.pop(key)
        self._let_go(key, batch)
        batch.fresh += conversations_of(merged(waiting))

    def _let_go(self, key: str, batch: TrafficBatch) -> None:
        self._last.pop(key, None)
        batch.held.pop(key, None)
        batch.released.add(key)

    def _hidden(self, piece: TracePiece) -> TracePiece:
        """A piece as it may lie on the disk."""
        return replace(
            piece,
            inputs=tuple(Message(each.role, self._redact(each.content)) for each in piece.inputs),
            outputs=tuple((self._redact(text), reason) for text, reason in piece.outputs),
        )
