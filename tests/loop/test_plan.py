"""What a run will take, said beforehand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.lab import village_prompts
from plumbrule.loop import plan
from plumbrule.loop.counting import distinct_tokens
from plumbrule.loop.plan import measure_speed
from plumbrule.models import Sampling, open_model
from plumbrule.recipes import village

CONFIG = replace(village("lab:nano").config, comparison=None)
PROMPTS = village_prompts(
    tempting=4, honesty=2, deserving=3, examined_tempting=2, examined_deserving=2
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return plan(CONFIG, prompts=PROMPTS, out=tmp_path_factory.mktemp("plan") / "run")


def calls(found):
    return {each.stage.name: each.stage.calls for each in found.stages}


def test_every_stage_is_counted(found):
    held_out = sum(prompt.held_out for prompt in PROMPTS)
    counted = calls(found)

    assert counted["examination/before/replies"] == held_out
    assert counted["examination/final/judgments"] == held_out * 10
    assert counted["draft"] + counted["helpful"] == len(PROMPTS) - held_out
    assert {"candidates", "compare", "train/reward", "rewards", "train/dpo"} <= set(counted)


def test_the_examination_in_between_can_be_left_out(found, tmp_path):
    less = plan(replace(CONFIG, examine_between=False), prompts=PROMPTS, out=tmp_path / "run")

    gone = set(calls(found)) - set(calls(less))
    assert gone == {
        f"examination/supervised/{part}" for part in ("replies", "judgments", "manners")
    }


def test_minutes_tokens_and_memory_are_said(found):
    lines = found.lines()

    assert all(each.seconds >= 0 for each in found.stages)
    assert any(line.startswith("together, at most") for line in lines)
    assert any("GB" in line for line in lines)


def test_what_is_likely_counts_the_same_with_shorter_replies(found):
    likely, most = ([each.stage for each in some] for some in (found.likely, found.stages))

    assert [each.name for each in likely] == [each.name for each in most]
    assert [each.calls for each in likely] == [each.calls for each in most]
    for one, other in zip(likely, most, strict=True):
        assert one.tokens_written <= other.tokens_written
        assert one.tokens_read <= other.tokens_read
    # The village's replies are sentences of a dozen tokens, and 48 are allowed.
    written = [sum(each.tokens_written for each in some) for some in (likely, most)]
    assert 0.1 * written[1] < written[0] < 0.6 * written[1]
    assert any(line.startswith("together, about") for line in found.lines())


@pytest.mark.parametrize(("longest", "ended"), [(4, False), (64, True)])
def test_a_reply_that_does_not_end_counts_as_the_longest(longest, ended):
    model = open_model("lab:nano")
    asked = [prompt.dialogue for prompt in PROMPTS]

    speed = measure_speed(model, asked, Sampling(temperature=0.3, max_new_tokens=longest))

    assert speed is not None
    assert (speed.length < 1) == ended
    assert 0 < speed.length <= 1


def test_nothing_is_begun(tmp_path):
    plan(CONFIG, prompts=PROMPTS, out=tmp_path / "run")

    assert list(tmp_path.iterdir()) == []


def test_fewer_prompts_take_less(found, tmp_path):
    fewer = plan(replace(CONFIG, most_prompts=10), prompts=PROMPTS, out=tmp_path / "run")

    written = [sum(e.stage.tokens_written for e in one.stages) for one in (fewer, found)]
    assert written[0] < written[1]


def test_an_endpoint_has_no_minutes(tmp_path):
    judged = replace(CONFIG, judge="http://127.0.0.1:9/v1#m")

    found = plan(judged, prompts=PROMPTS, out=tmp_path / "run")

    unknown = [each.stage.who for each in found.stages if each.seconds is None]
    assert set(unknown) == {"judge"}
    assert any("?" in line for line in found.lines())


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=8))
def test_common_beginnings_are_counted_once(texts):
    beginnings = {tuple(text[: at + 1]) for text in texts for at in range(len(text))}

    # A text that stands twice is read once more at its end, which no beginning shows.
    assert distinct_tokens([list(each) for each in {tuple(t) for t in texts}]) == len(beginnings)


def test_a_held_out_judge_is_counted_under_the_names_of_its_stages(found, tmp_path):
    more = plan(replace(CONFIG, held_out_judge="lab:small"), prompts=PROMPTS, out=tmp_path / "run")

    added = {each.stage.name for each in more.stages if each.stage.who == "held_out_judge"}
    assert added == set(calls(more)) - set(calls(found))
    assert {name.rsplit("/", 1)[0] for name in added} >= {"examination/before", "examination/final"}
