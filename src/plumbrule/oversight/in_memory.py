"""Reviews kept in memory: cut many works, ask everyone about all of them, write nothing down.

Training asks for thousands of verdicts, and a model that judges many cases at once is many times
faster than one asked case by case. The reports are those that a review would have.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, runtime_checkable

from plumbrule.errors import DataError
from plumbrule.oversight.asking import Assignment, ask, report_answer
from plumbrule.oversight.cases import Case, Specialist
from plumbrule.oversight.plans import (
    Decompose,
    TaskPlan,
    build_tree,
    cut_tasks,
    expected_jobs,
    make_plan,
    report_unasked,
    turn,
)
from plumbrule.oversight.records import Node, Opinion, Report, Task
from plumbrule.store import derive_seed

IN_MEMORY = "in memory"
"""Review id of the reports made here: they are in no trail."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One piece of work to judge."""

    task: Task
    sources: Mapping[str, str]


@runtime_checkable
class Panel(Specialist, Protocol):
    """A specialist who judges many cases at once, which a model does faster than one by one."""

    def check_all(self, cases: Sequence[Case]) -> Sequence[Opinion]:
        """One opinion a case, in order. May raise: then none of them was checked."""


def judge_works(
    works: Sequence[Work],
    specialists: Mapping[str, Specialist],
    *,
    decompose: Decompose | None,
    depth: int,
    seed: int,
) -> list[Node]:
    """Cut each work, ask everyone about everything, and return the trees with their reports."""
    trees = [_WorkTree(work, _plans(work, decompose, depth)) for work in works]
    _ask_all(trees, specialists, depth, seed)
    return [tree.root for tree in trees]


class _WorkTree:
    """A work, how it is cut, and the reports on it so far."""

    def __init__(self, work: Work, plans: Mapping[str, TaskPlan]) -> None:
        self.work, self.plans = work, plans
        self.reports: list[Report] = []

    @property
    def root(self) -> Node:
        return build_tree(self.work.task, self.plans, self.reports, ())


@dataclass(frozen=True)
class _Call:
    """One check that is called for."""

    tree: _WorkTree
    job: Assignment
    task: Task

    def case(self, seed: int) -> Case:
        """What the specialist is given: it sees the reports on its task and beneath."""
        here = self.task.id
        return Case(
            task=self.task,
            sources=self.tree.work.sources,
            reports=tuple(
                report
                for report in self.tree.reports
                if report.task_id == here or report.task_id.startswith(here + "/")
            ),
            seed=derive_seed(seed, here, self.job.specialist, 0),
        )


def _plans(work: Work, decompose: Decompose | None, depth: int) -> dict[str, TaskPlan]:
    """How a work is cut, level by level."""
    plans, tasks, level = dict[str, TaskPlan](), [work.task], 0
    while tasks:
        made = [make_plan(task, decompose, work.sources, cut=level >= depth) for task in tasks]
        plans |= {plan.task_id: plan for plan in made}
        tasks = [part for plan in made if not plan.cut for part in plan.parts]
        level += 1
    return plans


def _ask_all(
    trees: Sequence[_WorkTree], known: Mapping[str, Specialist], depth: int, seed: int
) -> None:
    """Make every report: tools first, then models, then people; the deepest parts first."""
    calls = []
    for tree in trees:
        root = tree.root
        tasks = {node.task.id: node.task for node in root.walk()}
        cut = cut_tasks(tree.plans)
        for job in expected_jobs(root, tree.plans, review_id=IN_MEMORY):
            report = report_unasked(job, known.get(job.specialist), tree.plans, cut, depth=depth)
            if report is None:
                calls.append(_Call(tree, job, tasks[job.task_id]))
            else:
                tree.reports.append(report)

    def rank(call: _Call) -> tuple[tuple[int, int, int], str]:
        return turn(call.job, known[call.job.specialist]), call.job.specialist

    for _, group in groupby(sorted(calls, key=rank), key=rank):
        together = list(group)
        cases = [call.case(seed) for call in together]
        made = _reports(known[together[0].job.specialist], cases, [call.job for call in together])
        for call, report in zip(together, made, strict=True):
            call.tree.reports.append(report)


def _reports(
    specialist: Specialist, cases: Sequence[Case], jobs: Sequence[Assignment]
) -> list[Report]:
    """One report a case, asked one by one or, of a panel, all at once."""
    if not isinstance(specialist, Panel):
        return [
            ask(specialist, case, job, timeout_seconds=None)
            for case, job in zip(cases, jobs, strict=True)
        ]
    try:
        answers: Sequence[Opinion | Exception] = specialist.check_all(cases)
        if len(answers) != len(cases):
            raise DataError(f"expected {len(cases)} opinions, got {len(answers)}")
    except Exception as error:  # whatever a panel does, its cases are counted as not checked
        answers = [error] * len(cases)
    return [
        report_answer(specialist, case, job, answer, time.perf_counter())
        for case, job, answer in zip(cases, jobs, answers, strict=True)
    ]
