import random
import socket
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from tests.training.conftest import weights
from tests.training.worker import BRIEF, LORA, SETTINGS, asked, exchanges, make_model, train
from transformers import AutoModelForCausalLM

from plumbrule.errors import ConfigError, DataError, ModelError, OutputError
from plumbrule.models import LocalModel, open_model
from plumbrule.training import checkpoints
from plumbrule.training.settings import SupervisedTraining
from plumbrule.training.supervised import train_supervised


def loss_curve(result):
    return [point.value for point in result.curve if point.name == "loss"]


def memorize(model, out, **changes):
    examples = [replace(exchanges(1)[0], dialogue=asked("help"), response="blue river cat")]
    settings = SupervisedTraining(**{**BRIEF, "epochs": 60, **changes})
    return train_supervised(model, examples, settings=settings, out=out, seed=0)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2"])
def test_a_model_learns_the_reply_and_to_stop_after_it(models, tmp_path, kind):
    before = open_model(str(models(kind))).score([asked("help")], ["blue river cat"])[0]
    result = memorize(models(kind), tmp_path / "out", learning_rate=3e-2)
    model = open_model(str(result.path))
    after = model.score([asked("help")], ["blue river cat"])[0]
    assert after.log_prob > before.log_prob / 3
    assert loss_curve(result)[-1] < 1.0 < loss_curve(result)[0]
    choice = model.choose([asked("help")], ["blue river cat", "blue river"], seeds=[0])[0]
    assert choice.probabilities is not None
    assert choice.probabilities[0] > 0.9


def test_the_first_loss_is_the_mean_over_the_replies_tokens(models, tmp_path):
    model = open_model(str(models()))
    assert isinstance(model, LocalModel)
    examples = exchanges(8)
    scores = model.score(
        [example.dialogue for example in examples],
        [example.response for example in examples],
        end_of_turn=True,
    )
    expected = -sum(score.log_prob for score in scores) / sum(score.tokens for score in scores)
    settings = SupervisedTraining(**{**BRIEF, "batch_size": 8})
    for micro in (None, 2):
        result = train_supervised(
            models(),
            examples,
            settings=replace(settings, micro_batch_size=micro),
            out=tmp_path / f"out-{micro}",
            seed=0,
        )
        assert loss_curve(result) == pytest.approx([expected], abs=1e-4)
        assert result.steps == 1
        assert result.tokens_trained == sum(
            len(model.chat.prompts([example.dialogue])[0]) + score.tokens
            for example, score in zip(examples, scores, strict=True)
        )


def test_small_portions_give_the_same_model_as_whole_batches(models, tmp_path):
    whole = train("supervised", models(), tmp_path / "whole", group_by_length=False)
    parts = train(
        "supervised", models(), tmp_path / "parts", group_by_length=False, micro_batch_size=2
    )
    # Sums in another order: a few last bits, which Adam's first steps may blow up a little.
    assert loss_curve(whole) == pytest.approx(loss_curve(parts), abs=2e-3)


def test_the_same_call_gives_the_same_bytes_and_another_seed_does_not(models, tmp_path):
    first = train("supervised", models(), tmp_path / "a")
    again = train("supervised", models(), tmp_path / "b")
    other = train("supervised", models(), tmp_path / "c", seed=4)
    assert weights(first.path) == weights(again.path)
    assert first.curve == again.curve
    assert weights(first.path) != weights(other.path)


def test_a_finished_model_is_not_made_again(models, tmp_path):
    first = train("supervised", models(), tmp_path / "out")
    stamp = (first.path / "model.safetensors").stat().st_mtime_ns
    assert train("supervised", models(), tmp_path / "out") == first
    assert (first.path / "model.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(OutputError, match="was trained from others"):
        train("supervised", models(), tmp_path / "out", epochs=1)
    with pytest.raises(OutputError, match="was trained from others"):
        train("supervised", models(), tmp_path / "out", count=15)


def test_what_a_crash_right_after_the_end_leaves_is_tidied(models, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.TrainingWorkspace, "discard", lambda space: None)
        first = train("supervised", models(), tmp_path / "out")
    assert (tmp_path / "out.partial").exists()
    assert train("supervised", models(), tmp_path / "out") == first
    assert not (tmp_path / "out.partial").exists()


def test_nothing_but_the_weights_changes(models, tmp_path):
    result = train("supervised", models(), tmp_path / "out")
    before, after = weights(models()), weights(result.path)
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"model.safetensors"}


def test_an_odd_configuration_of_drawing_is_kept_byte_for_byte(tmp_path):
    folder = make_model(tmp_path / "model")
    odd = '{"do_sample": false,  "temperature": 0.6, "top_p": 0.9,\n "eos_token_id": 1}\n'
    (folder / "generation_config.json").write_text(odd)
    result = train("supervised", folder, tmp_path / "out", checkpoint_every=1)
    assert (result.path / "generation_config.json").read_text() == odd
    lora = train("supervised", folder, tmp_path / "lora", lora=LORA)
    full = train("supervised", lora.path, tmp_path / "full")
    assert (full.path / "generation_config.json").read_text() == odd


