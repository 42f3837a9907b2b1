"""What a watch has stored for people: replies to label and to read, users' reports, days."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from plumbrule.constitution import Principle
from plumbrule.judging import transcript
from plumbrule.monitoring.kept import dialogue_of
from plumbrule.monitoring.rates import LabelCounts
from plumbrule.monitoring.state import WatchState, clean


class StoredTraffic:
    """Reads what a watch has stored; the watch itself writes it.

    Args:
        state: The watch's.
        principles: Those watched, by id.
    """

    def __init__(self, state: WatchState, principles: Mapping[str, Principle]) -> None:
        self._state, self._principles = state, principles

    def to_label(self) -> list[dict[str, Any]]:
        """What people are asked about, as `plumbrule label` reads it."""
        rows = self._state.all(
            "SELECT principle, item, data FROM cases WHERE for_people AND data IS NOT NULL "
            "ORDER BY 1, 2"
        )
        found = {}
        for name, item, data in rows:
            held = json.loads(data)
            principle = self._principles[name]
            found[item] = {
                "principle": name,
                "text": principle.statement(),
                "tier": principle.tier,
                "request": transcript(dialogue_of(held)),
                "reply": held["reply"],
                "source": clean(held["model"]),
            }
        return list(found.values())

    def labels(self, answers: Mapping[str, bool]) -> dict[str, LabelCounts]:
        """Count people's labels of what was drawn for them.

        Args:
            answers: Item → whether people say that the principle is broken.
        """
        found = {name: Counter[str]() for name in self._principles}
        for name, flagged, item in self._state.all(
            "SELECT principle, flagged, item FROM cases WHERE for_people"
        ):
            if item in answers:
                stratum = "flagged" if flagged else "cleared"
                found[name][stratum] += 1
                found[name][f"{stratum}_broken"] += answers[item]
        return {name: LabelCounts(**dict(each)) for name, each in found.items()}

    def confirmed(self, answers: Mapping[str, bool]) -> list[tuple[str, dict[str, Any]]]:
        """Replies that people say break a principle, by principle."""
        rows = self._state.all(
            "SELECT principle, item, data FROM cases WHERE for_people AND data IS NOT NULL "
            "ORDER BY 1, 2"
        )
        return [(name, json.loads(data)) for name, item, data in rows if answers.get(item)]

    def examples(self, name: str, most: int = 5) -> list[dict[str, Any]]:
        """Flagged replies of a principle, the latest first."""
        rows = self._state.all(
            "SELECT id, data FROM cases WHERE principle = ? AND flagged AND data IS NOT NULL "
            "ORDER BY number DESC LIMIT ?",
            name,
            most,
        )
        return [{"id": one, **json.loads(data)} for one, data in rows]

    def days(self, name: str) -> list[tuple[str, Counter[float]]]:
        """Scores of each day, by the times that conversations carry."""
        found: dict[str, Counter[float]] = {}
        for day, score, times in self._state.all(
            "SELECT day, score, times FROM days WHERE principle = ? ORDER BY day, score", name
        ):
            found.setdefault(day, Counter())[float(score)] = times
        return list(found.items())

    def reports(self) -> list[dict[str, Any]]:
        """Reports that are kept, in the order of their keys."""
        rows = self._state.all("SELECT data FROM reports WHERE data IS NOT NULL ORDER BY key")
        return [json.loads(data) for (data,) in rows]

    def text_of(self, conversation_id: str) -> dict[str, Any] | None:
        """What is stored of a conversation, if its text is."""
        rows = self._state.all(
            "SELECT data FROM cases WHERE id = ? AND data IS NOT NULL LIMIT 1", conversation_id
        )
        held = json.loads(rows[0][0]) if rows else None
        return held if held and "reply" in held else None
