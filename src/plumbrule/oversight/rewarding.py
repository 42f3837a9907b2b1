"""The tree's verdict on a piece of work, as a reward to train on or to select by.

A work is cut into parts, each part is judged, and `aggregate` puts the reports together as in any
review. What comes out is the outcome of that tree, and how likely the whole is to be sound: the
product over what it requires, since a whole is sound only if all of that is. Works are judged side
by side and in memory, without a folder or a ledger: training asks for thousands, and a model that
judges many cases at once is many times faster than one asked case by case. The reports are those
that a review would have.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol, runtime_checkable

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight.asking import Assignment, ask, report_answer
from plumbrule.oversight.cases import Case, Rule, Specialist
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
from plumbrule.oversight.records import FAILURES, Node, Opinion, Outcome, Report, ReviewCost, Task
from plumbrule.oversight.verdicts import State, aggregate, cost_of
from plumbrule.records import strict
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


LEAST = 0.01
"""Probability of being sound of what failed or was not checked. Without a floor one bad part would
hide all others, and a work with one wrong part would be no better than one with five."""


@strict
@dataclass(frozen=True, kw_only=True)
class PartReward:
    """What one node of the tree adds to the reward."""

    task_id: str
    outcome: Outcome
    """Of the node with all beneath it."""

    probability: float
    """That what was judged at this node itself is sound."""

    nats: float
    """What it takes from the log-probability of the whole; 0 or less."""

    because: tuple[str, ...]


@strict
@dataclass(frozen=True, kw_only=True)
class Reward:
    """The verdict of a tree as a number."""

    work_id: str
    outcome: Outcome
    """What the rule makes of the tree."""

    probability: float
    """That the whole is sound: the product over the nodes it requires, as if they were flawed
    independently of one another."""

    value: float
    """The same as log-odds, in nats, higher is better. Between works of one form, finite."""

    parts: tuple[PartReward, ...]
    """The root first; optional parts are left out."""

    asked: int
    not_checked: int
    """Checks that did not take place. Each counts as if it had failed: else a policy would be paid
    for work that makes its judges stumble."""

    failures: dict[str, int]
    """Those of them with a reason that a review knows, by reason."""

    cost: ReviewCost
    """Its share of what judging all works of the call took."""


def reward_works(
    works: Sequence[Work],
    specialists: Sequence[Specialist],
    *,
    rule: Rule,
    decompose: Decompose | None = None,
    depth: int = 3,
    seed: int = 0,
) -> list[Reward]:
    """Judge works by judging their parts, and give each the verdict of its tree as a reward.

    Args:
        works: What to judge.
        specialists: Who may be asked; tasks name them. A `Panel` gets all its cases at once.
        rule: How parts become a whole; the reliabilities of models are there.
        decompose: Cuts a task into parts; None leaves it whole.
        depth: Levels below the task that are judged; deeper parts count as not checked.
        seed: Each check gets its own from it.

    Returns:
        One reward a work, in order.

    Raises:
        ConfigError: Two specialists of one name, or a depth below 0.

    Source:
        Leike et al. (2018), "Scalable agent alignment via reward modeling", arXiv:1811.07871,
        section 3.2: evaluation of a task by evaluating parts of it. The rule from parts to a
        number is ours.
    """
    known = {each.name: each for each in specialists}
    if len(known) != len(specialists) or depth < 0:
        names = ", ".join(each.name for each in specialists) or "nobody"
        raise ConfigError(
            "expected specialists of different names and a depth of at least 0, got "
            f"{names} and {depth}"
        )
    started = time.perf_counter()
    trees = judge_works(works, known, decompose=decompose, depth=depth, seed=seed)
    found = [_reward(tree, rule) for tree in trees]
    seconds = (time.perf_counter() - started) / max(1, len(works))
    return [replace(each, cost=replace(each.cost, seconds=seconds)) for each in found]


def _reward(root: Node, rule: Rule) -> Reward:
    nodes, states = root.walk(), aggregate(root, rule)
    required = _required(root)
    parts = [
        PartReward(
            task_id=node.task.id,
            outcome=state.outcome,
            probability=(likely := _own_probability(node, state, rule)),
            nats=math.log(likely),
            because=state.because,
        )
        for node, state in zip(nodes, states, strict=True)
        if node.task.id in required
    ]
    nats = math.fsum(part.nats for part in parts)
    reports = [report for node in nodes for report in node.current]
    reasons = [report.failure for report in reports]
    return Reward(
        work_id=root.task.id,
        outcome=states[0].outcome,
        probability=math.exp(nats),
        value=nats - math.log(-math.expm1(nats)),
        parts=tuple(parts),
        asked=len(reports),
        not_checked=sum(not report.checked for report in reports),
        failures={each: reasons.count(each) for each in FAILURES if each in reasons},
        cost=cost_of(root),
    )


def _required(node: Node) -> set[str]:
    """Ids of the nodes that the whole cannot pass without."""
    below = [_required(child) for child in node.children if child.task.required]
    return {node.task.id}.union(*below)


def _own_probability(node: Node, state: State, rule: Rule) -> float:
    """How likely it is that what was judged at this very node is sound."""
    reports = node.current
    if not reports and any(child.task.required for child in node.children):
        return 1.0  # its parts speak for it, each with its own factor
    failed = any(each.verdict == "fail" and each.kind != "model" for each in reports)
    if not reports or failed or not all(each.checked for each in reports):
        return LEAST
    likely = state.probability
    if likely is None:
        firm = any(each.kind != "model" for each in reports)
        likely = 1.0 if firm else rule.prior
    if any(each.verdict == "uncertain" for each in reports):
        likely = min(likely, 0.5)
    return min(1 - LEAST, max(LEAST, likely))
