# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Checks the list of references by itself, and that citations and the list belong together."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from plumbrule.oversight.papers.document import (
    CheckResult,
    Citation,
    Flaw,
    Paper,
    ReferenceEntry,
    in_order,
    word_set,
)
from plumbrule.oversight.papers.references import author_years
from plumbrule.oversight.records import Severity

SMALL_WORDS = word_set("a an the of on in and for to with from by is are at as")
"""Words that say nothing of what a text is about."""

SAME_TITLE = 0.9
"""Similarity of two titles from which they name one work, whatever the rest says."""


def folded(words: str) -> str:
    """Letters without accents and case, anything else as single spaces.

    Example:
        >>> folded("Müller-Lüdenscheidt, K.")
        'muller ludenscheidt k'
    """
    plain = unicodedata.normalize("NFKD", words.replace("ß", "ss").replace("ø", "o"))
    letters = "".join(each for each in plain if not unicodedata.combining(each))
    return " ".join(re.findall(r"\w+", letters.lower().replace("'", "").replace("’", "")))


def same_surname(first: str, second: str) -> bool:
    """Whether two surnames are one, particles and double names aside."""
    one, other = folded(first), folded(second)
    return one == other or _core(one) == _core(other)


def _core(name: str) -> str:
    words = [word for word in name.split() if word not in _PARTICLES]
    return " ".join(words)


_PARTICLES = word_set("van von de der den du la le di da del ten ter")


def similar(first: str, second: str) -> float:
    """Similarity of two short texts, from 0 to 1; 1 for the same words."""
    one, other = folded(first), folded(second)
    if not one or not other:
        return 0.0
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def title_words(title: str) -> frozenset[str]:
    """Words of a title that tell it from others."""
    return frozenset(word for word in folded(title).split() if word not in SMALL_WORDS)


_DOI = re.compile(r"10\.\d{4,9}(?:\.\d{1,9}){0,3}/[^\s\"{}\\^|]+")
_ARXIV_NEW = re.compile(r"(\d{2})(\d{2})\.(\d{4,5})(?:v[1-9]\d?)?")
_ARXIV_OLD = re.compile(r"[a-z-]+(?:\.[A-Z]{2})?/(\d{2})(\d{2})(\d{3})(?:v[1-9]\d?)?")
_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")

FIRST_ARXIV, NEW_ARXIV, LONG_ARXIV = (91, 8), (7, 4), (15, 1)
"""Year and month: of the first identifier, of the form `0704.0001`, and of five digits."""

LARGEST_PMID = 99_999_999
"""PubMed's identifiers have at most eight digits."""


def doi_error(doi: str) -> str | None:
    """Say what is wrong with a DOI; None for a well-formed one.

    Whether it is registered cannot be told without a network.

    Source:
        DOI Handbook, ISO 26324: prefix `10.` and registrant, a slash, a suffix.

    Example:
        >>> doi_error("10.1000/xyz123"), doi_error("10.1000xyz123")
        (None, 'a DOI is `10.`, four digits or more, a slash and a suffix')
    """
    if _DOI.fullmatch(doi):
        return None
    return "a DOI is `10.`, four digits or more, a slash and a suffix"


def arxiv_error(identifier: str) -> str | None:
    """Say what is wrong with an arXiv identifier; None for a well-formed one.

    Source:
        arXiv, "Understanding the arXiv identifier": `YYMM.NNNN` from April 2007 on, with five
        digits from January 2015 on; before that an archive, a slash and `YYMMNNN`.

    Example:
        >>> arxiv_error("2212.08073"), arxiv_error("2213.08073")
        (None, '13 is no month')
    """
    identifier = re.sub(r"\s*\[.*", "", identifier)
    new = _ARXIV_NEW.fullmatch(identifier)
    old = _ARXIV_OLD.fullmatch(identifier)
    match = new or old
    if match is None:
        return "an arXiv identifier is `YYMM.NNNNN`, or for older papers `archive/YYMMNNN`"
    year, month = int(match[1]), int(match[2])
    if not 1 <= month <= 12:
        return f"{match[2]} is no month"
    if old:
        after_first = (year, month) >= FIRST_ARXIV or (year, month) < NEW_ARXIV
        return None if after_first else "that form was used from August 1991 to March 2007"
    if (year, month) < NEW_ARXIV:
        return "that form is used from April 2007 on"
    digits = 5 if (year, month) >= LONG_ARXIV else 4
    return None if len(match[3]) == digits else f"a paper of that month has {digits} digits"


def isbn_error(isbn: str) -> str | None:
    """Say what is wrong with an ISBN of 10 or 13 digits; None for a well-formed one.

    Source:
        ISO 2108: weights 10 to 1 modulo 11, or weights 1 and 3 modulo 10.

    Example:
        >>> isbn_error("978-3-16-148410-0"), isbn_error("978-3-16-148410-1")
        (None, 'its check digit should be 0')
    """
    several = [part for part in re.split(r"[,;/]|(?<=\d)\s+(?=97[89])", isbn) if part.strip()]
    if len(several) > 1:  # of the paper and the electronic edition
        return next((error for part in several if (error := isbn_error(part))), None)
    digits = re.sub(r"[\s–-]", "", isbn).upper()
    if re.fullmatch(r"\d{9}[\dX]", digits):
        total = sum((10 - i) * int(digit) for i, digit in enumerate(digits[:9]))
        expected = "0123456789X"[-total % 11]
    elif re.fullmatch(r"97[89]\d{10}", digits):
        total = sum((3 if i % 2 else 1) * int(digit) for i, digit in enumerate(digits[:12]))
        expected = str(-total % 10)
    else:
        return "an ISBN has 10 digits, or 13 that begin with 978 or 979"
    return None if digits[-1] == expected else f"its check digit should be {expected}"


