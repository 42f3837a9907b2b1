"""Reads the text of a PDF page by page, and which of it is printed invisibly."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight.papers.hiding import Veil, uncover

MOST_PAGES = 1000
"""Pages that are read; the rest is named as not read."""

FEWEST_LETTERS = 20
"""Letters a page on average, below which a file is taken for pictures of pages."""

_SHOWS_TEXT = frozenset({b"Tj", b"TJ", b"'", b'"'})


def pdf_pages(path: Path, veil: Veil) -> tuple[list[str], tuple[str, ...]]:
    """Read every page.

    Args:
        path: The file.
        veil: Takes what is printed in white or in the invisible mode; it stays in the text too,
            since white letters can also stand on a dark ground.

    Returns:
        The text of each page, and what was not read.

    Raises:
        ConfigError: The library that reads PDF is not installed.
        DataError: The file is encrypted, damaged, or holds no text.
    """
    try:
        import pypdf
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise ConfigError(
            "reading a PDF needs the library pypdf, which is not installed; install it with "
            "`pip install 'plumbrule[papers]'`, or give the paper as Markdown, LaTeX or text"
        ) from error
    notes: list[str] = []
    pages: list[str] = []
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError(
                f"{path} is encrypted; save a copy without a password and give that one"
            )
        count = len(reader.pages)
        for number in range(min(count, MOST_PAGES)):
            pages.append(_page(reader.pages[number], number, veil, notes))
    except DataError:
        raise
    except (PyPdfError, ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a PDF: {error}; save it anew from its source, or give the "
            "paper as Markdown, LaTeX or text"
        ) from error
    if count > MOST_PAGES:
        notes.append(f"pages {MOST_PAGES + 1} to {count} were not read: the document is too long")
    if sum(letter.isalpha() for page in pages for letter in page) < FEWEST_LETTERS * len(pages):
        raise DataError(
            f"{path} has {count} pages and almost no text: it looks like a scan. Run text "
            "recognition on it first (such as ocrmypdf), and give what that writes"
        )
    notes.append("tables of a PDF were not read: their columns are lost")
    return pages, tuple(notes)


def _page(page: Any, number: int, veil: Veil, notes: list[str]) -> str:
    """Text of one page; a page that fails is named and the others are read."""
    ink = _Ink()
    try:
        text = page.extract_text(visitor_operand_before=ink.before, visitor_text=ink.text) or ""
    except Exception as error:  # a library that reads hostile files can fail in any way
        notes.append(f"page {number + 1} was not read: {type(error).__name__}: {error}")
        return ""
    clean = uncover(_joined(str(text)).replace("\f", " "), veil)
    return clean + "".join(veil.hide(words, "white text") for words in ink.unseen())


def _joined(page: str) -> str:
    """Join words that a line's end cuts in two."""
    return re.sub(r"(?<=[a-z])-\n(?=[a-z])", "", page)


class _Ink:
    """Follows the color of a page's letters while they are read."""

    def __init__(self) -> None:
        self._white = False
        self._invisible = False
        self._saved: list[tuple[bool, bool]] = []
        self._shown: set[bool] = set()
        self._pieces: list[str] = []
        self._open = False

    def before(self, operator: bytes, operands: Sequence[Any], *_: object) -> None:
        """Take note of one drawing instruction."""
        if operator in (b"g", b"rg"):
            self._white = bool(operands) and all(_number(each) >= 0.97 for each in operands)
        elif operator == b"k":
            self._white = bool(operands) and all(_number(each) <= 0.03 for each in operands)
        elif operator in (b"sc", b"scn"):
            self._white = len(operands) in (1, 3) and all(_number(e) >= 0.97 for e in operands)
        elif operator == b"Tr":
            self._invisible = bool(operands) and _number(operands[0]) == 3
        elif operator == b"q":
            self._saved.append((self._white, self._invisible))
        elif operator == b"Q" and self._saved:
            self._white, self._invisible = self._saved.pop()
        elif operator in _SHOWS_TEXT:
            self._shown.add(self._white or self._invisible)

    def text(self, words: str, *_: object) -> None:
        """Take a piece of text that was drawn since the last one."""
        if not words.strip():
            return
        if self._shown == {True}:
            if self._open:
                self._pieces[-1] += words
            else:
                self._pieces.append(words)
        self._open = self._shown == {True}
        self._shown = set()

    def unseen(self) -> list[str]:
        """Pieces drawn invisibly."""
        return [" ".join(piece.split()) for piece in self._pieces]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.5
