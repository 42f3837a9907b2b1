import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from plumbrule.errors import ConfigError, DataError
from plumbrule.statistics import BettingSequence, betting_interval, paired_e_value
from plumbrule.statistics.sequences import log_wealth

unhurried = settings(deadline=None)  # the machine may be busy
levels = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.999])
scores = arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1))


def wealth(values, mean):
    """What the bettors on higher and on lower hold against one mean, bet by bet."""
    shares = np.sin(np.pi * (np.arange(16) + 0.5) / 32) ** 2
    up, down = np.ones(16), np.ones(16)
    for value in values:
        up *= 1 + shares * (value / mean - 1)
        down *= 1 + shares * ((1 - value) / (1 - mean) - 1)
    return up.mean(), down.mean()


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_the_ends_are_where_a_bettor_is_just_rich(rate):
    values = np.random.default_rng(1).random(150) < rate
    estimate = betting_interval(values, level=0.9, unit="rate")

    assert wealth(values, estimate.low)[0] == pytest.approx(20)
    assert wealth(values, estimate.high)[1] == pytest.approx(20)
    for inside in np.linspace(estimate.low, estimate.high, 20)[1:-1]:
        assert max(wealth(values, inside)) < 20


@pytest.mark.parametrize("mean", [0.1, 0.5])
def test_a_bettor_wins_nothing_on_average_against_the_true_mean(mean):
    """Exact expectation over every sequence of eight yes and no."""
    expected = np.zeros(2)
    for values in itertools.product([0.0, 1.0], repeat=8):
        yes = sum(values)
        expected += mean**yes * (1 - mean) ** (8 - yes) * np.array(wealth(values, mean))

    assert expected == pytest.approx([1, 1])


@pytest.mark.usefixtures("as_installed")
def test_looking_after_every_observation_still_covers_as_often_as_it_says():
    """An 80% sequence, looked at 60 times, misses at any of them in at most 20% of 200 streams."""

    @cache  # an interval depends on the counts alone
    def misses(yes, n, rate):
        values = np.repeat([1.0, 0.0], [yes, n - yes])
        estimate = betting_interval(values, level=0.8, unit="rate")
        return not estimate.low <= rate <= estimate.high

    rng = np.random.default_rng(0)
    for rate in (0.5, 0.05):
        missed = 0
        for _ in range(200):
            counts = np.cumsum(rng.random(60) < rate)
            missed += any(misses(int(yes), n, rate) for n, yes in enumerate(counts, 1))
        # Binomial(200, 0.2) has standard deviation 5.7: 57 is three of them above 40. A sequence
        # that never missed would be needlessly wide.
        assert 3 <= missed <= 57


LOOKS = 200
STREAMS = 2000
MOST_WRONG = 0.05 * STREAMS  # none added for chance: 3.4% is the most these seeds show


def watched(payoffs, largest_stake=1.0):
    """`log_wealth` of every stream (first axis) after each look (second axis), all at once."""
    stakes = np.sin(np.pi * (np.arange(16) + 0.5) / 32) ** 2 * largest_stake
    richest = np.full(payoffs.shape, -np.inf)
    for stake in stakes:
        richest = np.logaddexp(richest, np.log1p(stake * payoffs).cumsum(axis=1))
    return richest - np.log(16)


def coins(rate):
    def draw(rng):
        return (rng.random((STREAMS, LOOKS)) < rate).astype(float), rate

    return draw


def from_beta(a, b):
    def draw(rng):
        return rng.beta(a, b, size=(STREAMS, LOOKS)), a / (a + b)

    return draw


