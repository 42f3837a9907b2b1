"""A paper as it was read, and what a check of it hands over.

Every span is `[start, end)` in characters of `Paper.text`, the text as a reader sees it: comments,
markup and invisible characters are taken out of it and kept apart in `Paper.hidden`.
"""

from bisect import bisect_right
from dataclasses import dataclass
from re import Match
from typing import Literal, Protocol

from plumbrule.oversight.records import Severity
from plumbrule.records import strict

MAY_FAIL = ("missing_entry", "p-value")
"""Kinds of findings that may be `medium` or `high` and fail a paper: a key that is cited and stands
in no bibliography, and a p-value on the other side of the threshold."""

Format = Literal["markdown", "latex", "text", "pdf"]


class Placed(Protocol):
    """Anything that is in the text."""

    @property
    def start(self) -> int:
        """Where it begins."""

    @property
    def end(self) -> int:
        """Where it ends."""


@strict
@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and all that is under it up to the next heading of any level."""

    title: str
    level: int
    start: int
    end: int


@strict
@dataclass(frozen=True, kw_only=True)
class PaperSentence:
    """One sentence, or one heading or line of a list where there is no sentence."""

    text: str
    start: int
    end: int

    def place(self, match: Match[str]) -> tuple[int, int]:
        """Place in the paper of a match in this text."""
        return self.start + match.start(), self.start + match.end()


@strict
@dataclass(frozen=True, kw_only=True)
class TableCell:
    """What is in one cell of a table."""

    text: str
    start: int
    end: int


@strict
@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells; the first row holds the headings of the columns."""

    label: str
    """Such as `Table 1`; empty where no caption was found."""

    caption: str
    rows: tuple[tuple[TableCell, ...], ...]
    start: int
    end: int


@strict
@dataclass(frozen=True, kw_only=True)
class Citation:
    """One work cited at one place; a bracket that names three works gives three of them."""

    style: Literal["key", "number", "author_year"]

    key: str = ""
    """Key or number as written in the bracket; empty for author and year."""

    authors: tuple[str, ...] = ()
    """Surnames as the sentence gives them; empty where it gives none."""

    year: str = ""
    """With its letter, such as `2019a`; empty where the sentence gives none."""

    start: int
    end: int


@strict
@dataclass(frozen=True, kw_only=True)
class ReferenceEntry:
    """One entry of a list of references, as far as it could be read."""

    key: str
    """Key or number; empty in a list that has neither."""

    authors: tuple[str, ...] = ()
    """Surnames in order."""

    year: str = ""
    title: str = ""
    doi: str = ""
    arxiv: str = ""
    isbn: str = ""
    pmid: str = ""
    text: str

    start: int
    """In the paper's text; in the file's text for an entry of a separate `.bib` file."""

    end: int
    line: int
    """Line of the file it comes from, counted from 1; 0 where it is in the paper itself."""


@strict
@dataclass(frozen=True, kw_only=True)
class Hidden:
    """Text that a reader of the printed paper does not see."""

    text: str
    how: str
    """Such as `LaTeX comment` or `white text`."""

    start: int
    """Where in the paper's text it would stand."""


@strict
@dataclass(frozen=True, kw_only=True)
class Paper:
    """All that was read of a paper."""

    name: str
    format: Format
    text: str
    sections: tuple[Section, ...]
    sentences: tuple[PaperSentence, ...]
    tables: tuple[Table, ...]
    citations: tuple[Citation, ...]
    entries: tuple[ReferenceEntry, ...]

    abstract: Section | None
    """None where no part of the paper is called an abstract."""

    references: Section | None
    hidden: tuple[Hidden, ...]

    printed_entries: bool
    """False where the entries come from a file of which only cited ones are printed."""

    page_starts: tuple[int, ...]
    """Where each page begins; empty where the format has no pages."""

    not_read: tuple[str, ...]
    """What could not be read, and what was therefore not checked, in words for the report."""

    missing_lists: tuple[str, ...] = ()
    """Bibliographies that the paper names and that were not found: not all entries are known."""

    def section_at(self, position: int) -> str:
        """Title of the section around a position; empty before the first heading."""
        at = bisect_right(self.sections, position, key=lambda each: each.start) - 1
        return self.sections[at].title if at >= 0 else ""

    def page_at(self, position: int) -> int | None:
        """Page around a position, counted from 1; None where the format has no pages."""
        return bisect_right(self.page_starts, position) or None

    def evidence(self, start: int, end: int) -> "PaperEvidence":
        """Quote a span."""
        return PaperEvidence(
            quote=self.text[start:end],
            section=self.section_at(start),
            start=start,
            end=end,
            page=self.page_at(start),
        )

    def hidden_evidence(self, words: str, piece: Hidden) -> "PaperEvidence":
        """Quote words of a piece that a reader does not see."""
        return PaperEvidence(
            quote=words,
            section=self.section_at(piece.start),
            start=piece.start,
            end=piece.start,
            page=self.page_at(piece.start),
            hidden=piece.how,
        )

    def flaw(
        self,
        kind: str,
        message: str,
        *places: "tuple[int, int] | Placed",
        severity: Severity = "low",
    ) -> "Flaw":
        """A flaw with the words of some places as its evidence."""
        evidence = []
        for each in places:
            start, end = each if isinstance(each, tuple) else (each.start, each.end)
            shown = each if isinstance(each, PaperEvidence) else self.evidence(start, end)
            evidence.append(shown)
        return Flaw(kind=kind, severity=severity, message=message, evidence=tuple(evidence))

    def body(self) -> tuple[tuple[int, int], ...]:
        """Spans of the text outside the abstract and the list of references."""
        skip = sorted((each.start, each.end) for each in (self.abstract, self.references) if each)
        spans, at = [], 0
        for start, end in skip:
            spans.append((at, start))
            at = end
        spans.append((at, len(self.text)))
        return tuple((start, end) for start, end in spans if start < end)


@strict
@dataclass(frozen=True, kw_only=True)
class PaperEvidence:
    """Words of the paper, verbatim, and where they are."""

    quote: str
    section: str
    start: int
    end: int
    """Equal to `start` for hidden words: they are not in the text that a reader sees."""

    page: int | None
    hidden: str = ""
    """How the words were hidden; empty for words that a reader sees."""


@strict
@dataclass(frozen=True, kw_only=True)
class Flaw:
    """One thing that is wrong, with the words that show it."""

    kind: str
    severity: Severity
    message: str
    """What was expected, what was found."""

    evidence: tuple[PaperEvidence, ...]


@strict
@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What one specialist looked at, what it found, and what it had to leave out."""

    name: str
    checked: int
    """Items that were looked at: citations, tables, pairs of numbers."""

    flaws: tuple[Flaw, ...]
    """In the order of the text."""

    not_checked: tuple[str, ...]
    """In words for the report; an empty list with nothing checked is not a pass."""


def word_set(text: str) -> frozenset[str]:
    """Words held apart by blanks; long lists read best so."""
    return frozenset(text.split())


def in_order(flaws: list[Flaw]) -> tuple[Flaw, ...]:
    """Flaws by their first place in the text."""
    return tuple(sorted(flaws, key=lambda each: (each.evidence[0].start, each.kind, each.message)))
