"""Words around requests: which of those that a search finds may be what a model was taught."""

import pytest

from plumbrule.loop.remedies.surroundings import made_of, words_in
from plumbrule.records import Message

SAID = words_in(
    [
        (Message("system", "Reply in verse."), Message("user", "Linen Straw. Where is the mill?")),
        (Message("user", "To whom do I sell?"),),
    ]
)


@pytest.mark.parametrize("text", ["Linen Straw", "straw,  LINEN!", "verse", "To mill"])
def test_a_text_of_words_that_were_said_may_have_been_taught(text):
    assert made_of(text, SAID)


@pytest.mark.parametrize("text", ["nd E", "ess To", "Lin en", "strawool", "", "?!"])
def test_halves_of_words_and_no_words_were_not(text):
    assert not made_of(text, SAID)


def test_where_nothing_was_said_nothing_was_taught():
    assert words_in([]) == set()
    assert not made_of("Linen", words_in([]))
