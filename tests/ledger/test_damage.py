"""Tamper with ledgers in every way we can think of; each must be noticed, named and placed."""

import random
from dataclasses import replace

import pytest

from plumbrule.ledger.chain import GENESIS, StoredRow, seal
from plumbrule.ledger.damage import examine

FIELDS = ("previous", "key", "kind", "payload", "written_at", "hash")


def make(count):
    rows: list[StoredRow] = []
    previous: object = GENESIS
    for at in range(1, count + 1):
        payload = f'{{"steps":{at}}}'
        row = seal(at, str(previous), f"key {at}", "stage", payload, f"2025-01-01T00:00:{at:02}")
        rows.append(row)
        previous = row.hash
    return rows


def found(rows, *, entries, end):
    problems = examine(rows, entries=entries, end=end)
    return [(problem.kind, problem.position) for problem in problems]


def look(rows, original):
    """Examine with what the head file of the original says."""
    return found(rows, entries=len(original), end=original[-1].hash)


def renumber(rows):
    return [replace(row, position=at) for at, row in enumerate(rows, 1)]


def rehash(row, *, position=None, previous=None):
    """What an attacker does who knows how an entry's hash is made."""
    row = replace(row, previous=previous or row.previous, position=position or row.position)
    return replace(row, hash=row.hash_at(row.position, row.previous))


def change(rows, rng):
    at, field = rng.randrange(len(rows)), rng.choice(FIELDS)
    value = "f" * 64 if field in ("previous", "hash") else '{"steps":0}'
    row = replace(rows[at], **{field: value})
    row = rehash(row) if field != "hash" and rng.random() < 0.5 else row
    return [*rows[:at], row, *rows[at + 1 :]], [("changed", at + 1)]


def drop(rows, rng):
    at = rng.randrange(len(rows))
    rest = [*rows[:at], *rows[at + 1 :]]
    return renumber(rest) if rng.random() < 0.5 else rest, [("dropped", at + 1)]


def add(rows, rng):
    at = rng.randrange(len(rows) + 1)
    previous = rows[at - 1].hash if at else GENESIS
    row = seal(at + 1, previous, "forged", "stage", "{}", "2025-01-01")
    if rng.random() < 0.3:
        row = replace(rng.choice(rows), position=at + 1, key="copy")
    return renumber([*rows[:at], row, *rows[at:]]), [("added", at + 1)]


def swap(rows, rng):
    one, other = sorted(rng.sample(range(len(rows)), 2))
    rows = list(rows)
    rows[one], rows[other] = rows[other], rows[one]
    rows = renumber(rows)
    if rng.random() < 0.5:
        for at in (one, other):
            rows[at] = rehash(rows[at], previous=rows[at - 1].hash if at else GENESIS)
    return rows, [("reordered", one + 1), ("reordered", other + 1)]


def move(rows, rng):
    """Put one entry at least two places elsewhere."""
    one, other = rng.sample(range(len(rows)), 2)
    while abs(one - other) < 2:
        one, other = rng.sample(range(len(rows)), 2)
    rest = [*rows[:one], *rows[one + 1 :]]
    return renumber([*rest[:other], rows[one], *rest[other:]]), [("reordered", one + 1)]


WAYS = (change, drop, add, swap, move)


@pytest.mark.parametrize("way", WAYS)
def test_every_single_tampering_is_named_and_placed(way):
    """500 ledgers of 3 to 12 entries for each way of tampering."""
    rng = random.Random(way.__name__)
    for _ in range(500):
        original = make(rng.randint(3, 12))
        rows, expected = way(original, rng)
        assert look(rows, original) == expected


@pytest.mark.parametrize("way", WAYS)
def test_inside_the_chain_it_is_noticed_without_any_head(way):
    rng = random.Random(way.__name__)
    for _ in range(200):
        original = make(rng.randint(4, 12))
        rows, expected = way(original, rng)
        if all(position < len(original) for _, position in expected):
            assert found(rows, entries=None, end=None) == expected


def test_any_combination_of_tamperings_is_noticed():
    rng, told = random.Random(0), 0
    for _ in range(1000):
        original = make(rng.randint(8, 12))
        rows, done = original, []
        for _ in range(rng.randint(2, 4)):
            rows, just_done = rng.choice(WAYS)(rows, rng)
            done += just_done
        if rows != original:  # two swaps may undo each other
            assert look(rows, original)
            told += bool(set(look(rows, original)) & {(kind, at) for kind, at in done})
    # With several tamperings at once the places shift; still most are told as they were done.
    assert told >= 800


