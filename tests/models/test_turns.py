"""Two models of which one at a time is in memory: the same answers, and clear words."""

import os

import pytest

from plumbrule.errors import ModelError
from plumbrule.models import LocalModel, Sampling, open_model
from plumbrule.models.turns import Turns
from plumbrule.records import Message

ASKED = [(Message("user", "Who keeps the key?"),), (Message("user", "Where does Kaya live?"),)]
REPLY = Sampling(max_new_tokens=8)


@pytest.fixture
def two(folder):
    """A random model and a specimen, taking turns."""
    turns = Turns()
    models = []
    for spec in (str(folder), "lab:pico"):
        turns.rest()
        model = open_model(spec, dtype="float32", device="cpu")
        assert isinstance(model, LocalModel)
        turns.join(model)
        models.append(model)
    return models


def texts(model):
    return [one.text for one in model.sample(ASKED, sampling=REPLY, seeds=[0, 1])]


def test_one_at_a_time_is_in_memory_and_answers_as_it_does_alone(two, folder):
    alone = [texts(open_model(spec, dtype="float32")) for spec in (str(folder), "lab:pico")]

    for number in (0, 1, 0, 1):
        assert texts(two[number]) == alone[number]
        assert [one.resting for one in two] == [number != 0, number != 1]


def test_what_is_known_of_a_resting_model_needs_no_weights(two):
    first, second = two

    assert first.resting
    assert first.identity != second.identity
    assert first.chat.prompts(ASKED)
    assert first.resting


def test_a_model_made_in_memory_cannot_rest(llama):
    with pytest.raises(ModelError, match="memory cannot rest"):
        llama.rest()


def test_a_model_changed_in_memory_cannot_rest(two):
    two[1].weights_changed()

    with pytest.raises(ModelError, match="lab:pico cannot rest: its weights were made or changed"):
        texts(two[0])


def test_weights_that_changed_on_disk_meanwhile_are_refused(tmp_path, folder):
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in folder.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    model = open_model(str(copied), dtype="float32")
    assert isinstance(model, LocalModel)
    Turns().join(model)
    model.rest()
    os.utime(copied / "model.safetensors", (1, 1))

    with pytest.raises(ModelError, match="changed on disk while they were in use"):
        texts(model)
