"""Watches a model in use: reads its conversations, keeps its rates, raises alarms.

A conversation goes through a cascade: a cheap screen looks at every one; a hash draws some for the
judge, more of those that the screen suspects; a hash draws some of these for people. Each draw has
a known chance, so the rates are those of all traffic.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import ConfigError
from plumbrule.monitoring.anchors import JudgeAnchors
from plumbrule.monitoring.emitting import evaluation_line
from plumbrule.monitoring.fresh import FreshTraffic
from plumbrule.monitoring.keeping import ReplyKeeper
from plumbrule.monitoring.kept import (
    TrafficBatch,
    WatchedPrinciple,
    broken_of,
    day_of,
)
from plumbrule.monitoring.rates import LabelCounts
from plumbrule.monitoring.redaction import PatternRedactor, Redactor
from plumbrule.monitoring.rulings import Alarm, Judge, Ruling, Screen
from plumbrule.monitoring.sampling import Draw, draw
from plumbrule.monitoring.settings import (
    WatchSettings,
)
from plumbrule.monitoring.sources import new_lines, source_files
from plumbrule.monitoring.state import GrowingFile, WatchState
from plumbrule.monitoring.stored import StoredTraffic
from plumbrule.monitoring.telemetry import read_pieces
from plumbrule.monitoring.traffic import LiveExchange
from plumbrule.monitoring.trial_deciding import Trial
from plumbrule.monitoring.trial_plan import TrialPlan
from plumbrule.monitoring.waiting import WaitingPieces
from plumbrule.monitoring.watched_rates import WatchedRates
from plumbrule.records import Estimate
from plumbrule.store import Tell, silent

LARGEST_BATCH = 16 * 2**20
"""Bytes of lines that are read as one batch."""


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

    @property
    def alarms(self) -> list[Alarm]:
        """All alarms, in the order in which they were raised."""
        return self._rates.alarms

    @property
    def watched(self) -> dict[str, WatchedPrinciple]:
        """What is known of each principle."""
        return self._rates.watched

    @property
    def per_year(self) -> float:
        """Conversations in a year, as far as that is known."""
        return self._rates.per_year

    def standing(self, name: str, kind: str = "rate") -> Alarm | None:
        """The alarm of a principle that nobody dealt with yet."""
        return self._rates.standing(name, kind)

    # What is kept between two processes.

    def _load(self) -> None:
        fact = self._state.fact
        self.counts: Counter[str] = Counter(fact("counts", {}))
        self.counted: int = fact("counted", 0)
        self._fresh = FreshTraffic(
            self._state, threaded=self.settings.unit == "conversation", counts=self.counts
        )
        self._keeper = ReplyKeeper(
            self.principles,
            self.settings,
            redact=self._redact,
            now=self._now,
            counts=self.counts,
        )
        self._baseline_days: Counter[str] = Counter(fact("baseline_days", {}))
        self._waiting = WaitingPieces(self._state, hold=self.settings.hold, redact=self._redact)
        self._anchors = JudgeAnchors(self._state, self.settings, self._judge)
        self._rates = WatchedRates(
            self._state, self.settings, self.principles, judged=self._judge is not None
        )
        self.trial = None if self._plan is None else Trial(self._plan, fact("trial"))
        self._known_places = self._state.places()

    def _facts(self) -> dict[str, Any]:
        return {
            "counts": dict(self.counts),
            "counted": self.counted,
            "pieces": self._waiting.taken,
            "anchor_turn": self._anchors.turn,
            "last_time": self._fresh.last_time,
            "baseline_days": dict(self._baseline_days),
            "evaluations": self._scores_file.length,
            "trial": None if self.trial is None else self.trial.saved(),
            **self._rates.facts(),
        }

    # Reading.

    def read(self, source: Path, *, tell: Tell = silent, until_quiet: bool = True) -> int:
        """Read all that a source holds by now and that was not read yet.

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
            self._waiting.release_all(batch)
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
            self._waiting.take(piece, batch)

    # One batch.

    def _commit(self, batch: TrafficBatch) -> None:
        self._take(self._fresh.take(batch), batch)
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
                "UPDATE anchors SET before = ?, now = ? WHERE number = ?", self._anchors.verdicts()
            )
            state.keep(self._facts())
        self._anchors.committed()
        self._known_places.update(batch.places)

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
                    self._keeper.keep(one, name, each, self.watched[name], batch)
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
                self._rates.add(name, scores[start:stop], times[start:stop], before)
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
        due = [self._rates.every - self.counted % self._rates.every]
        if self.counted < self.settings.baseline:
            due.append(self.settings.baseline - self.counted)
        if len(self._anchors):
            due.append(self.settings.anchor_every - self.counted % self.settings.anchor_every)
        return min(due)

    def _milestones(self) -> None:
        settings = self.settings
        if self.counted == settings.baseline:
            self._rates.end_baseline(self._baseline_days)
            if self._judge is not None and len(self._anchors):
                self._anchors.judge_first()
                self._rates.watch_judge()
        due = self.counted > settings.baseline and self.counted % settings.anchor_every == 0
        judged = 0
        if len(self._anchors) and due:
            chosen = self._anchors.draw()
            judged += self._anchors.judge_again(chosen)
            judged += self._rates.judge_moved(
                self._anchors, chosen, at=self.counted, time=self._fresh.last_time
            )
        judged += self._rates.attribute(self._anchors, at=self.counted)
        if judged:
            self.counts["anchors_judged"] += judged
        if self.counted % self._rates.every == 0:
            self._rates.add_points(self.counted)

    def _choose_anchors(self, ones: Iterable[LiveExchange], batch: TrafficBatch) -> None:
        for one in self._anchors.choose(ones):
            data = self._keeper.stored(one) | {"id": one.id}
            text = json.dumps(data, ensure_ascii=False)
            batch.anchors.append((self._anchors.add(data), one.id, text, self._now()))

    # What people do.

    def handle(self, names: Iterable[str]) -> list[Alarm]:
        """Take standing alarms as dealt with, and watch these principles anew from here.

        Raises:
            ConfigError: A principle has no standing alarm.
        """
        found = self._rates.handle(names)
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
            self._anchors.forget()
        self._state.all("PRAGMA wal_checkpoint(TRUNCATE)")  # the log still has them till then
        return gone

    def rates(
        self, labels: Mapping[str, LabelCounts] | None = None
    ) -> dict[str, tuple[Estimate | None, Estimate | None]]:
        """The rate of each principle as judged, and with people's labels."""
        return self._rates.estimates(labels or {})

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
