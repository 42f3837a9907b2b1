"""Where a queue is kept: a SQLite file, or a PostgreSQL database by URL.

What people do is appended to `events` and never changed; an undo is a row of its own. Leases say
who has which item on the screen, and are the only rows that are overwritten.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from plumbrule.errors import ConfigError, DataError, OutputError, StorageError, brief
from plumbrule.people.queue import (
    Placement,
    live_events,
    place_items,
    settle,
    side_order,
    uniform,
)
from plumbrule.people.records import (
    Action,
    MarkedSpan,
    QueueEvent,
    QueueItem,
    QueueProgress,
    QueueSettings,
    ServedItem,
    Via,
    check_name,
    check_remarks,
)
from plumbrule.records import from_json, to_json
from plumbrule.store import storage_errors

FORM = 1
"""Of the tables; a queue of another form is refused."""

WAIT_SECONDS = 30
"""How long to wait for another process that is writing."""

LONGEST_SECONDS = 86_400.0
"""A label that took longer was left lying."""

_TURN = 0x706C756D
"""Number of the lock that writers of one PostgreSQL database take turns with."""

_TABLES = sa.MetaData()
_QUEUE = sa.Table(
    "label_queue",
    _TABLES,
    sa.Column("form", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("settings", sa.Text, nullable=False),
)
_ITEMS = sa.Table(
    "label_items",
    _TABLES,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("worth_rank", sa.Integer, nullable=False, index=True),
    sa.Column("random_rank", sa.Integer, nullable=False, index=True),
    sa.Column("needed", sa.Integer, nullable=False),
    sa.Column("known", sa.Boolean, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
)
_EVENTS = sa.Table(
    "label_events",
    _TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("item_id", sa.String(64), nullable=False, index=True),
    sa.Column("annotator", sa.String(80), nullable=False, index=True),
    sa.Column("action", sa.String(10), nullable=False),
    sa.Column("undoes", sa.Integer, nullable=True, unique=True),
    sa.Column("token", sa.String(80), nullable=True, unique=True),
    sa.Column("content", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
_LEASES = sa.Table(
    "label_leases",
    _TABLES,
    sa.Column("item_id", sa.String(64), primary_key=True),
    sa.Column("annotator", sa.String(80), primary_key=True),
    sa.Column("via", sa.String(20), nullable=False),
    sa.Column("served", sa.Float, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("draft", sa.Text, nullable=False),
)

# SQLITE_BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN: the disk or another process.
_OUTSIDE = {5, 6, 8, 10, 13, 14}


class LabelQueue:
    """An open queue; make one with `make_queue`, open one with `open_queue`, use it in a `with`.

    Several threads, processes and, with PostgreSQL, machines may work on one queue.
    """

    def __init__(
        self,
        name: str,
        engine: sa.Engine,
        file: Path | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name, self._engine, self._file, self._clock = name, engine, file, clock
        self._identity = None if file is None else _identity(file)
        with self._reading() as connection:
            self.settings = _settings(connection, name)

    def close(self) -> None:
        """Let go of the database; every label is already safe."""
        self._engine.dispose()

    def __enter__(self) -> "LabelQueue":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # What people do

    def serve(self, annotator: str, *, adjudicate: bool = False) -> ServedItem | None:
        """Give a person an item, and keep it for that person for a while.

        Who did not answer the last item gets the same again, with what was written about it.

        Args:
            annotator: Who asks.
            adjudicate: Give items on which two others differ, in place of new ones.

        Returns:
            The item; None where nothing waits for this person.

        Raises:
            ConfigError: The name cannot be used.
            StorageError: The database does not answer.
        """
        who, now = check_name(annotator), self._clock()
        with self._writing() as connection:
            lease = self._own_lease(connection, who, adjudicate, now)
            if lease is None:
                drawn = self._draw(connection, who, adjudicate, now)
                if drawn is None:
                    return None
                lease = {"item_id": drawn[0], "via": drawn[1], "draft": "{}"}
                self._drop_lease(connection, drawn[0], who)  # one of the other mode
                connection.execute(
                    _LEASES.insert().values(annotator=who, served=now, until=now, **lease)
                )
            connection.execute(
                _LEASES.update()
                .where(_LEASES.c.item_id == lease["item_id"], _LEASES.c.annotator == who)
                .values(until=now + 60 * self.settings.lease_minutes)
            )
            item = self._item(connection, lease["item_id"])
        draft = json.loads(lease["draft"])
        return ServedItem(
            item=item,
            order=side_order(item, who, self.settings.seed),
            via=lease["via"],
            reason=draft.get("reason", ""),
            spans=tuple(MarkedSpan(**span) for span in draft.get("spans", ())),
        )

    def keep_draft(
        self, annotator: str, item_id: str, *, reason: str, spans: Sequence[MarkedSpan] = ()
    ) -> None:
        """Keep what a person has written about an item that is not answered yet."""
        who = check_name(annotator)
        with self._writing() as connection:
            check_remarks(self._item(connection, item_id), reason, spans)
            draft = json.dumps({"reason": reason, "spans": [to_json(span) for span in spans]})
            connection.execute(
                _LEASES.update()
                .where(_LEASES.c.item_id == item_id, _LEASES.c.annotator == who)
                .values(draft=draft)
            )

    def answer(
        self,
        annotator: str,
        item_id: str,
        answer: str,
        *,
        seconds: float | None = None,
        reason: str = "",
        spans: Sequence[MarkedSpan] = (),
        token: str | None = None,
    ) -> QueueEvent:
        """Write down a label, in one transaction: when this returns, it is on the disk.

        Two people who answer one item in the same second are both kept. One who answers an item
        twice, as in two windows, is told of the first answer.

        Args:
            annotator: Who says so.
            item_id: What was served to that person.
            answer: One of the item's `answers`, about the item and not about sides of a page.
            seconds: From the item's appearance to the answer.
            reason: Why, in the person's words.
            spans: Passages that the reason speaks of.
            token: A name drawn for this one answer, so that sending it again changes nothing.

        Raises:
            ConfigError: The name cannot be used.
            DataError: The item is not in the queue, was not served to this person, is answered
                already, or the answer does not fit it. Nothing was written.
            StorageError: The database did not take it. Give the same call again.
        """
        return self._act("label", annotator, item_id, answer, seconds, reason, spans, token)

    def skip(self, annotator: str, item_id: str, *, token: str | None = None) -> QueueEvent:
        """Leave an item to others."""
        return self._act("skip", annotator, item_id, None, None, "", (), token)

    def flag(
        self, annotator: str, item_id: str, *, reason: str = "", token: str | None = None
    ) -> QueueEvent:
        """Say that something is wrong with an item itself, and leave it."""
        return self._act("flag", annotator, item_id, None, None, reason, (), token)

    def undo(
        self, annotator: str, *, adjudicate: bool = False, token: str | None = None
    ) -> QueueEvent | None:
        """Take back what a person did last; the item is served again with its reason.

        Args:
            annotator: Who takes back.
            adjudicate: Of what was adjudicated, in place of what was labeled.
            token: A name drawn for this one undo, so that sending it again changes nothing.

        Returns:
            The event that was taken back; None where there is none. It stays in the history.

        Raises:
            StorageError: The database did not take it.
        """
        who, now = check_name(annotator), self._clock()
        with self._writing() as connection:
            if token is not None and (done := self._by_token(connection, token)) is not None:
                return self._numbered(connection, done.undoes)
            last = connection.execute(
                sa.select(_EVENTS)
                .where(_EVENTS.c.annotator == who, *_is_live())
                .order_by(_EVENTS.c.number.desc())
            )
            for row in last.mappings():
                event = _event(row)
                if event.via != "import" and (event.via == "adjudication") == adjudicate:
                    break
            else:
                return None
            self._append(
                connection,
                QueueEvent(
                    number=0,
                    item_id=event.item_id,
                    annotator=who,
                    action="undo",
                    order=event.order,
                    via=event.via,
                    undoes=event.number,
                ),
                token,
            )
            draft = {"reason": event.reason, "spans": [to_json(span) for span in event.spans]}
            self._drop_lease(connection, event.item_id, who)
            connection.execute(
                _LEASES.insert().values(
                    item_id=event.item_id,
                    annotator=who,
                    via=event.via,
                    served=now,
                    until=now + 60 * self.settings.lease_minutes,
                    draft=json.dumps(draft),
                )
            )
            return event

    def add_labels(self, labels: Sequence[tuple[str, QueueEvent]]) -> int:
        """Take over labels from elsewhere, all or none.

        Args:
            labels: Where each stands, for a message, and what it says; its number, time and way
                are given here. One that is in the queue already is passed over.

        Returns:
            How many were new.

        Raises:
            DataError: An item is not in the queue, an answer does not fit it, or the same person
                has said something else of it. Nothing was written.
            StorageError: The database did not take it. Nothing was written.
        """
        added = 0
        with self._writing() as connection:
            for origin, label in labels:
                try:
                    added += self._add_label(connection, label)
                except (DataError, ConfigError) as error:
                    raise DataError(f"{origin}: {error}. Nothing was imported") from error
        return added

    # What can be read

    def progress(self, annotator: str, *, adjudicate: bool = False) -> QueueProgress:
        """How far a person is, and the queue."""
        who, now = check_name(annotator), self._clock()
        with self._reading() as connection:
            counted = dict(
                connection.execute(
                    sa.select(_EVENTS.c.action, sa.func.count())
                    .where(_EVENTS.c.annotator == who, *_is_live())
                    .group_by(_EVENTS.c.action)
                )
                .tuples()
                .all()
            )
            fresh = _ITEMS.c.known.is_(False)
            items = connection.scalar(sa.select(sa.func.count()).where(fresh)) or 0
            finished = connection.scalar(
                sa.select(sa.func.count()).where(fresh, _labels() >= _ITEMS.c.needed)
            )
            if adjudicate:
                left = len(self._disputed(connection, who, now))
            else:
                open_ = sa.select(sa.func.count()).where(
                    ~_done_by(who), sa.or_(_ITEMS.c.known, _labels() < _ITEMS.c.needed)
                )
                left = connection.scalar(open_) or 0
        return QueueProgress(
            labeled=counted.get("label", 0),
            skipped=counted.get("skip", 0),
            flagged=counted.get("flag", 0),
            left=left,
            items=items,
            finished=finished or 0,
        )

    def item(self, item_id: str) -> QueueItem:
        """One item.

        Raises:
            DataError: There is none with this id.
        """
        with self._reading() as connection:
            return self._item(connection, item_id)

    def items(self) -> list[QueueItem]:
        """All items, in the order in which they came."""
        with self._reading() as connection:
            rows = connection.execute(sa.select(_ITEMS.c.content).order_by(_ITEMS.c.position))
            return [_read_item(content, self.name) for (content,) in rows]

    def placements(self) -> list[Placement]:
        """Where each item stands, in the order of `items`."""
        with self._reading() as connection:
            rows = connection.execute(sa.select(_ITEMS).order_by(_ITEMS.c.position)).mappings()
            return [
                Placement(
                    item_id=row["id"],
                    worth_rank=row["worth_rank"],
                    random_rank=row["random_rank"],
                    needed=row["needed"],
                    known=row["known"],
                )
                for row in rows
            ]

    def events(self) -> list[QueueEvent]:
        """The whole history, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(sa.select(_EVENTS).order_by(_EVENTS.c.number)).mappings()
            return [_event(row) for row in rows]

    def labels(self) -> list[QueueEvent]:
        """Labels that were not taken back, oldest first."""
        return [event for event in live_events(self.events()) if event.action == "label"]

    # Within one transaction

    def _own_lease(
        self, connection: sa.Connection, who: str, adjudicate: bool, now: float
    ) -> dict[str, Any] | None:
        """The item that a person has on the screen, if others have not finished it meanwhile."""
        via = _LEASES.c.via == "adjudication"
        rows = connection.execute(
            sa.select(_LEASES)
            .where(_LEASES.c.annotator == who, via if adjudicate else ~via)
            .order_by(_LEASES.c.served.desc())
        ).mappings()
        for row in rows.all():
            if row["until"] > now or self._still_open(connection, row["item_id"], who, adjudicate):
                return dict(row)
            self._drop_lease(connection, row["item_id"], who)
        return None

    def _still_open(
        self, connection: sa.Connection, item_id: str, who: str, adjudicate: bool
    ) -> bool:
        if adjudicate:
            return item_id in self._disputed(connection, who, self._clock())
        waiting = sa.select(_ITEMS.c.id).where(
            _ITEMS.c.id == item_id,
            sa.or_(_ITEMS.c.known, _labels() + _leased(who, self._clock()) < _ITEMS.c.needed),
        )
        return connection.execute(waiting).first() is not None

    def _draw(
        self, connection: sa.Connection, who: str, adjudicate: bool, now: float
    ) -> tuple[str, Via] | None:
        """The next item for a person, and in which way it was chosen."""
        if adjudicate:
            disputed = self._disputed(connection, who, now)
            return (disputed[0], "adjudication") if disputed else None
        own = sa.select(sa.func.count()).where(_EVENTS.c.annotator == who)
        turn, seed = connection.scalar(own) or 0, self.settings.seed
        planted = uniform(seed, "planted", who, turn) < self.settings.known_share
        chance = uniform(seed, "chance", who, turn) < self.settings.random_share
        ways: list[Via] = ["random" if chance else "worth", "known"]
        for way in reversed(ways) if planted else ways:
            rank = _ITEMS.c.worth_rank if way == "worth" else _ITEMS.c.random_rank
            free = sa.or_(_ITEMS.c.known, _labels() + _leased(who, now) < _ITEMS.c.needed)
            found = connection.execute(
                sa.select(_ITEMS.c.id)
                .where(_ITEMS.c.known.is_(way == "known"), ~_done_by(who), free)
                .order_by(rank)
                .limit(1)
            ).first()
            if found is not None:
                return found.id, way
        return None

    def _disputed(self, connection: sa.Connection, who: str, now: float) -> list[str]:
        """Items on which people differ, and of which this person has said nothing."""
        rows = connection.execute(
            sa.select(_ITEMS.c.id)
            .where(
                _ITEMS.c.known.is_(False), _labels() >= 2, ~_done_by(who), _leased(who, now) == 0
            )
            .order_by(_ITEMS.c.worth_rank)
        )
        found = []
        for (item_id,) in rows.all():
            if settle(self._labels_of(connection, item_id)) is None:
                found.append(item_id)
        return found

    def _labels_of(self, connection: sa.Connection, item_id: str) -> list[QueueEvent]:
        rows = connection.execute(
            sa.select(_EVENTS)
            .where(_EVENTS.c.item_id == item_id, _EVENTS.c.action == "label", *_is_live())
            .order_by(_EVENTS.c.number)
        )
        return [_event(row) for row in rows.mappings()]

    def _act(
        self,
        action: Action,
        annotator: str,
        item_id: str,
        answer: str | None,
        seconds: float | None,
        reason: str,
        spans: Sequence[MarkedSpan],
        token: str | None,
    ) -> QueueEvent:
        who = check_name(annotator)
        with self._writing() as connection:
            if token is not None and (done := self._by_token(connection, token)) is not None:
                return done
            item = self._item(connection, item_id)
            check_seconds(seconds)
            if action == "label":
                item.check_answer(answer)
            check_remarks(item, reason, spans)
            self._refuse_second(connection, item_id, who)
            lease = connection.execute(
                sa.select(_LEASES.c.via).where(
                    _LEASES.c.item_id == item_id, _LEASES.c.annotator == who
                )
            ).first()
            if lease is None:
                raise DataError(
                    f"expected an answer to an item that was served to {who}, got one to "
                    f"{item_id[:12]}…, which was not; ask for the next item"
                )
            event = self._append(
                connection,
                QueueEvent(
                    number=0,
                    item_id=item_id,
                    annotator=who,
                    action=action,
                    answer=answer,
                    seconds=seconds,
                    order=side_order(item, who, self.settings.seed),
                    reason=reason,
                    spans=tuple(spans),
                    via=lease.via,
                ),
                token,
            )
            self._drop_lease(connection, item_id, who)
            return event

    def _refuse_second(self, connection: sa.Connection, item_id: str, who: str) -> None:
        """One person says one thing of an item, however many windows are open."""
        row = (
            connection.execute(
                sa.select(_EVENTS).where(
                    _EVENTS.c.item_id == item_id, _EVENTS.c.annotator == who, *_is_live()
                )
            )
            .mappings()
            .first()
        )
        if row is not None:
            event = _event(row)
            raise DataError(
                f"expected one answer of {who} to an item, this one has "
                f"{event.answer or event.action!r} from {event.at[:19]} (UTC), perhaps from "
                "another window; that one is kept. Undo it first to say something else"
            )

    def _add_label(self, connection: sa.Connection, label: QueueEvent) -> bool:
        who = check_name(label.annotator)
        item = self._item(connection, label.item_id)
        item.check_answer(label.answer)
        check_seconds(label.seconds)
        check_remarks(item, label.reason, label.spans)
        if sorted(label.order) != list(range(len(item.replies))):
            raise DataError(
                f"the order of a {item.kind} names each side once, such as "
                f"{list(range(len(item.replies)))}; got {list(label.order)}"
            )
        for own in self._labels_of(connection, label.item_id):
            if own.annotator == who and own.answer == label.answer:
                return False
        self._refuse_second(connection, label.item_id, who)
        via: Via = "adjudication" if label.via == "adjudication" else "import"
        self._append(
            connection,
            QueueEvent(
                number=0,
                item_id=item.id,
                annotator=who,
                action="label",
                answer=label.answer,
                seconds=label.seconds,
                order=label.order,
                reason=label.reason,
                spans=label.spans,
                via=via,
            ),
            None,
        )
        self._drop_lease(connection, item.id, who)
        return True

    def _append(
        self, connection: sa.Connection, event: QueueEvent, token: str | None
    ) -> QueueEvent:
        """Add a row; the database gives it its number."""
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        content = {**to_json(event), "at": at}
        columns = {name: content.pop(name) for name in ("item_id", "annotator", "action", "undoes")}
        del content["number"]
        done = connection.execute(
            _EVENTS.insert().values(**columns, token=token, content=json.dumps(content))
        )
        key = done.inserted_primary_key
        assert key is not None
        return from_json(
            QueueEvent, {**columns, **content, "number": key[0]}, origin="a label just written"
        )

    def _item(self, connection: sa.Connection, item_id: str) -> QueueItem:
        row = connection.execute(
            sa.select(_ITEMS.c.content).where(_ITEMS.c.id == str(item_id)[:64])
        ).first()
        if row is None or len(item_id) > 64:
            raise DataError(
                f"expected an item of {self.name}, it has none with the id {item_id!r:.80}; "
                "labels of another queue do not belong here"
            )
        return _read_item(row.content, self.name)

    def _by_token(self, connection: sa.Connection, token: str) -> QueueEvent | None:
        row = connection.execute(sa.select(_EVENTS).where(_EVENTS.c.token == token[:80]))
        found = row.mappings().first()
        return None if found is None else _event(found)

    def _numbered(self, connection: sa.Connection, number: int | None) -> QueueEvent | None:
        row = connection.execute(sa.select(_EVENTS).where(_EVENTS.c.number == number))
        found = row.mappings().first()
        return None if found is None else _event(found)

    def _drop_lease(self, connection: sa.Connection, item_id: str, who: str) -> None:
        connection.execute(
            _LEASES.delete().where(_LEASES.c.item_id == item_id, _LEASES.c.annotator == who)
        )

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with _database_errors(self.name), self._engine.begin() as connection:
            self._see_file()
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TURN)))
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with _database_errors(self.name), self._engine.connect() as connection:
            yield connection.execution_options(reads=True)

    def _see_file(self) -> None:
        """Notice a file that was removed or replaced: SQLite would write on where nobody looks."""
        if self._file is not None and _identity(self._file) != self._identity:
            raise StorageError(
                f"the queue {self.name} was moved, removed or replaced while it was open; nothing "
                "was written. Put the file back, then open it again"
            )


