"""Checks that citations and the list of references of a paper belong together."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from plumbrule.oversight.papers.document import (
    CheckResult,
    Citation,
    Flaw,
    Paper,
    ReferenceEntry,
    in_order,
)
from plumbrule.oversight.papers.entries import (
    duplicates,
    malformed_identifiers,
    same_surname,
    similar,
    surname_key,
)
from plumbrule.oversight.papers.references import author_years

CLOSE_SPELLING = 0.8
"""Similarity of two surnames of one year from which one is taken for a slip of the other."""

_MORE = "et al"


@dataclass
class _Matching:
    """Which entry each citation means, while it is being worked out."""

    paper: Paper
    by_key: dict[str, ReferenceEntry] = field(default_factory=dict)
    by_name: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    cited: set[int] = field(default_factory=set)
    flaws: list[Flaw] = field(default_factory=list)


def check_citations(paper: Paper) -> CheckResult:
    """Check every citation against the list of references, and every entry of the list.

    Kinds: `missing_entry`, `uncited_entry`, `duplicate_entry`, `year_mismatch`,
    `author_mismatch`, `malformed_identifier`.

    Returns:
        Flaws with the citation and, where there is one, the entry as evidence.
    """
    listed = _printed(paper)
    flaws = [*malformed_identifiers(paper, listed), *duplicates(paper, listed)]
    not_checked = []
    if not paper.entries:
        not_checked.append("citations against entries: the paper has no list that could be read")
    elif not paper.citations:
        not_checked.append("entries against citations: no citation was found in the text")
    else:
        flaws += _match(paper)
    if paper.missing_lists:
        names = ", ".join(paper.missing_lists)
        not_checked.append(
            f"citations that only a bibliography could hold that was not found: {names}"
        )
    return CheckResult(
        name="citations",
        checked=len(paper.citations) + len(paper.entries),
        flaws=in_order(flaws),
        not_checked=tuple(not_checked),
    )


def _printed(paper: Paper) -> Sequence[ReferenceEntry]:
    """The entries that a reader sees: of a bibliography's file, only cited ones are printed."""
    if paper.printed_entries:
        return paper.entries
    cited = {citation.key.lower() for citation in paper.citations}
    return [entry for entry in paper.entries if entry.key.lower() in cited]


def _match(paper: Paper) -> list[Flaw]:
    state = _Matching(paper)
    for number, entry in enumerate(paper.entries):
        if entry.key:
            state.by_key.setdefault(entry.key.lower(), entry)  # as BibTeX looks them up
        if entry.authors:
            state.by_name[surname_key(entry.authors[0])].append(number)
    places = {id(entry): number for number, entry in enumerate(paper.entries)}
    unmatched = []
    for citation in paper.citations:
        if citation.style == "author_year":
            if not _by_author(state, citation):
                unmatched.append(citation)
        elif citation.key.lower() in state.by_key:
            state.cited.add(places[id(state.by_key[citation.key.lower()])])
        elif not paper.missing_lists:
            state.flaws.append(_missing(paper, citation, citation.key))
    _second_look(state, unmatched)
    state.flaws += _beside_keys(state)
    return [*state.flaws, *_uncited(state)]


def _by_author(state: _Matching, citation: Citation) -> bool:
    """Find the entries that a citation of authors and year can mean, and check their authors."""
    for skip in range(len(citation.authors)):  # "Recently, Lee and Wu (2019)" begins with no name
        names = citation.authors[skip:]
        found = [
            number
            for number in state.by_name.get(surname_key(names[0]), ())
            if _same_year(state.paper.entries[number].year, citation.year)
        ]
        if found:
            state.cited.update(found)
            entries = [state.paper.entries[number] for number in found]
            if not any(_authors_agree(names, entry) for entry in entries):
                state.flaws.append(_disagrees(state.paper, citation, entries[0], "authors"))
            return True
    return False


def _same_year(entry: str, cited: str) -> bool:
    if entry[:4] != cited[:4]:
        return False
    return entry[4:] == cited[4:] or not entry[4:] or not cited[4:]


def _authors_agree(names: Sequence[str], entry: ReferenceEntry) -> bool:
    """Whether the names of a citation are the first ones of an entry.

    Only what is sure counts: an entry of which one author was read may have had more.
    """
    given = [name for name in names if name != _MORE]
    if len(entry.authors) < 2:
        return True
    if len(given) == 1 and _MORE not in names:
        return True  # styles differ in how many names they drop
    return all(
        same_surname(one, other) for one, other in zip(given, entry.authors, strict=False)
    ) and len(given) <= len(entry.authors)


