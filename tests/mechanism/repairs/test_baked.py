import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.mechanism import (
    Ablation,
    HeadSuppression,
    ablation_edit,
    apply_edit,
    capture,
    edited,
    find_sites,
    head_edit,
    intervening,
    save_repaired,
)
from plumbrule.mechanism.repairs.weight_edits import reverted
from plumbrule.models import LocalModel, open_model

IDS = torch.tensor([[5, 9, 12, 7, 30, 44], [8, 1, 3, 90, 2, 6]])
FAMILIES = [
    "LlamaForCausalLM",  # grouped-query attention
    "GPT2LMHeadModel",  # matrices the other way round, biases, learned places, tied
    "Gemma2ForCausalLM",  # norms behind sublayers, tied
    "GPTNeoXForCausalLM",
]


@pytest.fixture(scope="module", params=FAMILIES)
def module(request):
    module = build(request.param).module
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "norm" in name or "ln_" in name or name.endswith("bias"):
                weight.add_(0.3 * torch.randn_like(weight))  # a scale of 1 would hide a mistake
    return module


@pytest.fixture(scope="module")
def sites(module):
    return find_sites(module)


def logits(module):
    with torch.no_grad():
        return module(input_ids=IDS, use_cache=False)["logits"]


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same_bytes(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def directions(sites, count=2):
    return np.random.default_rng(0).normal(size=(count, sites.width))


def test_a_baked_ablation_does_what_the_same_ablation_does_at_run_time(module, sites):
    before = logits(module)
    with intervening(module, Ablation(directions=directions(sites))):
        expected = logits(module)

    names = ["embed", *sites.named("out")]
    with edited(module, ablation_edit(module, sites, directions(sites))):
        found = logits(module)
        stream = capture(module, sites, IDS.tolist(), names)

    for rows in stream.values.values():
        for row in rows:
            assert np.abs(row.double().numpy() @ directions(sites).T).max() < 1e-3
    # A norm behind a matrix divides by another length once the direction is gone before it.
    if "Gemma" not in sites.family:
        assert torch.allclose(found, expected, atol=1e-3)
    assert not torch.allclose(found, before, atol=1e-2)


def test_an_edit_is_taken_back_to_the_byte(module, sites):
    before, tied = state(module), module.config.tie_word_embeddings
    edit = ablation_edit(module, sites, directions(sites))

    assert same_bytes(state(module), before)  # looking changed nothing
    done = apply_edit(module, edit)
    assert not same_bytes(state(module), before)
    done.revert()
    done.revert()  # a second time does nothing

    assert same_bytes(state(module), before)
    assert module.config.tie_word_embeddings == tied
    head, table = module.get_output_embeddings(), module.get_input_embeddings()
    assert (head.weight is table.weight) == bool(tied)


def test_an_edit_that_fails_leaves_the_model_alone(module, sites):
    before, edit = state(module), ablation_edit(module, sites, directions(sites))

    with pytest.raises(RuntimeError, match="inside"), edited(module, edit):
        raise RuntimeError("inside")

    assert same_bytes(state(module), before)


def test_layers_can_be_spared_and_a_direction_kept(module, sites):
    one, good = directions(sites)
    weights = [0.0] * len(sites.layers)
    weights[1] = 0.5

    edit = ablation_edit(module, sites, one, layer_weights=weights, keep=good)

    assert {change.path.split(".")[2] for change in edit.changes} == {"1"}
    # What is taken off a matrix behind no norm has no part along what is kept.
    unit = good / np.linalg.norm(good)
    if "Gemma" not in sites.family:
        assert all(np.abs(unit @ change.left).max() < 1e-9 for change in edit.changes)
    with edited(module, edit):
        assert torch.isfinite(logits(module)).all()


def test_a_head_cut_off_is_a_head_suppressed(module, sites):
    change = [HeadSuppression(site="1.heads", head=2), HeadSuppression(site="0.heads", head=1)]
    with intervening(module, change):
        expected = logits(module)

    with edited(module, head_edit(module, sites, [(1, 2), (0, 1)])):
        assert torch.allclose(logits(module), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda m, s, d: ablation_edit(m, s, d[:, :-1]), "another model's"),
        (lambda m, s, d: ablation_edit(m, s, d, layer_weights=[1.0]), "one a layer"),
        (lambda m, s, d: ablation_edit(m, s, d[0], keep=d[0]), "nothing of it is left"),
        (lambda m, s, d: head_edit(m, s, [(0, 77)]), "expected a head"),
        (lambda m, s, d: head_edit(m, s, [(44, 0)]), "expected a site"),
    ],
)
def test_what_does_not_exist_is_refused(module, sites, edit, says):
    before = state(module)

    with pytest.raises(ConfigError, match=says):
        edit(module, sites, directions(sites))

    assert same_bytes(state(module), before)


def test_experts_and_quantized_weights_are_refused():
    experts = build("MixtralForCausalLM").module
    with pytest.raises(ModelError, match="experts"):
        ablation_edit(experts, find_sites(experts), np.ones(find_sites(experts).width))

    plain = build("LlamaForCausalLM").module
    sites = find_sites(plain)
    edit = ablation_edit(plain, sites, np.ones(sites.width))
    part = plain.get_submodule(sites.layers[0].path).mlp.down_proj
    part.weight = torch.nn.Parameter(part.weight.detach().to(torch.int8), requires_grad=False)
    kept = state(plain)
    with pytest.raises(ModelError, match="quantized weight cannot be edited"):
        apply_edit(plain, edit)
    assert same_bytes(state(plain), kept)


def test_an_edit_of_another_model_and_one_of_nan_are_refused(module, sites):
    before, edit = state(module), ablation_edit(module, sites, directions(sites))
    other = build("OPTForCausalLM").module
    with pytest.raises(ConfigError, match="which this model has not"):
        apply_edit(other, edit)

    edit.changes[-1].left[:] = np.nan
    with pytest.raises(DataError, match="NaN"):
        apply_edit(module, edit)
    assert same_bytes(state(module), before)


def test_a_repaired_checkpoint_loads_in_plain_transformers_and_can_be_taken_back(tmp_path):
    from transformers import AutoModelForCausalLM

    model = open_model("lab:small", device="cpu")
    assert isinstance(model, LocalModel)
    before, sites = state(model.module), find_sites(model.module)
    identity = model.identity
    done = apply_edit(model, ablation_edit(model.module, sites, directions(sites)))
    assert model.identity != identity
    said = logits(model.module)

    save_repaired(model, done, tmp_path / "repaired")

    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "repaired")
    assert torch.equal(logits(loaded), said)
    saved = open_model(str(tmp_path / "repaired"), device="cpu")
    assert isinstance(saved, LocalModel)
    opened = reverted(saved, tmp_path / "repaired")
    assert same_bytes(state(opened.module), before)
    done.revert()
    assert same_bytes(state(model.module), before)
