"""The files of a run's folder against the hashes that its ledger recorded of them.

When a command ends, the hash of every file in its folder goes into the ledger, so that changing,
removing or adding one is noticed as changing the ledger is.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plumbrule.ledger.book import Ledger
from plumbrule.ledger.chain import LedgerEntry
from plumbrule.ledger.reading import read_entries
from plumbrule.store import file_sha256, fingerprint

KIND = "files"
"""Kind of an entry that holds the hashes of a folder's files; the last one counts."""

_CHANGING = frozenset({"run.lock", "progress.log"})
_LEDGER = ("ledger.db", "ledger.db-journal", "ledger.db-wal", "ledger.db-shm")


@dataclass(frozen=True, kw_only=True)
class FileProblem:
    """A file that is not what the ledger recorded."""

    path: str
    """Within the folder."""

    kind: Literal["changed", "missing", "extra"]

    def __str__(self) -> str:
        told = {
            "changed": "it is not what was recorded",
            "missing": "it was recorded and is not there",
            "extra": "nothing recorded it",
        }
        return f"{self.kind}: {self.path!r}: {told[self.kind]}"


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, by its path there.

    Left out are ledgers, which have a chain of their own (the head of one in a folder within is
    counted), locks, the log of progress, and files that begin with a dot, as half written ones do.
    """
    return {path.relative_to(folder).as_posix(): _hash(path) for path in _files(folder)}


def record_files(ledger: Ledger, folder: Path) -> None:
    """Record what a folder holds, unless that is what was recorded last."""
    known = [entry for entry in read_entries(folder / "ledger.db") if entry.kind == KIND]
    payload = {"files": file_hashes(folder)}
    if not known or dict(known[-1].payload) != payload:
        ledger.record(f"{KIND}/{len(known) + 1}", KIND, payload)


def compare_files(folder: Path, entries: Sequence[LedgerEntry]) -> tuple[FileProblem, ...] | None:
    """Hold a folder against what its ledger recorded of it.

    Args:
        folder: The folder.
        entries: Its ledger's.

    Returns:
        What is changed, missing or extra, by path; None where nothing was recorded. Of a run that
        has not ended, only the records of its finished stages are known.
    """
    # An entry in another form was not written here, and the chain says so.
    recorded = [
        entry.payload["files"]
        for entry in entries
        if entry.kind == KIND and isinstance(entry.payload.get("files"), dict)
    ]
    if recorded:
        return _against(folder, recorded[-1])
    stages = dict(_stage_files(entries))
    if not stages:
        return None
    return tuple(_changed_stages(folder, stages))


def nested_ledgers(folder: Path) -> list[Path]:
    """Folders within that have a ledger of their own."""
    return sorted(path.parent for path in folder.rglob(_LEDGER[0]) if path.parent != folder)


def _against(folder: Path, recorded: Mapping[str, str]) -> tuple[FileProblem, ...]:
    now = file_hashes(folder)
    problems = [
        FileProblem(path=name, kind="missing" if name not in now else "changed")
        for name, digest in recorded.items()
        if now.get(name) != digest
    ]
    problems += [FileProblem(path=name, kind="extra") for name in now if name not in recorded]
    return tuple(sorted(problems, key=lambda problem: problem.path))


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        top_head = len(inside) == 1 and path.name == "ledger.head"
        hidden = any(part.startswith(".") for part in inside)
        if hidden or top_head or path.name in _CHANGING or path.name in _LEDGER:
            continue
        if path.is_symlink() or not path.is_dir():
            yield path


def _hash(path: Path) -> str:
    if path.is_symlink():
        return "link " + hashlib.sha256(str(path.readlink()).encode("utf-8", "replace")).hexdigest()
    if not path.is_file():  # a pipe would be waited for
        return "no file"
    return file_sha256(path)


def _stage_files(entries: Sequence[LedgerEntry]) -> Iterator[tuple[str, str]]:
    """Path and recorded hash of each record of a finished stage."""
    for entry in entries:
        stage, files = entry.payload.get("stage"), entry.payload.get("files")
        if entry.kind == "stage" and isinstance(stage, str) and isinstance(files, dict):
            for name, digest in files.items():
                yield f"stages/{stage}/{name}", str(digest)


def _changed_stages(folder: Path, stages: Mapping[str, str]) -> Iterator[FileProblem]:
    for name, digest in sorted(stages.items()):
        path = folder / name
        if not path.is_file():
            yield FileProblem(path=name, kind="missing")
            continue
        try:
            same = fingerprint(path.read_text(encoding="utf-8")) == digest
        except ValueError:
            same = False
        if not same:
            yield FileProblem(path=name, kind="changed")
