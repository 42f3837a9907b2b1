"""Watches a model in use: reads its conversations, keeps its rates, raises alarms.

A conversation goes through a cascade: a cheap screen looks at every one; a hash draws some for the
judge, more of those that the screen suspects; a hash draws some of these for people. Each draw has
a known chance, so the rates are those of all traffic.
"""

import json
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import ConfigError, DataError
from plumbrule.monitoring.ab import Trial, TrialPlan
from plumbrule.monitoring.detection import (
    Bound,
    RiseDetector,
    baseline_bound,
    drift_detector,
)
from plumbrule.monitoring.drift import attribute_rise
from plumbrule.monitoring.emitting import evaluation_line
from plumbrule.monitoring.kept import (
    TrafficBatch,
    WatchedPrinciple,
    alarm_of,
    broken_of,
    day_of,
    piece_json,
    piece_of,
    queue_item,
    restore_detector,
    saved_detector,
    short_piece,
    stored_exchange,
)
from plumbrule.monitoring.rates import LabelCounts, corrected_sequence, sequence_of
from plumbrule.monitoring.redaction import PatternRedactor, Redactor
from plumbrule.monitoring.rulings import Alarm, Judge, Ruling, Screen
from plumbrule.monitoring.sampling import Draw, draw, stable_uniform
from plumbrule.monitoring.settings import (
    ALARM_SHARE,
    BASELINE_SHARE,
    JUDGE_SHARE,
    USUAL_PER_YEAR,
    WatchSettings,
)
from plumbrule.monitoring.sources import new_lines, source_files
from plumbrule.monitoring.state import GrowingFile, WatchState, clean, digest
from plumbrule.monitoring.stored import StoredTraffic
from plumbrule.monitoring.telemetry import merged, read_pieces
from plumbrule.monitoring.traffic import LiveExchange, TracePiece, conversations_of
from plumbrule.records import Estimate, Message, to_json
from plumbrule.store import Tell, fingerprint, silent

MOST_POINTS = 400
"""Points of a curve; beyond that every other one goes, and they come half as often."""

LARGEST_BATCH = 16 * 2**20
"""Bytes of lines that are taken in as one."""

MOST_CASES = 1_000
"""Flagged replies kept a principle, the first ones, besides those drawn for people."""

DRIFT_MARGIN = 0.02
"""Least change of the share of anchors flagged that is called a judge's drift: a judge that draws
its verdicts may differ from its first ones by chance alone, and by as much again next time."""

CLOCK_JUMP = 86_400.0
"""Seconds between two conversations read one after the other that count as a jump of a clock."""


