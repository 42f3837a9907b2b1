from dataclasses import replace

import numpy as np
import pytest
from tests.oversight.amplification.simulated import LADDER, QUICK, SimulatedDistill, settings

from plumbrule.errors import ConfigError, DataError
from plumbrule.lab.ladders import LADDERS
from plumbrule.oversight.amplification import (
    ClimbRound,
    ClimbSettings,
    ErrorBudget,
    Overseer,
    climb,
    decide,
    make_check,
    node_error,
    predict,
    tree_error,
    tree_nodes,
)


def plain(found):
    """Rounds without how long they took."""
    return [replace(each, seconds=0.0) for each in found.rounds]


def top(found):
    assert found.top is not None
    return found.top


def check(wrong, asked=300):
    return make_check(np.arange(asked) < wrong, confidence=0.99)


@pytest.mark.parametrize("seed", range(8))
def test_a_climb_without_errors_reaches_the_top(tmp_path, seed):
    found = climb(LADDER, SimulatedDistill(gap=0.003), settings(seed=seed), folder=tmp_path)

    assert found.stopped is None
    assert top(found).depth == 16
    assert [each.depth for each in found.rounds] == [1, 2, 4, 8, 16]
    assert all(each.accuracy[-1].value > 0.98 for each in found.rounds)


@pytest.mark.parametrize("error", [0.01, 0.05])
@pytest.mark.parametrize("seed", range(6))
def test_where_students_copy_errors_the_rule_stops_before_the_top_leans(tmp_path, seed, error):
    overseer = Overseer(error=error, seed=seed)

    found = climb(
        LADDER, SimulatedDistill(), settings(votes=1, overseer=overseer, seed=seed), folder=tmp_path
    )

    assert found.stopped is not None
    assert top(found).accuracy[-1].value >= 0.90
    assert top(found).depth < 16


@pytest.mark.parametrize("seed", range(6))
def test_habits_that_no_vote_can_mend_stop_it_too(tmp_path, seed):
    overseer = Overseer(error=0.03, manner="habit", seed=seed)

    found = climb(LADDER, SimulatedDistill(), settings(overseer=overseer, seed=seed),
                  folder=tmp_path)  # fmt: skip

    assert found.stopped is not None
    assert top(found).accuracy[-1].value >= 0.90


@pytest.mark.parametrize("seed", range(4))
def test_votes_carry_a_climb_over_random_errors(tmp_path, seed):
    overseer = Overseer(error=0.01, seed=seed)

    found = climb(LADDER, SimulatedDistill(), settings(overseer=overseer, seed=seed),
                  folder=tmp_path)  # fmt: skip

    assert top(found).depth >= 8
    assert top(found).accuracy[-1].value > 0.98


def test_copied_errors_grow_as_the_tree_of_combinations_says(tmp_path):
    overseer = Overseer(error=0.02)
    found = climb(
        LADDER,
        SimulatedDistill(),
        settings(votes=1, overseer=overseer, enforce=False, pool=4000, exam=4000),
        folder=tmp_path,
    )

    assert len(found.rounds) == 5
    for each in found.rounds[1:]:
        assert each.expected == pytest.approx(1 - 0.98 ** (2**each.level - 1))
        error = 1 - each.accuracy[-1].value
        assert each.expected is not None
        # Never above: where both halves are one question (x is back after k moves), they are right
        # or wrong together, and the deeper the question the more often that is so.
        assert 0.8 * each.expected - 0.01 < error < each.expected + 0.01


def test_a_student_that_does_not_learn_is_not_kept(tmp_path):
    found = climb(LADDER, SimulatedDistill(gap=0.2), QUICK, folder=tmp_path)

    assert found.top is None
    assert found.stopped is not None
    assert found.stopped.stop is not None
    assert found.stopped.stop.gate == "student"


def test_the_rule_not_enforced_says_the_same_and_climbs_on(tmp_path):
    given = settings(votes=1, overseer=Overseer(error=0.05))

    enforced = climb(LADDER, SimulatedDistill(), given, folder=tmp_path / "a")
    free = climb(LADDER, SimulatedDistill(), replace(given, enforce=False), folder=tmp_path / "b")

    assert len(free.rounds) == 5 > len(enforced.rounds)
    assert free.stopped is not None
    assert enforced.stopped is not None
    assert free.stopped.level == enforced.stopped.level
    assert free.stopped.stop == enforced.stopped.stop
    assert top(free).depth == top(enforced).depth


