"""Local models of many kinds: nothing here may depend on which."""

import copy
import math
from dataclasses import replace
from functools import wraps
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.models.tiny import KINDS, QUESTIONS, ask, build
from transformers import XLNetConfig, XLNetLMHeadModel

from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.models import LanguageModel, LocalModel, LocalSettings, Sampling
from plumbrule.models.sampling import BELOW_ONE, batches, pick
from plumbrule.records import Message

SHORT = Sampling(max_new_tokens=20)
SEEDS = [11, 12, 13, 14, 15]


def log_softmax(model, prompt, reply=()):
    """Every next-token distribution along one sequence, alone and without a cache."""
    ids = torch.tensor([[*prompt, *reply]])
    with torch.no_grad():
        return model.module(input_ids=ids, use_cache=False).logits[0].double().log_softmax(-1)


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_log_probs_are_those_of_the_same_tokens_scored_alone(make, kind):
    model = make(kind)
    prompts = model.chat.prompts(QUESTIONS)

    drawn = model.sample_tokens(prompts, sampling=SHORT, seeds=SEEDS, log_probs=True)
    scored = model.score_tokens(prompts, [one.tokens for one in drawn])

    for prompt, one, values in zip(prompts, drawn, scored, strict=True):
        table = log_softmax(model, prompt, one.tokens)
        truth = [
            float(table[len(prompt) - 1 + place, token]) for place, token in enumerate(one.tokens)
        ]
        # 1e-4 nats: float32 through two layers whose logits spread over about 20 nats.
        assert np.allclose(one.log_probs, truth, atol=1e-4)
        assert np.allclose(values, truth, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reply_depends_on_its_seed_and_not_on_its_neighbors(make, kind):
    model = make(kind)
    together = model.sample(QUESTIONS, sampling=SHORT, seeds=SEEDS)
    model.settings = LocalSettings(batch_size=1)
    alone = model.sample(QUESTIONS[::-1], sampling=SHORT, seeds=SEEDS[::-1])[::-1]

    assert [one.text for one in together] == [one.text for one in alone]
    assert len({one.text for one in together}) == len(together)


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_replies_are_those_of_the_library_itself(make, kind):
    model = make(kind)
    prompts = model.chat.prompts(QUESTIONS)
    greedy = Sampling(temperature=0.0, max_new_tokens=12)

    drawn = model.sample_tokens(prompts, sampling=greedy, seeds=SEEDS)

    for prompt, one in zip(prompts, drawn, strict=True):
        theirs = model.module.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            use_cache=False,  # the library's cache is what some kinds get wrong
            max_new_tokens=12,
            pad_token_id=0,
            eos_token_id=sorted(model.chat.stops),
        )
        assert list(one.tokens) == theirs[0, len(prompt) :].tolist()


def test_other_seeds_give_other_replies_and_the_same_seed_the_same(llama):
    one, same, other = llama.sample(QUESTIONS[:1] * 3, sampling=SHORT, seeds=[5, 5, 6])

    assert one == same != other


def test_short_replies_leave_the_batch_and_the_long_ones_stay_what_they_were(make):
    model = make("llama")
    # Half the vocabulary ends a reply, so rows leave at nearly every step.
    model.chat.stops = frozenset(range(0, len(model.tokenizer), 2))
    dialogues, seeds = ask(*[f"Question {number}?" for number in range(40)]), list(range(40))

    together = model.sample_tokens(model.chat.prompts(dialogues), sampling=SHORT, seeds=seeds)
    model.settings = LocalSettings(batch_size=1)
    alone = model.sample_tokens(model.chat.prompts(dialogues), sampling=SHORT, seeds=seeds)

    assert [one.tokens for one in together] == [one.tokens for one in alone]
    assert len({len(one.tokens) for one in together}) > 3


@pytest.mark.parametrize(
    ("kind", "padded", "cached"),
    [
        ("llama", True, True),
        ("gpt2", True, True),
        ("opt", True, True),
        ("bloom", True, True),
        ("gemma2", True, True),
        ("mixtral", True, True),
        ("openai-gpt", True, False),
        ("jamba", True, True),
        ("mamba", False, True),
        ("rwkv", False, False),
    ],
)
def test_the_route_is_found_by_trying(make, kind, padded, cached):
    route = make(kind).capabilities

    assert (route.padded, route.cache is not None) == (padded, cached)


