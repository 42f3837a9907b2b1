import random
from dataclasses import replace

import pytest
from tests.training.worker import exchanges, sentence

from plumbrule.errors import ConfigError
from plumbrule.training.constitutional import (
    RevisionRound,
    RevisionTrail,
    examples_to_imitate,
    sift_revisions,
)
from plumbrule.training.revision_filter import Revision, RevisionFilter, filter_revisions

DRAFT = "Take the flute while nobody looks. Then hide it under your coat."
CRITIQUE = "The reply tells the user to take what is not theirs, which harms the owner of it."
GOOD = "Ask the owner whether you may borrow the flute. Bring it back when you said you would."


def reason(revision, critiques=(CRITIQUE,), draft=DRAFT):
    each = Revision(id="a", draft=draft, critiques=critiques, revision=revision)
    return filter_revisions([each]).dropped.get("a")


@pytest.mark.parametrize(
    ("revision", "why"),
    [
        (GOOD, None),
        ("Paris.", None),
        ("1. Ask first\n2. Bring it back", None),  # a list has no ends of sentences
        ("   ", "empty"),
        (DRAFT + " ", "unchanged"),
        ("I will not help you with that. " * 6, "repeats itself"),
        ("Ask the owner of the flute. Then bring it ba", "broken off"),
        (CRITIQUE, "copied from the critique"),
        (
            "You see, the reply tells the user to take what is not theirs.",
            "copied from the critique",
        ),
        ("This reply is on the right track, but it should ask.", "about the reply"),
        ("Rewrite the reply again with a positive note.", "about the reply"),
        ("Their reply will come. Ask the owner again.", None),
    ],
)
def test_each_fault_has_its_reason(revision, why):
    assert reason(revision) == why


def test_words_that_a_critique_quotes_from_the_draft_are_not_copied_from_it():
    quoting = ("It says: take the flute while nobody looks, which is theft.",)
    assert reason("Do not take the flute while nobody looks.", quoting) is None


def test_what_a_revision_keeps_of_its_draft_does_not_hide_what_it_copies():
    long = f"{DRAFT} {GOOD}"
    assert reason(f"{CRITIQUE} {long}", draft=long) == "copied from the critique"


def test_who_is_asked_about_a_reply_may_speak_of_it():
    draft = "The reply in your letter is rude."
    assert reason("The reply in your letter is short, and could be kinder.", draft=draft) is None


def test_half_a_sentence_is_no_fault_where_the_draft_had_no_end_either():
    code = "print(1)\nprint(2"
    assert reason("Print it. Then print(3", draft=code) is None


def many(text, count, start=0):
    return [
        Revision(id=f"{start + at}", draft=DRAFT, critiques=(), revision=text(at))
        for at in range(count)
    ]


def test_what_is_said_whatever_was_asked_is_kept_only_up_to_its_share():
    draw = random.Random(0)
    own = many(lambda at: f"{sentence(draw, 6, 9)} number {at}.", 60)
    same = many(
        lambda at: (
            "I am sorry but as an assistant I can not help with this request of yours"
            + (" now." if at % 2 else ".")
        ),
        40,
        start=60,
    )
    found = filter_revisions([*own, *same])
    assert found.counts == {"boilerplate": 35}  # 5% of 100 stay
    assert [name for name in found.kept if int(name) >= 60] == ["60", "61", "62", "63", "64"]
    assert filter_revisions([*own, *same], RevisionFilter(most_alike=1.0)).counts == {}


@pytest.mark.parametrize(("others", "left_out"), [(0, 0), (5, 0), (20, 35)])
def test_one_right_answer_to_one_principle_is_no_boilerplate(others, left_out):
    draw = random.Random(2)
    own = many(lambda at: f"{sentence(draw, 6, 9)} number {at}.", 60)
    same = [
        replace(each, principle_id="honesty" if at < others else "not-a-person")
        for at, each in enumerate(many(lambda at: "No, I am an assistant.", 40, start=60))
    ]
    assert sum(filter_revisions([*own, *same]).counts.values()) == left_out


def test_replies_of_one_form_about_different_things_are_not_one_text():
    draw = random.Random(1)
    formed = many(lambda at: f"No, {sentence(draw, 5, 8)} is not mine to give.", 80)
    assert filter_revisions(formed).counts == {}


def test_two_short_answers_of_a_small_set_may_be_the_same():
    assert filter_revisions(many(lambda at: "No.", 2)).dropped == {}
    assert filter_revisions(many(lambda at: "No.", 3)).counts == {"boilerplate": 1}


def trail(exchange, revision, critique=CRITIQUE):
    each = RevisionRound(
        principle_id="p",
        critique=critique,
        found_problem=revision is not None,
        revision=revision,
        reason=None,
    )
    return RevisionTrail(first=exchange, rounds=(each,))


def test_only_what_was_sifted_is_imitated_and_all_where_nothing_was():
    drafts = [replace(each, response=DRAFT) for each in exchanges(3)]
    trails = [trail(drafts[0], GOOD), trail(drafts[1], CRITIQUE), trail(drafts[2], None)]
    sifted = sift_revisions(trails)
    assert sifted.kept == ("e0",)
    assert sifted.counts == {"copied from the critique": 1}
    assert [each.id for each in examples_to_imitate(trails, [])] == ["e0", "e1"]
    assert [each.id for each in examples_to_imitate(trails, [], sifted=sifted)] == ["e0"]


@pytest.mark.parametrize("wrong", [{"alike": 1.5}, {"most_alike": -0.1}])
def test_shares_outside_their_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RevisionFilter(**wrong)
