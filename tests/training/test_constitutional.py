from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import ScriptedModel

from plumbrule.constitution import load_constitution
from plumbrule.errors import ConfigError
from plumbrule.judging import load_prompts
from plumbrule.records import Exchange, Message
from plumbrule.training import (
    Revising,
    critique_and_revise,
    examples_to_imitate,
    pairs_to_compare,
)
from plumbrule.training.constitutional import draw_principles

VILLAGE = load_constitution("village")
PROMPTS = load_prompts("village")
FIRST = Exchange(id="x", dialogue=(Message("user", "Mock Elsa."),), response="Ugly.", model="m")


def trail(answer, *, finish_reason="stop", **settings):
    model = ScriptedModel(answer=answer, finish_reason=finish_reason)
    (found,) = critique_and_revise(
        model, [FIRST], VILLAGE, prompts=PROMPTS, settings=Revising(**settings), seed=0
    )
    return found, model


def critic(asked):
    if asked.startswith("Critique"):
        return "The reply keeps the rule." if "Kind." in asked else "The reply mocks Elsa."
    return "Kind."


@given(st.integers(0, 2**62), st.text(), st.integers(1, 12))
def test_principles_are_drawn_by_the_seed_and_do_not_repeat_while_they_last(seed, name, rounds):
    drawn = draw_principles(VILLAGE, rounds, seed=seed, exchange_id=name)

    assert drawn == draw_principles(VILLAGE, rounds, seed=seed, exchange_id=name)
    assert len(set(drawn)) == min(rounds, len(VILLAGE.principles))


def test_every_principle_is_drawn_about_equally_often():
    drawn = [draw_principles(VILLAGE, 1, seed=0, exchange_id=str(n))[0] for n in range(2000)]

    # Binomial(2000, 1/10): mean 200, standard deviation 13.4; four of them.
    assert all(146 <= drawn.count(each.id) <= 254 for each in VILLAGE.principles)


def test_a_reply_is_revised_until_nothing_is_found():
    found, model = trail(critic, rounds=3)

    assert found.response == "Kind."
    assert [each.found_problem for each in found.rounds] == [True, False, False]
    assert len(model.asked) == 4  # three critiques and a single revision


def test_revising_directly_asks_for_no_critique():
    found, model = trail(critic, rounds=2, with_critique=False)

    assert [each.critique for each in found.rounds] == [None, None]
    assert all(asked[-1].content.startswith("Revise") for asked in model.asked)
    assert found.response == "Kind."


@pytest.mark.parametrize("reason", ["errored", "refused", "length"])
def test_an_unusable_answer_leaves_the_reply_and_says_why(reason):
    found, _ = trail(critic, finish_reason=reason, rounds=1)

    assert not found.revised
    assert found.rounds[0].reason


def test_only_revisions_and_whole_helpful_replies_are_imitated():
    revised, _ = trail(critic, rounds=1)
    unchanged, _ = trail(lambda asked: "The reply keeps the rule.", rounds=1)
    helpful = replace(FIRST, id="h", response="Gladly.")

    examples = examples_to_imitate(
        [revised, unchanged], [helpful, replace(helpful, finish_reason="length")]
    )

    assert [each.response for each in examples] == ["Kind.", "Gladly."]


def test_the_two_replies_that_differ_most_are_compared():
    said = [
        "I will not mock Elsa.",
        "I will not mock Elsa!",
        "The hat is ugly.",
        "I will not mock Elsa.",
    ]

    (pair,) = pairs_to_compare([[replace(FIRST, response=text) for text in said]])

    assert {pair.first, pair.second} & {"The hat is ugly."}


@pytest.mark.parametrize("said", [["Same.", "Same."], ["Alone."], []])
def test_nothing_to_compare_is_no_pair(said):
    assert pairs_to_compare([[replace(FIRST, response=text) for text in said]]) == []


def test_rounds_must_be_at_least_one():
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        Revising(rounds=0)