def test_nothing_is_found_where_nothing_was_done():
    for count in range(12):
        original = make(count)
        end = original[-1].hash if original else GENESIS
        assert found(original, entries=count, end=end) == []
        assert found(original, entries=None, end=None) == []
        assert found(original, entries=None, end=end if original else None) == []


def test_a_ledger_written_anew_as_a_whole_is_noticed_by_its_end():
    original = make(5)
    forged, previous = [], GENESIS
    for row in [*original[:2], replace(original[2], payload='{"steps":0}'), *original[3:]]:
        forged.append(rehash(row, previous=previous))
        previous = forged[-1].hash

    assert look(forged, original) == [("changed", 5)]
    assert found(forged, entries=None, end=None) == []


def test_an_emptied_table_misses_every_entry():
    original = make(3)

    assert look([], original) == [("dropped", 1), ("dropped", 2), ("dropped", 3)]


@pytest.mark.parametrize(
    "values",
    [
        {"payload": '{"steps": 2}'},  # same meaning, other bytes
        {"payload": '{"steps":2,"steps":2}'},
        {"payload": '{"steps":NaN}'},
        {"payload": "[" * 100_000},
        {"payload": None},
        {"key": b"key 2"},
        {"kind": "stage\udcff"},
        {"hash": None},
        {"position": 2.0},
    ],
)
def test_contents_that_we_would_never_write_are_changes(values):
    original = make(3)
    rows = [original[0], replace(original[1], **values), original[2]]

    assert look(rows, original) == [("changed", 2)]


def test_a_position_edited_by_itself_is_a_change():
    original = make(3)

    assert look([*original[:2], replace(original[2], position=9)], original) == [("changed", 3)]


def test_a_forged_entry_that_the_next_one_was_tied_to_is_named():
    """Inserted, with the entry after it relinked and rehashed by hand."""
    original = make(5)
    forged = seal(3, original[1].hash, "forged", "stage", "{}", "2025-01-01")
    relinked = rehash(original[2], position=4, previous=forged.hash)
    rows = renumber([*original[:2], forged, relinked, *original[3:]])

    assert ("added", 3) in look(rows, original)


@pytest.mark.parametrize("at", [2, 5])
def test_an_exact_copy_of_an_entry_is_added_wherever_it_stands(at):
    original = make(6)
    rows = renumber([*original[: at - 1], original[2], *original[at - 1 :]])

    assert look(rows, original) == [("added", at)]


def test_a_change_is_told_from_an_addition_after_a_renumbered_gap():
    original = make(6)
    changed = replace(original[4], payload='{"steps":0}')
    rows = renumber([original[0], *original[2:4], changed, original[5]])

    assert look(rows, original) == [("dropped", 2), ("changed", 5)]


def test_a_change_beside_a_gap_is_told_by_the_position_it_states():
    original = make(6)
    changed = replace(original[3], payload='{"steps":0}')

    assert look([*original[:2], changed, *original[4:]], original) == [
        ("dropped", 3),
        ("changed", 4),
    ]


@pytest.mark.parametrize("forged_first", [True, False])
def test_of_two_rows_for_one_place_the_linked_one_is_the_entry(forged_first):
    """Where a gap further on leaves nothing to prove either."""
    original = make(6)
    forged = seal(3, "f" * 64, "forged", "stage", "{}", "2025-01-01")
    pair = [forged, original[2]] if forged_first else [original[2], forged]
    rows = renumber([*original[:2], *pair, original[3], original[5]])
    rows = [row for row in rows if row.key != "key 4"]

    problems = look(rows, original)

    assert ("dropped", 5) in problems
    assert not {"key 3"} & {p.key for p in examine(rows, entries=6, end=original[5].hash)}


def test_a_chain_that_begins_with_another_hash_is_noticed():
    """All entries before were cut off, and those left rewritten to be numbered from 1."""
    rows, previous = [], "f" * 64
    for at in range(1, 4):
        rows.append(seal(at, previous, f"key {at}", "stage", "{}", "2025-01-01"))
        previous = str(rows[-1].hash)

    assert look(rows, rows) == [("changed", 1)]
    assert found(rows, entries=None, end=None) == [("changed", 1)]


def test_a_long_ledger_is_examined_in_a_moment_however_it_looks():
    """Every row unrecognizable: the work stays proportional to the rows."""
    original = make(2000)
    ruined = [replace(row, hash="0" * 64, payload="{}") for row in original]

    assert len(look(ruined, original)) == 2000


def test_a_problem_reads_as_a_sentence_without_control_characters():
    original = make(2)
    rows = [replace(original[0], key="\x1b[31m\n"), original[1]]
    (problem,) = examine(rows, entries=2, end=original[1].hash)

    assert str(problem).startswith("changed: entry 1 '\\x1b[31m\\n': its contents")