def _second_look(state: _Matching, unmatched: Sequence[Citation]) -> None:
    """Tell a wrong year and a misspelt name from an entry that is missing.

    A citation means an entry of the same first author and another year only if that entry is not
    cited otherwise: else the paper cites a second work of the same author.
    """
    free = [n for n in range(len(state.paper.entries)) if n not in state.cited]
    claimed: set[int] = set()
    for citation in unmatched:
        names = [name for name in citation.authors if name != _MORE]
        number = _other_year(state, free, names, citation)
        what = "year"
        if number is None:
            number, what = _other_spelling(state, free, names, citation), "authors"
        if number is None:
            words = " ".join(citation.authors) + f" {citation.year}"
            state.flaws.append(_missing(state.paper, citation, words))
        else:
            claimed.add(number)
            entry = state.paper.entries[number]
            state.flaws.append(_disagrees(state.paper, citation, entry, what))
    state.cited |= claimed


def _other_year(
    state: _Matching, free: Sequence[int], names: Sequence[str], citation: Citation
) -> int | None:
    more = (_MORE,) if _MORE in citation.authors else ()
    for number in free:
        entry = state.paper.entries[number]
        if not entry.authors or not entry.year:
            continue
        for skip in range(len(names)):
            first = same_surname(names[skip], entry.authors[0])
            if first and _authors_agree((*names[skip:], *more), entry):
                return number
    return None


def _other_spelling(
    state: _Matching, free: Sequence[int], names: Sequence[str], citation: Citation
) -> int | None:
    for number in free:
        entry = state.paper.entries[number]
        if (
            entry.authors
            and _same_year(entry.year, citation.year)
            and similar(names[0], entry.authors[0]) >= CLOSE_SPELLING
        ):
            return number
    return None


def _beside_keys(state: _Matching) -> Iterator[Flaw]:
    """Authors and year written out right before a key or number: `Lee and Wu (2019) [4]`."""
    paper = state.paper
    if paper.citations[0].style == "author_year":
        return
    written = sorted(author_years(paper.text), key=lambda each: each.end)
    at = 0
    for citation in sorted(paper.citations, key=lambda each: each.start):
        entry = state.by_key.get(citation.key.lower())
        while at < len(written) and written[at].end <= citation.start:
            at += 1
        if at == 0 or entry is None or not entry.authors:
            continue
        said = written[at - 1]
        between = paper.text[said.end : citation.start]
        if between.strip(" [") or len(between) > 4:
            continue
        names = [name for name in said.authors if name != _MORE]
        if not any(same_surname(name, entry.authors[0]) for name in names):
            yield _disagrees(paper, said, entry, "authors")
        elif entry.year and not _same_year(entry.year, said.year):
            yield _disagrees(paper, said, entry, "year")


def _may_be_handle(paper: Paper, citation: Citation) -> bool:
    """Whether a key in Markdown may be somebody's name on some site: alone and without a digit."""
    if paper.format != "markdown" or any(letter.isdigit() for letter in citation.key):
        return False
    before = paper.text[max(0, citation.start - 400) : citation.start]
    return before.rfind("[") <= before.rfind("]")


def _missing(paper: Paper, citation: Citation, words: str) -> Flaw:
    return paper.flaw(
        "missing_entry",
        f"`{words}` is cited, and the list of references has no such entry",
        (citation.start, citation.end),
        severity="medium"
        if citation.style == "key" and not _may_be_handle(paper, citation)
        else "low",
    )


def _disagrees(paper: Paper, citation: Citation, entry: ReferenceEntry, what: str) -> Flaw:
    said = citation.year if what == "year" else ", ".join(citation.authors)
    listed = entry.year if what == "year" else ", ".join(entry.authors)
    return paper.flaw(
        "year_mismatch" if what == "year" else "author_mismatch",
        f"the text says {said}, the entry says {listed}",
        (citation.start, citation.end),
        (entry.start, entry.end),
    )


def _uncited(state: _Matching) -> Iterator[Flaw]:
    for number, entry in enumerate(state.paper.entries):
        if number not in state.cited:
            yield state.paper.flaw(
                "uncited_entry",
                "the entry is in the list of references and is cited nowhere"
                if state.paper.printed_entries
                else "the entry is in the bibliography's file and is cited nowhere",
                (entry.start, entry.end),
                severity="low" if state.paper.printed_entries else "info",
            )
