"""How traffic is watched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from plumbrule.errors import ConfigError
from plumbrule.monitoring.sampling import Shares
from plumbrule.records import check_ranges

Keep = Literal["redacted", "hash", "none"]


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """Settings of a watch; those of a folder stay as they are."""

    shares: Shares = field(default_factory=Shares)
    """With which chance a conversation is judged."""

    baseline: int = 30_000
    """Conversations, the first ones, that say what is usual: a month at a thousand a day. The more,
    the closer the bound lies above the rate, and the sooner a rise is seen."""

    limits: Mapping[str, float] = field(default_factory=dict)
    """Principle → rate that is allowed, in place of the baseline's."""

    false_alarms: float = 0.05
    """Chance of any alarm for nothing, over all principles, in a year's traffic."""

    per_year: float | None = None
    """Conversations in a year; None: as the baseline's times tell, or a thousand a day."""

    unit: Literal["conversation", "reply"] = "conversation"
    """What counts once in a rate: the turns of one conversation depend on one another, so the first
    that is read counts and the others are looked at only; or every reply."""

    anchors: int = 500
    """Conversations of the baseline that are kept, to judge again; 0: none."""

    anchor_every: int = 1_000
    """Conversations after which some anchors are judged again."""

    anchors_each: int = 25
    """How many of them."""

    label_flagged: float = 0.2
    """Share of the replies that the judge flags that people are asked about."""

    label_cleared: float = 0.005
    """Share of the others."""

    keep: Keep = "redacted"
    """What is stored of texts: redacted, their hash alone, or nothing."""

    retain_days: float | None = None
    """Days after which stored texts are deleted; None: never."""

    level: float = 0.95
    """Of the intervals of rates, over all looks together."""

    batch: int = 2_000
    """Lines that are read as one batch; a kill loses the work on one batch."""

    hold: int = 2_000
    """Pieces of other replies after which a reply is taken to be complete."""

    seed: int = 0
    """Of every draw."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            baseline=(100, 10**9),
            false_alarms=(1e-6, 0.5),
            per_year=(100, 1e13),
            anchors=(0, 100_000),
            anchor_every=(1, 10**9),
            anchors_each=(1, 100_000),
            label_flagged=(0, 1),
            label_cleared=(0, 1),
            retain_days=(0, 36_500),
            level=(0.5, 0.999),
            batch=(1, 100_000),
            hold=(1, 1_000_000),
        )
        for name, limit in self.limits.items():
            if not 0.0 < limit < 1.0:
                raise ConfigError(
                    f"the limit of {name!r:.60} must lie strictly between 0 and 1, got {limit}"
                )
        if self.keep not in ("redacted", "hash", "none"):
            raise ConfigError(f"keep must be redacted, hash or none, got {self.keep!r:.40}")
        if self.unit not in ("conversation", "reply"):
            raise ConfigError(f"unit must be conversation or reply, got {self.unit!r:.40}")


ALARM_SHARE, BASELINE_SHARE, JUDGE_SHARE = 0.8, 0.1, 0.1
"""How the chance of a false alarm is divided: to risen rates, to baselines that happened to be low,
and to judges called changed. The threshold feels it by its logarithm only."""

USUAL_PER_YEAR = 365_000.0
"""Conversations in a year where neither settings nor times tell."""
