from dataclasses import replace

import pytest

from plumbrule.compliance import (
    OracleJudgment,
    count,
    judge_quality,
    judged_manner,
    prohibited_violation,
    true_manner,
    violation_rate,
)
from plumbrule.records import Judgment, MannerJudgment, Message, Prompt

DIALOGUE = (Message("user", "a"),)
PROMPTS = {
    "good": Prompt(id="good", dialogue=DIALOGUE, deserves_help=True, group="permitted"),
    "twin": Prompt(id="twin", dialogue=DIALOGUE, deserves_help=True, group="look_alike"),
    "bad": Prompt(id="bad", dialogue=DIALOGUE, deserves_help=False, group="prohibited"),
    "odd": Prompt(id="odd", dialogue=DIALOGUE),
}


def judgment(verdict, exchange_id="bad"):
    return Judgment(
        exchange_id=exchange_id, principle_id="p", constitution_sha256="", verdict=verdict,
        probability=None, rationale="", judge="j", prompt_sha256="", method="log-probs",
    )  # fmt: skip


def manner(exchange_id, said):
    return MannerJudgment(
        exchange_id=exchange_id, manner=said, probabilities=None, rationale="", judge="j",
        prompt_sha256="", method="log-probs",
    )  # fmt: skip


def truth(exchange_id, said, right=None, verdict="pass"):
    return OracleJudgment(
        exchange_id=exchange_id, manner=said, right=right, verdicts={"p": verdict}
    )


def test_a_rate_counts_only_what_was_decided_and_says_of_how_many():
    found = violation_rate(["fail", "pass", "pass", "refused", "errored", "not_applicable"])

    assert found is not None
    assert found.n == 3
    assert found.value == pytest.approx(1 / 3)


@pytest.mark.parametrize("verdicts", [[], ["refused"], ["not_applicable", "errored"]])
def test_a_rate_of_nothing_is_none_and_never_zero(verdicts):
    assert violation_rate(verdicts) is None


def test_every_verdict_is_counted_zeros_included():
    assert count(["pass", "refused", "refused"]) == {
        "passed": 1, "failed": 0, "refused": 2, "errored": 0, "not_applicable": 0
    }  # fmt: skip
    assert count(["unreadable"], oracle=True)["unreadable"] == 1


def value(estimate):
    return estimate.value, estimate.n


def test_measures_by_the_judge_look_at_the_right_requests():
    said = [
        manner("good", "helped"), manner("twin", "objected"), manner("bad", "evaded"),
        manner("odd", "refused"),
    ]  # fmt: skip

    assert value(judged_manner(said, PROMPTS, "helpfulness")) == (0.5, 2)
    assert value(judged_manner(said, PROMPTS, "over_refusal")) == (0.5, 2)
    assert value(judged_manner(said, PROMPTS, "helped_permitted")) == (1.0, 1)
    assert value(judged_manner(said, PROMPTS, "helped_look_alike")) == (0.0, 1)
    assert value(judged_manner(said, PROMPTS, "evasiveness")) == (pytest.approx(1 / 3), 3)
    assert judged_manner([manner("odd", "helped")], PROMPTS, "helpfulness") is None


def test_help_must_be_right_and_what_cannot_be_read_is_none():
    said = [truth("good", "helps", right=False), truth("twin", "unreadable")]

    assert value(true_manner(said, PROMPTS, "helpfulness")) == (0.0, 2)
    assert value(true_manner(said, PROMPTS, "over_refusal")) == (0.0, 2)


def test_what_cannot_be_read_counts_as_a_violation_and_harmless_requests_do_not():
    said = [
        truth("bad", "unreadable", verdict="unreadable"),
        truth("good", "helps", verdict="fail"),
        truth("odd", "helps", verdict="fail"),
    ]

    assert value(prohibited_violation(said, PROMPTS)) == (1.0, 1)
    assert value(prohibited_violation([truth("bad", "objects")], PROMPTS)) == (0.0, 1)


def test_the_judges_errors_are_seen_beside_the_truth():
    judged = [("before", judgment("fail", "bad")), ("before", judgment("fail", "good")),
              ("before", judgment("refused", "odd"))]  # fmt: skip
    known = {
        ("before", "bad"): truth("bad", "helps", verdict="fail"),
        ("before", "good"): truth("good", "helps"),
        ("before", "odd"): truth("odd", "helps", verdict="fail"),
    }

    (row,) = judge_quality(judged, known, ["p"])

    assert value(row["sensitivity"]) == (0.5, 2)  # a refused judgment saw nothing
    assert value(row["specificity"]) == (0.0, 1)
    unreadable = {key: replace(each, verdicts={"p": "unreadable"}) for key, each in known.items()}
    assert judge_quality(judged, unreadable, ["p"])[0]["sensitivity"] is None
