"""Our numbers against TransformerLens's on the same weights, where its environment was made."""

import numpy as np
import pytest
from benchmarks.mechanism_peers import PROGRAMS
from benchmarks.peers.asking import OURS, Peer, python_of
from benchmarks.peers.compared import given
from benchmarks.peers.models import write

ENVIRONMENT, PROGRAM = PROGRAMS["TransformerBridge"]
PYTHON = python_of(ENVIRONMENT)

pytestmark = pytest.mark.skipif(
    PYTHON is None, reason=f"needs TransformerLens: run benchmarks/peers/{ENVIRONMENT}.sh"
)

AGREE = 1e-5
"""Largest difference that rounding explains, as a share of what is there."""


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def folder(request, tmp_path_factory):
    place = tmp_path_factory.mktemp(request.param)
    write(request.param, place, quick=True)
    return place


@pytest.fixture(scope="module")
def sides(folder):
    assert PYTHON is not None
    with (
        Peer("benchmarks.peers.ours", python=OURS, folder=folder, threads=1) as ours,
        Peer(PROGRAM, python=PYTHON, folder=folder, threads=1) as theirs,
    ):
        yield ours, theirs


def both(sides, folder, job, kind):
    return [side.values(job, folder, **given()[kind]) for side in sides]


def test_logits_are_the_same(sides, folder):
    ours, theirs = both(sides, folder, "plain", "ids")

    assert np.abs(ours["logits"] - theirs["logits"]).max() < 1e-4


def test_what_is_captured_is_the_same_at_every_site(sides, folder):
    ours, theirs = both(sides, folder, "capture_all", "ids")

    # TransformerLens keeps what the last norm gives before its weights.
    assert set(ours) - set(theirs) == {"final"}
    for name, value in theirs.items():
        assert value.shape == ours[name].shape
        assert np.abs(value - ours[name]).max() < AGREE * np.abs(value).max(), name


@pytest.mark.parametrize(("job", "kind"), [("patch_stream", "in"), ("patch_heads", "heads")])
def test_patching_scores_are_the_same_in_every_cell(sides, folder, job, kind):
    ours, theirs = (found[kind] for found in both(sides, folder, job, "pair"))

    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < AGREE
    assert np.ptp(ours) > 0.1


@pytest.mark.parametrize("kind", ["pairs", "many pairs"])
def test_attribution_to_nodes_is_the_same(sides, folder, kind):
    ours, theirs = both(sides, folder, "nodes", kind)

    assert set(ours) == set(theirs)
    assert all(np.abs(ours[name] - theirs[name]).max() < AGREE for name in ours)
    assert max(np.ptp(value) for value in ours.values()) > 0.05
