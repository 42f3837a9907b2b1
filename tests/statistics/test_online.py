from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from plumbrule.errors import ConfigError, DataError
from plumbrule.statistics import (
    OnlineDecisions,
    addis,
    e_bh,
    e_lond,
    lond,
    lord_plus_plus,
    monte_carlo_p_value,
    saffron,
)

unhurried = settings(deadline=None)  # the machine may be busy
BY_P_VALUES: list[Callable[..., OnlineDecisions]] = [saffron, lord_plus_plus, addis, lond]
ALL = [*BY_P_VALUES, e_lond]
by_p_values = pytest.mark.parametrize("decide", BY_P_VALUES)
by_all = pytest.mark.parametrize("decide", ALL)
# Small values often, as in a stream with discoveries: uniform ones would hardly be rejected.
small_or_large = st.one_of(st.floats(0, 1), st.floats(0, 0.01), st.sampled_from([0.0, 0.5, 1.0]))
streams = arrays(np.float64, st.integers(1, 40), elements=small_or_large)

# The sample in the documentation of the R package onlineFDR, and what the definitions make of it.
P1 = "2.90e-08 .06743 .01514 .08174 .00171 3.60e-05 .79149 .27201 .28295 7.59e-08 .69274 .30443 "
P1 += ".00136 .72342 .54757"
GOLDEN = {
    saffron: (
        ".00546863 .01093725 .01093725 .01093725 .01093725 .02187451 .03281176 .01082385 "
        ".01082385 .01082385 .0217611 .00926559 .00926559 .02020285 .00906437",
        [1, 5, 6, 10, 13],
    ),
    lord_plus_plus: (
        ".00026758 .00246645 .00057328 .00048728 .00040591 .00034473 .0029745 .00084501 "
        ".00073056 .00062431 .00321859 .00106172 .00092568 .00080197 .00070596",
        [1, 6, 10],
    ),
    addis: (
        ".00273431 .00546863 .00546863 .00546863 .00546863 .01093725 .01640588 .01640588 "
        ".00541192 .00282882 .00829745 .00829745 .00358924 .00905787 .00905787",
        [1, 5, 6, 10, 13],
    ),
}


def numbers(text):
    return np.array([float(each) for each in text.split()])


def as_evidence(decide, p_values):
    """The same stream as e-values where those are asked for: likelihood ratios of a normal."""
    return np.exp(4 * stats.norm.isf(p_values) - 8) if decide is e_lond else p_values


def stream(rng, tests, effects, shift=4.0):
    """One-sided p-values of independent normal tests, a share of them with an effect."""
    real = rng.random(tests) < effects
    return stats.norm.sf(rng.normal(size=tests) + np.where(real, shift, 0.0)), real


@pytest.mark.parametrize("decide", GOLDEN)
def test_the_published_sample_gives_the_published_levels(decide):
    levels, rejected = GOLDEN[decide]
    decisions = decide(numbers(P1), level=0.05)

    assert decisions.levels == pytest.approx(numbers(levels), abs=1e-8, rel=0)
    assert (np.flatnonzero(decisions.rejected) + 1).tolist() == rejected


def test_lond_offers_its_base_level_once_more_for_every_discovery():
    shares = numbers(".05351677 .01163821 .0099125 .00824361 .00698887")
    p_values = np.array([0.001, 0.001, 0.9, 0.0016, 0.9])
    discoveries = np.array([0, 1, 2, 2, 2])
    plain = lond(p_values, level=0.05)
    dependent = lond(np.ones(5), level=0.05, dependent=True)

    assert plain.levels == pytest.approx(0.05 * shares * (1 + discoveries), abs=1e-9)
    assert plain.rejected.tolist() == [True, True, False, False, False]
    harmonic = np.array([1, 3 / 2, 11 / 6, 25 / 12, 137 / 60])
    assert dependent.levels == pytest.approx(0.05 * shares / harmonic, abs=1e-9)


