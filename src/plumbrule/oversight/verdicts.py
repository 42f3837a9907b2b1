"""From reports to a verdict: what each of them moved, what covers it, what it cost.

The rule, for one node, from its latest reports and its parts:

1. It **fails** if a tool or a person reports a failure, or a required part fails.
2. It is **not checked** if no report and no part speaks at all.
3. Models' reports add up as log-odds of being sound, by their declared reliabilities. From
   `fail_at` down the node **fails**.
4. It is **uncertain** while any doubt is left: a report that is uncertain or could not be made, a
   failure reported by a model that the odds do not settle, a part that did not pass and is
   required, an optional part that failed, a question of a person without an answer, odds between
   the two thresholds, or nothing but models whose reliability nobody declared.
5. Otherwise it **passes**.

A person's overruling replaces what comes out, as long as the reports it was made on are still all
there is: new ones make it lapse, and the node is uncertain until someone decides anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from plumbrule.oversight.cases import ReviewBudget, Rule, probability
from plumbrule.oversight.records import (
    FAILURES,
    Decision,
    Node,
    Outcome,
    Quote,
    Report,
    ReviewCost,
    total,
)
from plumbrule.records import strict, to_json
from plumbrule.store import fingerprint


@strict
@dataclass(frozen=True, kw_only=True)
class Contribution:
    """How one report or part moved its node."""

    child: str
    """Report's id, or task id of a part."""

    name: str
    """Specialist's name, or what the part asks."""

    outcome: Outcome
    """What the child says."""

    log_odds: float | None
    """By how much the log-odds of being sound would differ without it, in nats; None where it
    does not speak in odds."""

    without: Outcome
    """What the node would be without it."""

    alone: Outcome
    """What the node would be with it alone. Of two sound reasons to fail neither changes
    anything when left out; here both show."""

    decisive: bool
    """Whether leaving it out, or leaving out the others, shows it to be a reason for what the
    node came to."""


@strict
@dataclass(frozen=True, kw_only=True)
class State:
    """The verdict of one node of the tree."""

    task_id: str
    outcome: Outcome
    """After people's decisions."""

    derived: Outcome
    """What the rule alone makes of the reports and parts."""

    probability: float | None
    """That the work is sound, by the models on this node; None where none of declared
    reliability spoke."""

    because: tuple[str, ...]
    """Reasons, in words."""

    contributions: tuple[Contribution, ...]
    overruled_by: str | None
    """Id of the overruling that holds; None where the rule decides."""

    accepted_by: str | None
    """Id of the acceptance of this outcome; None where nobody has accepted it."""

    lapsed: tuple[str, ...]
    """Ids of decisions that new reports made lapse."""


@dataclass(frozen=True)
class _PartOutcome:
    """What a node needs to know of a part."""

    task_id: str
    asks: str
    required: bool
    outcome: Outcome


@dataclass(frozen=True)
class _Derived:
    outcome: Outcome
    log_odds: float | None
    because: tuple[str, ...]


def aggregate(node: Node, rule: Rule) -> tuple[State, ...]:
    """Work out every node of a tree, parts before wholes.

    Returns:
        States in the order of `Node.walk`: the root first.
    """
    below = [aggregate(child, rule) for child in node.children]
    parts = [
        _PartOutcome(child.task.id, child.task.asks, child.task.required, states[0].outcome)
        for child, states in zip(node.children, below, strict=True)
    ]
    own = _settle(node, parts, rule)
    return (own, *[state for states in below for state in states])


def _settle(node: Node, parts: Sequence[_PartOutcome], rule: Rule) -> State:
    reports = node.current
    question = open_question(node)
    derived = _derive(reports, parts, question, rule)
    overruling, accepting, lapsed = _standing(node)
    outcome, because = derived.outcome, derived.because
    if overruling is not None and overruling.id in lapsed:
        outcome = "fail" if derived.outcome == "fail" else "uncertain"
        because = (f"{overruling.person} overruled it on other reports; decide anew", *because)
    elif overruling is not None and overruling.outcome is not None:
        outcome = overruling.outcome
        because = (f"overruled by {overruling.person}: {overruling.text}", *because)
    return State(
        task_id=node.task.id,
        outcome=outcome,
        derived=derived.outcome,
        probability=None if derived.log_odds is None else probability(derived.log_odds),
        because=because,
        contributions=_contributions(reports, parts, question, rule, derived),
        overruled_by=None if overruling is None or overruling.id in lapsed else overruling.id,
        accepted_by=None if accepting is None else accepting.id,
        lapsed=lapsed,
    )


def open_question(node: Node) -> Decision | None:
    """The last sending back that someone asked has not answered; None where all have."""
    for decision in reversed(node.decisions):
        if decision.action == "send back":
            answered = {each.specialist for each in node.reports if each.answers == decision.id}
            if set(decision.asked) - answered:
                return decision
    return None


def _standing(node: Node) -> tuple[Decision | None, Decision | None, tuple[str, ...]]:
    """The last overruling, the acceptance that holds, and which decisions lost their basis."""
    basis = node.basis
    spoken = [each for each in node.decisions if each.action != "send back"]
    lapsed = tuple(each.id for each in spoken if each.basis != basis)
    overruling = next((each for each in reversed(spoken) if each.action == "overrule"), None)
    accepting = spoken[-1] if spoken and spoken[-1].action == "accept" else None
    if accepting is not None and accepting.id in lapsed:
        accepting = None
    return overruling, accepting, lapsed


