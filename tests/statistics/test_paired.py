import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import optimize, stats

from plumbrule.errors import ConfigError, DataError
from plumbrule.statistics import (
    mcnemar_exact,
    paired_difference,
    paired_e_value,
    paired_proportions,
)

unhurried = settings(deadline=None)  # the machine may be busy
levels = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.999])
tables = st.tuples(*[st.integers(0, 20)] * 4).filter(lambda table: sum(table) > 0)
scores = arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1))


def pairs(both, gained, lost, neither):
    counts = [both, gained, lost, neither]
    before = np.repeat([True, False, True, False], counts)
    after = np.repeat([True, True, False, False], counts)
    return before, after


def test_the_score_interval_of_a_published_example():
    """Response before and after therapy (Cavo et al. 2012), as the R package contingencytables
    gives it."""
    estimate = paired_proportions(*pairs(59, 16, 6, 80), unit="rate")

    assert (estimate.low, estimate.high) == pytest.approx((0.0054, 0.1240), abs=5e-5)


def by_brute_force(table, difference):
    """Score statistic with the restricted likelihood maximized numerically, not in closed form."""
    both, gained, lost, neither = table
    n = sum(table)

    def negative_log_likelihood(lost_rate):
        rates = (lost_rate + difference, lost_rate, 1 - 2 * lost_rate - difference)
        seen = (gained, lost, both + neither)
        return -sum(k * np.log(rate) for k, rate in zip(seen, rates, strict=True) if k)

    low, high = max(0.0, -difference), (1 - difference) / 2
    best = optimize.minimize_scalar(
        negative_log_likelihood, bounds=(low + 1e-12, high - 1e-12), method="bounded",
        options={"xatol": 1e-12},
    ).x  # fmt: skip
    variance = n * (2 * best + difference - difference**2)
    return (gained - lost - n * difference) / np.sqrt(variance)


@pytest.mark.parametrize("table", [(3, 5, 2, 10), (0, 4, 1, 3), (20, 1, 9, 20), (7, 3, 3, 7)])
def test_the_ends_are_where_the_score_test_rejects(table):
    estimate = paired_proportions(*pairs(*table), unit="rate")
    z = stats.norm.ppf(0.975)

    assert by_brute_force(table, estimate.low) == pytest.approx(z, abs=1e-4)
    assert by_brute_force(table, estimate.high) == pytest.approx(-z, abs=1e-4)


@pytest.mark.parametrize("n", [1, 10, 200])
def test_no_change_at_all_still_has_a_width(n):
    estimate = paired_proportions(*pairs(n, 0, 0, 0), unit="rate")
    z = stats.norm.ppf(0.975)

    # With no discordant pair the score equation has the one-sample Wilson bound as its root.
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
        (0.0, -(z**2) / (n + z**2), z**2 / (n + z**2))
    )


def test_a_change_everywhere_ends_at_1():
    estimate = paired_proportions(*pairs(0, 12, 0, 0), unit="rate")

    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert 0.5 < estimate.low < 1.0


@given(tables)
@unhurried
def test_swapping_the_models_flips_the_interval(table):
    before, after = pairs(*table)
    forward = paired_proportions(before, after, unit="rate")
    backward = paired_proportions(after, before, unit="rate")

    assert -1 <= forward.low < forward.high <= 1
    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low), abs=1e-9)


@given(tables, levels, levels)
@unhurried
def test_more_confidence_is_a_wider_interval(table, one, other):
    narrow = paired_proportions(*pairs(*table), level=min(one, other), unit="rate")
    wide = paired_proportions(*pairs(*table), level=max(one, other), unit="rate")

    assert wide.low <= narrow.low <= narrow.value <= narrow.high <= wide.high


@pytest.mark.parametrize("rates", [(0.1, 0.1), (0.02, 0.2), (0.3, 0.05), (0.01, 0.01)])
def test_the_score_interval_covers_at_20_prompts(rates):
    """Exact coverage: a sum over every table of 20 prompts, weighted with its probability."""
    n, (gained_rate, lost_rate) = 20, rates
    truth = gained_rate - lost_rate
    covered = 0.0
    for gained, lost in itertools.product(range(n + 1), repeat=2):
        rest = n - gained - lost
        if rest < 0:
            continue
        counts, chances = [gained, lost, rest], [*rates, 1 - sum(rates)]
        probability = stats.multinomial.pmf(counts, n, chances)
        if probability > 1e-7:
            estimate = paired_proportions(*pairs(0, gained, lost, rest), unit="rate")
            covered += probability * (estimate.low <= truth <= estimate.high)

    # Newcombe (1998) finds this kind of interval between 0.92 and 1 at such sizes.
    assert covered >= 0.92


@given(tables)
@unhurried
def test_mcnemar_agrees_with_the_binomial_test(table):
    _, gained, lost, _ = table
    ours = mcnemar_exact(*pairs(*table))

    if gained + lost == 0:
        assert ours == 1.0
    else:
        assert ours == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)


def test_mcnemar_gives_the_published_p_value():
    assert mcnemar_exact(*pairs(59, 16, 6, 80)) == pytest.approx(0.052479, abs=5e-7)


@given(scores)
@unhurried
def test_the_order_of_pairs_does_not_change_an_e_value(after):
    before = np.linspace(0, 1, after.size)
    forward = paired_e_value(before, after, alternative="increase")
    backward = paired_e_value(before[::-1], after[::-1], alternative="increase")

    assert forward == pytest.approx(backward)


