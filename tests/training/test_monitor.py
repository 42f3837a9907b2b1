"""Training under a monitor: what it leaves alone, what it stops, and what it keeps."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.training.conftest import weights
from tests.training.worker import (
    BRIEF,
    LORA,
    SETTINGS,
    asked,
    exchanges,
    strange,
    train,
    watching,
)

from plumbrule.errors import DataError, OutputError
from plumbrule.models import LocalModel, Sampling, open_model
from plumbrule.store import derive_seed
from plumbrule.training.collapse import CollapseBounds
from plumbrule.training.from_reward import train_grpo
from plumbrule.training.monitors import Monitor, MonitorSettings
from plumbrule.training.settings import GrpoTraining, SupervisedTraining
from plumbrule.training.supervised import train_supervised

STAGES = ["supervised", "dpo", "kto", "grpo", "rloo", "ppo"]
KILLED = 9


def letters(dialogues, replies):
    return [float(reply.count("a")) for reply in replies]


def hacked(model, out, monitor, **changes):
    """GRPO by a reward that more of one letter earns, whatever it does to the reply."""
    settings = GrpoTraining(
        **{**BRIEF, "batch_size": 16, "epochs": 12},
        replies_per_prompt=8,
        max_new_tokens=4,
        beta=0.0,
    )
    return train_grpo(
        model,
        [asked(word) for word in ("cat", "dog", "help", "road")],
        letters,
        reward_identity="letters",
        settings=replace(settings, **changes),
        out=out,
        seed=0,
        monitor=monitor,
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_is_not_stopped_ends_with_the_bytes_of_one_nobody_watched(
    models, tmp_path, stage
):
    model = models("gpt2", dropout=0.1)  # so that a random number drawn on the way would count
    plain = train(stage, model, tmp_path / "plain")
    watched = train(stage, model, tmp_path / "watched", monitor="level")
    assert watched.monitored is not None
    assert watched.monitored.stopped is None
    assert plain.monitored is None
    assert weights(plain.path) == weights(watched.path)
    assert plain.curve == watched.curve
    assert plain.tokens_trained == watched.tokens_trained
    assert [check.step for check in watched.monitored.checks] == list(range(watched.steps + 1))


@pytest.mark.parametrize("stage", ["supervised", "dpo", "grpo"])
def test_a_run_whose_gold_falls_is_stopped_and_the_best_model_kept(models, tmp_path, stage):
    changes: dict[str, Any] = {"epochs": 12, "learning_rate": 3e-2}
    result = train(stage, models(), tmp_path / "out", monitor="lowered", **changes)
    seen = result.monitored
    assert seen is not None
    assert seen.stopped is not None
    assert seen.stopped.reason == "over-optimization"
    assert seen.stopped.step == result.steps < 48
    assert "gold fell from" in seen.stopped.message
    kept = next(check for check in seen.checks if check.step == seen.stopped.kept_step)
    assert gold_of(result.path) == pytest.approx(kept.gold, abs=1e-6)
    last = seen.checks[-1].gold
    assert kept.gold is not None
    assert last is not None
    assert kept.gold > last


def gold_of(folder, seed=3):
    """Gold of a saved model, on replies from the monitor's random numbers."""
    monitor = watching("lowered")
    drawn = open_model(str(folder), dtype="float32", device="cpu").sample(
        monitor.dialogues,
        sampling=Sampling(max_new_tokens=6),
        seeds=[derive_seed(seed, "check", place) for place in range(len(monitor.dialogues))],
    )
    scores = strange(monitor.dialogues, [one.text for one in drawn])
    return sum(scores) / len(scores)


def test_where_the_start_was_best_its_own_weights_come_back(models, tmp_path):
    watch = watching("lowered", max_new_tokens=4)
    watch = replace(watch, gold=lambda d, r: [-value for value in letters(d, r)])
    result = hacked(models(), tmp_path / "out", watch)
    assert result.monitored is not None
    stop = result.monitored.stopped
    assert stop is not None
    assert "gold fell from" in stop.message
    if stop.kept_step == 0:
        first, last = (load_file(each / "model.safetensors") for each in (models(), result.path))
        assert all(bool((first[name] == last[name]).all()) for name in first)


def test_an_adapter_is_watched_and_kept_too(models, tmp_path):
    lora = replace(LORA, rank=4, dropout=0.0)
    changes: dict[str, Any] = {"epochs": 12, "learning_rate": 1e-1, "lora": lora}
    result = train("supervised", models(), tmp_path / "out", monitor="lowered", **changes)
    assert result.monitored is not None
    stop = result.monitored.stopped
    assert stop is not None
    kept = next(each for each in result.monitored.checks if each.step == stop.kept_step)
    assert gold_of(result.path) == pytest.approx(kept.gold, abs=0.02)  # the adapter is merged


