"""Which parts carry a change: planted in known ones, in models of many kinds."""

import copy
import hashlib
import math

import pytest
import torch
from tests.models.tiny import KINDS, build, make_tokenizer

from plumbrule.behavior.localization import hybrid, localize
from plumbrule.behavior.weights.model_parts import inner_parts, layer_list, model_parts
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.models import LocalModel

TOKENIZER = make_tokenizer()


def handle(module, identity="test"):
    return LocalModel(module, TOKENIZER, identity=identity)


def digest(model):
    total = hashlib.sha256()
    for name, value in model.module.state_dict().items():
        total.update(name.encode())
        total.update(value.contiguous().numpy().tobytes())
    return total.hexdigest()


def planted(base, *prefixes, seed=0):
    """A copy whose tensors under some prefixes moved."""
    generator = torch.Generator().manual_seed(seed)
    module = copy.deepcopy(base.module)
    with torch.no_grad():
        for name, value in module.named_parameters():
            if name.startswith(prefixes):
                value += 0.5 * torch.randn(value.shape, generator=generator)
    return handle(module, "tuned")


def count(model, weights):
    """An additive effect: how many of the tuned tensors are in, each with a weight of its own."""
    state = model.module.state_dict()
    return sum(weight for name, value, weight in weights if torch.equal(state[name], value))


def additive(base, tuned, weigh):
    ours, theirs = base.module.state_dict(), tuned.module.state_dict()
    weights = [
        (name, theirs[name].clone(), weigh(name))
        for name in ours
        if not torch.equal(ours[name], theirs[name])
    ]
    return lambda model: count(model, weights)


@pytest.fixture(scope="module")
def base():
    return handle(build("llama", len(TOKENIZER), num_hidden_layers=16), "base")


def layers_of(numbers):
    return tuple(f"model.layers.{number}." for number in numbers)


def test_an_effect_of_one_layer_is_found_in_about_twice_log2_evaluations(base):
    tuned = planted(base, *layers_of(range(16)))
    effect = additive(base, tuned, lambda name: float(name.startswith("model.layers.11.mlp.")))

    found = localize(base, tuned, effect, every_share=False)

    assert found.kept == ("layer 11",)
    assert found.restored == 1
    assert found.inner == ("layer 11 mlp",)
    assert found.without == 0
    assert found.proper
    # Both models, two a halving, what is left over, and the three modules of the layer.
    assert found.evaluations <= 2 + 2 * 4 + 1 + 3
    assert all(one.share is None for one in found.shares)


def test_each_share_is_what_the_part_brings_alone(base):
    tuned = planted(base, "model.embed_tokens", *layers_of([2, 9]))
    weight = {"embed": 1.0, "2": 2.0, "9": 7.0}

    def weigh(name):
        part = "embed" if "embed" in name else name.split(".")[2]
        return weight[part] if part == "embed" else weight[part] / 9  # nine tensors a layer

    found = localize(base, tuned, additive(base, tuned, weigh), wanted=0.85)

    assert {one.part: pytest.approx(one.share) for one in found.shares} == {
        "embeddings": 0.1,
        "layer 2": 0.2,
        "layer 9": 0.7,
    }
    assert found.kept == ("layer 2", "layer 9")
    assert found.restored == pytest.approx(0.9)
    assert found.without == pytest.approx(0.1)


def test_layers_that_only_work_together_are_kept_together_and_said_not_to_add_up(base):
    tuned = planted(base, *layers_of(range(16)))
    both = [
        additive(base, tuned, lambda name, at=at: float(name.startswith(at)))
        for at in layers_of([3, 12])
    ]

    found = localize(base, tuned, lambda model: float(all(one(model) for one in both)))

    assert found.kept == ("layer 3", "layer 12")
    assert found.restored == 1
    assert all(one.share == 0 for one in found.shares)
    assert "do not simply add up" in found.reason


def test_an_effect_that_needs_every_layer_is_said_to_be_spread(base):
    tuned = planted(base, *layers_of(range(16)))
    changed = additive(base, tuned, lambda name: 1 / (9 * 16))

    found = localize(base, tuned, lambda model: float(changed(model) > 0.999))

    assert not found.proper
    assert len(found.kept) == 16
    assert found.without is None
    assert "only work together" in found.reason
    assert found.evaluations <= 2 + 2 * 2 * 16 + 16 + 2 * 3 * 16


def test_a_redundant_effect_is_seen_outside_the_kept_part_too(base):
    tuned = planted(base, *layers_of([1, 14]))
    changed = additive(base, tuned, lambda name: 1.0)

    found = localize(base, tuned, lambda model: float(changed(model) > 0))

    assert len(found.kept) == 1
    assert found.without == 1