def steered(rng):
    """Every score has mean 0.3, but a high one makes the next a coin and a low one a narrow one."""
    values, coin = rng.beta(30, 70, size=(STREAMS, LOOKS)), rng.random((STREAMS, LOOKS)) < 0.3
    for look in range(1, LOOKS):
        high = values[:, look - 1] > 0.3
        values[high, look] = coin[high, look]
    return values, 0.3


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    "draw",
    [
        *[pytest.param(coins(rate), id=f"coin-{rate}") for rate in (0.02, 0.1, 0.5, 0.9)],
        *[pytest.param(from_beta(*ab), id=f"beta-{ab}") for ab in ((2, 5), (0.2, 0.6), (50, 2))],
        pytest.param(steered, id="steered"),
    ],
)
def test_the_share_of_streams_whose_interval_ever_misses_the_mean_is_as_promised(draw):
    """2,000 streams, each looked at after every one of 200 observations."""
    values, mean = draw(np.random.default_rng(7))
    payoffs = (values / mean - 1, (1 - values) / (1 - mean) - 1)
    wealths = [watched(each) for each in payoffs]
    misses = np.maximum(*wealths) >= np.log(2 / 0.05)
    ever = misses.any(axis=1)

    # More than none: a sequence that never missed would be needlessly wide.
    assert 1 <= ever.sum() <= MOST_WRONG

    # What was computed for all streams at once is what the package says, wherever one asks it.
    ask = [*np.flatnonzero(ever)[:3], *np.flatnonzero(~ever)[:3]]
    for stream in ask:
        for each, wealth in zip(payoffs, wealths, strict=True):
            for look in range(0, LOOKS, 20):
                said = log_wealth(each[stream, : look + 1], np.ones(look + 1), largest_stake=1.0)
                assert said == pytest.approx(wealth[stream, look], abs=1e-9)
        sequence = BettingSequence(level=0.95, unit="score")
        for look in range(LOOKS):
            sequence.update(values[stream, look : look + 1])
            first = misses[stream, look] and not misses[stream, :look].any()
            if first or look % 10 == 0:
                estimate = sequence.estimate()
                assert (not estimate.low <= mean <= estimate.high) == misses[stream, look]


def yes_and_no(rng, effect):
    """Hard prompts get a yes from the first model half of the time, the other prompts never."""
    hard = rng.random((STREAMS, LOOKS)) < 0.4
    first, second = rng.random((2, STREAMS, LOOKS))
    before, after = hard & (first < 0.5), hard & (second < 0.5 + effect / 0.4)
    return before.astype(float), after.astype(float)


def skewed(rng, effect):
    """The mean of the first model's scores comes from few large ones, of the second's from all."""
    shape = (STREAMS, LOOKS)
    mean = 0.1 + effect
    before = (rng.random(shape) < 0.1).astype(float)
    return before, rng.beta(100 * mean, 100 * (1 - mean), size=shape)


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    ("alternative", "effect"),
    [("increase", 0.0), ("decrease", 0.0), ("change", 0.0), ("increase", 0.1), ("change", 0.1)],
)
@pytest.mark.parametrize("draw", [yes_and_no, skewed])
def test_the_share_of_streams_whose_evidence_ever_exceeds_20_is_at_most_1_in_20(
    draw, alternative, effect
):
    """2,000 comparisons with no more than the minimum effect, looked at after each of 200 pairs."""
    before, after = draw(np.random.default_rng(7), effect)
    moves = after - before
    sides = {"increase": [moves], "decrease": [-moves], "change": [moves, -moves]}[alternative]
    wealths = [watched(side - effect, largest_stake=1 / (1 + effect)) for side in sides]
    e_values = np.mean(np.exp(wealths), axis=0)
    ever = (e_values >= 20).any(axis=1)

    assert 1 <= ever.sum() <= MOST_WRONG
    for stream in [*np.flatnonzero(ever)[:3], *np.flatnonzero(~ever)[:3]]:
        for look in [*range(0, LOOKS, 20), int(e_values[stream].argmax())]:
            said = paired_e_value(
                before[stream, : look + 1],
                after[stream, : look + 1],
                minimum_effect=effect,
                alternative=alternative,
            )
            assert said == pytest.approx(e_values[stream, look], rel=1e-9)


@pytest.mark.usefixtures("as_installed")
def test_prompts_with_means_of_their_own_are_covered_as_well():
    """A fixed list, sorted by difficulty: the interval is about the list's average."""
    rng = np.random.default_rng(0)
    rates = np.repeat([0.0, 0.1, 0.9], [60, 20, 40])
    missed = 0
    for _ in range(300):
        estimate = betting_interval(rng.random(120) < rates, level=0.8, unit="rate")
        missed += not estimate.low <= rates.mean() <= estimate.high

    assert missed <= 60


