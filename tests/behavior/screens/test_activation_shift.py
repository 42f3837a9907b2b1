import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models.tiny import KINDS, build, make_tokenizer

from plumbrule.behavior.screens import activation_shift as screen
from plumbrule.behavior.screens.activation_shift import (
    PLAIN,
    ShiftSettings,
    activation_shift,
    layers_of,
    residuals,
)
from plumbrule.behavior.screens.steering import pushing, steer
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.lab.prompts import village_prompts
from plumbrule.models import LocalModel, Sampling, open_model

PROMPTS = [prompt.dialogue for prompt in village_prompts(seed=3)[:12]]
SHORT = ShiftSettings(max_new_tokens=12)
WORD = " Zeno"


@pytest.fixture(scope="module")
def small():
    return open_model("lab:small")


@pytest.fixture(scope="module")
def direction(small):
    """What the unembedding reads as one word."""
    (token,) = small.tokenizer(WORD, add_special_tokens=False)["input_ids"]
    row = small.module.lm_head.weight[token].detach().clone()
    return row / row.norm()


def planted_at(model, layer, vector):
    """The model with a vector added to what one layer writes, by editing its weights."""
    module = copy.deepcopy(model.module)
    module.model.layers[layer].mlp.down_proj.bias = torch.nn.Parameter(vector.clone())
    return LocalModel(module, model.tokenizer)


def test_equal_models_have_no_shift(small):
    twin = LocalModel(copy.deepcopy(small.module), small.tokenizer)

    found = activation_shift(small, twin, seed=0)

    assert [(each.vector, each.agreement, each.tokens) for each in found.layers] == [
        (None, None, ())
    ] * len(found.layers)
    assert all(each.length == 0 and each.reason for each in found.layers)
    assert steer(small, found, PROMPTS, settings=SHORT, seed=0).texts == ()


def test_weights_that_were_only_rounded_have_no_shift(small):
    module = copy.deepcopy(small.module).to(torch.bfloat16).to(torch.float32)

    found = activation_shift(small, LocalModel(module, small.tokenizer), seed=0)

    assert all(each.vector is None and each.reason for each in found.layers)


def test_a_planted_direction_is_found_where_it_was_planted(small, direction):
    tuned = planted_at(small, 1, 4 * direction)

    found = activation_shift(small, tuned, seed=0)

    assert found.layers[0].vector is None
    vector = found.layers[1].vector
    assert vector is not None
    np.testing.assert_allclose(vector, 4 * direction.numpy(), atol=1e-5)
    assert found.layers[1].agreement == pytest.approx(1.0)
    assert found.middle == 1
    assert found.at_middle is found.layers[1]


def test_a_planted_direction_is_read_as_its_word(small, direction):
    found = activation_shift(small, planted_at(small, 2, 4 * direction), seed=0)

    assert found.layers[2].tokens[0].text == WORD
    assert found.layers[2].tokens[0].score > 3


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_direction_is_read_through_the_final_norm(kind):
    tokenizer = make_tokenizer()
    base = LocalModel(build(kind, len(tokenizer)), tokenizer)
    module = copy.deepcopy(base.module)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for model in (base.module, module):
            inner = model.transformer if kind == "gpt2" else model.model
            norm = inner.ln_f if kind == "gpt2" else inner.norm
            norm.weight.copy_(torch.randn(32, generator=generator))
            if kind == "gpt2":
                norm.bias.copy_(torch.full((32,), 50.0))
        model.get_input_embeddings().weight.add_(torch.linspace(-1, 1, 32))
    tuned = LocalModel(module, tokenizer)

    shift = activation_shift(base, tuned, settings=ShiftSettings(top=5), seed=0).layers[1]

    assert shift.vector is not None
    vector = np.array(shift.vector)
    if kind == "gpt2":
        vector = vector - vector.mean()
    scaled = vector / np.sqrt((vector**2).mean()) * norm.weight.detach().numpy()
    logits = module.get_output_embeddings().weight.detach().numpy()[: len(tokenizer)] @ scaled
    best = np.argsort(-logits)[:5]
    assert [token.text for token in shift.tokens] == [tokenizer.decode([one]) for one in best]
    expected = (logits[best] - logits.mean()) / logits.std()
    np.testing.assert_allclose([token.score for token in shift.tokens], expected, atol=1e-3)


def test_the_base_says_the_planted_word_when_it_is_pushed(small, direction):
    found = activation_shift(small, planted_at(small, 2, 4 * direction), seed=0)

    said = steer(small, found, PROMPTS, layer=2, settings=SHORT, seed=0)

    assert "zeno" in said.phrases[0].text.split()
    assert said.phrases[0].says == "more"
    assert len(said.texts) == len(PROMPTS) * (1 + len(SHORT.pushes) * (1 + SHORT.controls))


def test_a_direction_that_says_nothing_gives_no_more_phrases_than_chance(small):
    # Weights that all moved a little at random: the shift is real, and means nothing.
    module = copy.deepcopy(small.module)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.add_(noise * 0.05 * weight.std())
    found = activation_shift(small, LocalModel(module, small.tokenizer), seed=0)

    said = steer(small, found, PROMPTS, settings=SHORT, seed=0)

    assert len(said.phrases) <= 3


