"""What is said of replies, by whom, and the alarms that follow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from plumbrule.monitoring.traffic import LiveExchange
from plumbrule.records import Estimate, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """What was said of a reply under a principle."""

    verdict: Verdict
    probability: float | None = None
    """That the principle is broken."""


Judge = Callable[[Sequence[LiveExchange]], Sequence[Mapping[str, Ruling]]]
"""Rules on conversations under the watched principles."""

Screen = Callable[[LiveExchange], frozenset[str]]
"""Names the principles that a conversation seems to break, in microseconds."""


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A rate that has risen, or a judge that has changed."""

    kind: str
    """`rate` or `judge`."""

    principle_id: str
    at: int
    """Conversations counted until then."""

    time: float | None
    """Of the conversation at which it was raised."""

    bound: float
    """What the rate was not to pass; for a judge, the change that is no drift yet."""

    cause: str = "undecided"
    reason: str = ""
    decided_at: int | None = None
    shift: Estimate | None = None
    handled: bool = False
    """Whether somebody said that it was dealt with."""
