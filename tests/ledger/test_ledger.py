import hashlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from plumbrule.errors import ConfigError, LedgerError, StorageError
from plumbrule.ledger import Ledger, export, read_entries, verify
from plumbrule.ledger.chain import GENESIS


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "ledger.db"


def write(path, count):
    with Ledger.open(path) as ledger:
        return [ledger.record(f"step {i}", "stage", {"i": i}) for i in range(1, count + 1)]


def test_an_entry_is_the_hash_of_its_fields_and_of_the_entry_before(path):
    first, second = write(path, 2)
    fields = {**vars(second)}
    claimed = fields.pop("hash")
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert claimed == hashlib.sha256(text.encode()).hexdigest()
    assert (first.previous, second.previous) == (GENESIS, first.hash)
    assert (first.position, second.position) == (1, 2)
    assert datetime.fromisoformat(second.written_at).utcoffset() == timedelta(0)


def test_the_head_counts_the_entries_and_names_the_last(path):
    with Ledger.open(path) as ledger:
        assert (ledger.head.entries, ledger.head.hash) == (0, GENESIS)
        entry = ledger.record("a", "stage", {})
        assert (ledger.head.entries, ledger.head.hash) == (1, entry.hash)


def test_recording_again_returns_what_stands_there(path):
    once = write(path, 3)
    again = write(path, 3)

    assert again == once
    assert read_entries(path) == tuple(once)


@pytest.mark.parametrize(("kind", "payload"), [("stage", {"i": 2}), ("finding", {"i": 1})])
def test_a_key_with_other_contents_is_refused_and_nothing_changes(path, kind, payload):
    written = write(path, 2)
    with Ledger.open(path) as ledger, pytest.raises(LedgerError, match="'step 1' as entry 1"):
        ledger.record("step 1", kind, payload)

    assert read_entries(path) == tuple(written)


def test_the_order_of_a_payload_does_not_matter_and_its_text_survives(path):
    with Ledger.open(path) as ledger:
        entry = ledger.record("a", "stage", {"x": [1, 2.5, None], "é\u2028\0": {"b": True}})
        same = ledger.record("a", "stage", {"é\u2028\0": {"b": True}, "x": (1, 2.5, None)})

    assert same == entry
    assert read_entries(path)[0].payload == {"x": [1, 2.5, None], "é\u2028\0": {"b": True}}
    assert verify(path).sound


@pytest.mark.parametrize(
    "payload",
    [{"a": float("nan")}, {"a": object()}, {"a": "\ud800"}, {1: 1, "b": 2}, [1], {"a": {1, 2}}],
)
def test_what_json_cannot_hold_is_refused(path, payload):
    with Ledger.open(path) as ledger:
        with pytest.raises(LedgerError, match="a payload"):
            ledger.record("a", "stage", payload)
        assert ledger.head.entries == 0


@pytest.mark.parametrize("name", ["", "two\nlines", "\x1b[31mred", "x" * 501, "\ud800"])
def test_names_that_cannot_be_shown_are_refused(path, name):
    with Ledger.open(path) as ledger:
        with pytest.raises(LedgerError, match="a key is 1 to 500 printable"):
            ledger.record(name, "stage", {})
        with pytest.raises(LedgerError, match="a kind is 1 to 500 printable"):
            ledger.record("a", name, {})


@pytest.mark.parametrize("form", [str, lambda path: f"sqlite:///{path}", lambda path: path.parent])
def test_a_path_a_folder_and_a_url_name_the_same_ledger(path, form):
    write(path, 2)
    with Ledger.open(form(path)) as ledger:
        ledger.record("more", "stage", {})

    assert verify(form(path)).entries == 3
    assert [entry.key for entry in read_entries(form(path))] == ["step 1", "step 2", "more"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["ledger.db", "ledger.head"]


def test_a_database_without_a_file_keeps_no_head_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Ledger.open("sqlite://") as ledger:
        ledger.record("a", "stage", {})
        assert ledger.record("a", "stage", {}).position == 1
        assert [entry.key for entry in ledger.entries()] == ["a"]

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shared", [True, False])
def test_threads_may_write_at_once(path, shared):
    """Each through its own connection, as processes do, or all through one ledger."""
    with Ledger.open(path) as ledger:

        def write_some(number):
            own = ledger if shared else Ledger.open(path)
            for step in range(4):
                own.record(f"{number // 2} {step}", "stage", {"n": number // 2})
            if not shared:
                own.close()

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write_some, range(6)))

    assert verify(path).sound
    assert verify(path).entries == 12


def test_two_ledgers_on_one_file_take_turns(path):
    with Ledger.open(path) as one, Ledger.open(path) as other:
        for number in range(4):
            one.record(f"one {number}", "stage", {})
            other.record(f"other {number}", "stage", {})
        assert one.head == other.head

    assert verify(path).sound
    assert verify(path).entries == 8


def test_a_position_taken_by_another_writer_is_tried_again(path, monkeypatch):
    """As on a server, where two writers may read the same end before either writes."""
    with Ledger.open(path) as ledger:
        append, calls = ledger._append_once, []

        def taken_at_first(key, kind, payload):
            calls.append(key)
            if len(calls) < 3:
                raise sa.exc.IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE"))
            return append(key, kind, payload)

        monkeypatch.setattr(ledger, "_append_once", taken_at_first)
        assert ledger.record("a", "stage", {}).position == 1
    assert len(calls) == 3


def test_the_export_holds_every_entry_as_it_is(path, tmp_path):
    entries = write(path, 3)
    head = export(path, tmp_path / "out" / "entries.jsonl")
    lines = (tmp_path / "out" / "entries.jsonl").read_text().splitlines()

    assert [json.loads(line) for line in lines] == [vars(entry) for entry in entries]
    assert (head.entries, head.hash) == (3, entries[-1].hash)


def test_reading_makes_no_ledger_where_there_is_none(path, tmp_path):
    for look in (verify, read_entries, lambda path: export(path, tmp_path / "out")):
        with pytest.raises(LedgerError, match="no ledger at"):
            look(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("contents", [b"this is no database" * 100, b""])
def test_another_file_is_not_taken_for_a_ledger(path, contents):
    path.parent.mkdir()
    path.write_bytes(contents)
    with pytest.raises(LedgerError, match="not a ledger"):
        verify(path)


def test_a_name_that_its_own_head_file_would_take_is_refused(tmp_path):
    with pytest.raises(LedgerError, match=r"run\.head"):
        Ledger.open(tmp_path / "run.head")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["no such://thing", "nosuchdatabase://host/name"])
def test_an_address_that_leads_nowhere_is_refused(url):
    with pytest.raises(ConfigError):
        Ledger.open(url)


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        Ledger.open(tmp_path / "file" / "ledger.db")


def test_a_damaged_ledger_is_not_written_on(path):
    write(path, 3)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM entries WHERE position = 3")
    connection.close()

    with pytest.raises(LedgerError, match="its count is 3"):
        Ledger.open(path)


def test_a_ledger_without_its_head_file_is_not_written_on(path):
    write(path, 1)
    path.with_suffix(".head").unlink()
    with pytest.raises(LedgerError, match="it is missing"):
        Ledger.open(path)


def test_a_row_that_is_no_entry_is_said_to_be_none(path, tmp_path):
    write(path, 2)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET payload = '{' WHERE position = 2")
    connection.close()

    with pytest.raises(LedgerError, match="position 2 that is no entry"):
        export(path, tmp_path / "out")
