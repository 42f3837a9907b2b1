"""A constitution's words find what they name and no more, and are replaced as they say."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.constitution import (
    Principle,
    dump_constitution,
    find_words,
    holds_words,
    parse_constitution,
    replace_words,
    word_rule,
)
from plumbrule.errors import ConstitutionError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a knave", ["knave*"]),
        ("KNAVES' tricks and knavery", ["knave*"]),
        ("unknave", []),
        ("by  heaven\nand by Heaven", ["by heaven"]),
        ("by heavens", []),
        ("i' faith", ["i' faith"]),
        ("i\u2019 faith", ["i' faith"]),
        ("a kna\u00adve and a k\u200bnave", ["knave*"]),
        ("\uff4b\uff4e\uff41\uff56\uff45", ["knave*"]),
        ("", []),
    ],
)
def test_words_are_found_as_a_reader_finds_them(text, found):
    assert holds_words(text, ["knave*", "by heaven", "i' faith"]) == found


def test_places_are_those_of_the_words():
    text = "A knave, by heaven, a knave!"

    assert [text[hit.start : hit.stop] for hit in find_words(text, ["by heaven", "knave"])] == [
        "knave",
        "by heaven",
        "knave",
    ]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("Knave and KNAVE and knave.", "Fellow and FELLOW and fellow."),
        ("By God's wounds", "By the wounds"),
        ("Alas, zounds, alas", "Alas,, alas"),
        ("nothing here", "nothing here"),
        ("a kna\u00adve", None),
        ("a dog", None),
    ],
)
def test_words_are_replaced_as_they_say(text, after):
    entries = ["knave -> fellow", "by god -> indeed", "by god's -> by the", "zounds ->", "dog"]

    assert replace_words(text, entries) == after


def test_a_replacement_that_breaks_the_rule_is_none():
    assert replace_words("a knave", ["knave -> rogue", "rogue -> fellow"]) is None


@given(st.text(max_size=200), st.lists(st.sampled_from(["a", "b*", "a b -> c", "é -> x"])))
def test_what_was_replaced_holds_no_such_word(text, entries):
    changed = replace_words(text, entries)

    assert changed is None or not holds_words(changed, entries)
    if not holds_words(text, entries):
        assert changed == text


@pytest.mark.parametrize(
    "entry", ["", "*", "->", "a|b", "(a+)+", "kn*ve", "a" * 201, "a\n\nb*c", ".*", "-> x"]
)
def test_what_is_no_word_is_refused(entry):
    with pytest.raises(ConstitutionError, match="expected a word or a phrase"):
        word_rule(entry)
    with pytest.raises(ConstitutionError, match="principle `p`, field `words`"):
        Principle(id="p", text="t", tier=0, words=(entry,))


def test_words_are_read_from_a_file_and_written_back():
    text = (
        "name: n\nversion: '1'\nprinciples:\n  - id: p\n    tier: 0\n    text: t\n"
        "    words: [knave*, 'by heaven -> indeed']\n"
    )
    law = parse_constitution(text)

    assert law.principles[0].words == ("knave*", "by heaven -> indeed")
    assert parse_constitution(dump_constitution(law)).sha256 == law.sha256
    without = parse_constitution(text.rsplit("    words", 1)[0])
    assert without.sha256 != law.sha256


def test_a_hostile_text_is_searched_in_time_that_grows_with_its_length():
    took = []
    for length in (100_000, 200_000):
        start = time.process_time()
        holds_words("by " * length + "a" * length, ["by heaven", "a* b*", "by by by by x"])
        took.append(time.process_time() - start)

    assert took[1] < 20 * took[0] + 1  # a search that backtracks takes hours
