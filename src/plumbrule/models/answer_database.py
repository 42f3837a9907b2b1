"""Where paid answers lie: a SQLite file, or a PostgreSQL database that several machines share."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from plumbrule.errors import ConfigError, DataError, StorageError, brief
from plumbrule.store import storage_errors

Found = TypeVar("Found")

Execute = Callable[..., Any]
"""Takes a statement with `?` for each of the values that follow it; gives a cursor."""

WAIT_SECONDS = 60.0
"""How long a locked file or a server that restarts is waited for."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS answers (
        key TEXT PRIMARY KEY, source TEXT NOT NULL, answer TEXT NOT NULL,
        dollars DOUBLE PRECISION NOT NULL
    ){ending}""",
    """CREATE TABLE IF NOT EXISTS charges (
        id {number} PRIMARY KEY, source TEXT NOT NULL, dollars DOUBLE PRECISION NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS learned (source TEXT PRIMARY KEY, facts TEXT NOT NULL){ending}",
)


class AnswerDatabase:
    """A place of paid answers; each piece of work on it is one short transaction."""

    def __init__(self, place: Path | str) -> None:
        """Open the place, or make its tables.

        Args:
            place: A file, or `postgresql://user@host/name`.

        Raises:
            ConfigError: The address is no such address, or its driver is not installed.
            StorageError: The place cannot be written.
            DataError: There is a file of that name that is no cache of answers.
        """
        self._url = place if isinstance(place, str) and "://" in place else None
        self._file = Path(place)
        if self._url is None:
            with storage_errors(self._file):
                self._file.parent.mkdir(parents=True, exist_ok=True)
            form = {"ending": " WITHOUT ROWID", "number": "INTEGER"}
        else:
            self.name = _name(self._url)
            form = {"ending": "", "number": "BIGSERIAL"}

        def make(execute: Execute) -> None:
            if self._url is not None:  # two that begin at once would make the same table twice
                execute("SELECT pg_advisory_xact_lock(8601)")
            for table in _TABLES:
                execute(table.format(**form))

        self.do(make)

    def do(self, work: Callable[[Execute], Found]) -> Found:
        """Do something in one transaction of a connection of its own.

        No thread, fork or crash ever holds the place open. While a server is away, the same is
        tried again, so the work must bear being done twice.

        Raises:
            StorageError: The place does not take it.
            DataError: The file is no cache of answers.
        """
        if self._url is None:
            with self._sqlite() as execute:
                return work(execute)
        import psycopg

        end = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                with psycopg.connect(self._url, connect_timeout=10) as connection:
                    return work(
                        lambda said, *values: connection.execute(said.replace("?", "%s"), values)
                    )
            except psycopg.OperationalError as error:
                if time.monotonic() > end:
                    raise self._refused(error) from error
                time.sleep(0.2)
            except psycopg.Error as error:
                raise self._refused(error) from error

    def _refused(self, error: Exception) -> StorageError:
        return StorageError(
            f"could not use the answers kept in {self.name}: {brief(error)}. Answers kept before "
            "are kept: see whether the server runs and this user may make and write tables, then "
            "give the same command to go on."
        )

    @contextmanager
    def _sqlite(self) -> Iterator[Execute]:
        try:
            with closing(sqlite3.connect(self._file, timeout=WAIT_SECONDS)) as database, database:
                yield lambda said, *values: database.execute(said, values)
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"could not use the cache of answers {self._file}: {error}. Answers kept before "
                "are kept: free the file "
                "or some space, then give the same command to go on."
            ) from error
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"expected {self._file} to be a cache of answers, it is not: {error}; give "
                "another path"
            ) from error


def _name(url: str) -> str:
    """The address as messages show it, without a password.

    Raises:
        ConfigError: It is none of PostgreSQL, or the driver is not installed.
    """
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if scheme not in ("postgresql", "postgres"):
        raise ConfigError(
            "answers are kept in a SQLite file or in PostgreSQL, such as "
            f"postgresql://user@host/name, got an address of {scheme or 'no kind'!r:.40}"
        )
    try:
        import psycopg  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise ConfigError(
            "answers in PostgreSQL need the driver psycopg, which is not installed; "
            "`pip install 'plumbrule[postgres]'` brings it"
        ) from error
    return f"PostgreSQL at {host or 'this machine'}{parts.path}"
