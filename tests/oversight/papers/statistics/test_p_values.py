import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight.papers.statistics import p_value, recompute

FREEDOM = st.floats(0.5, 500)
SIZES = st.floats(0, 40)


@given(SIZES, FREEDOM, FREEDOM)
def test_p_values_agree_with_another_implementation(size, df1, df2):
    # A part in 10^9, or what doubles hold this far out in the tail.
    def close(value):
        return pytest.approx(value, rel=1e-9, abs=1e-250)

    assert p_value("t", size, df2=df2) == close(2 * stats.t.sf(size, df2))
    assert p_value("t", -size, df2=df2) == close(2 * stats.t.sf(size, df2))
    assert p_value("z", size) == close(2 * stats.norm.sf(size))
    assert p_value("F", size, df1=df1, df2=df2) == close(stats.f.sf(size, df1, df2))
    assert p_value("chi2", size, df1=df1) == close(stats.chi2.sf(size, df1))
    assert p_value("Q", size, df1=df1) == p_value("chi2", size, df1=df1)


@given(st.integers(5, 60), st.floats(-0.99, 0.99))
def test_a_correlation_agrees_with_the_exact_distribution(n, r):
    # The distribution of r without correlation is a beta distribution stretched to [-1, 1].
    exact = 2 * stats.beta(n / 2 - 1, n / 2 - 1, loc=-1, scale=2).sf(abs(r))

    assert p_value("r", r, df2=n - 2) == pytest.approx(exact, rel=1e-8)


def test_a_perfect_correlation_has_p_zero_and_none_has_one():
    assert p_value("r", 1.0, df2=10) == 0
    assert p_value("r", 0.0, df2=10) == 1


@given(st.floats(-6, 6), st.integers(2, 200), st.integers(0, 4), st.integers(1, 5))
def test_a_correctly_rounded_report_is_never_in_error(value, df, decimals, places):
    p = f"{2 * stats.t.sf(abs(value), df):.{places}f}"
    seen = recompute("t", f"{value:.{decimals}f}", df2=df, comparison="=", p=p)

    assert seen.error == (float(p) == 0)
    assert 0 <= seen.p_low <= seen.p <= seen.p_high <= 1


@given(st.floats(0.1, 5), st.integers(2, 200), st.sampled_from(["0.05", "0.01", "0.30"]))
def test_true_bounds_are_never_in_error(value, df, bound):
    p = 2 * stats.t.sf(value, df)
    below = recompute("t", f"{value:.2f}", df2=df, comparison="<", p=bound)
    above = recompute("t", f"{value:.2f}", df2=df, comparison=">", p=bound)

    assert not (below if p < float(bound) else above).error


def test_one_side_halves_everything():
    both = recompute("t", "1.80", df2=28, comparison="=", p=".04")
    one = recompute("t", "1.80", df2=28, comparison="=", p=".04", one_sided=True)

    assert both.error
    assert both.fits_one_sided
    assert not one.error
    assert one.p == both.p / 2


def test_the_threshold_moves_the_decision():
    at_05 = recompute("t", "2.20", df2=28, comparison="=", p=".04")
    at_01 = recompute("t", "2.20", df2=28, comparison="=", p=".009", alpha=0.01)

    assert not at_05.decision_error
    assert at_01.decision_error
    assert at_01.error


@pytest.mark.parametrize(
    ("test", "statistic", "more"),
    [
        ("r", "1.20", {"df2": 20}),
        ("F", "-1.20", {"df1": 1, "df2": 20}),
        ("chi2", "-0.5", {"df1": 2}),
        ("t", "2.20", {}),
        ("t", "2.20", {"df2": 0}),
        ("t", "2.20", {"df2": math.nan}),
        ("t", "two", {"df2": 20}),
        ("t", "9" * 50, {"df2": 20}),
    ],
)
def test_numbers_that_no_test_gives_are_refused(test, statistic, more):
    with pytest.raises(DataError):
        recompute(test, statistic, comparison="=", p=".05", **more)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="alpha"):
        recompute("z", "1.96", comparison="=", p=".05", alpha=1.0)
    with pytest.raises(DataError, match="at most 1"):
        recompute("z", "1.96", comparison="=", p="1.2")
    with pytest.raises(DataError, match="p-value stands behind"):
        recompute("z", "1.96", comparison="=", p=None)
