"""The table of the amplification benchmark, from climbs that were made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.rows import Row, single, spread
from plumbrule.loop.climbs import COLUMNS, table
from plumbrule.oversight.amplification import Climb, ClimbRound
from plumbrule.records import Estimate, strict

ENOUGH, DEPTH, KEPT, RATIO = 0.95, 8, 0.90, 0.10
"""Accuracy that counts as answered, depth to reach, accuracy to keep, share of labels."""

SLACK = 0.005
"""Accuracies so close count as equal."""


@strict
@dataclass(frozen=True, kw_only=True)
class Supervised:
    """A student of the same size that learned from the oracle's labels of all depths."""

    labels: int
    contexts: int
    steps: int
    accuracy: tuple[Estimate, ...]
    """In the exam of the climb it is compared with, by level."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """All that was made, or read from where it was made."""

    main: str
    tasks: Sequence[str]
    seeds: Sequence[int]
    climbs: Mapping[str, Climb]
    supervised: Mapping[int, Supervised]

    def seeded(self, task: str) -> dict[int, Climb]:
        """Climbs of a task without errors put in, by seed."""
        names = {seed: f"{task} seed {seed}" for seed in self.seeds}
        return {seed: self.climbs[name] for seed, name in names.items() if name in self.climbs}

    def erring(self) -> dict[str, Climb]:
        """Climbs with an overseer who errs, by how and how often."""
        return {
            name.removeprefix(f"{self.main} "): done
            for name, done in self.climbs.items()
            if done.settings.overseer.error > 0
        }


def rounds_table(name: str, done: Climb, console: Console) -> None:
    """Print the rounds of one climb."""
    shown = Table(title=name)
    for column in COLUMNS:
        shown.add_column(column, justify="right", no_wrap=True)
    for row in table(done):
        shown.add_row(*row)
    console.print(shown)


def answered(done: Climb) -> int:
    """Greatest depth up to which the last student answers at least 95% right at every depth."""
    depth = 0
    top = done.top
    for level, estimate in enumerate(top.accuracy if top else ()):
        if estimate.value < ENOUGH:
            break
        depth = 2**level
    return depth


def rows(found: Found) -> list[Row]:
    """Every row for which the climbs were made."""
    return [
        *_depths(found),
        *_errors(found),
        *_false_stops(found),
        *_labels(found),
        *_details(found),
    ]


def _depths(found: Found) -> list[Row]:
    made = []
    for task in (found.main, *found.tasks):
        climbs = found.seeded(task)
        if not climbs:
            continue
        rounds = next(iter(climbs.values())).settings.rounds
        made.append(
            _over_seeds(
                f"{task}: depth answered with >= 95% after {rounds} rounds",
                {seed: answered(each) for seed, each in climbs.items()},
                unit="depth",
                target=f">= {DEPTH}",
                least=DEPTH,
            )
        )
    return made


def _over_seeds(
    measure: str,
    values: Mapping[int, float],
    *,
    unit: str,
    target: str = "",
    least: float | None = None,
) -> Row:
    """A row over seeds, the smallest held against the target; a single seed has no spread."""
    worst = min(values.values())
    met = None if least is None else worst >= least
    if len(values) == 1:
        return single(measure, worst, unit=unit, n=1, seeds=list(values), target=target, met=met)
    return spread(
        measure,
        list(values.values()),
        unit=unit,
        seeds=list(values),
        target=target,
        met=None if least is None else lambda value: value >= least,
        worst=min,
    )


def _errors(found: Found) -> list[Row]:
    made = []
    for name, done in found.erring().items():
        top, stopped = done.top, done.stopped
        if top is None:
            continue
        at = f"stops at depth {stopped.depth}" if stopped else "does not fire"
        own = top.accuracy[-1]
        made.append(
            single(
                f"overseer errs by {name}: accuracy at the depth kept ({top.depth}; rule {at})",
                own.value,
                unit="share",
                n=own.n,
                target=f">= {KEPT}",
                met=own.value >= KEPT,
            )
        )
    return made


def _false_stops(found: Found) -> list[Row]:
    climbs = [each for task in (found.main, *found.tasks) for each in found.seeded(task).values()]
    if not climbs:
        return []
    false = sum(map(_false_stop, climbs))
    return [
        single(
            "climbs without errors put in that the rule stops at depth 8 or below although the "
            "student is right in 90% or more",
            false,
            unit="climbs",
            n=len(climbs),
            target="0",
            met=false == 0,
            seeds=found.seeds,
        )
    ]


def _false_stop(done: Climb) -> bool:
    """Whether the rule refused a level without need; one it did not let be taught counts."""
    fallen = done.stopped
    if fallen is None or fallen.depth > DEPTH:
        return False
    return not fallen.accuracy or fallen.accuracy[-1].value >= KEPT


def _labels(found: Found) -> list[Row]:
    done = found.climbs.get(f"{found.main} seed 0")
    if done is None or done.top is None or not found.supervised:
        return []
    own = done.top.accuracy[-1].value
    level = done.top.level
    learned = found.supervised.values()
    reached = [each for each in learned if each.accuracy[level].value >= own - SLACK]
    most = max(each.labels for each in found.supervised.values())
    needed = min((each.labels for each in reached), default=most)
    how = (
        f"supervised learning reaches it with {needed} labels"
        if reached
        else f"supervised learning does not reach it with {most} labels: the share is smaller"
    )
    ratio = done.labels.total / needed
    return [
        single(
            f"{found.main}: labels of the climb ({done.labels.total}) as a share of those that "
            f"supervised learning takes to be as accurate at depth {done.top.depth} ({how})",
            ratio,
            unit="share",
            n=1,
            target=f"<= {RATIO}",
            met=ratio <= RATIO,
        )
    ]


def _details(found: Found) -> list[Row]:
    made = []
    for task in (found.main, *found.tasks):
        climbs = found.seeded(task)
        for level in range(len(next(iter(climbs.values())).rounds) if climbs else 0):
            values = {
                seed: each.rounds[-1].accuracy[level].value
                for seed, each in climbs.items()
                if len(each.rounds[-1].accuracy) > level
            }
            if values:
                name = f"{task}: accuracy at depth {2**level}, last student"
                made.append(_over_seeds(name, values, unit="share"))
        if climbs:
            made += _costs(task, next(iter(climbs.values())))
    for times, each in found.supervised.items():
        for level, estimate in enumerate(each.accuracy):
            made.append(
                single(
                    f"{found.main}: supervised, {each.labels} labels ({times} times the climb's), "
                    f"accuracy at depth {2**level}",
                    estimate.value,
                    unit="share",
                    n=estimate.n,
                )
            )
    for name, done in found.erring().items():
        for step in done.rounds[1:]:
            made += _predicted(name, step)
    return made


def _costs(task: str, done: Climb) -> list[Row]:
    labels = done.labels
    return [
        single(f"{task}: labels at depth 1, of the oracle", labels.lessons, unit="labels", n=1),
        single(f"{task}: labels of planted checks", labels.planted, unit="labels", n=1),
        single(f"{task}: labels to check the overseer", labels.overseer, unit="labels", n=1),
        single(f"{task}: questions put to the student, to teach it",
               sum(each.questions for each in done.rounds), unit="questions", n=1),
        single(f"{task}: steps of training", sum(each.steps for each in done.rounds),
               unit="steps", n=1),
        single(f"{task}: wall time on a shared core", sum(each.seconds for each in done.rounds),
               unit="seconds", n=1),
    ]  # fmt: skip


def _predicted(name: str, each: ClimbRound) -> list[Row]:
    """Accuracy at one depth beside what was predicted of it."""
    at = f"overseer errs by {name}, depth {each.depth}"
    made = []
    if each.accuracy:
        own = each.accuracy[-1]
        made.append(single(f"{at}: student", own.value, unit="share", n=own.n))
    if each.teacher_accuracy:
        made.append(
            single(f"{at}: teacher", each.teacher_accuracy.value, unit="share",
                   n=each.teacher_accuracy.n)
        )  # fmt: skip
    if each.expected is not None:
        made.append(
            single(f"{at}: predicted, if every combination errs at the rate put in",
                   1 - each.expected, unit="share", n=1)
        )  # fmt: skip
    if each.predicted is not None:
        made.append(
            single(f"{at}: predicted lower bound of the teacher, from checks at half the depth",
                   1 - each.predicted, unit="share", n=1)
        )  # fmt: skip
    votes = each.teacher_votes
    if votes is not None and votes.effective is not None:
        made.append(
            single(f"{at}: effective votes of {votes.votes}", votes.effective, unit="votes",
                   n=votes.questions)
        )  # fmt: skip
    return made
