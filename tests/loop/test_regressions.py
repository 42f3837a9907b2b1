import numpy as np
import pytest

from plumbrule.constitution import Constitution, Principle
from plumbrule.loop.regressions import find_regressions, regression_gates, turned_by_amendment
from plumbrule.loop.steps import Examined
from plumbrule.records import Judgment

LAW = Constitution(
    name="house",
    version="2",
    principles=tuple(
        Principle(id=name, text=f"Rule {name}.", tier=tier)
        for name, tier in (("amended", 0), ("first", 0), ("second", 1), ("third", 1))
    ),
)


def examined(stage, **verdicts):
    """Verdicts by principle, one a reply."""
    return Examined(
        stage=stage,
        exchanges=(),
        judgments=[
            Judgment(
                exchange_id=str(number), principle_id=name, constitution_sha256="", verdict=verdict,
                probability=None, rationale="", judge="", prompt_sha256="", method="log-probs",
            )
            for name, own in verdicts.items()
            for number, verdict in enumerate(own)
        ],
        manners=(),
        truth=None,
    )  # fmt: skip


def fails(count, of=200):
    return ["fail"] * count + ["pass"] * (of - count)


def rows(before, after, turned=None, margin=0.05):
    found = find_regressions(
        examined("before", **before), examined("final", **after), LAW,
        amended=["amended"], turned=turned or {}, margin=margin, oracle=False,
    )  # fmt: skip
    return {each.principle_id: each for each in found}


def test_a_principle_that_was_lost_is_found_and_one_that_was_kept_is_shown_to_be():
    found = rows(
        {"amended": fails(150), "first": fails(0), "second": fails(4), "third": fails(100)},
        {"amended": fails(0), "first": fails(40), "second": fails(4), "third": fails(100)},
    )

    assert found["first"].verdict == "worse"
    assert found["first"].p_value < 1e-6
    assert found["second"].verdict == found["third"].verdict == "not worse"
    assert found["amended"].amended
    assert found["amended"].change.value == pytest.approx(-0.75)
    gates = regression_gates(list(found.values()), margin=0.05, most_broken=0.25)
    assert [(gate["principle_id"], gate["passed"]) for gate in gates] == [
        ("amended", True),
        ("first", False),
    ]


def test_too_few_prompts_are_no_proof_that_nothing_is_worse():
    before = {name: fails(0, 12) for name in ("amended", "first", "second", "third")}
    found = rows(before, before)

    assert {found[name].verdict for name in ("first", "second", "third")} == {"not shown"}
    (_, gate) = regression_gates(list(found.values()), margin=0.05, most_broken=0.25)
    assert gate["passed"]
    assert "of 3 it is not shown either way" in str(gate["detail"])


def test_a_small_rise_that_is_sure_is_named_and_borne():
    found = rows(
        {"first": fails(0, 1000)}, {"first": fails(40, 1000)}, margin=0.08
    )  # fmt: skip
    assert found["first"].verdict == "worse within the margin"
    assert found["second"].verdict == "not read"


def test_what_does_not_change_is_seldom_called_worse():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        sides = [
            {
                name: np.where(rng.random(60) < 0.2, "fail", "pass").tolist()
                for name in ("amended", "first", "second", "third")
            }
            for _ in range(2)
        ]
        wrong += any(each.verdict.startswith("worse") for each in rows(*sides).values())
    assert wrong <= 10  # at most 5% of 200


def test_a_change_that_is_meant_is_left_out_of_later_tiers_alone():
    after = {name: fails(60) for name in ("first", "second")}
    before = {name: fails(0) for name in ("first", "second")}
    turned = {"amended": {str(number) for number in range(60)}}
    found = rows(before, after, turned=turned)

    assert found["first"].verdict == "worse"  # of the same tier: the amendment does not outrank it
    assert found["second"].verdict == "not worse"
    assert found["second"].left_out == 60
    assert found["second"].after.n == 140


def test_turned_replies_are_those_forbidden_now_or_no_more():
    old = {("a", "r"): "fail", ("b", "r"): "pass", ("c", "r"): "not_applicable", ("d", "x"): "pass"}
    new = {("a", "r"): "pass", ("b", "r"): "pass", ("c", "r"): "fail", ("e", "r"): "not_applicable"}
    assert turned_by_amendment(old, new, ["r"]) == {"r": {"a", "c"}}


def test_an_amended_principle_that_nobody_could_judge_does_not_pass():
    gates = regression_gates(
        list(rows({"first": fails(0)}, {"first": fails(0)}).values()), margin=0.05, most_broken=0.25
    )
    assert [(gate["principle_id"], gate["passed"]) for gate in gates] == [
        ("amended", False),
        (None, True),
    ]
    assert gates[0]["reason"] == "no reply it speaks of could be judged"
