import numpy as np
import pytest
from scipy import optimize, stats

from plumbrule.errors import ConfigError, DataError
from plumbrule.statistics import clopper_pearson
from plumbrule.statistics.prediction_powered import (
    corrected_rate,
    inclusion_probabilities,
    labels_needed,
    prediction_powered_mean,
    unsureness,
    weighted_rate,
)

UNIT = "violations per reply"
SIMULATIONS = 200
LEAST = 0.919 * SIMULATIONS  # two standard errors below the level


def correct(*flagged, **known):
    """The corrected rate of a judge that is better than chance."""
    found = corrected_rate(*flagged, **known, unit=UNIT).estimate
    assert found is not None
    return found


def pool(rng, rate, accuracy, size=2100):
    """Truth and verdicts of a judge that is as often right about broken as about kept replies."""
    truth = rng.random(size) < rate
    judge = np.where(rng.random(size) < accuracy, truth, ~truth)
    return truth.astype(float), judge.astype(float)


def powered(truth, judge, n=100, **more):
    return prediction_powered_mean(truth[:n], judge[:n], judge[n:], unit=UNIT, **more)


def test_the_value_is_that_of_the_published_formula():
    rng = np.random.default_rng(1)
    truth, judge = pool(rng, 0.3, 0.8)
    y, f, rest = truth[:100], judge[:100], judge[100:]
    # Angelopoulos et al. 2023: the weight that makes the estimated variance least.
    weight = np.cov(y, f)[0, 1] / ((1 + 100 / 2000) * np.var(f, ddof=1))

    found = powered(truth, judge)

    assert found.value == pytest.approx(weight * rest.mean() + (y - weight * f).mean(), abs=1e-9)
    assert found.n == 100


def test_the_interval_is_about_the_normal_one_where_that_holds():
    rng = np.random.default_rng(2)
    truth, judge = pool(rng, 0.5, 0.9, size=42_000)
    y, f, rest = truth[:2000], judge[:2000], judge[2000:]
    weight = np.cov(y, f)[0, 1] / ((1 + 2000 / 40_000) * np.var(f, ddof=1))
    error = np.sqrt(weight**2 * rest.var() / rest.size + (y - weight * f).var() / y.size)

    found = powered(truth, judge, n=2000)

    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.02)


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_a_judge_that_says_nothing_leaves_the_interval_of_people_alone(count):
    truth = np.repeat([1.0, 0.0], [count, 100 - count])

    found = prediction_powered_mean(truth, np.full(100, 0.5), np.full(2000, 0.5), unit=UNIT)
    low = stats.beta.ppf(0.025, count + 0.4, 100 - count + 0.6)  # Jeffreys' has 0.5 for all
    high = stats.beta.ppf(0.975, count + 0.6, 100 - count + 0.4)

    assert found.value == pytest.approx(count / 100)
    assert found.low == pytest.approx(0 if count == 0 else low)
    assert found.high == pytest.approx(1 if count == 100 else high)


def test_a_good_judge_makes_the_interval_narrower_and_a_bad_one_hardly_wider():
    rng = np.random.default_rng(3)
    ratios = {}
    for accuracy in (0.5, 0.85, 0.99):
        truth, judge = pool(rng, 0.5, accuracy)
        found, alone = (
            powered(truth, judge),
            clopper_pearson(int(truth[:100].sum()), 100, unit=UNIT),
        )
        ratios[accuracy] = (found.high - found.low) / (alone.high - alone.low)

    assert ratios[0.99] < 0.45
    assert ratios[0.85] < 0.85
    assert 0.9 < ratios[0.5] < 1.05


def test_labeling_everything_gives_about_the_exact_interval():
    truth, judge = pool(np.random.default_rng(4), 0.2, 0.7, size=300)

    found = prediction_powered_mean(truth, judge, np.array([]), unit=UNIT)
    exact = clopper_pearson(int(truth.sum()), 300, unit=UNIT)

    assert found.value == pytest.approx(exact.value)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=5e-3)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("accuracy", [0.6, 0.85, 0.98])
