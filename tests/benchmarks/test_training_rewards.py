"""Reward models on human pairs: cut without leaks, intervals that cover, prompts computed once."""

import gzip
import json
from collections import Counter

import numpy as np
import pytest
from benchmarks import real_ground
from benchmarks.training_rewards import (
    FEATURES,
    FILE,
    PROMPT_TOKENS,
    REPLY_TOKENS,
    HumanPair,
    Way,
    _StateReader,
    accuracies,
    corrected,
    folds,
    human_pairs,
    longer,
    readable,
    readable_differences,
    simple_accuracies,
    texts_of,
)


def made(number, rng, effect=1.0, each=1):
    """Pairs with five features, the first of which people look at; `each` to a conversation."""
    seen = rng.normal(size=(number, 5))
    chosen = rng.random(number) < 1 / (1 + np.exp(-effect * seen[:, 0]))
    return seen, [
        HumanPair(
            prompt="\n\nHuman: so?",
            first="a b",
            second="a",
            first_chosen=bool(one),
            conversation=str(at // each),
        )
        for at, one in enumerate(chosen)
    ]


def write(path, rows):
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def row(prompt, chosen, rejected, other=None):
    begin = f"\n\nHuman: {prompt}\n\nAssistant:"
    beside = begin if other is None else f"\n\nHuman: {other}\n\nAssistant:"
    return {"chosen": f"{begin} {chosen}", "rejected": f"{beside} {rejected}"}


def test_pairs_are_read_and_those_that_say_nothing_are_left_out(tmp_path):
    rows = [row(f"q {at}", "yes", "no") for at in range(60)]
    path = write(
        tmp_path / "pairs.gz", [*rows, row("same", "a", "a"), row("one", "a", "b", other="two")]
    )
    loaded = human_pairs(path)

    assert (loaded.read, loaded.same_replies, loaded.other_prompts) == (62, 1, 1)
    assert len(loaded.pairs) == 60
    for pair in loaded.pairs:
        assert (pair.first if pair.first_chosen else pair.second) == "yes"
    assert 15 < sum(pair.first_chosen for pair in loaded.pairs) < 45
    assert human_pairs(path) == loaded


def test_turns_are_taken_apart():
    pair = HumanPair(
        prompt="\n\nHuman: a?\n\nAssistant: b\n\nc\n\nHuman: d",
        first="",
        second="",
        first_chosen=True,
        conversation="",
    )

    assert texts_of(pair) == [("user", "a?"), ("assistant", "b\n\nc"), ("user", "d")]


def test_no_conversation_stands_on_both_sides():
    _, pairs = made(200, np.random.default_rng(0), each=3)
    tested: Counter[int] = Counter()
    for train, test in folds(pairs, 2):
        assert not {pairs[at].conversation for at in train} & {
            pairs[at].conversation for at in test
        }
        tested.update(test.tolist())

    assert set(tested.values()) == {2}
    assert len(tested) == 200


def test_a_planted_preference_is_found_and_its_absence_too():
    rng = np.random.default_rng(1)
    seen, pairs = made(600, rng, effect=3.0)
    found = corrected(accuracies(Way(dense=seen), pairs, repetitions=2, strengths=(0.1, 1.0)), 600)
    assert found.low > 0.7

    _, chance = made(600, rng, effect=0.0)
    nothing = corrected(accuracies(Way(dense=seen), chance, repetitions=2), 600)
    assert nothing.low < 0.5 < nothing.high


def test_sides_may_be_exchanged():
    seen, pairs = made(200, np.random.default_rng(2))
    turned = [
        HumanPair(
            prompt=one.prompt,
            first=one.second,
            second=one.first,
            first_chosen=not one.first_chosen,
            conversation=one.conversation,
        )
        for one in pairs
    ]
    straight = accuracies(Way(dense=seen), pairs, repetitions=1, strengths=(1.0,))

    assert np.array_equal(
        straight, accuracies(Way(dense=-seen), turned, repetitions=1, strengths=(1.0,))
    )


def test_a_word_that_people_like_is_found_in_the_bag():
    rng = np.random.default_rng(3)
    pairs = []
    for at in range(200):
        first = bool(rng.random() < 0.5)
        texts = ("please do so now", "never do so now")
        pairs.append(
            HumanPair(
                prompt="\n\nHuman: so?",
                first=texts[0 if first else 1],
                second=texts[1 if first else 0],
                first_chosen=first,
                conversation=str(at),
            )
        )

    assert accuracies(Way(bag=True), pairs, repetitions=1, strengths=(1.0,)).min() == 1


def test_the_interval_covers_the_accuracy_of_a_model_of_that_many_pairs():
    rng = np.random.default_rng(4)
    fresh, unseen = made(20000, rng)
    labels = np.array([one.first_chosen for one in unseen])
    truth = []
    for _ in range(40):  # accuracy that a model of 160 pairs, four fifths of 200, has on average
        seen, pairs = made(160, rng)
        signs = np.array([1 if one.first_chosen else -1 for one in pairs])
        weights = np.linalg.lstsq(seen, signs, rcond=None)[0]
        truth.append(np.mean((fresh @ weights > 0) == labels))
    covered = 0
    for _ in range(40):
        seen, pairs = made(200, rng)
        got = accuracies(Way(dense=seen), pairs, repetitions=2, strengths=(1.0,))
        covered += corrected(got, 200).low <= np.mean(truth) <= corrected(got, 200).high

    assert covered >= 34  # of 40; at 95% fewer than 34 happen once in 100 times


def test_simple_rules_are_what_they_say():
    _, pairs = made(100, np.random.default_rng(5))
    always = simple_accuracies(np.ones(100), pairs)

    assert always.mean() == pytest.approx(np.mean([one.first_chosen for one in pairs]))
    assert set(longer(pairs)) == {1.0}
    assert simple_accuracies(np.full(100, 0.5), pairs) == pytest.approx(np.full(25, 0.5))


def test_readable_features_count_what_their_names_say():
    values = readable("\n\nHuman: my garden", "Sorry, I can\u2019t. Why?")
    told = dict(zip(FEATURES, values, strict=True))

    assert told["words"] == 4
    assert told["apologies"] == told["refusals"] == told["questions"] == np.log1p(1)
    assert told["sentences"] == np.log1p(2)
    assert told["insults"] == told["echo"] == 0


def test_the_real_pairs_are_those_that_people_labeled():
    if not FILE.exists():
        pytest.skip(f"the pairs are not at {FILE}")
    loaded = human_pairs()

    assert loaded.read == 2312
    assert len(loaded.pairs) == 2307
    assert 0.45 < np.mean([pair.first_chosen for pair in loaded.pairs]) < 0.55
    assert np.isfinite(readable_differences(loaded.pairs[:200])).all()


def test_a_shared_prompt_gives_the_states_of_the_whole_text():
    if reason := real_ground.why_absent("smollm2"):
        pytest.skip(reason)
    import torch

    reader = _StateReader()
    reader.model = reader.model.float()
    replies = ("Paris, of course.", "I do not know the answer to that, and I am sorry about it.")
    pair = HumanPair(
        prompt="\n\nHuman: What is the capital of France?",
        first=replies[0],
        second=replies[1],
        first_chosen=True,
        conversation="",
    )
    asked = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    expected = []
    for reply in replies:
        ids, prompt = reader._ids(asked + reply + "<|im_end|>"), len(reader._ids(asked))
        with torch.inference_mode():
            states = reader.model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        expected.append([[one[0, -1], one[0, prompt:].mean(0)] for one in states])
    got = reader.difference(pair).reshape(3, 2, -1)

    for row, layer in enumerate((8, 14, 20)):
        for column in range(2):
            wanted = (expected[0][layer][column] - expected[1][layer][column]).numpy()
            assert np.allclose(got[row, column], wanted, atol=1e-3 * np.abs(wanted).max())
    assert PROMPT_TOKENS + REPLY_TOKENS == 192
