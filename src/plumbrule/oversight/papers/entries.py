# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Checks the entries of a list by themselves: names, identifiers, works named twice."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher

from plumbrule.oversight.papers.document import Flaw, Paper, ReferenceEntry, word_set

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
                yield paper.flaw(
                    "malformed_identifier",
                    f"the {name} `{value}` is malformed: {reason}",
                    (entry.start, entry.end),
                )


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
            yield paper.flaw(
                "duplicate_entry",
                _twice(twin, entry),
                (twin.start, twin.end),
                (entry.start, entry.end),
            )
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
