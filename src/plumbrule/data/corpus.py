"""A corpus as passages: plain text cut at blank lines, or rows with a text each, read as a stream.

Nothing here holds a whole corpus in memory, and nothing takes a file for text that is none.
"""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from plumbrule.data.forms import check_text
from plumbrule.errors import DataError
from plumbrule.records import strict
from plumbrule.store import file_sha256

LONGEST_PASSAGE = 4000
"""Characters; a longer one is cut at the end of a sentence or of a word."""

LARGEST_CORPUS = 16 * 2**30
"""Bytes of a corpus file."""

_LONGEST_ROW = 16 * 2**20
_READ = 2**16
_BLANK = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE = re.compile(r"[.!?;:\u2026\u3002\uff01\uff1f][\"'\u201d)*]*\s")


@strict
@dataclass(frozen=True, kw_only=True)
class Passage:
    """A piece of a corpus that is kept or dropped as a whole."""

    id: str
    """Its number in the corpus; `-2` and so on behind it where a long one was cut."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A file of passages, looked through once."""

    path: Path
    sha256: str
    """Of the file's bytes."""

    passages: int
    characters: int
    longest: int

    def __iter__(self) -> Iterator[Passage]:
        """The passages, read anew."""
        return read_passages(self.path, longest=self.longest)


def open_corpus(path: Path, *, longest: int = LONGEST_PASSAGE) -> Corpus:
    """Look a corpus through: that it can be read to its end, and how much it holds.

    Args:
        path: Text, whose passages stand apart by blank lines; or `.jsonl` or Parquet with the text
            of each under `text`.
        longest: Characters of a passage; a longer one is cut.

    Raises:
        DataError: The file is missing, empty, too large, no text, or a row has no text.
    """
    _check_file(path)
    count = characters = 0
    for passage in read_passages(path, longest=longest):
        count += 1
        characters += len(passage.text)
    if not count:
        raise DataError(f"expected text to curate, {path} holds none; check the file")
    return Corpus(
        path=path,
        sha256=file_sha256(path),
        passages=count,
        characters=characters,
        longest=longest,
    )


def read_passages(path: Path, *, longest: int = LONGEST_PASSAGE) -> Iterator[Passage]:
    """The passages of a corpus in order, as `open_corpus` describes them."""
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            texts: Iterator[str] = _packed(path)
        else:
            file.seek(0)
            texts = _rows(file, path) if path.suffix.lower() == ".jsonl" else _pieces(file, path)
        for number, text in enumerate(texts):
            for part, piece in enumerate(_cut(text.strip(), longest), 1):
                yield Passage(id=f"{number}-{part}" if part > 1 else str(number), text=piece)


def _check_file(path: Path) -> None:
    try:
        found, size = path.is_file(), path.stat().st_size if path.exists() else 0
    except OSError as error:
        raise DataError(f"expected a corpus, {path} cannot be read: {error.strerror}") from error
    if not found:
        what = "is no file" if path.exists() else "is not there"
        raise DataError(f"expected a file of text or of rows with a text each, {path} {what}")
    if size > LARGEST_CORPUS:
        raise DataError(
            f"expected a corpus of at most {LARGEST_CORPUS / 2**30:.0f} GiB, {path} has "
            f"{size / 2**30:.0f} GiB; cut it into several"
        )


def _pieces(file: IO[bytes], path: Path) -> Iterator[str]:
    """Text between blank lines. A piece without an end in sight is handed on in parts."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    waiting, read = "", 0
    while True:
        data = file.read(_READ)
        if b"\0" in data:
            raise DataError(
                f"expected text, {path} holds a zero byte at {read + data.index(0)}: it is "
                "binary, or not UTF-8. Save it as UTF-8 text."
            )
        try:
            waiting += decoder.decode(data, final=not data).replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"expected UTF-8 text, {path} holds something else near byte {read}: "
                f"{error.reason}. Save it as UTF-8 text."
            ) from error
        read += len(data)
        *whole, waiting = _BLANK.split(waiting)
        yield from (each for each in whole if each.strip())
        if not data:
            break
        while len(waiting) > 4 * _READ:  # a line without end is no reason to hold it all
            at = max(waiting.rfind(" ", 0, 2 * _READ), _READ)
            yield waiting[:at]
            waiting = waiting[at:]
    if waiting.strip():
        yield waiting


def _rows(file: IO[bytes], path: Path) -> Iterator[str]:
    number = 0
    while line := file.readline(_LONGEST_ROW + 1):
        number += 1
        place = f"{path}, line {number}"
        if len(line) > _LONGEST_ROW:
            raise DataError(f"{place} is longer than {_LONGEST_ROW // 2**20} MiB; cut it up")
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise DataError(
                f'{place} must be one JSON object in UTF-8, such as {{"text": "…"}}, got '
                f"{line[:60]!r}"
            ) from error
        yield from _text(row, place)


def _packed(path: Path) -> Iterator[str]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=256):
            for row in batch.to_pylist():
                number += 1
                yield from _text(row, f"{path}, row {number}")
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} must be a Parquet table, it cannot be read: {error}") from error


def _text(row: Any, place: str) -> Iterator[str]:
    """A row's text, where it has some."""
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        keys = ", ".join(sorted(map(str, row))[:8]) if isinstance(row, dict) else type(row).__name__
        raise DataError(f"{place} must hold text under `text`, got {keys or 'no keys'}")
    check_text(row["text"], place)
    if row["text"].strip():
        yield row["text"]


def _cut(text: str, longest: int) -> Iterator[str]:
    while len(text) > longest:
        ends = [match.end() for match in _SENTENCE.finditer(text, 0, longest)]
        at = ends[-1] if ends and 2 * ends[-1] > longest else text.rfind(" ", 1, longest)
        at = at if at > 0 else longest
        yield text[:at].rstrip()
        text = text[at:].lstrip()
    if text:
        yield text
