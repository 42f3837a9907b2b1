"""What is asked of a specialist, what all of it may cost, and how reports become an outcome."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight.records import COSTS, Kind, Opinion, Quote, Report, ReviewCost, Span, Task
from plumbrule.records import strict


@dataclass(frozen=True, kw_only=True)
class Case:
    """One task with all that may be looked at to judge it."""

    task: Task
    sources: Mapping[str, str]
    """Text of each source by its id. Material to judge, never an instruction."""

    reports: tuple[Report, ...] = ()
    """What is known so far on this task and the parts beneath it."""

    question: str | None = None
    """What a person who sent the task back wants to know; the rationale must hold these words."""

    seed: int = 0

    @property
    def text(self) -> str:
        """The pieces the task is about, one after the other."""
        return "\n\n".join(map(self.at, self.spans))

    def at(self, span: Span) -> str:
        """The words of one piece."""
        return self.sources[span.source][span.start : span.end]

    @property
    def spans(self) -> tuple[Span, ...]:
        """Where those pieces are."""
        return spans_of(self.task, self.sources)

    def quote(self, words: str) -> Quote | None:
        """The first place where these very words are in the task's pieces; None for nowhere."""
        return next(self.quotes(words), None)

    def quotes(self, words: str) -> Iterator[Quote]:
        """All such places, in order, without overlap."""
        if not words:
            return
        for span in self.spans:
            text, at = self.sources[span.source], span.start
            while (at := text.find(words, at, span.end)) >= 0:
                yield Quote(source=span.source, start=at, end=at + len(words), text=words)
                at += len(words)


@runtime_checkable
class Specialist(Protocol):
    """Someone who judges one sort of thing; any object with these five will do.

    Example:
        >>> class Totals:
        ...     name, version, kind, most = "totals", "1", "tool", ReviewCost()
        ...     def check(self, case):
        ...         wrong = case.quote("2 + 2 = 5")
        ...         if wrong is None:
        ...             return Opinion(verdict="pass", rationale="Every sum is right.")
        ...         return Opinion(verdict="fail", rationale="A sum is off.", evidence=(wrong,))
        >>> isinstance(Totals(), Specialist)
        True
    """

    @property
    def name(self) -> str:
        """Unique in a review."""

    @property
    def version(self) -> str:
        """Changes whenever its answers may."""

    @property
    def kind(self) -> Kind:
        """Tools are asked first, then models, then people."""

    @property
    def most(self) -> ReviewCost:
        """The most that one check costs: set aside before it starts. Seconds included."""

    def check(self, case: Case) -> Opinion:
        """Judge one task. May raise: a crash is a check that did not take place."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person who is asked through a callable, such as a form or a prompt in a terminal."""

    name: str
    ask: Callable[[Case], Opinion]
    minutes: float = 0.0
    """The most minutes one answer takes; what it took is part of the opinion's cost."""

    version: str = "1"
    kind: Kind = "person"

    @property
    def most(self) -> ReviewCost:
        """The minutes of one answer."""
        return ReviewCost(human_minutes=self.minutes)

    def check(self, case: Case) -> Opinion:
        """Ask."""
        return self.ask(case)


def spans_of(task: Task, sources: Mapping[str, str]) -> tuple[Span, ...]:
    """The pieces a task is about; all of every source where it names none.

    Raises:
        DataError: A piece lies outside its source, or its source is not there.
    """
    for span in task.spans:
        if span.source not in sources or span.end > len(sources[span.source]):
            length = len(sources[span.source]) if span.source in sources else None
            raise DataError(
                f"{task.id} is about {span.start} to {span.end} of {span.source!r}, which "
                + ("is no source" if length is None else f"has {length} characters")
                + "; give spans inside the sources of the review"
            )
    if task.spans:
        return task.spans
    return tuple(Span(source=name, start=0, end=len(text)) for name, text in sources.items())


def is_verbatim(quote: Quote, sources: Mapping[str, str]) -> bool:
    """Whether the words are at the place named."""
    text = sources.get(quote.source)
    return text is not None and text[quote.start : quote.end] == quote.text


@strict
@dataclass(frozen=True, kw_only=True)
class ReviewBudget:
    """Limits of all checks of a review together; None where there is none."""

    seconds: float | None = None
    """Working time of specialists, added up over those who work side by side."""

    tokens: int | None = None
    calls: int | None = None
    dollars: float | None = None
    human_minutes: float | None = None

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            if limit is not None and not limit >= 0:
                raise ConfigError(f"the budget's {name} must be at least 0, got {limit}")

    def exceeded(self, cost: ReviewCost) -> tuple[str, ...]:
        """Which limits a cost is over, in words; empty when it fits."""
        over = []
        for each in COSTS:
            limit, value = getattr(self, each.name), getattr(cost, each.name)
            if limit is not None and value > limit:
                over.append(f"{value:g} {each.name.replace('_', ' ')} of {limit:g}")
        return tuple(over)

    def refuses(self, most: ReviewCost, spent: ReviewCost) -> tuple[str, ...]:
        """Why a check that costs at most this does not fit any more; empty when it does.

        A limit that is used up refuses only those who draw on it: tools without calls go on
        after the last call was spent.
        """
        over = []
        for each in COSTS:
            limit, value = getattr(self, each.name), getattr(most, each.name)
            before = getattr(spent, each.name)
            # Time passes with every check, so no one works on after the last second.
            used_up = each.name == "seconds" and limit is not None and before >= limit
            if limit is not None and ((value > 0 and before + value > limit) or used_up):
                over.append(
                    f"{before:g} of {limit:g} {each.name.replace('_', ' ')} are spent or set "
                    f"aside, and it may take {value:g}"
                )
        return tuple(over)


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
