import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plumbrule.errors import ConfigError, DataError
from plumbrule.statistics import e_bh

unhurried = settings(deadline=None)  # the machine may be busy
evidence = arrays(np.float64, st.integers(0, 15), elements=st.floats(0, 1e4))


def by_definition(e_values, level):
    """Largest k with the k-th largest e-value at least K / (level k), by trying every k."""
    count = len(e_values)
    ordered = sorted(e_values, reverse=True)
    passing = [k for k in range(1, count + 1) if ordered[k - 1] * level * k >= count]
    return max(passing, default=0)


@given(evidence, st.sampled_from([0.01, 0.05, 0.2, 0.5]))
@unhurried
def test_as_many_claims_stand_as_the_definition_says(e_values, level):
    stand = e_bh(e_values, level=level)

    assert stand.sum() == by_definition(e_values.tolist(), level)
    if 0 < stand.sum() < len(stand):
        assert e_values[stand].min() >= e_values[~stand].max()


def test_a_known_answer():
    # 4 claims at 0.1: the best alone needs 40, the best two 20 each, the best three 13.33 each.
    e_values = np.array([14.0, 1.0, 21.0, 14.0])

    assert e_bh(e_values, level=0.1).tolist() == [True, False, True, True]
    assert not e_bh(np.array([39.0, 1.0, 1.0, 1.0]), level=0.1).any()
    assert e_bh(np.array([40, 1, 1, 1], dtype=np.uint8), level=0.1).tolist() == [True] + [False] * 3


@given(evidence, st.floats(1, 5))
@unhurried
def test_more_evidence_never_takes_a_claim_away(e_values, factor):
    fewer = e_bh(e_values, level=0.1)
    more = e_bh(e_values * factor, level=0.1)

    assert (more | ~fewer).all()


def test_false_claims_stay_rare_among_dependent_ones():
    """500 families of 40 claims, 10 of them true, all moved by one shared shock."""
    rng = np.random.default_rng(0)
    false_shares, found = [], []
    for _ in range(500):
        shared = rng.normal()
        noise = np.sqrt(0.7) * shared + np.sqrt(0.3) * rng.normal(size=40)
        shift = np.where(np.arange(40) < 10, 5.0, 0.0)
        # exp(2 x - 2) has mean 1 for a standard normal x: an e-value for "no shift".
        stand = e_bh(np.exp(2 * (noise + shift) - 2), level=0.1)
        false_shares.append(stand[10:].sum() / max(stand.sum(), 1))
        found.append(stand[:10].mean())

    assert np.mean(false_shares) <= 0.1
    assert np.mean(found) >= 0.7


def test_no_claims_is_no_error():
    assert e_bh(np.array([]), level=0.05).shape == (0,)


@pytest.mark.parametrize("bad", [np.nan, -0.1])
def test_what_is_no_e_value_is_named(bad):
    with pytest.raises(DataError, match="number 1 is"):
        e_bh(np.array([1.0, bad]), level=0.05)


@pytest.mark.usefixtures("as_installed")
def test_a_table_of_e_values_is_refused():
    with pytest.raises(DataError, match="one axis"):
        e_bh(np.ones((2, 2)), level=0.05)


@pytest.mark.parametrize("level", [0.0, 1.0, 5.0])
def test_a_level_outside_0_and_1_is_refused(level):
    with pytest.raises(ConfigError, match=f"got {level}"):
        e_bh(np.ones(2), level=level)