def orcid_error(orcid: str) -> str | None:
    """Say what is wrong with an ORCID; None for a well-formed one.

    Source:
        ISO 7064, MOD 11-2, as ORCID uses it.

    Example:
        >>> orcid_error("0000-0002-1825-0097"), orcid_error("0000-0002-1825-0098")
        (None, 'its check digit should be 7')
    """
    if not _ORCID.fullmatch(orcid):
        return "an ORCID has four groups of four digits"
    total = 0
    for digit in orcid.replace("-", "")[:15]:
        total = (total + int(digit)) * 2
    expected = "0123456789X"[(12 - total % 11) % 11]
    return None if orcid[-1] == expected else f"its check digit should be {expected}"


def pmid_error(pmid: str) -> str | None:
    """Say what is wrong with a PubMed identifier; None for a well-formed one."""
    if re.fullmatch(r"[1-9]\d*", pmid) and int(pmid) <= LARGEST_PMID:
        return None
    return "a PMID has one to eight digits and does not begin with 0"


_IDENTIFIERS: tuple[tuple[str, str, Callable[[str], str | None]], ...] = (
    ("DOI", "doi", doi_error),
    ("arXiv identifier", "arxiv", arxiv_error),
    ("ISBN", "isbn", isbn_error),
    ("PMID", "pmid", pmid_error),
)
OTHER_TITLE = 0.6
"""Similarity under which two titles are called different."""

_ORCID_IN_TEXT = re.compile(
    r"orcid\.org/([\dX-]{10,25})|ORCID(?:\s*iD)?:?\s*([\dX]{4}-[\dX-]{8,20})"
)


def malformed_identifiers(paper: Paper, listed: Sequence[ReferenceEntry]) -> Iterator[Flaw]:
    """Identifiers of the entries listed, and ORCIDs anywhere; kind `malformed_identifier`."""
    yield from _orcids(paper)
    for entry in listed:
        for name, attribute, error in _IDENTIFIERS:
            value = getattr(entry, attribute)
            reason = error(value) if value else None
            if reason:
                message = f"the {name} `{value}` is malformed: {reason}"
                yield paper.flaw("malformed_identifier", message, entry)


def _orcids(paper: Paper) -> Iterator[Flaw]:
    for match in _ORCID_IN_TEXT.finditer(paper.text):
        value = (match[1] or match[2]).strip("-")
        reason = orcid_error(value)
        if reason:
            yield paper.flaw(
                "malformed_identifier", f"the ORCID `{value}` is malformed: {reason}", match.span()
            )


def duplicates(paper: Paper, listed: Sequence[ReferenceEntry]) -> Iterator[Flaw]:
    """Works that are listed twice; kind `duplicate_entry`."""
    seen: dict[tuple[str, str], list[ReferenceEntry]] = defaultdict(list)
    for entry in listed:
        twin = next((each for each in _rivals(seen, entry) if _same_work(each, entry)), None)
        if twin is not None:
            yield paper.flaw("duplicate_entry", _twice(twin, entry), twin, entry)
        for kind, value in _marks(entry):
            seen[kind, value].append(entry)


def _twice(one: ReferenceEntry, other: ReferenceEntry) -> str:
    if one.title and other.title and similar(one.title, other.title) < OTHER_TITLE:
        return f"two works of different titles have the DOI {other.doi}"
    return "the list of references names this work twice"


def _marks(entry: ReferenceEntry) -> Iterator[tuple[str, str]]:
    if entry.key:
        yield "key", entry.key
    if entry.doi:
        yield "doi", entry.doi.lower()
    if entry.authors and entry.year:
        yield "work", f"{surname_key(entry.authors[0])} {entry.year[:4]}"


def _rivals(
    seen: dict[tuple[str, str], list[ReferenceEntry]], entry: ReferenceEntry
) -> Iterator[ReferenceEntry]:
    for mark in _marks(entry):
        yield from seen[mark][:50]


def _same_work(one: ReferenceEntry, other: ReferenceEntry) -> bool:
    if one.key and one.key == other.key:
        return True
    if one.doi and other.doi:
        return one.doi.lower() == other.doi.lower()
    return similar(one.title, other.title) >= SAME_TITLE


def surname_key(name: str) -> str:
    """Last word of a surname, without accents and case: what entries are filed under."""
    words = folded(name).split()
    return words[-1] if words else ""


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
    message = f"`{words}` is cited, and the list of references has no such entry"
    sure = citation.style == "key" and not _may_be_handle(paper, citation)
    return paper.flaw("missing_entry", message, citation, severity="medium" if sure else "low")


def _disagrees(paper: Paper, citation: Citation, entry: ReferenceEntry, what: str) -> Flaw:
    said = citation.year if what == "year" else ", ".join(citation.authors)
    listed = entry.year if what == "year" else ", ".join(entry.authors)
    kind = "year_mismatch" if what == "year" else "author_mismatch"
    return paper.flaw(kind, f"the text says {said}, the entry says {listed}", citation, entry)


def _uncited(state: _Matching) -> Iterator[Flaw]:
    printed = state.paper.printed_entries
    place = "list of references" if printed else "bibliography's file"
    message = f"the entry is in the {place} and is cited nowhere"
    severity: Severity = "low" if printed else "info"
    for number, entry in enumerate(state.paper.entries):
        if number not in state.cited:
            yield state.paper.flaw("uncited_entry", message, entry, severity=severity)
