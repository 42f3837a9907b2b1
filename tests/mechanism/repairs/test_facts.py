import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism import edited, fact_edit, find_sites, keys_at, values_for

SUBJECTS = [[5, 9, 12, 7], [8, 1, 3, 90]]
KEPT = [[(7 * row + 3 * at) % 150 + 4 for at in range(5)] for row in range(40)]
TARGETS = [33, 51]


@pytest.fixture(scope="module", params=["LlamaForCausalLM", "GPT2LMHeadModel"])
def module(request):
    return build(request.param).module


@pytest.fixture(scope="module")
def sites(module):
    return find_sites(module)


def next_token(module, row):
    with torch.no_grad():
        return module(input_ids=torch.tensor([row]), use_cache=False)["logits"][0, -1]


@pytest.mark.parametrize("kept", ["covariance", "null_space"])
def test_a_fact_is_changed_and_others_hardly_are(module, sites, kept):
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    keys = keys_at(module, sites, "1.mlp", SUBJECTS)
    others = keys_at(module, sites, "1.mlp", KEPT)
    added = values_for(
        module, sites, "1.mlp", SUBJECTS, [3, 3], TARGETS, steps=60, learning_rate=2.0, decay=0.0
    )
    before = [next_token(module, row) for row in KEPT[:10]]
    edit = fact_edit(module, sites, "1.mlp", keys, added, others, kept=kept)

    with edited(module, edit):
        said = [int(next_token(module, row).argmax()) for row in SUBJECTS]
        after = [next_token(module, row) for row in KEPT[:10]]

    assert said == TARGETS
    change = edit.changes[0]
    moved = np.linalg.norm((others @ change.right) @ change.left.T, axis=1)
    wanted = np.linalg.norm(added, axis=1)
    assert np.median(moved) < 0.35 * wanted.min()
    assert any(int(a.argmax()) == int(b.argmax()) for a, b in zip(before, after, strict=True))
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())


def test_what_is_added_for_each_key_is_what_was_asked(module, sites):
    keys = keys_at(module, sites, "2.mlp", SUBJECTS)
    others = keys_at(module, sites, "2.mlp", KEPT)
    added = np.random.default_rng(0).normal(size=(2, sites.width))

    for kept in ("covariance", "null_space"):
        (change,) = fact_edit(module, sites, "2.mlp", keys, added, others, kept=kept).changes
        assert np.allclose((keys @ change.right) @ change.left.T, added, atol=1e-4)


def test_the_covariance_form_is_that_of_rome(module, sites):
    keys = keys_at(module, sites, "0.mlp", SUBJECTS[:1])
    others = keys_at(module, sites, "0.mlp", KEPT)
    added = np.random.default_rng(1).normal(size=(1, sites.width))

    edit = fact_edit(module, sites, "0.mlp", keys, added, others, ridge=1e-2)

    # Meng et al. (2022), equation 2: L (C^-1 k)^T with L = (v - W k) / (C^-1 k)^T k.
    second = others.T @ others / len(others)
    second += 1e-2 * np.trace(second) / len(second) * np.eye(len(second))
    reads = np.linalg.inv(second) @ keys[0]
    expected = np.outer(added[0] / (reads @ keys[0]), reads)
    (change,) = edit.changes
    assert np.allclose(change.left @ change.right.T, expected, rtol=1e-4, atol=1e-6)
    assert change.left.shape[1] == 1


def test_kept_keys_in_the_null_space_form_are_spared_exactly_where_they_leave_room(module, sites):
    width = keys_at(module, sites, "0.mlp", SUBJECTS[:1]).shape[1]
    rng = np.random.default_rng(2)
    others = rng.normal(size=(500, 5)) @ rng.normal(size=(5, width))
    keys, added = rng.normal(size=(1, width)), rng.normal(size=(1, sites.width))

    (change,) = fact_edit(
        module, sites, "0.mlp", keys, added, others, kept="null_space", share=1 - 1e-9
    ).changes

    assert np.abs((others @ change.right) @ change.left.T).max() < 1e-6


def test_what_cannot_be_edited_is_refused(module, sites):
    keys = keys_at(module, sites, "1.mlp", SUBJECTS)
    added = np.ones((2, sites.width))
    full = np.random.default_rng(3).normal(size=(4000, keys.shape[1]))

    with pytest.raises(DataError, match="kept keys use all"):
        fact_edit(module, sites, "1.mlp", keys, added, full, kept="null_space", share=1.0)
    with pytest.raises(ConfigError, match="expected keys as rows"):
        fact_edit(module, sites, "1.mlp", keys[:, :-1], added, full)
    with pytest.raises(ConfigError, match="at which a matrix writes"):
        keys_at(module, sites, "1.out", SUBJECTS)
    with pytest.raises(DataError, match="empty"):
        keys_at(module, sites, "1.mlp", [[]])
    with pytest.raises(DataError, match="NaN"):
        fact_edit(module, sites, "1.mlp", np.nan * keys, added, full)
    with pytest.raises(DataError, match="place and a target"):
        values_for(module, sites, "1.mlp", SUBJECTS, [3], TARGETS)
