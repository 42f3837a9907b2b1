"""Exact tests: known answers, and how often they err where nothing is true."""

import numpy as np
import pytest

from plumbrule.errors import DataError
from plumbrule.statistics import holm, mcnemar_exact, mostly_up, share_above


def test_the_share_of_three_of_three_is_the_cube_of_the_bound():
    assert share_above(np.ones(3, dtype=bool), 0.05) == pytest.approx(0.05**3)
    assert share_above(np.zeros(3, dtype=bool), 0.05) == 1


def test_no_cases_are_refused():
    with pytest.raises(DataError, match="some cases"):
        share_above(np.ones(0, dtype=bool), 0.05)


def test_rises_are_half_of_mcnemars_two_sides():
    before, after = np.array([0, 0, 0, 0, 1]) > 0, np.ones(5, dtype=bool)

    assert mostly_up(after.astype(int) - before.astype(int)) == pytest.approx(
        mcnemar_exact(before, after) / 2
    )
    assert mostly_up(np.zeros(4)) == 1


def test_holm_stops_at_the_first_claim_that_is_not_sure():
    assert holm(np.array([0.01, 0.04, 0.03]), level=0.05).tolist() == [True, False, False]
    assert holm(np.array([]), level=0.05).tolist() == []


def test_any_false_claim_is_as_rare_as_said():
    rng = np.random.default_rng(0)
    false = [
        holm(
            np.array([share_above(rng.random(30) < 0.05, 0.05) for _ in range(10)]), level=0.05
        ).any()
        for _ in range(300)
    ]

    assert np.mean(false) <= 0.05
