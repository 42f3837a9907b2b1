"""What a review is made of: tasks, reports with their evidence, and people's decisions.

Every record here is written to disk as it stands and read again by whoever checks the review.
Positions in texts count characters (Unicode code points) from 0; an end is exclusive.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

from plumbrule.errors import DataError
from plumbrule.records import strict, to_json
from plumbrule.store import fingerprint

Outcome = Literal["pass", "fail", "uncertain", "not checked"]
Kind = Literal["tool", "model", "person"]
Failure = Literal[
    "error", "refusal", "timeout", "budget", "depth", "absent", "evidence", "question"
]
"""Why a check did not take place: it crashed, it declined, it took too long, the budget or the
depth did not allow it, nobody of that name was there; or its answer could not be used, because it
quoted what is not there or did not speak to the question of a person."""

KINDS: tuple[Kind, ...] = get_args(Kind)
FAILURES: tuple[Failure, ...] = get_args(Failure)


@strict
@dataclass(frozen=True, kw_only=True)
class Span:
    """A piece of a source."""

    source: str
    """Id of the source."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise DataError(
                f"a span starts at 0 or later and ends no earlier than it starts, got "
                f"{self.start} to {self.end} of {self.source!r}"
            )


@strict
@dataclass(frozen=True, kw_only=True)
class Quote:
    """Words of a source, with their place."""

    source: str
    start: int
    end: int
    text: str

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end or self.end - self.start != len(self.text):
            raise DataError(
                f"a quote is as long as its place, got {len(self.text)} characters for "
                f"{self.start} to {self.end} of {self.source!r}"
            )


@strict
@dataclass(frozen=True, kw_only=True)
class ReviewCost:
    """What a check took; costs add up."""

    seconds: float = 0.0
    """Working time: two checks side by side for a second are two seconds."""

    tokens: int = 0
    calls: int = 0
    dollars: float = 0.0
    human_minutes: float = 0.0

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 0:
            raise DataError(f"a cost is never negative, got {self}")

    def __add__(self, other: "ReviewCost") -> "ReviewCost":
        return ReviewCost(
            **{each.name: getattr(self, each.name) + getattr(other, each.name) for each in COSTS}
        )


Severity = Literal["info", "low", "medium", "high"]
"""How much a flaw weighs. `medium` and `high` can fail a work, and are given only to kinds that
were right in at least nine of ten cases on real ones; `low` is advice, `info` moves nothing."""


@strict
@dataclass(frozen=True, kw_only=True)
class ReportedFlaw:
    """One thing that is wrong, as a report tells it."""

    severity: Severity
    kind: str
    message: str
    """What was expected, what was found."""

    quotes: tuple[Quote, ...]
    """Its words, all of them among the report's evidence; empty where they are in no source."""


COSTS = fields(ReviewCost)
FREE = ReviewCost()


