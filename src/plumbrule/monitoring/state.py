"""What a watch has done, in one SQLite file: a kill leaves all of a batch or nothing of it.

How far each file was read, which replies were seen, every count and every detector change in one
transaction. Files written beside it are cut back, when the watch is opened again, to the length
that the last transaction knew.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError, StorageError
from plumbrule.monitoring.sources import Place
from plumbrule.store import canonical, storage_errors

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    identity TEXT PRIMARY KEY, position INTEGER, head TEXT, head_bytes INTEGER, name TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pieces (number INTEGER PRIMARY KEY, key TEXT NOT NULL, data TEXT);
CREATE INDEX IF NOT EXISTS pieces_by_key ON pieces (key);
CREATE TABLE IF NOT EXISTS days (
    day TEXT, principle TEXT, score REAL, times INTEGER, PRIMARY KEY (day, principle, score)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cases (
    number INTEGER PRIMARY KEY, id TEXT, principle TEXT, flagged INTEGER, for_people INTEGER,
    item TEXT, data TEXT, stored REAL
);
CREATE INDEX IF NOT EXISTS cases_by_item ON cases (item);
CREATE TABLE IF NOT EXISTS anchors (
    number INTEGER PRIMARY KEY, id TEXT, data TEXT, before TEXT, now TEXT, stored REAL
);
CREATE TABLE IF NOT EXISTS reports (key TEXT PRIMARY KEY, data TEXT, stored REAL);
"""

CACHE_KIB = 64 * 1024
"""Memory that the database may use, however large it grows."""


def digest(name: str) -> bytes:
    """16 bytes that stand for a name among those seen."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class WatchState:
    """The open file; close it, or use it in a `with`."""

    def __init__(self, path: Path) -> None:
        """Open the file, or begin one.

        Raises:
            DataError: It is there and is no state of a watch.
            StorageError: The disk does not take it.
        """
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None)
        try:
            with self._errors():
                for line in (
                    "PRAGMA journal_mode=WAL",
                    "PRAGMA synchronous=FULL",
                    "PRAGMA secure_delete=ON",
                    f"PRAGMA cache_size=-{CACHE_KIB}",
                ):
                    self._database.execute(line)
                self._database.executescript(_TABLES)
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> "WatchState":
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"{self._path} could not be written: {error}. Make room or mend the disk and give "
                "the same command again; nothing is lost or counted twice"
            ) from error
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"expected the state of a watch in {self._path}, it cannot be read: {error}. Give "
                "another --out"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is done within, or nothing of it."""
        with self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self._errors():
            return self._database.execute(query, values).fetchall()

    def do(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        with self._errors():
            self._database.executemany(query, rows)

    def fact(self, name: str, default: Any = None) -> Any:
        """A value kept under a name."""
        found = self.all("SELECT value FROM facts WHERE name = ?", name)
        return json.loads(found[0][0]) if found else default

    def keep(self, facts: Mapping[str, Any]) -> None:
        """Keep values under names, in place of what was there."""
        rows = [(name, canonical(value)) for name, value in facts.items()]
        self.do("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows)

    def places(self) -> dict[str, Place]:
        """How far each file was read."""
        rows = self.all("SELECT identity, position, head, head_bytes, name FROM files")
        return {
            identity: Place(position=position, head=head, head_bytes=length, name=name)
            for identity, position, head, length, name in rows
        }

    def keep_places(self, places: Mapping[str, Place]) -> None:
        """Remember how far files were read."""
        self.do(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
            [
                (identity, each.position, each.head, each.head_bytes, clean(each.name))
                for identity, each in places.items()
            ],
        )

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Which of some keys were seen."""
        found: set[bytes] = set()
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            marks = ",".join("?" * len(some))
            found |= {
                row[0] for row in self.all(f"SELECT key FROM seen WHERE key IN ({marks})", *some)
            }
        return found

    def see(self, keys: Iterable[bytes]) -> None:
        """Remember that keys were seen."""
        self.do("INSERT OR IGNORE INTO seen VALUES (?)", ((key,) for key in sorted(keys)))


def clean(text: str) -> str:
    """A text that a database and a file take: halves of surrogate pairs are replaced."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


class GrowingFile:
    """A file of lines that is as long as the state says, whatever was killed."""

    def __init__(self, path: Path, length: int) -> None:
        """Open it and cut it back to `length` bytes.

        Raises:
            DataError: It is shorter: somebody else cut it.
            StorageError: The disk refuses.
        """
        self.path = path
        with storage_errors(path.parent):
            self._file = path.open("ab")
            here = self._file.seek(0, os.SEEK_END)
            if here < length:
                self._file.close()
                raise DataError(
                    f"{path} has {here} bytes where {length} were written; somebody changed it. "
                    "Put it back, or give another --out"
                )
            self._file.truncate(length)
            self._file.seek(length)
        self.length = length

    def append(self, lines: Sequence[str]) -> None:
        """Write lines and see them on the disk.

        Raises:
            StorageError: The disk did not take them; the state does not know of them then.
        """
        if not lines:
            return
        data = "".join(line + "\n" for line in lines).encode("utf-8", errors="replace")
        with storage_errors(self.path.parent):
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
        self.length += len(data)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
