"""A trial of two arms under way: counts, and the decision that the plan makes of them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from plumbrule.monitoring.trial_evidence import (
    Counts,
    difference,
    log_evidence,
    log_share_evidence,
    plain_difference,
)
from plumbrule.monitoring.trial_plan import TrialPlan
from plumbrule.statistics import e_bh

Outcome = Literal["win", "harm", "equivalent", "futile", "inconclusive", "mismatch", "running"]


Action = Literal["promote", "roll back", "keep", "go on"]


MISMATCH = 0.001
"""Chance of calling the shares of the arms wrong while they are right, over all looks together."""


MOST_CROSSED = 0.01
"""Share of conversations whose recorded arm is not the one of the hash, beyond which nothing is
concluded."""


@dataclass(frozen=True, kw_only=True)
class TrialDecision:
    """The outcome of a trial, once there is one."""

    outcome: Outcome
    action: Action
    reason: str
    at: int
    """Conversations until then."""

    better: tuple[str, ...] = ()
    """Principles under which the candidate is better, with the plan's alpha as the largest expected
    share of false ones among them."""

    worse: tuple[str, ...] = ()


def decide(counts: Mapping[str, Counts], plan: TrialPlan) -> TrialDecision:
    """Say what the conversations so far allow.

    The order is: the shares of the arms, harm, a win, equivalence, futility, the end.

    Args:
        counts: Four counts a principle, in the order of `COUNTS`; all of the same conversations but
            for those that the judge gave no answer on.
        plan: The plan.

    Source:
        Ville's inequality for each claim; e-BH (Wang & Ramdas 2022) over principles. Looking for
        futility and harm besides, as Atlassian's SPRT-z does (2606.24871), by bets of their own.
    """
    table = {name: np.asarray(counts[name], dtype=float).reshape(4) for name in plan.principles}
    primary = table[plan.primary]
    candidate, total = float(primary[:2].sum()), float(primary.sum())
    at = int(total)

    def evidence(name: str, bound: float, *, lower: bool) -> float:
        return float(log_evidence(table[name][None], plan.scores(name), bound, lower=lower)[0])

    def found(outcome: Outcome, action: Action, reason: str) -> TrialDecision:
        return TrialDecision(
            outcome=outcome, action=action, reason=reason, at=at, better=better, worse=worse
        )

    better, worse = (
        _claimed(plan, [evidence(name, 0.0, lower=lower) for name in plan.principles])
        for lower in (True, False)
    )
    if total and float(log_share_evidence(candidate, total, plan.share)) >= math.log(1 / MISMATCH):
        return found(
            "mismatch",
            "keep",
            f"{candidate / total:.1%} of the conversations were the candidate's where "
            f"{plan.share:.1%} were meant: the assignment is broken, and nothing can be concluded",
        )
    if worse:
        return found("harm", "roll back", f"the candidate breaks {', '.join(worse)} more often")
    if total < plan.least:
        return found("running", "go on", f"fewer than {plan.least:,} conversations yet")
    sure, half = math.log(1.0 / plan.alpha), math.log(1.0 / plan.beta)
    if evidence(plan.primary, 0.0, lower=True) >= sure:
        open_guards = [
            name for name in plan.guards if evidence(name, plan.margin, lower=True) < sure
        ]
        if not open_guards:
            return found("win", "promote", f"the candidate breaks {plan.primary} less often")
    within = (
        evidence(plan.primary, plan.margin, lower=True) >= sure,
        evidence(plan.primary, -plan.margin, lower=False) >= sure,
    )
    if all(within):
        return found(
            "equivalent",
            "keep",
            f"the rates under {plan.primary} differ by less than {100 * plan.margin:g} points",
        )
    if evidence(plan.primary, -plan.smallest, lower=False) >= half:
        return found(
            "futile",
            "keep",
            f"an improvement of {100 * plan.smallest:g} points under {plan.primary} is ruled out",
        )
    if total >= plan.most:
        return found("inconclusive", "keep", f"{plan.most:,} conversations did not decide it")
    return found("running", "go on", "nothing is decided yet")


def _claimed(plan: TrialPlan, logs: Sequence[float]) -> tuple[str, ...]:
    """The principles that e-BH claims."""
    values = np.exp(np.minimum(np.array(logs), 600.0))
    kept = e_bh(values, level=plan.alpha)
    return tuple(name for name, each in zip(plan.principles, kept, strict=True) if each)


class Trial:
    """A trial under way: counts, and the decision once there is one.

    Args:
        plan: The plan.
        held: What `saved` gave, to go on.
    """

    def __init__(self, plan: TrialPlan, held: Mapping[str, Any] | None = None) -> None:
        self.plan = plan
        told = held or {}
        counts = told.get("counts", {})
        self.counts = {
            name: np.array(counts.get(name, [0, 0, 0, 0]), dtype=float) for name in plan.principles
        }
        self.units: Counter[str] = Counter(told.get("units", {}))
        self.points: list[list[float]] = told.get("points", [])
        decision = told.get("decision")
        self.decision: TrialDecision | None = None
        if decision is not None:
            decision = {**decision, "better": tuple(decision["better"])}
            self.decision = TrialDecision(**{**decision, "worse": tuple(decision["worse"])})

    def saved(self) -> dict[str, Any]:
        """The trial as JSON can hold it."""
        return {
            "counts": {name: each.tolist() for name, each in self.counts.items()},
            "units": dict(self.units),
            "points": self.points,
            "decision": None
            if self.decision is None
            else vars(self.decision)
            | {"better": list(self.decision.better), "worse": list(self.decision.worse)},
        }

    def take(self, unit: str, recorded: str, broken: Mapping[str, bool | None]) -> None:
        """Count a conversation, and look whether it decides.

        Args:
            unit: The conversation.
            recorded: Arm that the server wrote down; empty where it did not.
            broken: Whether each principle was broken; None: the judge gave no answer.
        """
        if self.decision is not None:
            self.units["after the end"] += 1
            return
        meant = self.plan.arm(unit)
        arm = recorded if recorded in ("incumbent", "candidate") else meant
        self.units["crossed"] += arm != meant
        self.units[arm] += 1
        for name in self.plan.principles:
            said = broken.get(name)
            if said is None:
                self.units[f"unanswered {name}"] += 1
            else:
                self.counts[name][(0 if arm == "candidate" else 2) + (not said)] += 1
        number = self.units["candidate"] + self.units["incumbent"]
        if number % self.plan.every == 0 or number >= self.plan.most:
            self._look(number)

    def _look(self, number: int) -> None:
        if self.units["crossed"] > MOST_CROSSED * number and number >= 100:
            self.decision = TrialDecision(
                outcome="mismatch",
                action="keep",
                reason=f"{self.units['crossed']:,} of {number:,} conversations were answered by "
                "the arm that the plan did not give them: the assignment is broken",
                at=number,
            )
            return
        found = decide(self.counts, self.plan)
        if found.outcome == "running" and number >= self.plan.most:
            reason = f"{self.plan.most:,} conversations did not decide it"
            found = TrialDecision(outcome="inconclusive", action="keep", reason=reason, at=number)
        if found.outcome != "running":
            self.decision = found
        # Points get rarer as the trial gets longer, so that a curve stays a curve.
        stride = max(1, number // (50 * self.plan.every))
        if self.decision or (number // self.plan.every) % stride == 0:
            self._point(number)

    def _point(self, number: int) -> None:
        counts = self.counts[self.plan.primary]
        if plain_difference(counts) is not None:
            found = difference(counts, self.plan, self.plan.primary)
            self.points.append([number, found.value, found.low, found.high])
