import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build
from scipy.stats import spearmanr

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism import attribution, cells_of, find_sites, logit_difference, patch
from plumbrule.mechanism.attribution import attribute, attribute_pairs

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


PAIRS = [
    (CLEAN, CORRUPTED),
    ([8, 1, 3, 90], [8, 2, 3, 90]),
    ([40, 41, 42, 43, 44, 45], [40, 61, 42, 43, 44, 45]),
]
METRICS = [METRIC, logit_difference(3, 4), logit_difference(50, 51)]


@pytest.mark.parametrize("steps", [1, 4])
def test_many_pairs_are_what_each_is_alone(module, sites, steps, monkeypatch):
    names = ["embed", "0.heads", "1.mlp", "2.out", "final"]
    alone = [
        attribute(module, sites, *pair, names, metric, steps=steps)
        for pair, metric in zip(PAIRS, METRICS, strict=True)
    ]

    together = attribute_pairs(module, sites, PAIRS, names, METRICS, steps=steps)
    monkeypatch.setattr(attribution, "BATCH_TOKENS", 12)
    in_small_batches = attribute_pairs(module, sites, PAIRS, names, METRICS, steps=steps)

    for found in (together, in_small_batches):
        for one, other in zip(found, alone, strict=True):
            assert list(one) == names
            assert all(np.allclose(one[name], other[name], atol=2e-6) for name in names)
    assert np.ptp(together[2]["2.out"]) > 1e-4


def test_slopes_are_those_of_a_pass_written_by_hand(module, sites):
    parts, kept = dict(module.named_modules()), []
    part = parts[sites["1.out"].path]

    def keep(_, arguments, given):
        kept.append(given[0] if isinstance(given, tuple) else given)

    handle = part.register_forward_hook(keep)
    module(input_ids=torch.tensor([CLEAN]), use_cache=False)
    logits = module(input_ids=torch.tensor([CORRUPTED]), use_cache=False)["logits"]
    handle.remove()
    there, here = kept
    (slope,) = torch.autograd.grad(METRIC(logits[:, -1]).sum(), [here])
    expected = ((there - here) * slope)[0].sum(-1).detach().numpy()

    found = attribute(module, sites, CLEAN, CORRUPTED, ["1.out"], METRIC)["1.out"][:, 0]

    assert np.allclose(found, expected, atol=1e-6)
    assert np.abs(expected).max() > 1e-3


def test_a_batch_that_does_not_fit_is_halved_and_nothing_counts_twice(module, sites, monkeypatch):
    names = ["embed", "1.mlp"]
    expected = attribute_pairs(module, sites, PAIRS[:1], names, METRIC, steps=4)
    whole = attribution._slopes

    def small(module, sites, ids, *rest):
        if len(ids) > 1:
            raise MemoryError
        return whole(module, sites, ids, *rest)

    monkeypatch.setattr(attribution, "_slopes", small)
    found = attribute_pairs(module, sites, PAIRS[:1], names, METRIC, steps=4)

    assert all(np.allclose(found[0][name], expected[0][name], atol=2e-6) for name in names)


def test_wrong_pairs_are_refused(module, sites):
    with pytest.raises(DataError, match="expected pairs"):
        attribute_pairs(module, sites, [], ["1.out"], METRIC)
    with pytest.raises(ConfigError, match="one for each of 3 pairs, got 2"):
        attribute_pairs(module, sites, PAIRS, ["1.out"], METRICS[:2])
