"""What is reviewed, how it is cut into parts, and the tree that all records together make."""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight.asking import Assignment, not_asked
from plumbrule.oversight.cases import ReviewBudget, Rule, Specialist, spans_of
from plumbrule.oversight.records import FREE, KINDS, Decision, Kind, Node, Report, ReviewCost, Task
from plumbrule.records import strict, to_json
from plumbrule.store import fingerprint

FORM = 2
"""Of the records of a review; 2 since reports hold their flaws as records."""

DECOMPOSITION = "decomposition"
"""Name under which a decomposition that failed is in the reports."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a decomposition returns when it has costs of its own."""

    tasks: tuple[Task, ...]
    cost: ReviewCost = FREE


Decompose = Callable[[Task, Mapping[str, str]], Parts | Sequence[Task]]
"""Takes a task and the sources, returns its parts; none where it is to be judged whole."""


@strict
@dataclass(frozen=True, kw_only=True)
class AskedSpecialist:
    """A specialist as it was when the review began."""

    name: str
    version: str
    kind: Kind


@strict
@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that decides a review before anyone is asked."""

    task: Task
    sources: dict[str, str]
    """SHA-256 of each source's text in UTF-8, by its id."""

    specialists: tuple[AskedSpecialist, ...]
    decomposition: str
    """Name of what cuts tasks into parts."""

    dimensions: tuple[str, ...]
    rule: Rule
    budget: ReviewBudget
    depth: int
    seed: int
    form: int = FORM
    """Version of the form of these records."""

    @property
    def review_id(self) -> str:
        """Hash that every record of the review carries."""
        return fingerprint(to_json(self))[:32]


@strict
@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """How one task was cut."""

    task_id: str
    parts: tuple[Task, ...]
    cut: bool
    """Whether the parts lie too deep to be judged, and each says so in a report."""

    trouble: str | None
    """Why there are no parts although some were wanted; None where nothing went wrong."""

    cost: ReviewCost


@strict
@dataclass(frozen=True, kw_only=True)
class Level:
    """The plans of all tasks at one depth: one record, because writing one takes a while."""

    review_id: str
    depth: int
    """0 for the whole."""

    plans: tuple[TaskPlan, ...]


