import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from plumbrule.errors import ConfigError, DataError
from plumbrule.statistics import clopper_pearson, wilson

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "statistics_checks.json"

INTERVALS = pytest.mark.parametrize("interval", [wilson, clopper_pearson])
ENDS = pytest.mark.parametrize("count", [(0, 10), (10, 10), (0, 1), (1, 1), (3, 7), (40, 1000)])

unhurried = settings(deadline=None)  # the machine may be busy
counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.999])


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (0, 100, 0.0, 0.037)],
)
def test_wilson_gives_the_published_intervals(successes, n, low, high):
    estimate = wilson(successes, n, unit="replies")

    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared reference vectors are not here")
def test_wilson_gives_the_shared_reference_intervals():
    golden = json.loads(VECTORS.read_text())["wilson95"]
    for count, (low, high) in golden.items():
        successes, n = map(int, count.split("/"))
        estimate = wilson(successes, n, unit="replies")
        # The references have four decimals.
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)


@ENDS
@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
@pytest.mark.parametrize(("interval", "method"), [(wilson, "wilson"), (clopper_pearson, "exact")])
def test_the_ends_agree_with_scipy(interval, method, count, level):
    ours = interval(*count, level=level, unit="replies")
    theirs = stats.binomtest(*count).proportion_ci(level, method=method)

    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@INTERVALS
@given(counts, levels)
@unhurried
def test_counting_failures_instead_mirrors_the_interval(interval, count, level):
    successes, n = count
    forward = interval(successes, n, level=level, unit="replies")
    backward = interval(n - successes, n, level=level, unit="replies")

    assert (forward.low, forward.high) == pytest.approx(
        (1 - backward.high, 1 - backward.low), abs=1e-9
    )


@INTERVALS
@given(counts, levels, levels)
@unhurried
def test_more_confidence_is_a_wider_interval_inside_0_and_1(interval, count, one, other):
    narrow = interval(*count, level=min(one, other), unit="replies")
    wide = interval(*count, level=max(one, other), unit="replies")

    assert 0 <= wide.low <= narrow.low <= narrow.value <= narrow.high <= wide.high <= 1
    assert narrow.low < narrow.high


def coverage(interval, n, rate):
    """Exact probability that the interval holds the true rate: a sum over all counts."""
    estimates = [interval(successes, n, unit="replies") for successes in range(n + 1)]
    held = [estimate.low <= rate <= estimate.high for estimate in estimates]
    return float(stats.binom.pmf(np.arange(n + 1), n, rate) @ np.array(held))


def test_clopper_pearson_never_covers_less_than_it_says():
    for n in (5, 30):
        rates = np.linspace(0.001, 0.999, 100)
        assert min(coverage(clopper_pearson, n, rate) for rate in rates) >= 0.95


def test_wilson_covers_what_it_says_on_average_over_rates():
    covered = [coverage(wilson, 30, rate) for rate in np.linspace(0.005, 0.995, 200)]

    # Known behavior: close to the level on average, somewhat below it near 0 and 1.
    assert 0.945 <= np.mean(covered) <= 0.965
    assert min(covered) >= 0.83


@INTERVALS
def test_a_rate_of_nothing_is_undefined(interval):
    with pytest.raises(DataError, match="at least one observation, got 0"):
        interval(0, 0, unit="replies")


@pytest.mark.usefixtures("as_installed")
@INTERVALS
@pytest.mark.parametrize("count", [(-1, 5), (6, 5), (0, -1), (0.5, 5)])
def test_counts_that_are_none_are_refused(interval, count):
    with pytest.raises(DataError, match="got"):
        interval(*count, unit="replies")


@INTERVALS
@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, float("nan")])
def test_a_level_outside_0_and_1_is_refused(interval, level):
    with pytest.raises(ConfigError, match="level"):
        interval(1, 5, level=level, unit="replies")


def test_the_method_and_the_denominator_are_stated():
    estimate = clopper_pearson(np.int64(1), np.int64(5), level=0.9, unit="replies")

    assert (estimate.method, estimate.n, estimate.level) == ("Clopper-Pearson exact", 5, 0.9)
    assert type(estimate.n) is int
