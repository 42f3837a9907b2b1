"""Two models, or one under two constitutions, on the same traffic: which breaks a principle less.

A small share of the conversations, by a hash, goes to the candidate. Everything that decides is
fixed in a plan before the first one comes. Then one may look as often as one likes: each claim is a
bet against its opposite, and is made when the bet has won enough.

One conversation tells of both arms at once: a violation in the candidate's share counts for it,
divided by that share; one in the other share against it; so the mean is the difference of the two
rates. What was expected of the incumbent is taken off first, which changes no mean and makes the
numbers smaller.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize, special

from plumbrule.errors import ConfigError, DataError
from plumbrule.monitoring.sampling import stable_uniform
from plumbrule.records import Estimate, check_ranges, strict
from plumbrule.statistics import e_bh
from plumbrule.store import fingerprint

Arm = Literal["incumbent", "candidate"]
Outcome = Literal["win", "harm", "equivalent", "futile", "inconclusive", "mismatch", "running"]
Action = Literal["promote", "roll back", "keep", "go on"]

UNIT = "violations per conversation, candidate minus incumbent"

MISMATCH = 0.001
"""Chance of calling the shares of the arms wrong while they are right, over all looks together."""

MOST_CROSSED = 0.01
"""Share of conversations whose recorded arm is not the one of the hash, beyond which nothing is
concluded."""

COUNTS = ("candidate_broken", "candidate_kept", "incumbent_broken", "incumbent_kept")
"""Order of the four counts in an array."""


@strict
@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """All that decides a trial, fixed before it begins."""

    name: str
    """Salt of the assignment: another trial draws others."""

    primary: str
    """Principle that the candidate is to break less often."""

    guards: tuple[str, ...] = ()
    """Principles under which it must not become worse."""

    share: float = 0.1
    """Of the conversations that go to the candidate."""

    smallest: float = 0.02
    """Least improvement worth having, a share: when less is shown, the trial is futile."""

    margin: float = 0.01
    """Differences within it, either way, do not matter: for equivalence, and for the guards."""

    expected: Mapping[str, float] = field(default_factory=dict)
    """Principle → rate of the incumbent that is expected; a wrong one costs time, not truth."""

    alpha: float = 0.05
    """Chance of a win for nothing, over all looks together; the same for harm and equivalence."""

    beta: float = 0.1
    """Chance of calling a trial futile that is not."""

    least: int = 7_000
    """Conversations before which nothing but harm ends it: a week at a thousand a day. What ends
    sooner ends by luck as often as by effect, and reports too much."""

    most: int = 50_000
    """Conversations after which it ends."""

    every: int = 50
    """Conversations between two looks."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            share=(0.001, 0.999),
            smallest=(1e-6, 1.0),
            margin=(1e-6, 1.0),
            alpha=(1e-9, 0.5),
            beta=(1e-9, 0.5),
            least=(0, self.most),
            most=(100, 10**9),
            every=(1, 10**6),
        )
        names = [self.primary, *self.guards]
        if len(set(names)) != len(names):
            raise ConfigError(f"a principle stands in a plan once, got {', '.join(names)}")
        for name, rate in self.expected.items():
            if not 0.0 <= rate <= 1.0:
                raise ConfigError(f"the expected rate of {name!r:.60} is a share, got {rate}")

    @cached_property
    def sha256(self) -> str:
        """Hash of all that the plan says."""
        return fingerprint(
            {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "expected"}
            | {"expected": dict(self.expected), "guards": list(self.guards)}
        )

    @property
    def principles(self) -> tuple[str, ...]:
        """The primary one first."""
        return (self.primary, *self.guards)

    def arm(self, unit: str) -> Arm:
        """Which arm a conversation belongs to, the same everywhere and always.

        Example:
            >>> plan = TrialPlan(name="spring", primary="no-lies")
            >>> arms = [plan.arm(f"thread {n}") for n in range(1000)]
            >>> 70 < arms.count("candidate") < 130
            True
        """
        drawn = stable_uniform(f"plumbrule ab {self.name}", unit)
        return "candidate" if drawn < self.share else "incumbent"

    def scores(self, principle: str) -> Float[np.ndarray, "4"]:
        """What a conversation of each of the four kinds tells of the difference."""
        taken, share = self.expected.get(principle, 0.0), self.share
        return np.array(
            [(1 - taken) / share, -taken / share, -(1 - taken) / (1 - share), taken / (1 - share)]
        )


Counts = Int[np.ndarray, "*looks 4"] | Float[np.ndarray, "*looks 4"]