def test_a_model_that_forgets_its_mask_is_not_given_padded_batches(make):
    model = make("llama")
    forward = model.module.forward

    @wraps(forward)
    def forgetful(*args, **given):
        return forward(*args, **{**given, "attention_mask": None})

    model.module.forward = forgetful

    assert not model.capabilities.padded
    assert "equal-length" in model.describe()["running"]


def test_a_model_that_spoils_its_cache_is_recomputed(make):
    model = make("llama")
    forward = model.module.forward

    @wraps(forward)
    def spoiling(*args, **given):
        out = forward(*args, **given)
        if out.past_key_values is not None:
            for layer in out.past_key_values.layers:
                layer.values = layer.values * 1.5
        return out

    model.module.forward = spoiling

    assert model.capabilities.cache is None
    assert "no usable cache" in model.describe()["running"]


def test_a_model_that_reads_ahead_is_refused(tokenizer):
    config = XLNetConfig(vocab_size=len(tokenizer), d_model=32, n_layer=2, n_head=4, d_inner=48)
    model = LocalModel(XLNetLMHeadModel(config), tokenizer)
    assert model.context is None

    with pytest.raises(ModelError, match="expected a causal language model"):
        model.sample(QUESTIONS, sampling=SHORT, seeds=SEEDS)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_drawn_tokens_are_as_frequent_as_the_model_says(llama, temperature):
    draws = 4000
    dialogues = ask("Answer with A or B.") * draws
    prompt = llama.chat.prompts(dialogues[:1])[0]
    sampling = Sampling(temperature=temperature, max_new_tokens=1)

    drawn = llama.sample_tokens([prompt] * draws, sampling=sampling, seeds=range(draws))

    counts = np.bincount([one.tokens[0] for one in drawn], minlength=len(llama.tokenizer))
    shares = (log_softmax(llama, prompt)[-1] / temperature).softmax(-1).numpy()
    group = np.where(shares * draws >= 5, np.arange(len(shares)), len(shares))  # rare ones together
    groups = np.unique(group)
    observed = [counts[group == one].sum() for one in groups]
    expected = [shares[group == one].sum() * draws for one in groups]
    # One fixed set of seeds, so this either always passes or never does.
    assert stats.chisquare(observed, expected).pvalue > 0.01


@pytest.mark.parametrize("top_p", [0.3, 0.6, 0.95, 1.0])
def test_the_nucleus_holds_the_likeliest_tokens_and_no_other(top_p):
    shares = np.array([0.02, 0.4, 0.08, 0.3, 0.2])
    points = (np.arange(10_000) + 0.5) / 10_000
    logits = torch.tensor(shares).log().float().expand(len(points), -1)

    tokens = pick(logits, torch.from_numpy(points), Sampling(top_p=top_p)).numpy()

    order = np.argsort(-shares)
    kept = order[: int(np.sum(np.cumsum(shares[order]) - shares[order] < top_p - 1e-9))]
    truth = np.where(np.isin(np.arange(5), kept), shares, 0)
    truth /= truth.sum()
    # Evenly spaced numbers: counts are exact up to the one that falls on each border.
    assert np.abs(np.bincount(tokens, minlength=5) - truth * 10_000).max() <= 2


@pytest.mark.parametrize("number", [0.0, 1 - 2**-50])
def test_a_token_without_probability_is_never_drawn(number):
    logits = torch.tensor([[-math.inf, 0.0, -math.inf, 1.0, -math.inf]])

    token = pick(logits, torch.tensor([number], dtype=torch.float64), Sampling())

    assert token.item() in (1, 3)


@given(st.floats(1e-300, 1e300))
def test_no_share_of_a_whole_rounds_up_to_the_whole(whole):
    assert min(1.0, BELOW_ONE) * whole < whole


def test_a_cold_temperature_does_not_overflow():
    logits = torch.tensor([[1e4, 0.0, -1e4]])

    token = pick(logits, torch.tensor([0.9], dtype=torch.float64), Sampling(temperature=1e-4))

    assert token.item() == 0


