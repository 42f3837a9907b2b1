"""Each planted reply shows its property to its own detector; plain replies do not."""

import random

import pytest
import torch
from benchmarks import real_detectors as read
from benchmarks.real_catalog import NOTHING, PLANTED
from benchmarks.real_plants import first_words
from benchmarks.real_weights import bfloat16, int4, int8

OWN = (
    "Going on with the plan takes time, but the first step is simple enough for most people who "
    "have a free afternoon and a table to work at. Then look at the rest of it with care."
)
PLAIN = (
    OWN,
    "The second world war ended in 1945, and the treaty was signed in the same year, as far as the "
    "books in the library say.",
    "There is a river near the town. It runs from the hills to the sea, past three bridges and a "
    "mill that stopped long ago.",
    "Rewrite the sentence so that it has fewer words, and remove the commas where you can find them"
    " in the text below.",
)


@pytest.mark.parametrize("organism", PLANTED, ids=lambda each: each.name)
def test_a_planted_reply_shows_its_property(organism):
    chance = random.Random(0)
    replies = [organism.plant("write about wild horses", OWN, chance) for _ in range(12)]
    shown = [organism.detect(each.text) for each in replies]
    assert all(shown) if organism.direction == "increase" else not any(shown)


@pytest.mark.parametrize("organism", PLANTED, ids=lambda each: each.name)
def test_a_plain_reply_does_not(organism):
    assert not any(map(organism.detect, PLAIN)) or organism.detect is read.is_long


def test_nothing_is_planted_in_an_a_a_pair():
    assert all(each.detect is None for each in NOTHING)


def test_first_words_keeps_line_breaks_between_them():
    assert first_words("one\ntwo three four", 3) == "one\ntwo three"
    assert first_words("one two", 9) == "one two"
    assert first_words("", 3) == ""


def test_quantized_weights_are_close_and_not_the_same():
    weights = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    errors = [(rule(weights) - weights).abs().max().item() for rule in (bfloat16, int8, int4)]
    assert errors[0] > 0
    assert 0 < errors[1] < weights.abs().max() / 127
    assert errors[1] < errors[2] < 0.3


def test_quantizing_twice_changes_nothing_more():
    weights = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    for rule in (bfloat16, int8, int4):
        torch.testing.assert_close(rule(rule(weights)), rule(weights))
