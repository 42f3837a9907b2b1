# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Reads citations and lists of references as they are printed."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from plumbrule.oversight.papers.document import Citation, ReferenceEntry, Section, word_set

_KEYED = re.compile(r"^[ \t]*(?:[-*+] )?\[((?!\^)[^\]\n]{1,100})\][ \t:]*", re.MULTILINE)
_FOOTNOTE = re.compile(r"^\[\^[^\]\n]{1,40}\]:.*$", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]*(\d{1,4})[.)][ \t]+(?=\S)", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*[-*+•][ \t]+", re.MULTILINE)
PARTICLES = (
    r"(?:(?:[Vv]an|[Vv]on|[Dd]e|[Dd]er|[Dd]en|[Dd]u|[Ll]a|[Ll]e|[Dd]i|[Dd]a|[Dd]el|[Tt]en)\s+){0,3}"
)
_NAME = rf"{PARTICLES}[A-ZÀ-Þ][\w'’-]{{1,40}}(?:\s[A-ZÀ-Þ][\w'’-]{{1,40}})?"
_FIRST_LAST = re.compile(rf"({_NAME}),\s(?:[A-ZÀ-Þ]\.?[ -]?){{1,5}}(?=[,.&;\s(]|$)")
_INITIAL_LAST = re.compile(rf"(?:[A-ZÀ-Þ]\.[ -]?){{1,4}}\s?({PARTICLES}[A-ZÀ-Þ][\w'’-]{{1,40}})")
_STARTS_ENTRY = re.compile(rf"^(?:{_NAME}),\s[A-ZÀ-Þ]")
_YEAR_IN_BRACKETS = re.compile(r"\(((?:1[6-9]|20)\d{2}[a-z]?)(?:,[^()]{1,30})?\)")
_YEAR = re.compile(r"(?<![\d/.:–-])((?:1[6-9]|20)\d{2}[a-z]?)(?![\d/–-]|\.\d)")
_DOI = re.compile(
    r"\b(?:doi\.org/|doi(?::\s*|\s+(?=10\.)))(\S+)|(?<![\w/.])(10\.\d{4,9}/\S+)", re.IGNORECASE
)
_BROKEN_DOI = (
    re.compile(r"(\b10\.)\s*\n\s*(?=\d)"),
    re.compile(r"(\b10\.\d{4,9})\s*\n\s*(?=/)"),
    re.compile(r"(\b10\.\d{4,9}/(?:[^\s,;]*[/._(-])?)\s*\n\s*(?=[\w(])"),
    re.compile(r"(\bdoi(?:\.org/|:))\s*\n\s*(?=10\.)", re.IGNORECASE),
)
"""Where the end of a line cuts a DOI: before or behind one of its signs."""
_ARXIV = re.compile(r"arxiv(?:\.org/(?:abs|pdf)/|:\s*)(\S+)", re.IGNORECASE)
_ISBN = re.compile(r"ISBN(?:-1[03])?:?\s*([\dXx][\dXx –-]{6,24}[\dXx])", re.IGNORECASE)
_PMID = re.compile(r"PMID:?\s*(\w+)", re.IGNORECASE)
_QUOTED = re.compile(r"[“\"]([^”\"]{5,400}?)[,.]?[”\"]")

MOST_CHARACTERS = 2000
"""Of one entry; what is longer is text that was taken for an entry."""


def parse_references(text: str, section: Section) -> tuple[ReferenceEntry, ...]:
    """Cut a section of references into entries and read each."""
    start = text.find("\n", section.start, section.end) + 1
    if start == 0:
        return ()
    note = _FOOTNOTE.search(text, start, section.end)
    stop = note.start() if note else section.end
    return tuple(
        read_entry(key, text[begin:end].strip(), end - len(text[begin:end].lstrip()))
        for key, begin, end in _cut(text, start, stop)
        if text[begin:end].strip()
    )


