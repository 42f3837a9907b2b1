"""A run may be killed at any moment: what was recorded stays, and nothing looks like tampering."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from plumbrule.errors import LedgerError
from plumbrule.ledger import Ledger, read_entries, verify
from plumbrule.ledger.database import locate, reading
from plumbrule.store import write_atomic

WRITER = """
import sys
from plumbrule.ledger import Ledger

with Ledger.open(sys.argv[1]) as ledger:
    for i in range(100_000):
        ledger.record(f"step {i}", "stage", {"i": i})
        print(i, flush=True)
"""


class Kill(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture
def path(tmp_path):
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        ledger.record("a", "stage", {})
    return tmp_path / "ledger.db"


@pytest.mark.parametrize(("write", "kept"), [(1, 1), (2, 2)])
def test_a_kill_between_the_table_and_the_head_file_is_no_tampering(path, monkeypatch, write, kept):
    """Before the announcement nothing is there; before the confirmation the entry is."""
    calls = []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == write:
            raise Kill
        write_atomic(*arguments)

    ledger = Ledger.open(path)
    with monkeypatch.context() as patch:
        patch.setattr("plumbrule.ledger.headfile.write_atomic", killed)
        with pytest.raises(Kill):
            ledger.record("b", "stage", {})
    ledger.close()

    assert verify(path).sound
    assert verify(path).entries == kept
    with Ledger.open(path) as ledger:
        ledger.record("b", "stage", {})
        ledger.record("c", "stage", {})
    assert verify(path).sound
    assert [entry.key for entry in read_entries(path)] == ["a", "b", "c"]


def test_a_kill_before_the_entry_is_committed_leaves_an_announcement_only(path, monkeypatch):
    def killed(*arguments):
        write_atomic(*arguments)
        raise Kill

    ledger = Ledger.open(path)
    with monkeypatch.context() as patch:
        patch.setattr("plumbrule.ledger.headfile.write_atomic", killed)
        with pytest.raises(Kill):
            ledger.record("b", "stage", {})
    ledger.close()

    assert b'"announced":null' not in path.with_suffix(".head").read_bytes()
    assert verify(path).sound
    with Ledger.open(path) as ledger:
        assert ledger.record("other", "stage", {}).position == 2
    assert verify(path).sound


def test_a_forged_last_entry_does_not_pass_for_a_crash(path):
    """The announcement names the hash of the one entry that a kill may leave."""
    head = path.with_suffix(".head").read_bytes()
    with Ledger.open(path) as ledger:
        ledger.record("forged", "stage", {})
    path.with_suffix(".head").write_bytes(head)

    assert [(problem.kind, problem.position) for problem in verify(path).problems] == [("added", 2)]
    with pytest.raises(LedgerError, match="its count is 1"):
        Ledger.open(path)


def test_after_kill_9_every_recorded_entry_is_there_and_the_run_goes_on(tmp_path):
    path = tmp_path / "ledger.db"
    acknowledged = 0
    for more in (3, 11):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(acknowledged + more)]
        os.kill(process.pid, signal.SIGKILL)
        seen += [int(line) for line in process.stdout.read().split("\n")[:-1]]
        process.wait()
        process.stdout.close()
        acknowledged = max(acknowledged, len(seen))

        verification = verify(path)
        assert verification.sound
        assert verification.entries in (acknowledged, acknowledged + 1)
        assert seen == list(range(len(seen)))
    assert [entry.payload["i"] for entry in read_entries(path)] == list(range(verification.entries))


def test_a_ledger_killed_inside_a_transaction_is_verified_without_touching_it(path):
    """SQLite must roll back before reading; the examination lets it do so in a copy."""
    script = f"""
import os, signal, sqlite3
connection = sqlite3.connect({str(path)!r})
connection.execute("PRAGMA cache_size = 1")
connection.execute("UPDATE entries SET payload = 'torn'")
for i in range(2, 400):
    connection.execute(
        "INSERT INTO entries VALUES (?, 'x', ?, 'x', ?, 'x', 'x')", (i, str(i), 'x' * 2000))
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert b"torn" in before["ledger.db"]
    assert before["ledger.db-journal"]

    assert verify(path).sound
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before
    with Ledger.open(path) as ledger:
        ledger.record("b", "stage", {})
    assert verify(path).entries == 2


def test_a_ledger_being_written_is_not_taken_for_a_damaged_one(tmp_path):
    path = tmp_path / "ledger.db"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    looks = []
    try:
        for acknowledged in range(1, 31):
            process.stdout.readline()
            if acknowledged % 3 == 0:
                looks.append((acknowledged, verify(path)))
    finally:
        process.kill()
        process.stdout.close()
        process.wait()

    assert all(look.sound and look.entries >= acknowledged for acknowledged, look in looks)


def test_while_a_ledger_is_examined_nothing_can_be_added(path):
    """Or the head file could be newer than the rows it is compared with."""
    with reading(locate(path)) as rows:
        assert len(rows) == 1
        impatient = sqlite3.connect(path, timeout=0)
        impatient.execute("DELETE FROM entries")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            impatient.commit()
        impatient.close()


def test_an_entry_is_on_disk_when_record_returns(path):
    """Another connection sees it at once, and SQLite is told to sync fully."""
    with Ledger.open(path) as ledger:
        ledger.record("b", "stage", {})
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (2,)
        connection.close()
        with ledger._engine.connect() as inside:
            assert inside.exec_driver_sql("PRAGMA synchronous").scalar() == 3  # EXTRA
