"""Answers already paid for, kept in one SQLite file by the hash of what was asked.

Each answer is committed before anyone sees it, so a killed run has lost none. Two threads that ask
the same thing at the same time share one call.
"""

import math
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from plumbrule.errors import DataError, StorageError
from plumbrule.store import storage_errors

_BUSY_SECONDS = 60.0
_TABLE = """CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, source TEXT NOT NULL, answer TEXT NOT NULL, dollars REAL NOT NULL
) WITHOUT ROWID"""


@dataclass(frozen=True, kw_only=True)
class Paid:
    """One answer and its price."""

    answer: str
    dollars: float


class Answers:
    """Paid answers of one endpoint and model, on disk or for this process alone."""

    def __init__(self, path: Path | None, *, source: str) -> None:
        """Open the file, or make it.

        Args:
            path: The SQLite file; None keeps answers in memory.
            source: Whose answers they are; the budget counts these alone.

        Raises:
            StorageError: The file cannot be written.
            DataError: There is a file of that name that is no cache of answers.
        """
        self._path = path
        self._source = source
        self._lock = Lock()
        self._pending: dict[str, Future[Paid]] = {}
        self._memory: dict[str, Paid] = {}
        if path is not None:
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            with self._database() as database:
                database.execute(_TABLE)

    def get(self, key: str, pay: Callable[[], Paid]) -> tuple[Paid, bool]:
        """The answer to one question, bought only if nobody has or is about to.

        Returns:
            The answer, and whether this very call paid for it.
        """
        with self._lock:
            pending = self._pending.get(key)
            if pending is None:
                mine = self._pending[key] = Future()
        if pending is not None:
            return pending.result(), False
        try:
            found = self._read(key)
            paid = found or pay()
            if found is None:
                self._write(key, paid)
            mine.set_result(paid)
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._pending[key]
        return paid, found is None

    def spent(self) -> tuple[int, float]:
        """Calls and dollars that the answers kept here have cost, in this run and those before."""
        if self._path is None:
            return len(self._memory), math.fsum(paid.dollars for paid in self._memory.values())
        with self._database() as database:
            calls, dollars = database.execute(
                "SELECT COUNT(*), COALESCE(SUM(dollars), 0) FROM answers WHERE source = ?",
                (self._source,),
            ).fetchone()
        return int(calls), float(dollars)

    def _read(self, key: str) -> Paid | None:
        if self._path is None:
            return self._memory.get(key)
        with self._database() as database:
            row = database.execute(
                "SELECT answer, dollars FROM answers WHERE key = ?", (key,)
            ).fetchone()
        return Paid(answer=row[0], dollars=row[1]) if row else None

    def _write(self, key: str, paid: Paid) -> None:
        if self._path is None:
            self._memory[key] = paid
            return
        with self._database() as database:
            # Another process may have asked the same; the first answer stands for both.
            database.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)",
                (key, self._source, paid.answer, paid.dollars),
            )

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """One short connection: no thread, fork or crash ever holds the file open."""
        assert self._path is not None
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as database, database:
                yield database
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"could not use the cache of answers {self._path}: {error}. Answers kept before "
                "are kept: free the file "
                "or some space, then give the same command to go on."
            ) from error
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"expected {self._path} to be a cache of answers, it is not: {error}; give "
                "another path"
            ) from error
