"""Which conversations of a batch are new, and which of those count in the rates."""

from collections import Counter

from plumbrule.monitoring.kept import TrafficBatch
from plumbrule.monitoring.state import WatchState, digest
from plumbrule.monitoring.traffic import LiveExchange

CLOCK_JUMP = 86_400.0
"""Seconds between two conversations read one after the other that count as a jump of a clock."""


class FreshTraffic:
    """Takes each conversation once, however often it is read.

    Args:
        state: What is kept between two processes; it knows what was seen.
        threaded: Whether the later turns of a conversation are looked at without being counted.
        counts: Told what was found.
    """

    def __init__(self, state: WatchState, *, threaded: bool, counts: Counter[str]) -> None:
        self.last_time: float | None = state.fact("last_time")
        self._state, self._threaded, self._counts = state, threaded, counts

    def take(self, batch: TrafficBatch) -> list[tuple[LiveExchange, bool]]:
        """Conversations that were not seen yet, and whether each counts in the rates."""
        keys = [digest(each.id) for each in batch.fresh]
        threads = [
            digest(f"thread\0{each.thread}") if each.thread and self._threaded else b""
            for each in batch.fresh
        ]
        empty = [digest(f"empty\0{each.id}") for each in batch.fresh]
        asked = [*keys, *filter(None, threads)]
        asked += [each for each, one in zip(empty, batch.fresh, strict=True) if one.reply is None]
        known = self._state.known(asked) | batch.keys
        revived = self._state.known(empty) if self._counts["without_content"] else set()
        found = []
        for one, key, thread, blank in zip(batch.fresh, keys, threads, empty, strict=True):
            if key in known or (one.reply is None and blank in known):
                self._counts["twice"] += 1
                continue
            if one.reply is None:
                known.add(blank)
                batch.keys.add(blank)
                self._counts["without_content"] += 1
                continue
            if blank in revived or blank in batch.keys:  # its content came after all
                self._counts["without_content"] -= 1
            known.add(key)
            batch.keys.add(key)
            self._counts["conversations"] += 1
            self._counts["cut"] += one.cut
            self._clock(one)
            later = bool(thread) and thread in known
            if thread:
                known.add(thread)
                batch.keys.add(thread)
            self._counts["later_turns"] += later
            found.append((one, not later))
        return found

    def _clock(self, one: LiveExchange) -> None:
        if one.time is None:
            self._counts["without_time"] += 1
            return
        if self.last_time is not None and abs(one.time - self.last_time) > CLOCK_JUMP:
            self._counts["clock_jumps"] += 1
        self.last_time = one.time
