import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.constitution.builders import patient

from plumbrule.constitution.wording import (
    alike,
    condition,
    covers,
    excludes,
    impossible,
    rarity,
    sentences,
    similarity,
    stems,
    words,
)

anything = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(
    ["the", "user", "not", "never", "is", "a", "doctor", "or", "and", "harmful", "always"]
), max_size=8).map(" ".join))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "demands"),
    [
        ("Be kind.", True),
        ("Always tell the dose.", True),
        ("Say what you do not know.", True),
        ("Never tell the dose.", False),
        ("Don't lie.", False),
        ("Don\u2019t lie.", False),
        ("Do not lie.", False),
        ("The assistant must not lie.", False),
        ("You should never lie.", False),
        ("Avoid gossip.", False),
        ("Refuse to gossip.", False),
        ("Never refuse to teach.", True),
        ("Do not avoid hard topics.", True),
        ("When asked for a dose, never give it.", False),
        ("If someone is not sure, explain again.", True),
        ("No insults.", False),
        ("You cannot gossip.", False),
    ],
)
def test_a_sentence_demands_or_forbids(text, demands):
    assert [sentence.demands for sentence in sentences(text)] == [demands]


def test_a_rule_is_taken_apart_at_its_sentences():
    found = sentences("Praise what is good. Never praise what is weak; say so!\nBe brief")

    assert [sentence.demands for sentence in found] == [True, False, True, True]
    assert found[0].words == {"prais", "good"}


def test_endings_of_words_do_not_matter():
    assert stems(words("doses giving people stopped classes")) == stems(
        words("dose give person stop class")
    )


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("the request is harmful", "the request is harmful", True),
        ("the request is harmful", "the request is harmful and urgent", True),
        ("the request is harmful and urgent", "the request is harmful", False),
        ("the request is harmful", "the request is harmful or urgent", False),
        ("the request is harmful", "the request is not harmful", False),
        ("it rains", "it does not ever not rain", True),
        ("in every case", "the user is a doctor", True),
        ("always", "it rains", True),
        ("never", "it rains", False),
        ("", "it rains", False),
        ("it rains", "it snows", False),
    ],
)
def test_one_condition_covers_another(wide, narrow, expected):
    assert covers(wide, narrow) is expected


def test_conditions_that_deny_each_other_exclude_each_other():
    assert excludes("the user is a child", "the user is not a child")
    assert excludes("the user is not a child", "the user is a child")
    assert not excludes("the user is a child", "the user is a child")
    assert not excludes("the user is a child", "the user is not a doctor")
    assert not excludes("always", "never")


def test_a_condition_can_deny_itself():
    assert impossible("the user is a child and the user is not a child")
    assert impossible("the user is an adult and not an adult")
    assert not impossible("the user is a child and not a doctor")
    assert not impossible("salt and pepper")


@patient
@given(anything, anything)
def test_relations_between_conditions_hold_together(first, second):
    assert excludes(first, second) == excludes(second, first)
    assert alike(first, second) == alike(second, first)
    assert 0 <= alike(first, second) <= 1
    assert not excludes(first, first)
    if condition(first).words:
        assert alike(first, first) == 1
        assert "or" in words(first) or covers(first, first)
    if excludes(first, second):
        assert not covers(first, second)
        assert alike(first, second) == 0


@patient
@given(st.lists(anything, min_size=1, max_size=5))
def test_similarity_is_a_cosine(found):
    weights = rarity(found)
    bags = [frozenset(stems(words(text))) for text in found]
    for bag in bags:
        assert similarity(bag, bags[0], weights) == similarity(bags[0], bag, weights)
        assert 0 <= similarity(bag, bags[0], weights) <= 1
        if bag:
            assert similarity(bag, bag, weights) == pytest.approx(1)


def test_similarity_equals_the_cosine_of_weighted_vectors():
    weights = {"salt": 2.0, "dose": 1.0, "tree": 3.0}

    # (2, 1, 0) and (2, 0, 3): 4 / (sqrt(5) * sqrt(13))
    found = similarity(frozenset({"salt", "dose"}), frozenset({"salt", "tree"}), weights)
    assert found == pytest.approx(4 / (5**0.5 * 13**0.5))


def test_words_of_every_text_weigh_least():
    weights = rarity(["bread and salt", "bread and oil", "bread"])

    assert weights["bread"] == pytest.approx(1)
    assert weights["salt"] == weights["oil"] > weights["bread"]
