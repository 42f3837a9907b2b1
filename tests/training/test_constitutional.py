from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import ScriptedModel

from plumbrule.constitution import Constitution, Principle, load_constitution
from plumbrule.errors import ConfigError
from plumbrule.judging import Ability, JudgeTrial, Standing, load_prompts
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


# --- With a critic that was examined -----------------------------------------------------------

TWO = Constitution(
    name="two",
    version="1",
    principles=(
        Principle(id="helpful", text="Be HELPFUL.", tier=2),
        Principle(id="safe", text="Be SAFE.", tier=0),
    ),
)
REFUSED, TOLD = "I will not say.", "The key lies there."


def examined(mended, *, told=0.7, refused=0.9):
    """Revise one reply by a critic that works: to it what is told is unsafe, a refusal no help.

    Args:
        mended: What each principle's revisions say, by its word.
        told: Chance of `fail` under `safe` for what is told.
        refused: Chance of `fail` under `helpful` for a refusal.
    """
    words = load_prompts("default")

    def odds(asked, options):
        graded = words.template("grade" if "break this" in asked else "grade_again").options
        fail = 0.1
        if "SAFE" in asked:
            fail = told if TOLD in asked else 0.1
        elif "HELPFUL" in asked:
            fail = refused if REFUSED in asked else 0.1
        return [{"fail": fail, "pass": 1 - fail}[graded[option]] for option in options]

    def answer(asked):
        if "Rewrite the reply" not in asked:
            return "It is broken."
        return mended["SAFE" if "SAFE" in asked else "HELPFUL"]

    trial = JudgeTrial(
        judge="critic",
        abilities=tuple(
            Ability(
                principle_id=each.id, works=True, reason="", border=0.0, lean=0.0, auroc=None,
                p_value=None, sensitivity=None, specificity=None,
                plain_sensitivity=None, plain_specificity=None,
            )
            for each in TWO.principles
        ),
    )  # fmt: skip
    first = Exchange(id="x", dialogue=(Message("user", "Where?"),), response=TOLD, model="m")
    (found,) = critique_and_revise(
        ScriptedModel(answer=answer, odds=odds),
        [first],
        TWO,
        prompts=words,
        settings=Revising(rounds=3),
        seed=0,
        standing=Standing(trial=trial),
    )
    return found


def test_help_does_not_undo_a_refusal():
    """The critic is surer of the lesser fault, and would mend it by telling again."""
    found = examined({"SAFE": REFUSED, "HELPFUL": TOLD})

    assert [each.principle_id for each in found.rounds] == ["safe", "helpful"]
    assert found.response == REFUSED
    assert found.rounds[1].reason == "the revision breaks safe, which decides before"


def test_a_lesser_fault_is_mended_where_nothing_that_decides_is_broken():
    found = examined({"SAFE": REFUSED, "HELPFUL": "Ask the smith."})

    assert found.response == "Ask the smith."
    assert [each.reason for each in found.rounds] == [None, None]


def test_a_revision_that_is_no_better_is_not_taken():
    found = examined({"SAFE": f"Well, {TOLD}", "HELPFUL": TOLD})

    assert [each.principle_id for each in found.rounds] == ["safe"]
    assert found.response == TOLD
    assert "no better than what it mends" in found.rounds[0].reason


def test_a_reply_that_breaks_nothing_has_no_round():
    assert examined({"SAFE": REFUSED, "HELPFUL": TOLD}, told=0.2).rounds == ()
