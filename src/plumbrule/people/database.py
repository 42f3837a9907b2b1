"""A queue that people work on: who gets what next, and what each of them said.

What people do is appended to the events and never changed; an undo is a row of its own. Leases say
who has which item on the screen, and are the only rows that are overwritten.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from plumbrule.errors import ConfigError, DataError, StorageError
from plumbrule.people.queue import Placement, live_events, settle, side_order, uniform
from plumbrule.people.records import (
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
from plumbrule.people.tables import (
    EVENTS,
    FORM,
    ITEMS,
    LEASES,
    QUEUE,
    TURN,
    database_errors,
    file_identity,
    locate,
    open_engine,
)
from plumbrule.records import from_json, to_json

LONGEST_SECONDS = 86_400.0
"""A label that took longer was left lying."""


class LabelQueue:
    """An open queue; open one with `open_queue`, use it in a `with`.

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
        self._identity = None if file is None else file_identity(file)
        with self._reading() as connection:
            self.settings = _settings(connection, name)

    def close(self) -> None:
        """Let go of the database; every label is already safe."""
        self._engine.dispose()

    def __enter__(self) -> "LabelQueue":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

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
        who, draft = check_name(annotator), "{}"
        with self._writing() as connection:
            lease = self._own_lease(connection, who, adjudicate)
            if lease is not None:
                item_id, via, draft = lease
            else:
                drawn = self._draw(connection, who, adjudicate)
                if drawn is None:
                    return None
                item_id, via = drawn
            self._lease(connection, item_id, who, via, draft)
            item = self.item(item_id, connection)
        kept = json.loads(draft)
        return ServedItem(
            item=item,
            order=side_order(item, who, self.settings.seed),
            via=via,
            reason=kept.get("reason", ""),
            spans=tuple(MarkedSpan(**span) for span in kept.get("spans", ())),
        )

    def keep_draft(
        self, annotator: str, item_id: str, *, reason: str, spans: Sequence[MarkedSpan] = ()
    ) -> None:
        """Keep what a person has written about an item that is not answered yet."""
        who = check_name(annotator)
        with self._writing() as connection:
            check_remarks(self.item(item_id, connection), reason, spans)
            connection.execute(
                LEASES.update().where(*_own(item_id, who)).values(draft=_draft(reason, spans))
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
        said = QueueEvent(
            number=0,
            item_id=item_id,
            annotator=check_name(annotator),
            action="label",
            answer=answer,
            seconds=seconds,
            reason=reason,
            spans=tuple(spans),
        )
        return self._act(said, token)

    def skip(self, annotator: str, item_id: str, *, token: str | None = None) -> QueueEvent:
        """Leave an item to others; raises as `answer` does."""
        who = check_name(annotator)
        return self._act(QueueEvent(number=0, item_id=item_id, annotator=who, action="skip"), token)

    def flag(
        self, annotator: str, item_id: str, *, reason: str = "", token: str | None = None
    ) -> QueueEvent:
        """Say that something is wrong with an item itself, and leave it; raises as `answer`."""
        who = check_name(annotator)
        return self._act(
            QueueEvent(number=0, item_id=item_id, annotator=who, action="flag", reason=reason),
            token,
        )

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
        who = check_name(annotator)
        with self._writing() as connection:
            for done in self._by_token(connection, token):
                return _events(connection, EVENTS.c.number == done.undoes)[0]
            ways = ["adjudication"] if adjudicate else ["worth", "random", "known"]
            own = _events(connection, EVENTS.c.annotator == who, *_is_live())
            last = [event for event in own if event.via in ways][-1:]
            for event in last:
                back = replace(
                    event, action="undo", undoes=event.number, answer=None, reason="", spans=()
                )
                self._append(connection, back, token)
                draft = _draft(event.reason, event.spans)
                self._lease(connection, event.item_id, who, event.via, draft)
                return event
        return None

    def add_labels(self, labels: Sequence[tuple[str, QueueEvent]]) -> int:
        """Take over labels from elsewhere, all or none.

        Args:
            labels: Where each is, for a message, and what it says; its number and time are
                given here. One that is in the queue already is passed over.

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

    def progress(self, annotator: str, *, adjudicate: bool = False) -> QueueProgress:
        """How far a person is, and the queue."""
        who, count = check_name(annotator), sa.select(sa.func.count())
        with self._reading() as connection:

            def number_of(table: sa.Table, *criteria: sa.ColumnElement[bool]) -> int:
                return connection.scalar(count.select_from(table).where(*criteria)) or 0

            def done(action: str) -> int:
                own = EVENTS.c.annotator == who
                return number_of(EVENTS, own, EVENTS.c.action == action, *_is_live())

            waiting = sa.or_(ITEMS.c.known, _labels() < ITEMS.c.needed)
            fresh = ITEMS.c.known.is_(False)
            return QueueProgress(
                labeled=done("label"),
                skipped=done("skip"),
                flagged=done("flag"),
                left=len(self._disputed(connection, who))
                if adjudicate
                else number_of(ITEMS, ~_done_by(who), waiting),
                items=number_of(ITEMS, fresh),
                finished=number_of(ITEMS, fresh, _labels() >= ITEMS.c.needed),
            )

    def item(self, item_id: str, connection: sa.Connection | None = None) -> QueueItem:
        """One item.

        Args:
            item_id: Its id.
            connection: Of a transaction that is under way.

        Raises:
            DataError: There is none with this id.
        """
        if connection is None:
            with self._reading() as own:
                return self.item(item_id, own)
        wanted = sa.select(ITEMS.c.content).where(ITEMS.c.id == item_id)
        content = connection.scalar(wanted) if item_id.isalnum() else None
        if content is None:
            raise DataError(
                f"expected an item of {self.name}, it has none with the id {item_id!r:.80}; "
                "labels of another queue do not belong here"
            )
        return from_json(QueueItem, json.loads(content), origin=self.name)

    def items(self) -> list[QueueItem]:
        """All items, in the order in which they came."""
        with self._reading() as connection:
            contents = connection.scalars(sa.select(ITEMS.c.content).order_by(ITEMS.c.position))
            return [from_json(QueueItem, json.loads(each), origin=self.name) for each in contents]

    def placements(self) -> list[Placement]:
        """Where each item is, in the order of `items`."""
        columns = [ITEMS.c[name] for name in ("worth_rank", "random_rank", "needed", "known")]
        wanted = sa.select(ITEMS.c.id.label("item_id"), *columns).order_by(ITEMS.c.position)
        with self._reading() as connection:
            return [Placement(**row) for row in connection.execute(wanted).mappings()]

    def events(self) -> list[QueueEvent]:
        """The whole history, oldest first."""
        with self._reading() as connection:
            return _events(connection)

    def labels(self) -> list[QueueEvent]:
        """Labels that were not taken back, oldest first."""
        return [event for event in live_events(self.events()) if event.action == "label"]

    # Within one transaction

    def _own_lease(
        self, connection: sa.Connection, who: str, adjudicate: bool
    ) -> tuple[str, Via, str] | None:
        """The item that a person has on the screen, unless others finished it meanwhile."""
        ruling = LEASES.c.via == "adjudication"
        rows = connection.execute(
            sa.select(LEASES)
            .where(LEASES.c.annotator == who, ruling if adjudicate else ~ruling)
            .order_by(LEASES.c.served.desc())
        )
        for row in rows.all():
            if adjudicate:
                waits = row.item_id in self._disputed(connection, who)
            else:
                ours = sa.select(ITEMS.c.id).where(ITEMS.c.id == row.item_id, self._free(who))
                waits = connection.scalar(ours) is not None
            if waits or row.until > self._clock():
                return row.item_id, row.via, row.draft
            connection.execute(LEASES.delete().where(*_own(row.item_id, who)))
        return None

    def _draw(
        self, connection: sa.Connection, who: str, adjudicate: bool
    ) -> tuple[str, Via] | None:
        """The next item for a person, and in which way it was chosen."""
        if adjudicate:
            disputed = self._disputed(connection, who)
            return (disputed[0], "adjudication") if disputed else None
        own = sa.select(sa.func.count()).where(EVENTS.c.annotator == who)
        turn, seed = connection.scalar(own), self.settings.seed
        planted = uniform(seed, "planted", who, turn) < self.settings.known_share
        chance = uniform(seed, "chance", who, turn) < self.settings.random_share
        ways: list[Via] = ["random" if chance else "worth", "known"]
        for way in reversed(ways) if planted else ways:
            found = connection.scalar(
                sa.select(ITEMS.c.id)
                .where(ITEMS.c.known.is_(way == "known"), ~_done_by(who), self._free(who))
                .order_by(ITEMS.c.worth_rank if way == "worth" else ITEMS.c.random_rank)
                .limit(1)
            )
            if found is not None:
                return found, way
        return None

    def _free(self, who: str) -> sa.ColumnElement[bool]:
        """Of an item: it needs more labels than it has and others are about to give."""
        return sa.or_(ITEMS.c.known, _labels() + _leased(who, self._clock()) < ITEMS.c.needed)

    def _disputed(self, connection: sa.Connection, who: str) -> list[str]:
        """Items on which people differ, of which this person has said nothing, best first."""
        several = (
            sa.select(ITEMS.c.id)
            .where(
                ITEMS.c.known.is_(False),
                _labels() >= 2,
                ~_done_by(who),
                _leased(who, self._clock()) == 0,
            )
            .order_by(ITEMS.c.worth_rank)
        )
        said = EVENTS.c.action == "label"
        return [
            item_id
            for item_id in connection.scalars(several).all()
            if settle(_events(connection, EVENTS.c.item_id == item_id, said, *_is_live())) is None
        ]

    def _act(self, said: QueueEvent, token: str | None) -> QueueEvent:
        """Write down what a person did with an item on the screen."""
        who, item_id = said.annotator, said.item_id
        with self._writing() as connection:
            for done in self._by_token(connection, token):
                return done
            item = self.item(item_id, connection)
            self._check(connection, item, said)
            via = connection.scalar(sa.select(LEASES.c.via).where(*_own(item_id, who)))
            if via is None:
                raise DataError(
                    f"expected an answer to an item that was served to {who}, got one to "
                    f"{item_id[:12]}…, which was not; ask for the next item"
                )
            order = side_order(item, who, self.settings.seed)
            return self._append(connection, replace(said, via=via, order=order), token)

    def _check(self, connection: sa.Connection, item: QueueItem, said: QueueEvent) -> None:
        """Refuse what does not fit an item, and a second word of the same person on it."""
        if said.action == "label":
            item.check_answer(said.answer)
        if said.seconds is not None and not 0.0 <= said.seconds <= LONGEST_SECONDS:
            raise DataError(
                f"the seconds of a label are between 0 and {LONGEST_SECONDS:,.0f}, got "
                f"{said.seconds}"
            )
        check_remarks(item, said.reason, said.spans)
        own = (EVENTS.c.item_id == item.id, EVENTS.c.annotator == said.annotator)
        for event in _events(connection, *own, *_is_live()):
            raise DataError(
                f"expected one answer of {said.annotator} to an item, this one has "
                f"{event.answer or event.action!r} from {event.at[:19]} (UTC), perhaps from "
                "another window; that one is kept. Undo it first to say something else"
            )

    def _add_label(self, connection: sa.Connection, label: QueueEvent) -> bool:
        label = replace(label, annotator=check_name(label.annotator))
        item = self.item(label.item_id, connection)
        if sorted(label.order) != list(range(len(item.replies))):
            raise DataError(
                f"the order of a {item.kind} names each side once, such as "
                f"{list(range(len(item.replies)))}; got {list(label.order)}"
            )
        own = (EVENTS.c.item_id == item.id, EVENTS.c.annotator == label.annotator)
        there = _events(connection, *own, *_is_live())
        if [each.answer for each in there if each.action == "label"] == [label.answer]:
            return False
        self._check(connection, item, label)
        self._append(connection, label, None)
        return True

    def _append(
        self, connection: sa.Connection, event: QueueEvent, token: str | None
    ) -> QueueEvent:
        """Add a row, which the database numbers, and take the item off the person's screen."""
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        value = to_json(replace(event, at=at))
        columns = {name: value[name] for name in ("item_id", "annotator", "action", "undoes")}
        content = json.dumps({each: value[each] for each in value.keys() - columns - {"number"}})
        done = connection.execute(EVENTS.insert().values(**columns, token=token, content=content))
        key = done.inserted_primary_key
        assert key is not None
        connection.execute(LEASES.delete().where(*_own(event.item_id, event.annotator)))
        return replace(event, at=at, number=key[0])

    def _lease(
        self, connection: sa.Connection, item_id: str, who: str, via: Via, draft: str
    ) -> None:
        """Keep an item for a person from now on."""
        now = self._clock()
        connection.execute(LEASES.delete().where(*_own(item_id, who)))
        connection.execute(
            LEASES.insert().values(
                item_id=item_id,
                annotator=who,
                via=via,
                served=now,
                until=now + 60 * self.settings.lease_minutes,
                draft=draft,
            )
        )

    def _by_token(self, connection: sa.Connection, token: str | None) -> list[QueueEvent]:
        """What was done under a token already: none or one."""
        return [] if token is None else _events(connection, EVENTS.c.token == token)

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with database_errors(self.name), self._engine.begin() as connection:
            # SQLite would write on into a file that was removed, where nobody finds it again.
            if self._file is not None and file_identity(self._file) != self._identity:
                raise StorageError(
                    f"the queue {self.name} was moved, removed or replaced while it was open; "
                    "nothing was written. Put the file back, then give the same command again"
                )
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(TURN)))
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with database_errors(self.name), self._engine.connect() as connection:
            yield connection.execution_options(reads=True)


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
    name, url, file = locate(place)
    if file is not None and not file.is_file():
        raise DataError(
            f"expected a label queue, there is none at {file}; make one with "
            "`plumbrule label make --items FILE.jsonl --out QUEUE`"
        )
    engine = open_engine(url, name)
    try:
        return LabelQueue(name, engine, file, clock)
    except BaseException:
        engine.dispose()
        raise