class TrafficMonitor:
    """A watch that is open in a folder; one process at a time has it.

    Args:
        folder: Where its state lives; made if it is not there.
        constitution: The principles.
        settings: How to watch.
        screen: Looks at every conversation.
        judge: Rules on those that are drawn; None: the screen's word counts.
        judge_name: Of the judge, for the events.
        watched: Principles to keep rates of; None: all.
        redact: Takes out of texts what must not be stored.
        plan: Of a trial of two arms on this traffic, if there is one.
        now: The time, for retention.

    Raises:
        ConfigError: A setting speaks of a principle that there is not.
        DataError: The folder holds something else.
        StorageError: The disk refuses.
    """

    def __init__(
        self,
        folder: Path,
        constitution: Constitution,
        *,
        settings: WatchSettings,
        screen: Screen,
        judge: Judge | None = None,
        judge_name: str = "words",
        watched: Sequence[str] | None = None,
        redact: Redactor | None = None,
        plan: TrialPlan | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self.constitution, self.settings = folder, constitution, settings
        self._screen, self._judge, self._judge_name = screen, judge, judge_name
        self._redact = redact or PatternRedactor()
        self._now, self._plan = now, plan
        ids = list(watched) if watched is not None else [p.id for p in constitution.principles]
        self.principles: dict[str, Principle] = {name: constitution.principle(name) for name in ids}
        for name in settings.limits:
            if name not in self.principles:
                raise ConfigError(f"a limit is given for {name!r:.60}, which is not watched")
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            self._state = stack.enter_context(WatchState(folder / "state.db"))
            self.stored = StoredTraffic(self._state, self.principles)
            self._load()
            self._scores_file = GrowingFile(
                folder / "evaluations.jsonl", self._state.fact("evaluations", 0)
            )
            self._stack = stack.pop_all()

    def __enter__(self) -> "TrafficMonitor":
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder; what was committed is safe."""
        self._scores_file.close()
        self._stack.close()

    @property
    def judged_by(self) -> str | None:
        """Who rules on what is drawn; None: the screen."""
        return self._judge_name if self._judge is not None else None

    # What is kept between two processes.

    def _load(self) -> None:
        fact = self._state.fact
        self.counts: Counter[str] = Counter(fact("counts", {}))
        self.alarms: list[Alarm] = [alarm_of(each) for each in fact("alarms", [])]
        self.counted: int = fact("counted", 0)
        self.per_year: float = fact("per_year", self.settings.per_year or USUAL_PER_YEAR)
        self._every: int = fact("point_every", 0) or max(1, self.settings.baseline // 30)
        self._pieces: int = fact("pieces", 0)
        self._turn: int = fact("anchor_turn", 0)
        self._last_time: float | None = fact("last_time")
        self._baseline_days: Counter[str] = Counter(fact("baseline_days", {}))
        self._waiting: OrderedDict[str, list[TracePiece]] = OrderedDict()
        self._last_piece: dict[str, int] = {}
        for number, key, data in self._state.all("SELECT number, key, data FROM pieces ORDER BY 1"):
            self._waiting.setdefault(key, []).append(piece_of(json.loads(data)))
            self._waiting.move_to_end(key)
            self._last_piece[key] = number
        self.watched = {name: WatchedPrinciple() for name in self.principles}
        for name, held in fact("watched", {}).items():
            self.watched[name] = self._watched(name, held)
        self.trial = None if self._plan is None else Trial(self._plan, fact("trial"))
        self._known_places = self._state.places()
        self._judged_anchors: set[int] = set()
        self._anchor_rows: list[tuple[int, LiveExchange, dict[str, str], dict[str, str]]] = [
            (
                number,
                stored_exchange(json.loads(data)),
                json.loads(before or "{}"),
                json.loads(now or "{}"),
            )
            for number, data, before, now in self._state.all(
                "SELECT number, data, before, now FROM anchors WHERE data IS NOT NULL ORDER BY 1"
            )
        ]
        if self.counted == 0:
            for name, limit in self.settings.limits.items():
                self._bind(name, Bound(value=limit, source="limit"))

    def _watched(self, name: str, held: Mapping[str, Any]) -> WatchedPrinciple:
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

    def _facts(self) -> dict[str, Any]:
        return {
            "counts": dict(self.counts),
            "alarms": [to_json(each) for each in self.alarms],
            "counted": self.counted,
            "per_year": self.per_year,
            "point_every": self._every,
            "pieces": self._pieces,
            "anchor_turn": self._turn,
            "last_time": self._last_time,
            "baseline_days": dict(self._baseline_days),
            "evaluations": self._scores_file.length,
            "trial": None if self.trial is None else self.trial.saved(),
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

    def _detector(self, bound: Bound) -> RiseDetector:
        alpha = self.settings.false_alarms * ALARM_SHARE / len(self.principles)
        return RiseDetector.for_rate(
            bound.value,
            alpha=alpha,
            per_year=self.per_year,
            largest=self._weights,
        )

    def _drift_detectors(self) -> dict[str, RiseDetector]:
        settings = self.settings
        alpha = settings.false_alarms * JUDGE_SHARE / len(self.principles) / 2.0
        each = self.per_year / settings.anchor_every * settings.anchors_each
        return {
            way: drift_detector(DRIFT_MARGIN, alpha=alpha, per_year=each)
            for way in ("more", "fewer")
        }

    @property
    def _weights(self) -> tuple[float, ...]:
        return (1.0,) if self._judge is None else self.settings.shares.weights

    # Reading.

    def read(self, source: Path, *, tell: Tell = silent, until_quiet: bool = True) -> int:
        """Take in all that a source holds by now and was not taken in yet.

        Args:
            source: A file or a folder.
            tell: Told of lines.
            until_quiet: Whether replies whose pieces may still grow are taken to be complete at the
                end, because nothing more comes.

        Returns:
            Lines taken in.

        Raises:
            DataError: There is no such source.
            PlumbruleError: The disk or the judge failed: the batch on hand was not taken in, and
                the watch must be opened again.
        """
        done = 0
        batch, size = TrafficBatch(), 0
        for path in source_files(source, without=self.folder.resolve()):
            for line in new_lines(path, self._known_places):
                self._line(line.data, batch)
                batch.places[line.identity] = line.place
                batch.size += len(line.data or b"")
                size += 1
                done += 1
                if size >= self.settings.batch or batch.size > LARGEST_BATCH:
                    self._commit(batch)
                    tell("reading conversations", done, 0)
                    batch, size = TrafficBatch(), 0
        if until_quiet:
            for key in list(self._waiting):
                self._release(key, batch)
        if batch.places or batch.released:
            self._commit(batch)
        tell("reading conversations", done, 0)
        return done

    def _line(self, data: bytes | None, batch: TrafficBatch) -> None:
        self.counts["lines"] += 1
        if data is None:
            self.counts["too_large"] += 1
            return
        try:
            pieces = read_pieces(json.loads(str(data, "utf-8-sig")))
        except (ValueError, RecursionError, TypeError, AttributeError):
            self.counts["damaged"] += 1
            return
        if not pieces:
            self.counts["other"] += 1
            return
        for piece in pieces:
            self._piece(piece, batch)

    def _piece(self, piece: TracePiece, batch: TrafficBatch) -> None:
        self._pieces += 1
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
            self._last_piece[key] = self._pieces
            row = (self._pieces, key, json.dumps(piece_json(self._hidden(short))))
            batch.held.setdefault(key, []).append(row)
        while self._waiting:
            oldest = next(iter(self._waiting))
            if self._last_piece[oldest] > self._pieces - self.settings.hold:
                break
            self._release(oldest, batch)

    def _release(self, key: str, batch: TrafficBatch) -> None:
        """Take a reply to be complete."""
        waiting = self._waiting.pop(key)
        self._let_go(key, batch)
        batch.fresh += conversations_of(merged(waiting))

    def _let_go(self, key: str, batch: TrafficBatch) -> None:
        self._last_piece.pop(key, None)
        batch.held.pop(key, None)
        batch.released.add(key)

    def _hidden(self, piece: TracePiece) -> TracePiece:
        """A piece as it may lie on the disk."""
        return replace(
            piece,
            inputs=tuple(Message(each.role, self._redact(each.content)) for each in piece.inputs),
            outputs=tuple((self._redact(text), reason) for text, reason in piece.outputs),
        )

    # One batch.

    def _commit(self, batch: TrafficBatch) -> None:
        self._take(self._new(batch), batch)
        self._scores_file.append(batch.lines)
        state = self._state
        with state.transaction():
            state.keep_places(batch.places)
            state.see(batch.keys)
            state.do("DELETE FROM pieces WHERE key = ?", [(key,) for key in sorted(batch.released)])
            rows = [row for several in batch.held.values() for row in several]
            state.do("INSERT INTO pieces VALUES (?, ?, ?)", rows)
            state.do(
                "INSERT INTO days VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "times = times + excluded.times",
                [(*key, times) for key, times in sorted(batch.days.items())],
            )
            state.do("INSERT INTO cases VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", batch.cases)
            state.do("INSERT INTO anchors VALUES (?, ?, ?, NULL, NULL, ?)", batch.anchors)
            state.do(
                "UPDATE anchors SET before = ?, now = ? WHERE number = ?",
                [
                    (json.dumps(before), json.dumps(now), number)
                    for number, _, before, now in self._anchor_rows
                    if number in self._judged_anchors
                ],
            )
            state.keep(self._facts())
        self._judged_anchors.clear()
        self._known_places.update(batch.places)

    def _new(self, batch: TrafficBatch) -> list[tuple[LiveExchange, bool]]:
        """Conversations that were not seen yet, and whether each counts in the rates."""
        keys = [digest(each.id) for each in batch.fresh]
        threads = [
            digest(f"thread\0{each.thread}")
            if each.thread and self.settings.unit == "conversation"
            else b""
            for each in batch.fresh
        ]
        empty = [digest(f"empty\0{each.id}") for each in batch.fresh]
        asked = [*keys, *filter(None, threads)]
        asked += [each for each, one in zip(empty, batch.fresh, strict=True) if one.reply is None]
        known = self._state.known(asked) | batch.keys
        revived = self._state.known(empty) if self.counts["without_content"] else set()
        found = []
        for one, key, thread, blank in zip(batch.fresh, keys, threads, empty, strict=True):
            if key in known or (one.reply is None and blank in known):
                self.counts["twice"] += 1
                continue
            if one.reply is None:
                known.add(blank)
                batch.keys.add(blank)
                self.counts["without_content"] += 1
                continue
            if blank in revived or blank in batch.keys:  # its content came after all
                self.counts["without_content"] -= 1
            known.add(key)
            batch.keys.add(key)
            self.counts["conversations"] += 1
            self.counts["cut"] += one.cut
            self._clock(one)
            later = bool(thread) and thread in known
            if thread:
                known.add(thread)
                batch.keys.add(thread)
            self.counts["later_turns"] += later
            found.append((one, not later))
        return found

    def _clock(self, one: LiveExchange) -> None:
        if one.time is None:
            self.counts["without_time"] += 1
            return
        if self._last_time is not None and abs(one.time - self._last_time) > CLOCK_JUMP:
            self.counts["clock_jumps"] += 1
        self._last_time = one.time

    def _take(self, fresh: Sequence[tuple[LiveExchange, bool]], batch: TrafficBatch) -> None:
        settings, salt = self.settings, f"plumbrule watch {self.settings.seed}"
        suspected = [self._screen(one) for one, _ in fresh]
        if self._judge is None:
            draws = [Draw(judged=True, chance=1.0)] * len(fresh)
            rulings: list[Mapping[str, Ruling] | None] = [
                {
                    name: Ruling(verdict="fail" if name in suspects else "pass")
                    for name in self.principles
                }
                if suspects
                else None
                for suspects in suspected
            ]
        else:
            draws = [
                draw(one.unit, suspect=bool(suspects), shares=settings.shares, salt=salt)
                for (one, _), suspects in zip(fresh, suspected, strict=True)
            ]
            chosen = [place for place, each in enumerate(draws) if each.judged]
            said = self._judge([fresh[place][0] for place in chosen]) if chosen else []
            rulings = [None] * len(fresh)
            for place, answer in zip(chosen, said, strict=True):
                rulings[place] = answer
            self.counts["judged"] += len(chosen)
        scored: dict[str, list[float]] = {name: [] for name in self.principles}
        times: list[float | None] = []
        ones: list[LiveExchange] = []
        for (one, counts), drawn, ruling in zip(fresh, draws, rulings, strict=True):
            if ruling is not None:
                self._say(one, ruling, batch)
                for name, each in ruling.items():
                    self._case(one, name, each, salt, batch)
            if counts:
                ones.append(one)
                times.append(one.time)
                for name, scores in scored.items():
                    scores.append(self._score(name, drawn, ruling))
                if self.trial is not None and (ruling is not None or self._judge is None):
                    broken = {name: broken_of(ruling, name) for name in self.principles}
                    self.trial.take(one.unit, one.arm, broken)
        self._observe(scored, ones, times, batch)

    def _score(self, name: str, drawn: Draw, ruling: Mapping[str, Ruling] | None) -> float:
        """What a conversation adds to the sum of violations; NaN where the judge did not answer."""
        watched = self.watched[name]
        if ruling is None:
            watched.judged += self._judge is None
            return 0.0
        verdict = ruling[name].verdict
        if verdict in ("errored", "refused"):
            watched.unanswered += 1
            return math.nan
        watched.judged += 1
        if verdict != "fail":
            return 0.0
        watched.flagged += 1
        return drawn.weight

    def _say(self, one: LiveExchange, ruling: Mapping[str, Ruling], batch: TrafficBatch) -> None:
        scores = {}
        for name, each in ruling.items():
            sure = {"fail": 1.0, "pass": 0.0}.get(each.verdict)
            scores[name] = (each.verdict, sure if each.probability is None else each.probability)
        batch.lines.append(evaluation_line(one, scores, by=self._judge_name))

    def _case(
        self, one: LiveExchange, name: str, ruling: Ruling, salt: str, batch: TrafficBatch
    ) -> None:
        """Keep a reply for people to read or to label."""
        if ruling.verdict not in ("fail", "pass"):
            return
        flagged = ruling.verdict == "fail"
        share = self.settings.label_flagged if flagged else self.settings.label_cleared
        asked = stable_uniform(f"{salt} label", one.unit, name) < share
        watched = self.watched[name]
        shown = flagged and watched.kept_cases < MOST_CASES
        watched.kept_cases += shown
        if not (asked or shown):
            return
        item, data = None, self._stored(one)
        if self.settings.keep == "redacted" and asked:
            item = self._item(name, data, ruling)
        row = (one.id, name, int(flagged), int(item is not None), item)
        batch.cases.append((*row, json.dumps(data, ensure_ascii=False), self._now()))

    def _item(self, name: str, data: Mapping[str, Any], ruling: Ruling) -> str | None:
        """The id of the question to people; None where it cannot be asked."""
        try:
            return queue_item(self.principles[name], data).id
        except DataError:
            self.counts["unaskable"] += 1
            return None

    def _stored(self, one: LiveExchange) -> dict[str, Any]:
        """What of a conversation may lie on the disk."""
        found: dict[str, Any] = {"time": one.time, "model": one.model}
        if self.settings.keep == "redacted":
            found["messages"] = [[each.role, self._redact(each.content)] for each in one.messages]
            found["reply"] = self._redact(one.reply or "")
        elif self.settings.keep == "hash":
            found["sha256"] = fingerprint(
                [[clean(each.content) for each in one.messages], clean(one.reply or "")]
            )
        return found

    # Observations.

    def _observe(
        self,
        scored: Mapping[str, list[float]],
        ones: Sequence[LiveExchange],
        times: Sequence[float | None],
        batch: TrafficBatch,
    ) -> None:
        arrays = {name: np.array(scores, dtype=float) for name, scores in scored.items()}
        days = [day_of(each) for each in times]
        start = 0
        while start < len(times):
            stop = min(len(times), start + self._room())
            before = self.counted
            for name, scores in arrays.items():
                self._scores(name, scores[start:stop], times[start:stop], before)
            for name, scores in arrays.items():
                for day, score in zip(days[start:stop], scores[start:stop].tolist(), strict=True):
                    if score == score:
                        batch.days[day, name, score] += 1
            if before < self.settings.baseline:
                self._baseline_days.update(days[start:stop])
                self._choose_anchors(ones[start:stop], batch)
            self.counted = before + stop - start
            self._milestones()
            start = stop

    def _room(self) -> int:
        """Conversations until something is due."""
        due = [self._every - self.counted % self._every]
        if self.counted < self.settings.baseline:
            due.append(self.settings.baseline - self.counted)
        if self._anchor_rows:
            due.append(self.settings.anchor_every - self.counted % self.settings.anchor_every)
        return min(due)

    def _scores(
        self, name: str, scores: np.ndarray, times: Sequence[float | None], before: int
    ) -> None:
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

    def standing(self, name: str, kind: str = "rate") -> Alarm | None:
        """The alarm of a principle that nobody dealt with yet."""
        for each in self.alarms:
            if each.principle_id == name and each.kind == kind and not each.handled:
                return each
        return None

    def _milestones(self) -> None:
        settings = self.settings
        if self.counted == settings.baseline:
            self._end_baseline()
        due = self.counted > settings.baseline and self.counted % settings.anchor_every == 0
        if self._anchor_rows and due:
            self._judge_some_anchors()
        for alarm in list(self.alarms):
            if alarm.kind == "rate" and not alarm.handled and alarm.cause in ("undecided", "judge"):
                self._attribute(alarm)
        if self.counted % self._every == 0:
            self._point()

    def _point(self) -> None:
        for each in self.watched.values():
            if each.scores:
                found = sequence_of(
                    each.scores, largest=max(self._weights), level=self.settings.level
                )
                total = sum(score * times for score, times in each.scores.items())
                number = each.scores.total()
                each.points.append(
                    [self.counted, found.value, found.low, found.high, total, number]
                )
        if any(len(each.points) > MOST_POINTS for each in self.watched.values()):
            self._every *= 2
            for each in self.watched.values():
                each.points = [one for one in each.points if one[0] % self._every == 0]

    def _end_baseline(self) -> None:
        usual = [n for n in self._baseline_days.values() if n >= 0.01 * self.settings.baseline]
        if self.settings.per_year is None and usual and "" not in self._baseline_days:
            self.per_year = max(100.0, sum(usual) / len(usual) * 365.0)
        for name in self.principles:
            watched = self.watched[name]
            if watched.bound is None and watched.scores:
                values = np.repeat(list(watched.scores), list(watched.scores.values()))
                chance = self.settings.false_alarms * BASELINE_SHARE / len(self.principles)
                self._bind(name, baseline_bound(values, largest=max(self._weights), chance=chance))
        if self._judge is not None and self._anchor_rows:
            # They are judged as they are stored, because so they will be judged again.
            rulings = self._judge([one for _, one, _, _ in self._anchor_rows])
            for (number, _, before, _), ruling in zip(self._anchor_rows, rulings, strict=True):
                before.update({name: each.verdict for name, each in ruling.items()})
                self._judged_anchors.add(number)
            for watched in self.watched.values():
                watched.drift = self._drift_detectors()

    def _bind(self, name: str, bound: Bound) -> None:
        self.watched[name].bound = bound
        self.watched[name].detector = self._detector(bound)

    # Anchors.

    def _choose_anchors(self, ones: Iterable[LiveExchange], batch: TrafficBatch) -> None:
        settings = self.settings
        if self._judge is None or settings.keep != "redacted" or not settings.anchors:
            return
        share = settings.anchors / settings.baseline
        for one in ones:
            if stable_uniform(f"plumbrule anchor {settings.seed}", one.unit) < share:
                data = self._stored(one) | {"id": one.id}
                number = len(self._anchor_rows) + 1
                self._anchor_rows.append((number, stored_exchange(data), {}, {}))
                text = json.dumps(data, ensure_ascii=False)
                batch.anchors.append((number, one.id, text, self._now()))

    def _judge_some_anchors(self) -> None:
        # Drawn anew each time, so that what is expected of each judgment is the mean of all.
        number, salt = len(self._anchor_rows), f"plumbrule anchors {self.settings.seed}"
        turns = range(self._turn, self._turn + self.settings.anchors_each)
        chosen = [int(stable_uniform(salt, str(turn)) * number) for turn in turns]
        self._turn += self.settings.anchors_each
        self._judge_anchors(chosen)
        for name, watched in self.watched.items():
            moved = self._moves(name, chosen)
            for way, sign in (("more", 1.0), ("fewer", -1.0)):
                detector = watched.drift.get(way)
                if detector is None or self.standing(name, "judge") is not None:
                    continue
                if detector.update(sign * moved) is not None:
                    self._judge_anchors(range(len(self._anchor_rows)))
                    every = self._moves(name, range(len(self._anchor_rows)))
                    self.alarms.append(
                        Alarm(
                            kind="judge",
                            principle_id=name,
                            at=self.counted,
                            time=self._last_time,
                            bound=DRIFT_MARGIN,
                            cause="judge",
                            reason=f"it flags {way} of the frozen anchors than it did: "
                            f"{int((every > 0).sum())} of {len(every)} newly flagged, "
                            f"{int((every < 0).sum())} no longer",
                            decided_at=self.counted,
                        )
                    )

    def _judge_anchors(self, places: Iterable[int]) -> None:
        chosen = list(places)
        assert self._judge is not None
        rulings = self._judge([self._anchor_rows[place][1] for place in chosen])
        self.counts["anchors_judged"] += len(chosen)
        for place, ruling in zip(chosen, rulings, strict=True):
            now = self._anchor_rows[place][3]
            now.clear()
            now.update({name: each.verdict for name, each in ruling.items()})
            self._judged_anchors.add(self._anchor_rows[place][0])

    def _answers(self, name: str, places: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Which anchors were flagged before and are now, of those answered both times."""
        said = [
            (self._anchor_rows[p][2].get(name), self._anchor_rows[p][3].get(name)) for p in places
        ]
        known = [
            each for each in said if all(one not in (None, "errored", "refused") for one in each)
        ]
        return (
            np.array([one == "fail" for one, _ in known], dtype=bool),
            np.array([other == "fail" for _, other in known], dtype=bool),
        )

    def _moves(self, name: str, places: Iterable[int]) -> np.ndarray:
        before, now = self._answers(name, places)
        return np.asarray(now.astype(float) - before.astype(float))

    def _attribute(self, alarm: Alarm) -> None:
        """Say whose a rise is, with all anchors judged anew at the moment of the alarm."""
        everything = range(len(self._anchor_rows))
        if not alarm.reason and self._anchor_rows:
            self._judge_anchors(everything)
        detector = self.watched[alarm.principle_id].detector
        assert detector is not None
        if self._judge is None:
            self._change(
                alarm,
                cause="model",
                reason="the screen is a list of words, which does not change by itself",
                decided_at=alarm.at,
            )
            return
        before, now = self._answers(alarm.principle_id, everything)
        found = attribute_rise(detector, before, now)
        if found.cause == alarm.cause and alarm.reason:
            return
        self._change(
            alarm,
            cause=found.cause,
            reason=found.reason,
            shift=found.shift,
            decided_at=None if found.cause == "undecided" else self.counted,
        )

    def _change(self, alarm: Alarm, **fields: Any) -> None:
        self.alarms[self.alarms.index(alarm)] = replace(alarm, **fields)

    # What people do.

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
        with self._state.transaction():
            self._state.keep(self._facts())
        return found

    def forget_old(self) -> int:
        """Delete texts that are older than may be kept.

        Returns:
            How many.
        """
        days = self.settings.retain_days
        if days is None:
            return 0
        limit = self._now() - days * 86_400.0
        gone = 0
        with self._state.transaction():
            for table in ("cases", "anchors", "reports"):
                where = "WHERE stored < ? AND data IS NOT NULL"
                (count,) = self._state.all(f"SELECT COUNT(*) FROM {table} {where}", limit)[0]
                self._state.do(f"UPDATE {table} SET data = NULL {where}", [(limit,)])
                gone += int(count)
            self._anchor_rows = [
                row
                for row in self._anchor_rows
                if self._state.all(
                    "SELECT 1 FROM anchors WHERE number = ? AND data NOT NULL", row[0]
                )
            ]
        self._state.all("PRAGMA wal_checkpoint(TRUNCATE)")  # the log still has them till then
        return gone

    def rates(
        self, labels: Mapping[str, LabelCounts] | None = None
    ) -> dict[str, tuple[Estimate | None, Estimate | None]]:
        """The rate of each principle as judged, and with people's labels."""
        found: dict[str, tuple[Estimate | None, Estimate | None]] = {}
        for name, each in self.watched.items():
            if not each.scores:
                found[name] = (None, None)
                continue
            largest, level = max(self._weights), self.settings.level
            judged = sequence_of(each.scores, largest=largest, level=level)
            own = (labels or {}).get(name)
            fixed = own and corrected_sequence(each.scores, own, largest=largest, level=level)
            found[name] = (judged, fixed or None)
        return found

    # Users' reports.

    def take_reports(self, reports: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Keep reports of users, each once.

        Args:
            reports: Key and what is reported, redacted.

        Returns:
            How many were new.
        """
        several = list(reports)
        (before,) = self._state.all("SELECT COUNT(*) FROM reports")[0]
        now = self._now()
        with self._state.transaction():
            self._state.do(
                "INSERT OR IGNORE INTO reports VALUES (?, ?, ?)",
                [(key, json.dumps(each, ensure_ascii=False), now) for key, each in several],
            )
            (after,) = self._state.all("SELECT COUNT(*) FROM reports")[0]
            new = int(after) - int(before)
            self.counts["reports"] += new
            self.counts["reports_twice"] += len(several) - new
            self._state.keep({"counts": dict(self.counts)})
        return new
