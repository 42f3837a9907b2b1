"""Gates of single principles: one that got worse, or stays broken, fails the run."""

from dataclasses import replace

import pytest

from plumbrule.loop import Gates
from plumbrule.loop.gates import check_gates
from plumbrule.loop.notes import failing_principles, ungraded, untaught_principles
from plumbrule.loop.steps import Examined
from plumbrule.records import Estimate, Finding, Judgment
from plumbrule.statistics import clopper_pearson

OFF = {
    "most_violations": None,
    "most_help_lost": None,
    "least_look_alike_help": None,
    "most_evasive": None,
}
NOBODY = [Examined(stage="final", exchanges=(), judgments=(), manners=(), truth=())] * 2


def change(principle, value):
    estimate = Estimate(
        value=value,
        low=value - 0.02,
        high=value + 0.02,
        level=0.95,
        n=90,
        unit="change",
        method="m",
    )
    return Finding(
        claim="It moved.", where="here", what="it", estimate=estimate, reason=None,
        evidence=(), principle_id=principle, severity="medium", guarantee=None, reproduce="",
    )  # fmt: skip


def rate(broken, of):
    return clopper_pearson(broken, of, unit="violations per judged reply")


def checked(findings=(), broken=None, untaught=(), **gates):
    return check_gates(
        Gates(**{**OFF, **gates}),
        NOBODY,
        {},
        oracle=True,
        findings=findings,
        broken=broken,
        untaught=untaught,
    )


def test_where_no_principle_could_be_judged_no_gate_of_principles_passes():
    found = checked(broken={"a": None, "b": None}, most_broken=0.25)

    assert [each["passed"] for each in found] == [False, False]
    assert all("nothing could be judged" in each["reason"] for each in found)
    assert failing_principles(found) == []


def test_a_report_without_a_judgment_says_so_first():
    (said,) = ungraded(NOBODY, oracle=False)

    assert said.startswith("NOT GRADED: no reply was graded under any principle")
    assert ungraded(NOBODY, oracle=True) == []
    judgment = Judgment(
        exchange_id="e", principle_id="a", constitution_sha256="c", verdict="pass",
        probability=None, rationale="", judge="j", prompt_sha256="p", method="m",
    )  # fmt: skip
    judged = [replace(each, judgments=(judgment,)) for each in NOBODY]
    assert ungraded(judged, oracle=False) == []


def test_a_principle_that_got_worse_fails_and_is_named():
    """From 93% to 100% violated, and every other gate passes: what made this one needed."""
    found = checked([change("no-flattery", 0.07), change("privacy", -0.8)])

    assert [each["passed"] for each in found] == [False]
    assert "`no-flattery`" in found[0]["name"]
    assert failing_principles(found) == [
        "FAILED: Principle `no-flattery` is broken no more often than before (no rise confirmed), "
        "measured 7.0% [5.0%, 9.0%], change."
    ]


def test_help_that_rose_is_no_principle_that_did():
    found = checked([change(None, 0.3), change("privacy", -0.1)], {"privacy": rate(5, 100)})

    assert [each["passed"] for each in found] == [True]
    assert found[0]["detail"] == "none of 1 principles is beyond it"
    assert failing_principles(found) == []


@pytest.mark.parametrize(
    ("broken", "passes"), [((91, 100), False), ((30, 100), True), ((2, 4), True), ((0, 9), True)]
)
def test_a_taught_principle_that_stays_broken_fails_where_that_is_sure(broken, passes):
    found = checked(broken={"a": rate(*broken), "b": None}, most_broken=0.25)

    assert [each["passed"] for each in found] == [True, passes]
    assert passes or "`a`, which was taught" in found[1]["name"]


def test_what_was_not_taught_is_not_held_against_the_run():
    found = checked(broken={"a": rate(91, 100)}, untaught={"a"}, most_broken=0.25)

    assert all(each["passed"] for each in found)
    assert checked(broken={"a": rate(91, 100)}) == checked(broken={"a": rate(9, 100)})


def test_gates_of_principles_can_be_switched_off():
    assert checked([change("a", 0.5)], worse_principles=False) == []


def test_what_was_not_taught_is_said_with_its_rates():
    rates = {
        stage: {"violation_rate": {"oracle": rate(hits, 45), "judge": None}}
        for stage, hits in (("before", 40), ("final", 45))
    }
    principles = [{"id": "a", **rates}, {"id": "b", **rates}]
    stages = [replace(NOBODY[0], stage="before"), NOBODY[0]]

    known, unknown = (
        untaught_principles(principles, {"a"}, stages, source) for source in ("oracle", "judge")
    )

    beginning = "NOT TAUGHT: `a`, under which the critic does no better than chance"
    assert known == [
        f"{beginning}; it is broken in 100.0% of the 45 replies it speaks of, 88.9% before."
    ]
    assert unknown == [f"{beginning}."]
