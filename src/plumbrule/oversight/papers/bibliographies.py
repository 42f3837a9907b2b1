# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Reads `.bib` files, and compares a paper's list of references with one that is trusted."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plumbrule.errors import DataError
from plumbrule.files import absent
from plumbrule.oversight.papers.citations import (
    OTHER_TITLE,
    SAME_TITLE,
    same_surname,
    similar,
    title_words,
)
from plumbrule.oversight.papers.document import CheckResult, Flaw, Paper, ReferenceEntry, in_order
from plumbrule.oversight.papers.latex import LARGEST_SOURCE
from plumbrule.oversight.papers.markup import accents, decoded, letters
from plumbrule.records import strict

_HEAD = re.compile(r"^[ \t]*@([a-zA-Z]+)[ \t]*([{(])", re.MULTILINE)
_KEY = re.compile(r"\s*([^\s,{}()=\"#%\\]{1,200})\s*,")
_FIELD = re.compile(r"\s*,?\s*([a-zA-Z][\w-]{0,60})\s*=\s*")
_BARE = re.compile(r"[\w.:+/-]+")
_NO_ENTRIES = frozenset({"comment", "preamble"})

MOST_NAMES = 200
"""Authors of one entry that are read; the checks need the first few."""

LARGEST_GROWTH = 1_000_000
"""Characters that a file's `@string` values may add; each that repeats others doubles them."""

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


@strict
@dataclass(frozen=True, kw_only=True)
class BrokenEntry:
    """An entry that could not be read, or not whole."""

    line: int
    """In the file, counted from 1."""

    key: str
    """Empty where not even the key could be read."""

    reason: str


@strict
@dataclass(frozen=True, kw_only=True)
class Bibliography:
    """The entries of a file, and those that are broken."""

    entries: tuple[ReferenceEntry, ...]
    broken: tuple[BrokenEntry, ...]


def parse_bibtex(text: str) -> Bibliography:
    """Read the text of a `.bib` file.

    An entry ends where its braces close, or where the next entry begins at a line's start: a
    brace that is missing costs one entry, never the rest of the file.

    Raises:
        DataError: What its `@string` values stand for grows beyond `LARGEST_GROWTH`.

    Example:
        >>> parse_bibtex("@book{a, title={On}, year=1999}").entries[0].year
        '1999'
    """
    entries, broken = [], []
    strings = _Strings()
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    line, counted = 1, 0
    for head, end in zip(heads, ends, strict=False):
        line += text.count("\n", counted, head.start())
        counted = head.start()
        kind = head[1].lower()
        if kind in _NO_ENTRIES:
            continue
        if kind == "string":
            fields, _ = _fields(text[head.end() : end], strings)
            strings.define(fields)
            continue
        key = _KEY.match(text, head.end(), end)
        if key is None:
            broken.append(BrokenEntry(line=line, key="", reason="it has no key before a comma"))
            continue
        fields, reason = _fields(text[key.end() : end], strings)
        if reason:
            broken.append(BrokenEntry(line=line, key=key[1], reason=reason))
        if fields:
            entries.append(_entry(key[1], fields, text, head.start(), end, line))
        elif not reason:
            broken.append(BrokenEntry(line=line, key=key[1], reason="it has no fields"))
    return Bibliography(entries=tuple(entries), broken=tuple(broken))


