"""Checks the entries of a list of references by themselves: identifiers, works named twice."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from plumbrule.oversight.papers.document import Entry, Flaw, Paper
from plumbrule.oversight.papers.identifiers import (
    arxiv_error,
    doi_error,
    isbn_error,
    orcid_error,
    pmid_error,
)
from plumbrule.oversight.papers.names import SAME_TITLE, folded, similar

_IDENTIFIERS: tuple[tuple[str, str, Callable[[str], str | None]], ...] = (
    ("DOI", "doi", doi_error),
    ("arXiv identifier", "arxiv", arxiv_error),
    ("ISBN", "isbn", isbn_error),
    ("PMID", "pmid", pmid_error),
)
OTHER_TITLE = 0.6
"""Similarity under which two titles are called different."""

_ORCID = re.compile(r"orcid\.org/([\dX-]{10,25})|ORCID(?:\s*iD)?:?\s*([\dX]{4}-[\dX-]{8,20})")


def malformed_identifiers(paper: Paper, listed: Sequence[Entry]) -> Iterator[Flaw]:
    """Identifiers of the entries listed, and ORCIDs anywhere; kind `malformed_identifier`."""
    yield from _orcids(paper)
    for entry in listed:
        for name, attribute, error in _IDENTIFIERS:
            value = getattr(entry, attribute)
            reason = error(value) if value else None
            if reason:
                yield Flaw(
                    kind="malformed_identifier",
                    severity="low",
                    message=f"the {name} `{value}` is malformed: {reason}",
                    evidence=(paper.evidence(entry.start, entry.end),),
                )


def _orcids(paper: Paper) -> Iterator[Flaw]:
    for match in _ORCID.finditer(paper.text):
        value = (match[1] or match[2]).strip("-")
        reason = orcid_error(value)
        if reason:
            yield Flaw(
                kind="malformed_identifier",
                severity="low",
                message=f"the ORCID `{value}` is malformed: {reason}",
                evidence=(paper.evidence(*match.span()),),
            )


def duplicates(paper: Paper, listed: Sequence[Entry]) -> Iterator[Flaw]:
    """Works that are listed twice; kind `duplicate_entry`."""
    seen: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in listed:
        twin = next((each for each in _rivals(seen, entry) if _same_work(each, entry)), None)
        if twin is not None:
            yield Flaw(
                kind="duplicate_entry",
                severity="low",
                message=_twice(twin, entry),
                evidence=(
                    paper.evidence(twin.start, twin.end),
                    paper.evidence(entry.start, entry.end),
                ),
            )
        for kind, value in _marks(entry):
            seen[kind, value].append(entry)


def _twice(one: Entry, other: Entry) -> str:
    if one.title and other.title and similar(one.title, other.title) < OTHER_TITLE:
        return f"two works of different titles have the DOI {other.doi}"
    return "the list of references names this work twice"


def _marks(entry: Entry) -> Iterator[tuple[str, str]]:
    if entry.key:
        yield "key", entry.key
    if entry.doi:
        yield "doi", entry.doi.lower()
    if entry.authors and entry.year:
        yield "work", f"{surname_key(entry.authors[0])} {entry.year[:4]}"


def _rivals(seen: dict[tuple[str, str], list[Entry]], entry: Entry) -> Iterator[Entry]:
    for mark in _marks(entry):
        yield from seen[mark][:50]


def _same_work(one: Entry, other: Entry) -> bool:
    if one.key and one.key == other.key:
        return True
    if one.doi and other.doi:
        return one.doi.lower() == other.doi.lower()
    return similar(one.title, other.title) >= SAME_TITLE


def surname_key(name: str) -> str:
    """Last word of a surname, without accents and case: what entries are filed under."""
    words = folded(name).split()
    return words[-1] if words else ""
