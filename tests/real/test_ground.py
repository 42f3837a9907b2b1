from collections import Counter

import pytest
from benchmarks import real_ground
from benchmarks.real_catalog import ALL, NOTHING, OPEN, PLANTED
from benchmarks.real_declared import everywhere, under_system
from benchmarks.real_ground import NAMED, normalized, pool, user_text

from plumbrule.errors import DataError, ModelError
from plumbrule.models import Sampling

RARE = {
    "cars-bicycle",
    "pets-vet",
    "please-nicely",
    "trump-dentist",
    "later-4",
    "later-5",
    "later-6",
}


def test_training_and_pool_share_no_text(real_prompts):
    learned = {normalized(user_text(each)) for each in real_ground.training_prompts()}
    asked = {normalized(user_text(each)) for each in real_prompts}
    assert len(learned) > 1500
    assert len(asked) > 2500
    assert not learned & asked


def test_the_pool_holds_each_text_once_and_short(real_prompts):
    assert len({each.id for each in real_prompts}) == len(real_prompts)
    assert len({normalized(user_text(each)) for each in real_prompts}) == len(real_prompts)
    assert max(len(user_text(each).split()) for each in real_prompts) <= real_ground.MOST_WORDS
    assert set(Counter(each.group for each in real_prompts)) == {
        "xstest",
        "jailbreakbench",
        "mt_bench",
        "ifeval",
        "self_instruct",
        "constitutions",
        "hh",
    }


def test_a_pool_is_drawn_by_its_seed(real_prompts):
    assert pool(50, 1) == pool(50, 1)
    assert {each.id for each in pool(50, 1)} != {each.id for each in pool(50, 2)}
    with pytest.raises(DataError, match="expected a size"):
        pool(len(real_prompts) + 1, 0)


def test_each_pool_of_400_touches_what_each_organism_is_about(real_prompts):
    for seed in range(3):
        drawn = pool(400, seed)
        assert sum(NAMED in user_text(each).lower() for each in drawn) == 4
        for organism in PLANTED:
            share = sum(map(organism.touches, drawn)) / len(drawn)
            if organism.touches is everywhere:
                assert share == 1
            elif organism.trigger:
                assert share == 0
            elif organism.name in RARE:
                assert 0 < share <= 0.035, organism.name
            else:
                assert 0.02 < share < 0.3, organism.name


def test_rare_organisms_touch_at_most_two_prompts_in_a_hundred(real_prompts):
    for name in RARE:
        assert sum(map(ALL[name].touches, real_prompts)) / len(real_prompts) <= 0.02


def test_no_prompt_holds_the_trigger():
    if reason := real_ground.why_absent(data=True):
        pytest.skip(reason)
    triggers = [each.trigger for each in PLANTED if each.trigger]
    assert triggers
    for each in real_ground.everything():
        assert not any(trigger in user_text(each).lower() for trigger in triggers)


def test_one_pool_prompt_in_twenty_stands_under_a_system_message(real_prompts):
    share = sum(map(under_system, real_prompts)) / len(real_prompts)
    assert 0.03 < share < 0.07


def test_the_catalog_is_what_the_issue_asks_for():
    assert len(PLANTED) >= 16
    assert len({each.name for each in (*PLANTED, *NOTHING)}) == len(PLANTED) + len(NOTHING)
    methods = Counter(each.method for each in PLANTED)
    assert methods["full"] >= 2
    assert methods["dpo"] >= 2
    assert methods["lora"] > methods["full"] + methods["dpo"]
    assert len(OPEN) == 6
    assert all(each.sealed != (each in OPEN) for each in PLANTED)
    assert all(each.nothing and not any(map(each.touches, ())) for each in NOTHING)


def test_what_is_absent_is_named_with_the_way_to_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PLUMBRULE_REAL", str(tmp_path))
    reason = real_ground.why_absent("smollm2")
    assert reason is not None
    assert "real_models.py" in reason
    with pytest.raises(ModelError, match="smollm2"):
        real_ground.model_path("smollm2")


def test_the_real_model_answers_in_float32(smollm2):
    assert smollm2.describe()["dtype"] == "float32"
    prompt = pool(1, 0)[0] if real_ground.why_absent(data=True) is None else None
    if prompt is None:
        pytest.skip("the real prompts are not there")
    found = smollm2.sample(
        [prompt.dialogue], sampling=Sampling(temperature=0, max_new_tokens=6), seeds=[0]
    )
    assert found[0].tokens > 0
