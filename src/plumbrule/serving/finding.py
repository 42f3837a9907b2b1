"""Which folders under a directory hold work, of which kind, and whether it is going on."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote_from_bytes, unquote_to_bytes

MARKERS: Mapping[str, str] = {
    "run.json": "run",
    "watch.json": "watch",
    "trial.json": "A/B trial",
    "compare.json": "comparison",
    "verdict.json": "verdict",
    "repairing.json": "repair",
    "remedies.json": "remedies",
    "loop.json": "loop",
    "comply.json": "compliance",
    "redteam.json": "red team",
    "review.json": "review",
    "runs.json": "runs side by side",
    "amplify.json": "amplification",
    "curate.json": "curating",
    "distill.json": "distilling",
    "public.json": "public input",
    "inverse.json": "principles from labels",
    "lab_circuit.json": "lab circuit",
}
"""File that a verb binds its folder by, and what the folder is called."""

INSIDE = frozenset({"stages", "models", "report", "work", "checkpoints", "candidates"})
"""Folders of a run's own, in which no other work is looked for."""

DEEPEST = 5
"""Levels under the directory that are looked at."""

MOST_FOLDERS = 20_000
MOST_WORK = 2_000

State = Literal["going on", "done", "stopped"]


@dataclass(frozen=True, kw_only=True)
class WorkFolder:
    """One folder with work in it."""

    name: str
    """Its path under the directory, as an address holds it; empty for the directory itself."""

    folder: Path
    kind: str
    state: State

    begun: float | None
    """Seconds since 1970; None where nobody wrote it down."""

    changed: float
    """When its report, or else the folder, last changed, in seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class FoundWork:
    """Everything under a directory, the newest first."""

    work: tuple[WorkFolder, ...]

    note: str
    """What was not looked at, and why; empty where everything was."""


def find_work(root: Path) -> FoundWork:
    """Look for folders that a verb wrote, a few levels deep; links are not followed.

    Args:
        root: The directory; itself too may be one.
    """
    held = held_files()
    found, note = [], ""
    for seen, (folder, names) in enumerate(_folders(root), 1):
        kind = _kind(folder, names)
        if kind is not None:
            one = _work(root, folder, kind, held)
            if one is not None:
                found.append(one)
        if seen >= MOST_FOLDERS or len(found) >= MOST_WORK:
            note = (
                f"Stopped after {seen:,} folders and {len(found):,} with work; serve a folder "
                "further down to see the rest."
            )
            break
    found.sort(key=lambda each: (each.state != "going on", -each.changed, each.name))
    return FoundWork(work=tuple(found), note=note)


def folder_named(root: Path, name: str) -> Path | None:
    """The folder of a name as an address holds it; None where it lies elsewhere."""
    raw = unquote_to_bytes(name)
    if b"\0" in raw or raw.startswith(b"/"):
        return None
    folder = root / os.fsdecode(raw)
    try:
        inside = folder.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):
        return None
    return folder if inside else None


def work_in(root: Path, folder: Path) -> WorkFolder | None:
    """What a folder holds now; None where it is gone or holds no work."""
    try:
        names = {each.name for each in os.scandir(folder)}
    except OSError:
        return None
    kind = _kind(folder, names)
    return None if kind is None else _work(root, folder, kind, held_files())


def held_files() -> frozenset[int] | None:
    """Numbers (inodes) of files that a process holds now; None where the system does not say."""
    try:
        lines = Path("/proc/locks").read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    found = set()
    for line in lines:
        parts = line.split()
        if len(parts) > 5 and parts[1] == "FLOCK" and parts[5].count(":") == 2:
            found.add(int(parts[5].rpartition(":")[2]))
    return frozenset(found)


def _folders(root: Path) -> Iterator[tuple[Path, set[str]]]:
    """Folders under a directory with the names in each, breadth first."""
    level = [root]
    for _ in range(DEEPEST + 1):
        deeper = []
        for folder in level:
            try:
                entries = list(os.scandir(folder))
            except OSError:  # deleted meanwhile, or not ours to read
                continue
            names = {each.name for each in entries}
            yield folder, names
            deeper += [
                Path(each.path)
                for each in sorted(entries, key=lambda each: each.name)
                if not each.name.startswith(".") and _is_folder(each) and each.name not in INSIDE
            ]
        level = deeper


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _kind(folder: Path, names: set[str]) -> str | None:
    # A verb that binds its folder keeps its configuration beside the marker.
    if "config.yaml" in names or "run.lock" in names:
        for marker, kind in MARKERS.items():
            if marker in names:
                return kind
    if "report" in names and (folder / "report" / "report.json").is_file():
        return "report"
    return None


def _work(root: Path, folder: Path, kind: str, held: frozenset[int] | None) -> WorkFolder | None:
    try:
        changed = folder.stat().st_mtime
        report = _changed(folder / "report" / "report.json")
        busy = _busy(folder, held)
    except OSError:
        return None
    state: State = "going on" if busy else "stopped" if report is None else "done"
    return WorkFolder(
        name="" if folder == root else quote_from_bytes(os.fsencode(folder.relative_to(root))),
        folder=folder,
        kind=kind,
        state=state,
        begun=_begun(folder),
        changed=report or changed,
    )


def _busy(folder: Path, held: frozenset[int] | None) -> bool:
    """Whether a process works in a folder."""
    try:
        lock = (folder / "run.lock").stat()
    except FileNotFoundError:
        return False
    if held is not None:
        return lock.st_ino in held
    return _locked(folder / "run.lock")


def _locked(path: Path) -> bool:
    """Try the lock for a moment, where the system has no list of them."""
    import fcntl

    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _begun(folder: Path) -> float | None:
    for marker in MARKERS:
        path = folder / marker
        try:
            if path.is_file() and path.stat().st_size < 2**20:
                value = json.loads(path.read_bytes())
                begun = value.get("begun") if isinstance(value, dict) else None
                if isinstance(begun, int | float) and abs(begun) < sys.maxsize:
                    return float(begun)
        except (OSError, ValueError, RecursionError):
            continue
    return None