class _Strings:
    """What `@string` defines, and how much of it was put in so far."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {month: month for month in MONTHS}
        self._added = 0

    def define(self, fields: Mapping[str, str]) -> None:
        """Take note of values; a later one counts."""
        self._values |= fields

    def value(self, word: str) -> str:
        """What a word outside braces stands for: itself, where nothing defines it."""
        found = self._values.get(word.lower(), word)
        self._added += len(found) - len(word)
        if self._added > LARGEST_GROWTH:
            raise DataError(
                f"expected a bibliography whose @string values add at most {LARGEST_GROWTH:,} "
                f"characters, they grow beyond that at `{word}`; write the values out"
            )
        return found


def _fields(body: str, strings: _Strings) -> tuple[dict[str, str], str]:
    """Fields up to the end of the entry, and what is wrong; what was read before that is kept."""
    fields: dict[str, str] = {}
    at = 0
    while True:
        match = _FIELD.match(body, at)
        if match is None:
            rest = body[at:].lstrip(" \t\n,")
            closed = rest[:1] in ("}", ")")
            return fields, "" if closed else f"it cannot be read from {rest[:30].strip()!r} on"
        value, at = _value(body, match.end(), strings)
        if at < 0:
            return fields, f"the field `{match[1]}` never closes"
        name = match[1].lower()
        if name in fields:
            return fields, f"the field `{match[1]}` occurs in it twice"
        fields[name] = value


def _value(body: str, at: int, strings: _Strings) -> tuple[str, int]:
    """A value with its `#` joints, and where it ends; -1 where it never does."""
    parts = []
    while True:
        if body[at : at + 1] in ("{", '"'):
            end = _closing(body, at)
            if end < 0:
                return "", -1
            parts.append(body[at + 1 : end])
            at = end + 1
        else:
            bare = _BARE.match(body, at)
            if bare is None:
                return "", -1
            parts.append(strings.value(bare[0]))
            at = bare.end()
        joint = re.compile(r"\s*#\s*").match(body, at)
        if joint is None:
            return "".join(parts), at
        at = joint.end()


def _closing(body: str, at: int) -> int:
    depth = 0
    quoted = body[at] == '"'
    for match in re.compile(r"\\.|[{}\"]", re.DOTALL).finditer(body, at + 1 if quoted else at):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0 and not quoted:
                return match.start()
        elif match[0] == '"' and quoted and depth == 0:
            return match.start()
        if depth < 0:
            return -1
    return -1


def plain(value: str) -> str:
    """A field as it is printed: accents as letters, no braces, single spaces."""
    value = letters(accents(value)).replace("\\&", "&").replace("~", " ").replace("--", "–")
    return " ".join(re.sub(r"\\[a-zA-Z]+\s?|[{}]", "", value).split())


def surnames(authors: str) -> tuple[str, ...]:
    """Surnames of a list joined by `and`; a name in double braces is a body and kept whole.

    Example:
        >>> surnames("Smith, Jane and Ludwig van Beethoven and {World Health Organization}")
        ('Smith', 'van Beethoven', 'World Health Organization')
    """
    found = []
    for name in re.split(r"\s+and\s+", authors.strip(), maxsplit=MOST_NAMES):
        if name.startswith("{") and name.endswith("}") and "," not in name:
            found.append(plain(name))
        elif "," in name:
            found.append(plain(name.split(",")[0]))
        elif plain(name):
            words = plain(name).split()
            at = next((i for i, word in enumerate(words[:-1]) if word[0].islower() and i), None)
            found.append(" ".join(words[at:]) if at is not None else words[-1])
    return tuple(name for name in found if name and name.lower() != "others")


def _entry(
    key: str, fields: Mapping[str, str], text: str, start: int, end: int, line: int
) -> ReferenceEntry:
    year = fields.get("year") or fields.get("date", "")[:4]
    prefix = fields.get("archiveprefix", fields.get("eprinttype", "")).lower()
    doi = re.sub(r"^(?:https?://(?:dx\.)?doi\.org/|doi:\s*)", "", plain(fields.get("doi", "")))
    return ReferenceEntry(
        key=key,
        authors=surnames(fields.get("author", fields.get("editor", ""))),
        year=plain(year),
        title=plain(fields.get("title", "")),
        doi=doi.replace("\\_", "_"),
        arxiv=plain(fields.get("eprint", "")) if prefix == "arxiv" else "",
        isbn=plain(fields.get("isbn", "")).replace("–", "-"),
        pmid=plain(fields.get("pmid", "")),
        text=text[start:end].strip(),
        start=start,
        end=start + len(text[start:end].rstrip()),
        line=line,
    )


MOST_CANDIDATES = 20
"""Works of the bibliography whose titles are compared with one entry's, the closest first."""