def test_it_covers_at_a_hundred_labels(rate, accuracy):
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(SIMULATIONS):
        found = powered(*pool(rng, rate, accuracy))
        held += found.low <= rate <= found.high

    assert held >= LEAST


@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_it_covers_where_people_looked_more_often_when_the_judge_was_unsure(rate):
    rng = np.random.default_rng(6)
    held, values = 0, []
    for _ in range(SIMULATIONS):
        truth, judge = pool(rng, rate, 0.85)
        chance = inclusion_probabilities(np.where(judge > 0.5, 0.5, 0.15), 100)
        drawn = rng.random(truth.size) < chance
        found = prediction_powered_mean(
            truth[drawn], judge[drawn], judge[~drawn], probabilities=chance[drawn], unit=UNIT
        )
        held += found.low <= rate <= found.high
        values.append(found.value)

    assert held >= LEAST
    assert np.mean(values) == pytest.approx(rate, abs=3.5 * np.std(values) / np.sqrt(SIMULATIONS))


def test_forgetting_the_probabilities_would_miss_the_rate():
    rng = np.random.default_rng(7)
    truth, judge = pool(rng, 0.1, 0.85, size=20_000)
    chance = np.where(judge > 0.5, 0.2, 0.02)
    drawn = rng.random(truth.size) < chance

    right = weighted_rate(truth[drawn], chance[drawn], unit=UNIT)
    wrong = weighted_rate(truth[drawn], None, unit=UNIT)

    assert right.low <= 0.1 <= right.high
    assert wrong.low > 0.15


def test_a_normal_interval_would_not_cover_where_few_errors_are_seen():
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(SIMULATIONS):
        truth, judge = pool(rng, 0.02, 0.98)
        y, f, rest = truth[:100], judge[:100], judge[100:]
        weight = np.cov(y, f)[0, 1] / max((1 + 100 / 2000) * np.var(f, ddof=1), 1e-9)
        value = weight * rest.mean() + (y - weight * f).mean()
        error = np.sqrt(weight**2 * rest.var() / rest.size + (y - weight * f).var() / y.size)
        held += abs(value - 0.02) <= 1.96 * error

    assert held < 0.85 * SIMULATIONS


def test_scores_tell_more_than_verdicts():
    rng = np.random.default_rng(13)
    chance = rng.beta(0.6, 0.9, 4200)
    truth = (rng.random(4200) < chance).astype(float)

    fine, rough = (powered(truth, scores, n=200) for scores in (chance, np.round(chance)))

    assert fine.high - fine.low < rough.high - rough.low
    assert fine.low < chance.mean() < fine.high


def test_it_covers_for_scores_of_any_shape():
    rng = np.random.default_rng(14)
    held = 0
    for _ in range(SIMULATIONS):
        chance = rng.beta(0.2, 1.8, 2100)
        truth = (rng.random(2100) < chance).astype(float)
        found = powered(truth, chance**2)  # far too mild
        held += found.low <= 0.1 <= found.high

    assert held >= LEAST


def test_strata_are_put_together_by_their_size():
    truth = np.array([1, 1, 0, 1] * 10 + [0, 0, 0, 1] * 10, float)
    strata = np.repeat([0, 1], 40), np.repeat([0, 1], [100, 300])
    nothing = np.full(80, 0.5), np.full(400, 0.5)

    found = prediction_powered_mean(truth, *nothing, strata=strata, unit=UNIT)

    assert found.value == pytest.approx(0.75 * 140 / 480 + 0.25 * 340 / 480)


def test_strata_cover_with_few_labels_in_each():
    rng = np.random.default_rng(8)
    held = 0
    for _ in range(SIMULATIONS):
        truth, judge = pool(rng, 0.05, 0.85)
        place = judge.astype(int)
        drawn = np.zeros(truth.size, dtype=bool)
        for group in (0, 1):
            drawn[rng.permutation(np.flatnonzero(place == group))[:50]] = True
        found = prediction_powered_mean(
            truth[drawn], judge[drawn], judge[~drawn],
            strata=(place[drawn], place[~drawn]), unit=UNIT,
        )  # fmt: skip
        held += found.low <= 0.05 <= found.high

    assert held >= LEAST


