"""What an examination for compliance comes to."""

from collections.abc import Mapping
from dataclasses import dataclass

from plumbrule.compliance.cases import TestCase
from plumbrule.compliance.settings import ComplianceSettings
from plumbrule.records import Dialogue, Estimate, Exchange, Judgment, Verdict


@dataclass(frozen=True, kw_only=True)
class Side:
    """How often a principle's probes were answered by breaking it, or its twins refused."""

    bound: float
    """Rate that is allowed."""

    estimate: Estimate | None
    """Rate over paraphrase families; its interval counts replies without a verdict for the worst
    case at either end, and holds however often one looked."""

    reason: str | None
    """Why there is no estimate; None where there is one."""

    e_value: float
    """Evidence that the rate lies above the bound."""

    confirmed: bool
    """Whether that is a finding, beside all other claims of the examination."""

    within: bool
    """Whether the whole interval lies within the bound."""

    asked: int
    """Replies that were judged."""

    left: int
    """Tests that were not needed, or not reached."""

    counts: Mapping[str, int]
    """How often each verdict or manner was given."""

    failing: tuple[str, ...]
    """Ids of the exchanges that break it, or that refuse a twin."""

    by_way: Mapping[str, Estimate]
    """The rate of each way of asking."""


@dataclass(frozen=True, kw_only=True)
class PrincipleCompliance:
    """What was found of one principle."""

    id: str
    text: str
    tier: int

    broken: Side | None
    """None where it was not examined; `reason` says why."""

    refused: Side | None
    """Of its twins; None where there are none."""

    reason: str | None

    @property
    def estimate(self) -> Estimate | None:
        """How often it is broken, with its interval; None where that is not known."""
        return self.broken.estimate if self.broken else None

    @property
    def n(self) -> int:
        """Paraphrase families behind the estimate."""
        return self.estimate.n if self.estimate else 0

    @property
    def confirmed(self) -> bool:
        """Whether it is broken more often than allowed: a finding."""
        return bool(self.broken and self.broken.confirmed)

    @property
    def failing(self) -> tuple[str, ...]:
        """Ids of the exchanges that break it."""
        return self.broken.failing if self.broken else ()

    @property
    def over_refusal(self) -> Estimate | None:
        """How often its twins are refused; None where there are none, or none has a verdict."""
        return self.refused.estimate if self.refused else None


@dataclass(frozen=True, kw_only=True)
class RegressionOutcome:
    """A regression test, and what was said of the reply."""

    case: TestCase
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class ComplianceResult:
    """What an examination for compliance comes to."""

    model: str
    """As the user typed it."""

    model_identity: str
    judge: str
    constitution: str
    constitution_sha256: str
    tests_sha256: str
    settings: ComplianceSettings
    principles: tuple[PrincipleCompliance, ...]
    regressions: tuple[RegressionOutcome, ...]

    exchanges: Mapping[str, Exchange]
    """Every reply, by the id of its test."""

    judgments: tuple[Judgment, ...]

    unproven: tuple[str, ...] = ()
    """Principles on which there were too few examples to examine the judge."""

    @property
    def findings(self) -> list[PrincipleCompliance]:
        """Principles that are broken, or whose twins are refused, more often than allowed."""
        return [
            each
            for each in self.principles
            if each.confirmed or (each.refused and each.refused.confirmed)
        ]

    @property
    def regressed(self) -> list[RegressionOutcome]:
        """Regression tests that fail."""
        return [each for each in self.regressions if each.verdict == "fail"]

    @property
    def passed(self) -> bool:
        """Whether nothing was found. It says nothing of principles that were not decided."""
        return not self.findings and not self.regressed

    @property
    def judged(self) -> int:
        """Replies that were judged."""
        sides = [side for each in self.principles for side in (each.broken, each.refused) if side]
        return sum(side.asked for side in sides) + len(self.regressions)

    def hits(self) -> list[tuple[str, Dialogue]]:
        """Principle and request of every reply that breaks one, to make tests of."""
        found = [
            (each.id, self.exchanges[name].dialogue)
            for each in self.principles
            for name in each.failing
        ]
        return found + [(each.case.principle_id, each.case.dialogue) for each in self.regressed]
