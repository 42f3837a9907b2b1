import math
from dataclasses import replace

import numpy as np
import pytest

from plumbrule.errors import ConfigError, DataError
from plumbrule.training.collapse import (
    CollapseBounds,
    ReplyMeasures,
    divergence_per_token,
    entropy_per_token,
    mean_repetition,
    perplexity_per_token,
    repeated_share,
    shared_runs,
    unique_share,
)

START = ReplyMeasures(
    length=20.0,
    cut_off=0.0,
    repetition=0.05,
    boilerplate=0.4,
    unique=0.9,
    entropy=1.0,
    divergence=0.0,
    refusals=0.2,
    perplexity=12.0,
)
NO_BOUNDS = CollapseBounds(
    **dict.fromkeys(
        "longest shortest cut_off repetition unique entropy refusals perplexity divergence".split()  # noqa: SIM905
    )
)


def test_repetition_inside_a_reply_has_known_answers():
    assert repeated_share("a b c d e") == 0
    assert repeated_share("a b c a b c") == pytest.approx(1 / 4)  # abc, bca, cab, abc
    assert repeated_share("x " * 102) == pytest.approx(0.99)
    assert repeated_share("two words") is None
    assert mean_repetition(["a b c a b c", "a b c", "hm"]) == pytest.approx(1 / 8)
    assert mean_repetition(["hm", ""]) is None


def test_repetition_over_replies_counts_each_reply_once():
    assert shared_runs(["a b c", "d e f"]) == 0
    assert shared_runs(["a b c", "A  B C"]) == 1
    assert shared_runs(["a a a a a a", "b c d"]) == 0
    assert shared_runs(["no", "no"]) is None
    assert shared_runs(["i will not do it", "i will not go on"]) == pytest.approx(1 / 3)


def test_unique_replies_are_told_apart_by_their_words():
    assert unique_share(["No.", "no. ", "Yes."]) == pytest.approx(2 / 3)
    with pytest.raises(DataError):
        unique_share([])


def test_entropy_is_that_of_the_distribution_drawn_from():
    shares = np.array([0.5, 0.25, 0.125, 0.125])
    drawn = np.random.default_rng(0).choice(4, size=20_000, p=shares)
    known = -float(shares @ np.log(shares))
    found = entropy_per_token([[math.log(shares[one])] for one in drawn])
    assert found == pytest.approx(known, abs=0.02)  # four standard errors
    with pytest.raises(DataError):
        entropy_per_token([[], []])


def test_divergence_is_that_of_the_two_distributions():
    now, start = np.array([0.7, 0.2, 0.1]), np.array([0.3, 0.3, 0.4])
    drawn = np.random.default_rng(1).choice(3, size=20_000, p=now)
    found = divergence_per_token([np.log(now[drawn]).tolist()], [np.log(start[drawn]).tolist()])
    assert found == pytest.approx(float(now @ np.log(now / start)), abs=0.03)
    assert divergence_per_token([[-1.0], [-2.0]], [[-1.0], [-2.0]]) == 0
    with pytest.raises(DataError, match="same tokens"):
        divergence_per_token([[-1.0]], [[-1.0, -2.0]])


def test_perplexity_of_a_fair_die_is_six():
    assert perplexity_per_token([[math.log(1 / 6)] * 4, [math.log(1 / 6)]]) == pytest.approx(6)
    assert math.isfinite(perplexity_per_token([[-10_000.0]]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("length", 61.0),
        ("length", 3.9),
        ("cut_off", 0.51),
        ("repetition", 0.36),
        ("unique", 0.2),
        ("entropy", 0.04),
        ("refusals", 0.96),
        ("perplexity", 24.1),
        ("divergence", 4.1),
    ],
)
def test_each_measure_that_leaves_its_bound_is_named_and_no_other(name, value):
    collapsed = replace(START, **{name: value})
    (told,) = CollapseBounds().broken(collapsed, START)
    assert told.startswith(name)
    assert f"{value:.3g}" in told
    assert NO_BOUNDS.broken(collapsed, START) == []


def test_a_model_like_its_start_or_half_way_to_the_bounds_is_within_them():
    halfway = ReplyMeasures(
        length=35.0,
        cut_off=0.3,
        repetition=0.2,
        boilerplate=0.9,
        unique=0.5,
        entropy=0.3,
        divergence=2.0,
        refusals=0.7,
        perplexity=18.0,
    )
    assert CollapseBounds().broken(START, START) == []
    assert CollapseBounds().broken(halfway, START) == []


def test_boilerplate_has_a_bound_only_where_one_is_given():
    more = replace(START, boilerplate=0.95)
    assert CollapseBounds().broken(more, START) == []
    assert len(CollapseBounds(boilerplate=0.5).broken(more, START)) == 1


def test_what_says_nothing_at_the_start_is_not_held_against_training():
    endless_start = replace(START, length=200.0, cut_off=0.9)
    assert CollapseBounds().broken(replace(START, length=10.0), endless_start) == []
    unknown = replace(START, refusals=None, perplexity=None, repetition=None)
    assert CollapseBounds().broken(unknown, unknown) == []
    declining = replace(START, refusals=1.0)
    assert CollapseBounds().broken(declining, declining) == []


@pytest.mark.parametrize("wrong", [{"longest": 0.5}, {"unique": -0.1}, {"entropy": float("nan")}])
def test_bounds_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CollapseBounds(**wrong)
