"""The same tamperings by SQL in real files, and what becomes of the head file."""

import sqlite3

import pytest

from plumbrule.errors import LedgerError
from plumbrule.ledger import Ledger, LedgerHead, verify
from plumbrule.ledger.chain import GENESIS, seal
from plumbrule.ledger.headfile import Ends, write_ends

MOVE = "UPDATE entries SET position = ? WHERE position = ?"
SWAP_2_AND_4 = ((MOVE, (99, 2)), (MOVE, (2, 4)), (MOVE, (4, 99)))


@pytest.fixture
def path(tmp_path):
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        for i in range(1, 7):
            ledger.record(f"step {i}", "stage", {"i": i})
    return tmp_path / "ledger.db"


def tamper(path, *statements):
    connection = sqlite3.connect(path)
    with connection:
        for statement, values in statements:
            connection.execute(statement, values)
    connection.close()


def renumber(path):
    """Close the gaps that deleted rows left."""
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute("SELECT position FROM entries ORDER BY position").fetchall()
        for at, (position,) in enumerate(rows, 1):
            connection.execute("UPDATE entries SET position = ? WHERE position = ?", (at, position))
    connection.close()


def problems(path, **options):
    found = verify(path, **options).problems
    return [(problem.kind, problem.position, problem.key) for problem in found]


def insertion(path, at):
    """A fabricated entry with a hash that fits, in front of the entry at `at`."""
    connection = sqlite3.connect(path)
    hashes = connection.execute("SELECT hash FROM entries ORDER BY position").fetchall()
    connection.close()
    previous = hashes[at - 2][0] if at > 1 else GENESIS
    row = seal(at, previous, "forged", "stage", "{}", "2025-01-01")
    fields = ", ".join(vars(row))
    return (
        ("UPDATE entries SET position = -position - 1 WHERE position >= ?", (at,)),
        ("UPDATE entries SET position = -position WHERE position < 0", ()),
        (f"INSERT INTO entries ({fields}) VALUES (?, ?, ?, ?, ?, ?, ?)", tuple(vars(row).values())),
    )


def test_an_untouched_ledger_is_sound_and_its_end_is_known(path):
    verification = verify(path)

    assert verification.sound
    assert verification.entries == 6
    assert verification.end_known
    assert verify(path, expected_head=verification.head.upper() + "\n").sound


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_payload_edited_by_sql_is_a_change(path, at):
    tamper(path, ("UPDATE entries SET payload = ? WHERE position = ?", ('{"i":0}', at)))

    assert problems(path) == [("changed", at, f"step {at}")]


@pytest.mark.parametrize("at", [1, 3, 6])
@pytest.mark.parametrize("renumbered", [False, True])
def test_a_row_deleted_by_sql_is_dropped(path, at, renumbered):
    tamper(path, ("DELETE FROM entries WHERE position = ?", (at,)))
    if renumbered:
        renumber(path)

    assert problems(path) == [("dropped", at, None)]


@pytest.mark.parametrize("at", [1, 3, 7])
def test_a_fabricated_row_is_added(path, at):
    tamper(path, *insertion(path, at))

    assert problems(path) == [("added", at, "forged")]


def test_two_swapped_rows_are_reordered(path):
    tamper(path, *SWAP_2_AND_4)

    assert problems(path) == [("reordered", 2, "step 2"), ("reordered", 4, "step 4")]


def test_bytes_that_are_no_text_are_found_and_not_stumbled_over(path):
    tamper(path, ("UPDATE entries SET kind = CAST(x'ff41' AS TEXT) WHERE position = 3", ()))

    assert problems(path) == [("changed", 3, "step 3")]


def test_verifying_changes_no_byte_and_no_file(path):
    tamper(path, *SWAP_2_AND_4)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    verify(path)
    verify(path, expected_head="a" * 64)

    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_missing_head_file_is_a_problem_until_a_head_is_given(path):
    head = verify(path).head
    path.with_suffix(".head").unlink()
    verification = verify(path)

    assert [(problem.kind, problem.position) for problem in verification.problems] == [
        ("dropped", None)
    ]
    assert not verification.end_known
    assert verify(path, expected_head=head).end_known


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", '{"announced":null,"entries":6,"hash":"x"}\n', "\udcff", "[" * 100_000],
)
def test_a_head_file_with_other_contents_is_a_problem(path, text):
    path.with_suffix(".head").write_bytes(text.encode("utf-8", "surrogateescape"))

    assert problems(path) == [("changed", None, None)]


def test_a_head_file_of_the_same_meaning_in_other_bytes_was_edited(path):
    file = path.with_suffix(".head")
    file.write_text(file.read_text().replace(":", ": "))

    assert problems(path) == [("changed", None, None)]


def test_a_head_file_that_names_another_end_is_a_problem(path):
    write_ends(path.with_suffix(".head"), Ends(head=LedgerHead(entries=6, hash="a" * 64)))
    ((kind, position, key),) = problems(path)

    assert (kind, position, key) == ("changed", 6, "step 6")


def rewrite(path, count):
    """Make the ledger again with other contents, its head file as well."""
    for file in path.parent.iterdir():
        file.unlink()
    with Ledger.open(path) as ledger:
        for i in range(count):
            ledger.record(f"forged {i}", "stage", {})


def cut(path):
    """Cut off the last entry and make the head file fit."""
    tamper(path, ("DELETE FROM entries WHERE position = 6", ()))
    connection = sqlite3.connect(path)
    (last,) = connection.execute("SELECT hash FROM entries WHERE position = 5").fetchone()
    connection.close()
    write_ends(path.with_suffix(".head"), Ends(head=LedgerHead(entries=5, hash=last)))


def test_a_rewritten_ledger_is_only_found_by_a_head_kept_elsewhere(path):
    head = verify(path).head
    rewrite(path, 6)

    assert problems(path) == []
    assert problems(path, expected_head=head) == [("dropped", 7, None)]


def test_an_end_cut_off_together_with_the_head_file_is_found_by_a_head_kept_elsewhere(path):
    head = verify(path).head
    cut(path)

    assert problems(path) == []
    assert problems(path, expected_head=head) == [("dropped", 6, None)]


def test_entries_after_the_head_kept_elsewhere_are_added(path):
    head = verify(path).head
    with Ledger.open(path) as ledger:
        ledger.record("later", "stage", {})

    assert problems(path) == []
    assert problems(path, expected_head=head) == [("added", 7, "later")]


def test_a_head_kept_elsewhere_shows_a_false_head_file(path):
    head = verify(path).head
    write_ends(path.with_suffix(".head"), Ends(head=LedgerHead(entries=6, hash="a" * 64)))

    assert problems(path, expected_head=head) == [("changed", None, None)]


def test_everything_deleted_misses_everything(path):
    head = verify(path).head
    tamper(path, ("DELETE FROM entries", ()))
    assert [kind for kind, _, _ in problems(path)] == ["dropped"] * 6

    path.with_suffix(".head").unlink()
    assert ("dropped", 1, None) in problems(path, expected_head=head)


@pytest.mark.parametrize("head", ["", "abc", "g" * 64])
def test_what_is_no_head_is_refused(path, head):
    with pytest.raises(LedgerError, match="64 hexadecimal digits"):
        verify(path, expected_head=head)


def test_a_dropped_table_is_no_ledger(path):
    tamper(path, ("DROP TABLE entries", ()))
    with pytest.raises(LedgerError, match="is not a ledger"):
        verify(path)
