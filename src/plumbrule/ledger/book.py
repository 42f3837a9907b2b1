"""The ledger a run writes into."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbrule.errors import LedgerError, StorageError
from plumbrule.ledger.chain import (
    LedgerEntry,
    LedgerHead,
    StoredRow,
    canonical_payload,
    check_name,
    seal,
    to_entry,
)
from plumbrule.ledger.headfile import EMPTY, Ends, head_path, read_ends, write_ends
from plumbrule.store import storage_errors

if TYPE_CHECKING:
    import sqlalchemy as sa

    from plumbrule.ledger.database import LedgerLocation

ATTEMPTS = 20
"""Tries to append where a server lets several writers race for the next position."""


class Ledger:
    """An open ledger; make one with `Ledger.open` and close it, or use it in a `with`.

    Several threads and processes may write into the same ledger.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, Ledger.open(folder + "/ledger.db") as ledger:
        ...     first = ledger.record("train", "stage", {"steps": 100})
        ...     again = ledger.record("train", "stage", {"steps": 100})
        ...     first == again, ledger.head.entries
        (True, 1)
    """

    def __init__(self, place: "LedgerLocation", engine: "sa.Engine") -> None:
        self._place, self._engine = place, engine
        self._head_path = None if place.file is None else head_path(place.file)
        self._turn = threading.Lock()

    @classmethod
    def open(cls, path_or_url: str | Path) -> "Ledger":
        """Open a ledger, or begin one where there is none.

        Args:
            path_or_url: A file (made if missing, with its folder), an existing folder (its
                `ledger.db`), or any SQLAlchemy URL whose driver is installed.

        Raises:
            LedgerError: What is there is not a ledger, or does not end where its head file says.
                Nothing was changed.
            ConfigError: The URL is none, or its driver is not installed.
            StorageError: The disk or the server does not answer.
        """
        from plumbrule.ledger.database import locate, open_to_write

        place = locate(path_or_url)
        if place.file is not None:
            head_path(place.file)  # refuses a name that would be its own head file's
            with storage_errors(place.file):
                place.file.parent.mkdir(parents=True, exist_ok=True)
        ledger = cls(place, open_to_write(place))
        try:
            with ledger._writing() as connection:
                ledger._settle(connection)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Let go of the database; what was recorded is already safe."""
        self._engine.dispose()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def record(self, key: str, kind: str, payload: Mapping[str, Any]) -> LedgerEntry:
        """Write down that something was done, once.

        Args:
            key: Name of what was done, the same in a resumed run.
            kind: Sort of thing, e.g. "stage".
            payload: What there is to say, as JSON can hold it; nothing that differs on resuming.

        Returns:
            The entry, safe on disk; the existing one where the same was recorded before.

        Raises:
            LedgerError: The key was entered before with other contents; or the names or the payload
                cannot be recorded; or the ledger does not end where its head file says. Nothing
                was recorded.
            StorageError: The disk or the server did not take it. Give the same call again.
        """
        check_name(key, field="key")
        check_name(kind, field="kind")
        text = canonical_payload(payload)
        with self._turn:
            row = self._find(key) or self._append(key, kind, text)
        if (row.kind, row.payload) != (kind, text):
            raise LedgerError(
                f"{self._place.name} has {key!r} as entry {row.position} with other contents, and "
                "entries are never changed. Record under another key, or use a new output folder"
            )
        return to_entry(row, origin=self._place.name)

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, in the order they were written."""
        from plumbrule.ledger.database import rows_of

        with self._reading() as connection:
            rows = rows_of(connection)
        return tuple(to_entry(row, origin=self._place.name) for row in rows)

    @property
    def head(self) -> LedgerHead:
        """Where the ledger ends now. Kept elsewhere, its hash vouches for every entry."""
        from plumbrule.ledger.database import head_of

        with self._reading() as connection:
            return head_of(connection)

    def _find(self, key: str) -> StoredRow | None:
        from plumbrule.ledger.database import ENTRIES, rows_of

        with self._reading() as connection:
            rows = rows_of(connection, ENTRIES.c.key == key)
        return rows[0] if rows else None

    def _append(self, key: str, kind: str, payload: str) -> StoredRow:
        import sqlalchemy as sa

        for _ in range(ATTEMPTS):
            try:
                row = self._append_once(key, kind, payload)
            except sa.exc.IntegrityError:  # another writer took the position or the key
                found = self._find(key)
                if found is not None:
                    return found
                continue
            with self._writing() as connection:
                self._settle(connection)
            return row
        raise StorageError(
            f"{self._place.name} is written by others all the time: {ATTEMPTS} tries to append "
            "failed. Give the same command again"
        )

    def _append_once(self, key: str, kind: str, payload: str) -> StoredRow:
        from plumbrule.ledger.database import ENTRIES, rows_of

        with self._writing() as connection:
            found = rows_of(connection, ENTRIES.c.key == key)
            if found:
                return found[0]
            head = self._settle(connection)
            now = datetime.now(UTC).isoformat(timespec="microseconds")
            row = seal(head.entries + 1, head.hash, key, kind, payload, now)
            if self._head_path is not None:
                write_ends(self._head_path, Ends(head=head, announced=str(row.hash)))
            connection.execute(ENTRIES.insert().values(**vars(row)))
        return row

    def _settle(self, connection: "sa.Connection") -> LedgerHead:
        """Bring the head file up to the table, while no one else writes.

        A difference that a kill leaves is mended; any other is somebody's doing.
        """
        from plumbrule.ledger.database import head_of

        head = head_of(connection)
        if self._head_path is None:
            return head
        ends = read_ends(self._head_path)
        if ends is None and head == EMPTY.head:
            write_ends(self._head_path, EMPTY)
        elif ends is None or not ends.match(head):
            expected = "it is missing" if ends is None else f"its count is {ends.head.entries}"
            raise LedgerError(
                f"{self._place.name} ends after {head.entries} entries with {head.hash[:12]}…, and "
                f"{self._head_path.name} beside it does not agree: {expected}. "
                "`plumbrule ledger verify` tells what was done to it; nothing more is recorded here"
            )
        elif ends != Ends(head=head):
            write_ends(self._head_path, Ends(head=head))
        return head

    @contextmanager
    def _writing(self) -> "Iterator[sa.Connection]":
        from plumbrule.ledger.database import database_errors

        with database_errors(self._place), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> "Iterator[sa.Connection]":
        from plumbrule.ledger.database import database_errors

        with database_errors(self._place), self._engine.connect() as connection:
            yield connection.execution_options(reads=True)
