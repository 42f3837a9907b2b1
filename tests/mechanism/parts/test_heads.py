import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, ModelError
from plumbrule.mechanism import find_sites
from plumbrule.mechanism.parts import heads
from plumbrule.mechanism.parts.heads import ROLES, attention_patterns, find_heads, head_scores

LENGTH = 12
BACK = {"previous": 1, "duplicate": LENGTH, "induction": LENGTH - 1}


@pytest.fixture(scope="module")
def llama():
    return build("LlamaForCausalLM").module


@pytest.fixture(scope="module")
def sites(llama):
    return find_sites(llama)


def looking(plants, *, share=0.5, noise=0.3, seed=0):
    """Attention of 4 layers with 4 heads: random, but for heads that look where a role does."""

    def patterns(module, sites, ids):
        rng = np.random.default_rng(seed)
        rows, tokens = ids.shape
        mask = np.tril(np.ones((tokens, tokens)))
        found = []
        for layer in range(4):
            weights = rng.gamma(1 / noise, size=(rows, 4, tokens, tokens)) * mask
            pattern = weights / weights.sum(-1, keepdims=True)
            for (where, head), role in plants.items():
                if where == layer:
                    at = np.arange(BACK[role], tokens)
                    pattern[:, head, at] *= 1 - share
                    pattern[:, head, at, at - BACK[role]] += share
            found.append(pattern)
        return found

    return patterns


def test_attention_is_read_as_the_model_gives_it_and_its_way_comes_back(llama, sites):
    ids = torch.tensor([[5, 9, 12, 7, 30], [8, 8, 44, 3, 11]])
    way = llama.config._attn_implementation

    found = attention_patterns(llama, sites, ids)

    assert llama.config._attn_implementation == way
    assert len(found) == 4
    for pattern in found:
        assert pattern.shape == (2, 4, 5, 5)
        assert np.allclose(pattern.sum(-1), 1.0, atol=1e-5)
        assert not np.triu(pattern, 1).any()


def test_planted_heads_are_found_in_their_roles_and_no_others(llama, sites, monkeypatch):
    plants = {(1, 2): "induction", (0, 3): "previous", (2, 0): "duplicate", (3, 3): "induction"}
    monkeypatch.setattr(heads, "attention_patterns", looking(plants))

    found = find_heads(llama, sites, length=LENGTH, seed=0)

    confirmed = {(each.layer, each.head): each.role for each in found if each.confirmed}
    assert confirmed == plants
    assert len(found) == 4 * 4 * len(ROLES)
    assert all(each.confirmed for each in found[:4])
    for each in found[:4]:
        assert each.advantage.low <= each.advantage.value <= each.advantage.high
        assert each.attention == pytest.approx(0.5, abs=0.1)


def test_where_no_head_has_a_role_none_is_found(llama, sites, monkeypatch):
    """Heads that look about at random, and the tiny model as it was drawn."""
    for seed in range(10):
        monkeypatch.setattr(heads, "attention_patterns", looking({}, seed=seed))
        found = find_heads(llama, sites, length=LENGTH, seed=seed)
        assert not any(each.confirmed for each in found)
    monkeypatch.undo()

    assert not any(each.confirmed for each in find_heads(llama, sites, seed=0))


def test_an_advantage_below_the_least_one_is_no_role(llama, sites, monkeypatch):
    plants = {(1, 2): "induction"}
    monkeypatch.setattr(heads, "attention_patterns", looking(plants, share=0.08))
    assert not any(each.confirmed for each in find_heads(llama, sites, length=LENGTH, seed=0))

    monkeypatch.setattr(heads, "attention_patterns", looking(plants, share=0.4))
    (first, *_) = find_heads(llama, sites, length=LENGTH, seed=0)
    assert (first.layer, first.head, first.role, first.confirmed) == (1, 2, "induction", True)


def test_the_tokens_are_random_and_repeated(llama, sites, monkeypatch):
    seen = []

    def keep(module, sites, ids):
        seen.append(ids.numpy())
        return looking({})(module, sites, ids)

    monkeypatch.setattr(heads, "attention_patterns", keep)
    for seed in (0, 0, 1):
        find_heads(llama, sites, length=LENGTH, seed=seed)

    for ids in seen:
        assert (ids[:, :LENGTH] == ids[:, LENGTH:]).all()
        assert all(len(set(row[:LENGTH])) == LENGTH for row in ids.tolist())
    assert (seen[0] == seen[1]).all()
    assert (seen[0] != seen[2]).any()


def test_a_model_without_attention_is_refused():
    mamba = build("MambaForCausalLM").module

    with pytest.raises(ModelError, match="MambaForCausalLM"):
        find_heads(mamba, find_sites(mamba), seed=0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"roles": ()}, "expected roles among previous, duplicate, induction"),
        ({"roles": ("copying",)}, "copying"),
        ({"length": 2}, "length must be at least 3"),
        ({"sequences": 1}, "sequences at least 2"),
    ],
)
def test_wrong_input_is_refused(llama, sites, given, says):
    with pytest.raises(ConfigError, match=says):
        find_heads(llama, sites, seed=0, **given)


def test_scores_are_shares_of_attention_by_the_definition(llama, sites):
    ids = torch.tensor([[5, 9, 5, 9, 30], [8, 8, 44, 8, 44]])
    patterns = attention_patterns(llama, sites, ids)

    found = head_scores(llama, sites, ids)

    for layer, pattern in enumerate(patterns):
        for head in range(pattern.shape[1]):
            expected = dict.fromkeys(ROLES, 0.0)
            for row, text in enumerate(ids.tolist()):
                for at in range(len(text)):
                    for back in range(at + 1):
                        share = pattern[row, head, at, back] / 10
                        expected["previous"] += share * (back == at - 1)
                        expected["duplicate"] += share * (back < at and text[back] == text[at])
                        expected["induction"] += share * (back > 0 and text[back - 1] == text[at])
            for role in ROLES:
                # A token is not its own earlier copy, but may stand right after one.
                assert found[role][layer, head] == pytest.approx(expected[role], abs=1e-6)
