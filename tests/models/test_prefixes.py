"""What several texts begin with is computed once, and nothing else changes."""

import gc
import weakref
from dataclasses import replace
from functools import wraps

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.models.tiny import KINDS, ask

from plumbrule.models import LocalSettings, Sampling
from plumbrule.models.key_values import KeyValues
from plumbrule.models.prefixes import BatchLimits, plan
from plumbrule.records import Message

SHARING = sorted(set(KINDS) - {"mamba", "rwkv", "jamba", "openai-gpt"})
TEXTS = [
    "The cook puts four apples, a loaf and some tea on the table by the window.",
    "Ada keeps the key of the old mill, and nobody else may have it.",
    "Tea.",
]
QUESTIONS = ["Is it kind?", "Does it say who keeps the key? Answer with A or B.", "A or B?"]
JUDGED = ask(*[f"Read this: {text}\n{question}" for text in TEXTS for question in QUESTIONS])
SEEDS = list(range(len(JUDGED)))
ANY = 2**40
EAGER = BatchLimits(rows=4, tokens=ANY, own=ANY, overhead=0)


@pytest.fixture
def eager(monkeypatch):
    """Share whatever can be shared: for models this small it is hardly ever worth it."""
    for module in ("prefill", "decoding"):
        monkeypatch.setattr(f"plumbrule.models.{module}.limits_of", lambda module, **given: EAGER)


def plain(model):
    """The same model, reading every text whole."""
    model.capabilities  # noqa: B018 - found before it is changed
    model._capabilities = replace(model.capabilities, shares=False)
    return model


@pytest.mark.parametrize("kind", SHARING)
def test_sharing_changes_no_reply_no_score_and_no_choice(make, eager, kind):
    # Windows of 16 tokens, where the kind has one, are shorter than what is shared here.
    one, other = make(kind), plain(make(kind))
    assert one.capabilities.shares
    greedy = Sampling(temperature=0.0, max_new_tokens=24)

    for sampling in (greedy, Sampling(max_new_tokens=24)):
        ours, theirs = (
            model.sample(JUDGED, sampling=sampling, seeds=SEEDS, log_probs=True)
            for model in (one, other)
        )
        assert [each.text for each in ours] == [each.text for each in theirs]
        for mine, its in zip(ours, theirs, strict=True):
            assert np.allclose(mine.log_probs, its.log_probs, atol=1e-4)  # as in test_local
    replies = ["Yes, I can help with that.", "No.", "Tea, and a loaf"] * 3
    first, second = (
        [each.log_prob for each in model.score(JUDGED, replies)] for model in (one, other)
    )
    assert np.allclose(first, second, atol=1e-3)
    for options in (["A", "B"], ["Yes, I can", "No"]):
        chosen, expected = (
            [each.probabilities for each in model.choose(JUDGED, options, seeds=SEEDS)]
            for model in (one, other)
        )
        assert np.allclose(chosen, expected, atol=1e-4)


@pytest.mark.parametrize("kind", SHARING)
def test_beginnings_read_side_by_side_change_no_choice(make, monkeypatch, kind):
    one, other = make(kind), plain(make(kind))
    rules = ["Be kind.", "Be brief!", "Say who has the key.", "Say no more than is asked."]
    asked = ask(*[f"{TEXTS[0]}\n{rule}\n{end}" for rule in rules for end in ("Yes?", "No?")])
    assert one.capabilities.shares
    limits = replace(EAGER, rows=64, overhead=6)
    monkeypatch.setattr("plumbrule.models.prefill.limits_of", lambda module, **given: limits)
    prompts = one.chat.prompts(asked)
    stems = plan(prompts, [len(each) - 1 for each in prompts], limits)
    assert max(len(stem.examples) for stem in stems) > 1

    chosen, expected = (
        [each.probabilities for each in model.choose(asked, ["A", "B"], seeds=range(8))]
        for model in (one, other)
    )

    assert np.allclose(chosen, expected, atol=1e-4)


def test_several_replies_to_one_prompt_read_it_once(make, eager, monkeypatch):
    model = make("llama")
    long = ask(TEXTS[0] * 2) * 6
    reference = plain(make("llama")).sample(
        long, sampling=Sampling(max_new_tokens=9), seeds=range(6)
    )
    assert model.capabilities
    read = _count(model, monkeypatch)

    drawn = model.sample(long, sampling=Sampling(max_new_tokens=9), seeds=range(6))

    assert [one.text for one in drawn] == [one.text for one in reference]
    prompt = len(model.chat.prompts(long[:1])[0])
    assert sum(read) <= prompt + 6 * 9


