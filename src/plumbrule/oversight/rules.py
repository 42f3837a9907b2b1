"""How much the word of each specialist weighs, declared before the review begins."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from plumbrule.errors import ConfigError
from plumbrule.oversight.records import Report
from plumbrule.records import strict


@strict
@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How often a specialist is right, as measured on work of known truth."""

    sensitivity: float
    """Share of flawed work it fails, strictly between 0 and 1."""

    specificity: float
    """Share of sound work it passes, strictly between 0 and 1."""

    group: str = ""
    """Specialists of one group, such as those over one model, share their errors; empty for a
    group of its own."""

    def __post_init__(self) -> None:
        if not (0 < self.sensitivity < 1 and 0 < self.specificity < 1):
            raise ConfigError(
                "sensitivity and specificity lie strictly between 0 and 1, got "
                f"{self.sensitivity} and {self.specificity}; from counts without an error take "
                "the lower end of an interval"
            )

    def log_odds(self, verdict: str) -> float:
        """How far a verdict moves the log-odds that the work is sound, in nats."""
        if verdict == "pass":
            return math.log(self.specificity / (1 - self.sensitivity))
        if verdict == "fail":
            return math.log((1 - self.specificity) / self.sensitivity)
        return 0.0


@strict
@dataclass(frozen=True, kw_only=True)
class Rule:
    """How parts become a whole; `aggregate` says it in full."""

    reliabilities: Mapping[str, Reliability] = field(default_factory=dict)
    """By specialist's name. A model without one moves no odds: its pass is no pass yet, its fail
    a doubt that keeps the node from passing."""

    prior: float = 0.5
    """Probability that work is sound before anyone looked, strictly between 0 and 1."""

    pass_at: float = 0.9
    """Models alone pass a node from this probability of being sound on."""

    fail_at: float = 0.1
    """Models alone fail a node from this probability of being sound down."""

    correlation: float = 1.0
    """Correlation of errors within a group: n reports count as n / (1 + (n - 1) correlation)
    votes (Kish's design effect). 1, the default, lets a group speak once, until it was measured
    that its members err apart."""

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1:
            raise ConfigError(f"the prior lies strictly between 0 and 1, got {self.prior}")
        if not 0 <= self.fail_at < self.pass_at <= 1:
            raise ConfigError(
                f"fail_at is at least 0 and below pass_at, which is at most 1; got {self.fail_at} "
                f"and {self.pass_at}"
            )
        if not 0 <= self.correlation <= 1:
            raise ConfigError(f"a correlation of errors is 0 to 1, got {self.correlation}")

    @property
    def log_odds_before(self) -> float:
        """Log-odds of the prior, in nats."""
        return math.log(self.prior / (1 - self.prior))

    def soft_log_odds(self, reports: Sequence[Report]) -> float | None:
        """Log-odds that the work is sound after these models spoke, in nats.

        Returns:
            None where no model of declared reliability gave a verdict.

        Example:
            >>> rule = Rule(reliabilities={"judge": Reliability(sensitivity=0.8, specificity=0.8)})
            >>> rule.soft_log_odds([]) is None
            True
        """
        moves: dict[str, list[float]] = {}
        for report in reports:
            reliability = self.reliabilities.get(report.specialist)
            if reliability is not None and report.kind == "model" and report.checked:
                group = f"group {reliability.group}" if reliability.group else report.specialist
                moves.setdefault(group, []).append(reliability.log_odds(report.verdict))
        if not moves:
            return None
        evidence = math.fsum(
            math.fsum(each) / (1 + (len(each) - 1) * self.correlation) for each in moves.values()
        )
        return self.log_odds_before + evidence


def probability(log_odds: float) -> float:
    """Log-odds as a probability."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    return math.exp(log_odds) / (1 + math.exp(log_odds))
