"""Kinship of two models, on pairs whose history is known."""

import copy
import json
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tests.models.tiny import CORPUS, TEMPLATE, build, make_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from plumbrule.behavior.lineage import CHILD, UNRELATED, compare_tokenizers, lineage
from plumbrule.errors import ConfigError
from plumbrule.models import LocalModel, model_folder, open_model
from plumbrule.records import from_json, to_json

# The adapter library still asks the model library by a name that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

TOKENIZER = make_tokenizer()


def handle(module, tokenizer=TOKENIZER):
    return LocalModel(module, tokenizer, identity="test")


@pytest.fixture(scope="module")
def small():
    return open_model("lab:small", dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def tuned(small):
    """The specimen after thirty steps at a rate at which it visibly forgets."""
    module = copy.deepcopy(small.module)
    texts = torch.tensor([small.tokenizer.encode(text)[:16] for text in CORPUS[:3]])
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    for _ in range(30):
        module(input_ids=texts, labels=texts).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return LocalModel(module.eval(), small.tokenizer, identity="tuned")


def test_a_model_is_identical_with_itself_in_memory_and_as_folders(small):
    folder = model_folder("lab:small")

    for found in (lineage(small, small), lineage(folder, folder)):
        assert found.verdict == "identical"
        assert found.relative_change == 0
        assert found.changed == 0
        assert found.same_tokenizer
        assert found.same_template
        assert found.rounding is None


def test_a_full_fine_tune_is_a_child_far_from_the_threshold(small, tuned):
    found = lineage(small, tuned)

    assert found.verdict == "child"
    assert (found.cosine or 0) > 0.9
    assert 0.01 < (found.relative_change or 0) < 0.6
    assert found.changed == found.tensors
    assert found.rounding is None
    assert len(found.most_changed) == 10
    shares = [one.relative or 0 for one in found.most_changed]
    assert shares == sorted(shares, reverse=True)


def test_an_adapter_is_a_child_that_changed_what_it_targets(tmp_path):
    base = build("llama", len(TOKENIZER))
    base.save_pretrained(tmp_path / "base")
    TOKENIZER.save_pretrained(tmp_path / "base")
    base.name_or_path = str(tmp_path / "base")
    model = get_peft_model(base, LoraConfig(r=2, target_modules=["o_proj"]))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.1)
    model.save_pretrained(tmp_path / "adapter")

    found = lineage(tmp_path / "base", tmp_path / "adapter")

    assert found.verdict == "child"
    assert found.changed == 2
    assert {one.name.split(".")[-2] for one in found.most_changed} == {"o_proj"}
    assert all((one.stable_rank or 9) <= 2.001 for one in found.most_changed)
    assert found.same_tokenizer
    assert found.same_template


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_a_model_saved_in_16_bits_is_a_child_that_rounding_explains(small, kind):
    module = copy.deepcopy(small.module).to(getattr(torch, kind))

    found = lineage(small, LocalModel(module, small.tokenizer, identity="cast"))

    assert found.verdict == "child"
    assert found.rounding == kind
    assert f"{kind} rounding" in found.reason


def test_a_fine_tune_saved_in_16_bits_is_not_explained_by_rounding(small, tuned):
    module = copy.deepcopy(tuned.module).bfloat16()

    assert lineage(small, LocalModel(module, small.tokenizer, identity="x")).rounding is None


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mamba"])
def test_another_seed_of_the_same_configuration_is_unrelated(kind):
    base = build(kind, len(TOKENIZER))
    torch.manual_seed(99)
    other = AutoModelForCausalLM.from_config(base.config)

    found = lineage(handle(base), handle(other))

    assert found.verdict == "unrelated"
    assert found.cosine == pytest.approx(0, abs=UNRELATED / 2)


def test_biases_and_norms_which_start_alike_everywhere_do_not_make_a_kinship():
    base = build("gpt_neox", len(TOKENIZER))
    torch.manual_seed(99)
    other = AutoModelForCausalLM.from_config(base.config)
    with torch.no_grad():
        for module in (base, other):
            for value in module.parameters():
                if value.ndim == 1:
                    value += 1

    assert lineage(handle(base), handle(other)).verdict == "unrelated"


def test_two_trained_strangers_of_equal_norms_have_the_relative_change_of_strangers(small):
    # Each matrix turned at random: a trained model's spectra and norms, in another basis.
    module = copy.deepcopy(small.module)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in module.parameters():
            if value.ndim == 2:
                turn = torch.linalg.qr(
                    torch.randn(value.shape[1], value.shape[1], generator=generator)
                )
                value.copy_(value @ turn[0])

    found = lineage(small, LocalModel(module, small.tokenizer, identity="other"))

    assert found.verdict == "unrelated"
    assert found.relative_change == pytest.approx(2**0.5, abs=0.1)