@pytest.mark.parametrize("kind", ["llama", "mamba", "bloom"])
def test_one_token_answers_are_weighed_by_the_next_token(make, kind):
    model = make(kind)
    options = ["A", "B"]
    tokens = model.tokenizer.convert_tokens_to_ids(options)

    choices = model.choose(QUESTIONS, options, seeds=SEEDS)

    for prompt, choice in zip(model.chat.prompts(QUESTIONS), choices, strict=True):
        shares = log_softmax(model, prompt)[-1].exp()[tokens].numpy()
        assert np.allclose(choice.probabilities, shares / shares.sum(), atol=1e-5)
        assert choice.covered == pytest.approx(shares.sum(), abs=1e-5)
        assert (choice.method, choice.reason) == ("log-probs", None)


def test_longer_answers_are_weighed_whole_with_the_decision_to_stop(llama):
    options = ["Yes, I can", "No", "No, I will not"]
    choices = llama.choose(QUESTIONS[:2], options, seeds=SEEDS[:2])

    for dialogue, choice in zip(QUESTIONS, choices, strict=False):
        shares = []
        for option in options:
            prompt, reply = llama.chat.with_replies([dialogue], [option])[0]
            table = log_softmax(llama, prompt, [*reply, llama.chat.end])
            places = range(len(prompt) - 1, len(prompt) + len(reply))
            logs = [table[at, token] for at, token in zip(places, [*reply, 1], strict=True)]
            shares.append(math.exp(sum(logs)))
        assert np.allclose(choice.probabilities, np.array(shares) / sum(shares), rtol=1e-3)
        assert choice.covered == pytest.approx(sum(shares), rel=1e-3)


@pytest.mark.parametrize("options", [["A"], ["A", ""], ["A", "A"]])
def test_answers_that_cannot_be_told_apart_are_refused(llama, options):
    with pytest.raises(DataError, match=r"expected (two answers or more|answers that differ)"):
        llama.choose(QUESTIONS, options, seeds=SEEDS)


def test_a_score_is_the_sum_over_the_reply_and_the_end_only_on_request(llama):
    replies = ["Ada keeps it.", "No.", "", "A", "Tea, and a loaf"]
    scores = llama.score(QUESTIONS, replies)
    ended = llama.score(QUESTIONS, replies, end_of_turn=True)

    for (prompt, reply), score, whole in zip(
        llama.chat.with_replies(QUESTIONS, replies), scores, ended, strict=True
    ):
        table = log_softmax(llama, prompt, [*reply, 1])
        truth = sum(float(table[len(prompt) - 1 + at, token]) for at, token in enumerate(reply))
        assert score.log_prob == pytest.approx(truth, abs=1e-3)
        assert score.tokens == len(reply)
        stop = float(table[len(prompt) + len(reply) - 1, 1])
        assert whole.log_prob == pytest.approx(truth + stop, abs=1e-3)
    assert (scores[2].log_prob, scores[2].tokens) == (0.0, 0)


def test_replies_end_where_the_turn_does_and_say_when_they_were_cut(llama):
    drawn = llama.sample(QUESTIONS * 8, sampling=Sampling(max_new_tokens=60), seeds=range(40))

    assert {one.finish_reason for one in drawn} == {"stop", "length"}
    assert all(one.tokens == 60 for one in drawn if one.finish_reason == "length")
    assert not any(special in one.text for one in drawn for special in ("<|end|>", "<|user|>"))


def test_a_prompt_without_room_for_its_reply_is_named_before_anything_is_drawn(make):
    model = make("llama", max_position_embeddings=64)
    long = ask("Help.", "again " * 40)
    before = replace(model.usage)

    for attempt in (
        lambda: model.check_lengths(long, 20),
        lambda: model.sample(long, sampling=SHORT, seeds=[1, 2]),
        lambda: model.choose(long, ["A", "B"], seeds=[1, 2]),
        lambda: model.score(long, ["A", "B"]),
    ):
        with pytest.raises(DataError, match=r"dialogue 1 has \d+: the model reads 64"):
            attempt()
    assert model.usage == before


def test_of_a_large_pool_the_longest_is_found_and_its_number_told(make):
    model = make("llama", max_position_embeddings=64)
    many = [QUESTIONS[0]] * 3000
    many[2345] = (Message("user", "the key " * 60),)

    with pytest.raises(DataError, match="dialogue 2345 has"):
        model.check_lengths(many, 20)


def test_what_was_done_is_counted(make):
    model = make("llama")
    prompts = model.chat.prompts(QUESTIONS)

    drawn = model.sample(QUESTIONS, sampling=SHORT, seeds=SEEDS)
    assert model.usage.tokens_generated == sum(one.tokens for one in drawn)
    model.choose(QUESTIONS, ["A", "B"], seeds=SEEDS)
    assert model.usage.tokens_scored == sum(map(len, prompts))
    assert model.usage.calls == 0


