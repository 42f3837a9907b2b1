"""How often each principle is broken, at every moment one looks, and with a judge's errors out.

The judged rate is a mean of scores that come in by the thousand. People label a few of the judged
replies, drawn by hash with one chance where the judge flagged and another where it did not. How
often the judge is right where it flags, and how often wrong where it does not, are two more rates
with sequences of their own; all three together hold at once, so what follows from them does too.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from plumbrule.errors import DataError
from plumbrule.records import Estimate
from plumbrule.statistics import BettingSequence

UNIT = "violations per conversation"


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """People's labels of judged replies under one principle."""

    flagged: int = 0
    """Labeled replies that the judge had flagged."""

    flagged_broken: int = 0
    """Of these, those that people say break the principle."""

    cleared: int = 0
    cleared_broken: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.flagged_broken <= self.flagged:
            raise DataError(f"{self.flagged_broken} of {self.flagged} labels cannot be")
        if not 0 <= self.cleared_broken <= self.cleared:
            raise DataError(f"{self.cleared_broken} of {self.cleared} labels cannot be")


def sequence_of(
    scores: Mapping[float, int], *, largest: float = 1.0, level: float = 0.95
) -> Estimate:
    """The mean of scores by how often each came, with an interval valid at any time.

    Args:
        scores: Times by score; a violation counts as the inverse of its chance of being judged.
        largest: Largest score that can come.
        level: Over all looks together.

    Raises:
        DataError: No scores.
    """
    sequence = BettingSequence(high_bound=largest, level=level, unit=UNIT)
    sequence.count(scores)
    return sequence.estimate()


def corrected_sequence(
    scores: Mapping[float, int],
    labels: LabelCounts,
    *,
    largest: float = 1.0,
    level: float = 0.95,
) -> Estimate | None:
    """The rate with the judge's errors taken out, with an interval valid at any time.

    Args:
        scores: Of the judged rate, as for `sequence_of`.
        labels: By people.
        largest: Largest score that can come.
        level: Over all looks together, also at labels that come late.

    Returns:
        The rate; None where people labeled none of what the judge flagged or none of the rest.

    Source:
        The rectifier of Angelopoulos et al. (2023), "Prediction-powered inference", for a judge
        that says yes or no, in two parts. That three sequences at a third of the error each hold
        together is the union bound.

    Example:
        >>> labels = LabelCounts(flagged=100, flagged_broken=80, cleared=100, cleared_broken=0)
        >>> found = corrected_sequence(Counter({1.0: 100, 0.0: 900}), labels)
        >>> round(found.value, 2), found.low < 0.08 < found.high
        (0.08, True)
    """
    if not labels.flagged or not labels.cleared:
        return None
    third = 1.0 - (1.0 - level) / 3.0
    flagged = sequence_of(scores, largest=largest, level=third)
    right = _share(labels.flagged_broken, labels.flagged, third)
    missed = _share(labels.cleared_broken, labels.cleared, third)

    def rate(q: float, first: float, second: float) -> float:
        return q * first + (1.0 - q) * second

    value = rate(min(flagged.value, 1.0), right.value, missed.value)
    ends = [min(flagged.low, 1.0), min(flagged.high, 1.0)]
    low = min(rate(end, right.low, missed.low) for end in ends)
    high = max(rate(end, right.high, missed.high) for end in ends)
    return Estimate(
        value=value,
        low=min(low, value),
        high=max(high, value),
        level=level,
        n=labels.flagged + labels.cleared,
        unit=UNIT,
        method="prediction-powered, three betting sequences",
    )


def _share(yes: int, n: int, level: float) -> Estimate:
    sequence = BettingSequence(level=level, unit=UNIT)
    sequence.count(Counter({1.0: yes, 0.0: n - yes}))
    return sequence.estimate()