def oracle(decide, level, online_fdr):
    of_p, of_e = online_fdr.p_values, online_fdr.e_values
    return {
        saffron: lambda: of_p.Saffron(alpha=level, wealth=level / 2, lambda_=0.5),
        lord_plus_plus: lambda: of_p.LordPlusPlus(alpha=level, wealth=level / 10),
        addis: lambda: of_p.Addis(alpha=level, wealth=level / 2, lambda_=0.25, tau=0.5),
        lond: lambda: of_p.Lond(alpha=level),
        e_lond: lambda: of_e.ELond(alpha=level),
    }[decide]()


@pytest.fixture(scope="module")
def online_fdr():
    return pytest.importorskip("online_fdr", reason="the package online-fdr is not installed")


def coarse(p_values):
    """Large ones in whole hundredths, so that some sit exactly on a bound."""
    return np.where(p_values > 0.05, p_values.round(2), p_values)


@by_all
@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_levels_and_decisions_are_those_of_another_implementation(decide, level, online_fdr):
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(20):
        p_values = coarse(stream(rng, 200, effects=rng.random() / 2)[0])
        evidence = as_evidence(decide, p_values)
        ours = decide(evidence, level=level)
        theirs = oracle(decide, level, online_fdr)
        details = [theirs.test_one_detail(value) for value in evidence.tolist()]

        assert ours.rejected.tolist() == [each.rejected for each in details]
        assert ours.levels == pytest.approx([each.test_level for each in details], abs=1e-9, rel=0)
        found += int(ours.rejected.sum())
    assert found > 20  # else the levels would never have been fed by a discovery


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_other_constants_are_those_of_another_implementation(level, online_fdr):
    rng = np.random.default_rng(1)
    of_p = online_fdr.p_values
    for _ in range(10):
        p_values = coarse(stream(rng, 200, effects=0.3)[0])
        pairs = [
            (
                saffron(p_values, level=level, candidate_bound=0.3, initial_share=0.2),
                of_p.Saffron(alpha=level, wealth=0.2 * level, lambda_=0.3),
            ),
            (
                addis(p_values, level=level, candidate_bound=0.1, discard_bound=0.8),
                of_p.Addis(alpha=level, wealth=level / 2, lambda_=0.1, tau=0.8),
            ),
            (
                lord_plus_plus(p_values, level=level, initial_share=0.5),
                of_p.LordPlusPlus(alpha=level, wealth=level / 2),
            ),
            (
                lond(p_values, level=level, dependent=True),
                of_p.Lond(alpha=level, dependent=True),
            ),
        ]
        for ours, theirs in pairs:
            details = [theirs.test_one_detail(value) for value in p_values.tolist()]
            assert ours.rejected.tolist() == [each.rejected for each in details]
            assert ours.levels == pytest.approx([each.test_level for each in details], abs=1e-9)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_e_bh_claims_what_another_implementation_claims(level, online_fdr):
    rng = np.random.default_rng(0)
    for _ in range(100):
        e_values = np.exp(rng.normal(scale=4, size=rng.integers(1, 60)))

        assert e_bh(e_values, level=level).tolist() == online_fdr.e_values.e_bh(e_values, level)


@by_all
@given(streams, st.data())
@unhurried
def test_a_level_depends_on_earlier_values_alone(decide, p_values, data):
    changed = data.draw(st.integers(0, p_values.size - 1))
    others = p_values.copy()
    others[changed:] = data.draw(
        arrays(np.float64, p_values.size - changed, elements=small_or_large)
    )
    one = decide(as_evidence(decide, p_values), level=0.1)
    other = decide(as_evidence(decide, others), level=0.1)

    # The level of the changed test itself was offered before its value was known.
    assert one.levels[: changed + 1].tolist() == other.levels[: changed + 1].tolist()
    assert one.rejected[:changed].tolist() == other.rejected[:changed].tolist()


@by_all
@given(streams)
@unhurried
def test_a_stream_that_has_grown_keeps_its_decisions(decide, p_values):
    evidence = as_evidence(decide, p_values)
    whole, start = decide(evidence, level=0.1), decide(evidence[:-1], level=0.1)

    assert whole.levels[:-1].tolist() == start.levels.tolist()
    assert whole.rejected[:-1].tolist() == start.rejected.tolist()