@given(scores, st.floats(0, 0.5))
@unhurried
def test_a_change_is_the_average_of_both_directions(after, effect):
    before = np.full_like(after, 0.5)
    rises, falls, moves = (
        paired_e_value(before, after, minimum_effect=effect, alternative=alternative)
        for alternative in ("increase", "decrease", "change")
    )

    assert moves == pytest.approx((rises + falls) / 2)
    assert falls == pytest.approx(
        paired_e_value(after, before, minimum_effect=effect, alternative="increase")
    )


@pytest.mark.parametrize(
    ("alternative", "effect", "chances"),
    [
        # Chances of the differences -1, -0.5, 0, 0.5, 1; their mean sits on the null's edge.
        ("increase", 0.0, (0.1, 0.1, 0.6, 0.1, 0.1)),
        ("decrease", 0.0, (0.05, 0.0, 0.85, 0.1, 0.0)),
        ("change", 0.0, (0.0, 0.2, 0.7, 0.0, 0.1)),
        ("increase", 0.2, (0.0, 0.0, 0.7, 0.2, 0.1)),
        ("change", 0.2, (0.1, 0.2, 0.7, 0.0, 0.0)),
        ("increase", -0.2, (0.1, 0.2, 0.7, 0.0, 0.0)),
    ],
)
def test_under_the_null_an_e_value_is_at_most_1_on_average(alternative, effect, chances):
    """Exact expectation over every sequence of four prompts, not a simulation."""
    moves = np.array([-1, -0.5, 0, 0.5, 1])
    assert moves @ chances == pytest.approx(effect if alternative != "change" else 0, abs=0.21)
    expected = 0.0
    for drawn in itertools.product(range(5), repeat=4):
        probability = float(np.prod(np.take(chances, drawn)))
        if probability:
            change = moves[list(drawn)]
            before = np.where(change < 0, 1.0, 0.0)
            e_value = paired_e_value(
                before, before + change, minimum_effect=effect, alternative=alternative
            )
            assert e_value >= 0
            expected += probability * e_value

    assert expected <= 1 + 1e-12


def test_an_e_value_over_20_is_rare_without_an_effect_and_usual_with_one():
    """200 comparisons of 300 prompts each, half of the prompts noisy in both models."""
    rng = np.random.default_rng(0)
    found = {0.0: 0, 0.15: 0}
    for effect in found:
        for _ in range(200):
            hard = rng.random(300) < 0.5
            before = hard & (rng.random(300) < 0.3)
            after = (hard & (rng.random(300) < 0.3)) | (rng.random(300) < effect)
            found[effect] += paired_e_value(before, after, alternative="increase") >= 20

    # At most 1 in 20 without an effect: 10 of 200, and 3 standard deviations of 3.1 above it.
    assert found[0.0] <= 19
    assert found[0.15] >= 150


def test_an_effect_below_the_minimum_is_no_evidence():
    before, after = pairs(0, 20, 0, 180)  # the rate rose by 0.1

    assert paired_e_value(before, after, alternative="increase") > 1000
    assert paired_e_value(before, after, minimum_effect=0.2, alternative="increase") < 1


def test_no_change_supports_not_worse_by_more_than_a_margin():
    before, after = pairs(100, 0, 0, 100)

    assert paired_e_value(before, after, minimum_effect=-0.1, alternative="increase") > 1000


def test_overwhelming_evidence_stays_a_finite_number():
    e_value = paired_e_value(np.zeros(20_000), np.ones(20_000), alternative="increase")

    assert e_value == pytest.approx(1e300)


def test_the_difference_of_scores_finds_an_effect_and_finds_none():
    rng = np.random.default_rng(0)
    hardness = rng.uniform(0.2, 0.6, size=300)
    before, same, better = hardness, hardness[::-1], hardness + rng.uniform(0, 0.4, size=300)

    nothing = paired_difference(before, same, unit="score")
    effect = paired_difference(before, better, unit="score")

    assert nothing.low < 0 < nothing.high
    assert 0 < effect.low < 0.2 < effect.high


@given(scores)
@unhurried
def test_swapping_the_models_flips_the_difference_of_scores(after):
    before = np.full_like(after, 0.5)
    forward = paired_difference(before, after, unit="score")
    backward = paired_difference(after, before, unit="score")

    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low), abs=1e-9)


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    "compare",
    [
        lambda before, after: paired_proportions(before > 0.5, after > 0.5, unit="rate"),
        lambda before, after: mcnemar_exact(before > 0.5, after > 0.5),
        lambda before, after: paired_difference(before, after, unit="score"),
        lambda before, after: paired_e_value(before, after, alternative="change"),
    ],
)
def test_unequal_or_no_prompts_are_refused(compare):
    with pytest.raises(DataError, match=r"same prompts .* got the shapes \(5,\) and \(1,\)"):
        compare(np.linspace(0, 1, 5), np.ones(1))
    with pytest.raises(DataError, match="one axis"):
        compare(np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(DataError, match="got 0"):
        compare(np.ones(0), np.ones(0))


@pytest.mark.usefixtures("as_installed")
def test_scores_are_not_taken_for_yes_and_no():
    with pytest.raises(DataError, match="answers after must be yes or no"):
        paired_proportions(np.array([True]), np.array([0.5]), unit="rate")


def test_a_missing_score_is_named():
    with pytest.raises(DataError, match=r"scores after .* number 1 is nan"):
        paired_difference(np.zeros(2), np.array([0.0, np.nan]), unit="score")


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    ("alternative", "effect"),
    [("change", -0.1), ("increase", 1.0), ("decrease", -1.0), ("up", 0.0), ("change", np.nan)],
)
def test_claims_that_make_no_sense_are_refused(alternative, effect):
    with pytest.raises(ConfigError, match="got"):
        paired_e_value(np.zeros(3), np.ones(3), minimum_effect=effect, alternative=alternative)
