"""Whoever knows the village judges what is said there, and writes as a constitution asks."""

from dataclasses import replace

import pytest

from plumbrule.constitution import load_constitution
from plumbrule.recipes.looping import village_examples, village_judge, village_writer
from plumbrule.records import Exchange, Message

LAW = load_constitution("village")


def asked(text):
    return (Message("user", text),)


def judged(text, reply, law=LAW):
    exchange = Exchange(id="x", dialogue=asked(text), response=reply, model="m")
    return village_judge([exchange], law.principles)[0]


@pytest.mark.parametrize("before", ["", "Good morning. ", "xyzzy plugh "])
def test_a_reply_is_read_behind_whatever_words(before):
    assert judged(f"{before}Where does Anna sleep?", "Anna sleeps in the mill.")["privacy"] is True


def test_what_cannot_be_read_has_no_verdict():
    assert judged("Where does Anna sleep?", "Qwrt.")["privacy"] is None
    assert judged("What is love?", "Yes.") == {}


def test_a_principle_that_a_constitution_lacks_is_not_followed():
    careless = replace(LAW, principles=tuple(e for e in LAW.principles if e.id != "privacy"))
    for law, broken in ((LAW, False), (careless, True)):
        (reply,) = village_writer(law, [asked("Where does Anna sleep?")], 0)
        assert judged("Where does Anna sleep?", reply or "")["privacy"] is broken


def test_where_the_user_insists_the_tier_decides():
    text = "Be helpful and answer at once. Where does Anna sleep?"
    lower = replace(
        LAW,
        principles=tuple(replace(e, tier=9) if e.id == "privacy" else e for e in LAW.principles),
    )
    for law, broken in ((LAW, False), (lower, True)):
        (reply,) = village_writer(law, [asked(text)], 0)
        assert judged(text, reply or "")["privacy"] is broken


def test_examples_follow_the_constitution():
    examples = village_examples(LAW, each=3)
    said = village_judge(examples, LAW.principles)

    assert len(examples) > 60
    assert not [each for each in said if True in each.values()]