def test_a_mixture_of_model_and_stranger_is_unknown():
    base = build("llama", len(TOKENIZER))
    torch.manual_seed(99)
    other = AutoModelForCausalLM.from_config(base.config)
    with torch.no_grad():
        for mine, theirs in zip(other.parameters(), base.parameters(), strict=True):
            if mine.ndim == 2:
                mine *= float(theirs.norm() / mine.norm())
                mine += 0.3 * theirs

    found = lineage(handle(base), handle(other))

    assert found.verdict == "unknown"
    assert UNRELATED < (found.cosine or 0) < CHILD


def test_a_stranger_with_the_same_embedding_is_unrelated_still():
    base = build("llama", len(TOKENIZER))
    torch.manual_seed(99)
    other = AutoModelForCausalLM.from_config(base.config)
    other.model.embed_tokens.weight.data = base.model.embed_tokens.weight.data.clone()

    assert lineage(handle(base), handle(other)).verdict == "unrelated"


def test_a_child_with_a_new_embedding_is_a_child_still():
    base = build("llama", len(TOKENIZER))
    other = copy.deepcopy(base)
    torch.nn.init.normal_(other.model.embed_tokens.weight)

    assert lineage(handle(base), handle(other)).verdict == "child"


def test_another_architecture_is_unrelated_and_the_reason_says_so():
    found = lineage(handle(build("llama", len(TOKENIZER))), handle(build("gpt2", len(TOKENIZER))))

    assert found.verdict == "unrelated"
    assert "architecture" in found.reason
    assert found.cosine is None
    assert found.relative_change is None


def test_another_width_is_unrelated():
    wide = build("llama", len(TOKENIZER), hidden_size=48, intermediate_size=56)

    found = lineage(handle(build("llama", len(TOKENIZER))), handle(wide))

    assert found.verdict == "unrelated"
    assert "width" in found.reason


def test_the_same_tensors_under_other_names_are_unknown(tmp_path):
    base = build("llama", len(TOKENIZER))
    base.save_pretrained(tmp_path / "base")
    TOKENIZER.save_pretrained(tmp_path / "base")
    shutil.copytree(tmp_path / "base", tmp_path / "renamed")
    tensors = load_file(tmp_path / "base" / "model.safetensors")
    other = {f"t{index}": value for index, value in enumerate(tensors.values())}
    save_file(other, tmp_path / "renamed" / "model.safetensors", metadata={"format": "pt"})

    found = lineage(tmp_path / "base", tmp_path / "renamed")

    assert found.verdict == "unknown"
    assert "names" in found.reason


def test_missing_layers_are_said_beside_the_verdict():
    base = build("llama", len(TOKENIZER), num_hidden_layers=3)
    other = build("llama", len(TOKENIZER), num_hidden_layers=2)
    other.load_state_dict(base.state_dict(), strict=False)

    found = lineage(handle(base), handle(other))

    assert found.verdict == "child"
    assert "9 tensors of the base are missing" in found.reason


def test_a_tokenizer_is_compared_by_what_it_does_and_not_by_its_file():
    other = make_tokenizer()
    other.padding_side = "left"
    assert compare_tokenizers(TOKENIZER, other)[0]

    other.add_tokens(["<|new|>"])
    same, note = compare_tokenizers(TOKENIZER, other)
    assert same is False
    assert f"which has {len(TOKENIZER) + 1}" in note

    content = json.loads(TOKENIZER.backend_tokenizer.to_str())
    content["model"]["merges"] = content["model"]["merges"][::-1]
    merged = copy.deepcopy(TOKENIZER)
    merged._tokenizer = type(TOKENIZER.backend_tokenizer).from_str(json.dumps(content))
    assert compare_tokenizers(TOKENIZER, merged) == (
        False,
        "the vocabularies are equal; these differ: merges",
    )
    assert compare_tokenizers(None, TOKENIZER)[0] is None


def test_a_changed_template_is_said_also_of_identical_weights():
    base = build("llama", len(TOKENIZER))
    other = make_tokenizer()
    other.chat_template = TEMPLATE.replace("<|assistant|>", "<|assistant|> ")

    found = lineage(handle(base), handle(base, other))

    assert found.verdict == "identical"
    assert found.same_template is False
    assert found.same_tokenizer


def test_a_folder_is_not_compared_with_a_model_in_memory(small):
    with pytest.raises(ConfigError, match="one of each"):
        lineage(small, model_folder("lab:small"))


def test_a_lineage_comes_back_from_disk_as_it_was(small, tuned):
    found = lineage(small, tuned)

    assert from_json(type(found), json.loads(json.dumps(to_json(found))), origin="x") == found


def test_any_kind_of_model_is_its_own_child_after_a_nudge():
    config = AutoConfig.for_model("gpt2", n_embd=16, n_layer=1, n_head=2, vocab_size=len(TOKENIZER))
    base = AutoModelForCausalLM.from_config(config)
    other = copy.deepcopy(base)
    with torch.no_grad():
        other.transformer.h[0].mlp.c_fc.weight[0, 0] += 1

    found = lineage(handle(base), handle(other))

    assert found.verdict == "child"
    assert [one.name for one in found.most_changed] == ["transformer.h.0.mlp.c_fc.weight"]
    assert found.most_changed[0].stable_rank == pytest.approx(1, abs=1e-4)