def _settings(connection: sa.Connection, name: str) -> QueueSettings:
    if not sa.inspect(connection).has_table(QUEUE.name):
        raise DataError(
            f"expected a label queue, {name} holds none; make one with `plumbrule label make`"
        )
    row = connection.execute(sa.select(QUEUE)).first()
    if row is None or row.form != FORM:
        raise DataError(
            f"expected a label queue of form {FORM}, {name} has "
            f"{'none' if row is None else row.form}; open it with the version that made it"
        )
    return from_json(QueueSettings, json.loads(row.settings), origin=name)


def _events(connection: sa.Connection, *criteria: sa.ColumnElement[bool]) -> list[QueueEvent]:
    """Events in their order."""
    found = []
    wanted = sa.select(EVENTS).where(*criteria).order_by(EVENTS.c.number)
    for row in connection.execute(wanted).mappings().all():
        names = ("number", "item_id", "annotator", "action", "undoes")
        value = {**json.loads(row["content"]), **{name: row[name] for name in names}}
        origin = f"row {row['number']} of a queue's history"
        found.append(from_json(QueueEvent, value, origin=origin))
    return found


def _draft(reason: str, spans: Sequence[MarkedSpan]) -> str:
    return json.dumps({"reason": reason, "spans": [to_json(span) for span in spans]})