def test_equal_probabilities_are_a_plain_rate():
    values = np.repeat([1.0, 0.0], [3, 27])

    found = weighted_rate(values, np.full(30, 0.2), unit=UNIT)

    assert found == clopper_pearson(3, 30, unit=UNIT)


def test_a_weighted_rate_covers():
    rng = np.random.default_rng(9)
    held = 0
    for _ in range(SIMULATIONS):
        truth = rng.random(3000) < 0.2
        chance = np.where(rng.random(3000) < np.where(truth, 0.7, 0.2), 0.1, 0.02)
        drawn = rng.random(3000) < chance
        found = weighted_rate(truth[drawn].astype(float), chance[drawn], unit=UNIT)
        held += found.low <= 0.2 <= found.high

    assert held >= LEAST


def likelihood_interval(flagged, judged, found, broken, cleared, kept):
    """Profile likelihood of the rate: another way to the same interval."""

    def worst(rate):
        def loss(p):
            se, sp = 1 / (1 + np.exp(-p))
            q = rate * se + (1 - rate) * (1 - sp)
            return -(
                stats.binom.logpmf(flagged, judged, np.clip(q, 1e-12, 1 - 1e-12))
                + stats.binom.logpmf(found, broken, se)
                + stats.binom.logpmf(cleared, kept, sp)
            )

        return optimize.minimize(loss, [1.5, 1.5], method="Nelder-Mead").fun

    rates = np.linspace(0.001, 0.6, 120)
    losses = np.array([worst(each) for each in rates])
    inside = rates[losses <= losses.min() + stats.chi2.ppf(0.95, 1) / 2]
    return inside[0], inside[-1]


def test_a_corrected_rate_has_about_the_interval_of_the_likelihood():
    seen = {"found": 90, "broken": 100, "cleared": 80, "kept": 100}

    ours = correct(300, 1000, **seen)
    low, high = likelihood_interval(300, 1000, *seen.values())

    assert ours.value == pytest.approx((0.3 + 0.8 - 1) / 0.7)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.015)


@pytest.mark.parametrize("rate", [0.02, 0.2, 0.5])
def test_a_corrected_rate_covers(rate):
    rng = np.random.default_rng(10)
    held = 0
    for _ in range(3 * SIMULATIONS):
        found = correct(
            rng.binomial(2000, rate * 0.9 + (1 - rate) * 0.2), 2000,
            found=rng.binomial(60, 0.9), broken=60, cleared=rng.binomial(60, 0.8), kept=60,
        )  # fmt: skip
        held += found.low <= rate <= found.high

    assert held >= 0.93 * 3 * SIMULATIONS


def test_without_correction_the_same_judge_would_miss_the_rate():
    seen = correct(260, 1000, found=54, broken=60, cleared=48, kept=60)

    assert seen.low <= 260 / 1000 * 0.35 <= seen.high  # a tenth is broken, a quarter is flagged
    assert seen.high < 0.26


@pytest.mark.parametrize(
    ("found", "broken", "cleared", "kept", "said"),
    [
        (30, 60, 30, 60, "no better than chance"),
        (10, 60, 10, 60, "no better than chance"),
        (3, 3, 2, 3, "no better than chance"),
        (0, 0, 10, 10, "both kinds are needed"),
        (10, 10, 0, 0, "both kinds are needed"),
    ],
)
def test_a_judge_without_knowledge_gives_no_rate_but_a_reason(found, broken, cleared, kept, said):
    rate = corrected_rate(5, 50, found=found, broken=broken, cleared=cleared, kept=kept, unit=UNIT)

    assert rate.estimate is None
    assert said in str(rate.reason)


