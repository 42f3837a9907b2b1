"""The rate of each watched principle: its sum so far, its bound, its detectors and its alarms."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plumbrule.errors import ConfigError
from plumbrule.monitoring.anchors import JudgeAnchors
from plumbrule.monitoring.detection import Bound, RiseDetector, baseline_bound, drift_detector
from plumbrule.monitoring.drift import attribute_rise
from plumbrule.monitoring.kept import (
    WatchedPrinciple,
    alarm_of,
    restore_detector,
    saved_detector,
)
from plumbrule.monitoring.rates import LabelCounts, corrected_sequence, sequence_of
from plumbrule.monitoring.rulings import Alarm
from plumbrule.monitoring.settings import (
    ALARM_SHARE,
    BASELINE_SHARE,
    JUDGE_SHARE,
    USUAL_PER_YEAR,
    WatchSettings,
)
from plumbrule.monitoring.state import WatchState
from plumbrule.records import Estimate, to_json

MOST_POINTS = 400
"""Points of a curve; beyond that every other one goes, and they come half as often."""

DRIFT_MARGIN = 0.02
"""Least change of the share of anchors flagged that is called a judge's drift: a judge that draws
its verdicts may differ from its first ones by chance alone, and by as much again next time."""


class WatchedRates:
    """Rates and alarms of the principles of a watch.

    Args:
        state: What is kept between two processes.
        settings: How to watch.
        principles: Ids of the principles.
        judged: Whether a judge rules on replies, or a screen alone.
    """

    def __init__(
        self,
        state: WatchState,
        settings: WatchSettings,
        principles: Collection[str],
        *,
        judged: bool,
    ) -> None:
        self._settings, self._judged = settings, judged
        self.alarms: list[Alarm] = [alarm_of(each) for each in state.fact("alarms", [])]
        self.per_year: float = state.fact("per_year", settings.per_year or USUAL_PER_YEAR)
        self.every: int = state.fact("point_every", 0) or max(1, settings.baseline // 30)
        self.watched = {name: WatchedPrinciple() for name in principles}
        for name, held in state.fact("watched", {}).items():
            self.watched[name] = self._restored(held)
        if state.fact("counted", 0) == 0:
            for name, limit in settings.limits.items():
                self._bind(name, Bound(value=limit, source="limit"))

    @property
    def weights(self) -> tuple[float, ...]:
        """What a violation can count, by the chance that its conversation was judged."""
        return self._settings.shares.weights if self._judged else (1.0,)

    def facts(self) -> dict[str, Any]:
        """What is kept between two processes."""
        return {
            "alarms": [to_json(each) for each in self.alarms],
            "per_year": self.per_year,
            "point_every": self.every,
            "watched": {
                name: {
                    "scores": sorted(each.scores.items()),
                    "points": each.points,
                    "judged": each.judged,
                    "flagged": each.flagged,
                    "unanswered": each.unanswered,
                    "kept_cases": each.kept_cases,
                    "bound": None if each.bound is None else to_json(each.bound),
                    "detector": saved_detector(each.detector),
                    "drift": {way: saved_detector(one) for way, one in each.drift.items()},
                }
                for name, each in self.watched.items()
            },
        }

    def _restored(self, held: Mapping[str, Any]) -> WatchedPrinciple:
        found = WatchedPrinciple(
            scores=Counter({float(score): times for score, times in held["scores"]}),
            points=held["points"],
            judged=held["judged"],
            flagged=held["flagged"],
            unanswered=held["unanswered"],
            kept_cases=held["kept_cases"],
        )
        if held["bound"] is not None:
            estimate = held["bound"]["estimate"]
            found.bound = Bound(
                value=held["bound"]["value"],
                source=held["bound"]["source"],
                estimate=None if estimate is None else Estimate(**estimate),
            )
            found.detector = self._detector(found.bound)
            restore_detector(found.detector, held["detector"])
        if held["drift"]:
            found.drift = self._drift_detectors()
            for way, one in held["drift"].items():
                restore_detector(found.drift[way], one)
        return found

    def _detector(self, bound: Bound) -> RiseDetector:
        alpha = self._settings.false_alarms * ALARM_SHARE / len(self.watched)
        return RiseDetector.for_rate(
            bound.value, alpha=alpha, per_year=self.per_year, largest=self.weights
        )

    def _drift_detectors(self) -> dict[str, RiseDetector]:
        settings = self._settings
        alpha = settings.false_alarms * JUDGE_SHARE / len(self.watched) / 2.0
        each = self.per_year / settings.anchor_every * settings.anchors_each
        return {
            way: drift_detector(DRIFT_MARGIN, alpha=alpha, per_year=each)
            for way in ("more", "fewer")
        }

    def _bind(self, name: str, bound: Bound) -> None:
        self.watched[name].bound = bound
        self.watched[name].detector = self._detector(bound)

    def standing(self, name: str, kind: str = "rate") -> Alarm | None:
        """The alarm of a principle that nobody dealt with yet."""
        for each in self.alarms:
            if each.principle_id == name and each.kind == kind and not each.handled:
                return each
        return None

    def add(
        self, name: str, scores: np.ndarray, times: Sequence[float | None], before: int
    ) -> None:
        """Add what conversations say of a principle; an alarm where they raise one.

        Args:
            name: The principle.
            scores: What each adds to the sum of violations; NaN where the judge did not answer.
            times: When each was held.
            before: Conversations counted before the first.
        """
        watched = self.watched[name]
        answered = np.flatnonzero(~np.isnan(scores))
        values = scores[answered]
        for value, times_seen in zip(*np.unique(values, return_counts=True), strict=True):
            watched.scores[float(value)] += int(times_seen)
        if watched.detector is None:
            return
        standing = self.standing(name)
        if standing is not None:
            if standing.cause not in ("model", "both"):
                watched.detector.update(values, stop_at_alarm=False)
            return
        at = watched.detector.update(values)
        if at is None:
            return
        place = int(answered[at])
        assert watched.bound is not None
        self.alarms.append(
            Alarm(
                kind="rate",
                principle_id=name,
                at=before + place + 1,
                time=times[place],
                bound=watched.bound.value,
            )
        )
        watched.detector.update(values[at + 1 :], stop_at_alarm=False)

    def add_points(self, counted: int) -> None:
        """Add a point to each curve."""
        for each in self.watched.values():
            if each.scores:
                found = sequence_of(
                    each.scores, largest=max(self.weights), level=self._settings.level
                )
                total = sum(score * times for score, times in each.scores.items())
                number = each.scores.total()
                each.points.append([counted, found.value, found.low, found.high, total, number])
        if any(len(each.points) > MOST_POINTS for each in self.watched.values()):
            self.every *= 2
            for each in self.watched.values():
                each.points = [one for one in each.points if one[0] % self.every == 0]

    def end_baseline(self, days: Mapping[str, int]) -> None:
        """Set the bounds by the baseline, whose conversations came on these days."""
        settings = self._settings
        usual = [n for n in days.values() if n >= 0.01 * settings.baseline]
        if settings.per_year is None and usual and "" not in days:
            self.per_year = max(100.0, sum(usual) / len(usual) * 365.0)
        for name, watched in self.watched.items():
            if watched.bound is None and watched.scores:
                values = np.repeat(list(watched.scores), list(watched.scores.values()))
                chance = settings.false_alarms * BASELINE_SHARE / len(self.watched)
                self._bind(name, baseline_bound(values, largest=max(self.weights), chance=chance))

    def watch_judge(self) -> None:
        """From here on, look whether the judge's answers on the anchors move."""
        for watched in self.watched.values():
            watched.drift = self._drift_detectors()

    def judge_moved(
        self, anchors: JudgeAnchors, chosen: Sequence[int], *, at: int, time: float | None
    ) -> int:
        """Look whether the judge changed, by anchors that were judged again just now.

        Args:
            anchors: All of them; they are all asked anew where there is an alarm.
            chosen: Which were judged.
            at: Conversations counted.
            time: Of the last conversation.

        Returns:
            How many further judgments that took.
        """
        judged = 0
        for name, watched in self.watched.items():
            moved = anchors.moves(name, chosen)
            for way, sign in (("more", 1.0), ("fewer", -1.0)):
                detector = watched.drift.get(way)
                if detector is None or self.standing(name, "judge") is not None:
                    continue
                if detector.update(sign * moved) is None:
                    continue
                judged += anchors.judge_again()
                every = anchors.moves(name)
                self.alarms.append(
                    Alarm(
                        kind="judge",
                        principle_id=name,
                        at=at,
                        time=time,
                        bound=DRIFT_MARGIN,
                        cause="judge",
                        reason=f"it flags {way} of the frozen anchors than it did: "
                        f"{int((every > 0).sum())} of {len(every)} newly flagged, "
                        f"{int((every < 0).sum())} no longer",
                        decided_at=at,
                    )
                )
        return judged

    def attribute(self, anchors: JudgeAnchors, *, at: int) -> int:
        """Say of each undecided rise whether the model or the judge changed.

        Args:
            anchors: Judged anew, all of them, at the moment of an alarm.
            at: Conversations counted.

        Returns:
            How many judgments that took.
        """
        judged = 0
        for alarm in list(self.alarms):
            if alarm.kind != "rate" or alarm.handled or alarm.cause not in ("undecided", "judge"):
                continue
            if not self._judged:
                self._change(
                    alarm,
                    cause="model",
                    reason="the screen is a list of words, which does not change by itself",
                    decided_at=alarm.at,
                )
                continue
            if not alarm.reason and len(anchors):
                judged += anchors.judge_again()
            detector = self.watched[alarm.principle_id].detector
            assert detector is not None
            found = attribute_rise(detector, *anchors.answers(alarm.principle_id))
            if found.cause == alarm.cause and alarm.reason:
                continue
            self._change(
                alarm,
                cause=found.cause,
                reason=found.reason,
                shift=found.shift,
                decided_at=None if found.cause == "undecided" else at,
            )
        return judged

    def _change(self, alarm: Alarm, **fields: Any) -> None:
        self.alarms[self.alarms.index(alarm)] = replace(alarm, **fields)

    def handle(self, names: Iterable[str]) -> list[Alarm]:
        """Take standing alarms as dealt with, and watch these principles anew from here.

        Raises:
            ConfigError: A principle has no standing alarm.
        """
        found = []
        for name in names:
            standing = [
                each for each in self.alarms if each.principle_id == name and not each.handled
            ]
            if not standing:
                raise ConfigError(f"there is no standing alarm of {name!r:.60} to be handled")
            for alarm in standing:
                self._change(alarm, handled=True)
                found.append(alarm)
            watched = self.watched[name]
            watched.scores.clear()
            for one in (watched.detector, *watched.drift.values()):
                if one is not None:
                    one.restart()
        return found

    def estimates(
        self, labels: Mapping[str, LabelCounts]
    ) -> dict[str, tuple[Estimate | None, Estimate | None]]:
        """The rate of each principle as judged, and with people's labels."""
        largest, level = max(self.weights), self._settings.level
        found: dict[str, tuple[Estimate | None, Estimate | None]] = {}
        for name, each in self.watched.items():
            if not each.scores:
                found[name] = (None, None)
                continue
            judged = sequence_of(each.scores, largest=largest, level=level)
            own = labels.get(name)
            fixed = own and corrected_sequence(each.scores, own, largest=largest, level=level)
            found[name] = (judged, fixed or None)
        return found
