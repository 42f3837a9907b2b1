import json

import numpy as np
import pytest

from plumbrule.errors import ConfigError, DataError
from plumbrule.monitoring import Trial, TrialPlan, corrected_effect, decide, difference
from plumbrule.monitoring.trial_evidence import log_evidence, log_share_evidence
from plumbrule.monitoring.trial_simulation import reported, simulate, stops

PLAN = TrialPlan(
    name="t", primary="p", guards=("g",), share=0.2, smallest=0.04, margin=0.02,
    expected={"p": 0.1}, least=0, most=6_000, every=50,
)  # fmt: skip


def counts(candidate, incumbent, n=10_000, share=0.2):
    ours, other = n * share, n * (1 - share)
    return np.array(
        [ours * candidate, ours * (1 - candidate), other * incumbent, other * (1 - incumbent)]
    )


def test_the_evidence_is_that_of_every_conversation_by_itself():
    scores = PLAN.scores("p")
    kinds = [3, 3, 2, 0, 1, 3, 3, 2, 3, 1]
    for lower in (True, False):
        for bound in (-0.1, 0.0, 0.05):
            payoffs = (bound - scores) if lower else (scores - bound)
            stakes = np.sin(np.pi * (np.arange(16) + 0.5) / 32) ** 2 / -payoffs.min()
            wealth = np.ones(16)
            for kind in kinds:
                wealth *= 1 + stakes * payoffs[kind]
            table = np.bincount(kinds, minlength=4)[None]

            assert log_evidence(table, scores, bound, lower=lower)[0] == pytest.approx(
                np.log(wealth.mean())
            )


@pytest.mark.parametrize("taken", [0.0, 0.1, 0.9])
def test_what_a_conversation_tells_has_the_difference_as_its_mean(taken):
    plan = TrialPlan(name="t", primary="p", share=0.2, expected={"p": taken})
    one = counts(0.3, 0.1)

    assert one @ plan.scores("p") / one.sum() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("candidate", "incumbent", "guard", "outcome", "action"),
    [
        (0.02, 0.1, 0.05, "win", "promote"),
        (0.2, 0.1, 0.1, "harm", "roll back"),
        (0.1, 0.1, 0.3, "harm", "roll back"),
        (0.1, 0.1, 0.1, "futile", "keep"),
    ],
)
def test_the_plan_decides(candidate, incumbent, guard, outcome, action):
    found = decide({"p": counts(candidate, incumbent), "g": counts(guard, 0.1)}, PLAN)

    assert (found.outcome, found.action) == (outcome, action)
    assert ("p" in found.better) == (outcome == "win")


def test_alike_arms_are_equivalent_where_enough_is_known():
    plan = TrialPlan(name="t", primary="p", share=0.5, smallest=0.5, margin=0.05, most=10**6)
    found = decide({"p": counts(0.1, 0.1, n=100_000, share=0.5)}, plan)

    assert found.outcome == "equivalent"


def test_a_guard_that_may_be_worse_holds_a_win_back():
    found = decide({"p": counts(0.05, 0.1), "g": counts(0.12, 0.1, n=300)}, PLAN)

    assert found.outcome in ("running", "inconclusive")


def test_before_the_least_number_only_harm_ends_it():
    plan = TrialPlan(name="t", primary="p", share=0.2, least=20_000)

    assert decide({"p": counts(0.0, 0.3)}, plan).outcome == "running"
    assert decide({"p": counts(0.3, 0.05)}, plan).outcome == "harm"


def test_shares_that_are_not_as_meant_conclude_nothing():
    found = decide({"p": counts(0.02, 0.1, share=0.25), "g": counts(0.1, 0.1)}, PLAN)

    assert found.outcome == "mismatch"
    assert float(log_share_evidence(2_000, 10_000, 0.2)) < 0


def test_shares_as_meant_are_seldom_called_wrong():
    rng = np.random.default_rng(1)
    taken = np.cumsum(rng.random((300, 2_000)) < 0.1, axis=1)
    evidence = log_share_evidence(taken, np.arange(1, 2_001), 0.1)

    assert (evidence.max(axis=1) >= np.log(1 / 0.05)).sum() <= 24  # 15 at most are expected


def test_peeking_wins_seldom_for_nothing_and_often_for_something():
    for effect, low, high in ((0.0, 0, 12), (-0.07, 90, 100)):
        table = simulate(PLAN, 0.1, effect, trials=100, seed=3)
        last = table[np.arange(100), stops(table, PLAN)]
        won = log_evidence(last, PLAN.scores("p"), 0.0, lower=True) >= np.log(20)

        assert low <= won.sum() <= high


def test_the_interval_holds_at_every_look():
    table = simulate(PLAN, 0.1, -0.03, trials=60, seed=4, most=3_000)
    missed = 0
    for one in table:
        found = [difference(each, PLAN, "p", level=0.9) for each in one[9::10]]
        missed += any(not each.low <= -0.03 <= each.high for each in found)

    assert missed <= 10  # 6 are expected at most


def test_the_correction_takes_bias_out():
    plan = TrialPlan(
        name="t", primary="p", share=0.3, smallest=0.06, expected={"p": 0.2}, least=300, most=4_000,
    )  # fmt: skip
    table = simulate(plan, 0.2, -0.08, trials=60, seed=5)
    last = table[np.arange(60), stops(table, plan)]
    fixed = np.array([corrected_effect(each, plan, trials=60).value for each in last])

    assert abs(fixed.mean() + 0.08) < abs(reported(table, plan).mean() + 0.08) + 0.004
    assert abs(fixed.mean() + 0.08) < 0.02


def test_an_arm_without_conversations_has_no_difference():
    with pytest.raises(DataError, match="both arms"):
        difference(np.array([0, 0, 3, 5]), PLAN, "p")


@pytest.mark.parametrize(
    "more", [{"share": 0.0}, {"alpha": 0.9}, {"guards": ("p",)}, {"expected": {"p": 2.0}}]
)
def test_plans_that_are_none_are_refused(more):
    with pytest.raises(ConfigError):
        TrialPlan(**{"name": "t", "primary": "p", **more})


def test_a_trial_goes_on_from_what_was_saved_and_ends_once():
    def fill(trial, numbers):
        rng = np.random.default_rng(6)
        draws = rng.random(4_000)
        for number in numbers:
            arm = PLAN.arm(str(number))
            broken = bool(draws[number] < (0.02 if arm == "candidate" else 0.3))
            trial.take(str(number), "", {"p": broken, "g": False})

    whole, first = Trial(PLAN), Trial(PLAN)
    fill(whole, range(4_000))
    fill(first, range(100))
    second = Trial(PLAN, json.loads(json.dumps(first.saved())))
    fill(second, range(100, 4_000))

    assert whole.saved() == second.saved()
    assert whole.decision is not None
    assert whole.decision.outcome == "win"
    assert whole.units["after the end"] > 0


def test_arms_that_answered_what_was_not_theirs_conclude_nothing():
    trial = Trial(PLAN)
    for number in range(200):
        other = "incumbent" if PLAN.arm(str(number)) == "candidate" else "candidate"
        trial.take(str(number), other, {"p": False, "g": False})

    assert trial.decision is not None
    assert trial.decision.outcome == "mismatch"
