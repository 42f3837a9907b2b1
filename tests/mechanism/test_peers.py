import numpy as np
import pytest
import torch
from benchmarks.mechanism_peers import agreement
from benchmarks.peers.asking import OURS, Peer, PeerError, python_of
from benchmarks.peers.bridge import table
from benchmarks.peers.compared import given
from benchmarks.peers.serving import Work, answered, held_bytes


def test_memory_shared_by_tensors_counts_once():
    whole = torch.zeros(4, 8)

    assert held_bytes({"a": whole, "b": [whole[:2], whole.reshape(-1)]}) == 4 * 8 * 4
    assert held_bytes((whole, torch.zeros(3, dtype=torch.float64))) == 128 + 24
    assert held_bytes("nothing") == 0


def test_a_job_is_done_as_often_as_asked_and_kept(tmp_path):
    done = []

    def job(number):
        def run():
            done.append(number)
            return torch.full((3,), float(len(done)))

        return Work(run=run, named=lambda found: {"values": found.numpy()})

    path = tmp_path / "values.npz"
    request = {"job": "job", "arguments": {"number": 5}, "times": 3, "keep": str(path)}
    answer = answered({"job": job}, request)

    assert done == [5, 5, 5]
    assert 0 <= answer["wall"] < 1
    assert answer["held_bytes"] == 12
    with np.load(path) as kept:
        assert kept["values"].tolist() == [3.0, 3.0, 3.0]


def test_scores_that_agree_and_that_do_not():
    ours = {"a": np.array([1.0, 2.0]), "b": np.array([[3.0]]), "ours": np.array([9.0])}
    theirs = {"b": np.array([[3.0]]), "a": np.array([1.0, 2.000002])}

    same = agreement("scores", ours, theirs, judged=True)
    other = agreement("scores", ours, {**theirs, "b": np.array([[3.1]])}, judged=True)

    assert same.met
    assert same.n == 3
    assert same.value == pytest.approx(2e-6)
    assert not other.met
    assert other.value == pytest.approx(0.1)
    alike = agreement("scores", ours, {"a": -ours["a"], "b": -ours["b"]}, judged=False)
    assert alike.value == pytest.approx(-1.0)
    with pytest.raises(PeerError, match="nothing in common"):
        agreement("scores", ours, {"c": np.zeros(2)}, judged=True)


def test_prompts_of_a_pair_differ_in_two_tokens():
    pairs = given(seed=3)["many pairs"]
    clean, corrupted = np.array(pairs["clean"]), np.array(pairs["corrupted"])

    assert ((clean != corrupted).sum(1) == 2).all()
    assert given(seed=3) == given(seed=3) != given(seed=4)


def test_numbers_by_place_become_an_array():
    assert table({(0, 0): 1.0, (1, 2): 5.0}).tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 5.0]]


def test_an_environment_that_was_not_made_is_none():
    assert python_of("no such tool") is None
    assert python_of("ours") == OURS


def test_a_process_that_ends_says_why(tmp_path):
    with pytest.raises(PeerError, match="No module named"):
        Peer("benchmarks.peers.absent", python=OURS, folder=tmp_path, threads=1)
