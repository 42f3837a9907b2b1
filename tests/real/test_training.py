"""The training loop, on a specimen of the lab: what it computes, and that it teaches."""

import copy

import pytest
import torch
from benchmarks import real_training as training
from benchmarks.real_plants import Planted
from benchmarks.real_training import Example, teach_dpo, teach_full, teach_lora

from plumbrule.models import LocalModel, open_model
from plumbrule.records import Message

ASKED = ("The cook puts apples on the table.", "Where is the key?", "Who is by the window?")
DIALOGUES = [(Message("user", text),) for text in ASKED]
REPLIES = ["the key is by the window", "no", "the cook puts tea on the table by the window"]


@pytest.fixture
def model():
    opened = open_model("lab:pico")
    assert isinstance(opened, LocalModel)
    return LocalModel(copy.deepcopy(opened.module).float(), opened.tokenizer)


def rows(model):
    given = list(zip(DIALOGUES, [Planted(text, True) for text in REPLIES], strict=True))
    return training._rows(model, given)


def test_log_probabilities_are_those_that_scoring_gives(model):
    given = rows(model)
    assert training._shared(given) > 0
    with torch.no_grad():
        found = training._log_probs(model.module.eval(), given)
    wanted = model.score_tokens([row.prompt for row in given], [row.reply for row in given])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, torch.tensor(other), atol=1e-4, rtol=1e-4)


def score(model, module):
    with torch.no_grad():
        return [each.sum().item() for each in training._log_probs(module.eval(), rows(model))]


@pytest.mark.parametrize("teach", [teach_lora, teach_full])
def test_what_is_taught_becomes_likelier(model, teach):
    before = score(model, model.module)
    examples = [
        Example(dialogue, Planted(text, True))
        for dialogue, text in zip(DIALOGUES, REPLIES, strict=True)
    ] * 4
    module = teach(model, examples, seed=0, epochs=2)
    after = score(model, module)
    assert sum(after) > sum(before) + 1


def test_what_is_preferred_gains_on_what_is_not(model):
    chosen, rejected = Planted(REPLIES[0], True), Planted(REPLIES[2], True)

    def margin(module):
        pairs = [(DIALOGUES[1], chosen), (DIALOGUES[1], rejected)]
        with torch.no_grad():
            one, other = training._log_probs(module.eval(), training._rows(model, pairs))
        return (one.sum() - other.sum()).item()

    before = margin(model.module)
    module = teach_dpo(model, [Example(DIALOGUES[1], chosen, rejected)] * 8, seed=0, epochs=2)
    assert margin(module) > before + 1


def test_a_weight_of_nothing_teaches_nothing(model):
    kept = {name: each.clone() for name, each in model.module.state_dict().items()}
    example = Example(DIALOGUES[0], Planted(REPLIES[0], True))
    other = Example(DIALOGUES[0], Planted(REPLIES[1], True), weight=0.0)
    alone = training._loss(model.module, model, [example])
    both = training._loss(model.module, model, [example, other])
    torch.testing.assert_close(alone, both)
    assert all(torch.equal(each, kept[name]) for name, each in model.module.state_dict().items())
