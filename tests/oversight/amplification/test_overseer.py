import numpy as np
import pytest
from tests.oversight.amplification.simulated import LADDER, SimulatedStudent

from plumbrule.errors import ConfigError
from plumbrule.lab.ladders import LADDERS
from plumbrule.oversight.amplification import (
    Overseer,
    amplify,
    make_check,
    plant,
    student_wrong,
    teacher_wrong,
    vote_errors,
)


def truth_of(ladder, depth):
    return lambda contexts, kind: ladder.answer(contexts, kind, depth)


@pytest.mark.parametrize("name", LADDERS)
def test_true_answers_at_half_the_depth_give_true_answers_in_every_vote(name):
    ladder = LADDERS[name]
    contexts = ladder.draw(60, seed=3, exam=False)
    for kind in ladder.kinds:
        for level in (1, 2, 3):
            said = amplify(ladder, contexts, kind, level, truth_of(ladder, 2 ** (level - 1)),
                           overseer=Overseer(), votes=3, seed=5)  # fmt: skip

            expected = ladder.answer(contexts, kind, 2**level)
            assert (said.answers == expected).all()
            assert (said.votes == expected).all()


def test_random_errors_come_at_their_rate_and_are_outvoted():
    planted = plant(LADDER, 4000, 2, seed=0)
    overseer = Overseer(error=0.05)

    voted, single = teacher_wrong(
        planted, LADDER, truth_of(LADDER, 2), overseer=overseer, votes=3, seed=1
    )

    assert single.mean() == pytest.approx(0.05, abs=0.006)
    assert vote_errors(single).effective == pytest.approx(3.0, abs=0.25)
    assert voted.mean() < 0.01


def test_habits_strike_all_votes_alike_and_votes_then_count_as_one():
    planted = plant(LADDER, 4000, 2, seed=0)
    overseer = Overseer(error=0.05, manner="habit")

    voted, single = teacher_wrong(
        planted, LADDER, truth_of(LADDER, 2), overseer=overseer, votes=3, seed=1
    )

    assert vote_errors(single).effective == pytest.approx(1.0)
    assert (voted == single[0]).all()
    assert voted.mean() == pytest.approx(0.05, abs=0.01)


def test_habits_come_in_whole_pairs_and_say_how_many():
    overseer = Overseer(error=0.01, manner="habit")
    every = (np.arange(8) + np.arange(8)[:, None]) % 8  # each place with each answer, once

    struck = overseer.misread(every, 8, name="x") != every

    assert struck.sum() == 1
    assert overseer.rate(8, 8) == 1 / 64
    assert Overseer(error=0.05).rate(8, 8) == 0.05


def test_an_overseer_without_errors_changes_nothing():
    answers = np.arange(48).reshape(2, 24) % 24

    assert Overseer().misread(answers, 24, name="x") is answers


def test_a_wrong_answer_is_another_answer_that_could_be_given():
    answers = np.zeros((500, 24), dtype=np.int64)

    misread = Overseer(error=1.0).misread(answers, 3, name="x")

    assert set(misread.flatten()) == {1, 2}


@pytest.mark.parametrize(("level", "votes"), [(0, 1), (1, 0)])
def test_levels_and_votes_that_are_none_are_refused(level, votes):
    with pytest.raises(ConfigError, match="at least 1"):
        amplify(LADDER, LADDER.draw(2, seed=0, exam=False), "image", level,
                truth_of(LADDER, 1), overseer=Overseer(), votes=votes)  # fmt: skip
    with pytest.raises(ConfigError, match="0 to 1"):
        Overseer(error=1.5)


def test_planted_checks_count_a_students_errors():
    planted = plant(LADDER, 3000, 1, seed=2)

    assert student_wrong(planted, SimulatedStudent({1: 0.0})).sum() == 0
    assert student_wrong(planted, SimulatedStudent({1: 0.2})).mean() == pytest.approx(0.2, abs=0.04)
    assert planted.labels == 3000


@pytest.mark.parametrize("rate", [0.0, 0.03, 0.10])
def test_the_bound_covers_the_true_rate_as_often_as_it_says(rate):
    rng = np.random.default_rng(3)
    covered = [
        make_check(rng.random(300) < rate, confidence=0.99).upper >= rate for _ in range(1500)
    ]

    assert np.mean(covered) >= 0.985  # 0.99 less three standard errors


def test_a_bound_without_errors_is_the_exact_one():
    found = make_check(np.zeros(300, dtype=bool), confidence=0.99)

    assert found.upper == pytest.approx(1 - 0.01 ** (1 / 300))
    assert (found.wrong, found.asked, found.rate) == (0, 300, 0.0)


def test_no_questions_are_no_check():
    with pytest.raises(ConfigError, match="at least one question"):
        plant(LADDER, 0, 1, seed=0)