def read_bibliography(path: Path) -> str:
    """The text of a `.bib` file in which at least one entry can be read.

    Raises:
        DataError: The file is missing, too large, cannot be read or holds no entry.
    """
    if not path.is_file():
        raise DataError(f"expected a bibliography, got {absent(path)}")
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_SOURCE + 1)
    except OSError as error:
        raise DataError(
            f"expected a bibliography that can be read, {path} cannot: {error.strerror}"
        ) from error
    if len(raw) > LARGEST_SOURCE:
        raise DataError(
            f"expected a bibliography of at most {LARGEST_SOURCE:,} bytes, {path} has more; give "
            "one of the works that matter here"
        )
    text = decoded(raw)
    try:
        entries = parse_bibtex(text).entries
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if not entries:
        raise DataError(f"{path} holds no BibTeX entry that can be read; check the file")
    return text


def check_bibliography(paper: Paper, path: Path) -> CheckResult:
    """Compare each entry of a paper with the same work in a `.bib` file.

    Works are the same if their DOI is, or if their titles are alike. Kinds: `entry_disagrees`,
    `entry_not_in_bibliography`, `broken_entry`.

    Raises:
        DataError: As `read_bibliography` says.
    """
    return compare_entries(paper, read_bibliography(path), path.name)


def compare_entries(paper: Paper, bibliography: str, name: str) -> CheckResult:
    """The same with the text of a `.bib` file and its name."""
    found = parse_bibtex(bibliography)
    index = _Index(found.entries)
    flaws: list[Flaw] = []
    not_checked = [
        f"{name}, line {each.line}: the entry {each.key or 'there'} is broken: {each.reason}"
        for each in found.broken
    ]
    for entry in paper.entries:
        if not entry.title and not entry.doi:
            not_checked.append(f"no title could be read in the entry `{entry.text[:60]}`")
            continue
        known = index.find(entry)
        if known is None:
            message = f"no work in {name} has this title or DOI"
            flaws.append(paper.flaw("entry_not_in_bibliography", message, entry))
            continue
        for what, ours, theirs in _differences(entry, known):
            message = f"the {what} is {ours} in the paper and {theirs} in the bibliography"
            flaws.append(paper.flaw("entry_disagrees", message, entry))
    return CheckResult(
        name="bibliography",
        checked=len(paper.entries),
        flaws=in_order(flaws),
        not_checked=tuple(not_checked),
    )


class _Index:
    """Finds the work that an entry means without comparing it with all of them."""

    def __init__(self, entries: Sequence[ReferenceEntry]) -> None:
        self._entries = entries
        self._by_doi = {each.doi.lower(): each for each in entries if each.doi}
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for number, entry in enumerate(entries):
            for word in title_words(entry.title):
                self._by_word[word].append(number)

    def find(self, entry: ReferenceEntry) -> ReferenceEntry | None:
        """The work of the same title, or else of the same DOI; None where there is none."""
        words = sorted(title_words(entry.title), key=lambda word: len(self._by_word.get(word, ())))
        shared = Counter(
            number for word in words[:8] for number in self._by_word.get(word, ())[:500]
        )
        best, score = None, SAME_TITLE - 0.05
        for number, _ in shared.most_common(MOST_CANDIDATES):
            alike = similar(entry.title, self._entries[number].title)
            if alike > score:
                best, score = self._entries[number], alike
        return best or self._by_doi.get(entry.doi.lower())


def _differences(entry: ReferenceEntry, known: ReferenceEntry) -> Iterator[tuple[str, str, str]]:
    if entry.year and known.year and entry.year[:4] != known.year[:4]:
        yield "year", entry.year, known.year
    if entry.authors and known.authors and not same_surname(entry.authors[0], known.authors[0]):
        yield "first author", entry.authors[0], known.authors[0]
    if entry.title and known.title and similar(entry.title, known.title) < OTHER_TITLE:
        yield "title", f"“{entry.title}”", f"“{known.title}”"
    if entry.doi and known.doi and entry.doi.lower() != known.doi.lower():
        yield "DOI", entry.doi, known.doi
