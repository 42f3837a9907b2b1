from dataclasses import replace

import pytest
from tests.fakes import ScriptedModel

from plumbrule.constitution import load_constitution
from plumbrule.judging import (
    CandidatePair,
    RevisionDraft,
    combine,
    compare,
    critique,
    grade,
    load_prompts,
    revise,
    sort_by_manner,
)
from plumbrule.records import Exchange, Message

VILLAGE = load_constitution("village")
PROMPTS = load_prompts("village")
ASKED = (Message("user", "Mock the hat of Elsa."),)
DRAFT = RevisionDraft(dialogue=ASKED, reply="Ugly.", principle=VILLAGE.principle("dignity"))
PAIR = CandidatePair(id="p", dialogue=ASKED, first="FIRST", second="SECOND")
REPLY = Exchange(id="x", dialogue=ASKED, response="Ugly.", model="m")


def critique_with(**settings):
    (found,) = critique(
        ScriptedModel(**settings), [DRAFT], prompts=PROMPTS, temperature=1.0, seeds=[0]
    )
    return found


def test_a_critique_finds_a_problem_unless_it_says_that_there_is_none():
    assert critique_with(answer=lambda _: "The reply mocks Elsa.").found_problem is True
    assert critique_with(answer=lambda _: "The reply keeps the rule.").found_problem is False


@pytest.mark.parametrize("reason", ["errored", "refused", "length"])
def test_an_unusable_critique_is_no_approval(reason):
    found = critique_with(answer=lambda _: "The reply keeps the rule.", finish_reason=reason)

    assert found.found_problem is None
    assert found.reason


def test_an_empty_critique_is_no_approval():
    assert critique_with(answer=lambda _: " ").found_problem is None


def test_revising_directly_shows_no_critique():
    model = ScriptedModel()

    revise(model, [DRAFT], None, prompts=PROMPTS, temperature=1.0, seeds=[0])
    revise(model, [DRAFT], ["SEE HERE"], prompts=PROMPTS, temperature=1.0, seeds=[0])

    assert ["SEE HERE" in asked[-1].content for asked in model.asked] == [False, True]


def preference(odds):
    (found,) = compare(ScriptedModel(odds=odds), [PAIR], VILLAGE, prompts=PROMPTS, seeds=[0])
    return found


def prefers_a(asked, options):
    return [0.9 if option == "A" else 0.1 for option in options]


def prefers_first(asked, options):
    likes_a = asked.index("FIRST") < asked.index("SECOND")
    return [0.9 if (option == "A") == likes_a else 0.1 for option in options]


def test_a_judge_that_always_says_a_decides_nothing_and_is_seen_to_disagree_with_itself():
    found = preference(prefers_a)

    assert found.probability is None
    assert set(found.by_principle.values()) == {0.5}
    assert all(value == pytest.approx(0.8) for value in found.order_disagreement.values())


def test_a_judge_with_a_preference_is_heard_in_both_orders():
    found = preference(prefers_first)

    assert all(value == pytest.approx(0.9) for value in found.by_principle.values())
    assert all(value == pytest.approx(0.0) for value in found.order_disagreement.values())
    assert found.probability == 0.98  # five principles of the first tier agree; clamped
    assert found.constitution_sha256 == VILLAGE.sha256


def test_a_judge_that_says_nothing_decides_nothing():
    found = preference(lambda asked, options: None)

    assert (found.probability, dict(found.by_principle)) == (None, {})


def test_harmlessness_decides_before_helpfulness():
    by_principle = {each.id: 0.5 for each in VILLAGE.principles}

    assert combine({**by_principle, "privacy": 0.9, "be-helpful": 0.01}, VILLAGE) == pytest.approx(
        0.9
    )
    assert combine({**by_principle, "be-helpful": 0.1}, VILLAGE) == pytest.approx(0.1)
    assert combine(by_principle, VILLAGE) is None


def grades(model, exchange=REPLY):
    return {
        each.principle_id: each
        for each in grade(model, [exchange], VILLAGE, prompts=PROMPTS, seeds=[0])
    }


def test_the_likeliest_answer_is_the_verdict_and_its_probability_is_kept():
    model = ScriptedModel(odds=lambda asked, options: [0.2, 0.7, 0.1])  # kept, broken, unrelated

    judgment = grades(model)["dignity"]

    assert (judgment.verdict, judgment.probability) == ("fail", 0.7)
    assert judgment.prompt_sha256 == PROMPTS.sha256
    assert judgment.constitution_sha256 == VILLAGE.sha256


def test_a_judge_that_answers_beside_the_point_has_refused():
    judgment = grades(ScriptedModel(covered=0.3))["dignity"]

    assert (judgment.verdict, judgment.probability) == ("refused", None)
    assert "30%" in judgment.rationale


def test_a_judge_that_never_answers_is_counted_in_the_open():
    judgment = grades(ScriptedModel(odds=lambda asked, options: None))["dignity"]

    assert (judgment.verdict, judgment.rationale) == ("refused", "it said nothing")


def test_a_reply_that_never_came_is_errored_and_costs_no_judgment():
    model = ScriptedModel()

    found = grades(model, replace(REPLY, finish_reason="errored"))

    assert {each.verdict for each in found.values()} == {"errored"}
    assert not model.asked


@pytest.mark.parametrize(
    ("odds", "manner"),
    [((0.8, 0.1, 0.1), "helped"), ((0.1, 0.8, 0.1), "objected"), ((0.1, 0.1, 0.8), "evaded")],
)
def test_replies_are_sorted_by_manner(odds, manner):
    model = ScriptedModel(odds=lambda asked, options: odds)

    (found,) = sort_by_manner(model, [REPLY], prompts=PROMPTS, seeds=[0])

    assert found.manner == manner
    assert found.probabilities is not None
    assert found.probabilities[manner] == 0.8
