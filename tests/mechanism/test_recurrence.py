import copy

import numpy as np
import pytest
import torch

from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.mechanism import by_word, find_sites, match_features, match_heads
from plumbrule.mechanism.opening import open_with_sites


@pytest.fixture(scope="module")
def small():
    model, sites = open_with_sites("lab:small")
    return model.module, sites


@pytest.fixture(scope="module")
def untrained(small):
    torch.manual_seed(7)
    module = type(small[0])(copy.deepcopy(small[0].config)).eval()
    return module, find_sites(module)


def permuted(module, order):
    """The same function with the heads of every layer in another order."""
    other = copy.deepcopy(module)
    size = module.config.head_dim
    rows = torch.cat([torch.arange(each * size, (each + 1) * size) for each in order])
    with torch.no_grad():
        for layer in other.model.layers:
            attention = layer.self_attn
            for part in (attention.q_proj, attention.k_proj, attention.v_proj):
                part.weight.copy_(part.weight[rows])
            attention.o_proj.weight.copy_(attention.o_proj.weight[:, rows])
    return other


def test_heads_are_found_again_in_another_order(small):
    module, sites = small
    count = module.config.num_attention_heads
    order = list(np.roll(np.arange(count), 1))
    other = permuted(module, order)

    found = match_heads((module, sites), (other, find_sites(other)), seed=0, sequences=48)

    sure = [each for each in found if each.confirmed]
    assert len(found) == count * len(sites.layers)
    assert sure
    for each in sure:
        assert (each.match_layer, each.match_head) == (each.layer, order.index(each.head))
        assert each.overlap == pytest.approx(1.0, abs=1e-4)
        assert each.untrained_overlap < 0.9


def test_nothing_recurs_where_nothing_was_learned(small, untrained):
    assert not any(each.confirmed for each in match_heads(small, untrained, seed=0, sequences=48))
    assert not any(each.confirmed for each in match_heads(untrained, small, seed=0, sequences=48))


def test_models_are_left_as_they_were_and_chance_outside_too(small):
    module, sites = small
    before = {name: value.clone() for name, value in module.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)

    match_heads((module, sites), (module, sites), seed=0, sequences=4)

    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_a_class_that_wants_more_than_its_configuration_is_named(small, monkeypatch):
    def refuses(self, config):
        raise TypeError("missing argument")

    monkeypatch.setattr(type(small[0]), "__init__", refuses)

    with pytest.raises(ModelError, match="cannot be made anew from its configuration"):
        match_heads(small, small, seed=0, sequences=4)


def test_too_few_sequences_for_two_halves(small):
    with pytest.raises(ConfigError, match="sequences at least 4"):
        match_heads(small, small, seed=0, sequences=3)


def activity(rng, texts=60, words=12, features=6, share=0.2):
    """Features that are active now and then, independently of each other."""
    return [
        rng.gamma(2.0, size=(words, features)) * (rng.random((words, features)) < share)
        for _ in range(texts)
    ]


def test_features_are_found_again_in_another_order_and_scale():
    rng = np.random.default_rng(0)
    one = activity(rng)
    order = rng.permutation(6)
    other = [3.0 * text[:, order] + 0.02 * rng.random(text.shape) for text in one]

    found = match_features(one, other)

    assert len(found) == 6
    assert all(each.confirmed for each in found)
    assert all(order[each.match] == each.feature for each in found)
    assert min(each.correlation for each in found) > 0.95
    assert min(each.overlap or 0 for each in found) > 0.8


def test_independent_features_do_not_recur():
    claimed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        claimed += any(
            each.confirmed for each in match_features(activity(rng), activity(rng, features=40))
        )

    assert claimed <= 5


def test_a_feature_that_is_always_active_does_not_recur_for_that():
    rng = np.random.default_rng(1)
    one = [1 + rng.random((12, 1)) for _ in range(60)]
    other = [1 + rng.random((12, 3)) for _ in range(60)]

    (found,) = match_features(one, other)

    assert (found.overlap or 0) > 0.5
    assert not found.confirmed


def test_a_rare_feature_is_not_tested_and_says_so():
    rng = np.random.default_rng(2)
    one = activity(rng, texts=20, features=1)
    for text in one[10:17]:
        text[:] = 0

    (found,) = match_features(one, one)

    assert (found.overlap, found.e_value, found.confirmed) == (None, None, False)
    assert found.reason == "active in fewer than 8 of the 10 testing texts"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda texts: texts[:-1], "the same for both models"),
        (lambda texts: [*texts[:-1], texts[-1][:-1]], "text 59: expected as many words"),
    ],
)
def test_texts_that_do_not_correspond(change, message):
    texts = activity(np.random.default_rng(3))

    with pytest.raises(DataError, match=message):
        match_features(texts, change(texts))


def test_nothing_active():
    texts = [np.zeros((4, 2)) for _ in range(8)]

    with pytest.raises(DataError, match="active in the first half"):
        match_features(texts, texts)


def test_words_end_where_their_last_token_stands():
    tokenizer = open_with_sites("lab:pico")[0].tokenizer
    text = "Where does Anna work?  Ask unforeseeable."
    row = tokenizer(text)["input_ids"]

    ends = by_word(tokenizer, text, row)

    assert len(ends) == 6
    assert ends == sorted(set(ends))
    starts = [0, *[end + 1 for end in ends[:-1]]]
    pieces = [
        tokenizer.decode(row[start : end + 1]).strip()
        for start, end in zip(starts, ends, strict=True)
    ]
    assert pieces == text.split()


def test_other_tokens_than_the_text_has():
    tokenizer = open_with_sites("lab:pico")[0].tokenizer

    with pytest.raises(DataError, match="got others"):
        by_word(tokenizer, "Where?", [1, 2, 3, 4, 5, 6, 7, 8])
