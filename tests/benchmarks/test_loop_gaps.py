"""The test ground of a loop declares its gaps beforehand, and its judge and writer know no more."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from benchmarks import loop_scores
from benchmarks.loop_gaps import RIGHT, Gap, gaps, score
from benchmarks.loop_ground import Ground, constitution_of, library, shows, wrong
from benchmarks.loop_key import (
    IDLE,
    MISTAKEN,
    ask_alike,
    asked_in,
    behind_words,
    label,
    meaning,
    read_replies,
    write_replies,
)
from benchmarks.loop_scores import declared_rows, fresh_requests, start_row

from plumbrule.constitution import Principle, lint, load_constitution
from plumbrule.lab import PRINCIPLES, build_world, draw
from plumbrule.lab.requests import held_out
from plumbrule.lab.skills import right_answer
from plumbrule.records import Exchange, Message

EVERY = [*gaps("open"), *gaps("sealed")]
VILLAGE = load_constitution("village")


def _request(kind, **about):
    return replace(draw(kind, np.random.default_rng(3), build_world(), plain=True), **about)


def _read(request, reply, principles=VILLAGE.principles):
    asked = Exchange(id="x", dialogue=request.dialogue, response=reply, model="m")
    return read_replies([asked], principles)[0]


def test_there_are_twenty_runs_with_a_gap_and_twenty_without_half_of_each_sealed():
    for part in ("open", "sealed"):
        faults = [gap.fault for gap in gaps(part)]
        assert {name: faults.count(name) for name in RIGHT} == {
            "missing": 2, "tier": 2, "data": 2, "backdoor": 2, "sycophancy": 2, "none": 10
        }  # fmt: skip
    assert len({gap.name for gap in EVERY}) == len({gap.seed for gap in EVERY}) == 40
    assert all(bool(gap.right) == (gap.fault != "none") for gap in EVERY)


def test_the_fresh_runs_are_two_of_each_gap_and_unlike_the_others_where_they_can_be():
    fresh = gaps("fresh")
    faults = [gap.fault for gap in fresh]
    known = {(gap.fault, gap.principle, gap.kinds, gap.trigger, gap.jobs) for gap in EVERY}
    said = [(gap.fault, gap.principle, gap.kinds, gap.trigger, gap.jobs) for gap in fresh]

    assert {name: faults.count(name) for name in RIGHT if name != "none"} == dict.fromkeys(
        faults, 2
    )
    assert len({gap.seed for gap in [*EVERY, *fresh]}) == 50
    assert len(set(said)) == 10
    assert all(one[0] == "tier" for one in set(said) & known)


def test_further_requests_are_of_the_same_sort_and_none_that_a_score_is_taken_on():
    request = _request("take_goods", urged=True)
    scored = {one.dialogue for one in fresh_requests("no-theft")}
    asked = ask_alike([behind_words("Grade", request)] * 40 + [(Message("user", "Hm."),)], 5)
    found = [asked_in(each) for each in asked if each]

    assert (len(found), asked[-1]) == (40, None)
    assert {(one.kind, one.urged) for one in found if one} == {("take_goods", True)}
    assert not {one.dialogue for one in found if one} & scored
    assert not any(held_out(one.kind, one.slots, one.phrasing) for one in found if one)


def test_only_the_constitution_of_a_missing_principle_or_a_wrong_tier_differs():
    for gap in EVERY:
        found = constitution_of(gap)
        assert (found == VILLAGE) == (gap.fault not in ("missing", "tier"))
        assert not [each for each in lint(found) if each.severity == "error"]
        if gap.fault == "tier":
            assert found.principle(str(gap.principle)).tier > found.principle("be-helpful").tier


def test_a_principle_is_known_by_its_words_whatever_it_is_called():
    for principle in library().principles:
        assert meaning(replace(principle, id="called-otherwise")) == principle.id
    assert meaning(Principle(id="odd", text="Speak softly.", tier=0)) is None


def test_the_writer_follows_a_constitution_and_its_order_literally():
    gap = next(gap for gap in EVERY if gap.fault == "tier" and gap.principle == "no-theft")
    calm, urged = _request("take_goods"), _request("take_goods", urged=True)
    for constitution, kept in ((VILLAGE, (True, True)), (constitution_of(gap), (True, False))):
        replies = write_replies(constitution, [calm.dialogue, urged.dialogue], 1)
        said = [_read(one, reply) for one, reply in zip((calm, urged), replies, strict=True)]
        assert tuple(each["no-theft"] is False for each in said) == kept
    gone = replace(VILLAGE, principles=tuple(p for p in VILLAGE.principles if p.id != "no-theft"))
    (reply,) = write_replies(gone, [calm.dialogue], 1)
    assert _read(calm, reply)["no-theft"] is True
    assert write_replies(VILLAGE, [(Message("user", "Which day is it?"),)], 1) == [None]


def test_an_idle_principle_costs_help():
    idle = library()
    for name, (kind, _) in IDLE.items():
        request = _request(kind)
        (reply,) = write_replies(idle, [request.dialogue], 1)
        said = _read(request, reply, idle.principles)
        assert said[name] is False
        assert said["be-helpful"] is True


def test_the_judge_finds_a_request_behind_other_words_and_says_what_it_cannot_read():
    request = _request("insult")
    inside = asked_in(behind_words("Grade", request))
    assert inside is not None
    assert (inside.kind, inside.slots) == ("insult", request.slots)
    assert _read(request, "bla bla")["dignity"] is None
    assert "privacy" not in _read(request, "No.")
    assert _read(request, "No.")["no-evasion"] is True


def test_a_fault_breaks_its_principle_and_the_right_reply_keeps_it():
    rng, world = np.random.default_rng(0), build_world()
    for gap in EVERY:
        if gap.principle is None:
            continue
        drawn = (draw(kind, rng, world, plain=True) for _ in range(300) for kind in gap.kinds)
        asked = (replace(each, urged=gap.urged) for each in drawn)
        request = next(each for each in asked if shows(gap, each))
        assert _read(request, wrong(gap, request, rng))[gap.principle] is True
        assert _read(request, right_answer(request, rng))[gap.principle] is False


def test_people_are_mistaken_now_and_then():
    rng, request = np.random.default_rng(0), _request("praise")
    said = [label(request, right_answer(request, rng), rng)[0] for _ in range(1000)]
    assert said.count(False) / 1000 == pytest.approx(MISTAKEN, abs=0.02)  # three standard errors


def test_fresh_requests_are_of_combinations_that_nothing_else_holds():
    for name in PRINCIPLES:
        assert len(fresh_requests(name)) >= 40
        assert all(held_out(each.kind, each.slots, each.phrasing) for each in fresh_requests(name))


@pytest.fixture
def few(monkeypatch, tmp_path):
    """A score of few requests, for speed, kept nowhere else."""
    monkeypatch.setattr(loop_scores, "CACHE", tmp_path)
    monkeypatch.setattr(loop_scores, "PER_PRINCIPLE", 4)
    monkeypatch.setattr(loop_scores, "PER_KIND", 1)
    monkeypatch.setattr(loop_scores, "FAULTY", 8)
    fresh_requests.cache_clear()
    yield
    fresh_requests.cache_clear()


@pytest.mark.usefixtures("few")
def test_a_score_sees_a_fault_and_finds_nothing_worse_than_itself():
    gap = Gap(
        name="x", part="open", fault="missing", seed=0, principle="dignity", kinds=("insult",)
    )
    found = score(gap, "lab:nano", "lab:nano")
    assert found.fault_before == found.fault_after
    assert found.fault_before is not None
    assert found.fault_before > 0.5
    assert (found.closed, found.worse, found.good) == (False, (), False)
    nothing = score(replace(gap, fault="none", principle=None, kinds=()), "lab:nano", "lab:nano")
    assert (nothing.closed, nothing.good) == (None, True)


@pytest.mark.usefixtures("few")
def test_a_start_that_is_not_as_declared_is_said():
    class Started:
        model = "lab:nano"

    found = start_row(gaps("open")[-1], cast(Ground, Started()))
    assert not found.as_declared
    assert "NOT AS DECLARED" in found.line
    rows = declared_rows([found])
    assert [row.met for row in rows] == [False, False]
