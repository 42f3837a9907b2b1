"""Reads files that grow, one line after another, and remembers how far it has come.

A file is known by its place on the disk and by how it begins, so one that was renamed by a log
rotation goes on where it was, and one that took an old one's place is read from its start. A line
that is not finished yet waits. Only what is asked for is in memory: a block, and one line.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from plumbrule.errors import DataError
from plumbrule.store import storage_errors

LARGEST_LINE = 32 * 2**20
"""Bytes of a line, or of a file that holds a single export; a larger one is counted and skipped."""

BLOCK = 2**20
HEAD = 1024
"""Bytes at a file's start by which it is known again."""

_NAMES = re.compile(r"[^.].*\.(?:jsonl|ndjson|json|log)(?:[.-][\w-]{1,40})?")
_PACKED = re.compile(r".*\.(?:gz|zst|xz|bz2|zip|tmp|part|partial|swp)")


@dataclass(frozen=True, kw_only=True)
class Place:
    """How far a file was read."""

    position: int
    """Bytes."""

    head: str
    """Hash of how the file begins, as far as that was read."""

    head_bytes: int
    name: str


@dataclass(frozen=True, kw_only=True)
class SourceLine:
    """A line of a file; `data` is None where it was too large to read."""

    identity: str
    place: Place
    """Where to go on after it."""

    data: bytes | None


def source_files(source: Path, *, without: Path | None = None) -> list[Path]:
    """The files of a source, the one changed longest ago first.

    Args:
        source: A file, or a folder whose .jsonl, .ndjson, .json and .log files, rotated ones
            included, are read at any depth.
        without: A folder in it that is left out.

    Raises:
        DataError: There is nothing at that path.
    """
    if not source.exists():
        raise DataError(
            f"expected a file or a folder of conversations at {source}, there is none; check the "
            "path"
        )
    if source.is_file():
        return [source]
    found = []
    for path in source.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
        if hidden or not _NAMES.fullmatch(path.name) or _PACKED.fullmatch(path.name):
            continue
        if without is not None and path.is_relative_to(without):
            continue
        try:
            if path.is_file():
                found.append((path.stat().st_mtime_ns, str(path), path))
        except OSError:  # rotated away while we looked
            continue
    return [path for _, _, path in sorted(found)]


def packed_files(source: Path) -> int:
    """How many files of a folder are packed, so that they are not read."""
    if not source.is_dir():
        return 0
    return sum(
        path.name.endswith((".gz", ".zst", ".xz", ".bz2", ".zip")) and path.is_file()
        for path in source.rglob("*")
    )


def new_lines(path: Path, places: Mapping[str, Place]) -> Iterator[SourceLine]:
    """The lines of a file that were not read yet.

    Args:
        path: The file.
        places: How far files were read, by identity.

    Raises:
        StorageError: The disk does not give it.
    """
    with storage_errors(path.parent):
        try:
            file = path.open("rb")
        except FileNotFoundError:  # rotated away since it was listed
            return
        with file:
            status = path.stat()
            identity = f"{status.st_dev}:{status.st_ino}"
            head = file.read(HEAD)
            at = _start(places.get(identity), head, status.st_size)
            file.seek(at)
            yield from _lines(file, identity, path, head, at)


def _start(known: Place | None, head: bytes, size: int) -> int:
    """Where to go on: at the start where the file is another one, or was emptied."""
    if known is None or size < known.position or len(head) < known.head_bytes:
        return 0
    same = hashlib.sha256(head[: known.head_bytes]).hexdigest() == known.head
    return known.position if same else 0


def _lines(file, identity: str, path: Path, head: bytes, at: int) -> Iterator[SourceLine]:  # type: ignore[no-untyped-def]
    def place(position: int) -> Place:
        length = min(position, len(head))
        return Place(
            position=position,
            head=hashlib.sha256(head[:length]).hexdigest(),
            head_bytes=length,
            name=str(path),
        )

    if at == 0 and path.suffix == ".json":
        whole = file.read(LARGEST_LINE + 1)
        if len(whole) <= LARGEST_LINE and _is_json(whole):
            yield SourceLine(identity=identity, place=place(len(whole)), data=whole)
            return
        if whole and not _is_json(whole.split(b"\n", 1)[0]):
            return  # one value over several lines that is still being written, or damaged
        file.seek(0)
    rest, skipping, position = bytearray(), False, at
    while block := file.read(BLOCK):
        rest += block
        start = 0
        while (stop := rest.find(b"\n", start)) >= 0:
            length = stop + 1 - start
            position += length
            if skipping or length > LARGEST_LINE:
                yield SourceLine(identity=identity, place=place(position), data=None)
                skipping = False
            elif length > 1:
                data = bytes(memoryview(rest)[start:stop])
                yield SourceLine(identity=identity, place=place(position), data=data)
            start = stop + 1
        del rest[:start]
        if len(rest) > LARGEST_LINE:
            position += len(rest)
            rest.clear()
            skipping = True
    if rest and not skipping and _is_json(bytes(rest)):
        # Complete, only its end of line is missing; if that comes later it is an empty line.
        yield SourceLine(identity=identity, place=place(position + len(rest)), data=bytes(rest))


def _is_json(data: bytes) -> bool:
    if data.lstrip()[:1] not in (b"{", b"[") or data.rstrip()[-1:] not in (b"}", b"]"):
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