def test_chances_are_in_proportion_to_doubt_and_at_most_one():
    chance = inclusion_probabilities(np.array([5.0, 1.0, 1.0, 1.0]), 2, at_random=0.0)
    mixed = inclusion_probabilities(np.array([1.0, 0.0]), 1, at_random=0.2)
    all_ = inclusion_probabilities(np.array([5.0, 0.1]), 2)
    unknown = inclusion_probabilities(np.zeros(4), 1)

    assert chance == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])
    assert mixed == pytest.approx([0.9, 0.1])
    assert all_ == pytest.approx([1, 1])
    assert unknown == pytest.approx([0.25] * 4)


def test_doubt_is_where_labels_differ_from_their_like():
    scores = np.repeat([0.1, 0.5, 0.9], 40)
    truth = np.concatenate([np.zeros(40), np.tile([0.0, 1.0], 20), np.ones(40)])

    doubt = unsureness(truth, scores, np.array([0.1, 0.5, 0.9, 0.52]))

    assert doubt[1] == doubt[3] == pytest.approx(0.5, abs=0.01)
    assert doubt[0] == doubt[2] < 0.16  # two labels more than the forty that agree


def test_a_judge_saves_labels_and_a_coin_saves_none():
    rng = np.random.default_rng(11)
    truth, judge = pool(rng, 0.3, 0.85, size=20_000)
    coin = rng.integers(0, 2, 20_000).astype(float)
    random = 0.21 * (1.96 / 0.03) ** 2

    good = labels_needed(0.03, truth[:1000], judge[:1000], judge[1000:])
    none = labels_needed(0.03, truth[:1000], coin[:1000], coin[1000:])

    assert good.with_judge is not None
    assert good.where_unsure is not None
    assert none.with_judge is not None
    assert good.random == pytest.approx(random, rel=0.08)
    # 1 - rho^2 where drawn at random, 4 * 0.85 * 0.15 where drawn by doubt, and a little of the
    # pool's own spread.
    assert good.with_judge / good.random == pytest.approx(0.57, abs=0.06)
    assert good.where_unsure / good.random == pytest.approx(0.53, abs=0.06)
    assert none.with_judge / none.random == pytest.approx(1, abs=0.06)


def test_a_small_pool_cannot_be_known_better_than_it_is():
    truth, judge = pool(np.random.default_rng(12), 0.5, 0.9, size=400)

    found = labels_needed(0.03, truth[:100], judge[:100], judge[100:])

    assert found.with_judge is None
    assert "a pool of 400 replies is too small" in str(found.reason)


@pytest.mark.parametrize(
    "call",
    [
        lambda: prediction_powered_mean(np.array([]), np.array([]), np.ones(3), unit=UNIT),
        lambda: prediction_powered_mean(np.ones(3), np.ones(2), np.ones(3), unit=UNIT),
        lambda: prediction_powered_mean(np.full(3, 2.0), np.ones(3), np.ones(3), unit=UNIT),
        lambda: prediction_powered_mean(np.ones(3), np.full(3, np.nan), np.ones(3), unit=UNIT),
        lambda: powered(np.ones(9), np.ones(9), 5, probabilities=np.array([0.5] * 4 + [0])),
        lambda: powered(np.ones(9), np.ones(9), 5, probabilities=np.array([0.5] * 4)),
        lambda: powered(np.ones(9), np.ones(9), 5, strata=(np.arange(5), np.full(4, 9))),
        lambda: powered(np.ones(9), np.ones(9), 5, level=1.0),
        lambda: corrected_rate(5, 3, found=1, broken=1, cleared=1, kept=1, unit=UNIT),
        lambda: corrected_rate(0, 0, found=1, broken=1, cleared=1, kept=1, unit=UNIT),
        lambda: inclusion_probabilities(np.ones(3), 4),
        lambda: inclusion_probabilities(np.ones(3), 0),
        lambda: inclusion_probabilities(-np.ones(3), 1),
        lambda: labels_needed(0.0, np.ones(3), np.ones(3), np.ones(3)),
        lambda: weighted_rate(np.array([]), None, unit=UNIT),
    ],
)
def test_what_cannot_be_answered_is_refused(call, as_installed):
    with pytest.raises((DataError, ConfigError)):
        call()
