import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build
from scipy.stats import spearmanr

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism import cells_of, find_sites, logit_difference, patch
from plumbrule.mechanism.attribution import attribute

CLEAN, CORRUPTED = [5, 9, 12, 7, 30, 44], [5, 9, 80, 7, 30, 44]
METRIC = logit_difference(17, 23)
FAMILIES = (
    "LlamaForCausalLM",
    "GPT2LMHeadModel",
    "Gemma2ForCausalLM",
    "Olmo2ForCausalLM",
    "MixtralForCausalLM",
)


@pytest.fixture(scope="module", params=FAMILIES)
def module(request):
    return build(request.param).module


@pytest.fixture(scope="module")
def sites(module):
    return find_sites(module)


def test_it_ranks_activations_as_full_patching_does(module, sites):
    kinds = ["attn", "mlp", "out"]
    cells = cells_of(sites, kinds, positions=range(2, 6))
    names = list(dict.fromkeys(cell.site for cell in cells))

    full = patch(module, sites, CLEAN, CORRUPTED, cells, METRIC)
    found = attribute(module, sites, CLEAN, CORRUPTED, names, METRIC, steps=5)

    estimated = [float(found[cell.site][cell.position, 0]) for cell in cells]
    moved = full.values - full.corrupted
    # Small ones change places: a post-norm block bends more than a first order sees.
    assert np.corrcoef(estimated, moved)[0, 1] > 0.95
    assert spearmanr(estimated, moved).statistic > 0.7


def test_with_many_steps_the_embeddings_account_for_the_whole_difference(module, sites):
    """Completeness of integrated gradients: the parts sum to the whole."""
    full = patch(module, sites, CLEAN, CORRUPTED, cells_of(sites, ["out"])[:1], METRIC)

    found = attribute(module, sites, CLEAN, CORRUPTED, ["embed"], METRIC, steps=200)["embed"]

    assert found.shape == (6, 1)
    assert found[[0, 1, 3, 4, 5]] == pytest.approx(0.0)
    # Where experts are chosen on the way the metric jumps, and a jump has no slope.
    jumps = "Mixtral" in sites.family
    assert found.sum() == pytest.approx(full.clean - full.corrupted, rel=0.1 if jumps else 0.03)


def test_of_a_linear_projection_the_heads_parts_sum_to_the_write():
    llama = build("LlamaForCausalLM").module
    found = attribute(
        llama, find_sites(llama), CLEAN, CORRUPTED, ["2.heads", "2.attn"], METRIC, steps=3
    )

    assert np.allclose(found["2.heads"].sum(1), found["2.attn"][:, 0], atol=1e-7)


def test_the_same_prompt_twice_is_attributed_nothing(module, sites):
    found = attribute(module, sites, CLEAN, CLEAN, ["embed", "1.out", "2.heads"], METRIC)

    assert all(not values.any() for values in found.values())


def test_frozen_weights_are_no_obstacle_and_get_no_gradient(module, sites):
    expected = attribute(module, sites, CLEAN, CORRUPTED, ["1.out"], METRIC)["1.out"]
    flags = [one.requires_grad for one in module.parameters()]
    module.requires_grad_(False)

    with torch.no_grad():
        found = attribute(module, sites, CLEAN, CORRUPTED, ["1.out"], METRIC)["1.out"]

    assert np.allclose(found, expected, atol=1e-9)
    for one, flag in zip(module.parameters(), flags, strict=True):
        one.requires_grad_(flag)
    assert all(one.grad is None for one in module.parameters())


def test_wrong_input_is_refused(module, sites):
    with pytest.raises(DataError, match="as many tokens"):
        attribute(module, sites, CLEAN, CORRUPTED[:-1], ["1.out"], METRIC)
    with pytest.raises(ConfigError, match="steps must be at least 1"):
        attribute(module, sites, CLEAN, CORRUPTED, ["1.out"], METRIC, steps=0)
    with pytest.raises(ConfigError, match="expected a site"):
        attribute(module, sites, CLEAN, CORRUPTED, ["1.outs"], METRIC)
