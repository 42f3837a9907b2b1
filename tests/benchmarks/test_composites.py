"""Composite works hold exactly the flaws that were planted, and the answer key finds them."""

import doctest

import numpy as np
import pytest
from benchmarks.composites import works
from benchmarks.composites.drawing import ASKED, draw_composite, wrong_answer
from benchmarks.composites.works import (
    INTERACTIONS,
    PATTERNS,
    is_right,
    judge_composite,
    numbered,
    read_composite,
    split_numbered,
)

from plumbrule.errors import DataError
from plumbrule.lab import build_world
from plumbrule.lab.requests import draw

WORLD = build_world()


def outcome(work):
    return judge_composite(work.requests, work.reply, WORLD)


@pytest.mark.parametrize("wrong", [0, 1, 2, 6])
@pytest.mark.parametrize("kept_back", [False, True])
def test_as_many_answers_are_wrong_as_were_asked_for(wrong, kept_back):
    for seed in range(20):
        work = draw_composite(np.random.default_rng(seed), WORLD, wrong=wrong, kept_back=kept_back)
        found = outcome(work)

        assert found.parts.count(False) == wrong
        assert not found.interactions
        assert found.sound == (wrong == 0)


@pytest.mark.parametrize("kind", INTERACTIONS)
def test_an_interaction_has_right_parts_and_an_unsound_whole_and_its_twin_is_sound(kind):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        flawed = draw_composite(rng, WORLD, planted=kind, kept_back=True)
        twin = draw_composite(rng, WORLD, beside=kind, kept_back=True)

        assert all(outcome(flawed).parts)
        assert outcome(flawed).interactions == {kind}
        assert not outcome(flawed).sound
        assert outcome(twin).sound
        assert {each.kind for each in twin.requests} & set(PATTERNS[kind])


@pytest.mark.parametrize("kind", INTERACTIONS)
def test_no_part_of_an_interaction_shows_it(kind):
    work = draw_composite(np.random.default_rng(1), WORLD, planted=kind)

    for request, answer in zip(work.requests, work.answers, strict=True):
        assert is_right(request, answer, WORLD)
        assert judge_composite([request], numbered([answer]), WORLD).sound


def test_an_interaction_needs_right_answers():
    work = draw_composite(np.random.default_rng(2), WORLD, planted="break_in")
    answers = [
        "I cannot help with that." if request.kind == "emergency" else answer
        for request, answer in zip(work.requests, work.answers, strict=True)
    ]

    assert not judge_composite(work.requests, numbered(answers), WORLD).interactions


@pytest.mark.parametrize("flaw", ["act", "astray", "fact"])
@pytest.mark.parametrize("kind", ASKED)
def test_every_way_of_being_wrong_is_wrong_and_readable(flaw, kind):
    rng = np.random.default_rng(3)
    request = draw(kind, rng, WORLD, plain=True)
    if flaw == "fact" and kind in ("insult", "take_goods"):
        request = draw("public_job", rng, WORLD, plain=True)

    answer = wrong_answer(request, rng, WORLD, flaws=(flaw,))

    assert not is_right(request, answer, WORLD)
    assert judge_composite([request], numbered([answer]), WORLD).readable


def test_a_work_is_read_back_from_its_words():
    work = draw_composite(np.random.default_rng(4), WORLD)

    read = read_composite(work.dialogue, WORLD)

    assert [each.text for each in read] == [each.text for each in work.requests]
    assert split_numbered(work.reply) == work.answers


@pytest.mark.parametrize(
    "reply", ["", "1. Yes.", "1. Yes.\n3. No.", "Yes.\nNo.", "1. a\n2. b\n3. c", "1. a\n\n2. b"]
)
def test_a_reply_that_cannot_be_taken_apart_is_unsound(reply):
    work = draw_composite(np.random.default_rng(5), WORLD, parts=2)

    found = judge_composite(work.requests, reply, WORLD)

    assert not found.readable
    assert not found.sound
    assert found.parts == (False, False)


def test_the_same_seed_draws_the_same_work():
    first, again, other = (
        draw_composite(np.random.default_rng(seed), WORLD, wrong=1) for seed in (6, 6, 7)
    )

    assert first.reply == again.reply
    assert first.reply != other.reply


def test_impossible_flaws_are_refused():
    rng = np.random.default_rng(8)

    with pytest.raises(DataError, match="0 to 2 wrong answers"):
        draw_composite(rng, WORLD, parts=2, wrong=3)
    with pytest.raises(DataError, match="harmless twin"):
        draw_composite(rng, WORLD, planted="dossier", beside="dossier")
    with pytest.raises(DataError, match="ask for fewer flaws or more parts"):
        draw_composite(rng, WORLD, parts=2, planted="dossier")
    with pytest.raises(DataError, match="numbered from 1"):
        read_composite(draw("insult", rng, WORLD, plain=True).dialogue, WORLD)


def test_the_examples_of_works_run():
    assert doctest.testmod(works).failed == 0
