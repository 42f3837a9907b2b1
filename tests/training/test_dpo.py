import math
from dataclasses import replace
from typing import Any

import pytest
from tests.training.conftest import weights
from tests.training.worker import BRIEF, LORA, asked, pairs, preference, train

from plumbrule.errors import DataError
from plumbrule.models import open_model
from plumbrule.training.dpo import PreferencePair, pairs_of, train_dpo
from plumbrule.training.settings import DpoTraining


def curve(result, name):
    return [point.value for point in result.curve if point.name == name]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("lora", [None, LORA])
def test_a_model_learns_to_prefer_the_chosen_replies(models, tmp_path, kind, lora):
    result = train("dpo", models(kind), tmp_path / "out", epochs=6, lora=lora, schedule="constant")
    assert curve(result, "loss")[0] == pytest.approx(math.log(2), abs=0.02)
    assert curve(result, "loss")[-1] < 0.6
    assert curve(result, "rewards/accuracies")[-1] == 1.0
    before, after = open_model(str(models(kind))), open_model(str(result.path))

    def margins(model):
        dialogues = [pair.dialogue for pair in pairs(16)]
        good = model.score(dialogues, [pair.chosen for pair in pairs(16)])
        bad = model.score(dialogues, [pair.rejected for pair in pairs(16)])
        return [a.log_prob - b.log_prob for a, b in zip(good, bad, strict=True)]

    gains = [b - a for a, b in zip(margins(before), margins(after), strict=True)]
    assert sum(gain > 0 for gain in gains) >= 15


def test_the_margin_is_measured_from_the_starting_model(models, tmp_path):
    # One pair and one step that moves nothing: the loss is log 2 whatever the model prefers.
    result = train("dpo", models(), tmp_path / "out", count=1, epochs=1, learning_rate=1e-12)
    assert curve(result, "loss") == pytest.approx([math.log(2)], abs=1e-5)
    assert curve(result, "rewards/margins") == pytest.approx([0.0], abs=1e-4)


def test_beta_holds_the_model_back(models, tmp_path):
    def moved(beta):
        result = train("dpo", models(), tmp_path / f"{beta}", beta=beta, epochs=8)
        return abs(curve(result, "rewards/margins")[-1]) / beta

    assert moved(5.0) < moved(0.1)


def test_an_adapter_from_supervised_training_is_the_reference_too(models, tmp_path):
    first = train("supervised", models(), tmp_path / "first", lora=LORA, epochs=6)
    second = train("dpo", first.path, tmp_path / "second", lora=LORA)
    assert curve(second, "loss")[0] == pytest.approx(math.log(2), abs=0.05)  # dropout
    files = set(weights(second.path))
    assert "adapter_model.safetensors" in files
    assert "ref" not in files
    assert open_model(str(second.path)).score([asked("x")], ["y"])[0].tokens > 0


def test_the_same_call_gives_the_same_bytes(models, tmp_path):
    first = train("dpo", models(), tmp_path / "a", lora=LORA)
    assert weights(first.path) == weights(train("dpo", models(), tmp_path / "b", lora=LORA).path)


def test_pairs_are_what_preferences_decide():
    labels = [0.9, 0.2, 0.5, None, 0.55]
    all_of_them = [
        preference(f"q{number}", asked("x"), "first", "second", label)
        for number, label in enumerate(labels)
    ]
    same = preference("same", asked("x"), "first", "first", 0.9)
    found = pairs_of([*all_of_them, same])
    assert [(pair.id, pair.chosen, pair.rejected) for pair in found] == [
        ("q0", "first", "second"),
        ("q1", "second", "first"),
        ("q4", "first", "second"),
    ]
    assert [pair.id for pair in pairs_of(all_of_them, margin=0.1)] == ["q0", "q1"]


def soft_pairs(probability, count=8):
    return [replace(pair, probability=probability) for pair in pairs(count)]


def test_a_soft_label_pulls_until_it_is_reached_and_no_further(models, tmp_path):
    def margin(probability):
        brief = {**BRIEF, "learning_rate": 3e-3, "epochs": 40}
        settings = DpoTraining(**brief, beta=1.0, schedule="constant")
        result = train_dpo(
            models(),
            soft_pairs(probability),
            settings=settings,
            out=tmp_path / f"{probability}",
            seed=0,
        )
        return sum(curve(result, "rewards/margins")[-4:]) / 4

    assert margin(0.7) == pytest.approx(math.log(0.7 / 0.3), abs=0.3)
    assert abs(margin(0.5)) < 0.3
    assert margin(1.0) > 2


def test_a_probability_of_one_is_a_hard_label_to_the_byte(models, tmp_path):
    given: dict[str, Any] = {"settings": DpoTraining(**BRIEF), "seed": 0}
    plain = train_dpo(models(), pairs(8), out=tmp_path / "a", **given)
    hard = train_dpo(models(), soft_pairs(1.0), out=tmp_path / "b", **given)
    soft = train_dpo(models(), soft_pairs(0.9), out=tmp_path / "c", **given)
    assert plain.inputs_sha256 == hard.inputs_sha256 != soft.inputs_sha256
    assert weights(plain.path) == weights(hard.path) != weights(soft.path)


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_a_probability_that_is_none_is_refused_by_name(models, tmp_path, probability):
    with pytest.raises(DataError, match="between 0 and 1, pair 'p0' has"):
        train_dpo(
            models(),
            soft_pairs(probability),
            settings=DpoTraining(**BRIEF),
            out=tmp_path / "out",
            seed=0,
        )


def test_pairs_carry_probabilities_where_asked_to():
    labels = [preference("a", asked("x"), "one", "two", 0.2)]
    assert [pair.probability for pair in pairs_of(labels)] == [1.0]
    assert [(pair.chosen, pair.probability) for pair in pairs_of(labels, soft=True)] == [
        ("two", 0.8)
    ]


def test_a_pair_of_equal_replies_is_refused_by_name(models, tmp_path):
    settings = DpoTraining(**BRIEF)
    same = PreferencePair(id="twin", dialogue=asked("x"), chosen="y", rejected="y")
    for given, message in (([*pairs(2), same], "pair 'twin'"), ([], "at least one pair")):
        with pytest.raises(DataError, match=message):
            train_dpo(models(), given, settings=settings, out=tmp_path / "out", seed=0)


def test_a_pair_that_is_too_long_is_refused_by_name(models, tmp_path):
    with pytest.raises(DataError, match="example 'p0' has"):
        train("dpo", models(), tmp_path / "out", max_tokens=8)