def _cut(text: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Key and span of each entry, by the first form of list that fits at least two."""
    for pattern in (_KEYED, _NUMBERED, _BULLET):
        heads = list(pattern.finditer(text, start, end))
        if len(heads) > 1 or (heads and not text[start : heads[0].start()].strip()):
            ends = [head.start() for head in heads[1:]] + [end]
            for head, stop in zip(heads, ends, strict=True):
                key = head[1].strip() if pattern is not _BULLET else ""
                yield key, head.end(), stop
            return
    yield from (("", begin, stop) for begin, stop in _paragraphs(text, start, end))


def _paragraphs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Entries without a mark: a line begins one where it starts with a name and initials."""
    at = begin = start
    for line in text[start:end].split("\n"):
        blank = not line.strip()
        if (blank or _STARTS_ENTRY.match(line)) and text[begin:at].strip():
            yield begin, at
            begin = at
        at += len(line) + 1
    if text[begin:end].strip():
        yield begin, end


def read_entry(key: str, words: str, start: int) -> ReferenceEntry:
    """Read the parts of one printed entry; a part that is not there is empty."""
    line = words[:MOST_CHARACTERS]
    for pattern in _BROKEN_DOI:
        line = pattern.sub(r"\1", line)
    line = " ".join(line.split())
    head, year, rest = _around_year(line)
    doi = _DOI.search(line)
    return ReferenceEntry(
        key=key,
        authors=_authors(head),
        year=year,
        title=_title(head, rest, line),
        doi=_trimmed(doi[1] or doi[2]) if doi else "",
        arxiv=_trimmed(_first(_ARXIV, line)),
        isbn=_first(_ISBN, line).strip(" -–"),
        pmid=_first(_PMID, line),
        text=words,
        start=start,
        end=start + len(words),
        line=0,
    )


def _first(pattern: re.Pattern[str], line: str) -> str:
    match = pattern.search(line)
    return match[1] if match else ""


def _trimmed(identifier: str) -> str:
    """Without the punctuation of the sentence around it; a bracket that it opened stays."""
    identifier = identifier.rstrip(".,;:'\"”]>")
    while identifier.endswith(")") and identifier.count(")") > identifier.count("("):
        identifier = identifier[:-1].rstrip(".,;")
    return identifier


def _around_year(line: str) -> tuple[str, str, str]:
    """What is before the year, the year, and what follows it."""
    match = _YEAR_IN_BRACKETS.search(line)
    if match:
        return line[: match.start()], match[1], line[match.end() :]
    address = _DOI.search(line) or re.search(r"https?://|arxiv", line, re.IGNORECASE)
    years = list(_YEAR.finditer(line, 0, address.start() if address else len(line)))
    if not years:
        return line, "", ""
    return line[: years[-1].start()], years[-1][1], ""


def _authors(head: str) -> tuple[str, ...]:
    """Surnames at the beginning of an entry, in either order of names."""
    head = _QUOTED.split(head)[0][:1000]
    if _FIRST_LAST.match(head):
        return tuple(match[1] for match in _FIRST_LAST.finditer(head))
    if _INITIAL_LAST.match(head):
        end = re.search(r"[a-zà-ÿ]{2}\.\s", head)
        return tuple(m[1] for m in _INITIAL_LAST.finditer(head[: end.end()] if end else head))
    words = head.split(".")[0].split(",")[0].strip(" (")
    return (words,) if words and len(words) < 100 else ()


def _title(head: str, rest: str, line: str) -> str:
    quoted = _QUOTED.search(line)
    if quoted:
        return quoted[1]
    if rest:
        return _sentence(rest.lstrip(" .,:"))
    parts = [part.strip() for part in re.split(r"(?<=[\w)’'][\w)])[.?]\s+", head) if part.strip()]
    return parts[1] if len(parts) > 1 else ""


def _sentence(words: str) -> str:
    match = re.search(r"(?<=[\w)”’][\w)”’])[.?!](?:\s|$)", words)
    return words[: match.start()] if match else words.strip()


Style = Literal["key", "number", "author_year"]

_KEY_GROUP = re.compile(r"\[([^\[\]\n]{0,200}@[^\[\]]{1,2000})\]")
_KEY = re.compile(
    r"(?<![\w.@/])-?@(?!(?:fig|figure|tbl|tab|table|eq|eqn|sec|lst|thm|alg)[:-])\{?([A-Za-z0-9_][\w:.#$%&+?<>~/-]{0,200})"
)
_NUMBERS = re.compile(r"\[(\d{1,4}(?:\s*[,;–-]\s*\d{1,4}){0,40})\](?!\()")
_NO_CITATION = re.compile(
    r"(?:\bCI\b|interval|range|scale|[=∈(]|\b[A-Za-z]|\bin|\bfrom|between)[\s:,]*$"
)
_CITED_NAME = rf"{PARTICLES}[A-ZÀ-Þ][\w'’-]{{1,40}}"
_NAMES = (
    rf"{_CITED_NAME}(?:,\s+{_CITED_NAME}){{0,5}}"
    rf"(?:,?\s+(?:and|&)\s+{_CITED_NAME}|,?\s+et\s+al\.?)?(?:['’]s)?"
)
_YEARS = r"(?:1[6-9]|20)\d{2}[a-z]?(?:\s*[,/&]\s*(?:(?:1[6-9]|20)\d{2})?[a-z]?\b)*"
_NARRATIVE = re.compile(
    rf"\b(?P<names>{_NAMES})\s*[(\[](?P<years>{_YEARS})(?:[,;]\s[^()\[\]]{{1,200}})?[)\]]"
)
_BRACKET = re.compile(r"[(\[]([^()\[\]]{4,800})[)\]]")
_IN_BRACKET = re.compile(
    rf"^\s*(?:(?:see|also|e\.g\.|cf\.|i\.e\.|for|review|a|reviewed|in|by),?\s+){{0,5}}"
    rf"(?P<names>{_NAMES}),?\s+(?P<years>{_YEARS})(?:[,:]\s.{{1,60}})?\s*$"
)
_CITED_YEAR = re.compile(r"((?:1[6-9]|20)\d{2})?([a-z]?)\b")
_NO_NAMES = word_set(
    """
    january february march april may june july august september october november december
    spring summer autumn fall winter figure fig table section chapter appendix equation
    study experiment version since until in the from between during after before wave round
    cohort census year years step model panel note data total of and for at on by with
    """
)


def citation_style(text: str, entries: Sequence[ReferenceEntry]) -> Style:
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
    return Citation(style=style, key=clean, start=start, end=end - (len(key) - len(clean)))


def _numbers(text: str) -> Iterator[Citation]:
    for match in _NUMBERS.finditer(text):
        if _NO_CITATION.search(text[max(0, match.start() - 12) : match.start()]):
            continue
        numbers = expanded(match[1], longest=50)
        if 0 in numbers:  # an interval such as [0, 1]
            continue
        for number in numbers:
            yield _citation("number", str(number), match.start(), match.end())


def expanded(words: str, *, longest: int) -> list[int]:
    """Every number of an enumeration such as "1, 3-5 and 7"; a longer run gives its ends."""
    numbers: list[int] = []
    for part in re.split(r"\s*(?:,\s*and\s|,|;|&|\sand\s)\s*", words):
        ends = [int(re.sub(r"\D", "", each)) for each in re.split(r"\s*[–-]\s*", part)]
        if len(ends) == 2 and 0 < ends[1] - ends[0] <= longest:
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
        year = _CITED_YEAR.match(part)
        if year is None or not part:
            continue
        last = year[1] or last
        year_cited = last + year[2]
        yield Citation(style="author_year", authors=authors, year=year_cited, start=start, end=end)


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
