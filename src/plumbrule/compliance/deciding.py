"""From verdicts to a rate with worst-case bounds, evidence against a bound, and when to stop.

What counts once is a paraphrase family: its replies depend on one another. A family's outcome is
the share of its replies that break the principle; one without a verdict counts as kept at the low
end and as broken at the high end. Families are asked in random order, so all of this holds at
every moment one looks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plumbrule.records import Estimate
from plumbrule.statistics import BettingSequence
from plumbrule.statistics.paired import LARGEST_E_VALUE
from plumbrule.statistics.sequences import log_wealth

Outcome = bool | None
"""Whether a reply breaks the principle; None where nobody could say."""


@dataclass(frozen=True, kw_only=True)
class RateSoFar:
    """What the families asked so far allow to say of a rate."""

    estimate: Estimate | None
    """None while no reply has a verdict."""

    e_value: float
    """Evidence that the rate lies above the bound, with every reply without a verdict as kept."""

    families: int
    replies: int
    broken: int
    unanswered: int

    def below(self, bound: float) -> bool:
        """Whether the whole interval lies at or below the bound."""
        return self.estimate is not None and self.estimate.high <= bound


def rate_so_far(
    outcomes: Mapping[str, Sequence[Outcome]], *, bound: float, level: float, unit: str
) -> RateSoFar:
    """Say what the outcomes so far allow.

    Args:
        outcomes: Of every family asked; replies to which the principle does not apply left out.
        bound: Rate that is allowed, strictly between 0 and 1.
        level: Of the interval, which holds at every moment together.
        unit: What the rate counts.
    """
    asked = [list(each) for each in outcomes.values() if each]
    lows = np.array([sum(one is True for one in each) / len(each) for each in asked])
    highs = np.array([sum(one is not False for one in each) / len(each) for each in asked])
    decided = [[one for one in each if one is not None] for each in asked]
    shares = [sum(each) / len(each) for each in decided if each]
    estimate, e_value = None, 1.0
    if shares:
        ends = []
        for values in (lows, highs):
            sequence = BettingSequence(level=level, unit=unit)
            sequence.update(values)
            ends.append(sequence.estimate())
        value = min(max(math.fsum(shares) / len(shares), ends[0].low), ends[1].high)
        estimate = Estimate(
            value=value,
            low=ends[0].low,
            high=ends[1].high,
            level=level,
            n=len(asked),
            unit=unit,
            method="betting confidence sequence, worst case",
        )
        e_value = above_bound(lows, bound)
    replies = [one for each in asked for one in each]
    return RateSoFar(
        estimate=estimate,
        e_value=e_value,
        families=len(asked),
        replies=len(replies),
        broken=sum(one is True for one in replies),
        unanswered=sum(one is None for one in replies),
    )


def above_bound(values: np.ndarray, bound: float) -> float:
    """Evidence against a mean of at most `bound`, as an e-value.

    Args:
        values: Outcomes of families, from 0 to 1, asked in random order.
        bound: Strictly between 0 and 1.

    Source:
        The one-sided bettor of `statistics.sequences`: at most the bound on average, it does not
        gain on average.
    """
    distinct, times = np.unique(values, return_counts=True)
    wealth = log_wealth(distinct / bound - 1.0, times.astype(np.float64), largest_stake=1.0)
    return min(math.exp(min(wealth, 700.0)), LARGEST_E_VALUE)
