"""The planted constitutions that inverse methods are measured against: they must be there."""

import numpy as np
import pytest
from benchmarks.planted_preferences import (
    MOST_FOUND,
    NOISE,
    agreement,
    decided,
    draw_pairs,
    recovered,
)

from plumbrule.errors import DataError

BOTH = pytest.mark.parametrize("constitution", ["open", "sealed"])
PAIRS = draw_pairs(0)
HELD_OUT = draw_pairs(0, pairs=1000, held_out=True)


def named(votes):
    return {f"found {number}": row for number, row in enumerate(votes)}


@BOTH
def test_the_planted_constitution_labels_all_but_the_noise(constitution):
    pairs = draw_pairs(4, constitution=constitution)
    wrong = pairs.labels != pairs.decision
    clear = pairs.decision != 0

    assert len(pairs.preferences) == 2000
    assert len(pairs.principles) == 6
    assert np.array_equal(wrong & clear, pairs.flipped)
    assert pairs.flipped.mean() == pytest.approx(NOISE, abs=0.02)
    assert clear.mean() > 0.85
    assert pairs.labels.mean() == pytest.approx(0, abs=0.1)
    assert agreement(decided(pairs.votes), pairs).value > 0.88


@BOTH
def test_the_seed_decides_everything(constitution):
    def drawn(seed, held_out=False):
        pairs = draw_pairs(seed, constitution=constitution, pairs=60, held_out=held_out)
        return [(each.dialogue, each.first, each.second) for each in pairs.preferences]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    assert not set(drawn(0)) & set(drawn(0, held_out=True))


def test_the_sealed_constitution_is_another_one():
    sealed = draw_pairs(0, constitution="sealed", pairs=300)

    assert not {one.property for one in sealed.principles} & {
        one.property for one in PAIRS.principles
    }
    shown = set().union(*(one | other for one, other in sealed.properties))
    assert {one.property for one in PAIRS.principles} - {"length"} < shown  # there, without a say


def test_votes_are_what_the_words_show():
    phrases = ("doctor", "physician", "clinic", "medical professional", "hospital", "check-up")
    row = [one.name for one in PAIRS.principles].index("doctor")
    for number, pair in enumerate(PAIRS.preferences):
        shown = [any(word in text for word in phrases) for text in (pair.first, pair.second)]
        expected = shown[0] - shown[1] if PAIRS.topics[number] == "medicine" else 0
        assert PAIRS.votes[row, number] == expected


def test_a_confounder_goes_along_with_the_labels_without_a_say():
    emoji = np.array([("emoji" in one) - ("emoji" in other) for one, other in PAIRS.properties])
    flattery = np.array(
        [("flattery" in one) - ("flattery" in other) for one, other in PAIRS.properties]
    )

    assert np.mean((emoji * PAIRS.labels)[emoji != 0]) < -0.3
    alone = (emoji != 0) & (flattery == 0)
    assert abs(np.mean((emoji * PAIRS.labels)[alone])) < 0.15


@BOTH
def test_the_truth_is_recovered_whole(constitution):
    held_out = draw_pairs(1, constitution=constitution, pairs=600, held_out=True)
    got = recovered(named(held_out.votes), held_out)

    assert set(got.matched) == {one.name for one in held_out.principles}
    assert got.spurious == ()


def test_garbage_recovers_nothing():
    rng = np.random.default_rng(0)
    labels = HELD_OUT.labels
    for garbage in (
        named([]),
        named(rng.choice([-1, 0, 1], size=(12, 1000))),
        named(np.zeros((3, 1000))),
        named(np.ones((2, 1000))),
        named(-HELD_OUT.votes),
        named([labels]),
    ):
        got = recovered(garbage, HELD_OUT)
        assert got.matched == {}
        assert got.spurious == tuple(garbage)


@BOTH
def test_a_principle_without_its_condition_is_another_one(constitution):
    held_out = draw_pairs(0, constitution=constitution, pairs=1000, held_out=True)
    conditional = [one for one in held_out.principles if one.condition]
    always = [
        [
            one.direction * ((one.property in a) - (one.property in b))
            for a, b in held_out.properties
        ]
        for one in conditional
    ]

    assert len(conditional) == 3
    assert recovered(named(always), held_out).matched == {}


def test_somewhat_different_votes_are_the_same_principle_and_half_of_them_are_not():
    rng = np.random.default_rng(1)
    slips = np.where(rng.random(HELD_OUT.votes.shape) < 0.1, 0, HELD_OUT.votes)
    half = np.where(rng.random(HELD_OUT.votes.shape) < 0.5, 0, HELD_OUT.votes)

    assert len(recovered(named(slips), HELD_OUT).matched) == 6
    assert recovered(named(half), HELD_OUT).matched == {}


def test_listing_everything_does_not_help():
    rng = np.random.default_rng(2)
    many = [*rng.choice([-1, 1], size=(MOST_FOUND, 1000)), *HELD_OUT.votes]
    got = recovered(named(many), HELD_OUT)

    assert got.matched == {}
    assert got.ignored == 6


def test_one_found_principle_stands_for_one_planted():
    twice = [HELD_OUT.votes[3], HELD_OUT.votes[3]]
    got = recovered(named(twice), HELD_OUT)

    assert list(got.matched) == ["no_flattery"]
    assert len(got.spurious) == 1


def test_labels_by_a_coin_hold_no_constitution():
    coins = draw_pairs(0, noise=0.5)

    assert agreement(decided(coins.votes), coins).value == pytest.approx(0.5, abs=0.04)


def test_no_opinion_is_half_a_hit():
    assert agreement(np.zeros(1000), HELD_OUT).value == 0.5
    assert agreement(HELD_OUT.labels, HELD_OUT).value == 1
    assert agreement(-HELD_OUT.labels, HELD_OUT).value == 0


def test_votes_that_are_none_are_refused():
    with pytest.raises(DataError, match="1000 votes"):
        recovered({"short": [1.0]}, HELD_OUT)
    with pytest.raises(DataError, match="to 2"):
        recovered({"loud": [2.0] * 1000}, HELD_OUT)
    with pytest.raises(DataError, match="-1 and"):
        recovered({"nothing": [float("nan")] * 1000}, HELD_OUT)
    with pytest.raises(DataError, match="1000 numbers"):
        agreement([1.0], HELD_OUT)
