"""A tiny model computes with one thread, a larger one with all, and nothing is left changed."""

import pytest
import torch
from tests.fakes import ScriptedModel

from plumbrule.models import fitting_threads, open_model
from plumbrule.models import threads as module


@pytest.fixture
def two():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pico():
    return open_model("lab:pico", dtype="float32", device="cpu")


def test_a_tiny_model_gets_one_thread_for_a_while(two, pico):
    with fitting_threads(pico, ScriptedModel()):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_they_come_back_after_an_error_too(two, pico):
    with pytest.raises(RuntimeError), fitting_threads(pico):
        raise RuntimeError("out of memory")
    assert torch.get_num_threads() == 2


def test_a_larger_model_among_them_keeps_all(two, pico, monkeypatch):
    parameters = sum(each.numel() for each in pico.module.parameters())
    monkeypatch.setattr(module, "FEW_PARAMETERS", parameters - 1)

    with fitting_threads(pico):
        assert torch.get_num_threads() == 2


def test_endpoints_alone_change_nothing(two):
    with fitting_threads(ScriptedModel()):
        assert torch.get_num_threads() == 2
