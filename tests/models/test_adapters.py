"""Adapters say the same folded into their model or not, and are not folded where they would not."""

import json
import warnings

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tests.models.tiny import QUESTIONS, build
from transformers import AutoModelForCausalLM

from plumbrule.errors import ModelError
from plumbrule.models import LocalModel, Sampling, open_model

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

GREEDY = Sampling(temperature=0.0, max_new_tokens=8)


@pytest.fixture
def tied(tokenizer, tmp_path):
    """A model whose output layer is its embedding, as a folder."""
    path = tmp_path / "tied"
    build("llama", len(tokenizer), tie_word_embeddings=True).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def trained(folder, out, **given):
    """An adapter that changes much, saved; and the model with it, unfolded."""
    module = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(module, LoraConfig(r=2, **given))
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_B" in name or "embedding_B" in name or "modules_to_save" in name:
                    parameter.add_(torch.randn_like(parameter))
        adapted.save_pretrained(out)
    return adapted.eval()


def opened_at(path):
    model = open_model(str(path), device="cpu")
    assert isinstance(model, LocalModel)
    return model


def logits(module, ids):
    with torch.inference_mode():
        return module(input_ids=torch.tensor([ids]))["logits"][0]


@pytest.mark.parametrize(
    "given",
    [
        {"target_modules": ["lm_head"]},
        {"target_modules": ["embed_tokens"]},
        {"target_modules": ["embed_tokens", "q_proj"]},
        {"target_modules": ["q_proj"]},
    ],
    ids=str,
)
def test_an_adapter_on_a_tied_model_says_what_it_was_trained_to_say(tied, tmp_path, given):
    adapted = trained(tied, tmp_path / "adapter", **given)
    opened = opened_at(tmp_path / "adapter")
    ids = opened.chat.prompts(QUESTIONS[:1])[0]

    torch.testing.assert_close(logits(opened.module, ids), logits(adapted, ids), atol=1e-3, rtol=0)
    assert not isinstance(opened.module, PeftModel)
    replies = opened.sample(QUESTIONS, sampling=GREEDY, seeds=range(len(QUESTIONS)))
    assert len(replies) == len(QUESTIONS)


def test_an_adapter_that_changes_when_folded_stays_unfolded(folder, tmp_path, monkeypatch):
    adapted = trained(folder, tmp_path / "adapter", target_modules=["q_proj"])
    merge = PeftModel.__getattr__(adapted, "merge_and_unload").__func__

    def wrong(self, **given):
        module = merge(self, **given)
        with torch.no_grad():
            module.lm_head.weight[0] += 1
        return module

    monkeypatch.setattr(type(adapted.base_model), "merge_and_unload", wrong)
    opened = opened_at(tmp_path / "adapter")
    ids = opened.chat.prompts(QUESTIONS[:1])[0]

    assert isinstance(opened.module, PeftModel)
    torch.testing.assert_close(logits(opened.module, ids), logits(adapted, ids), atol=1e-3, rtol=0)


@pytest.mark.parametrize("tie", [True, False])
def test_an_adapter_with_tokens_of_its_own_gets_room_for_them(tokenizer, tmp_path, tie):
    import copy

    base, more = tmp_path / "base", copy.deepcopy(tokenizer)
    build("llama", len(tokenizer), tie_word_embeddings=tie).save_pretrained(base)
    tokenizer.save_pretrained(base)
    more.add_tokens(["<|new|>", "<|newer|>"], special_tokens=True)
    module = AutoModelForCausalLM.from_pretrained(base)
    module.resize_token_embeddings(len(more))
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(module, LoraConfig(r=2, target_modules=["q_proj"]))
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_B" in name:
                    parameter.add_(torch.randn_like(parameter))
        adapted.save_pretrained(tmp_path / "adapter", save_embedding_layers=True)
    more.save_pretrained(tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": str(base)})
    )

    opened = opened_at(tmp_path / "adapter")
    ids = [*opened.chat.prompts(QUESTIONS[:1])[0], len(more) - 1, len(more) - 2]

    torch.testing.assert_close(
        logits(opened.module, ids), logits(adapted.eval(), ids), atol=1e-3, rtol=0
    )


def test_an_adapter_of_a_larger_model_is_said(tokenizer, tmp_path):
    large, small = tmp_path / "large", tmp_path / "small"
    build("llama", len(tokenizer) + 64).save_pretrained(large)
    build("llama", len(tokenizer)).save_pretrained(small)
    tokenizer.save_pretrained(small)
    trained(large, tmp_path / "adapter", target_modules=["v_proj"], modules_to_save=["lm_head"])
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": str(small)})
    )
    tokenizer.save_pretrained(tmp_path / "adapter")
    shrunk = tmp_path / "shrunk"
    build("llama", len(tokenizer) - 8).save_pretrained(shrunk)
    trained(shrunk, tmp_path / "less", target_modules=["v_proj"], modules_to_save=["lm_head"])
    path = tmp_path / "less" / "adapter_config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": str(small)})
    )

    with pytest.raises(ModelError, match="does not fit its model: it has"):
        open_model(str(tmp_path / "less"), device="cpu")


def test_an_adapter_that_cannot_be_folded_stays_beside_its_model(tied, tmp_path):
    """One with a bias of its own has nowhere to fold it to where the layer has none."""
    adapted = trained(tied, tmp_path / "a", target_modules=["q_proj"], lora_bias=True)
    model = opened_at(tmp_path / "a")

    ids = list(range(5, 30))
    assert torch.allclose(logits(model.module, ids), logits(adapted, ids), atol=1e-4)