@by_p_values
@given(streams)
@unhurried
def test_a_claim_stands_if_its_p_value_is_at_most_its_level(decide, p_values):
    decisions = decide(p_values, level=0.1)

    assert decisions.rejected.tolist() == (p_values <= decisions.levels).tolist()
    assert ((decisions.levels > 0) & (decisions.levels <= 0.5)).all()


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1e6)))
@unhurried
def test_a_claim_stands_if_its_e_value_is_at_least_one_over_its_level(e_values):
    decisions = e_lond(e_values, level=0.1)

    assert decisions.rejected.tolist() == (e_values >= 1 / decisions.levels).tolist()


def test_an_e_value_just_at_its_bound_is_enough_and_one_just_below_is_not():
    bound = 1 / e_lond(np.zeros(1), level=0.05).levels[0]

    assert e_lond(np.array([bound]), level=0.05).rejected.all()
    assert not e_lond(np.array([np.nextafter(bound, 0)]), level=0.05).rejected.any()
    assert e_lond(np.array([np.inf]), level=0.05).rejected.all()


@by_all
def test_without_any_effect_a_stream_with_a_claim_is_as_rare_as_promised(decide):
    """1,000 streams of 60 uniform p-values: every claim is false, so any claim is a share of 1."""
    rng = np.random.default_rng(0)
    wrong = sum(
        decide(as_evidence(decide, rng.random(60)), level=0.1).rejected.any() for _ in range(1000)
    )

    # Binomial(1000, 0.1) has standard deviation 9.5: 128 is three of them above 100.
    assert wrong <= 128


@by_all
@pytest.mark.parametrize("effects", [0.1, 0.5])
def test_false_claims_stay_rare_among_independent_ones_and_effects_are_found(decide, effects):
    """200 streams of 150 tests, with effects of four standard errors."""
    rng = np.random.default_rng(0)
    false_shares, found = [], []
    for _ in range(200):
        p_values, real = stream(rng, 150, effects)
        rejected = decide(as_evidence(decide, p_values), level=0.1).rejected
        false_shares.append((rejected & ~real).sum() / max(rejected.sum(), 1))
        found.append(rejected[real].mean())

    assert np.mean(false_shares) <= 0.1
    assert np.mean(found) >= 0.4


def test_each_procedure_finds_most_where_it_is_said_to():
    rng = np.random.default_rng(0)
    common = stream(rng, 3000, effects=0.5, shift=3.0)[0]
    # Effects far on the other side of the null: their p-values crowd at 1.
    conservative, real = stream(rng, 3000, effects=0.2, shift=3.0)
    conservative[~real] = 1 - (1 - conservative[~real]) * 0.1

    def claims(decide, p_values):
        return int(decide(p_values, level=0.05).rejected.sum())

    assert claims(saffron, common) > claims(lord_plus_plus, common) > claims(lond, common)
    assert claims(addis, conservative) > claims(saffron, conservative)


UNIFORM_STARTS = np.random.default_rng(0).random(1000)


def shifted_copies(start, tests):
    """Uniform p-values, each a little below the one before: dependent as can be."""
    return (start - 0.005 * np.arange(tests)) % 1.0


@pytest.mark.parametrize("decide", [saffron, addis])
def test_dependent_p_values_break_a_procedure_for_independent_ones(decide):
    """Why the documentation shouts: no effect anywhere, and a claim in most streams."""
    wrong = np.mean(
        [decide(shifted_copies(u, 200), level=0.1).rejected.any() for u in UNIFORM_STARTS]
    )

    assert wrong > 0.2


@pytest.mark.parametrize("decide", [e_lond, lambda p, level: lond(p, level=level, dependent=True)])
def test_dependent_values_do_not_break_what_holds_under_dependence(decide):
    wrong = np.mean(
        [
            decide(as_evidence(decide, shifted_copies(u, 200)), level=0.1).rejected.any()
            for u in UNIFORM_STARTS
        ]
    )

    assert wrong <= 0.1


