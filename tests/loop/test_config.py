"""Every number of a recipe has its range, and a recipe that is none is said."""

import dataclasses
import re

import pytest
from benchmarks.house_inputs import leaves, put

from plumbrule.errors import ConfigError
from plumbrule.loop import make_config, read_config, to_mapping
from plumbrule.loop.config import Gates, RunConfig
from plumbrule.training import Revising, SupervisedTraining

BASE = {"model": "lab:nano", "constitution": "village", "prompts": "village"}


@pytest.mark.parametrize(
    "fields",
    [
        {"most_prompts": -5},
        {"most_prompts": 0},
        {"most_compared": 0},
        {"candidates": 10**9},
        {"candidates": 1},
        {"candidate_temperature": -1},
        {"candidate_temperature": 0},
        {"candidate_temperature": float("nan")},
        {"least_margin": -1},
        {"shard_size": 0},
        {"most_dollars": -1},
        {"thinking_tokens": -1},
        {"choose_samples": 0},
        {"seed": True},
        {"seed": 2**64},
        {"name": "a\0b"},
        {"name": "a" * 300},
        {"teach_anyway": 7},
        {"supervised": {"epochs": 1e30}},
        {"supervised": {"epochs": True}},
        {"supervised": {"learning_rate": "inf"}},
        {"supervised": {"weight_decay": float("nan")}},
        {"supervised": {"lora": {"rank": 10**9}}},
        {"dpo": {"beta": float("inf")}},
        {"grpo": {"iterations": 10**9}},
        {"revising": {"temperature": float("nan")}},
        {"revising": {"rounds": 10**6}},
        {"sampling": {"temperature": float("nan")}},
        {"sampling": {"max_new_tokens": 10**9}},
        {"gates": {"most_violations": -1}},
        {"gates": {"most_evasive": 2}},
        {"comparison": {"screens": ["nope"]}},
        {"comparison": {"certificate": -1}},
        {"comparison": {"trigger_share": 2}},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused(fields):
    name = next(iter(fields))
    inner = fields[name]
    word = next(iter(inner)) if isinstance(inner, dict) else name

    with pytest.raises(ConfigError, match=word):
        make_config({**BASE, **fields}, "the recipe")


def test_numbers_as_yaml_and_people_write_them_are_taken():
    config = make_config(
        {**BASE, "supervised": {"learning_rate": "1e-5"}, "least_margin": 0, "gates": None or {}},
        "the recipe",
    )

    assert config.supervised.learning_rate == 1e-5
    assert config.least_margin == 0


@pytest.mark.parametrize("kind", [RunConfig, Gates, SupervisedTraining, Revising])
def test_every_number_of_a_recipe_is_within_some_range(kind):
    """A number that is far too large, and one that is none, is refused wherever it stands."""
    needed = BASE if kind is RunConfig else {}
    for field in dataclasses.fields(kind):
        if not re.search(r"\b(int|float)\b", str(field.type).split("|")[0]):
            continue
        for value in (float("nan"), 10**30):
            with pytest.raises(ConfigError):
                kind(**{**needed, field.name: value})


def test_every_number_within_a_recipe_is_within_some_range():
    """The same for all that stands inside: settings of a comparison and of what it is made of."""
    stages = ("supervised", "reward", "dpo", "grpo", "rloo", "ppo")
    given = {
        **BASE, "comparison": {}, "most_prompts": 5, "most_compared": 5, "most_dollars": 1,
        "price_per_million_input": 1, "price_per_million_output": 1, "thinking_tokens": 1,
        **{stage: {"lora": {}, "micro_batch_size": 1, "checkpoint_every": 1} for stage in stages},
    }  # fmt: skip
    whole = to_mapping(make_config(given, "the recipe"))
    numbers = [
        (place, value)
        for place, value in leaves(whole)
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    assert len(numbers) > 80
    for place, _ in numbers:
        for far in (10**30, -(10**30)):
            with pytest.raises(ConfigError):
                make_config(put(whole, place, far), f"{place} with {far}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 5000, "nested"),
        ("seed: " + "9" * 6000, "cannot be read as YAML"),
        ("name: 2026-13-45", "cannot be read as YAML"),
        ("- a", "must hold fields"),
        ("", "must hold fields"),
    ],
)
def test_a_recipe_that_is_none_is_said(tmp_path, content, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_config(path, {})
    with pytest.raises(ConfigError, match="is no file"):
        read_config(tmp_path, {})
