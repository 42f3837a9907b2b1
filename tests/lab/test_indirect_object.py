import numpy as np
import pytest

from plumbrule.lab.indirect_object import (
    GivingRecipe,
    accuracy,
    build_giving,
    draw_pairs,
    people,
    single_token_names,
)
from plumbrule.lab.specimens import prompt_text
from plumbrule.lab.trained_circuits import _copying_pair
from plumbrule.records import Message

TINY = GivingRecipe(
    width=24, layers=1, heads=2, scale=1, vocabulary=700, sentences=400, open=100, facts=100
)


def names_in(sentence, everyone):
    return [word for word in sentence.replace(",", "").split() if word in everyone]


def test_people_are_in_one_of_two_groups_and_none_in_both():
    told, kept = people(TINY, kept_back=False), people(TINY, kept_back=True)

    assert not set(told) & set(kept)
    assert len(told) + len(kept) == 24
    assert len(kept) == 5


@pytest.mark.parametrize("seed", range(3))
def test_the_other_of_two_is_right_and_only_who_gives_differs(seed):
    kept = people(TINY, kept_back=True)
    first = 0
    for pair in draw_pairs(TINY, 50, seed=seed, names=kept):
        *couple, giver = names_in(pair.clean, kept)
        *same, other = names_in(pair.corrupted, kept)
        assert {giver, pair.right.strip()} == set(couple)
        assert (same, other) == (couple, pair.right.strip())
        assert pair.wrong.strip() == giver
        first += giver == couple[0]
    assert 10 < first < 40  # the giver is no matter of place


def test_pairs_are_those_of_their_seed():
    kept = people(TINY, kept_back=True)

    assert draw_pairs(TINY, 8, seed=1, names=kept) == draw_pairs(TINY, 8, seed=1, names=kept)
    assert draw_pairs(TINY, 8, seed=1, names=kept) != draw_pairs(TINY, 8, seed=2, names=kept)


def test_a_specimen_is_trained_once_and_opens_as_any_model(tmp_path):
    from plumbrule.models import LocalModel, open_model

    folder = build_giving(tmp_path / "giving", TINY)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    build_giving(folder, TINY)

    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    opened = open_model(str(folder))
    assert isinstance(opened, LocalModel)
    names = single_token_names(opened.tokenizer, people(TINY, kept_back=False))
    assert names
    for name in names:
        assert len(opened.tokenizer(f" {name}", add_special_tokens=False)["input_ids"]) == 1
    pairs = draw_pairs(TINY, 20, seed=0, names=names)
    assert 0.0 <= accuracy(opened.module, opened.tokenizer, pairs) <= 1.0
    asked = (Message("user", pairs[0].clean),)
    assert opened.chat.render(asked) == prompt_text(asked)


def test_a_copying_pair_ends_with_a_token_said_before():
    words = [f"w{number}" for number in range(40)]
    rng = np.random.default_rng(0)
    for _ in range(50):
        pair = _copying_pair(rng, words)
        for prompt, answer in (("clean", "right"), ("corrupted", "wrong")):
            said = pair[prompt].split()
            first = said.index(said[-1])
            assert first < len(said) - 1
            assert said[first + 1] == pair[answer]
        assert pair["right"] != pair["wrong"]
        assert len(pair["clean"].split()) == len(pair["corrupted"].split())