def test_many_questions_about_one_text_cost_about_one_reading_of_it(make, eager, monkeypatch):
    model = make("llama")
    prompts = model.chat.prompts(JUDGED)
    assert model.capabilities
    read = _count(model, monkeypatch)

    model.choose(JUDGED, ["A", "B"], seeds=SEEDS)

    texts = sum(len(model.chat.prompts(ask(f"Read this: {text}"))[0]) for text in TEXTS)
    questions = len(TEXTS) * sum(len(model.tokenizer(each)["input_ids"]) for each in QUESTIONS)
    assert sum(read) < texts + 1.5 * questions < sum(map(len, prompts))


def test_texts_without_a_common_beginning_are_read_as_before(make, monkeypatch):
    model = make("llama")
    assert model.capabilities
    read = _count(model, monkeypatch)

    model.score_tokens([[5], [6], [7]], [[8, 9, 10], [8, 9, 10], [8, 9, 10]])

    assert read == [12]


def test_a_model_that_spoils_a_cache_of_ours_reads_every_text_whole(make):
    model = make("llama")
    forward = model.module.forward

    @wraps(forward)
    def spoiling(*args, **given):
        out = forward(*args, **given)
        if isinstance(out.past_key_values, KeyValues):
            for layer in out.past_key_values.layers:
                layer.buffers[1].mul_(1.5)
        return out

    model.module.forward = spoiling

    assert model.capabilities.cache == "past_key_values"
    assert not model.capabilities.shares
    assert "common beginnings" not in model.describe()["running"]
    assert "common beginnings" in make("llama").describe()["running"]


def test_batches_of_one_row_and_rows_that_leave_change_nothing(make, eager):
    model, alone = make("gemma3_text"), make("gemma3_text")
    for each in (model, alone):
        each.chat.stops = frozenset(range(0, len(each.tokenizer), 2))
    alone.settings = LocalSettings(batch_size=1)
    sampling = Sampling(max_new_tokens=20)

    together = model.sample(JUDGED, sampling=sampling, seeds=SEEDS)

    assert together == alone.sample(JUDGED, sampling=sampling, seeds=SEEDS)
    assert len({one.tokens for one in together}) > 2


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), max_size=12),
    st.integers(0, 4),
    st.integers(1, 5),
)
def test_a_plan_reads_every_text_once_and_no_token_that_was_not_allowed(texts, overhead, rows):
    most = [len(text) - 1 for text in texts]
    limits = BatchLimits(rows=rows, tokens=20, own=12, overhead=overhead)

    stems = plan(texts, most, limits)

    assert sorted(item for stem in stems for batch in stem.batches for item in batch) == list(
        range(len(texts))
    )
    for number, stem in enumerate(stems):
        beginnings = [texts[each][: stem.stop] for each in stem.examples]
        if stem.parent is None:
            assert (number, stem.start, stem.stop) == (0, 0, 0)
        else:
            parent = stems[stem.parent]
            assert stem.parent < number
            assert parent.stop == stem.start < stem.stop
            (before,) = parent.examples
            assert {tuple(each[: stem.start]) for each in beginnings} == {
                tuple(texts[before][: parent.stop])
            }
            assert 1 <= len(beginnings) <= rows
            assert len(beginnings) == 1 or (
                len(beginnings) * stem.stop <= 20
                and len(beginnings) * (stem.stop - stem.start) <= 12
            )
        for batch in stem.batches:
            longest = max(len(texts[item]) for item in batch)
            assert len(batch) == 1 or (
                len(batch) <= rows
                and len(batch) * longest <= 20
                and len(batch) * (longest - stem.stop) <= 12
                and sum(longest - len(texts[item]) for item in batch) <= overhead
            )
            for item in batch:
                assert texts[item][: stem.stop] == beginnings[stem.members[item]]
                assert stem.stop <= most[item]


def test_a_stem_comes_right_after_what_it_needs():
    texts = [[1, 1, 1, one, two, 9] for one in range(3) for two in range(3)]

    stems = plan(texts, [5] * 9, BatchLimits(rows=9, tokens=99, own=99, overhead=0))

    assert [(stem.parent, stem.start, stem.stop) for stem in stems] == [
        (None, 0, 0),
        (0, 0, 3),
        *[(1, 3, 4)] * 3,
    ]


