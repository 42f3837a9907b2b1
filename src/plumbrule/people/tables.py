"""Tables of a queue, and the databases they are in: a SQLite file, or PostgreSQL by URL."""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from plumbrule.errors import ConfigError, DataError, OutputError, StorageError, brief
from plumbrule.ledger.database import begin_at_once, failed_outside
from plumbrule.people.queue import place_items
from plumbrule.people.records import QueueItem, QueueSettings
from plumbrule.records import to_json
from plumbrule.store import storage_errors

FORM = 1
"""Of the tables; a queue of another form is refused."""

WAIT_SECONDS = 30
"""How long to wait for another process that is writing."""

TURN = 0x706C756D
"""Number of the lock that writers of one PostgreSQL database take turns with."""

TABLES = sa.MetaData()
QUEUE = sa.Table(
    "label_queue",
    TABLES,
    sa.Column("form", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("settings", sa.Text, nullable=False),
)
ITEMS = sa.Table(
    "label_items",
    TABLES,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("worth_rank", sa.Integer, nullable=False, index=True),
    sa.Column("random_rank", sa.Integer, nullable=False, index=True),
    sa.Column("needed", sa.Integer, nullable=False),
    sa.Column("known", sa.Boolean, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
)
EVENTS = sa.Table(
    "label_events",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("item_id", sa.String(64), nullable=False, index=True),
    sa.Column("annotator", sa.String(80), nullable=False, index=True),
    sa.Column("action", sa.String(10), nullable=False),
    sa.Column("undoes", sa.Integer, nullable=True, unique=True),
    sa.Column("token", sa.String(80), nullable=True, unique=True),
    sa.Column("content", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
LEASES = sa.Table(
    "label_leases",
    TABLES,
    sa.Column("item_id", sa.String(64), primary_key=True),
    sa.Column("annotator", sa.String(80), primary_key=True),
    sa.Column("via", sa.String(20), nullable=False),
    sa.Column("served", sa.Float, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("draft", sa.Text, nullable=False),
)


def make_queue(
    items: Sequence[QueueItem], place: str | Path, settings: QueueSettings | None = None
) -> None:
    """Make a new queue.

    Args:
        items: What people are to be asked about, each once.
        place: A file that is not there yet, or the URL of a PostgreSQL database that holds no
            queue: `postgresql://user@host/name`.
        settings: The shares and the seed.

    Raises:
        DataError: No items, or one twice.
        OutputError: Something is there already. Nothing was changed.
        ConfigError: The URL is none, or its driver is not installed.
        StorageError: The disk or the server did not take it; no half queue is left.
    """
    settings = settings or QueueSettings()
    if not any(item.known is None for item in items):
        raise DataError("a queue needs at least one item whose answer is not known, got none")
    seen: dict[str, int] = {}
    for number, item in enumerate(items, 1):
        if item.id in seen:
            raise DataError(f"item {number} is the same as item {seen[item.id]}; leave one out")
        seen[item.id] = number
    name, url, file = locate(place)
    if file is None:
        engine = open_engine(url, name)
        try:
            _fill(engine, name, items, settings)
        finally:
            engine.dispose()
        return
    if file.exists():
        raise OutputError(f"{file} is there already; choose another name with --out")
    # Made beside its place and moved there, so that a kill leaves a whole queue or none.
    half = file.with_name(f".{file.name}.{os.getpid()}")
    with storage_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        engine = open_engine(sa.URL.create("sqlite", database=str(half)), name)
        try:
            _fill(engine, name, items, settings)
        finally:
            engine.dispose()
        with storage_errors(file):
            try:
                os.link(half, file)  # refuses, where a rename would replace another's queue
            except FileExistsError as error:
                raise OutputError(f"{file} is there already; choose another name") from error
    finally:
        for end in ("", "-wal", "-shm"):
            with suppress(OSError):
                half.with_name(half.name + end).unlink(missing_ok=True)


def _fill(
    engine: sa.Engine, name: str, items: Sequence[QueueItem], settings: QueueSettings
) -> None:
    with database_errors(name), engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(TURN)))
        there = set(sa.inspect(connection).get_table_names()) & set(TABLES.tables)
        if there:
            raise OutputError(
                f"{name} holds a table named {min(there)} already; use a database of its own, or "
                "label the queue that is there"
            )
        TABLES.create_all(connection)
        connection.execute(QUEUE.insert().values(form=FORM, settings=json.dumps(to_json(settings))))
        rows = [
            {
                "position": position,
                "id": item.id,
                "worth_rank": place.worth_rank,
                "random_rank": place.random_rank,
                "needed": place.needed,
                "known": place.known,
                "content": json.dumps(to_json(item)),  # in ASCII, so that it may hold a null
            }
            for position, (item, place) in enumerate(
                zip(items, place_items(items, settings), strict=True)
            )
        ]
        connection.execute(ITEMS.insert(), rows)


def locate(place: str | Path) -> tuple[str, sa.URL, Path | None]:
    """Name for messages, without a password; URL; and file, where it is one."""
    if isinstance(place, str) and "://" in place:
        try:
            url = sa.make_url(place)
        except (sa.exc.ArgumentError, ValueError) as error:
            raise ConfigError(
                "a queue's address is a file or a URL such as postgresql://user@host/name, got "
                "one that cannot be read; check it"
            ) from error
        if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
            raise ConfigError(
                "a queue is a SQLite file or a PostgreSQL URL such as postgresql://user@host/name, "
                f"got one of {url.drivername:.40}; give one of those"
            )
        url = url.set(drivername="postgresql+psycopg")
        return url.render_as_string(hide_password=True), url, None
    file = Path(place)
    return str(file), sa.URL.create("sqlite", database=str(file)), file


def open_engine(url: sa.URL, name: str) -> sa.Engine:
    """A database, not asked anything yet.

    Raises:
        ConfigError: Its driver is not installed.
    """
    if url.get_backend_name() == "sqlite":
        file = Path(str(url.database))
        # A file that went away is not made anew, empty.
        mode = "rw" if file.exists() else "rwc"
        address = f"file:{quote(str(file.absolute()))}?mode={mode}"
        engine = sa.create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(
                address, uri=True, timeout=WAIT_SECONDS, check_same_thread=False
            ),
            poolclass=sa.pool.QueuePool,
        )
        if mode == "rwc":  # stays with the file
            sa.event.listen(engine, "connect", _write_ahead)
        sa.event.listen(engine, "connect", _make_durable)
        sa.event.listen(engine, "begin", begin_at_once)
        return engine
    try:
        return sa.create_engine(
            url, pool_pre_ping=True, connect_args={"connect_timeout": WAIT_SECONDS}
        )
    except ImportError as error:
        raise ConfigError(
            f"{name} needs the driver psycopg, which is not installed; "
            "`pip install 'plumbrule[postgres]'` brings it"
        ) from error


def _write_ahead(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")


def _make_durable(connection: sqlite3.Connection, _record: object) -> None:
    # The driver would begin transactions at its own time; `begin_at_once` does it instead.
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=FULL")  # NORMAL may lose the last labels with the power


def file_identity(file: Path) -> tuple[int, int] | None:
    """Which file a name stands for; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def database_errors(name: str) -> Iterator[None]:
    """Turn what a database says into what a person needs to hear."""
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        if failed_outside(error):
            raise StorageError(
                f"the queue {name} cannot be reached: {brief(cause)}. Every label given before is "
                "kept; see to the disk or the server, then go on with the same command"
            ) from error
        raise DataError(f"{name} is not a label queue: {brief(cause)}") from error
