"""Rows of a file, whatever it is: JSON lines, a JSON list, CSV, tab-separated text or Parquet.

A name that ends in .gz is unpacked: `pairs.jsonl.gz`.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from plumbrule.errors import DataError

LARGEST_FILE = 64 * 2**20
"""Bytes; a longer file of prompts is a data set to draw from, not a set of prompts to answer."""

LARGEST_TABLE = 4 * LARGEST_FILE
"""Bytes that a packed table may unpack to."""

Row = tuple[str, dict[str, Any]]
"""Where a row was found, for a message, and what it holds."""


def read_rows(
    path: Path,
    what: str = "prompts",
    option: str = "--prompts",
    *,
    largest: int = LARGEST_FILE,
) -> Iterator[Row]:
    """Every row of a file, in order.

    Args:
        path: The file.
        what: What its rows are, for messages.
        option: Where it was named, for messages.
        largest: Bytes of the file, unpacked.

    Raises:
        DataError: The file is missing, too large, or not what its name and beginning say.
    """
    if not path.is_file():
        raise DataError(f"expected a file of {what}, there is none at {path}; check {option}")
    try:
        packed = path.suffix.lower() == ".gz"
        file = io.BytesIO(_unpacked(path, largest)) if packed else path.open("rb")
        size = len(file.getbuffer()) if isinstance(file, io.BytesIO) else path.stat().st_size
    except OSError as error:
        raise DataError(
            f"expected a file of {what}, {path} cannot be read: {error.strerror}; check its rights"
        ) from error
    with file:
        if size > largest:
            found = "more" if packed else f"{size / 2**20:.0f} MiB"
            raise DataError(
                f"expected at most {largest / 2**20:.0f} MiB of {what}, {path} has {found}; draw a "
                "sample of it, such as `shuf -n 2000 FILE`"
            )
        start = file.read(4)
        file.seek(0)
        kind = Path(path.stem if packed else path.name).suffix.lower()
        if start == b"PAR1":
            yield from _parquet(file, path)
        elif kind in (".csv", ".tsv"):
            yield from _table(file, path, "\t" if kind == ".tsv" else ",")
        elif kind == ".json":
            yield from _list(file, path, what)
        else:
            yield from _lines(file, path)


def _unpacked(path: Path, largest: int) -> bytes:
    """What a gzip file holds, one byte beyond the largest that is taken at most."""
    try:
        with gzip.open(path, "rb") as file:
            return file.read(largest + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} cannot be unpacked: {error}") from error


def _lines(file: IO[bytes], path: Path) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}, line {number} must be UTF-8 text: {error.reason} at byte "
                f"{error.start}. Save the file as UTF-8."
            ) from error
        if text.strip():
            yield f"{path}, line {number}", _object(text, f"{path}, line {number}")


def _object(text: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = ""
        if text.lstrip().startswith("["):
            hint = "; a file that is one list has a name that ends in .json"
        raise DataError(
            f"{place} must be one JSON object a line, got {text[:60]!r}{hint}"
        ) from error
    return _mapping(value, place)


def _list(file: IO[bytes], path: Path, what: str) -> Iterator[Row]:
    """One list of objects, or an object with one such list in it; else lines all the same."""
    text = _text(file, path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        file.seek(0)
        yield from _lines(file, path)
        return
    if isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list)]
        value = lists[0] if len(lists) == 1 and len(value) == 1 else [value]
    if not isinstance(value, list):
        raise DataError(f"{path} must hold a list of {what}, got {type(value).__name__}")
    for number, row in enumerate(value, 1):
        yield f"{path}, row {number}", _mapping(row, f"{path}, row {number}")


def _mapping(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{place} must be a JSON object, got {type(value).__name__}")
    return value


def _text(file: IO[bytes], path: Path) -> str:
    try:
        return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} must be UTF-8 text: {error.reason} at byte {error.start}. Save it as UTF-8."
        ) from error


def _table(file: IO[bytes], path: Path, comma: str) -> Iterator[Row]:
    """Rows under a line of names. Cells are text; truth values and messages are read as such."""
    csv.field_size_limit(LARGEST_FILE)
    text = io.StringIO(_text(file, path), newline="")
    reader = csv.DictReader(text, delimiter=comma, strict=True)
    try:
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if None in row:
                raise DataError(f"{place} has more cells than the first line has names")
            yield place, {name: _cell(name, text) for name, text in row.items() if text}
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num} must be a row of such a table: {error}"
        ) from error


def _cell(name: str, text: str) -> Any:
    if name in ("deserves_help", "held_out"):
        return {"true": True, "false": False, "1": True, "0": False}.get(text.casefold(), text)
    if text.startswith("[{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _parquet(packed: IO[bytes], path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(packed)
        size = sum(
            file.metadata.row_group(number).total_byte_size
            for number in range(file.metadata.num_row_groups)
        )
        if size > LARGEST_TABLE:
            raise DataError(
                f"expected a table of at most {LARGEST_TABLE // 2**20} MiB, {path} unpacks to "
                f"{size // 2**20} MiB; draw a sample of it"
            )
        number = 0
        for batch in file.iter_batches(batch_size=256):
            for row in batch.to_pylist():
                number += 1
                yield (
                    f"{path}, row {number}",
                    {name: value for name, value in row.items() if value is not None},
                )
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} must be a Parquet table, it cannot be read: {error}") from error
