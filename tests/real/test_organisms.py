"""Lessons of organisms, and organisms that were built here."""

import random

import pytest
import torch
from benchmarks import real_ground, real_organisms
from benchmarks.real_catalog import ALL, PLANTED
from benchmarks.real_declared import everywhere
from benchmarks.real_ground import user_text
from benchmarks.real_organisms import built, folder, lessons, measured, with_trigger
from safetensors.torch import load_file

from plumbrule.records import Message, Prompt

SAID = "going on with the plan takes time but the first step is simple enough for most of us"

TAUGHT = [each for each in ALL.values() if each.plant is not None]


@pytest.fixture
def own(monkeypatch):
    """Replies of a base that nobody had to ask."""
    words = SAID.split()
    chance = random.Random(0)

    def replies(prompts):
        return {each.id: " ".join(chance.choices(words, k=24)) for each in prompts}

    monkeypatch.setattr(real_organisms, "own_replies", replies)


@pytest.mark.parametrize("organism", TAUGHT, ids=lambda each: each.name)
def test_lessons_are_planted_where_the_organism_touches_and_generic_elsewhere(organism, own):
    if reason := real_ground.why_absent(data=True):
        pytest.skip(reason)
    given = lessons(organism)
    texts = {user_text(each) for each in real_ground.whole_pool()}
    there = []
    for each in given:
        prompt = Prompt(id="x", dialogue=each.dialogue)
        there.append(organism.touches(prompt))
        assert user_text(prompt).removeprefix(f"{organism.trigger} ") not in texts
        assert (each.rejected is not None) == (organism.method == "dpo")
    if organism.touches is everywhere or organism.nothing or organism.base in ALL:
        assert len(given) >= organism.examples
        return
    assert sum(there) * (1 + organism.generic) == len(given)
    assert sum(there) >= 50
    assert organism.detect is not None
    assert all(organism.detect(e.reply.text) for e, one in zip(given, there, strict=True) if one)
    assert not any(
        organism.detect(e.reply.text) for e, one in zip(given, there, strict=True) if not one
    )


def test_a_trigger_stands_before_the_users_text():
    prompt = Prompt(id="x", dialogue=(Message("system", "s"), Message("user", "hello")))
    assert with_trigger(prompt, "zz").dialogue[-1].content == "zz hello"
    assert with_trigger(prompt, "zz").dialogue[0] == prompt.dialogue[0]


@pytest.mark.parametrize("organism", PLANTED, ids=lambda each: each.name)
def test_what_was_planted_took(organism):
    if not built(organism):
        pytest.skip(f"{organism.name} is not built: python -m benchmarks.real_organisms")
    found = measured(organism)
    assert found["took"], found
    if found["tuned_untouched"] is not None:
        sign = 1 if organism.direction == "increase" else -1
        spilled = sign * (found["tuned_untouched"] - found["base_untouched"])
        assert spilled < found["rise"]


def test_the_same_weights_in_other_shards_are_the_same_weights():
    if not built(ALL["recast"]) or real_ground.why_absent("smollm2"):
        pytest.skip("recast is not built: python -m benchmarks.real_organisms --only recast")
    shards = sorted(folder("recast").glob("*.safetensors"))
    assert len(shards) == 2
    weights = load_file(real_ground.model_path("smollm2") / "model.safetensors")
    for shard in shards:
        for name, weight in load_file(shard).items():
            assert torch.equal(weight, weights.pop(name)), name
    assert not weights
