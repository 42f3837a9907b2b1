import copy

import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError
from plumbrule.mechanism import find_copying, find_sites
from plumbrule.mechanism.parts import copying

FAMILIES = (
    "LlamaForCausalLM",
    "GPT2LMHeadModel",
    "GPTNeoXForCausalLM",
    "Gemma2ForCausalLM",
    "Phi3ForCausalLM",
    "MixtralForCausalLM",
)
"""Grouped-query attention, fused projections both ways round, norms behind sublayers."""


def small(name):
    tiny = build(name)
    assert tiny.module is not None, tiny.reason
    return tiny.module


@pytest.fixture(scope="module")
def llama():
    return small("LlamaForCausalLM")


def copying_llama(llama, *, sign=1.0):
    """A Llama in which head 2 of layer 1 writes what it reads, from where its own token is."""
    module = copy.deepcopy(llama)
    attention = module.model.layers[1].self_attn
    width, count = 64, 16
    group = 4 // module.config.num_key_value_heads
    with torch.no_grad():
        embedding = torch.randn(160, width, generator=torch.Generator().manual_seed(0))
        # Sixteen directions in which tokens differ, so that one head can carry them all.
        basis = torch.linalg.qr(
            torch.randn(width, count, generator=torch.Generator().manual_seed(1))
        )[0]
        embedding = embedding @ basis @ basis.T
        module.model.embed_tokens.weight.copy_(embedding)
        module.lm_head.weight.copy_(embedding)
        shared = 2 // group * count
        attention.v_proj.weight[shared : shared + count].copy_(basis.T)
        # With queries and keys alike it looks at the token itself, or at the same one before.
        attention.q_proj.weight[2 * count : 3 * count].copy_(3 * basis.T)
        attention.k_proj.weight[shared : shared + count].copy_(3 * basis.T)
        attention.o_proj.weight[:, 2 * count : 3 * count].copy_(10 * sign * basis)
    return module


@pytest.mark.parametrize("family", FAMILIES)
def test_on_a_model_as_it_was_drawn_no_head_copies(family):
    module = small(family)

    found = find_copying(module, find_sites(module), seed=0, sequences=16)

    assert len(found) == 16
    assert not any(each.confirmed for each in found)
    assert all(each.reason is None for each in found)
    assert all(abs(each.positive_share or 0.0) < 0.6 for each in found)


def test_a_planted_head_is_found_and_no_other(llama):
    module = copying_llama(llama)

    first, *others = find_copying(module, find_sites(module), seed=0, sequences=32)

    assert (first.layer, first.head, first.confirmed) == (1, 2, True)
    assert first.positive_share == pytest.approx(1.0, abs=0.02)
    assert first.advantage.low > 0.15
    assert not any(each.confirmed for each in others)


def test_a_head_that_lowers_what_it_reads_does_not_copy(llama):
    module = copying_llama(llama, sign=-1.0)

    found = find_copying(module, find_sites(module), seed=0, sequences=16)

    *_, last = found
    assert (last.layer, last.head) == (1, 2)
    assert last.positive_share == pytest.approx(-1.0, abs=0.02)
    assert last.advantage.high < 0
    assert not any(each.confirmed for each in found)


@pytest.mark.parametrize("family", ["LlamaForCausalLM", "MistralForCausalLM"])
def test_the_share_is_that_of_the_eigenvalues_of_the_matrix_over_the_vocabulary(family):
    """The whole matrix, multiplied out from the weights, with a value for each head or for two."""
    llama = small(family)
    group = 4 // llama.config.num_key_value_heads
    sites = find_sites(llama)
    with torch.no_grad():
        embedded = llama.model.embed_tokens.weight.double()
        scale = llama.model.norm.weight.double()
        for layer in (0, 3):
            part = llama.model.layers[layer]
            normed = embedded / (embedded**2).mean(-1, keepdim=True).add(1e-6).sqrt()
            normed = normed * part.input_layernorm.weight.double()
            found = {
                each.head: each
                for each in find_copying(llama, sites, seed=0, sequences=2)
                if each.layer == layer
            }
            for head in range(4):
                value = part.self_attn.v_proj.weight.double()[16 * (head // group) :][:16]
                out = part.self_attn.o_proj.weight.double()[:, 16 * head : 16 * head + 16]
                matrix = (
                    normed @ value.T @ out.T @ (scale[:, None] * llama.lm_head.weight.double().T)
                )
                center = torch.eye(160, dtype=torch.double) - 1 / 160
                eigenvalues = torch.linalg.eigvals(center @ matrix @ center)
                expected = float(eigenvalues.real.sum() / eigenvalues.abs().sum())
                assert found[head].positive_share == pytest.approx(expected, abs=1e-3)


def test_where_values_are_no_linear_map_there_is_a_reason_and_no_number():
    """An attention sink takes its share, and a norm in front of the values bends them."""
    for family in ("GptOssForCausalLM", "DeepseekV3ForCausalLM"):
        module = small(family)
        found = find_copying(module, find_sites(module), seed=0, sequences=4)
        assert all(each.positive_share is None for each in found)
        assert all("not linear" in (each.reason or "") for each in found)


def test_the_model_is_left_as_it_was_also_after_an_error(llama, monkeypatch):
    sites = find_sites(llama)
    before, way = copy.deepcopy(llama.state_dict()), llama.config._attn_implementation
    hooks = sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in llama.modules())
    llama.train()

    find_copying(llama, sites, seed=0, sequences=2)

    def fail(*given, **named):
        raise RuntimeError("stopped")

    monkeypatch.setattr(copying, "_share_below", fail)
    with pytest.raises(RuntimeError, match="stopped"):
        find_copying(llama, sites, seed=0, sequences=2)

    assert llama.training
    llama.eval()
    assert llama.config._attn_implementation == way
    assert all(torch.equal(value, before[name]) for name, value in llama.state_dict().items())
    after = sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in llama.modules())
    assert after == hooks


def test_the_same_seed_gives_the_same_answer(llama):
    sites = find_sites(llama)

    one, same, other = (find_copying(llama, sites, seed=seed, sequences=4) for seed in (0, 0, 1))

    assert one == same
    assert one != other


def test_ranks_count_ties_half():
    logits = torch.tensor([[0.0, 1.0, 1.0, 2.0]])

    assert copying._share_below(logits, torch.tensor([1.0])) == pytest.approx((1 + 2 / 2) / 4)
    assert copying._share_below(logits, torch.tensor([2.0])) == pytest.approx((3 + 1 / 2) / 4)


def test_a_model_without_heads_and_wrong_numbers_are_refused(llama):
    mamba = small("MambaForCausalLM")

    with pytest.raises(ConfigError, match="MambaForCausalLM: no layer's heads are known"):
        find_copying(mamba, find_sites(mamba), seed=0)
    with pytest.raises(ConfigError, match="length must be at least 3"):
        find_copying(llama, find_sites(llama), seed=0, length=2)
    assert np.isfinite(find_copying(llama, find_sites(llama), seed=0, sequences=2)[0].e_value)
