"""What a specialist is given, and the protocol it keeps."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from plumbrule.errors import DataError
from plumbrule.oversight.records import Cost, Kind, Opinion, Quote, Report, Span, Task


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
        return "\n\n".join(self.sources[span.source][span.start : span.end] for span in self.spans)

    @property
    def spans(self) -> tuple[Span, ...]:
        """Where those pieces stand."""
        return spans_of(self.task, self.sources)

    def quote(self, words: str) -> Quote | None:
        """The first place where these very words stand in the task's pieces; None for nowhere."""
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
        ...     name, version, kind, most = "totals", "1", "tool", Cost()
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
        ...

    @property
    def version(self) -> str:
        """Changes whenever its answers may."""
        ...

    @property
    def kind(self) -> Kind:
        """Tools are asked first, then models, then people."""
        ...

    @property
    def most(self) -> Cost:
        """The most that one check costs: set aside before it starts. Seconds included."""
        ...

    def check(self, case: Case) -> Opinion:
        """Judge one task. May raise: a crash is a check that did not take place."""
        ...


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person who is asked through a callable, such as a form or a prompt in a terminal."""

    name: str
    ask: Callable[[Case], Opinion]
    minutes: float = 0.0
    """The most minutes one answer takes; what it took stands in the opinion's cost."""

    version: str = "1"
    kind: Kind = "person"

    @property
    def most(self) -> Cost:
        """The minutes of one answer."""
        return Cost(human_minutes=self.minutes)

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
    """Whether the words stand at the place named."""
    text = sources.get(quote.source)
    return text is not None and text[quote.start : quote.end] == quote.text