def test_full_weights_on_an_adapter_of_a_tied_matrix_are_refused(tmp_path):
    folder = make_model(tmp_path / "model")
    module = AutoModelForCausalLM.from_pretrained(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(module, LoraConfig(r=2, target_modules=["lm_head"]))
        adapted.save_pretrained(tmp_path / "adapter")
    with pytest.raises(ModelError, match="uses twice"):
        train("supervised", tmp_path / "adapter", tmp_path / "out")


def test_weights_are_saved_as_the_kind_of_number_they_came_as(tmp_path):
    folder = make_model(tmp_path / "model")
    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    result = train("supervised", folder, tmp_path / "out")
    kinds = {value.dtype for value in load_file(result.path / "model.safetensors").values()}
    assert kinds == {torch.bfloat16}
    assert loss_curve(result)[-1] < loss_curve(result)[0]


def test_lora_gives_an_adapter_that_opens_on_its_model(models, tmp_path):
    result = memorize(models(), tmp_path / "out", lora=LORA, learning_rate=5e-2)
    files = set(weights(result.path))
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= files
    assert not files & {"README.md", "config.json", "model.safetensors"}
    assert checkpoints.base_of(result.path) == models().resolve()
    before = open_model(str(models())).score([asked("help")], ["blue river cat"])[0]
    after = open_model(str(result.path)).score([asked("help")], ["blue river cat"])[0]
    assert after.log_prob > before.log_prob + 2


def test_an_adapter_goes_on_where_it_stopped(models, tmp_path):
    first = train("supervised", models(), tmp_path / "first", lora=LORA, epochs=4)
    second = train("supervised", first.path, tmp_path / "second", lora=LORA, epochs=4)
    assert checkpoints.base_of(second.path) == models().resolve()
    before, after = (load_file(r.path / "adapter_model.safetensors") for r in (first, second))
    assert {name: value.shape for name, value in before.items()} == {
        name: value.shape for name, value in after.items()
    }
    assert any(not torch.equal(before[name], after[name]) for name in before)
    # Dropout in the adapter, so near and not equal.
    assert loss_curve(second)[0] < loss_curve(first)[0] - 0.1


def test_an_adapter_of_another_shape_is_refused(models, tmp_path):
    first = train("supervised", models(), tmp_path / "first", lora=LORA)
    for changes in ({"rank": 3}, {"alpha": 8.0}, {"targets": ("q_proj",)}):
        with pytest.raises(ConfigError, match=f"its {next(iter(changes))} is"):
            train("supervised", first.path, tmp_path / "second", lora=replace(LORA, **changes))


def test_full_weights_on_an_adapter_start_from_both_together(models, tmp_path):
    first = memorize(models(), tmp_path / "first", lora=LORA, learning_rate=5e-2)
    second = memorize(first.path, tmp_path / "second", epochs=1, learning_rate=1e-8)
    adapted, merged = (
        open_model(str(result.path)).score([asked("help")], ["blue river cat"])[0].log_prob
        for result in (first, second)
    )
    assert merged == pytest.approx(adapted, abs=1e-3)
    assert "model.safetensors" in weights(second.path)
    assert not (second.path / "adapter_config.json").exists()


@pytest.mark.parametrize("lora", [None, LORA])
@pytest.mark.parametrize(
    "changes", [{"gradient_checkpointing": True}, {"precision": "bfloat16"}], ids=str
)
def test_memory_and_precision_settings_train_alike(models, tmp_path, lora, changes):
    lora = lora and replace(lora, dropout=0.0)
    plain = train("supervised", models(), tmp_path / "plain", lora=lora)
    other = train("supervised", models(), tmp_path / "other", lora=lora, **changes)
    assert loss_curve(other) == pytest.approx(loss_curve(plain), abs=5e-2)  # bfloat16: 3 digits


def test_progress_is_told_at_each_step(models, tmp_path):
    told = []
    settings = replace(SETTINGS["supervised"], epochs=1)
    result = train_supervised(
        models(),
        exchanges(10),
        settings=settings,
        out=tmp_path / "out",
        seed=0,
        progress=lambda *given: told.append(given),
    )
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert [measured["loss"] for *_, measured in told] == loss_curve(result)
    assert result.resumed_from is None


def test_training_is_silent_offline_and_leaves_no_trace(
    models, tmp_path, monkeypatch, capfd, caplog
):
    def refuse(*given, **named):
        raise AssertionError("something went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    filters = list(warnings.filters)
    before = random.getstate(), repr(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    model = models()
    capfd.readouterr()
    for name, lora in (("full", None), ("lora", LORA)):
        train("supervised", model, tmp_path / name, lora=lora)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert before[0] == random.getstate()
    assert before[1] == repr(np.random.get_state())  # noqa: NPY002
    assert torch.equal(before[2], torch.get_rng_state())
    assert list(warnings.filters) == filters
    assert list((tmp_path / "home").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "home", "lora"]


def test_a_run_that_diverges_says_so_and_may_be_corrected_in_place(models, tmp_path, monkeypatch):
    # No rate in its range brings so small a model to overflow.
    monkeypatch.setattr("plumbrule.training.settings.check_ranges", lambda *_, **__: None)
    with pytest.raises(ConfigError, match=r"training diverged\. Lower learning_rate, now 1e\+30"):
        train("supervised", models(), tmp_path / "out", learning_rate=1e30, schedule="constant")
    assert list(tmp_path.iterdir()) == []
    assert train("supervised", models(), tmp_path / "out").steps == 8


def test_no_examples_are_refused(models, tmp_path):
    with pytest.raises(DataError, match="at least one example"):
        train_supervised(models(), [], settings=SupervisedTraining(), out=tmp_path / "out", seed=0)


def test_an_example_that_is_too_long_is_named_and_nothing_is_cut(models, tmp_path):
    with pytest.raises(DataError, match="example 'e0' has"):
        train("supervised", models(), tmp_path / "out", max_tokens=8)


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_folder_without_a_model_is_refused(tmp_path, content):
    folder = tmp_path / "model"
    folder.mkdir()
    if content is not None:
        (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match="expected"):
        train("supervised", folder, tmp_path / "out")


def test_fewer_examples_than_a_batch_are_one_batch_an_epoch(models, tmp_path):
    result = train("supervised", models(), tmp_path / "out", count=3, batch_size=32)
    assert result.steps == 2
    assert result.examples == 3
