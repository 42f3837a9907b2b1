# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Tells whether an identifier is well-formed: its form, its check digit, its date."""

import re

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