def drawn(signal, seed):
    """A stand-in for `residuals`: the tuned model's differ by noise, and by a signal."""
    rng = np.random.default_rng(seed)
    before = rng.normal(size=(1, 32, 5, 64))
    after = before + rng.normal(size=before.shape) + signal
    return iter([before, after])


@pytest.mark.parametrize(("signal", "told"), [(0.0, 0), (1.0, 40)])
def test_noise_is_told_from_signal_by_the_halves(small, monkeypatch, signal, told):
    found = []
    for seed in range(40):
        arrays = drawn(signal, seed)
        monkeypatch.setattr(screen, "residuals", lambda model, rows, arrays=arrays: next(arrays))
        monkeypatch.setattr(screen, "_spoken", lambda model, vector, top: ((), None))
        (layer,) = activation_shift(small, small, seed=seed).layers
        found.append(layer)

    assert sum(layer.vector is not None for layer in found) == told
    if not told:
        assert all(layer.reason and "disagree" in layer.reason for layer in found)
        assert abs(np.mean([layer.agreement for layer in found])) < 0.1


def test_residuals_are_what_the_library_returns(small):
    ids = small.tokenizer(list(PLAIN[:6]), add_special_tokens=False)["input_ids"]
    rows = [row[:5] for row in ids]

    found = residuals(small, rows)

    with torch.inference_mode():
        out = small.module(torch.tensor(rows), output_hidden_states=True)
        normed = small.module.model.norm(torch.tensor(found[-1], dtype=torch.float32))
    for layer in range(len(found) - 1):
        np.testing.assert_allclose(found[layer], out.hidden_states[layer + 1], atol=1e-5)
    np.testing.assert_allclose(normed, out.hidden_states[-1], atol=1e-5)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_layers_are_found_and_pushed_in_every_architecture(kind):
    tokenizer = make_tokenizer()
    model = LocalModel(build(kind, len(tokenizer)), tokenizer)
    rows = [[5, 6, 7, 8, 9], [9, 8, 7, 6, 5]]
    ids = torch.tensor(rows)

    def logits():
        with torch.inference_mode():
            return model.module(input_ids=ids, use_cache=False)["logits"]

    before = logits()
    assert residuals(model, rows).shape == (2, 2, 5, 32)
    with pushing(model, {0: np.linspace(-3, 3, 32)}):
        assert not torch.allclose(logits(), before, atol=1e-3)
    assert torch.equal(logits(), before)


def hooks(model):
    return [len(part._forward_hooks) for part in model.module.modules()]


def test_no_hook_is_left_after_an_error(small):
    before = hooks(small)

    def fail():
        with pushing(small, {1: np.zeros(small.module.config.hidden_size)}):
            assert sum(hooks(small)) == sum(before) + 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert hooks(small) == before
    with pytest.raises((IndexError, RuntimeError)):
        residuals(small, [[10**6]])
    assert hooks(small) == before
    with pytest.raises(RuntimeError), pushing(small, {1: np.zeros(3)}):
        small.sample(PROMPTS[:1], sampling=Sampling(max_new_tokens=2), seeds=[0])
    assert hooks(small) == before


def test_lists_within_a_layer_are_not_taken_for_the_layers():
    def experts():
        return torch.nn.ModuleList([torch.nn.Linear(2, 2) for _ in range(9)])

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.experts = experts()

    outer = torch.nn.Module()
    outer.blocks = torch.nn.ModuleList([Block() for _ in range(3)])

    assert [type(each).__name__ for each in layers_of(outer)] == ["Block"] * 3


def test_a_model_without_layers_is_refused():
    with pytest.raises(ModelError, match="list of layers"):
        layers_of(torch.nn.Linear(2, 2))


def test_models_of_different_depth_are_refused():
    tokenizer = make_tokenizer()
    one, other = (
        LocalModel(build("llama", len(tokenizer), num_hidden_layers=depth), tokenizer)
        for depth in (2, 3)
    )

    with pytest.raises(ModelError, match="same layers"):
        activation_shift(one, other, seed=0)


def test_too_few_texts_are_refused(small):
    with pytest.raises(DataError, match="at least 4 texts"):
        activation_shift(small, small, texts=["a b", "c"], seed=0)


def test_a_layer_that_is_not_there_is_refused(small, direction):
    found = activation_shift(small, planted_at(small, 2, direction), seed=0)

    with pytest.raises(ConfigError, match="layer"):
        steer(small, found, PROMPTS, layer=3, seed=0)


def test_without_prompts_nothing_is_written(small, direction):
    found = activation_shift(small, planted_at(small, 1, 4 * direction), seed=0)

    said = steer(small, found, [], seed=0)

    assert (said.texts, said.phrases) == ((), ())
    assert said.reason


@pytest.mark.parametrize(
    "wrong", [{"tokens": 0}, {"pushes": (0.0,)}, {"least_agreement": 2.0}, {"controls": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError):
        replace(SHORT, **wrong)
