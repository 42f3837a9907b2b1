"""Progress of long work: bars on a terminal, plain lines everywhere else, each with time left."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from plumbrule.store import Tell

EVERY_SECONDS = 30.0
"""Between two plain lines about the same stage."""


class Clock:
    """Says how far work is and how long it may still take, from what it was told."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began = now()
        self._expected: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._reported: dict[str, float] = {}
        self._seen: dict[str, tuple[int, int]] = {}
        self._over: dict[str, float] = {}
        self._stage = ""

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Take the expected time of each stage, in seconds, in the order they come."""
        self._expected = dict(seconds)

    def told(self, stage: str, done: int, total: int) -> bool:
        """Note how far a stage is; True where it is a new one."""
        now, new = self._now(), stage != self._stage
        if new:
            # A stage whose first word is that some is done began when the one before spoke last.
            before = self._reported[self._stage] if self._stage else self._began
            began = before if done else now
            if self._stage:
                self._over[self._stage] = began - self._started[self._stage]
            self._stage = stage
            self._started[stage] = began
        self._seen[stage] = (done, total)
        self._reported[stage] = now
        return new

    def line(self) -> str:
        """Where the work is, in a line; empty before anything was told."""
        if not self._stage:
            return ""
        done, total = self._seen[self._stage]
        far = f"{self._stage}: {done} of {total}" if total else self._stage
        parts = [far, f"{spoken(self._now() - self._began)} so far"]
        left = self.stage_left()
        if left is not None and total > done:
            parts.append(f"about {spoken(left)} left of this stage")
        whole = self.whole_left()
        if whole is not None:
            parts.append(f"about {spoken(whole)} left in all")
        return ", ".join(parts)

    def stage_left(self) -> float | None:
        """Seconds that the present stage may still take; None where nothing tells."""
        done, total = self._seen[self._stage]
        spent = self._now() - self._started[self._stage]
        if done:
            # A stage reports a shard at a time: what was done was done by the last report.
            by_then = self._reported[self._stage] - self._started[self._stage]
            return max(by_then / done * total - spent, 0.0)
        expected = self._expected.get(self._stage)
        return None if expected is None else max(expected * self._pace() - spent, 0.0)

    def whole_left(self) -> float | None:
        """Seconds that all that was expected may still take; None where nothing was expected."""
        if not self._expected:
            return None
        ahead = [
            seconds
            for stage, seconds in self._expected.items()
            if stage != self._stage and stage not in self._over
        ]
        return (self.stage_left() or 0.0) + self._pace() * sum(ahead)

    def _pace(self) -> float:
        """How much longer stages took than expected, so far."""
        known = [stage for stage in self._over if self._expected.get(stage)]
        expected = sum(self._expected[stage] for stage in known)
        # The first minute says little: an expectation counts as a minute that came true.
        return (sum(self._over[stage] for stage in known) + 60.0) / (expected + 60.0)


def spoken(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> spoken(42), spoken(200), spoken(8000)
        ('42 s', '3 min', '2 h 13 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class Lines:
    """Plain lines: one for each new stage, and one every half a minute while it lasts."""

    def __init__(
        self, write: Callable[[str], None], *, clock: Clock, every: float = EVERY_SECONDS
    ) -> None:
        """Set up; `run` begins the lines that come by themselves."""
        self._write, self._clock, self._every = write, clock, every
        self._over = threading.Event()

    def tell(self, stage: str, done: int, total: int) -> None:
        """Note how far a stage is."""
        if self._clock.told(stage, done, total):
            self.say()

    def say(self, line: str = "") -> None:
        """Write a line: the one given, or where the work is."""
        text = line or self._clock.line()
        if text:
            self._write(f"{time.strftime('%H:%M:%S')} {text}")

    @contextmanager
    def run(self) -> Iterator[None]:
        """Write a line every so often, also while a stage says nothing."""
        thread = threading.Thread(target=self._repeat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _repeat(self) -> None:
        while not self._over.wait(self._every):
            self.say()


class ProgressTeller:
    """What a stage calls to say how far it is, and what a plan calls to say what is to come."""

    def __init__(self, clock: Clock, tell: Tell, say: Callable[[str], None]) -> None:
        self._clock, self._tell, self.say = clock, tell, say

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note how far a stage is."""
        self._tell(stage, done, total)

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Take the expected time of each stage, in seconds."""
        self._clock.expect(seconds)


@contextmanager
def progress_bars(*, log: Path | None = None) -> Iterator[ProgressTeller]:
    """Bars on standard error; where that is no terminal, plain lines with the time left.

    Args:
        log: File that gets the plain lines too, whatever standard error is.
    """
    console, clock = Console(stderr=True), Clock()

    def write(line: str) -> None:
        if not console.is_terminal:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        if log is not None and log.parent.is_dir():
            with log.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    lines = Lines(write, clock=clock)
    if not console.is_terminal:
        with lines.run():
            yield ProgressTeller(clock, lines.tell, lines.say)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars, lines.run():
        tasks = {}

        def tell(stage: str, done: int, total: int) -> None:
            lines.tell(stage, done, total)
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
                for name, task in tasks.items():
                    if name != stage:
                        bars.stop_task(task)
            left = clock.whole_left()
            said = "" if left is None else f" (about {spoken(left)} left in all)"
            bars.update(tasks[stage], completed=done, total=total, description=stage + said)

        yield ProgressTeller(clock, tell, lambda line: bars.console.print(line, markup=False))