def _derive(
    reports: Sequence[Report], parts: Sequence[_PartOutcome], question: Decision | None, rule: Rule
) -> _Derived:
    log_odds = rule.soft_log_odds(reports)
    failures = _hard_failures(reports, parts)
    if failures:
        return _Derived("fail", log_odds, failures)
    spoken = [each for each in reports if each.checked]
    if not spoken and all(part.outcome == "not checked" for part in parts):
        silent = tuple(_doubts(reports, parts, question)) or ("nobody was asked",)
        return _Derived("not checked", log_odds, silent)
    if log_odds is not None and probability(log_odds) <= rule.fail_at:
        reason = f"models put it at {probability(log_odds):.3f} to be sound"
        return _Derived("fail", log_odds, (reason,))
    doubts = [*_doubts(reports, parts, question), *_soft_doubts(spoken, parts, log_odds, rule)]
    if doubts:
        return _Derived("uncertain", log_odds, tuple(doubts))
    return _Derived("pass", log_odds, ("every check and every required part passed",))


def _hard_failures(reports: Sequence[Report], parts: Sequence[_PartOutcome]) -> tuple[str, ...]:
    failed = [
        f"{each.specialist}: {each.rationale}"
        for each in reports
        if each.verdict == "fail" and each.kind != "model"
    ]
    failed += [
        f"{part.task_id} is required and fails"
        for part in parts
        if part.required and part.outcome == "fail"
    ]
    return tuple(failed)


def _doubts(
    reports: Sequence[Report], parts: Sequence[_PartOutcome], question: Decision | None
) -> list[str]:
    """What keeps a node from passing whatever the odds are."""
    doubts = []
    for report in reports:
        if report.verdict == "uncertain":
            doubts.append(f"{report.specialist} is uncertain: {report.rationale}")
        elif not report.checked:
            doubts.append(f"{report.specialist} did not check: {'; '.join(report.not_checked)}")
    for part in parts:
        if part.required and part.outcome in ("uncertain", "not checked"):
            doubts.append(f"{part.task_id} is required and {part.outcome}")
        elif not part.required and part.outcome == "fail":
            doubts.append(f"{part.task_id} is optional and fails")
    if question is not None:
        doubts.append(f"{question.person} asks, and not all have answered: {question.text}")
    return doubts


def _soft_doubts(
    spoken: Sequence[Report], parts: Sequence[_PartOutcome], log_odds: float | None, rule: Rule
) -> list[str]:
    """What the models leave open."""
    doubts = []
    undeclared = [
        each
        for each in spoken
        if each.kind == "model" and each.specialist not in rule.reliabilities
    ]
    doubts += [
        f"{each.specialist}, of undeclared reliability, reports a failure: {each.rationale}"
        for each in undeclared
        if each.verdict == "fail"
    ]
    if log_odds is not None and probability(log_odds) < rule.pass_at:
        doubts.append(f"models put it at {probability(log_odds):.3f} to be sound")
    firm = [each for each in spoken if each.kind != "model"]
    passing = [part for part in parts if part.required and part.outcome == "pass"]
    if undeclared and not firm and not passing and log_odds is None:
        names = ", ".join(each.specialist for each in undeclared)
        doubts.append(f"only models of undeclared reliability speak: {names}")
    elif not firm and not passing and log_odds is None:
        doubts.append("no check and no required part passed")
    return doubts


def _contributions(
    reports: Sequence[Report],
    parts: Sequence[_PartOutcome],
    question: Decision | None,
    rule: Rule,
    derived: _Derived,
) -> tuple[Contribution, ...]:
    def weighed(
        child: str,
        name: str,
        outcome: Outcome,
        without: _Derived,
        alone: _Derived,
        log_odds: float | None = None,
    ) -> Contribution:
        return Contribution(
            child=child,
            name=name,
            outcome=outcome,
            log_odds=log_odds,
            without=without.outcome,
            alone=alone.outcome,
            decisive=alone.outcome == derived.outcome or without.outcome != derived.outcome,
        )

    found = []
    for index, report in enumerate(reports):
        without = _derive([*reports[:index], *reports[index + 1 :]], parts, question, rule)
        alone = _derive([report], [], None, rule)
        moved = _move(report, derived.log_odds, without.log_odds, rule)
        found.append(weighed(report.id, report.specialist, report.verdict, without, alone, moved))
    for index, part in enumerate(parts):
        without = _derive(reports, [*parts[:index], *parts[index + 1 :]], question, rule)
        alone = _derive([], [part], None, rule)
        found.append(weighed(part.task_id, part.asks, part.outcome, without, alone))
    return tuple(found)


def _move(report: Report, with_it: float | None, without: float | None, rule: Rule) -> float | None:
    """How far a report moved the odds; None for one that does not speak in odds."""
    if with_it is None or report.kind != "model" or report.specialist not in rule.reliabilities:
        return None
    return with_it - (rule.log_odds_before if without is None else without)


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
    """The verdict of a review, derived from its records alone."""

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
    reports = [report.id for node in nodes for report in node.reports]
    decisions = [decision.id for node in nodes for decision in node.decisions]
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
        rests_on=tuple(sorted([*reports, *decisions])),
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