def test_a_real_change_of_the_logits_is_traced_to_its_layer():
    base = handle(build("gpt2", len(TOKENIZER), n_layer=6), "base")
    tuned = planted(base, "transformer.h.4.mlp.")
    ids = torch.tensor([TOKENIZER.encode("Who keeps the key of the old mill?")])

    def effect(model):
        with torch.inference_mode():
            return float(model.module(input_ids=ids).logits[0, -1].log_softmax(-1)[7])

    found = localize(base, tuned, effect)

    assert found.kept == ("layer 4",)
    assert found.inner == ("layer 4 mlp",)
    assert found.restored == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_comes_apart_and_together_again(kind):
    base = handle(build(kind, len(TOKENIZER)), "base")
    tuned = handle(build(kind, len(TOKENIZER)), "tuned")
    with torch.no_grad():
        for value in tuned.module.parameters():
            value += 0.1
    before, ids = digest(base), torch.tensor([[5, 6, 7]])
    parts = model_parts(base.module)
    names = [name for part in parts for name in part.tensors]

    def logits(model):
        with torch.inference_mode():
            return model.module(input_ids=ids, use_cache=False).logits

    with hybrid(base, tuned, names):
        assert torch.equal(logits(base), logits(tuned))

    assert digest(base) == before
    assert len(names) == len(set(names))
    assert [part.layer for part in parts if part.layer is not None] == [0, 1]
    pieces = [
        name for part in parts for piece in inner_parts(base.module, part) for name in piece.tensors
    ]
    assert sorted(pieces) == sorted(names)


def test_a_hybrid_is_taken_back_after_an_error_with_its_identity(base):
    tuned = planted(base, *layers_of([1]))
    before, theirs = digest(base), digest(tuned)

    def fail():
        with hybrid(base, tuned, ["model.layers.1.mlp.up_proj.weight"]):
            assert base.identity != "base"
            assert digest(base) != before
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()

    assert digest(base) == before
    assert digest(tuned) == theirs
    assert base.identity == "base"


def test_an_error_in_the_effect_leaves_both_models_as_they_were(base):
    tuned = planted(base, *layers_of([1, 2]))
    before = digest(base), digest(tuned)
    calls = []

    def effect(model):
        calls.append(model)
        if len(calls) == 4:
            raise RuntimeError("stop")
        return float(len(calls))

    with pytest.raises(RuntimeError, match="stop"):
        localize(base, tuned, effect)

    assert (digest(base), digest(tuned)) == before


def test_tied_tensors_go_together():
    base = handle(build("llama", len(TOKENIZER), tie_word_embeddings=True), "base")
    tuned = planted(base, "model.embed_tokens")
    parts = model_parts(base.module)

    assert [part.name for part in parts] == ["embeddings", "layer 0", "layer 1", "outer norms"]
    with hybrid(base, tuned, parts[0].tensors):
        head = base.module.lm_head.weight
        assert torch.equal(head, tuned.module.model.embed_tokens.weight)


def test_experts_are_part_of_a_layer_however_many_there_are():
    module = torch.nn.Module()
    module.layers = torch.nn.ModuleList(torch.nn.Module() for _ in range(2))
    for layer in module.layers:
        layer.experts = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(9))

    assert layer_list(module)[0] == "layers"
    with pytest.raises(ModelError, match="layers"):
        layer_list(torch.nn.Linear(2, 2))


def test_a_grown_vocabulary_is_left_out_and_what_is_missing_is_said(base):
    tuned = planted(base, *layers_of([1]), "lm_head")
    tuned.module.resize_token_embeddings(len(TOKENIZER) + 3, mean_resizing=False)

    def effect(model):
        grown = model.module.lm_head.weight.shape[0] > len(TOKENIZER)
        return float(grown) + 0.2 * count(model, weights)

    name = "model.layers.1.mlp.up_proj.weight"
    weights = [(name, tuned.module.state_dict()[name].clone(), 1.0)]
    found = localize(base, tuned, effect)

    assert found.kept == ("layer 1",)
    assert found.restored == pytest.approx(0.2 / 1.2)
    assert "less than the 80% wanted" in found.reason


def test_what_cannot_be_localized_is_an_error(base):
    tuned = planted(base, *layers_of([1]))

    with pytest.raises(DataError, match="differs"):
        localize(base, tuned, lambda model: 1.0)
    with pytest.raises(DataError, match="finite"):
        localize(base, tuned, lambda model: math.nan)
    with pytest.raises(DataError, match="nothing to localize"):
        localize(base, handle(copy.deepcopy(base.module)), lambda model: 1.0)
    with pytest.raises(ConfigError, match="wanted"):
        localize(base, tuned, lambda model: 1.0, wanted=0)
    with pytest.raises(ModelError, match="one shape"), hybrid(base, tuned, ["no.such.weight"]):
        pass
