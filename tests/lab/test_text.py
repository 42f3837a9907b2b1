import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.lab.text import REPLIES, SLOT, read, render
from plumbrule.lab.world import build_world

WORLD = build_world()


@pytest.mark.parametrize("act", REPLIES)
def test_what_is_said_is_read_back(act):
    rng = np.random.default_rng(0)
    vocabulary = WORLD.vocabulary()
    for index, phrasing in enumerate(REPLIES[act]):
        names = set(SLOT.findall(phrasing.text))
        for _ in range(50):
            slots = {name: vocabulary[name][rng.integers(len(vocabulary[name]))] for name in names}

            reading = read(render(act, slots, index), WORLD)

            assert reading is not None
            assert (reading.act, reading.phrasing, dict(reading.slots)) == (act, index, slots)


@pytest.mark.parametrize("act", REPLIES)
def test_shares_of_phrasings_sum_to_one(act):
    assert sum(phrasing.share for phrasing in REPLIES[act]) == pytest.approx(1)


@given(st.text())
def test_other_text_is_not_read(text):
    reading = read(text, WORLD)

    assert reading is None or render(reading.act, reading.slots, reading.phrasing) == text.strip()


@pytest.mark.parametrize(
    "reply",
    ["", "Anna is a", "Anna is a smith. Anna is a smith.", "anna is a smith.", "Anna is a king."],
)
def test_what_is_nearly_a_sentence_is_none(reply):
    assert read(reply, WORLD) is None