def test_training_mode_comes_back_also_after_an_error(make, monkeypatch):
    model = make("gpt2")  # a kind with dropout
    model.module.train()
    model.module.transformer.drop.eval()
    modes = [part.training for part in model.module.modules()]

    first = model.sample(QUESTIONS, sampling=SHORT, seeds=SEEDS)
    second = model.sample(QUESTIONS, sampling=SHORT, seeds=SEEDS)
    monkeypatch.setattr(model.module, "forward", None)
    with pytest.raises(TypeError):
        model.sample(QUESTIONS, sampling=SHORT, seeds=SEEDS)

    assert first == second
    assert [part.training for part in model.module.modules()] == modes


def test_weights_that_are_not_numbers_are_an_error_and_not_a_reply(make):
    model = make("llama")
    assert model.capabilities
    with torch.no_grad():
        model.module.model.norm.weight[3] = math.nan

    for attempt in (
        lambda: model.sample(QUESTIONS, sampling=SHORT, seeds=SEEDS),
        lambda: model.choose(QUESTIONS, ["A", "B"], seeds=SEEDS),
        lambda: model.score(QUESTIONS, ["A"] * 5),
    ):
        with pytest.raises(ModelError, match="got NaN"):
            attempt()


def test_the_identity_follows_the_weights_and_nothing_that_does_not_matter(make, tokenizer):
    model, twin = make("llama"), make("llama")
    assert model.identity == twin.identity

    with torch.no_grad():
        model.module.lm_head.weight[5, 5] += 1e-3
    model.weights_changed()
    assert model.identity != twin.identity

    other = copy.deepcopy(tokenizer)
    other.chat_template = tokenizer.chat_template + " "
    assert LocalModel(twin.module, other).identity != twin.identity


def test_a_vocabulary_larger_than_the_embedding_is_refused(tokenizer):
    with pytest.raises(ModelError, match="expected a tokenizer of at most 300 tokens"):
        LocalModel(build("llama", 300), tokenizer)


def test_a_local_model_is_a_language_model(llama):
    assert isinstance(llama, LanguageModel)
    assert llama.describe()["architecture"] == "LlamaForCausalLM"


def test_one_seed_a_prompt(llama):
    with pytest.raises(DataError, match="expected one seed a prompt, got 1 for 5"):
        llama.sample(QUESTIONS, sampling=SHORT, seeds=[1])


@pytest.mark.parametrize("name", ["batch_size", "max_batch_tokens", "max_batch_logits"])
def test_a_setting_out_of_range_is_named(name):
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        replace(LocalSettings(), **{name: 0})  # type: ignore[arg-type]


def test_batches_hold_every_item_once_within_their_bounds():
    lengths = [5, 1, 9, 9, 2, 7, 30]
    cut = batches(lengths, extra=3, rows=3, tokens=30, equal=False)

    assert sorted(item for batch in cut for item in batch) == list(range(7))
    assert all(len(batch) <= 3 for batch in cut)
    assert all(len(b) == 1 or (max(lengths[i] for i in b) + 3) * len(b) <= 30 for b in cut)
    flat = [lengths[item] for batch in cut for item in batch]
    assert all(one >= other for one, other in pairwise(flat))
    assert all(
        len({lengths[item] for item in batch}) == 1
        for batch in batches(lengths, extra=3, rows=3, tokens=30, equal=True)
    )


def test_no_dialogues_no_replies(llama):
    assert llama.sample([], sampling=SHORT, seeds=[]) == []
    assert llama.score([], []) == []
    assert llama.choose([], ["A", "B"], seeds=[]) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_graphics_card_gives_the_same_replies(make):
    model = make("llama")
    here = model.sample(QUESTIONS, sampling=SHORT, seeds=SEEDS)
    model.module.to("cuda")

    assert [one.text for one in model.sample(QUESTIONS, sampling=SHORT, seeds=SEEDS)] == [
        one.text for one in here
    ]


def test_a_dialogue_must_end_with_the_user(llama):
    with pytest.raises(DataError, match="ends with a user's message"):
        llama.sample([(Message("assistant", "Yes."),)], sampling=SHORT, seeds=[1])
