"""Which replies are kept for people, and what of them may lie on the disk."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from plumbrule.constitution import Principle
from plumbrule.errors import DataError
from plumbrule.monitoring.kept import TrafficBatch, WatchedPrinciple, queue_item
from plumbrule.monitoring.redaction import Redactor
from plumbrule.monitoring.rulings import Ruling
from plumbrule.monitoring.sampling import stable_uniform
from plumbrule.monitoring.settings import WatchSettings
from plumbrule.monitoring.state import clean
from plumbrule.monitoring.traffic import LiveExchange
from plumbrule.store import fingerprint

MOST_CASES = 1_000
"""Flagged replies kept a principle, the first ones, besides those drawn for people."""


class ReplyKeeper:
    """Keeps replies for people to read or to label.

    Args:
        principles: By id.
        settings: Whom to ask about what, and what may be stored.
        redact: Takes out of texts what must not be stored.
        now: The time, for retention.
        counts: Told of replies that nobody can be asked about.
    """

    def __init__(
        self,
        principles: Mapping[str, Principle],
        settings: WatchSettings,
        *,
        redact: Redactor,
        now: Callable[[], float],
        counts: Counter[str],
    ) -> None:
        self._principles, self._settings = principles, settings
        self._redact, self._now, self._counts = redact, now, counts

    def keep(
        self,
        one: LiveExchange,
        name: str,
        ruling: Ruling,
        watched: WatchedPrinciple,
        batch: TrafficBatch,
    ) -> None:
        """Keep a reply for people to read or to label."""
        if ruling.verdict not in ("fail", "pass"):
            return
        flagged = ruling.verdict == "fail"
        share = self._settings.label_flagged if flagged else self._settings.label_cleared
        asked = (
            stable_uniform(f"plumbrule watch {self._settings.seed} label", one.unit, name) < share
        )
        shown = flagged and watched.kept_cases < MOST_CASES
        watched.kept_cases += shown
        if not (asked or shown):
            return
        item, data = None, self.stored(one)
        if self._settings.keep == "redacted" and asked:
            item = self._item(name, data, ruling)
        row = (one.id, name, int(flagged), int(item is not None), item)
        batch.cases.append((*row, json.dumps(data, ensure_ascii=False), self._now()))

    def _item(self, name: str, data: Mapping[str, Any], ruling: Ruling) -> str | None:
        """The id of the question to people; None where it cannot be asked."""
        try:
            return queue_item(self._principles[name], data).id
        except DataError:
            self._counts["unaskable"] += 1
            return None

    def stored(self, one: LiveExchange) -> dict[str, Any]:
        """What of a conversation may lie on the disk."""
        found: dict[str, Any] = {"time": one.time, "model": one.model}
        if self._settings.keep == "redacted":
            found["messages"] = [[each.role, self._redact(each.content)] for each in one.messages]
            found["reply"] = self._redact(one.reply or "")
        elif self._settings.keep == "hash":
            found["sha256"] = fingerprint(
                [[clean(each.content) for each in one.messages], clean(one.reply or "")]
            )
        return found