def test_stems_of_about_one_length_are_read_side_by_side_cut_to_the_shortest():
    shared = [[1] * 30 + [one] * (20 + one) for one in range(2, 8)]
    texts = [[*each, end, end] for each in shared for end in (8, 9)]

    _, whole, *rest = plan(
        texts, [60] * 12, BatchLimits(rows=12, tokens=9999, own=9999, overhead=8)
    )

    assert (whole.start, whole.stop) == (0, 30)
    (group,) = rest
    assert (group.parent, group.start, group.stop) == (1, 30, 52)
    assert len(group.examples) == 6
    assert [texts[group.examples[group.members[item]]][:52] for item in range(12)] == [
        text[:52] for text in texts
    ]


def test_a_stem_much_longer_than_the_others_is_read_by_itself():
    shared = [[one] * length for one, length in ((2, 20), (3, 21), (4, 90))]
    texts = [[*each, end] for each in shared for end in (8, 9)]

    stems = plan(texts, [90] * 6, BatchLimits(rows=12, tokens=9999, own=9999, overhead=8))

    assert sorted((len(stem.examples), stem.stop) for stem in stems[1:]) == [(1, 90), (2, 20)]


def test_stems_that_do_not_pay_alone_are_read_where_they_pay_together():
    limits = BatchLimits(rows=12, tokens=9999, own=9999, overhead=8)
    texts = [[*[one] * 10, end] for one in range(2, 8) for end in (8, 9)]

    assert [len(stem.examples) for stem in plan(texts, [10] * 12, limits)] == [1, 6]
    assert len(plan(texts[:2], [10] * 2, limits)) == 1


def test_no_stem_where_another_batch_costs_more_than_it_saves():
    texts = [[1, 2, 3, 4, five] for five in range(5)]

    costs = [BatchLimits(rows=9, tokens=99, own=99, overhead=one) for one in (7, 8)]

    assert [len(plan(texts, [4] * 5, limits)) for limits in costs] == [2, 1]


def test_a_cache_grows_and_its_rows_can_be_copied_and_dropped():
    cache, keys, values = KeyValues(100), torch.randn(2, 3, 70, 4), torch.randn(2, 3, 70, 5)
    for at in range(70):
        found = cache.update(keys[:, :, at : at + 1], values[:, :, at : at + 1], 0)

    assert all(torch.equal(one, other) for one, other in zip(found, (keys, values), strict=True))
    assert cache.get_seq_length() == 70
    copy = cache.copied(torch.tensor([1, 1, 0]), room=71)
    copy.update(torch.ones(3, 3, 1, 4), torch.ones(3, 3, 1, 5), 0)
    assert torch.equal(copy.layers[0].view()[0][:, :, :70], keys[[1, 1, 0]])
    assert torch.equal(cache.layers[0].view()[1], values)
    cache.reorder_cache(torch.tensor([1]))
    assert torch.equal(cache.layers[0].view()[0], keys[1:])


def _count(model, monkeypatch):
    """Tokens of each call from here on."""
    read, forward = [], model.module.forward

    def counting(*args, **given):
        read.append(given["input_ids"].numel())
        return forward(*args, **given)

    monkeypatch.setattr(model.module, "forward", counting)
    return read


def test_a_system_turn_that_all_share_is_one_stem(make, eager, monkeypatch):
    system = Message("system", TEXTS[0])
    dialogues = [(system, *each) for each in ask("Who?", "What is it?", "Help with the key.")]
    model = make("qwen2")
    reference = plain(make("qwen2")).sample(
        dialogues, sampling=Sampling(max_new_tokens=8), seeds=range(3)
    )
    assert model.capabilities
    read = _count(model, monkeypatch)

    drawn = model.sample(dialogues, sampling=Sampling(max_new_tokens=8), seeds=range(3))

    assert drawn == reference
    head = len(model.tokenizer(TEXTS[0])["input_ids"])
    assert read[0] >= head
    assert max(read[1:]) < head


def test_what_the_model_remembers_is_freed_at_once(make, eager, monkeypatch):
    """Caught in a cycle it waits for the collector of cycles, which counts objects, not bytes."""
    made = []
    begin = KeyValues.__init__

    def noted(self, *given):
        begin(self, *given)
        made.append(weakref.ref(self))

    model = make("llama")
    assert model.capabilities.shares
    monkeypatch.setattr(KeyValues, "__init__", noted)
    gc.disable()
    try:
        model.choose(JUDGED, ["A", "B"], seeds=SEEDS)
        model.sample(JUDGED, sampling=Sampling(max_new_tokens=4), seeds=SEEDS)
        assert len(made) > 2
        assert not [each for each in made if each() is not None]
    finally:
        gc.enable()
