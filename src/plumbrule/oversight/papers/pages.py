"""Reads printed pages: those of a PDF, line numbers off, columns one after the other."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight.papers.markup import Veil, uncover

FEWEST_NUMBERED = 5
SHARE_NUMBERED = 0.6
"""Share of the lines that must count upwards before what is at their ends is a line number."""

_LAST = re.compile(r"^(?P<rest>.*?[^\d\s])[ \t]*(?P<number>\d{1,4})[ \t]*$")
_FIRST = re.compile(r"^[ \t]*(?P<number>\d{1,4})(?:[ \t]+(?P<rest>\S.*)|[ \t]*)$")
_ALONE = re.compile(r"[ \t\f]*(\d{1,4})[ \t\f]*")
_GAP = re.compile(r"(?<=\S) {3,}(?=\S)")

SHARE_GAPPED = 0.5
"""Share of a page's lines with a gap in the same place before they are read as two columns."""


def without_line_numbers(text: str) -> str:
    """Take off the numbers that a manuscript counts its lines with, before or behind the words."""
    lines = text.split("\n")
    written = sum(bool(line.strip()) for line in lines)
    for pattern in (_LAST, _FIRST):
        found = [(at, match) for at, line in enumerate(lines) if (match := pattern.match(line))]
        for step in (1, 5):
            chain = _chain([(at, int(match["number"])) for at, match in found], step)
            if len(chain) >= max(FEWEST_NUMBERED, SHARE_NUMBERED * written / step):
                rest = {at: match["rest"] or "" for at, match in found if at in chain}
                lines = [rest.get(at, line) for at, line in enumerate(lines)]
                break
    return "\n".join(_without_blocks(lines))


def _chain(found: Sequence[tuple[int, int]], step: int) -> set[int]:
    """Lines of the longest run of numbers that count on; a page may begin anew."""
    best: set[int] = set()
    for begin in range(min(10, len(found))):
        lines, expected = {found[begin][0]}, found[begin][1] + step
        for at, number in found[begin + 1 :]:
            if number in (expected, step):
                lines.add(at)
                expected = number + step
        best = max(best, lines, key=len)
    return best


def _without_blocks(lines: list[str]) -> list[str]:
    """Drop lines that hold nothing but numbers counting on: line numbers read as a column."""
    kept, at = list[str](), 0
    while at < len(lines):
        end = at
        numbers: list[int] = []
        while end < len(lines) and (match := _ALONE.fullmatch(lines[end])):
            if numbers and int(match[1]) != numbers[-1] + 1:
                break
            numbers.append(int(match[1]))
            end += 1
        if len(numbers) < FEWEST_NUMBERED:
            end = max(at + 1, end)
            kept += lines[at:end]
        at = end
    return kept


def in_one_column(text: str) -> tuple[str, tuple[str, ...]]:
    """Read pages whose lines hold two columns side by side: first the left one, then the right.

    Returns:
        The text, and a note where some page seems to have columns and could not be cut.
    """
    pages, doubtful = [], 0
    for page in text.split("\f"):
        lines = page.split("\n")
        cut, share = _cut(lines)
        if cut is None:
            doubtful += share > SHARE_GAPPED / 2
            pages.append(page)
            continue
        left = [line[:cut].rstrip() for line in lines]
        right = [line[cut:].strip() for line in lines]
        pages.append("\n".join([*left, *right]))
    note = f"{doubtful} pages may be set in columns: their lines may be read across"
    return "\f".join(pages), (note,) if doubtful else ()


def _cut(lines: Sequence[str]) -> tuple[int | None, float]:
    """Where two columns of prose part; None where they do not, and how many lines have a gap."""
    written = [line for line in lines if line.strip()]
    starts = [gaps[-1].end() for line in written if (gaps := list(_GAP.finditer(line)))]
    if len(written) < 8 or not starts:
        return None, 0.0
    cut = max(set(starts), key=starts.count)
    both = [
        line for line in written
        if len(line) > cut and not line[cut - 3 : cut].strip() and line[: cut - 3].strip()
    ]  # fmt: skip
    prose = [line for line in both if len(re.findall(r"[a-z]{2,}", line[cut:])) >= 3
             and len(re.findall(r"[a-z]{2,}", line[:cut])) >= 3]  # fmt: skip
    across = [line for line in written if len(line) > cut and line[cut - 2 : cut].strip()]
    share = len(prose) / len(written)
    # A title over both columns runs across the cut; a page of prose does so everywhere.
    if share >= SHARE_GAPPED and len(across) <= 0.2 * len(written):
        return cut, share
    return None, share


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
            since white letters can also be on a dark ground.

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
        with _silent("pypdf"):
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


@contextmanager
def _silent(library: str) -> Iterator[None]:
    """Without a library's own lines: what was not read is said once, in our words."""
    logger = logging.getLogger(library)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


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
