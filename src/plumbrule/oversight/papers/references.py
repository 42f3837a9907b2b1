# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Reads a list of references as it is printed: numbers, keys, or author and year."""

import re
from collections.abc import Iterator

from plumbrule.oversight.papers.document import Entry, Section

_KEYED = re.compile(r"^[ \t]*(?:[-*+] )?\[((?!\^)[^\]\n]{1,100})\][ \t:]*", re.MULTILINE)
_FOOTNOTE = re.compile(r"^\[\^[^\]\n]{1,40}\]:.*$", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]*(\d{1,4})[.)][ \t]+(?=\S)", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*[-*+•][ \t]+", re.MULTILINE)
_PARTICLE = (
    r"(?:(?:[Vv]an|[Vv]on|[Dd]e|[Dd]er|[Dd]en|[Dd]u|[Ll]a|[Ll]e|[Dd]i|[Dd]a|[Dd]el|[Tt]en)\s+){0,3}"
)
_NAME = rf"{_PARTICLE}[A-ZÀ-Þ][\w'’-]{{1,40}}(?:\s[A-ZÀ-Þ][\w'’-]{{1,40}})?"
_FIRST_LAST = re.compile(rf"({_NAME}),\s(?:[A-ZÀ-Þ]\.?[ -]?){{1,5}}(?=[,.&;\s(]|$)")
_INITIAL_LAST = re.compile(rf"(?:[A-ZÀ-Þ]\.[ -]?){{1,4}}\s?({_PARTICLE}[A-ZÀ-Þ][\w'’-]{{1,40}})")
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


def parse_references(text: str, section: Section) -> tuple[Entry, ...]:
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


def read_entry(key: str, words: str, start: int) -> Entry:
    """Read the parts of one printed entry; a part that is not there is empty."""
    line = words[:MOST_CHARACTERS]
    for pattern in _BROKEN_DOI:
        line = pattern.sub(r"\1", line)
    line = " ".join(line.split())
    head, year, rest = _around_year(line)
    doi = _DOI.search(line)
    return Entry(
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
    """What stands before the year, the year, and what follows it."""
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
