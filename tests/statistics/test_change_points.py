import numpy as np
import pytest

from plumbrule.errors import ConfigError, DataError
from plumbrule.statistics import change_point, find_change_points

PLACES = np.arange(26)


def noise(rng, persistence, count=26):
    """Noise that keeps a share of what it was, written out step by step."""
    values = [
        rng.standard_normal() / np.sqrt(max(1 - persistence**2, 1e-12) if persistence < 1 else 1)
    ]
    for _ in range(count - 1):
        values.append(persistence * values[-1] + rng.standard_normal())
    return np.array(values)


def share_claimed(make, runs):
    return np.mean([change_point(make(), seed=0, draws=999).confirmed for _ in range(runs)])


@pytest.mark.parametrize("persistence", [0.0, 0.5, 0.9, 1.0])
def test_noise_of_any_persistence_is_claimed_to_jump_at_most_at_the_level(persistence):
    rng = np.random.default_rng(1)

    claimed = share_claimed(lambda: noise(rng, persistence), 300)

    # Three standard errors of 300 runs, and those of the 999 series behind the p-value.
    assert claimed <= 0.05 + 3 * np.sqrt(0.05 * 0.95 * (1 / 300 + 1 / 999))


def test_a_bent_trend_is_no_jump():
    rng = np.random.default_rng(2)
    bend = 0.05 * (PLACES - 5.0) ** 2

    assert share_claimed(lambda: bend + noise(rng, 0.5), 100) <= 0.05
    assert share_claimed(lambda: -PLACES + noise(rng, 0.8), 100) <= 0.11
    slow = 1 / (1 + np.exp(-(PLACES - 13) / 7))
    assert share_claimed(lambda: slow + 0.01 * rng.standard_normal(26), 100) <= 0.11


@pytest.mark.parametrize("span", [1, 3])
def test_a_planted_jump_is_found_where_it_is(span):
    rng = np.random.default_rng(3)
    ramp = 10 * np.clip((PLACES - 12) / span, 0, 1)

    found = [
        change_point(ramp + 0.02 * PLACES + noise(rng, 0.3), seed=0, draws=499) for _ in range(40)
    ]

    middle = 12 + span / 2
    assert np.mean([each.confirmed for each in found]) >= 0.85
    assert np.mean([each.location.low <= middle <= each.location.high for each in found]) >= 0.9
    assert np.median([each.location.value for each in found]) == pytest.approx(middle, abs=1)
    assert np.median([each.jump for each in found]) == pytest.approx(10, abs=1.5)


def test_the_interval_covers_at_its_level_when_noise_blurs_the_place():
    rng = np.random.default_rng(4)
    jump = 5.0 * (PLACES > 12)

    found = [change_point(jump + noise(rng, 0.3), seed=0, draws=99).location for _ in range(120)]

    assert np.mean([each.low <= 12.5 <= each.high for each in found]) >= 0.9
    assert np.mean([each.high - each.low for each in found]) < 12
    assert all(each.high - each.low >= 1 for each in found)  # closer no series can tell


def test_the_statistic_is_the_largest_f_of_all_ramps():
    """Least squares, candidate by candidate, on a series with one jump."""
    rng = np.random.default_rng(5)
    values = 8.0 * (PLACES > 7) + noise(rng, 0.2)
    trend = np.vander(PLACES.astype(float), 3)
    best = (np.inf, 0, 0, 0.0)
    for span in range(1, 6):
        for start in range(1, 26 - 2 - span + 1):
            ramp = np.clip((PLACES - start) / span, 0, 1)[:, None]
            design = np.hstack([trend, ramp])
            solved, *_ = np.linalg.lstsq(design, values, rcond=None)
            left = float(((values - design @ solved) ** 2).sum())
            if left < best[0]:
                best = (left, start, span, solved[-1])

    found = change_point(values, seed=0)

    assert (found.before, found.after) == (best[1], best[1] + best[2])
    assert found.jump == pytest.approx(best[3])


def test_shift_scale_and_trend_change_nothing_but_the_size():
    rng = np.random.default_rng(6)
    values = 6.0 * (PLACES > 15) + noise(rng, 0.5)

    one = change_point(values, seed=0)
    other = change_point(3 * values + 7 - 2 * PLACES + 0.1 * PLACES**2, seed=0)

    assert other.p_value == one.p_value
    assert (other.before, other.after) == (one.before, one.after)
    assert other.jump == pytest.approx(3 * one.jump)


def test_places_are_in_their_own_unit():
    values = np.repeat([0.0, 1.0], 13) + 0.01 * np.sin(PLACES**2)

    found = change_point(values, seed=0, places=100 * PLACES, unit="steps")

    assert found.location.value == 1250
    assert (found.location.low, found.location.high) == (1200, 1300)
    assert found.location.unit == "steps"


def test_many_series_without_a_jump_are_rarely_claimed_and_planted_ones_are():
    rng = np.random.default_rng(7)
    false = []
    for run in range(20):
        series = {f"noise {at}": noise(rng, 0.8) for at in range(8)}
        false.append(any(each.confirmed for each in find_change_points(series, seed=run)))
    assert np.mean(false) <= 0.15

    series = {f"noise {at}": noise(rng, 0.8) for at in range(8)}
    series |= {"planted": 40.0 * (PLACES > 9) + noise(rng, 0.5), "constant": np.ones(26)}
    found = find_change_points(series, seed=0)

    assert [each.name for each in found if each.confirmed] == ["planted"]
    assert "constant" not in [each.name for each in found]


def test_a_jump_too_small_to_matter_is_not_claimed():
    rng = np.random.default_rng(8)
    values = 0.05 * (PLACES > 12) + 0.001 * rng.standard_normal(26)

    assert change_point(values, seed=0).confirmed
    assert not change_point(values, seed=0, minimum_jump=0.1).confirmed


def test_less_persistent_noise_finds_more():
    rng = np.random.default_rng(9)
    series = [4.0 * (PLACES > 12) + noise(rng, 0.0) for _ in range(40)]

    careful = np.mean([change_point(each, seed=0).confirmed for each in series])
    trusting = np.mean(
        [change_point(each, seed=0, most_persistence=0.0).confirmed for each in series]
    )

    assert trusting > careful
    assert trusting >= 0.8


@pytest.mark.parametrize(
    ("values", "given", "error", "says"),
    [
        (np.ones(26), {}, DataError, "its trend and nothing else"),
        (np.arange(26.0), {}, DataError, "its trend and nothing else"),
        (np.ones(5), {}, DataError, "at least 8 values"),
        (np.array([np.nan] * 26), {}, DataError, "expected numbers, number 0"),
        (np.sin(PLACES), {"places": np.zeros(26)}, DataError, "places in rising order"),
        (np.sin(PLACES), {"level": 1.0}, ConfigError, "level must be strictly between"),
        (np.sin(PLACES), {"most_persistence": 1.1}, ConfigError, "from 0 to 1"),
        (np.sin(PLACES), {"draws": 9}, ConfigError, "draws must be at least 99"),
    ],
)
def test_wrong_input_is_refused(values, given, error, says):
    with pytest.raises(error, match=says):
        change_point(values, seed=0, **given)