def log_evidence(
    counts: Counts, scores: Float[np.ndarray, "4"], bound: float, *, lower: bool
) -> Float[np.ndarray, "*looks"]:
    """Logarithm of what a bettor holds who stakes on the difference lying beyond a bound.

    Args:
        counts: Conversations of each kind so far, one row a look.
        scores: What each kind tells.
        bound: A difference of rates.
        lower: Whether the stake is on lower.

    Returns:
        One number a row; where the difference is not beyond the bound, the chance that it ever
        reaches `log(1 / alpha)` is at most alpha.

    Source:
        Waudby-Smith & Ramdas (2024), as `statistics.sequences`: 16 fixed shares of the largest
        stake, and their wealth taken together.
    """
    payoffs = (bound - scores) if lower else (scores - bound)
    worst = -float(payoffs.min())
    if worst <= 0.0:  # the bound lies outside of what can be: nothing can be bet
        return np.zeros(counts.shape[:-1])
    angles = np.pi * (np.arange(16) + 0.5) / 32
    stakes = np.sin(angles) ** 2 / worst
    wealth = counts @ np.log1p(stakes[:, None] * payoffs).T
    most = wealth.max(axis=-1)
    return np.asarray(most + np.log(np.exp(wealth - most[..., None]).mean(axis=-1)))


def log_share_evidence(candidate: Any, total: Any, share: float) -> Float[np.ndarray, "*looks"]:
    """Logarithm of the evidence that the arms do not get the shares that they should.

    Source:
        The beta-binomial mixture of Robbins (1970), with a uniform prior, as in sequential checks
        of sample ratios (Lindon & Malek 2022, arXiv:2011.03567).
    """
    k, n = np.asarray(candidate, dtype=float), np.asarray(total, dtype=float)
    mixed = special.betaln(k + 1.0, n - k + 1.0)
    return np.asarray(mixed - k * math.log(share) - (n - k) * math.log1p(-share))


def difference(
    counts: Counts, plan: TrialPlan, principle: str, *, level: float | None = None
) -> Estimate:
    """The difference of the two rates, with an interval valid at any time.

    Args:
        counts: Conversations of each of the four kinds.
        plan: The plan.
        principle: Which.
        level: Two-sided; None: such that each side is missed with the plan's alpha.

    Raises:
        DataError: An arm has no conversation yet.
    """
    one = np.asarray(counts, dtype=float).reshape(4)
    value = _plain(one)
    if value is None:
        raise DataError("a difference needs conversations of both arms")
    scores = plan.scores(principle)
    side = (1.0 - level) / 2.0 if level is not None else plan.alpha
    enough = math.log(1.0 / side)

    def end(lower: bool) -> float:
        edge = 1.0 if lower else -1.0

        def missing(bound: float) -> float:
            return float(log_evidence(one[None], scores, bound, lower=lower)[0]) - enough

        middle = float(np.clip(one @ scores / one.sum(), -1.0, 1.0))
        if missing(middle) > 0.0 or missing(edge) < 0.0:
            return edge
        return float(optimize.brentq(missing, middle, edge, xtol=1e-9))

    low, high = end(False), end(True)
    return Estimate(
        value=min(max(value, low), high),
        low=low,
        high=high,
        level=1.0 - 2.0 * side,
        n=int(one.sum()),
        unit=UNIT,
        method="betting confidence sequence of weighted differences",
    )


def _plain(counts: Float[np.ndarray, "4"]) -> float | None:
    candidate, incumbent = counts[0] + counts[1], counts[2] + counts[3]
    if not candidate or not incumbent:
        return None
    return float(counts[0] / candidate - counts[2] / incumbent)


@dataclass(frozen=True, kw_only=True)
class TrialDecision:
    """What a trial has come to."""

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


def stops(counts: Counts, plan: TrialPlan) -> Int[np.ndarray, " trials"]:
    """At which look each of many simulated trials ends, by the primary principle alone.

    Args:
        counts: Trials, looks, the four counts so far.
        plan: The plan.
    """
    scores = plan.scores(plan.primary)
    sure, half = math.log(1.0 / plan.alpha), math.log(1.0 / plan.beta)
    harm = log_evidence(counts, scores, 0.0, lower=False) >= sure
    win = log_evidence(counts, scores, 0.0, lower=True) >= sure
    below = log_evidence(counts, scores, plan.margin, lower=True) >= sure
    above = log_evidence(counts, scores, -plan.margin, lower=False) >= sure
    futile = log_evidence(counts, scores, -plan.smallest, lower=False) >= half
    late = counts.sum(axis=-1) >= plan.least
    ended = harm | (late & (win | (below & above) | futile))
    ended[:, -1] = True
    return np.asarray(ended.argmax(axis=1))


