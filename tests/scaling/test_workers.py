"""Shards done by workers are the shards done here, also where workers are lost."""

import sys

import pytest
from tests.scaling.fake_ray import FakeRay

from plumbrule.errors import ConfigError, DataError, OutsideError
from plumbrule.records import Message
from plumbrule.scaling import ray_workers, workers
from plumbrule.store import Shards


def said(items, seed):
    return [Message("user", f"{item} {seed}") for item in items]


def shards_of(folder, fan=None, work=said, size=3):
    given = {} if fan is None else {"fan": fan}
    found = Shards(folder, {"stage": "test"}).map(
        range(20), work, kind=Message, size=size, seed=5, **given
    )
    return found, {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}


@pytest.mark.parametrize("count", [1, 2, 30])
@pytest.mark.parametrize("lose", [(), (0,), (1, 2, 5, 6)])
def test_workers_leave_the_bytes_that_one_process_leaves(tmp_path, count, lose):
    ray = FakeRay(lose=lose)
    fanned = shards_of(tmp_path / "fanned", workers._Workers(ray, count))

    assert fanned == shards_of(tmp_path / "alone")
    assert ray.calls == 7 + len(lose)
    assert ray.started <= min(count, 7) + len(lose)


def test_shards_done_again_are_counted(tmp_path):
    shards_of(tmp_path, workers._Workers(FakeRay(lose=(1, 2)), 1))

    assert Shards(tmp_path, {}).spent()["retries"] == 2


def test_finished_shards_are_not_done_again(tmp_path):
    shards_of(tmp_path)
    ray = FakeRay()

    shards_of(tmp_path, workers._Workers(ray, 2))

    assert ray.calls == 0


def test_a_shard_that_loses_every_worker_ends_the_work_and_the_rest_is_kept(tmp_path):
    with pytest.raises(OutsideError, match=r"lost 5 workers, one after another: .*killed"):
        shards_of(tmp_path, workers._Workers(FakeRay(lose=range(2, 10)), 1))

    assert len(list(tmp_path.glob("*.jsonl"))) == 2


def test_workers_that_never_come_end_the_work(tmp_path):
    with pytest.raises(OutsideError, match="no worker could be started"):
        shards_of(tmp_path, workers._Workers(FakeRay(never_start=True), 2))


def test_a_silent_cluster_ends_the_work(tmp_path, monkeypatch):
    ray = FakeRay()
    monkeypatch.setattr(ray, "wait", lambda refs, **_: ([], refs))
    with pytest.raises(OutsideError, match="no worker could be started in 600 s"):
        shards_of(tmp_path, workers._Workers(ray, 2))


def test_an_error_of_ours_comes_back_as_it_is(tmp_path):
    def refuse(items, seed):
        raise DataError("expected other items")

    with pytest.raises(DataError, match="expected other items"):
        shards_of(tmp_path, workers._Workers(FakeRay(), 2), work=refuse)


def test_a_worker_of_another_version_is_refused(tmp_path, monkeypatch):
    worker = workers.Worker("0.0.9", 1)
    assert isinstance(worker.do("1", b"", [], 0), ConfigError)


@pytest.mark.parametrize(
    "address", ["", "local", "local:", "local:0", "local:two", "host:1#", "#2"]
)
def test_addresses_that_mean_nothing_are_refused(address):
    with pytest.raises(ConfigError, match="expected `local:N`"), ray_workers(address):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9#2", "nowhere", "h:port"])
def test_a_cluster_that_does_not_answer_is_named(address, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", FakeRay())
    with pytest.raises(OutsideError, match="expected a Ray cluster at"), ray_workers(address):
        pass


def test_ray_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"plumbrule\[ray\]"), ray_workers("local:2"):
        pass