def test_a_fixed_interval_looked_at_again_and_again_does_not_cover():
    """What the sequence is for: the same peeking breaks an interval made for one look."""
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(200):
        counts = np.cumsum(rng.random(120) < 0.5)[9::10]
        n = np.arange(10, 121, 10)
        low = stats.beta.ppf(0.1, counts, n - counts + 1)
        high = stats.beta.isf(0.1, counts + 1, n - counts)
        missed += bool(((low > 0.5) | (high < 0.5)).any())

    assert missed > 57


@given(scores, levels, levels)
@unhurried
def test_more_confidence_is_a_wider_interval_around_the_mean(values, one, other):
    narrow = betting_interval(values, level=min(one, other), unit="score")
    wide = betting_interval(values, level=max(one, other), unit="score")

    assert 0 <= wide.low <= narrow.low <= narrow.value <= narrow.high <= wide.high <= 1
    assert narrow.value == pytest.approx(values.mean())
    assert narrow.low < narrow.high


@given(scores)
@unhurried
def test_in_parts_or_at_once_and_in_any_order_is_the_same(values):
    sequence = BettingSequence(unit="score")
    for part in np.array_split(values[::-1], 3):
        sequence.update(part)
    at_once = betting_interval(values, unit="score")

    assert sequence.estimate() == at_once


@given(scores)
@unhurried
def test_other_bounds_rescale_the_interval(values):
    plain = betting_interval(values, unit="score")
    scaled = betting_interval(values * 4 - 2, low_bound=-2.0, high_bound=2.0, unit="score")

    for field in ("value", "low", "high"):
        assert getattr(scaled, field) == pytest.approx(4 * getattr(plain, field) - 2, abs=1e-6)


def test_the_width_falls_with_the_number_of_observations():
    values = np.random.default_rng(0).random(2000) < 0.1
    widths = []
    for n in (50, 200, 800, 2000):
        estimate = betting_interval(values[:n], unit="rate")
        widths.append(estimate.high - estimate.low)

    assert widths == sorted(widths, reverse=True)
    # The exact interval for one look has width 0.027 at 200 of 2000; anytime validity costs.
    assert widths[-1] < 2 * 0.027


@pytest.mark.parametrize("n", [1, 10, 100, 2000])
def test_none_of_n_gives_an_upper_bound_and_not_certainty(n):
    estimate = betting_interval(np.zeros(n), unit="rate")

    assert (estimate.value, estimate.low) == (0.0, 0.0)
    # Exact one-sided bound at 97.5%, known without betting: no sequence can beat it.
    assert 1 - 0.025 ** (1 / n) <= estimate.high <= min(1.0, 7 / n)


def test_one_of_very_many_is_too_rare_to_bound_from_below():
    values = np.zeros(50_000)
    values[0] = 1
    estimate = betting_interval(values, unit="rate")

    assert estimate.low <= 1 / 50_000 < estimate.high < 3e-4


@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_constant_scores_give_an_interval_around_them(value):
    estimate = betting_interval(np.full(500, value), unit="score")

    assert estimate.low <= value <= estimate.high
    assert 0 < estimate.high - estimate.low < 0.1


def test_no_observations_have_no_mean():
    with pytest.raises(DataError, match="at least one observation, got 0"):
        BettingSequence(unit="rate").estimate()


def test_a_refused_observation_leaves_the_sequence_as_it_was():
    sequence = BettingSequence(unit="score")
    sequence.update(np.array([0.5, 0.5]))
    before = sequence.estimate()
    with pytest.raises(DataError, match=r"number 1 is nan"):
        sequence.update(np.array([0.1, np.nan]))

    assert sequence.estimate() == before


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize("values", [np.zeros((3, 1)), np.array(["a"]), np.array([1.5])])
def test_what_is_no_list_of_bounded_numbers_is_refused(values):
    with pytest.raises(DataError, match=r"got|is 1\.5"):
        betting_interval(values, unit="score")


@pytest.mark.parametrize(
    "settings_",
    [{"level": 1.0}, {"low_bound": 1.0}, {"high_bound": float("inf")}],
)
def test_settings_out_of_range_are_refused(settings_):
    with pytest.raises(ConfigError, match="got"):
        BettingSequence(unit="score", **settings_)
