"""What an examination will take and what it can show, said before anything is asked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from plumbrule.compliance.cases import CaseKind, TestSet
from plumbrule.compliance.settings import ComplianceSettings
from plumbrule.constitution import Constitution
from plumbrule.records import strict
from plumbrule.statistics import least_paired_difference, pairs_needed, replies_needed

POWER = 0.8
"""Chance with which a plan asks that a difference be seen."""


@strict
@dataclass(frozen=True, kw_only=True)
class PrinciplePlan:
    """What a principle's tests can show."""

    id: str
    families: int
    """Paraphrase families of its probes: what counts."""

    tests: int
    """Replies to its probes, at most."""

    twins: int
    """Replies to its twins, at most."""

    bound: float
    """Rate that is allowed."""

    least_seen: float | None
    """Smallest rate above the bound that a test of this size shows in four of five cases; None
    where it shows none."""

    clean_needed: int
    """Families that it takes to see that a model that never breaks it keeps within the bound."""

    least_change: float | None
    """Smallest change between two models, on these same requests, that is seen in four of five
    cases where they differ on a fifth of them."""


@strict
@dataclass(frozen=True, kw_only=True)
class CompliancePlan:
    """What an examination will take and what it can show."""

    principles: tuple[PrinciplePlan, ...]
    replies: int
    """Asked of the model, at most."""

    judgments: int
    """Asked of the judge, at most; a judge that grades both ways round is asked twice each."""

    tokens: int
    """Written by the model, at most."""

    difference: float
    """The difference between two models that the two numbers below are about."""

    pairs: int
    """Requests that it takes to see it on the same requests."""

    unpaired: int
    """Requests of each model that it would take on different ones, near a rate of one half."""


def plan_compliance(
    constitution: Constitution,
    tests: TestSet,
    settings: ComplianceSettings | None = None,
    *,
    difference: float = 0.05,
) -> CompliancePlan:
    """Say what an examination will take and what it can show.

    Args:
        constitution: The principles.
        tests: What will be asked.
        settings: Of the examination.
        difference: Between two models, that one wants to see.

    Raises:
        ConfigError: The difference is out of range.
    """
    chosen = settings or ComplianceSettings()
    claims = _claims(constitution, tests, chosen)
    rows, replies = [], 0
    for principle in constitution.principles:
        families = tests.families(principle.id, "probe")
        probes = min(sum(map(len, families.values())), chosen.most_asked)
        twins = min(_number(tests, principle.id, "twin"), chosen.most_asked) if chosen.twins else 0
        replies += probes + twins
        bound = chosen.allowed(principle.id)
        rows.append(
            PrinciplePlan(
                id=principle.id,
                families=len(families),
                tests=probes,
                twins=twins,
                bound=bound,
                least_seen=_least_seen(len(families), bound, chosen.fdr, claims),
                clean_needed=_clean_needed(bound, chosen.level),
                least_change=least_paired_difference(len(families), power=POWER),
            )
        )
    replies += sum(case.kind == "regression" for case in tests.cases)
    return CompliancePlan(
        principles=tuple(rows),
        replies=replies,
        judgments=replies,
        tokens=replies * chosen.sampling.max_new_tokens,
        difference=difference,
        pairs=pairs_needed(difference, discordance=max(0.2, difference), power=POWER),
        unpaired=2 * replies_needed(0.5, 0.5 + difference, power=POWER),
    )


def plan_sentences(plan: CompliancePlan) -> list[str]:
    """The plan in words."""
    points = f"{100 * plan.difference:g} points"
    lines = [
        f"At most {plan.replies:,} replies of up to {plan.tokens:,} tokens, and as many questions "
        "to the judge; a principle is asked no more once it is decided.",
        f"To see {points} between two models takes {plan.pairs:,} requests that both answer "
        f"(power {POWER:.0%}, where they differ on {max(0.2, plan.difference):.0%} of them); "
        f"on different requests {plan.unpaired:,} each.",
    ]
    few = [each for each in plan.principles if 0 < each.families < each.clean_needed]
    if few:
        lines.append(
            f"Too few requests to show that a principle is kept within its bound: "
            f"{_listed([each.id for each in few])}. A model that never breaks it shows that after "
            f"{max(each.clean_needed for each in few)}; give more with --prompts."
        )
    none = [each.id for each in plan.principles if not each.families]
    if none:
        lines.append(f"No test at all of {_listed(none)}.")
    return lines


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _number(tests: TestSet, principle_id: str, kind: CaseKind) -> int:
    return sum(map(len, tests.families(principle_id, kind).values()))


def _claims(law: Constitution, tests: TestSet, settings: ComplianceSettings) -> int:
    kinds: tuple[CaseKind, ...] = ("probe", "twin") if settings.twins else ("probe",)
    return sum(bool(tests.families(each.id, kind)) for each in law.principles for kind in kinds)


def _clean_needed(bound: float, level: float) -> int:
    """Families without a violation after which the interval lies within the bound."""
    from plumbrule.statistics import BettingSequence

    def high(count: int) -> float:
        sequence = BettingSequence(level=level, unit="")
        sequence.count({0.0: count})
        return sequence.estimate().high

    most = 1
    while high(most) > bound:
        most *= 2
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if high(middle) > bound else (least, middle)
    return most


def _least_seen(families: int, bound: float, fdr: float, claims: int) -> float | None:
    """Rate that brings enough evidence, by itself, in that many families on average."""
    if families < 1:
        return None
    enough = math.log(claims / fdr) + math.log(16) / 2  # what the bettor's caution costs, about

    def gain(rate: float) -> float:
        kept = (1 - rate) * math.log((1 - rate) / (1 - bound)) if rate < 1 else 0.0
        return rate * math.log(rate / bound) + kept

    if families * gain(1.0) < enough:
        return None
    low, high = bound, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if families * gain(middle) < enough else (low, middle)
    return high
