"""Replies of the baseline that the judge is asked about again, to notice when it changes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.monitoring.kept import stored_exchange
from plumbrule.monitoring.rulings import Judge
from plumbrule.monitoring.sampling import stable_uniform
from plumbrule.monitoring.settings import WatchSettings
from plumbrule.monitoring.state import WatchState
from plumbrule.monitoring.traffic import LiveExchange


@dataclass
class Anchor:
    """A reply as it is stored, and the judge's verdicts on it by principle."""

    number: int
    exchange: LiveExchange
    before: dict[str, str]
    now: dict[str, str]


class JudgeAnchors:
    """The anchors of a watch.

    Args:
        state: What is kept between two processes.
        settings: How many there are, and how many are judged at a time.
        judge: Who is asked; None: there are no anchors.
    """

    def __init__(self, state: WatchState, settings: WatchSettings, judge: Judge | None) -> None:
        self.turn: int = state.fact("anchor_turn", 0)
        self._state, self._settings, self._judge = state, settings, judge
        self._asked: set[int] = set()
        self._rows = [
            Anchor(
                number,
                stored_exchange(json.loads(data)),
                json.loads(before or "{}"),
                json.loads(now or "{}"),
            )
            for number, data, before, now in state.all(
                "SELECT number, data, before, now FROM anchors WHERE data IS NOT NULL ORDER BY 1"
            )
        ]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def share(self) -> float:
        """Share of the baseline's conversations that become anchors."""
        settings = self._settings
        if self._judge is None or settings.keep != "redacted":
            return 0.0
        return settings.anchors / settings.baseline

    def choose(self, ones: Iterable[LiveExchange]) -> list[LiveExchange]:
        """Those of some conversations that become anchors, by a hash."""
        salt, share = f"plumbrule anchor {self._settings.seed}", self.share
        return [one for one in ones if share and stable_uniform(salt, one.unit) < share]

    def add(self, data: Mapping[str, Any]) -> int:
        """Add a reply as it is stored; returns its number."""
        number = len(self._rows) + 1
        self._rows.append(Anchor(number, stored_exchange(data), {}, {}))
        return number

    def judge_first(self) -> None:
        """Ask about all for the first time, as they are stored: so they will be asked again."""
        if self._judge is None:
            return
        rulings = self._judge([each.exchange for each in self._rows])
        for each, ruling in zip(self._rows, rulings, strict=True):
            each.before.update({name: one.verdict for name, one in ruling.items()})
            self._asked.add(each.number)

    def judge_again(self, places: Sequence[int] | None = None) -> int:
        """Ask anew about some, or about all; returns how many."""
        chosen = [self._rows[place] for place in self._places(places)]
        assert self._judge is not None
        rulings = self._judge([each.exchange for each in chosen])
        for each, ruling in zip(chosen, rulings, strict=True):
            each.now.clear()
            each.now.update({name: one.verdict for name, one in ruling.items()})
            self._asked.add(each.number)
        return len(chosen)

    def draw(self) -> list[int]:
        """The next to ask about: drawn anew each time, so that each has the mean of all."""
        number, salt = len(self._rows), f"plumbrule anchors {self._settings.seed}"
        turns = range(self.turn, self.turn + self._settings.anchors_each)
        self.turn += self._settings.anchors_each
        return [int(stable_uniform(salt, str(turn)) * number) for turn in turns]

    def answers(
        self, name: str, places: Sequence[int] | None = None
    ) -> tuple[Bool[np.ndarray, " known"], Bool[np.ndarray, " known"]]:
        """Whether anchors were flagged before and are now, of those answered both times."""
        rows = [self._rows[place] for place in self._places(places)]
        said = [(each.before.get(name), each.now.get(name)) for each in rows]
        known = [
            each for each in said if all(one not in (None, "errored", "refused") for one in each)
        ]
        return (
            np.array([one == "fail" for one, _ in known], dtype=bool),
            np.array([other == "fail" for _, other in known], dtype=bool),
        )

    def moves(self, name: str, places: Sequence[int] | None = None) -> Float[np.ndarray, " known"]:
        """1 for anchors newly flagged, -1 for those no longer flagged, 0 for the rest."""
        before, now = self.answers(name, places)
        return np.asarray(now.astype(float) - before.astype(float))

    def verdicts(self) -> list[tuple[str, str, int]]:
        """Rows of what was asked since the last commit: before, now, number."""
        return [
            (json.dumps(each.before), json.dumps(each.now), each.number)
            for each in self._rows
            if each.number in self._asked
        ]

    def committed(self) -> None:
        """What was asked lies on the disk."""
        self._asked.clear()

    def forget(self) -> None:
        """Let go of those whose text was deleted."""
        left = {
            number
            for (number,) in self._state.all("SELECT number FROM anchors WHERE data NOT NULL")
        }
        self._rows = [each for each in self._rows if each.number in left]

    def _places(self, places: Sequence[int] | None) -> Sequence[int]:
        return range(len(self._rows)) if places is None else places
