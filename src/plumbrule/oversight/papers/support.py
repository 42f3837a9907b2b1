"""Looks up in a cited source what a sentence takes from it: its numbers and its quotations.

That the words occur does not show that the source supports the sentence, and that they do not
occur does not show the contrary: it is where a reader should look.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

from plumbrule.errors import DataError, PlumbruleError
from plumbrule.oversight.papers.citations import folded
from plumbrule.oversight.papers.document import (
    CheckResult,
    Citation,
    Flaw,
    Paper,
    PaperEvidence,
    PaperSentence,
    ReferenceEntry,
)
from plumbrule.oversight.papers.quantities import numbers_in
from plumbrule.oversight.papers.reading import FORMATS, read_paper
from plumbrule.records import strict

Status = Literal["found", "not found", "not checked"]

FEWEST_QUOTED = 3
"""Words of a quotation that is looked up; shorter ones are names and scare quotes."""

_QUOTED = re.compile(r"[“\"]([^”\"\n]{8,600})[”\"]")


@strict
@dataclass(frozen=True, kw_only=True)
class Support:
    """Whether a cited source holds what a sentence takes from it."""

    status: Status
    source: str
    """Name of the source's file; empty where none was given."""

    sentence: PaperEvidence
    found: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    reason: str = ""
    """Why it was not checked; empty where it was."""


@strict
@dataclass(frozen=True, kw_only=True)
class SupportCheck:
    """Support of every sentence that cites, and the flaws among them."""

    supports: tuple[Support, ...]
    check: CheckResult


@dataclass(frozen=True)
class _Source:
    name: str
    words: str
    values: frozenset[Decimal]


def check_sources(paper: Paper, folder: Path) -> SupportCheck:
    """Look up numbers and quotations of sentences in the texts of the works they cite.

    A source is a file of the folder named by the entry's key or number, by its DOI with `_` for
    `/`, or by first author and year, such as `smith2014.txt`. Kinds: `quote_not_in_source`,
    `number_not_in_source`.

    Raises:
        DataError: The folder is missing.
    """
    texts, unread = read_cited(folder)
    return look_up(paper, texts, unread)


