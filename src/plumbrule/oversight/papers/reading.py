"""Reads a scientific paper from a file: Markdown, LaTeX, plain text or PDF."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from plumbrule.errors import DataError
from plumbrule.files import absent
from plumbrule.oversight.papers.bibliographies import parse_bibtex
from plumbrule.oversight.papers.document import (
    Citation,
    Format,
    Paper,
    ReferenceEntry,
    Section,
    word_set,
)
from plumbrule.oversight.papers.latex import UNREAD_ITEMS, SourceReader, latex_text
from plumbrule.oversight.papers.markup import AT, Veil, decoded, markdown_text, uncover
from plumbrule.oversight.papers.pages import in_one_column, pdf_pages, without_line_numbers
from plumbrule.oversight.papers.references import citation_style, find_citations, parse_references
from plumbrule.oversight.papers.structure import (
    find_abstract,
    find_references,
    find_sections,
    find_tables,
    split_sentences,
)

FORMATS: dict[str, Format] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".tex": "latex",
    ".ltx": "latex",
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
    ".pdf": "pdf",
}

LARGEST_FILE = 200 * 2**20
"""Bytes."""

LONGEST_TEXT = 10_000_000
"""Characters that are read; some 3,000 pages."""

NOT_ENGLISH = (
    "the paper does not seem to be in English: the checks read English, and what they do not find "
    "says little"
)

_QUIET = re.compile(" ?\ue002([^\ue003]{1,200})\ue003")
_ENGLISH = word_set(
    """
    the of and to in a is that for with was were are as by on from this we be or which at it
    an
    """
)
_FEWEST_WORDS, _FEWEST_ENGLISH = 100, 0.12
"""English prose has 0.25 to 0.45 of its words among those above; other languages under 0.08."""


def read_paper(path: Path) -> Paper:
    """Read a paper.

    Args:
        path: A file whose ending names its format: `.md`, `.tex`, `.txt` or `.pdf`.

    Returns:
        Its text with all structures found. What could not be read is in `not_read`.

    Raises:
        DataError: The file is missing, empty, binary, too large, encrypted, without text, or of
            an unknown format.
        ConfigError: It is a PDF, and the library for it is not installed.
    """
    form = _format(path)
    veil = Veil()
    if form == "pdf":
        pages, notes = pdf_pages(path, veil)
        text, columns = in_one_column(without_line_numbers("\n\f".join(pages)))
        return _assemble(path, form, text, veil, [], [*notes, *columns])
    source = _decode(path)
    if form == "latex":
        text, names, found = latex_text(source, path.parent, veil)
        return _assemble(path, form, text, veil, names, list(found))
    if form == "markdown":
        text, names = markdown_text(uncover(source, veil), veil)
        return _assemble(path, form, text, veil, names, [])
    text, columns = in_one_column(without_line_numbers(uncover(source, veil)))
    return _assemble(path, form, text.replace("\f", "\n"), veil, [], list(columns))


def _format(path: Path) -> Format:
    if not path.is_file():
        raise DataError(f"expected a paper, got {absent(path)}")
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise DataError(
            f"expected a paper as {', '.join(FORMATS)}, got {path.name}; convert it, such as with "
            "pandoc, or give it the ending of what it is"
        )
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"expected a paper that can be read, {path} cannot: {error.strerror}; check its rights"
        ) from error
    if size == 0:
        raise DataError(f"{path} is empty; give the file that holds the paper")
    if size > LARGEST_FILE:
        raise DataError(
            f"expected at most {LARGEST_FILE / 2**20:.0f} MiB, {path} has {size / 2**20:.0f} MiB; "
            "give the paper without its data"
        )
    return form


def _decode(path: Path) -> str:
    raw = path.read_bytes()
    if raw.startswith(b"%PDF-"):
        raise DataError(f"{path} is a PDF by its content; give it the ending .pdf")
    text = decoded(raw)
    if "\x00" in text:
        raise DataError(f"{path} is a binary file; give the paper as Markdown, LaTeX, text or PDF")
    odd = sum(1 for letter in text[:20_000] if ord(letter) < 32 and letter not in "\t\n\r\f")
    if odd > 0.02 * min(len(text), 20_000):
        raise DataError(f"{path} is a binary file; give the paper as Markdown, LaTeX, text or PDF")
    if not text.strip():
        raise DataError(f"{path} holds no text; give the file that holds the paper")
    return text


def _assemble(
    path: Path, form: Format, text: str, veil: Veil, files: Sequence[str], notes: list[str]
) -> Paper:
    quiet = [match[1] for match in _QUIET.finditer(text)]
    text, hidden = veil.lift(_QUIET.sub("", text)[:LONGEST_TEXT])
    if len(text) == LONGEST_TEXT:
        notes.append(f"what follows after {LONGEST_TEXT:,} characters was not read")
    pages = tuple([0, *(match.end() for match in re.finditer("\f", text))]) if form == "pdf" else ()
    text = text.replace("\f", "\n")
    marked = form in ("markdown", "latex")
    if not marked:
        text = text.replace("@", AT)  # nobody cites by key in print
    references = find_references(text, find_sections(text, marked=marked))
    entries: tuple[ReferenceEntry, ...] = ()
    missing: list[str] = []
    if files and (form == "latex" or references is None or not _lists(text, references)):
        text, entries, missing = _add_files(text, path, files, notes)
    sections = find_sections(text, marked=marked)
    references = find_references(text, sections)
    if references is not None and not entries:
        entries = parse_references(text, references)
    if UNREAD_ITEMS in notes:
        missing.append("the list in the paper")
    citations = _citations(text, references, entries)
    text = text.replace(AT, "@")
    notes += _doubts(text, references, entries)
    return Paper(
        name=path.name,
        format=form,
        text=text,
        sections=sections,
        sentences=split_sentences(text),
        tables=find_tables(text, aligned=form == "text"),
        citations=(*citations, *_quiet(quiet, entries, text)),
        entries=entries,
        abstract=find_abstract(text, sections),
        references=references,
        hidden=hidden,
        printed_entries=not any(entry.line for entry in entries),
        page_starts=pages,
        not_read=tuple(dict.fromkeys(notes)),
        missing_lists=tuple(missing),
    )


def _lists(text: str, references: Section) -> bool:
    """Whether works are printed under the heading; papers for pandoc leave it empty."""
    return any(entry.year for entry in parse_references(text, references))


def _citations(
    text: str, references: Section | None, entries: Sequence[ReferenceEntry]
) -> tuple[Citation, ...]:
    """Citations outside the list of references."""
    found = find_citations(text, citation_style(text, entries))
    if references is None:
        return found
    return tuple(each for each in found if not references.start <= each.start < references.end)


def _quiet(keys: Sequence[str], entries: Sequence[ReferenceEntry], text: str) -> list[Citation]:
    r"""Works that `\nocite` names: used, but at no place of the text."""
    every = [entry.key for entry in entries] if "*" in keys else []
    return [
        Citation(style="key", key=key, start=len(text), end=len(text))
        for key in [*(key for key in keys if key != "*"), *every]
    ]


def _add_files(
    text: str, path: Path, names: Sequence[str], notes: list[str]
) -> tuple[str, tuple[ReferenceEntry, ...], list[str]]:
    """Print the entries of `.bib` files under the text, as a compiler would.

    Returns:
        The text, the entries, and the files that were not found.
    """
    reader = SourceReader(path.parent, Veil())
    parts, entries, missing = [text.rstrip(), "\n\n# References\n"], [], []
    length = sum(map(len, parts))
    keys = {citation.key for citation in find_citations(text, "key")}
    for name in names:
        file = reader.inside(name, ".bib")
        if file is None:
            missing.append(name)
            continue
        source = decoded(file.read_bytes())
        try:
            found = parse_bibtex(source)
        except DataError as error:
            raise DataError(f"{file}: {error}") from error
        notes += [
            f"{file.name}, line {each.line}: the entry {each.key or 'there'} is broken: "
            f"{each.reason}"
            for each in found.broken
        ]
        whole = {entry.key for entry in found.entries}
        if any(not each.key for each in found.broken):
            missing.append(f"{name}, of which an entry could not be read")
        # An entry of which nothing else could be read: whoever cites it cites something.
        stubs = [
            ReferenceEntry(key=key, text=key, start=0, end=0, line=1)
            for key in sorted(keys - whole)
            if _named(key, source)
        ]
        for entry in (*found.entries, *stubs):
            line = printed(entry)
            start = length + len(f"\n[{entry.key}] ")
            entries.append(replace(entry, text=line, start=start, end=start + len(line)))
            parts.append(f"\n[{entry.key}] {line}\n")
            length += len(parts[-1])
    notes += reader.notes
    if not entries:
        return text, (), missing
    return "".join(parts), tuple(entries), missing


def _named(key: str, source: str) -> bool:
    """Whether a `.bib` file holds a key all the same: in an unread entry, or as another's alias."""
    name = re.escape(key)
    entry = re.search(rf"@\w{{1,30}}\s*[{{(]\s*{name}\s*,", source, re.IGNORECASE)
    alias = re.search(rf"\bids\s*=\s*[{{\"][^{{}}\"]{{0,500}}(?<![\w:-]){name}(?![\w:-])", source)
    return entry is not None or alias is not None


def printed(entry: ReferenceEntry) -> str:
    """An entry of a `.bib` file on one line."""
    parts = [", ".join(entry.authors), f"({entry.year})" if entry.year else "", entry.title]
    numbers = {"doi:": entry.doi, "arXiv:": entry.arxiv, "ISBN ": entry.isbn, "PMID ": entry.pmid}
    parts += [mark + number for mark, number in numbers.items() if number]
    return ". ".join(part for part in parts if part) + "."


def _doubts(text: str, references: Section | None, entries: Sequence[ReferenceEntry]) -> list[str]:
    notes = []
    words = re.findall(r"[^\W\d_]+", text[:200_000].lower())
    share = sum(word in _ENGLISH for word in words) / max(1, len(words))
    if len(words) >= _FEWEST_WORDS and share < _FEWEST_ENGLISH:
        notes.append(NOT_ENGLISH)
    if references is None:
        notes.append("no list of references was found: citations were not checked against it")
    elif not entries:
        notes.append("the list of references has no entry that could be read")
    return notes
