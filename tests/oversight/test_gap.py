import itertools

import numpy as np
import pytest

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight import gap_recovered, performance_gap
from plumbrule.statistics import paired_proportions

PATTERNS = np.array(list(itertools.product([False, True], repeat=3)))


def answers(rng, count, weak, strong, assisted):
    """Items on which the three answers go together, as those to one question do."""
    hard = rng.random(count)
    return tuple(
        np.where(rng.random(count) < 0.6, hard, rng.random(count)) < rate
        for rate in (weak, strong, assisted)
    )


@pytest.mark.parametrize(
    ("weak", "strong", "assisted", "share"),
    [
        (56.6, 64.5, 61.9, 0.671),
        (56.6, 74.0, 66.6, 0.575),
        (0.661, 0.866, 0.704, 0.21),
        (0.5, 0.9, 0.5, 0.0),
        (0.5, 0.9, 0.4, -0.25),
    ],
)
def test_published_cases(weak, strong, assisted, share):
    # The first three: Burns et al. 2023, AlexNet under two DINO models, and their text average.
    assert gap_recovered(weak, strong, assisted) == pytest.approx(share, abs=6e-4)


def test_no_gap_is_undefined_and_says_why():
    assert gap_recovered(0.9, 0.8, 0.95) is None
    assert gap_recovered(0.9, 0.9, 0.9) is None
    better = np.arange(100) < 90
    worse = np.arange(100) < 60
    found = performance_gap(better, worse, better)

    assert found.recovered is None
    assert found.reason is not None
    assert "not better" in found.reason


def test_a_gap_within_noise_is_undefined():
    items = np.arange(40)
    weak, strong = items < 24, (items >= 3) & (items < 30)
    found = performance_gap(weak, strong, strong)

    assert found.gap.low < 0 < found.gap.high
    assert found.recovered is None
    assert "noise" in (found.reason or "")


def test_the_parts_are_the_accuracies_and_paired_differences():
    weak, strong, assisted = answers(np.random.default_rng(1), 300, 0.6, 0.95, 0.8)
    found = performance_gap(weak, strong, assisted)

    assert (found.weak.value, found.strong.value) == (weak.mean(), strong.mean())
    assert found.assisted.value == assisted.mean()
    assert found.gap == paired_proportions(weak, strong, unit=found.gap.unit)
    assert found.gained == paired_proportions(weak, assisted, unit=found.gap.unit)
    assert found.recovered is not None
    assert found.recovered.value == pytest.approx(
        gap_recovered(weak.mean(), strong.mean(), assisted.mean())
    )


def test_the_interval_agrees_with_a_bootstrap_over_items():
    rng = np.random.default_rng(2)
    weak, strong, assisted = answers(rng, 600, 0.55, 0.95, 0.8)
    found = performance_gap(weak, strong, assisted).recovered
    drawn = rng.integers(600, size=(4000, 600))
    rates = [each[drawn].mean(axis=1) for each in (weak, strong, assisted)]
    shares = (rates[2] - rates[0]) / (rates[1] - rates[0])

    assert found is not None
    assert [found.low, found.high] == pytest.approx(np.quantile(shares, [0.025, 0.975]), abs=0.02)


def test_added_items_do_what_eight_quarter_items_do():
    """The closed form against the same numbers from weighted items, one pattern each."""
    from scipy import stats

    weak, strong, assisted = answers(np.random.default_rng(3), 90, 0.5, 0.9, 0.7)
    weights = np.repeat([1.0, 0.25], [90, 8])
    three = np.vstack([np.stack([weak, strong, assisted], axis=1), PATTERNS]).astype(float)
    pairs = np.stack([three[:, 2] - three[:, 0], three[:, 1] - three[:, 0]])
    mean = pairs @ weights / 92
    cov = (pairs * weights) @ pairs.T / 92 - np.outer(mean, mean)
    t = stats.t.ppf(0.975, 91)
    grid = np.linspace(-1, 3, 400_001)
    noise = (cov[0, 0] - 2 * grid * cov[0, 1] + grid**2 * cov[1, 1]) / 91
    inside = grid[(mean[0] - grid * mean[1]) ** 2 <= t * t * noise]
    found = performance_gap(weak, strong, assisted).recovered

    assert found is not None
    assert [found.low, found.high] == pytest.approx([inside.min(), inside.max()], abs=2e-5)


def test_equal_answers_give_an_interval_of_some_width():
    weak, strong = np.arange(200) < 100, np.arange(200) < 190
    full = performance_gap(weak, strong, strong).recovered
    none = performance_gap(weak, strong, weak).recovered

    assert full is not None
    assert none is not None
    assert full.value == 1.0
    assert none.value == 0.0
    assert full.low < 1 < full.high
    assert none.low < 0 < none.high


@pytest.mark.parametrize(
    ("count", "rates"),
    [
        (100, (0.6, 0.9, 0.75)),
        (300, (0.5, 0.97, 0.95)),
        (300, (0.7, 0.8, 0.7)),
        (60, (0.5, 0.9, 0.5)),
    ],
)
def test_the_interval_covers(count, rates):
    """Fieller's set covers at its level; where it has no ends it counts as covering."""
    rng = np.random.default_rng(4)
    weak, strong, assisted = rates
    true = (assisted - weak) / (strong - weak)
    runs = 400
    covered = 0
    for _ in range(runs):
        found = performance_gap(*answers(rng, count, *rates)).recovered
        covered += found is None or found.low <= true <= found.high

    # 0.95 less three standard errors of 400 runs.
    assert covered / runs >= 0.917


def test_without_a_gap_it_is_seldom_defined():
    rng = np.random.default_rng(5)
    defined = sum(
        performance_gap(*answers(rng, 200, 0.7, 0.7, 0.8)).recovered is not None for _ in range(300)
    )

    # A gap above 0 by noise alone: 2.5%, and three standard errors.
    assert defined / 300 <= 0.025 + 3 * 0.009


def test_other_input_is_refused():
    some = np.ones(4, dtype=bool)
    with pytest.raises(DataError, match="assisted"):
        performance_gap(some, some, some[:3])
    with pytest.raises(DataError):
        performance_gap(some, some.astype(float), some)
    with pytest.raises(DataError):
        performance_gap(some[:0], some[:0], some[:0])
    with pytest.raises(ConfigError):
        performance_gap(some, some, some, level=1.0)
    with pytest.raises(DataError):
        gap_recovered(0.5, float("nan"), 0.6)
