import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oversight.reviews import part

from plumbrule.errors import ConfigError
from plumbrule.oversight import Node, Opinion, Reliability, ReviewBudget, Rule, Task, aggregate
from plumbrule.oversight.asking import Assignment, to_report
from plumbrule.oversight.verdicts import derive

RULE = Rule(
    reliabilities={
        "a": Reliability(sensitivity=0.9, specificity=0.8),
        "b": Reliability(sensitivity=0.7, specificity=0.6),
    }
)


def said(verdict, name="a", kind="model", task="root"):
    reasons = ("no time",) if verdict == "not checked" else ()
    opinion = Opinion(verdict=verdict, rationale="so", not_checked=reasons)
    job = Assignment(review_id="r", task_id=task, specialist=name)
    return to_report(opinion, job, version="1", kind=kind)


def node(*reports, children=(), task=None):
    return Node(
        task=task or Task(id="root", asks="?"), reports=reports, decisions=(), children=children
    )


def leaf(verdict, name="x", *, required=True, **more):
    task = part(name, 0, 5, required=required, **more)
    return node(said(verdict, "tool", "tool", task.id), task=task)


def outcome(*reports, rule=RULE, **more):
    return aggregate(node(*reports, **more), rule)[0].outcome


def test_log_odds_are_those_of_bayes():
    # P(sound | a passes, b fails) by enumeration of the four answers, prior 0.3.
    rule = Rule(reliabilities=RULE.reliabilities, prior=0.3)
    sound, flawed = 0.3 * 0.8 * (1 - 0.6), 0.7 * (1 - 0.9) * 0.7
    state = aggregate(node(said("pass"), said("fail", "b")), rule)[0]

    assert state.probability == pytest.approx(sound / (sound + flawed), rel=1e-12)
    moved = {each.name: each.log_odds for each in state.contributions}
    assert moved["a"] == pytest.approx(math.log(0.8 / 0.1))
    assert moved["b"] == pytest.approx(math.log(0.4 / 0.7))


def test_members_of_a_group_speak_as_one_until_they_were_measured_to_err_apart():
    same = {name: Reliability(sensitivity=0.8, specificity=0.8, group="m") for name in "abc"}
    reports = [said("pass", name) for name in "abc"]
    one = math.log(4)

    for correlation, votes in ((1.0, 1.0), (0.0, 3.0), (0.5, 1.5)):
        rule = Rule(reliabilities=same, correlation=correlation)
        assert rule.soft_log_odds(reports) == pytest.approx(votes * one)


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([said("pass", "t", "tool")], "pass"),
        ([said("fail", "t", "tool"), said("pass")], "fail"),
        ([said("fail", "p", "person"), said("pass", "t", "tool")], "fail"),
        ([said("uncertain", "t", "tool")], "uncertain"),
        ([said("not checked", "t", "tool")], "not checked"),
        ([said("pass", "t", "tool"), said("not checked", "b")], "uncertain"),
        ([said("pass")], "uncertain"),  # 0.8 / (0.8 + 0.1) is short of 0.9
        ([said("pass"), said("pass", "b")], "pass"),
        ([said("fail")], "uncertain"),
        ([said("fail"), said("fail", "b")], "fail"),
        ([said("pass", "stranger")], "uncertain"),
        ([said("pass", "t", "tool"), said("pass", "stranger")], "pass"),
        ([said("pass", "t", "tool"), said("fail", "stranger")], "uncertain"),
        ([], "not checked"),
    ],
)
def test_the_rule_on_one_node(reports, expected):
    rule = Rule(reliabilities=RULE.reliabilities, fail_at=0.15)

    assert outcome(*reports, rule=rule) == expected


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ([leaf("pass", "x"), leaf("pass", "y")], "pass"),
        ([leaf("pass", "x"), leaf("fail", "y")], "fail"),
        ([leaf("pass", "x"), leaf("fail", "y", required=False)], "uncertain"),
        ([leaf("pass", "x"), leaf("uncertain", "y")], "uncertain"),
        ([leaf("pass", "x"), leaf("not checked", "y")], "uncertain"),
        ([leaf("pass", "x"), leaf("not checked", "y", required=False)], "pass"),
        ([leaf("not checked", "x"), leaf("not checked", "y")], "not checked"),
        ([leaf("pass", "x", required=False)], "uncertain"),
    ],
)
def test_the_rule_on_parts(children, expected):
    assert outcome(children=tuple(children)) == expected


