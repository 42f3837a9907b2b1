"""Answers already paid for, kept in one database by the hash of what was asked.

Each answer is committed before anyone sees it, so a killed run has lost none. Two threads that ask
the same thing at the same time share one call. What a call may cost is written down before it is
made, so that calls without a usable answer, and those under way at a kill, count as well.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from plumbrule.models.answer_database import AnswerDatabase, Execute
from plumbrule.models.budget import Bill


@dataclass(frozen=True, kw_only=True)
class Paid:
    """One answer and its price."""

    answer: str
    dollars: float
    charge: int | None = None
    """The note of what the call may cost, which the answer replaces."""


class Answers:
    """Paid answers of one endpoint and model, on disk or for this process alone."""

    def __init__(self, place: Path | str | None, *, source: str) -> None:
        """Open the place, or make it.

        Args:
            place: A SQLite file or `postgresql://user@host/name`; None keeps answers in memory.
            source: Whose answers they are; the budget counts these alone.

        Raises:
            ConfigError: The address is no such address, or its driver is not installed.
            StorageError: The place cannot be written.
            DataError: There is a file of that name that is no cache of answers.
        """
        self._database = None if place is None else AnswerDatabase(place)
        self._source = source
        self._lock = Lock()
        self._pending: dict[str, Future[Paid]] = {}
        self._memory: dict[str, Paid] = {}
        self._learned: str | None = None
        self._charges: dict[int, float] = {}
        self._noted = 0

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
        if self._database is None:
            kept = [*(paid.dollars for paid in self._memory.values()), *self._charges.values()]
            return len(kept), math.fsum(kept)
        both = (
            "SELECT COUNT(*), SUM(dollars) FROM answers WHERE source = ?",
            "SELECT COUNT(*), SUM(dollars) FROM charges WHERE source = ?",
        )
        counted = self._database.do(
            lambda execute: [execute(said, self._source).fetchone() for said in both]
        )
        return sum(int(count) for count, _ in counted), sum(total or 0.0 for _, total in counted)

    def learned(self) -> str | None:
        """What was kept of how the endpoint answers; None where nothing was."""
        if self._database is None:
            return self._learned
        ask = "SELECT facts FROM learned WHERE source = ?"
        row = self._database.do(lambda execute: execute(ask, self._source).fetchone())
        return str(row[0]) if row else None

    def learn(self, facts: str) -> None:
        """Keep what was learned of how the endpoint answers, in place of what was kept."""
        if self._database is None:
            self._learned = facts
            return
        store = (
            "INSERT INTO learned (source, facts) VALUES (?, ?) "
            "ON CONFLICT (source) DO UPDATE SET facts = excluded.facts"
        )
        self._database.do(lambda execute: execute(store, self._source, facts))

    def _note(self, dollars: float) -> int:
        if self._database is None:
            with self._lock:
                self._noted += 1
                self._charges[self._noted] = dollars
                return self._noted
        insert = "INSERT INTO charges (source, dollars) VALUES (?, ?) RETURNING id"
        (noted,) = self._database.do(
            lambda execute: execute(insert, self._source, dollars).fetchone()
        )
        return int(noted)

    def _settle(self, charge: int, dollars: float | None) -> None:
        """Correct a note; None: nothing was charged."""
        if self._database is None:
            with self._lock:
                if dollars is None:
                    del self._charges[charge]
                else:
                    self._charges[charge] = dollars
            return
        if dollars is None:
            self._database.do(lambda execute: execute("DELETE FROM charges WHERE id = ?", charge))
        else:
            update = "UPDATE charges SET dollars = ? WHERE id = ?"
            self._database.do(lambda execute: execute(update, dollars, charge))

    def _read(self, key: str) -> Paid | None:
        if self._database is None:
            return self._memory.get(key)
        ask = "SELECT answer, dollars FROM answers WHERE key = ?"
        row = self._database.do(lambda execute: execute(ask, key).fetchone())
        return Paid(answer=row[0], dollars=row[1]) if row else None

    def _write(self, key: str, paid: Paid) -> None:
        if self._database is None:
            self._memory[key] = paid
            self._charges.pop(paid.charge or 0, None)
            return

        def store(execute: Execute) -> None:
            # Another process may have asked the same; the first answer stands for both, and then
            # the note stays, because two calls were paid.
            stored = execute(
                "INSERT INTO answers (key, source, answer, dollars) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (key) DO NOTHING",
                key, self._source, paid.answer, paid.dollars,
            ).rowcount  # fmt: skip
            if stored and paid.charge is not None:
                execute("DELETE FROM charges WHERE id = ?", paid.charge)

        self._database.do(store)
