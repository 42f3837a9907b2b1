import dataclasses

import numpy as np
import pytest
import torch

from plumbrule.errors import ConfigError, ModelError
from plumbrule.lab import induction
from plumbrule.lab.induction import (
    InductionRecipe,
    build_module,
    draw_sequences,
    open_checkpoint,
    train_into,
    training,
)

SHORT = InductionRecipe(steps=4, checkpoints=3, batch=4)


def test_repeated_tokens_follow_an_earlier_copy_of_their_predecessor():
    drawn = draw_sequences(InductionRecipe(), 64, seed=0)

    rows, places = np.nonzero(drawn.known)
    sources = drawn.source[rows, places]
    assert (drawn.ids[rows, places] == drawn.ids[rows, sources]).all()
    assert (drawn.ids[rows, places - 1] == drawn.ids[rows, sources - 1]).all()
    assert (sources < places).all()
    assert (drawn.source[~drawn.known] == -1).all()
    assert 0.4 < drawn.known.mean() < 0.8


def test_tokens_are_spread_evenly_so_that_only_the_repetition_tells():
    drawn = draw_sequences(InductionRecipe(), 2000, seed=1)

    shares = np.bincount(drawn.ids.ravel(), minlength=40) / drawn.ids.size
    assert shares.min() > 0.9 / 40
    assert shares.max() < 1.1 / 40


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others():
    def last(recipe):
        *_, (step, module) = training(recipe)
        assert step == recipe.steps
        return module.state_dict()["model.layers.1.self_attn.q_proj.weight"].clone()

    one, again = last(SHORT), last(SHORT)
    other = last(dataclasses.replace(SHORT, seed=1))

    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_model_is_attention_alone_and_stays_so():
    ids = torch.tensor([[1, 2, 3, 4]])
    for _, module in training(SHORT):
        given: list[torch.Tensor] = []

        def keep(_, taken, value, given=given):
            given.append(value)

        handles = [layer.mlp.register_forward_hook(keep) for layer in module.model.layers]
        with torch.no_grad():
            module(input_ids=ids)
        for handle in handles:
            handle.remove()
        assert all(not value.any() for value in given)


def test_building_does_not_touch_the_random_numbers_of_the_caller():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    build_module(SHORT)

    assert torch.equal(torch.rand(3), expected)


def test_checkpoints_are_kept_and_trained_once(tmp_path, monkeypatch):
    told = []
    first = train_into(tmp_path, SHORT, progress=lambda done, total: told.append((done, total)))
    monkeypatch.setattr(induction, "training", None)  # a second training would fail
    again = train_into(tmp_path, SHORT)

    assert again == first
    assert [step for step, _ in first] == [0, 2, 4]
    assert told == [(0, 4), (2, 4), (4, 4)]
    fresh = build_module(SHORT)
    opened = open_checkpoint(first[0][1])
    for name, value in opened.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name])


def test_a_checkpoint_is_an_ordinary_model_folder(tmp_path):
    from transformers import AutoModelForCausalLM

    from plumbrule.training.reproducibility import reproducibly

    _, path = train_into(tmp_path, SHORT)[-1]
    with reproducibly(0):
        module = AutoModelForCausalLM.from_pretrained(path)

    ids = torch.tensor([[3, 1, 4]])
    with torch.no_grad():
        same = torch.equal(
            module.eval()(input_ids=ids)["logits"], open_checkpoint(path)(input_ids=ids)["logits"]
        )
    assert same


def test_a_finished_training_that_lacks_a_checkpoint_is_refused(tmp_path):
    found = train_into(tmp_path, SHORT)
    (found[1][1] / "model.safetensors").unlink()

    with pytest.raises(ModelError, match="lacks step-00002; delete the folder"):
        train_into(tmp_path, SHORT)
    with pytest.raises(ModelError, match="expected a checkpoint with its weights"):
        open_checkpoint(found[1][1])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"steps": 100}, "a multiple of checkpoints - 1"),
        ({"checkpoints": 1}, "a multiple of checkpoints - 1"),
        ({"tokens": 20}, "at least 40 tokens"),
        ({"vocabulary": 10}, "24 in the vocabulary"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused(given, says):
    with pytest.raises(ConfigError, match=says):
        InductionRecipe(**given)
