"""What follows from how large the models of a run are."""

import json
from dataclasses import replace

import pytest

from plumbrule.errors import ModelError
from plumbrule.loop import RunConfig, settle_adapters, sizes
from plumbrule.models import LocalModel, model_folder
from plumbrule.training import LoraSettings

CONFIG = RunConfig(model="lab:nano", constitution="village", prompts="village")


def grown(monkeypatch, parameters):
    monkeypatch.setattr(sizes, "parameters_in", lambda spec: parameters.get(spec))


def test_the_parameters_on_disk_are_those_of_the_model():
    from plumbrule.models import open_model

    # Output weights that are the embeddings are stored once and counted once.
    assert sizes.parameters_in("lab:nano") == open_model("lab:nano").describe()["parameters"]


def test_an_endpoint_has_no_size():
    assert sizes.parameters_in("http://127.0.0.1:9/v1#m") is None


def test_a_small_model_is_trained_whole():
    assert settle_adapters(CONFIG) == (CONFIG, None)


def test_a_large_model_gets_adapters_and_it_is_said(monkeypatch):
    grown(monkeypatch, {"lab:nano": 135_000_000})

    settled, said = settle_adapters(CONFIG)

    assert settled.adapters is True
    assert settled.dpo.lora == LoraSettings()
    assert said is not None
    assert "135 million" in said
    assert "--full" in said


def test_an_adapter_takes_larger_steps_unless_the_step_was_chosen(monkeypatch):
    grown(monkeypatch, {"lab:nano": 135_000_000})
    chosen = replace(CONFIG, dpo=replace(CONFIG.dpo, learning_rate=3e-6))

    settled, _ = settle_adapters(chosen)

    assert settled.dpo.learning_rate == 3e-6
    assert settled.supervised.learning_rate == pytest.approx(10 * CONFIG.supervised.learning_rate)


def test_whoever_asks_for_all_weights_gets_them(monkeypatch):
    grown(monkeypatch, {"lab:nano": 135_000_000})

    settled, said = settle_adapters(replace(CONFIG, adapters=False))

    assert (settled.supervised.lora, said) == (None, None)


def test_settling_twice_changes_nothing(monkeypatch):
    grown(monkeypatch, {"lab:nano": 135_000_000})

    once, _ = settle_adapters(CONFIG)

    assert settle_adapters(once) == (once, None)


def test_models_that_do_not_fit_together_are_refused_before_any_is_opened(monkeypatch):
    grown(monkeypatch, {"lab:nano": 135_000_000, "critic": 8_000_000_000})
    monkeypatch.setattr(sizes, "free_bytes", lambda: 16_000_000_000)

    sizes.check_memory(CONFIG)
    with pytest.raises(ModelError, match=r"critic beside it; 16\.0 GB are free"):
        sizes.check_memory(replace(CONFIG, critic="critic"))


def test_full_training_needs_more_than_adapters(monkeypatch):
    grown(monkeypatch, {"lab:nano": 1_000_000_000})
    adapted, _ = settle_adapters(replace(CONFIG, adapters=True))

    assert sizes.needed_bytes(CONFIG) > sizes.needed_bytes(adapted)


def test_a_base_model_without_a_template_is_told_how_to_get_one(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "x"}))

    with pytest.raises(ModelError, match=r"chat_template\.jinja"):
        sizes.check_template(str(tmp_path))

    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    sizes.check_template(str(tmp_path))


def test_every_model_that_has_a_template_passes():
    sizes.check_template(str(model_folder("lab:nano")))


SMALL = 4 * 1_000_000
"""Bytes of a model of a million parameters."""


@pytest.mark.parametrize(
    ("memory", "takes_turns"), [(2 * SMALL, False), (2 * SMALL - 1, True), (SMALL, True)]
)
def test_two_models_take_turns_where_memory_holds_one(monkeypatch, memory, takes_turns):
    grown(monkeypatch, {"lab:nano": 1_000_000, "lab:pico": 1_000_000})

    *models, note = sizes.open_pair("lab:nano", "lab:pico", most_bytes=sizes._WORK + memory)

    assert [isinstance(one, LocalModel) and one.resting for one in models] == [takes_turns, False]
    assert (note is not None) == takes_turns


def test_what_is_free_decides_where_nobody_says(monkeypatch):
    grown(monkeypatch, {"lab:nano": 1_000_000, "lab:pico": 2_000_000})
    monkeypatch.setattr(sizes, "free_bytes", lambda: sizes._WORK + 2 * SMALL)

    _, _, note = sizes.open_pair("lab:nano", "lab:pico")

    assert note is not None
    assert "are free" in note


def test_a_model_that_does_not_fit_alone_is_named(monkeypatch):
    grown(monkeypatch, {"lab:nano": 1_000_000, "lab:pico": 2_000_000_000})

    with pytest.raises(ModelError, match=r"9\.2 GB of memory for lab:pico alone, 8\.0 GB may be"):
        sizes.open_pair("lab:nano", "lab:pico", most_bytes=8_000_000_000)


def test_models_that_take_turns_need_the_memory_of_the_larger():
    *models, _ = sizes.open_pair("lab:nano", "lab:small", most_bytes=None)
    together, larger = sizes.comparison_bytes(*models), sizes.comparison_bytes(models[1])
    *turning, _ = sizes.open_pair("lab:nano", "lab:small", most_bytes=larger)

    assert sizes.comparison_bytes(*turning) == larger < together