def _own(item_id: str, who: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Of a lease: it is this person's on this item."""
    return LEASES.c.item_id == item_id, LEASES.c.annotator == who


def _is_live() -> tuple[sa.ColumnElement[bool], ...]:
    """Of an event: it is no undo, and nothing took it back."""
    later = EVENTS.alias("later")
    return EVENTS.c.action != "undo", ~sa.exists().where(later.c.undoes == EVENTS.c.number)


def _done_by(who: str) -> sa.ColumnElement[bool]:
    """Of an item: this person has labeled, skipped or flagged it."""
    own = (EVENTS.c.item_id == ITEMS.c.id, EVENTS.c.annotator == who)
    return sa.exists().where(*own, *_is_live())


def _labels() -> sa.ScalarSelect[int]:
    """Of an item: live labels of anybody."""
    own = (EVENTS.c.item_id == ITEMS.c.id, EVENTS.c.action == "label")
    counted = sa.select(sa.func.count()).where(*own, *_is_live())
    return counted.correlate(ITEMS).scalar_subquery()


def _leased(who: str, now: float) -> sa.ScalarSelect[int]:
    """Of an item: others who have it on the screen."""
    others = (LEASES.c.item_id == ITEMS.c.id, LEASES.c.annotator != who, LEASES.c.until > now)
    return sa.select(sa.func.count()).where(*others).correlate(ITEMS).scalar_subquery()
