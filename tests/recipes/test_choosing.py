"""What a user asked for: recipes by name, one over the other."""

import json

import numpy as np
import pytest

from plumbrule.errors import ConfigError, DataError
from plumbrule.lab import build_world, judge, read_request
from plumbrule.recipes import constitutional, hybrid, rlhf, village, village_pairs
from plumbrule.recipes.choosing import choose_run


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    row = {"prompt": "Hi?", "chosen": "Good.", "rejected": "Bad."}
    same = {"prompt": "Hi?", "chosen": "Good.", "rejected": "Good."}
    path.write_text(json.dumps(row) + "\n" + json.dumps(same) + "\n")
    return path


def test_a_ways_name_changes_the_way_and_nothing_else(pairs):
    chosen = choose_run({"human_pairs": str(pairs)}, ["rlhf"])

    config, usual = chosen.recipe.config, village().config
    assert config.recipe == "rlhf"
    assert (config.model, config.gates, config.dpo) == (usual.model, usual.gates, usual.dpo)
    assert chosen.recipe.oracle is not None
    assert any("1 pairs left out" in note for note in chosen.notes)


def test_each_way_is_a_function_that_changes_a_run_and_leaves_the_rest(pairs):
    usual = village()
    for name, way in (("rlhf", rlhf), ("hybrid", hybrid)):
        found = way(usual, pairs).config
        assert (found.recipe, found.human_pairs) == (name, str(pairs))
        assert found == choose_run({"human_pairs": str(pairs)}, [name]).recipe.config
    assert constitutional(usual) == usual
    assert constitutional(usual, human_pairs=pairs).config.human_pairs == str(pairs)


def test_a_way_and_settings_for_a_size_go_together(pairs, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"How is {n}?"}) + "\n" for n in range(20)))
    given = {"model": "lab:nano", "prompts": str(prompts), "human_pairs": str(pairs)}

    config = choose_run(given, ["small", "hybrid"]).recipe.config

    assert (config.recipe, config.candidates) == ("hybrid", 3)
    named = choose_run(given, ["rlhf"]).recipe.config
    assert named.name == "Training on people's labels of lab:nano"


def test_a_recipe_that_is_none_is_refused_with_the_names_there_are():
    with pytest.raises(
        ConfigError, match="constitutional, rlhf, hybrid, quick, small or a recipe file"
    ):
        choose_run({}, ["rhlf"])


def test_pairs_that_cannot_be_read_are_refused_before_a_model_is_opened(tmp_path):
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "Hi?", "chosen": "Good."}\n')
    given = {"human_pairs": str(tmp_path / "pairs.jsonl")}

    with pytest.raises(DataError, match="line 1 must have the keys chosen and rejected"):
        choose_run(given, ["rlhf"])
    with pytest.raises(ConfigError, match="expected human_pairs for the recipe rlhf"):
        choose_run({}, ["rlhf"])


def right(pair):
    """Whether a label names a reply that is the right one, or the only harmless one."""
    world = build_world()
    request = read_request(pair.dialogue, world)
    likely, other = (
        (pair.first, pair.second) if pair.probability > 0.5 else (pair.second, pair.first)
    )
    one, two = (judge(request, reply, world) for reply in (likely, other))
    return bool(one.right) or (not one.broken - {"no-evasion"} and not two.right)


def test_villagers_err_as_often_as_is_said():
    assert all(right(pair) for pair in village_pairs(120, seed=0, wrong=0.0))
    assert not any(
        right(pair) and right_side(pair) for pair in village_pairs(40, seed=0, wrong=1.0)
    )
    share = np.mean([right(pair) for pair in village_pairs(300, seed=0, wrong=0.3)])
    assert 0.6 < share < 0.8


def right_side(pair):
    """Whether the reply that is not named is right, so that the label is surely wrong."""
    world = build_world()
    reply = pair.second if pair.probability > 0.5 else pair.first
    return bool(judge(read_request(pair.dialogue, world), reply, world).right)


def test_villagers_pairs_are_all_different_and_about_what_was_asked_for():
    found = village_pairs(60, seed=1, about="harm")

    assert len({(each.dialogue, each.first, each.second) for each in found}) == 60
    assert all(each.id.startswith("harm-") for each in found)
    assert village_pairs(60, seed=1, about="harm") == found
    with pytest.raises(ConfigError, match="a share from 0 to 1"):
        village_pairs(10, seed=0, wrong=1.5)