@strict
@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to judge."""

    id: str
    """Path in the tree, e.g. `root/numbers`; a part's id begins with that of its parent."""

    asks: str
    """What is asked, in a sentence."""

    spans: tuple[Span, ...] = ()
    """Which pieces of the sources it is about; empty for all of every source."""

    dimensions: tuple[str, ...] = ()
    """What a check of this task speaks to, among the dimensions the review declares."""

    specialists: tuple[str, ...] = ()
    """Names of those who are asked; empty where only the parts speak."""

    required: bool = True
    """Whether the parent can pass without it."""

    def __post_init__(self) -> None:
        if not self.id or not self.id.isprintable() or len(self.id) > 200 or self.id[-1] == "/":
            raise DataError(
                f"a task's id is 1 to 200 printable characters that do not end in a slash, got "
                f"{self.id[:60]!r}"
            )
        if len(set(self.specialists)) != len(self.specialists):
            raise DataError(f"{self.id} asks a specialist twice: {', '.join(self.specialists)}")


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What a specialist returns; the runner turns it into a report."""

    verdict: Outcome
    rationale: str
    confidence: float | None = None
    """Its own probability that the verdict is right; None where it has none."""

    confidence_reason: str = "the specialist gives none"
    """Why there is no confidence; unused where there is one."""

    evidence: tuple[Quote, ...] = ()
    flaws: tuple[ReportedFlaw, ...] = ()
    """What is wrong one by one, where the specialist can tell; their quotes are evidence too."""

    not_checked: tuple[str, ...] = ()
    """What it left out, one reason each."""

    failure: Failure | None = None
    """`refusal` where the model or person declined to answer; the verdict is then `not checked`."""

    cost: ReviewCost = FREE
    """Seconds are measured by the runner and added."""


@strict
@dataclass(frozen=True, kw_only=True)
class Report:
    """What one specialist found on one task."""

    id: str
    """Hash of all the other fields."""

    review_id: str
    task_id: str
    specialist: str
    version: str
    kind: Kind
    round: int
    """0 at first; one more each time a person sent it back."""

    answers: str | None
    """Id of the decision that asked for it; None in round 0."""

    verdict: Outcome
    confidence: float | None
    confidence_reason: str | None
    """Why there is no confidence; None when there is one."""

    rationale: str
    evidence: tuple[Quote, ...]
    flaws: tuple[ReportedFlaw, ...]
    not_checked: tuple[str, ...]
    failure: Failure | None
    cost: ReviewCost

    def __post_init__(self) -> None:
        if (self.confidence is None) == (self.confidence_reason is None):
            raise DataError("a report has a confidence or a reason why not, got both or neither")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise DataError(f"a confidence is between 0 and 1, got {self.confidence}")
        if self.verdict == "not checked" and not self.not_checked:
            raise DataError("a report without a check says why, got no reason")
        if self.failure is not None and self.verdict != "not checked":
            raise DataError(f"a failed check has no verdict, got {self.verdict!r}")
        if not {quote for flaw in self.flaws for quote in flaw.quotes} <= set(self.evidence):
            raise DataError("the words of a flaw are among the report's evidence, got others")
        if (self.round == 0) != (self.answers is None):
            raise DataError("a report after the first round names the decision it answers")

    @property
    def checked(self) -> bool:
        """Whether a check took place at all."""
        return self.verdict != "not checked"


Action = Literal["accept", "overrule", "send back"]


@strict
@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a person said about one node."""

    id: str
    """Hash of all the other fields."""

    review_id: str
    task_id: str
    number: int
    """Order among the decisions of the review, from 1."""

    person: str
    action: Action
    outcome: Outcome | None
    """What an overruled node becomes; None for the other actions."""

    text: str
    """Reason of an overruling, question of a sending back; may be empty on accepting."""

    asked: tuple[str, ...]
    """Specialists who are to answer; empty unless sent back."""

    basis: str
    """Hash of the reports and decisions under the node that the person decided on."""

    human_minutes: float

    def __post_init__(self) -> None:
        if (self.action == "overrule") != (self.outcome in ("pass", "fail", "uncertain")):
            raise DataError(
                "overruling names the outcome pass, fail or uncertain, and nothing else does; got "
                f"{self.action} with {self.outcome!r}"
            )
        if self.action != "accept" and not self.text.strip():
            raise DataError(f"to {self.action} takes a reason or a question, got an empty one")
        if (self.action == "send back") != bool(self.asked):
            raise DataError("sending back names who is asked, and nothing else does")
        if self.human_minutes < 0:
            raise DataError(f"minutes are never negative, got {self.human_minutes}")


@strict
@dataclass(frozen=True, kw_only=True)
class Node:
    """A task with what was found on it and on its parts."""

    task: Task
    reports: tuple[Report, ...]
    """All of them, in the order of rounds; `current` leaves out those answered anew."""

    decisions: tuple[Decision, ...]
    children: tuple["Node", ...]
    planning: ReviewCost = FREE
    """What cutting it into parts took."""

    @property
    def current(self) -> tuple[Report, ...]:
        """The latest report of each specialist."""
        latest = {report.specialist: report for report in self.reports}
        return tuple(latest.values())

    def walk(self) -> "Sequence[Node]":
        """This node and all beneath, parents first."""
        return [self, *[each for child in self.children for each in child.walk()]]

    @property
    def basis(self) -> str:
        """Hash of everything beneath that a decision on this node rests on.

        The node's own decisions are left out: a later one does not unsettle an earlier one.
        """
        return fingerprint(
            [
                sorted(report.id for each in self.walk() for report in each.reports),
                sorted(decision.id for each in self.walk()[1:] for decision in each.decisions),
            ]
        )


def record_id(record: Report | Decision) -> str:
    """Hash of all fields of a record but its id."""
    return fingerprint({**to_json(record), "id": ""})[:32]


def total(costs: Sequence[ReviewCost]) -> ReviewCost:
    """Costs added up."""
    return sum(costs, ReviewCost())
