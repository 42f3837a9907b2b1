# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Reads `.bib` files, names entries that are broken, and goes on with the next."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from plumbrule.oversight.papers.document import Entry
from plumbrule.oversight.papers.latex_words import accents, letters
from plumbrule.records import strict

_HEAD = re.compile(r"^[ \t]*@([a-zA-Z]+)[ \t]*([{(])", re.MULTILINE)
_KEY = re.compile(r"\s*([^\s,{}()=\"#%\\]{1,200})\s*,")
_FIELD = re.compile(r"\s*,?\s*([a-zA-Z][\w-]{0,60})\s*=\s*")
_BARE = re.compile(r"[\w.:+/-]+")
_NO_ENTRIES = frozenset({"comment", "preamble"})

MOST_NAMES = 200
"""Authors of one entry that are read; the checks need the first few."""

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

    entries: tuple[Entry, ...]
    broken: tuple[BrokenEntry, ...]


def parse_bibtex(text: str) -> Bibliography:
    """Read the text of a `.bib` file.

    An entry ends where its braces close, or where the next entry begins at a line's start: a
    brace that is missing costs one entry, never the rest of the file.

    Example:
        >>> parse_bibtex("@book{a, title={On}, year=1999}").entries[0].year
        '1999'
    """
    entries, broken = [], []
    strings: dict[str, str] = {month: month for month in MONTHS}
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
            strings |= fields
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


def _fields(body: str, strings: Mapping[str, str]) -> tuple[dict[str, str], str]:
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
            return fields, f"the field `{match[1]}` stands in it twice"
        fields[name] = value


def _value(body: str, at: int, strings: Mapping[str, str]) -> tuple[str, int]:
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
            parts.append(strings.get(bare[0].lower(), bare[0]))
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
) -> Entry:
    year = fields.get("year") or fields.get("date", "")[:4]
    prefix = fields.get("archiveprefix", fields.get("eprinttype", "")).lower()
    doi = re.sub(r"^(?:https?://(?:dx\.)?doi\.org/|doi:\s*)", "", plain(fields.get("doi", "")))
    return Entry(
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
