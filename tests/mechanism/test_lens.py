import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.mechanism import find_sites, logit_lens
from plumbrule.models import LocalModel, open_model
from plumbrule.records import Message

IDS = torch.tensor([[5, 9, 12, 7, 30, 44], [8, 8, 44, 3, 101, 17]])


@pytest.mark.parametrize(
    "name", ["LlamaForCausalLM", "GPT2LMHeadModel", "Gemma2ForCausalLM", "GraniteForCausalLM"]
)
def test_the_last_depth_is_the_model_itself(name):
    module = build(name).module
    with torch.no_grad():
        own = module(input_ids=IDS)["logits"][:, -1].log_softmax(-1)

    found = logit_lens(module, find_sites(module), IDS)

    assert found.shape == (5, 2, 160)
    assert np.allclose(found[-1], own, atol=1e-5)
    assert np.allclose(np.exp(found).sum(-1), 1.0, atol=1e-4)


def test_each_depth_is_the_stream_through_norm_and_unembedding():
    module = build("LlamaForCausalLM").module
    with torch.no_grad():
        states = module(input_ids=IDS, output_hidden_states=True)["hidden_states"]
        expected = [
            module.lm_head(module.model.norm(state[:, -1])).log_softmax(-1) for state in states[:-1]
        ]

    found = logit_lens(module, find_sites(module), IDS)

    assert np.allclose(found[:-1], np.stack([each.numpy() for each in expected]), atol=1e-5)


def test_a_trained_model_comes_to_its_answer_with_depth():
    model = open_model("lab:small", device="cpu")
    assert isinstance(model, LocalModel)
    text = "What is the job of Mara?"
    rows = model.chat.prompts([(Message("user", text),)])
    ids = torch.tensor(rows)

    found = logit_lens(model.module, find_sites(model.module), ids)

    answer = int(found[-1, 0].argmax())
    assert found[-1, 0, answer] > found[0, 0, answer]