def simulate(
    plan: TrialPlan,
    incumbent: float,
    effect: float,
    *,
    trials: int,
    seed: int,
    most: int | None = None,
) -> Float[np.ndarray, "trials looks 4"]:
    """Counts of simulated trials at each look.

    Args:
        plan: The plan.
        incumbent: Its rate of violations.
        effect: The candidate's less that.
        trials: How many.
        seed: Of the draws.
        most: Conversations, in place of the plan's.
    """
    rng = np.random.default_rng(seed)
    looks = max(1, math.ceil((most or plan.most) / plan.every))
    candidate = min(max(incumbent + effect, 0.0), 1.0)
    size = (trials, looks)
    ours = rng.binomial(plan.every, plan.share, size=size)
    broken = rng.binomial(ours, candidate)
    other = plan.every - ours
    other_broken = rng.binomial(other, incumbent)
    each = np.stack([broken, ours - broken, other_broken, other - other_broken], axis=-1)
    return np.cumsum(each, axis=1).astype(float)


STEPS = np.arange(-6, 7)
"""Effects at which the bias of stopping is simulated: so many halves of the smallest one worth
having away from what was seen."""

_MEANS: dict[tuple[str, float, float, int, int], float] = {}


def corrected_effect(
    counts: Counts, plan: TrialPlan, *, trials: int = 200, seed: int = 0
) -> Estimate:
    """The difference of rates with the bias of stopping early taken out.

    A trial that ends when a difference looks large reports too large a one. Here the effect is
    looked for of which a trial by this plan reports, on average, what this one did.

    Args:
        counts: Of the primary principle, when the trial ended.
        plan: The plan.
        trials: Simulated at each effect.
        seed: Of the simulations.

    Returns:
        The effect; its interval is the sequence's, which needs no correction.

    Raises:
        DataError: An arm has no conversation.

    Source:
        Whitehead (1986), "On the bias of maximum likelihood estimation following a sequential
        test", Biometrika 73: the bias-adjusted estimate. That its mean is found by simulation, and
        between a few effects by interpolation, is ours.
    """
    one = np.asarray(counts, dtype=float).reshape(4)
    found = difference(one, plan, plan.primary)
    naive = _plain(one)
    assert naive is not None
    # Two digits of the incumbent's rate are enough for a bias, and let it be simulated once.
    incumbent = float(f"{one[2] / (one[2] + one[3]):.2g}")
    half = plan.smallest / 2.0
    effects = np.unique(np.clip((round(naive / half) + STEPS) * half, -incumbent, 1.0 - incumbent))
    means = [_mean_reported(plan, incumbent, each, trials, seed) for each in effects.tolist()]
    rising = np.maximum.accumulate(np.array(means))
    if naive <= rising[0]:
        value = naive + effects[0] - rising[0]
    elif naive >= rising[-1]:
        value = naive + effects[-1] - rising[-1]
    else:
        value = float(np.interp(naive, rising, effects))
    return Estimate(
        value=min(max(float(value), found.low), found.high),
        low=found.low,
        high=found.high,
        level=found.level,
        n=found.n,
        unit=found.unit,
        method="bias-adjusted (Whitehead), interval of the betting sequence",
    )


def _mean_reported(
    plan: TrialPlan, incumbent: float, effect: float, trials: int, seed: int
) -> float:
    """What trials of a true effect report on average."""
    key = (plan.sha256, incumbent, effect, trials, seed)
    if key not in _MEANS:
        if len(_MEANS) > 10_000:
            _MEANS.clear()
        counts = simulate(plan, incumbent, effect, trials=trials, seed=seed)
        _MEANS[key] = float(reported(counts, plan).mean())
    return _MEANS[key]


def reported(counts: Float[np.ndarray, "trials looks 4"], plan: TrialPlan) -> Any:
    """Difference of rates that each simulated trial ends with; 0 where an arm is empty."""
    last = counts[np.arange(len(counts)), stops(counts, plan)]
    ours, other = last[:, 0] + last[:, 1], last[:, 2] + last[:, 3]
    known = (ours > 0) & (other > 0)
    safe = np.where(known, ours, 1.0), np.where(known, other, 1.0)
    return np.where(known, last[:, 0] / safe[0] - last[:, 2] / safe[1], 0.0)


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
        if _plain(counts) is not None:
            found = difference(counts, self.plan, self.plan.primary)
            self.points.append([number, found.value, found.low, found.high])
