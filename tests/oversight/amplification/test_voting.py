import numpy as np
import pytest

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight.amplification import (
    effective_votes,
    majority_error,
    plurality,
    vote_errors,
    voted_error,
)


def test_plurality_agrees_with_counting_by_hand():
    rng = np.random.default_rng(0)
    votes = rng.integers(0, 3, (5, 40, 4))

    found = plurality(votes)

    for context in range(40):
        for place in range(4):
            cast = votes[:, context, place].tolist()
            most = max(cast.count(each) for each in cast)
            first = next(each for each in cast if cast.count(each) == most)
            assert found[context, place] == first


def test_no_votes_give_no_answer():
    with pytest.raises(DataError, match="at least one vote"):
        plurality(np.empty((0, 2, 2), dtype=np.int64))
    with pytest.raises(DataError, match="got 3 on 0"):
        vote_errors(np.empty((3, 0), dtype=bool))


def test_independent_errors_count_in_full_and_common_ones_as_one():
    rng = np.random.default_rng(1)
    alone = rng.random((3, 40_000)) < 0.05
    common = np.tile(rng.random(40_000) < 0.05, (3, 1))

    assert vote_errors(alone).effective == pytest.approx(3.0, abs=0.1)
    assert vote_errors(common).effective == pytest.approx(1.0)


@pytest.mark.parametrize("planted", [0.2, 0.5, 0.8])
def test_a_planted_correlation_is_found_and_predicts_the_error_of_voting(planted):
    rng = np.random.default_rng(2)
    together = rng.random(200_000) < planted
    alone = rng.random((3, 200_000)) < 0.1
    wrong = np.where(together, alone[0], alone)

    found = vote_errors(wrong)

    assert found.correlation is not None
    assert found.correlation == pytest.approx(planted, abs=0.02)
    assert found.effective == pytest.approx(effective_votes(3, planted), abs=0.06)
    majority = float((wrong.sum(axis=0) >= 2).mean())
    assert voted_error(found.rate, 3, found.correlation) == pytest.approx(majority, abs=0.003)


def test_a_correlation_that_cannot_be_measured_says_why_and_counts_as_one_vote():
    found = vote_errors(np.zeros((3, 300), dtype=bool))
    single = vote_errors(np.ones((1, 10), dtype=bool))

    assert found.correlation is None
    assert found.effective is None
    assert found.reason == "only 0 of 900 votes were wrong"
    assert single.reason == "there is only one vote"
    assert vote_errors(np.ones((2, 10), dtype=bool)).reason == "every vote was wrong"


@pytest.mark.parametrize(
    ("error", "votes", "root"), [(0.01, 3, 0.037), (0.01, 5, 0.00125), (0.05, 3, 0.603),
                                 (0.05, 5, 0.137), (0.001, 1, 0.119), (0.01, 1, 0.721)]
)  # fmt: skip
def test_a_tree_of_height_six_errs_as_the_reference_says(error, votes, root):
    assert 1 - (1 - majority_error(error, votes)) ** 127 == pytest.approx(root, rel=0.02)


def test_half_of_an_even_number_of_wrong_votes_counts_as_wrong():
    assert majority_error(0.5, 2) == pytest.approx(0.75)


@pytest.mark.parametrize(("error", "votes"), [(-0.1, 3), (1.1, 3), (0.1, 0)])
def test_rates_and_votes_that_are_none_are_refused(error, votes):
    with pytest.raises(ConfigError, match="error rate from 0 to 1 and at least one vote"):
        majority_error(error, votes)


@pytest.mark.parametrize(("votes", "correlation"), [(0, 0.5), (3, 1.5), (3, -0.1)])
def test_correlations_that_are_none_are_refused(votes, correlation):
    with pytest.raises(ConfigError, match="correlation from 0 to 1"):
        effective_votes(votes, correlation)