def test_a_model_that_says_one_thing_to_everybody_is_stopped_as_collapsed(models, tmp_path):
    watch = watching("raised")
    bounds = CollapseBounds(longest=None, shortest=None, cut_off=None, repetition=None)
    watch = replace(watch, gold=None, settings=MonitorSettings(every=4, bounds=bounds))
    result = hacked(models(), tmp_path / "out", watch, epochs=40, learning_rate=3e-2)
    assert result.monitored is not None
    stop = result.monitored.stopped
    assert stop is not None
    assert stop.reason == "collapse"
    assert stop.kept_step < stop.step < 80
    last = result.monitored.checks[-1]
    assert last.outside
    assert all(words in stop.message for words in last.outside)


def test_what_is_measured_of_the_start_is_that_of_the_start(models, tmp_path):
    watch = replace(watching("raised"), neutral=("the cat sees the river", "please help"))
    result = hacked(models(), tmp_path / "out", watch, epochs=2)
    assert result.monitored is not None
    first, last = result.monitored.checks[0].measures, result.monitored.checks[-1].measures
    assert first.divergence == 0
    assert last.divergence > 0
    assert first.perplexity != last.perplexity
    scores = open_model(str(models()), dtype="float32", device="cpu")
    assert isinstance(scores, LocalModel)
    tokens = [scores.tokenizer(text)["input_ids"] for text in watch.neutral]
    rows = scores.score_tokens([each[:1] for each in tokens], [each[1:] for each in tokens])
    mean = sum(map(sum, rows)) / sum(map(len, rows))
    assert first.perplexity == pytest.approx(2.718281828**-mean, rel=1e-4)


@pytest.mark.parametrize("stage", ["supervised", "grpo"])
@pytest.mark.parametrize("monitor", ["raised", "lowered"])
def test_kills_change_neither_the_decision_nor_a_byte(server, models, tmp_path, stage, monitor):
    job = {"stage": stage, "model": models(), "monitor": monitor, "pause": 0.02, "epochs": 3}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert server.run(**job, out=whole) == 0
    draw = random.Random(f"{stage} {monitor}")
    for count in (3, draw.randint(4, 9)):
        status = server.run(**job, out=broken, die=("write_atomic after", count))
        assert status in (0, KILLED)
    assert server.run(**job, out=broken) == 0
    assert weights(whole) == weights(broken)
    assert record(whole) == record(broken)


def record(folder):
    content = json.loads((folder / "result.json").read_text())
    del content["monitored"]["seconds"]
    kept = ("monitored", "curve", "steps", "tokens_trained", "inputs_sha256")
    return {name: content[name] for name in kept}


def test_tokens_of_a_stopped_run_are_those_it_saw(models, tmp_path):
    examples = exchanges(16)
    settings = SupervisedTraining(**{**BRIEF, "learning_rate": 3e-2}, epochs=12)
    result = train_supervised(
        models(),
        examples,
        settings=settings,
        out=tmp_path / "stopped",
        seed=3,
        monitor=watching("lowered"),
    )
    whole = train_supervised(
        models(), examples, settings=replace(settings, epochs=1), out=tmp_path / "one", seed=3
    )
    assert result.tokens_trained == pytest.approx(whole.tokens_trained * result.steps / 4, rel=0.25)
    assert result.tokens_trained < 12 * whole.tokens_trained


def test_another_monitor_is_another_run(models, tmp_path):
    train("supervised", models(), tmp_path / "out", monitor="raised", epochs=1)
    with pytest.raises(OutputError, match="choose another output folder"):
        train("supervised", models(), tmp_path / "out", monitor="lowered", epochs=1)


@pytest.mark.parametrize(
    "bad", [lambda d, r: [1.0], lambda d, r: [float("nan")] * len(r)], ids=["few", "nan"]
)
def test_gold_that_is_no_number_a_reply_is_refused(models, tmp_path, bad):
    with pytest.raises(DataError, match="one finite gold score a reply"):
        hacked(models(), tmp_path / "out", replace(watching("raised"), gold=bad))


def test_prompts_that_are_trained_on_and_texts_without_tokens_are_refused(models, tmp_path):
    known = [example.dialogue for example in exchanges(16)]
    monitor = Monitor(dialogues=known, identity="x")
    with pytest.raises(DataError, match="16 of 16 are trained on"):
        train_supervised(
            models(),
            exchanges(16),
            settings=SETTINGS["supervised"],
            out=tmp_path / "out",
            seed=0,
            monitor=monitor,
        )
    with pytest.raises(DataError, match="at least two tokens"):
        hacked(models(), tmp_path / "out", replace(watching("raised"), neutral=("",)))