def read_cited(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Texts of cited works by their files' names, and what could not be read.

    Raises:
        DataError: The folder is missing.
    """
    if not folder.is_dir():
        raise DataError(f"expected a folder of sources, there is none at {folder}; check the path")
    texts, unread = {}, []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in FORMATS:
            try:
                texts[file_name(path)] = read_paper(path).text
            except PlumbruleError as error:
                unread.append(f"the source {path.name} was not read: {error}")
    unread += [
        f"the source {name} holds no words" for name, text in texts.items() if not text.strip()
    ]
    return texts, unread


def file_name(path: Path) -> str:
    """A file's name as text that can be written; file systems allow bytes that are none."""
    return path.name.encode("utf-8", "replace").decode()


def look_up(paper: Paper, texts: Mapping[str, str], unread: Sequence[str]) -> SupportCheck:
    """The same with the texts by their files' names, and notes of those that could not be read."""
    library = _Library(paper, texts)
    cited: dict[int, list[Citation]] = defaultdict(list)
    places = sorted(paper.citations, key=lambda each: each.start)
    at = 0
    for number, sentence in enumerate(paper.sentences):
        while at < len(places) and places[at].start < sentence.end:
            if places[at].start >= sentence.start:
                cited[number].append(places[at])
            at += 1
    supports = [_support(paper, paper.sentences[n], works, library) for n, works in cited.items()]
    flaws = [flaw for each in supports for flaw in _flaws(paper, each)]
    left = [f"{each.sentence.quote[:80]!r}: {each.reason}" for each in supports if each.reason]
    check = CheckResult(
        name="sources",
        checked=sum(each.status != "not checked" for each in supports),
        flaws=tuple(flaws),
        not_checked=(*unread, *left),
    )
    return SupportCheck(supports=tuple(supports), check=check)


class _Library:
    """The texts of cited works, looked into when they are first cited."""

    def __init__(self, paper: Paper, texts: Mapping[str, str]) -> None:
        self._paper = paper
        self._texts = {
            folded(Path(name).stem): (name, text) for name, text in texts.items() if text.strip()
        }
        self._opened: dict[str, _Source] = {}
        self._by_key = {entry.key: entry for entry in paper.entries if entry.key}

    def source(self, citation: Citation) -> _Source | None:
        """Text of the work that a citation means; None where it was not given or not read."""
        for name in map(folded, self._names(citation)):
            if name in self._texts:
                if name not in self._opened:
                    self._opened[name] = _open(*self._texts[name])
                return self._opened[name]
        return None

    def _names(self, citation: Citation) -> list[str]:
        entry = self._by_key.get(citation.key) or self._by_name(citation)
        names = [citation.key] if citation.key else []
        if entry is not None:
            names += [entry.doi.replace("/", "_")] if entry.doi else []
            names += [f"{entry.authors[0]}{entry.year}"] if entry.authors else []
            names += [f"{entry.authors[0]} {entry.year}"] if entry.authors else []
        elif citation.authors:
            names += [f"{citation.authors[0]}{citation.year}"]
        return names

    def _by_name(self, citation: Citation) -> ReferenceEntry | None:
        if not citation.authors:
            return None
        first = folded(citation.authors[0])
        return next(
            (
                each
                for each in self._paper.entries
                if each.authors and folded(each.authors[0]) == first and each.year == citation.year
            ),
            None,
        )


def _open(name: str, text: str) -> _Source:
    values = frozenset(number.value for _, _, number in numbers_in(text))
    return _Source(Path(name).name, f" {folded(text)} ", values)


def _support(
    paper: Paper, sentence: PaperSentence, works: list[Citation], library: _Library
) -> Support:
    evidence = paper.evidence(sentence.start, sentence.end)
    opened = [library.source(work) for work in works]
    sources = list({each.name: each for each in opened if each is not None}.values())
    name = ", ".join(each.name for each in sources)
    if not sources or None in opened:
        reason = "the text of a cited work was not given"
        return _unchecked(evidence, name, reason)
    quotes, numbers = _claims(sentence, works)
    if not quotes and not numbers:
        return _unchecked(evidence, name, "it takes neither a number nor a quotation from the work")
    found = [q for q in quotes if any(_holds(source, q) for source in sources)]
    found += [n for n, value in numbers.items() if any(value in s.values for s in sources)]
    missing = tuple(
        each
        for each in [*(f"“{q}”" for q in quotes if q not in found), *numbers]
        if each not in found
    )
    return Support(
        status="not found" if missing else "found",
        source=name,
        sentence=evidence,
        found=tuple(found),
        missing=missing,
    )


def _unchecked(evidence: PaperEvidence, name: str, reason: str) -> Support:
    return Support(status="not checked", source=name, sentence=evidence, reason=reason)


def _claims(sentence: PaperSentence, works: list[Citation]) -> tuple[list[str], dict[str, Decimal]]:
    """Quotations and numbers of a sentence, without those of the citations themselves."""
    quotes = [
        match[1].strip(" ,.")
        for match in _QUOTED.finditer(sentence.text)
        if len(match[1].split()) >= FEWEST_QUOTED
    ]
    spans = [(work.start - sentence.start, work.end - sentence.start) for work in works]
    numbers = {}
    for start, end, number in numbers_in(sentence.text):
        if any(a - 1 <= start < b + 1 for a, b in spans):
            continue
        whole = number.decimals == 0
        if whole and (abs(number.value) < 4 or 1900 <= number.value < 2100):
            continue
        if re.search(
            r"(?:pp?\.|table|figure|fig\.|study|experiment)\s*$", sentence.text[:start], re.I
        ):
            continue
        numbers[sentence.text[start:end]] = number.value
    return quotes, numbers


def _holds(source: _Source, quote: str) -> bool:
    """Whether a quotation is in a source; what `…` leaves out may be any words."""
    parts = [folded(part) for part in re.split(r"…|\.\.\.|\[[^\]]*\]", quote)]
    return all(f" {part} " in source.words for part in parts if part)


def _flaws(paper: Paper, support: Support) -> list[Flaw]:
    flaws = []
    for item in support.missing:
        quoted = item.startswith("“")
        what = "quotation" if quoted else "number"
        kind = "quote_not_in_source" if quoted else "number_not_in_source"
        message = f"the {what} {item} does not occur in {support.source}"
        flaws.append(paper.flaw(kind, message, support.sentence))
    return flaws
