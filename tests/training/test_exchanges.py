import pytest

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import ConfigError
from plumbrule.judging import load_prompts
from plumbrule.records import Exchange, Message
from plumbrule.training import (
    Revising,
    RevisionRound,
    RevisionTrail,
    examples_to_imitate,
    more_to_imitate,
    revising_exchanges,
)

LAW = Constitution(
    name="house",
    version="1",
    principles=(
        Principle(id="no-mocking", text="Do not mock anyone.", tier=0, reason="It hurts."),
        Principle(id="no-theft", text="Do not help to steal.", tier=0),
    ),
)
WORDS = load_prompts("village")


def first(name):
    return Exchange(
        id=name, dialogue=(Message("user", f"Request {name}"),), response="Bad.", model="m"
    )


def round_(principle, revision, critique="It mocks."):
    return RevisionRound(
        principle_id=principle,
        critique=critique,
        found_problem=None if critique is None else revision is not None,
        revision=revision,
        reason=None,
    )


TRAILS = [
    RevisionTrail(
        first=first("a"),
        rounds=(
            round_("no-theft", "Better."),
            round_("no-mocking", "Best."),
            round_("no-theft", None),
        ),
    ),
    RevisionTrail(first=first("b"), rounds=(round_("no-theft", "Fine.", critique=None),)),
    RevisionTrail(first=first("c"), rounds=(round_("no-theft", None),)),
]  # fmt: skip
HELPFUL = [Exchange(id="d", dialogue=(Message("user", "Help"),), response="Yes.", model="m")]


def taught(**settings):
    examples = examples_to_imitate(TRAILS, HELPFUL)
    return more_to_imitate(
        examples, TRAILS, LAW, prompts=WORDS, settings=Revising(**settings)
    )  # fmt: skip


def test_nothing_is_added_unless_asked_for():
    assert taught() == examples_to_imitate(TRAILS, HELPFUL)


def test_a_reply_carries_the_reason_of_the_principle_it_was_mended_by_last():
    said = {each.id: each.response for each in taught(reasons="in reply")}

    # A principle without a reason gives its own words.
    assert said == {"a": "Best. It hurts.", "b": "Fine. Do not help to steal.", "d": "Yes."}


def test_reasons_when_asked_are_examples_of_their_own():
    found = {each.id: each for each in taught(reasons="when asked")}

    assert set(found) == {"a", "a/why", "b", "b/why", "d"}
    assert found["a"].response == "Best."
    assert found["a/why"].response == "It hurts."
    assert [turn.role for turn in found["a/why"].dialogue] == ["user", "assistant", "user"]
    assert found["a/why"].dialogue[1].content == "Best."


def test_an_exchange_holds_what_its_revision_is_conditioned_on_and_nothing_later():
    found = {each.id: each for each in taught(learn_revising=True)}

    assert set(found) == {"a", "b", "d", "a/critique-0", "a/revise-0", "a/critique-1",
                          "a/revise-1", "b/revise-0"}  # fmt: skip
    last = found["a/revise-1"]
    asked = last.dialogue[-1].content
    assert last.response == "Best."
    assert all(part in asked for part in ("Do not mock", "Request a", "Better.", "It mocks."))
    assert "Best." not in asked and "Bad." not in asked  # noqa: PT018
    assert found["a/critique-1"].response == "It mocks."
    assert "It mocks." not in found["a/critique-1"].dialogue[-1].content
    assert "critique" not in found["b/revise-0"].dialogue[-1].content.casefold()


def test_trails_whose_revision_is_not_imitated_teach_nothing_more():
    examples = [each for each in examples_to_imitate(TRAILS, HELPFUL) if each.id != "a"]
    found = more_to_imitate(
        examples, TRAILS, LAW, prompts=WORDS,
        settings=Revising(reasons="when asked", learn_revising=True),
    )  # fmt: skip

    assert {each.id for each in found} == {"b", "b/why", "b/revise-0", "d"}


def test_the_worked_examples_of_a_principle_are_no_part_of_what_is_learned():
    from plumbrule.constitution import load_constitution

    law = load_constitution("default")
    name = law.principles[0].id
    trails = [RevisionTrail(first=first("a"), rounds=(round_(name, "Better."),))]

    found = revising_exchanges(trails, law, prompts=load_prompts("default"))

    assert [[turn.role for turn in each.dialogue] for each in found] == [["system", "user"]] * 2


def test_a_way_to_give_reasons_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="in reply or when asked"):
        Revising(reasons="always")  # type: ignore[arg-type]
