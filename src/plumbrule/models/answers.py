"""Answers already paid for, kept in one SQLite file by the hash of what was asked.

Each answer is committed before anyone sees it, so a killed run has lost none. Two threads that ask
the same thing at the same time share one call. What a call may cost is written down before it is
made, so that calls without a usable answer, and those under way at a kill, count as well.
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
from plumbrule.models.budget import Bill
from plumbrule.store import storage_errors

_BUSY_SECONDS = 60.0
_ANSWERS = """CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, source TEXT NOT NULL, answer TEXT NOT NULL, dollars REAL NOT NULL
) WITHOUT ROWID"""
_CHARGES = """CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, dollars REAL NOT NULL
)"""


@dataclass(frozen=True, kw_only=True)
class Paid:
    """One answer and its price."""

    answer: str
    dollars: float
    charge: int | None = None
    """The note of what the call may cost, which the answer replaces."""


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
        self._charges: dict[int, float] = {}
        self._noted = 0
        if path is not None:
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            with self._database() as database:
                database.execute(_ANSWERS)
                database.execute(_CHARGES)

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

    @contextmanager
    def charging(self, bill: Bill) -> Iterator[int]:
        """Write down what a call may cost before it is made, and what it did cost afterwards.

        Gives the number of the note; whoever stores the answer hands it over in `Paid.charge`.
        """
        charge = self._note(bill.dollars)
        try:
            yield charge
        finally:
            self._settle(charge, bill.dollars if bill.charged else None)

    def spent(self) -> tuple[int, float]:
        """Calls and dollars spent here, in this run and those before, with or without an answer."""
        if self._path is None:
            kept = [*(paid.dollars for paid in self._memory.values()), *self._charges.values()]
            return len(kept), math.fsum(kept)
        calls, dollars = 0, 0.0
        with self._database() as database:
            for table in ("answers", "charges"):
                count, total = database.execute(
                    f"SELECT COUNT(*), COALESCE(SUM(dollars), 0) FROM {table} WHERE source = ?",
                    (self._source,),
                ).fetchone()
                calls, dollars = calls + int(count), dollars + float(total)
        return calls, dollars

    def _note(self, dollars: float) -> int:
        if self._path is None:
            with self._lock:
                self._noted += 1
                self._charges[self._noted] = dollars
                return self._noted
        with self._database() as database:
            noted = database.execute(
                "INSERT INTO charges (source, dollars) VALUES (?, ?)", (self._source, dollars)
            ).lastrowid
        assert noted is not None
        return noted

    def _settle(self, charge: int, dollars: float | None) -> None:
        """Correct a note; None: nothing was charged."""
        if self._path is None:
            with self._lock:
                if dollars is None:
                    del self._charges[charge]
                else:
                    self._charges[charge] = dollars
            return
        with self._database() as database:
            if dollars is None:
                database.execute("DELETE FROM charges WHERE id = ?", (charge,))
            else:
                database.execute("UPDATE charges SET dollars = ? WHERE id = ?", (dollars, charge))

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
            self._charges.pop(paid.charge or 0, None)
            return
        with self._database() as database:
            # Another process may have asked the same; the first answer stands for both, and then
            # the note stays, because two calls were paid.
            stored = database.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)",
                (key, self._source, paid.answer, paid.dollars),
            ).rowcount
            if stored and paid.charge is not None:
                database.execute("DELETE FROM charges WHERE id = ?", (paid.charge,))

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
