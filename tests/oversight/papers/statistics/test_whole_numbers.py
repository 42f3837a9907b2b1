from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import combinations_with_replacement
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.errors import DataError
from plumbrule.oversight.papers.statistics import debit, grim, grimmer


def printed(value, places, rounding=ROUND_HALF_UP):
    exact = Decimal(Fraction(value).numerator) / Decimal(Fraction(value).denominator)
    return str(exact.quantize(Decimal(1).scaleb(-places), rounding=rounding))


def test_no_small_data_set_is_called_impossible():
    for n in range(3, 8):
        for data in combinations_with_replacement(range(1, 6), n):
            mean, sd = f"{sum(data) / n:.2f}", f"{stdev(data):.2f}"
            assert grim(mean, n).consistent
            assert grimmer(mean, sd, n) == "consistent", (data, mean, sd)


def test_what_is_called_impossible_is_reached_by_no_data():
    # All data sets of six whole numbers from -3 to 9 against every mean and deviation near them.
    n = 6
    reached = {
        (f"{sum(data) / n:.2f}", f"{stdev(data):.1f}")
        for data in combinations_with_replacement(range(-3, 10), n)
    }
    refused = 0
    for cents in range(200, 400):
        for tenths in range(0, 30):
            mean, sd = f"{cents / 100:.2f}", f"{tenths / 10:.1f}"
            if grimmer(mean, sd, n) != "consistent":
                refused += 1
                assert (mean, sd) not in reached

    assert refused > 5_000  # of 6,000; only every sixth mean or so is possible


@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=40),
    st.integers(1, 4),
    st.integers(0, 3),
    st.sampled_from([ROUND_HALF_UP, ROUND_HALF_DOWN]),
)
def test_means_of_items_are_possible_however_ties_are_rounded(sums, items, places, rounding):
    n = len(sums)
    mean = printed(Fraction(sum(sums), n * items), places, rounding)
    sd = printed(stdev(Fraction(each, items) for each in sums), places, rounding)

    assert grim(mean, n, items=items).consistent
    assert grimmer(mean, sd, n, items=items) == "consistent"


@given(st.integers(1, 2000), st.floats(0, 1), st.integers(0, 3))
def test_percentages_of_counts_are_possible(n, share, places):
    part = round(share * n)

    assert grim(printed(Fraction(100 * part, n), places), n, percent=True).consistent


@given(st.integers(2, 2000), st.floats(0, 1), st.integers(1, 3))
def test_deviations_of_zeros_and_ones_are_possible(n, share, places):
    ones = round(share * n)
    mean = Fraction(ones, n)
    sd = float(Fraction(n, n - 1) * mean * (1 - mean)) ** 0.5

    assert debit(printed(mean, places), printed(sd, places), n)
    assert not debit(printed(mean, places), printed(sd + 0.6, places), n)


def test_trailing_zeros_carry_information():
    assert grim("5.2", 28).consistent
    assert not grim("5.20", 28).consistent


def test_the_nearest_possible_means_are_named():
    seen = grim("5.19", 28)

    assert (seen.below, seen.above) == (145 / 28, 146 / 28)
    assert seen.decisive
    assert not grim("5.19", 100).decisive
    assert grim("67.4", 150, percent=True).below == pytest.approx(100 * 101 / 150)


def test_squares_less_than_the_most_even_spread_are_refused():
    # Five in ten answers sum to 5; the squares sum to at least 5, so the deviation is 0.53.
    assert grimmer("0.50", "0.53", 10) == "consistent"
    assert grimmer("0.50", "0.24", 10) == "no-integer-SS"


def test_too_many_sums_are_not_gone_through():
    assert grimmer("5", "0.0001", 1_000_000) == "too many sums"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: grim("5.19", 0),
        lambda: grim("5.19", 28, items=0),
        lambda: grim("five", 28),
        lambda: grim("", 28),
        lambda: grimmer("5.19", "1.2", 1),
        lambda: grimmer("5.19", "-1.2", 28),
        lambda: debit("1.40", "0.5", 28),
        lambda: debit("0.40", "0.5", 1),
    ],
)
def test_what_no_data_has_is_refused(wrong):
    with pytest.raises(DataError):
        wrong()
