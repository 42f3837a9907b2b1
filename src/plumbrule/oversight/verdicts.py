"""The verdict on the whole, with what covers it, what was not checked and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from plumbrule.oversight.aggregating import State, aggregate
from plumbrule.oversight.cases import ReviewBudget, Rule
from plumbrule.oversight.records import FAILURES, Node, Outcome, Quote, ReviewCost, total
from plumbrule.records import strict, to_json
from plumbrule.store import fingerprint


@strict
@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Who looked at one declared dimension."""

    dimension: str
    declared: tuple[str, ...]
    """Ids of tasks that speak to it."""

    checked: tuple[str, ...]
    """Those on which some check took place; empty means that nobody looked."""


@strict
@dataclass(frozen=True, kw_only=True)
class NotChecked:
    """Something nobody judged, in plain sight."""

    task_id: str
    specialist: str
    reason: str


@strict
@dataclass(frozen=True, kw_only=True)
class ReportTally:
    """What came of everyone who was asked; the current reports only."""

    asked: int
    passed: int
    failed: int
    uncertain: int
    not_checked: int
    failures: dict[str, int]
    """Checks that did not take place, by reason; those not listed did not happen."""


@strict
@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the trail from the verdict down to its evidence."""

    task_id: str
    outcome: Outcome
    because: tuple[str, ...]
    reports: tuple[str, ...]
    """Ids of the decisive reports on this node."""

    quotes: tuple[Quote, ...]
    """Their evidence."""


@strict
@dataclass(frozen=True, kw_only=True)
class ReviewVerdict:
    """What a review comes to, derived from its records alone."""

    review_id: str
    outcome: Outcome
    because: tuple[str, ...]
    probability: float | None
    states: tuple[State, ...]
    """Of every node, the root first."""

    coverage: tuple[Coverage, ...]
    tally: ReportTally
    not_checked: tuple[NotChecked, ...]
    trail: tuple[Step, ...]
    cost: ReviewCost
    """Of everything, also what was answered anew, and of people's decisions."""

    over_budget: tuple[str, ...]
    """Limits that a check overran after it was let in; empty when none did."""

    rests_on: tuple[str, ...]
    """Ids of all reports and decisions it was derived from, sorted."""

    basis: str
    """Hash of the tree this was derived from and of the rule."""

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Declared dimensions that no check covered."""
        return tuple(each.dimension for each in self.coverage if not each.checked)


def derive(
    root: Node, *, review_id: str, rule: Rule, dimensions: Sequence[str], budget: ReviewBudget
) -> ReviewVerdict:
    """Work out the verdict of a tree; the same tree gives the same verdict.

    Args:
        root: The tree with all reports and decisions.
        review_id: Which review it is.
        rule: How parts become a whole.
        dimensions: What the whole should be judged on. While one of them is covered by no check
            the whole does not pass, unless a person overrules it.
        budget: Limits, to say which were overrun.
    """
    states = aggregate(root, rule)
    coverage = _coverage(root, dimensions)
    uncovered = [each.dimension for each in coverage if not each.checked]
    outcome, because = states[0].outcome, states[0].because
    if outcome == "pass" and uncovered and states[0].overruled_by is None:
        outcome = "uncertain"
        because = (f"no check covers {', '.join(uncovered)}", *because)
    nodes = root.walk()
    cost = cost_of(root)
    return ReviewVerdict(
        review_id=review_id,
        outcome=outcome,
        because=because,
        probability=states[0].probability,
        states=states,
        coverage=coverage,
        tally=_tally(nodes),
        not_checked=_not_checked(nodes),
        trail=tuple(_trail(root, {state.task_id: state for state in states})),
        cost=cost,
        over_budget=budget.exceeded(cost),
        rests_on=tuple(
            sorted(each.id for node in nodes for each in (*node.reports, *node.decisions))
        ),
        basis=fingerprint([to_json(root), to_json(rule)]),
    )


def cost_of(root: Node) -> ReviewCost:
    """What a tree took: planning, all reports, and the minutes of people's decisions."""
    nodes = root.walk()
    minutes = sum(each.human_minutes for node in nodes for each in node.decisions)
    reports = [report.cost for node in nodes for report in node.reports]
    return total([*reports, *[node.planning for node in nodes], ReviewCost(human_minutes=minutes)])


def _coverage(root: Node, dimensions: Sequence[str]) -> tuple[Coverage, ...]:
    nodes = root.walk()
    return tuple(
        Coverage(
            dimension=dimension,
            declared=tuple(each.task.id for each in nodes if dimension in each.task.dimensions),
            checked=tuple(
                each.task.id
                for each in nodes
                if dimension in each.task.dimensions
                and any(report.checked for report in each.current)
            ),
        )
        for dimension in dimensions
    )


def _tally(nodes: Sequence[Node]) -> ReportTally:
    reports = [report for node in nodes for report in node.current]
    verdicts = [report.verdict for report in reports]
    failures = [report.failure for report in reports]
    return ReportTally(
        asked=len(reports),
        passed=verdicts.count("pass"),
        failed=verdicts.count("fail"),
        uncertain=verdicts.count("uncertain"),
        not_checked=verdicts.count("not checked"),
        failures={each: failures.count(each) for each in FAILURES if each in failures},
    )


def _not_checked(nodes: Sequence[Node]) -> tuple[NotChecked, ...]:
    return tuple(
        NotChecked(task_id=node.task.id, specialist=report.specialist, reason=reason)
        for node in nodes
        for report in node.current
        for reason in report.not_checked
    )


def _trail(node: Node, states: dict[str, State]) -> list[Step]:
    """From a node to the children that decided it, and on to their evidence."""
    state = states[node.task.id]
    decisive = {each.child for each in state.contributions if each.decisive}
    reports = [report for report in node.current if report.id in decisive]
    steps = [
        Step(
            task_id=node.task.id,
            outcome=state.outcome,
            because=state.because,
            reports=tuple(report.id for report in reports),
            quotes=tuple(quote for report in reports for quote in report.evidence),
        )
    ]
    for child in node.children:
        if child.task.id in decisive:
            steps.extend(_trail(child, states))
    return steps