def check_seconds(seconds: float | None) -> None:
    """Refuse a time that no person takes for a label.

    Raises:
        DataError: It is negative, longer than a day, or no number.
    """
    if seconds is not None and not 0.0 <= seconds <= LONGEST_SECONDS:
        raise DataError(
            f"the seconds of a label are between 0 and {LONGEST_SECONDS:,.0f}, got {seconds}"
        )


def make_queue(
    items: Sequence[QueueItem], place: str | Path, settings: QueueSettings | None = None
) -> None:
    """Begin a queue.

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
    name, url, file = _locate(place)
    if file is None:
        engine = _engine(url, name)
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
        engine = _engine(sa.URL.create("sqlite", database=str(half)), name)
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


def open_queue(place: str | Path, *, clock: Callable[[], float] = time.time) -> LabelQueue:
    """Open a queue.

    Args:
        place: Its file, or the URL of its PostgreSQL database.
        clock: Tells the time, in seconds since 1970.

    Raises:
        DataError: There is no queue there, or one of another form.
        ConfigError: The URL is none, or its driver is not installed.
        StorageError: The disk or the server does not answer.
    """
    name, url, file = _locate(place)
    if file is not None and not file.is_file():
        raise DataError(
            f"expected a label queue, there is none at {file}; make one with "
            "`plumbrule label make --items FILE.jsonl --out QUEUE`"
        )
    engine = _engine(url, name)
    try:
        return LabelQueue(name, engine, file, clock)
    except BaseException:
        engine.dispose()
        raise


def _fill(
    engine: sa.Engine, name: str, items: Sequence[QueueItem], settings: QueueSettings
) -> None:
    with _database_errors(name), engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TURN)))
        there = set(sa.inspect(connection).get_table_names()) & set(_TABLES.tables)
        if there:
            raise OutputError(
                f"{name} holds a table named {min(there)} already; use a database of its own, or "
                "label the queue that is there"
            )
        _TABLES.create_all(connection)
        connection.execute(
            _QUEUE.insert().values(form=FORM, settings=json.dumps(to_json(settings)))
        )
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
        connection.execute(_ITEMS.insert(), rows)


def _locate(place: str | Path) -> tuple[str, sa.URL, Path | None]:
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


def _engine(url: sa.URL, name: str) -> sa.Engine:
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
        sa.event.listen(engine, "connect", _make_durable)
        sa.event.listen(engine, "begin", _begin)
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


def _make_durable(connection: sqlite3.Connection, _record: object) -> None:
    # The driver would begin transactions at its own time; `_begin` does it instead.
    connection.isolation_level = None
    with suppress(sqlite3.OperationalError):  # a disk that cannot, or a file that is no database
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # NORMAL may lose the last labels with the power


def _begin(connection: sa.Connection) -> None:
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _settings(connection: sa.Connection, name: str) -> QueueSettings:
    if not sa.inspect(connection).has_table("label_queue"):
        raise DataError(
            f"expected a label queue, {name} holds none; make one with `plumbrule label make`"
        )
    row = connection.execute(sa.select(_QUEUE)).first()
    if row is None or row.form != FORM:
        raise DataError(
            f"expected a label queue of form {FORM}, {name} has "
            f"{'none' if row is None else row.form}; open it with the version that made it"
        )
    return from_json(QueueSettings, json.loads(row.settings), origin=name)


def _read_item(content: str, name: str) -> QueueItem:
    return from_json(QueueItem, json.loads(content), origin=name)


def _event(row: sa.RowMapping) -> QueueEvent:
    names = ("number", "item_id", "annotator", "action", "undoes")
    value = {**json.loads(row["content"]), **{name: row[name] for name in names}}
    return from_json(QueueEvent, value, origin=f"row {row['number']} of a queue's history")


def _is_live() -> tuple[sa.ColumnElement[bool], ...]:
    """Of a row of events: it is no undo, and nothing took it back."""
    later = _EVENTS.alias("later")
    taken_back = sa.exists().where(later.c.undoes == _EVENTS.c.number)
    return _EVENTS.c.action != "undo", ~taken_back


def _done_by(who: str) -> sa.ColumnElement[bool]:
    """Of an item: this person has labeled, skipped or flagged it."""
    return sa.exists().where(
        _EVENTS.c.item_id == _ITEMS.c.id, _EVENTS.c.annotator == who, *_is_live()
    )


def _labels() -> sa.ScalarSelect[int]:
    """Of an item: live labels of anybody."""
    return (
        sa.select(sa.func.count())
        .where(_EVENTS.c.item_id == _ITEMS.c.id, _EVENTS.c.action == "label", *_is_live())
        .correlate(_ITEMS)
        .scalar_subquery()
    )


def _leased(who: str, now: float) -> sa.ScalarSelect[int]:
    """Of an item: others who have it on the screen."""
    return (
        sa.select(sa.func.count())
        .where(_LEASES.c.item_id == _ITEMS.c.id, _LEASES.c.annotator != who, _LEASES.c.until > now)
        .correlate(_ITEMS)
        .scalar_subquery()
    )


@contextmanager
def _database_errors(name: str) -> Iterator[None]:
    """Turn what a database says into what a person needs to hear."""
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        if isinstance(cause, sqlite3.Error):
            outside = getattr(cause, "sqlite_errorcode", 0) & 0xFF in _OUTSIDE
        else:
            outside = isinstance(
                error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError
            )
        if outside:
            raise StorageError(
                f"the queue {name} cannot be reached: {brief(cause)}. Every label given before is "
                "kept; see to the disk or the server, then go on with the same command"
            ) from error
        raise DataError(f"{name} is not a label queue: {brief(cause)}") from error
