import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.errors import DataError, StorageError
from plumbrule.records import Message, strict
from plumbrule.store import (
    Shards,
    canonical,
    derive_seed,
    fingerprint,
    storage_errors,
    write_atomic,
)


@strict
@dataclass(frozen=True)
class Doubled:
    value: int
    text: str = ""


def double(shard, seed):
    return [Doubled(2 * item) for item in shard]


def refuse(shard, seed):
    raise AssertionError("finished work was done again")


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_the_order_of_keys_does_not_change_a_fingerprint(mapping):
    turned = dict(reversed(list(mapping.items())))

    assert fingerprint(turned) == fingerprint(mapping)


def test_numbers_that_mean_nothing_have_no_fingerprint():
    with pytest.raises(ValueError, match="JSON compliant"):
        fingerprint({"rate": float("nan")})


def test_seeds_depend_on_every_name():
    seeds = {
        derive_seed(seed, *names) for seed in (0, 1) for names in [(), ("a",), ("a", 1), ("b",)]
    }

    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_finished_shards_are_read_and_not_made_again(tmp_path):
    shards = Shards(tmp_path, {"stage": "double"})
    first = shards.map(range(10), double, kind=Doubled, size=4, seed=0)

    again = shards.map(range(10), refuse, kind=Doubled, size=4, seed=0)

    assert again == first == [Doubled(2 * item) for item in range(10)]
    assert len(list(tmp_path.glob("*.jsonl"))) == 3


@pytest.mark.parametrize("change", ["inputs", "seed", "items", "size"])
def test_anything_that_changes_the_work_makes_another_shard(tmp_path, change):
    Shards(tmp_path, {"stage": "double"}).map(range(4), double, kind=Doubled, size=4, seed=0)
    inputs = {"stage": "other" if change == "inputs" else "double"}
    items = range(1, 5) if change == "items" else range(4)

    with pytest.raises(AssertionError, match="done again"):
        Shards(tmp_path, inputs).map(
            items,
            refuse,
            kind=Doubled,
            size=2 if change == "size" else 4,
            seed=1 if change == "seed" else 0,
        )


def test_a_crash_between_shards_costs_only_the_shard_under_way(tmp_path):
    shards = Shards(tmp_path, {})
    done: list[list[int]] = []

    def crash_on_second(shard, seed):
        if done:
            raise KeyboardInterrupt
        done.append(shard)
        return double(shard, seed)

    with pytest.raises(KeyboardInterrupt):
        shards.map(range(6), crash_on_second, kind=Doubled, size=3, seed=0)
    redone: list[int] = []

    def note(shard, seed):
        redone.extend(shard)
        return double(shard, seed)

    shards.map(range(6), note, kind=Doubled, size=3, seed=0)

    assert redone == [3, 4, 5]


@pytest.mark.parametrize("damage", ["cut", "changed", "dropped line"])
def test_a_damaged_shard_is_named_and_not_used(tmp_path, damage):
    shards = Shards(tmp_path, {})
    shards.map(range(3), double, kind=Doubled, size=3, seed=0)
    (path,) = tmp_path.glob("*.jsonl")
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    path.write_text(
        {
            "cut": text[: len(text) // 2],
            "changed": text.replace('"value":2', '"value":3'),
            "dropped line": "".join(lines[1:]),
        }[damage]
    )

    with pytest.raises(DataError, match=path.name):
        shards.map(range(3), double, kind=Doubled, size=3, seed=0)


def test_separators_that_only_unicode_knows_survive(tmp_path):
    text = "one\u2028two\u0085three\x1cfour"
    shards = Shards(tmp_path, {})

    def say(shard, seed):
        return [Doubled(0, text)]

    shards.map([0], say, kind=Doubled, size=1, seed=0)

    assert shards.map([0], refuse, kind=Doubled, size=1, seed=0)[0].text == text


def test_a_cost_or_a_shard_that_is_none_is_named(tmp_path):
    shards = Shards(tmp_path, {})
    shards.map(range(2), double, kind=Doubled, size=2, seed=0)
    (shard,) = tmp_path.glob("*.jsonl")
    cost = shard.with_suffix(".cost.json")
    for content in (b"[", b"[1]", b'{"a": "b"}', b"\xff", b"[" * 100_000):
        cost.write_bytes(content)
        with pytest.raises(DataError, match=cost.name):
            shards.spent()
    shard.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=shard.name):
        shards.map(range(2), double, kind=Doubled, size=2, seed=0)


def test_what_a_shard_cost_is_still_known_after_a_restart(tmp_path):
    spent = {"calls": 0}

    def work(shard, seed):
        spent["calls"] += len(shard)
        return double(shard, seed)

    shards = Shards(tmp_path, {})
    shards.map(range(5), work, kind=Doubled, size=2, seed=0, meter=lambda: dict(spent))

    cost = Shards(tmp_path, {}).spent()
    assert cost["calls"] == 5
    assert cost["seconds"] > 0


def test_records_are_items_too(tmp_path):
    shards = Shards(tmp_path, {})

    results = shards.map(
        [Message("user", "a")], lambda s, seed: [Doubled(len(s))], kind=Doubled, size=1, seed=0
    )

    assert results == [Doubled(1)]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="free some space, then give the same command"):
        write_atomic(path, "new")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_apart_from_other_trouble():
    path = Path("/dev/full")

    with (
        pytest.raises(StorageError, match="free some space"),
        storage_errors(path),
        path.open("wb", buffering=0) as file,
    ):
        file.write(b"x")


def test_canonical_text_is_json():
    assert json.loads(canonical({"b": [1, "é"], "a": None})) == {"a": None, "b": [1, "é"]}