def test_two_sound_reasons_to_fail_both_show_though_neither_matters_alone():
    state = aggregate(
        node(children=(leaf("fail", "x"), leaf("fail", "y"), leaf("pass", "z"))), RULE
    )
    moved = {each.child: each for each in state[0].contributions}

    assert moved["root/x"].without == moved["root/x"].alone == "fail"
    assert moved["root/x"].decisive
    assert moved["root/y"].decisive
    assert not moved["root/z"].decisive


VERDICTS = st.sampled_from(["pass", "fail", "uncertain", "not checked"])
KINDS = st.sampled_from(["tool", "model", "person"])
REPORTS = st.lists(st.tuples(VERDICTS, KINDS), max_size=5)


@given(REPORTS, st.lists(st.tuples(VERDICTS, st.booleans()), max_size=4))
def test_nothing_unchecked_ever_helps_to_pass(reports, parts):
    """Whatever there is, a check that did not take place takes a pass away and gives none."""
    names = "abcde"
    given_reports = [said(v, names[i], k) for i, (v, k) in enumerate(reports)]
    children = tuple(leaf(v, f"p{i}", required=r) for i, (v, r) in enumerate(parts))
    before = outcome(*given_reports, children=children)
    missed = outcome(*given_reports, said("not checked", "late", "tool"), children=children)
    failed = outcome(*given_reports, said("fail", "late", "tool"), children=children)

    assert missed != "pass"
    assert failed == "fail"
    if before == "fail":
        assert missed == "fail"


@given(REPORTS)
def test_the_order_of_reports_does_not_matter(reports):
    made = [said(v, "abcde"[i], k) for i, (v, k) in enumerate(reports)]
    forth, back = (aggregate(node(*each), RULE)[0] for each in (made, made[::-1]))

    assert forth.outcome == back.outcome
    assert {(each.child, each.without, each.alone) for each in forth.contributions} == {
        (each.child, each.without, each.alone) for each in back.contributions
    }


def verdict(root, *dimensions):
    return derive(root, review_id="r", rule=RULE, dimensions=dimensions, budget=ReviewBudget())


def test_a_dimension_nobody_looked_at_is_listed_and_keeps_the_whole_from_passing():
    children = (
        leaf("pass", "x", dimensions=("numbers",)),
        leaf("not checked", "y", dimensions=("purpose", "numbers"), required=False),
    )
    covered = verdict(node(children=children), "numbers")
    holed = verdict(node(children=children), "numbers", "purpose", "logic")

    assert covered.outcome == "pass"
    assert holed.outcome == "uncertain"
    assert holed.uncovered == ("purpose", "logic")
    assert holed.coverage[1].declared == ("root/y",)
    assert "purpose, logic" in holed.because[0]


def test_the_tally_counts_everyone_once():
    root = node(said("pass"), said("not checked", "b"), children=(leaf("fail"),))
    tally = verdict(root).tally

    assert (tally.asked, tally.passed, tally.failed, tally.not_checked) == (3, 1, 1, 1)


@pytest.mark.parametrize(
    "settings",
    [{"prior": 0.0}, {"pass_at": 0.1, "fail_at": 0.1}, {"correlation": 1.5}, {"fail_at": -0.1}],
)
def test_a_rule_that_makes_no_sense_is_refused(settings):
    with pytest.raises(ConfigError):
        Rule(**settings)


def test_nobody_is_never_wrong():
    with pytest.raises(ConfigError, match="strictly"):
        Reliability(sensitivity=1.0, specificity=0.9)
