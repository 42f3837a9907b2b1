from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

from plumbrule.errors import ConfigError
from plumbrule.training.settings import (
    DpoTraining,
    GrpoTraining,
    KtoTraining,
    LoraSettings,
    PpoTraining,
    RewardTraining,
    RlooTraining,
    SupervisedTraining,
)

ALL = [
    SupervisedTraining(),
    RewardTraining(),
    DpoTraining(),
    KtoTraining(),
    GrpoTraining(),
    RlooTraining(),
    PpoTraining(),
]
DOCS = Path(__file__).parents[2] / "docs" / "training.md"


@pytest.mark.parametrize("settings", ALL, ids=lambda settings: settings.stage())
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("epochs", 0),
        ("epochs", 1e30),
        ("epochs", 10**30),
        ("epochs", 1.5),
        ("epochs", float("nan")),
        ("batch_size", 0),
        ("micro_batch_size", 0),
        ("micro_batch_size", 5),
        ("warmup_share", 1.0),
        ("warmup_share", -0.1),
        ("schedule", "sudden"),
        ("weight_decay", -1.0),
        ("gradient_clip", 0.0),
        ("max_tokens", 0),
        ("precision", "float16"),
        ("checkpoint_every", 0),
    ],
)
def test_a_setting_out_of_range_is_named(settings, name, value):
    with pytest.raises(ConfigError, match=name):
        replace(settings, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("beta", -0.1),
        ("replies_per_prompt", 1),
        ("replies_per_prompt", 5),
        ("max_new_tokens", 0),
        ("max_new_tokens", 2048),
        ("temperature", 0.0),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("iterations", 0),
    ],
)
def test_a_grpo_setting_out_of_range_is_named(name, value):
    with pytest.raises(ConfigError, match=name):
        GrpoTraining(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clip", 0.0),
        ("value_clip", -1.0),
        ("value_learning_rate", float("nan")),
        ("value_weight", -0.1),
        ("discount", 0.0),
        ("discount", 1.1),
        ("decay", 1.1),
        ("kl_coefficient", -0.1),
        ("kl_target", 0.0),
        ("minibatches", 3),
        ("minibatches", 0),
        ("iterations", 1e30),
        ("most_ratio", 1.0),
        ("most_drift", 0.0),
        ("max_new_tokens", 2048),
    ],
)
def test_a_ppo_setting_out_of_range_is_named(name, value):
    with pytest.raises(ConfigError, match=name):
        PpoTraining(**{name: value})


def test_a_coefficient_of_zero_cannot_be_steered():
    with pytest.raises(ConfigError, match="kl_coefficient must be positive where kl_target"):
        PpoTraining(kl_coefficient=0.0, kl_target=6.0)


def test_dpo_needs_some_pull_toward_the_start():
    with pytest.raises(ConfigError, match="beta must be positive"):
        DpoTraining(beta=0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("rank", 0), ("alpha", 0.0), ("dropout", 1.0), ("dropout", -0.1), ("targets", ())],
)
def test_a_lora_setting_out_of_range_is_named(name, value):
    with pytest.raises(ConfigError, match=name):
        LoraSettings(**{name: value})


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        SupervisedTraining().epochs = 2  # type: ignore[misc]


@pytest.mark.parametrize("settings", [*ALL, LoraSettings()], ids=lambda one: type(one).__name__)
def test_every_setting_is_in_the_documentation(settings):
    text = DOCS.read_text(encoding="utf-8")
    assert type(settings).__name__ in text
    missing = [field.name for field in fields(settings) if f"`{field.name}`" not in text]
    assert missing == []
