"""Where entries are kept: one table, SQLite in a file or any database SQLAlchemy can open."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from plumbrule.errors import ConfigError, LedgerError, StorageError
from plumbrule.ledger.chain import GENESIS, LONGEST_NAME, LedgerHead, StoredRow

WAIT_SECONDS = 60
"""How long to wait for another process that is writing."""

ENTRIES = sa.Table(
    "entries",
    sa.MetaData(),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("key", sa.String(LONGEST_NAME), nullable=False, unique=True),
    sa.Column("kind", sa.String(LONGEST_NAME), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("written_at", sa.String(40), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

# SQLITE_BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN: the disk or another process, no contents.
_OUTSIDE = {5, 6, 8, 10, 13, 14}


LEFTOVERS = ("-journal", "-wal")
"""What SQLite leaves beside a file that it was killed on."""


@dataclass(frozen=True, kw_only=True)
class LedgerLocation:
    """Where a ledger is."""

    name: str
    """As messages show it, without a password."""

    url: sa.URL

    file: Path | None
    """Of a SQLite ledger; None for any other database."""


def locate(target: str | Path) -> LedgerLocation:
    """Read a file's path, a run's folder or an SQLAlchemy URL.

    Raises:
        ConfigError: It looks like a URL and is none.
    """
    if isinstance(target, str) and "://" in target:
        try:
            url = sa.make_url(target)
        except sa.exc.ArgumentError as error:
            raise ConfigError(
                "a ledger's address must be a path or a URL such as postgresql+psycopg://host/"
                f"name, got {target!r}"
            ) from error
        in_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        if not in_file:
            return LedgerLocation(name=url.render_as_string(hide_password=True), url=url, file=None)
        target = Path(str(url.database))
    file = Path(target)
    if file.is_dir():
        file = file / "ledger.db"
    url = sa.URL.create("sqlite", database=str(file))
    return LedgerLocation(name=str(file), url=url, file=file)


def open_to_write(place: LedgerLocation) -> sa.Engine:
    """Open a database and make the table where there is none."""
    engine = _engine(place)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _make_durable)
        sa.event.listen(engine, "begin", begin_at_once)
    try:
        with database_errors(place), engine.begin() as connection:
            ENTRIES.create(connection, checkfirst=True)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _engine(place: LedgerLocation) -> sa.Engine:
    options = {"timeout": WAIT_SECONDS} if place.url.get_backend_name() == "sqlite" else {}
    try:
        return sa.create_engine(place.url, connect_args=options)
    except (sa.exc.NoSuchModuleError, ImportError) as error:
        raise ConfigError(
            f"there is no driver for {place.name}: {error}. Install the one the URL names, e.g. "
            "psycopg"
        ) from error


def _make_durable(connection: sqlite3.Connection, _record: object) -> None:
    # The driver would begin transactions at its own time; `begin_at_once` does it instead.
    connection.isolation_level = None
    # A rollback journal keeps the ledger one file, which can be read without writing beside it.
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA synchronous=EXTRA")


def begin_at_once(connection: sa.Connection) -> None:
    """Begin a transaction of SQLite as a writer, but for connections that say they only read."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def rows_of(connection: sa.Connection, *criteria: sa.ColumnElement[bool]) -> list[StoredRow]:
    """Rows in the order of their positions."""
    query = sa.select(ENTRIES).where(*criteria).order_by(ENTRIES.c.position)
    return [StoredRow(**row) for row in connection.execute(query).mappings()]


def head_of(connection: sa.Connection) -> LedgerHead:
    """Where the table ends."""
    query = sa.select(ENTRIES.c.position, ENTRIES.c.hash).order_by(ENTRIES.c.position.desc())
    last = connection.execute(query.limit(1)).first()
    if last is None:
        return LedgerHead(entries=0, hash=GENESIS)
    return LedgerHead(entries=last.position, hash=last.hash)


@contextmanager
def reading(place: LedgerLocation) -> Iterator[list[StoredRow]]:
    """Rows of a ledger, without changing anything about it.

    As long as the block lasts, no one can add to a SQLite ledger, so that what is beside it
    belongs to these rows.

    Raises:
        LedgerError: There is no ledger here.
        StorageError: The database cannot be reached.
    """
    with ExitStack() as open_things:
        if place.file is None:
            engine = _engine(place)
            open_things.callback(engine.dispose)
            yield _rows_in(engine, place, open_things)
            return
        if not place.file.is_file():
            raise LedgerError(
                f"there is no ledger at {place.file}; give a run's folder or its ledger.db"
            )
        try:
            rows = _rows_in(_engine_of_file(place.file, mode="ro"), place, open_things)
        except StorageError:
            # After a kill SQLite wants to roll back first, which a reader may not: so in a copy.
            files = [place.file.with_name(place.file.name + end) for end in LEFTOVERS]
            if not any(file.exists() for file in files):
                raise
            copy = Path(open_things.enter_context(TemporaryDirectory())) / place.file.name
            for file in (place.file, *files):
                if file.exists():
                    shutil.copyfile(file, copy.with_name(file.name))
            rows = _rows_in(_engine_of_file(copy, mode="rw"), place, open_things)
        yield rows


def _rows_in(engine: sa.Engine, place: LedgerLocation, open_things: ExitStack) -> list[StoredRow]:
    """All rows, in a transaction that stays open."""
    with database_errors(place):
        connection = open_things.enter_context(engine.connect())
        return rows_of(connection)


def _engine_of_file(file: Path, *, mode: str) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        address = f"file:{quote(str(file.absolute()))}?mode={mode}"
        connection = sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS)
        connection.isolation_level = None
        # Bytes that are no text must not stop the examination that is to find them.
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        return connection

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=NullPool)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


@contextmanager
def database_errors(place: LedgerLocation) -> Iterator[None]:
    """Turn what a database says into what a user needs to hear."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except sa.exc.DBAPIError as error:
        if failed_outside(error):
            raise StorageError(
                f"the ledger {place.name} cannot be reached: {error.orig}. Everything recorded "
                "before is kept: see to the disk or the server, then give the same command again"
            ) from error
        raise LedgerError(f"{place.name} is not a ledger: {error.orig}") from error


def failed_outside(error: sa.exc.SQLAlchemyError) -> bool:
    """Whether a disk, a server or another process failed, and not what the database holds."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _OUTSIDE
    return isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError)
