# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Finds citations in a text: keys, numbers, or authors and year."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from plumbrule.oversight.papers.document import Citation, Entry

Style = Literal["key", "number", "author_year"]

_KEY_GROUP = re.compile(r"\[([^\[\]\n]{0,200}@[^\[\]]{1,2000})\]")
_KEY = re.compile(
    r"(?<![\w.@/])-?@(?!(?:fig|figure|tbl|tab|table|eq|eqn|sec|lst|thm|alg)[:-])\{?([A-Za-z0-9_][\w:.#$%&+?<>~/-]{0,200})"
)
_NUMBERS = re.compile(r"\[(\d{1,4}(?:\s*[,;–-]\s*\d{1,4}){0,40})\](?!\()")
_NO_CITATION = re.compile(
    r"(?:\bCI\b|interval|range|scale|[=∈(]|\b[A-Za-z]|\bin|\bfrom|between)[\s:,]*$"
)
PARTICLES = (
    r"(?:(?:[Vv]an|[Vv]on|[Dd]e|[Dd]er|[Dd]en|[Dd]u|[Ll]a|[Ll]e|[Dd]i|[Dd]a|[Dd]el|[Tt]en)\s+){0,3}"
)
_NAME = rf"{PARTICLES}[A-ZÀ-Þ][\w'’-]{{1,40}}"
_NAMES = rf"{_NAME}(?:,\s+{_NAME}){{0,5}}(?:,?\s+(?:and|&)\s+{_NAME}|,?\s+et\s+al\.?)?(?:['’]s)?"
_YEARS = r"(?:1[6-9]|20)\d{2}[a-z]?(?:\s*[,/&]\s*(?:(?:1[6-9]|20)\d{2})?[a-z]?\b)*"
_NARRATIVE = re.compile(
    rf"\b(?P<names>{_NAMES})\s*[(\[](?P<years>{_YEARS})(?:[,;]\s[^()\[\]]{{1,200}})?[)\]]"
)
_BRACKET = re.compile(r"[(\[]([^()\[\]]{4,800})[)\]]")
_IN_BRACKET = re.compile(
    rf"^\s*(?:(?:see|also|e\.g\.|cf\.|i\.e\.|for|review|a|reviewed|in|by),?\s+){{0,5}}"
    rf"(?P<names>{_NAMES}),?\s+(?P<years>{_YEARS})(?:[,:]\s.{{1,60}})?\s*$"
)
_YEAR = re.compile(r"((?:1[6-9]|20)\d{2})?([a-z]?)\b")
_NO_NAMES = frozenset(
    [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "spring",
        "summer",
        "autumn",
        "fall",
        "winter",
        "figure",
        "fig",
        "table",
        "section",
        "chapter",
        "appendix",
        "equation",
        "study",
        "experiment",
        "version",
        "since",
        "until",
        "in",
        "the",
        "from",
        "between",
        "during",
        "after",
        "before",
        "wave",
        "round",
        "cohort",
        "census",
        "year",
        "years",
        "step",
        "model",
        "panel",
        "note",
        "data",
        "total",
        "of",
        "and",
        "for",
        "at",
        "on",
        "by",
        "with",
    ]
)


def citation_style(text: str, entries: Sequence[Entry]) -> Style:
    """Tell how a paper cites, from its entries, or else from what is most frequent."""
    keys = [each.key for each in entries if each.key]
    if keys and len(keys) == len(entries):
        return "number" if all(key.isdigit() for key in keys) else "key"
    if entries:
        return "author_year"
    counts: dict[Style, int] = {
        "key": sum(1 for _ in _keys(text)),
        "number": sum(1 for _ in _numbers(text)),
        "author_year": sum(1 for _ in author_years(text)),
    }
    return max(counts, key=lambda style: counts[style])


def find_citations(text: str, style: Style) -> tuple[Citation, ...]:
    """Find every citation of one style, in the order of the text."""
    finder = {"key": _keys, "number": _numbers, "author_year": author_years}[style]
    return tuple(sorted(finder(text), key=lambda each: (each.start, each.end)))


def _keys(text: str) -> Iterator[Citation]:
    inside: list[tuple[int, int]] = []
    for group in _KEY_GROUP.finditer(text):
        inside.append(group.span())
        for match in _KEY.finditer(text, group.start(), group.end()):
            yield _citation("key", match[1], match.start(), match.end())
    at = 0
    for match in _KEY.finditer(text):
        while at < len(inside) and inside[at][1] <= match.start():
            at += 1
        if at == len(inside) or match.start() < inside[at][0]:
            yield _citation("key", match[1], match.start(), match.end())


def _citation(style: Literal["key", "number"], key: str, start: int, end: int) -> Citation:
    clean = key.rstrip(".,;:?")
    return Citation(
        style=style, key=clean, authors=(), year="", start=start, end=end - (len(key) - len(clean))
    )


def _numbers(text: str) -> Iterator[Citation]:
    for match in _NUMBERS.finditer(text):
        if _NO_CITATION.search(text[max(0, match.start() - 12) : match.start()]):
            continue
        numbers = _expanded(match[1])
        if 0 in numbers:  # an interval such as [0, 1]
            continue
        for number in numbers:
            yield _citation("number", str(number), match.start(), match.end())


def _expanded(words: str) -> list[int]:
    numbers: list[int] = []
    for part in re.split(r"\s*[,;]\s*", words):
        ends = [int(each) for each in re.split(r"\s*[–-]\s*", part)]
        if len(ends) == 2 and 0 < ends[1] - ends[0] <= 50:
            numbers.extend(range(ends[0], ends[1] + 1))
        else:
            numbers.extend(ends)
    return numbers


def author_years(text: str) -> Iterator[Citation]:
    """Citations such as `Lee and Wu (2019)` and `(Lee et al., 2019a, 2019b; Wu, 2020)`."""
    for match in _NARRATIVE.finditer(text):
        yield from _works(match["names"], match["years"], match.start(), match.end())
    for bracket in _BRACKET.finditer(text):
        at = bracket.start(1)
        for part in bracket[1].split(";"):
            work = _IN_BRACKET.match(part)
            if work:
                start, end = at + work.start("names"), at + work.end("years")
                yield from _works(work["names"], work["years"], start, end)
            at += len(part) + 1


def _works(names: str, years: str, start: int, end: int) -> Iterator[Citation]:
    authors = split_names(names)
    if not authors or authors[0].lower() in _NO_NAMES or len(authors[0]) < 2:
        return
    last = ""
    for part in re.split(r"\s*[,/&]\s*", years):
        year = _YEAR.match(part)
        if year is None or not part:
            continue
        last = year[1] or last
        yield Citation(
            style="author_year",
            key="",
            authors=authors,
            year=last + year[2],
            start=start,
            end=end,
        )


def split_names(names: str) -> tuple[str, ...]:
    """Surnames of a citation; `et al` stays as a last name, since it stands for more.

    Example:
        >>> split_names("Lee, Wu, and van Dam"), split_names("Lee et al.")
        (('Lee', 'Wu', 'van Dam'), ('Lee', 'et al'))
    """
    names = re.sub(r"['’]s$", "", " ".join(names.split()))
    more = re.search(r",?\s+et\s+al\.?$", names)
    if more:
        names = names[: more.start()]
    parts = [part.strip() for part in re.split(r",\s*(?:and|&)\s+|\s+(?:and|&)\s+|,\s+", names)]
    found = [part for part in parts if part]
    return (*found, "et al") if more else tuple(found)