def test_e_lond_keeps_false_claims_rare_among_dependent_ones_and_finds_effects():
    """500 streams of 40 claims, 10 of them true, all moved by one shared shock."""
    rng = np.random.default_rng(0)
    false_shares, found = [], []
    for _ in range(500):
        noise = np.sqrt(0.7) * rng.normal() + np.sqrt(0.3) * rng.normal(size=40)
        real = rng.permutation(40) < 10
        # exp(2 x - 2) has mean 1 for a standard normal x: an e-value for "no shift".
        rejected = e_lond(np.exp(2 * (noise + 5.0 * real) - 2), level=0.1).rejected
        false_shares.append((rejected & ~real).sum() / max(rejected.sum(), 1))
        found.append(rejected[real].mean())

    assert np.mean(false_shares) <= 0.1
    assert np.mean(found) >= 0.5


@by_all
def test_no_claims_is_no_error(decide):
    decisions = decide(np.array([]), level=0.05)

    assert decisions.levels.shape == decisions.rejected.shape == (0,)


@by_all
@pytest.mark.parametrize("bad", [np.nan, -0.1])
def test_what_is_no_evidence_is_named(decide, bad):
    with pytest.raises(DataError, match="number 1 is"):
        decide(np.array([1.0, bad]), level=0.05)


@by_p_values
def test_an_e_value_is_not_taken_for_a_p_value(decide):
    with pytest.raises(DataError, match=r"between 0 and 1, number 1 is 1\.5"):
        decide(np.array([1.0, 1.5]), level=0.05)


@pytest.mark.usefixtures("as_installed")
@by_all
@pytest.mark.parametrize("bad", [np.ones((2, 2)), np.array(["a"]), np.array([True])])
def test_what_is_no_list_of_numbers_is_refused(decide, bad):
    with pytest.raises(DataError, match=r"got the shape \(2, 2\)|got an array of"):
        decide(bad, level=0.05)


@by_all
@pytest.mark.parametrize("level", [0.0, 1.0, 5.0, np.nan])
def test_a_level_outside_0_and_1_is_refused(decide, level):
    with pytest.raises(ConfigError, match=f"got {level}"):
        decide(np.ones(2), level=level)


@pytest.mark.parametrize(
    ("decide", "constants"),
    [
        (saffron, {"candidate_bound": 1.0}),
        (saffron, {"initial_share": 0.0}),
        (lord_plus_plus, {"initial_share": 1.0}),
        (addis, {"candidate_bound": 0.5}),
        (addis, {"discard_bound": 1.5}),
        (addis, {"candidate_bound": np.nan}),
    ],
)
def test_constants_out_of_range_are_refused(decide, constants):
    with pytest.raises(ConfigError, match="got"):
        decide(np.ones(2), level=0.05, **constants)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
@unhurried
def test_a_monte_carlo_p_value_is_the_rank_of_the_observation(draws, seed):
    statistics = np.random.default_rng(seed).random(draws + 1)
    p_values = [
        monte_carlo_p_value(float(statistics[i]), np.delete(statistics, i))
        for i in range(draws + 1)
    ]

    # Exchangeable under the null, each rank is as likely as any other: uniform, and never 0.
    assert sorted(p_values) == pytest.approx(np.arange(1, draws + 2) / (draws + 1))


def test_a_tie_counts_against_the_claim():
    assert monte_carlo_p_value(2.0, np.array([1.0, 2.0, 2.0])) == 3 / 4
    assert monte_carlo_p_value(9.0, np.zeros(99)) == 1 / 100


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    ("observed", "simulated"),
    [(1.0, []), (np.nan, [1.0]), (1.0, [1.0, np.nan]), (1.0, [[1.0]])],
)
def test_a_monte_carlo_p_value_of_nothing_is_refused(observed, simulated):
    with pytest.raises(DataError, match="got"):
        monte_carlo_p_value(observed, np.array(simulated))
