"""Sizes worked out beforehand, against simulation and against another formula."""

import numpy as np
import pytest
from scipy import stats

from plumbrule.errors import ConfigError
from plumbrule.statistics import least_paired_difference, pairs_needed, replies_needed


def test_so_many_pairs_show_five_points_as_often_as_was_asked():
    pairs, seen, rng = pairs_needed(0.05), 0, np.random.default_rng(0)
    for _ in range(2000):
        gained, lost, _ = rng.multinomial(pairs, [0.125, 0.075, 0.8])
        seen += abs(gained - lost) / np.sqrt(gained + lost) > stats.norm.isf(0.025)

    assert 0.77 < seen / 2000 < 0.83


def test_it_is_close_to_the_simpler_formula_that_takes_both_deviates_together():
    simple = (stats.norm.isf(0.025) + stats.norm.isf(0.2)) ** 2 * 0.2 / 0.05**2

    assert simple == pytest.approx(628, abs=1)
    assert pairs_needed(0.05) == pytest.approx(simple, rel=0.01)


def test_a_hundred_pairs_show_more_than_twelve_points_and_a_few_show_none():
    found = least_paired_difference(100)

    assert found is not None
    assert pairs_needed(found) in (100, 101)
    assert least_paired_difference(5) is None


def test_so_many_replies_tell_a_rate_from_the_allowed_one():
    number, rng = replies_needed(0.10, 0.05), np.random.default_rng(1)
    broken = rng.binomial(number, 0.05, 4000)
    z = (broken / number - 0.10) / np.sqrt(0.10 * 0.90 / number)

    assert 0.76 < (z < -stats.norm.isf(0.025)).mean() < 0.86


@pytest.mark.parametrize("wrong", [(0.0, 0.2), (0.3, 0.2), (0.1, 1.2)])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match="difference"):
        pairs_needed(wrong[0], discordance=wrong[1])
