import math

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


def test_a_pair_of_equal_replies_is_refused_by_name(models, tmp_path):
    settings = DpoTraining(**BRIEF)
    same = PreferencePair(id="twin", dialogue=asked("x"), chosen="y", rejected="y")
    for given, message in (([*pairs(2), same], "pair 'twin'"), ([], "at least one pair")):
        with pytest.raises(DataError, match=message):
            train_dpo(models(), given, settings=settings, out=tmp_path / "out", seed=0)


def test_a_pair_that_is_too_long_is_refused_by_name(models, tmp_path):
    with pytest.raises(DataError, match="example 'p0' has"):
        train("dpo", models(), tmp_path / "out", max_tokens=8)