def text_sha256(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal.

    Raises:
        DataError: The text holds half a surrogate pair, which no file can.
    """
    try:
        return hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError as error:
        raise DataError(
            f"a source is text that UTF-8 can hold: {error.reason} at character {error.start}. "
            "Read it with errors='replace'"
        ) from error


def make_manifest(
    task: Task,
    sources: Mapping[str, str],
    specialists: Sequence[Specialist],
    *,
    decompose: Decompose | None,
    dimensions: Sequence[str],
    rule: Rule,
    budget: ReviewBudget,
    depth: int,
    seed: int,
) -> Manifest:
    """Bind a review to its inputs.

    Raises:
        ConfigError: Two specialists of one name, or a depth below 0.
        DataError: The task points outside its sources.
    """
    names = [each.name for each in specialists]
    twice = sorted({name for name in names if names.count(name) > 1 or name == DECOMPOSITION})
    if twice:
        raise ConfigError(f"names of specialists are unique in a review, got twice or reserved: "
                          f"{', '.join(twice)}")  # fmt: skip
    if depth < 0:
        raise ConfigError(f"depth must be at least 0, got {depth}")
    spans_of(task, sources)
    what = getattr(decompose, "__qualname__", type(decompose).__name__)
    return Manifest(
        task=task,
        sources={name: text_sha256(text) for name, text in sources.items()},
        specialists=tuple(
            AskedSpecialist(name=each.name, version=each.version, kind=each.kind)
            for each in specialists
        ),
        decomposition="none" if decompose is None else what,
        dimensions=tuple(dimensions),
        rule=rule,
        budget=budget,
        depth=depth,
        seed=seed,
    )


def make_plan(
    task: Task, decompose: Decompose | None, sources: Mapping[str, str], *, cut: bool
) -> TaskPlan:
    """Cut one task; whatever goes wrong is written into the plan."""
    started, parts, trouble = time.perf_counter(), Parts(tasks=()), None
    try:
        given = () if decompose is None else decompose(task, sources)
        parts = given if isinstance(given, Parts) else Parts(tasks=tuple(given))
        check_parts(task, parts.tasks, sources)
    except Exception as error:  # a decomposition is a caller's or a model's: it may do anything
        trouble = (
            f"the decomposition failed: {' '.join(f'{type(error).__name__}: {error}'.split())}"
        )
        parts = replace(parts, tasks=())
    return TaskPlan(
        task_id=task.id,
        parts=parts.tasks,
        cut=cut and bool(parts.tasks),
        trouble=trouble,
        cost=replace(parts.cost, seconds=time.perf_counter() - started),
    )


def check_parts(task: Task, parts: Sequence[Task], sources: Mapping[str, str]) -> None:
    """Refuse parts that are no parts of their task.

    Raises:
        DataError: An id that does not begin with the task's, occurs twice, or skips a level; or
            a span outside the sources.
    """
    ids = [part.id for part in parts]
    for part in parts:
        rest = part.id.removeprefix(task.id + "/")
        if rest == part.id or "/" in rest or ids.count(part.id) > 1:
            raise DataError(
                f"a part of {task.id!r} is called {task.id + '/'!r} and one word, each its own; "
                f"got {part.id!r}"
            )
        spans_of(part, sources)


def build_tree(
    task: Task,
    plans: Mapping[str, TaskPlan],
    reports: Iterable[Report],
    decisions: Iterable[Decision],
) -> Node:
    """Put records where they belong; those of no task in the plans are left out."""
    found: dict[str, list[Report]] = {}
    for report in reports:
        found.setdefault(report.task_id, []).append(report)
    said: dict[str, list[Decision]] = {}
    for decision in decisions:
        said.setdefault(decision.task_id, []).append(decision)

    def node(task: Task) -> Node:
        order = [*task.specialists, DECOMPOSITION]
        own = [each for each in found.get(task.id, []) if each.specialist in order]
        plan = plans.get(task.id)
        return Node(
            task=task,
            reports=tuple(sorted(own, key=lambda each: (each.round, order.index(each.specialist)))),
            decisions=tuple(sorted(said.get(task.id, []), key=lambda each: each.number)),
            children=tuple(node(part) for part in plan.parts) if plan else (),
            planning=plan.cost if plan else ReviewCost(),
        )

    return node(task)


def cut_tasks(plans: Mapping[str, TaskPlan]) -> set[str]:
    """Ids of the parts that lie deeper than the review goes."""
    return {part.id for plan in plans.values() if plan.cut for part in plan.parts}


def report_unasked(
    job: Assignment,
    specialist: Specialist | None,
    plans: Mapping[str, TaskPlan],
    cut: set[str],
    *,
    depth: int,
) -> Report | None:
    """The report of a check that cannot take place; None where it can.

    Args:
        job: The check.
        specialist: Who would make it; None where nobody of that name was given.
        plans: How tasks were cut, by their ids.
        cut: What `cut_tasks` makes of them.
        depth: Levels below the whole that are judged.
    """
    if job.task_id in cut:
        return not_asked(specialist, job, f"it lies deeper than {depth} levels", "depth")
    if job.specialist == DECOMPOSITION:
        return not_asked(None, job, str(plans[job.task_id].trouble), "error")
    if specialist is None:
        return not_asked(None, job, f"no specialist of the name {job.specialist!r}", "absent")
    return None


def turn(job: Assignment, specialist: Specialist) -> tuple[int, int, int]:
    """When a check is made: later rounds later; tools, models, people; the deepest parts first."""
    return job.round, KINDS.index(specialist.kind), -job.task_id.count("/")


def expected_jobs(root: Node, plans: Mapping[str, TaskPlan], *, review_id: str) -> list[Assignment]:
    """Every report that the plans and the people who sent back call for, in the tree's order."""
    jobs = []
    cut = cut_tasks(plans)
    for node in root.walk():
        plan = plans.get(node.task.id)
        names = [*node.task.specialists]
        if (plan is not None and plan.trouble) or (node.task.id in cut and not names):
            names.append(DECOMPOSITION)
        jobs += [
            Assignment(review_id=review_id, task_id=node.task.id, specialist=name) for name in names
        ]
        rounds = dict.fromkeys(names, 0)
        for decision in node.decisions:
            for name in decision.asked:
                rounds[name] = rounds.get(name, 0) + 1
                jobs.append(
                    Assignment(
                        review_id=review_id,
                        task_id=node.task.id,
                        specialist=name,
                        round=rounds[name],
                        answers=decision.id,
                    )
                )
    return jobs
