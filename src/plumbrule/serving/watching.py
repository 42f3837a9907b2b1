"""What is under a directory now, in the form that the page takes; each report is read once."""

import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plumbrule.report.text import plain
from plumbrule.serving.digests import Digest, digest_of
from plumbrule.serving.finding import WorkFolder, find_work, folder_named, work_in

LARGEST_REPORT = 64 * 2**20
"""Bytes of a report that are read."""

READING = 1.0
"""Seconds that one look spends on reports which it has not read yet; the next goes on."""

FRESH = 1.0
"""Seconds for which a look stands for those that follow it: several pages cost no more than one."""

STANDING = ("alarm", "trial", "gate", "verdict", "remedy", "finding")
"""What the front page lists over all work, in this order, where somebody should look at it."""

SHOWN_EACH = 3
"""Lines of a sort of one report that the front page lists."""

MOST_STANDING = 200
LARGEST_LOG = 2**24


@dataclass(frozen=True, kw_only=True)
class ReadReport:
    """What is known of a report file."""

    digest: Digest | None
    trouble: str = ""
    """Why there is none, in words for the page."""


class Shelf:
    """Everything under one directory; several pages may ask at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[tuple[str, int, int], ReadReport] = {}
        self._lock = threading.Lock()
        self._last: tuple[float, dict[str, Any]] | None = None

    def overview(self) -> dict[str, Any]:
        """All work, the newest first, and what stands over all of it."""
        with self._lock:
            now = time.monotonic()
            if self._last is None or now - self._last[0] > FRESH:
                self._last = (time.monotonic(), self._overview())
            return self._last[1]

    def _overview(self) -> dict[str, Any]:
        if not self.root.is_dir():
            gone = f"{self.root} is not there any more. It was deleted or moved."
            return {"root": plain(str(self.root)), "note": gone, "work": [], "standing": []}
        found, ends = find_work(self.root), time.monotonic() + READING
        rows, standing, waiting = [], [], 0
        seen = set()
        for each in found.work:
            key = _key(each)
            if key is not None:
                seen.add(key)
            if key is not None and key not in self._known and time.monotonic() > ends:
                waiting += 1
                rows.append({**_row(each), "trouble": "its report is being read"})
                continue
            read = None if key is None else self._read(each, key)
            rows.append({**_row(each), **_short(read)})
            if read is not None and read.digest is not None:
                standing += _standing(each, read.digest)
        standing.sort(key=lambda line: STANDING.index(line["sort"]))
        self._known = {key: each for key, each in self._known.items() if key in seen}
        notes = [found.note] if found.note else []
        if waiting:
            notes.append(f"{waiting} of {len(rows)} reports are still being read.")
        if len(standing) > MOST_STANDING:
            notes.append(f"The first {MOST_STANDING} of {len(standing)} lines are listed.")
        return {
            "root": plain(str(self.root)),
            "note": " ".join(notes),
            "work": rows,
            "standing": standing[:MOST_STANDING],
        }

    def detail(self, name: str) -> dict[str, Any]:
        """One folder with work, as it is now.

        Args:
            name: As an address holds it.
        """
        folder = folder_named(self.root, name)
        work = None if folder is None else work_in(self.root, folder)
        if work is None:
            said = f"There is no work in {plain(name)[:200]} (any more)"
            return {"gone": f"{said}: it was deleted, moved or never there."}
        with self._lock:
            key = _key(work)
            read = None if key is None else self._read(work, key)
        found = {
            **_row(work),
            **_short(read),
            "stages": stages_of(work.folder),
        }
        if read is not None and read.digest is not None:
            found |= {
                "summary": list(read.digest.summary),
                "lines": [asdict(line) for line in read.digest.lines],
                "counts": dict(read.digest.counts),
            }
        return found

    def _read(self, work: WorkFolder, key: tuple[str, int, int]) -> ReadReport:
        if key not in self._known:
            self._known[key] = read_report(work.folder / "report" / "report.json")
        return self._known[key]


def read_report(path: Path) -> ReadReport:
    """Read a report in short, or say why that cannot be done."""
    try:
        if path.stat().st_size > LARGEST_REPORT:
            size = f"{LARGEST_REPORT // 2**20} MiB"
            return ReadReport(digest=None, trouble=f"its report.json has more than {size}")
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return ReadReport(digest=None, trouble="its report was deleted")
    except OSError as error:
        said = plain(error.strerror or "the disk refuses it")
        return ReadReport(digest=None, trouble=f"its report.json cannot be opened: {said}")
    except (ValueError, RecursionError):
        return ReadReport(
            digest=None,
            trouble="its report.json is not whole: it is being written, or was damaged; the "
            "command that made it writes it anew",
        )
    if not isinstance(content, dict):
        return ReadReport(digest=None, trouble="its report.json holds no report")
    return ReadReport(digest=digest_of(content))


def _standing(work: WorkFolder, digest: Digest) -> list[dict[str, Any]]:
    """The first lines of each sort that somebody should look at, and how many follow."""
    found = []
    for sort in STANDING:
        mine = [
            (at, line)
            for at, line in enumerate(digest.lines)
            if line.sort == sort and line.bad is not False
        ]
        shared = {"work": work.name, "title": digest.title}
        found += [
            {**shared, "at": at, "stands_for": 1, **asdict(line)} for at, line in mine[:SHOWN_EACH]
        ]
        if len(mine) > SHOWN_EACH:
            at, line = mine[SHOWN_EACH]
            left = len(mine) - SHOWN_EACH
            said = {"mark": f"{left} more", "text": "", "more": "", "stands_for": left}
            found.append({**shared, "at": at, **asdict(line), **said})
    return found


def last_word(folder: Path) -> str:
    """What a run last said of how far it is; empty where it keeps no log."""
    path = folder / "progress.log"
    try:
        if path.stat().st_size > LARGEST_LOG:
            return ""
        lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return plain(next((line for line in reversed(lines) if line.strip()), "")[:300])


def stages_of(folder: Path) -> list[dict[str, Any]]:
    """Stages and trainings of a run, in the order in which they began, with how far each is."""
    found = []
    for place, what in ((folder / "stages", "shards"), (folder / "models", "files")):
        for stage in _leaves(place):
            try:
                files = [each for each in stage.iterdir() if each.is_file()]
                times = [each.stat().st_mtime for each in files] or [stage.stat().st_mtime]
            except OSError:
                continue
            name = stage.relative_to(place).as_posix()
            done = sum(each.suffix == ".jsonl" for each in files) if what == "shards" else 0
            found.append(
                {
                    "name": plain(name if what == "shards" else f"training {name}")[:120],
                    "shards": done if what == "shards" else None,
                    "began": min(times),
                    "changed": max(times),
                }
            )
    return sorted(found, key=lambda each: (each["began"], each["name"]))[:200]


def _leaves(place: Path) -> list[Path]:
    """Folders under a place that hold files, three levels deep at most."""
    level, found = [place], []
    for _ in range(3):
        deeper = []
        for folder in level:
            try:
                inner = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
            except OSError:
                continue
            if folder != place and any(each.is_file() for each in inner):
                found.append(folder)
            deeper += [each for each in inner if each.is_dir() and not each.is_symlink()]
        level = deeper
    return found


def _key(work: WorkFolder) -> tuple[str, int, int] | None:
    path = work.folder / "report" / "report.json"
    try:
        known = path.stat()
    except OSError:
        return None
    return str(path), known.st_mtime_ns, known.st_size


def _row(work: WorkFolder) -> dict[str, Any]:
    return {
        "name": work.name,
        "label": _label(work),
        "kind": work.kind,
        "state": work.state,
        "begun": work.begun,
        "changed": work.changed,
        "progress": last_word(work.folder) if work.state != "done" else "",
        "page": (work.folder / "report" / "index.html").is_file(),
    }


def _label(work: WorkFolder) -> str:
    parts = work.folder.resolve().parts[-(work.name.count("/") + 1) :]
    return plain("/".join(parts))[:200]


def _short(read: ReadReport | None) -> dict[str, Any]:
    if read is None:
        return {}
    if read.digest is None:
        return {"trouble": read.trouble}
    return {"title": read.digest.title, "outcome": read.digest.outcome, "bad": read.digest.bad}