def test_labels_are_counted_to_the_last_one(tmp_path):
    found = climb(LADDER, SimulatedDistill(), QUICK, folder=tmp_path)

    assert found.labels.lessons == 20 * 24
    assert found.labels.planted == 5 * 300
    assert found.labels.overseer == 300 * 2
    assert found.labels.total == 480 + 1500 + 600


def test_a_climb_killed_in_the_middle_goes_on_to_the_same_end(tmp_path):
    whole = climb(LADDER, SimulatedDistill(gap=0.01), QUICK, folder=tmp_path / "whole")
    broken = SimulatedDistill(gap=0.01, fail_at=2)
    with pytest.raises(KeyboardInterrupt):
        climb(LADDER, broken, QUICK, folder=tmp_path / "broken")

    told: list[ClimbRound] = []
    resumed = climb(LADDER, broken, QUICK, folder=tmp_path / "broken", sealed=told.append)

    assert broken.calls == [0, 1, 2, 3, 4]
    assert plain(resumed) == plain(whole)
    assert [each.level for each in told] == [0, 1, 2, 3, 4]


def test_other_settings_find_nothing_to_go_on_with(tmp_path):
    distill = SimulatedDistill()
    climb(LADDER, distill, settings(rounds=1), folder=tmp_path)
    climb(LADDER, distill, settings(rounds=1, seed=1), folder=tmp_path)

    assert distill.calls == [0, 1, 0, 1]


def test_weights_that_were_changed_under_a_sealed_round_are_refused(tmp_path):
    distill = SimulatedDistill(fail_at=1)
    with pytest.raises(KeyboardInterrupt):
        climb(LADDER, distill, QUICK, folder=tmp_path)
    (tmp_path / "students" / "depth-1" / "errors.txt").write_text("0 0.01\n")

    with pytest.raises(DataError, match="weights that were sealed"):
        climb(LADDER, distill, QUICK, folder=tmp_path)


def test_a_sealed_round_that_was_changed_is_refused(tmp_path):
    climb(LADDER, SimulatedDistill(), settings(rounds=1), folder=tmp_path)
    for path in (tmp_path / "rounds").glob("*.jsonl"):
        path.write_text(path.read_text().replace('"depth":1', '"depth":2'))

    with pytest.raises(DataError, match="seal does not match"):
        climb(LADDER, SimulatedDistill(), settings(rounds=1), folder=tmp_path)


def test_nodes_are_those_of_a_binary_tree_and_follow_each_tasks_parts():
    assert [tree_nodes(LADDER, "image", level) for level in range(5)] == [0, 1, 3, 7, 15]
    arithmetic = LADDERS["arithmetic"]
    assert [tree_nodes(arithmetic, "value", level) for level in range(4)] == [0, 1, 4, 12]
    assert tree_error(LADDER, 3, 0.01) == pytest.approx(1 - 0.99**7)
    assert tree_error(arithmetic, 1, 0.01) == pytest.approx(0.01)


def test_a_prediction_needs_every_part_to_be_right_and_lets_votes_count_as_measured():
    one = predict(LADDER, student=check(3), overseer=check(0), votes=3, correlation=1.0)

    assert one == pytest.approx(node_error(check(0).upper, check(3).upper, 2))
    assert predict(LADDER, student=check(3), overseer=check(0), votes=3, correlation=0.0) < one / 3


@pytest.mark.parametrize(("gate", "given"), [
    ("prediction", {"predicted": 0.11, "teacher": check(0), "student": check(0)}),
    ("teacher", {"predicted": 0.09, "teacher": check(29), "student": check(0)}),
    ("student", {"predicted": 0.09, "teacher": check(0), "student": check(29)}),
])  # fmt: skip
def test_each_gate_stops_by_itself(gate, given):
    found = decide(ErrorBudget(), **given)

    assert found is not None
    assert found.gate == gate
    assert found.bound > 0.10


def test_within_budget_nothing_stops():
    found = decide(ErrorBudget(), predicted=0.10, teacher=check(5), student=None)

    assert found is None


@pytest.mark.parametrize("given", [{"most": 0.0}, {"most": 1.0}, {"confidence": 0.5}])
def test_budgets_that_are_none_are_refused(given):
    with pytest.raises(ConfigError, match="error budget"):
        ErrorBudget(**given)


@pytest.mark.parametrize("name", ["rounds", "planted", "votes", "pool", "exam"])
def test_settings_below_one_are_refused(name):
    with pytest.raises(ConfigError, match=name):
        replace(ClimbSettings(), **{name: 0})  # type: ignore[arg-type]
