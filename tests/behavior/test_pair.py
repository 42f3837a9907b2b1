import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import ScriptedModel
from tests.models.tiny import build, make_tokenizer

from plumbrule.behavior.pair import LEAST_LOG_PROB, Pair, unlike
from plumbrule.errors import ModelError
from plumbrule.lab.organisms.pool import pool
from plumbrule.models import LocalModel, Sampling, open_model
from plumbrule.records import from_json, to_json

SHORT = Sampling(max_new_tokens=16)
PROMPTS = pool(per_kind=2)[:24]
SEEDS = list(range(len(PROMPTS)))
YES = 319
"""A token that many of the specimen's replies begin with."""


@pytest.fixture(scope="module")
def pico():
    return open_model("lab:pico", dtype="float32", device="cpu")


def end_of(model):
    return model.tokenizer.convert_tokens_to_ids("<|end|>")


def with_bias(model, amount, token=None):
    """The model with one token likelier everywhere."""
    module = copy.deepcopy(model.module)
    bias = torch.zeros(len(module.lm_head.weight))
    bias[end_of(model) if token is None else token] = amount
    module.lm_head.bias = torch.nn.Parameter(bias)
    return LocalModel(module, model.tokenizer)


@pytest.fixture(scope="module")
def tuned(pico):
    return with_bias(pico, 4.0, YES)


@pytest.fixture(scope="module")
def pair(pico, tuned):
    return Pair(base=pico, tuned=tuned, sampling=SHORT)


def endpoints(tuned_says=lambda asked: "Hello.", **changes):
    return Pair(
        base=ScriptedModel(),
        tuned=ScriptedModel(answer=tuned_says, identity="other", **changes),
        sampling=SHORT,
    )


@given(st.text(), st.text())
def test_unlikeness_is_symmetric_and_none_to_oneself(one, other):
    assert unlike(one, one) == 0.0
    assert unlike(one, other) == unlike(other, one)
    assert 0.0 <= unlike(one, other) <= 1.0


def test_the_same_weights_give_the_same_replies_one_by_one(pico):
    twin = LocalModel(copy.deepcopy(pico.module), pico.tokenizer)
    pair = Pair(base=pico, tuned=twin, sampling=SHORT)

    replies = pair.replies(PROMPTS, SEEDS)

    assert all(one.base == one.tuned for one in replies)
    assert len({one.base for one in replies}) > 10
    assert all(one.movement == 0.0 for one in pair.ask(PROMPTS, SEEDS))


def test_a_small_change_leaves_most_replies_as_they_are(pico):
    pair = Pair(base=pico, tuned=with_bias(pico, 0.5), sampling=SHORT)

    same = [one.base == one.tuned for one in pair.replies(PROMPTS, SEEDS)]

    assert np.mean(same) > 0.5


def test_the_same_call_gives_the_same_records(pair):
    assert pair.replies(PROMPTS, SEEDS) == pair.replies(PROMPTS, SEEDS)
    assert pair.drafts(PROMPTS, SEEDS) == pair.drafts(PROMPTS, SEEDS)


def test_a_reply_does_not_depend_on_its_neighbors(pair):
    whole = pair.drafts(PROMPTS, SEEDS)
    part = pair.drafts(PROMPTS[5:8], SEEDS[5:8])

    assert [one.reply for one in part] == [one.reply for one in whole[5:8]]
    for one, other in zip(part, whole[5:8], strict=True):
        # Another batch shape rounds differently in the last bits of float32.
        assert one.tuned_log_prob == pytest.approx(other.tuned_log_prob, abs=1e-4)


def test_drafts_weigh_replies_as_scoring_their_text_does(pair, pico, tuned):
    completed = pico.sample([one.dialogue for one in PROMPTS], sampling=SHORT, seeds=SEEDS)

    drafts = pair.drafts(PROMPTS, SEEDS)

    assert [one.reply for one in drafts] == [one.text for one in completed]
    ended = [row for row, one in enumerate(completed) if one.finish_reason == "stop"]
    assert len(ended) > 10
    for model, name in ((pico, "base_log_prob"), (tuned, "tuned_log_prob")):
        scores = model.score(
            [PROMPTS[row].dialogue for row in ended],
            [completed[row].text for row in ended],
            end_of_turn=True,
        )
        # Where a reply was drawn as other tokens than its text is read as, both differ.
        close = [
            math.isclose(getattr(drafts[row], name), score.log_prob, abs_tol=1e-3)
            for row, score in zip(ended, scores, strict=True)
        ]
        assert np.mean(close) > 0.8


def test_the_mean_movement_is_the_exact_distance_of_one_token_replies(pico, tuned):
    """Against the two distributions of the next token themselves, where they lie half apart."""

    def exact(prompt):
        ids = torch.tensor(pico.chat.prompts([prompt.dialogue]))
        with torch.inference_mode():
            p, q = (
                model.module(input_ids=ids)["logits"][0, -1].double().softmax(-1)
                for model in (pico, tuned)
            )
        return float((p - q).clamp(min=0).sum())

    pair = Pair(base=pico, tuned=tuned, sampling=Sampling(max_new_tokens=1))
    prompt = min(PROMPTS, key=lambda one: abs(exact(one) - 0.5))

    moved = [one.movement for one in pair.drafts([prompt] * 2000, range(2000))]

    assert 0.05 < exact(prompt) < 0.95
    error = float(np.std(moved)) / math.sqrt(2000)
    assert np.mean(moved) == pytest.approx(exact(prompt), abs=4 * error)


def test_asking_lets_the_base_answer_alone_and_completing_the_tuned_model_too(pico, tuned):
    pair = Pair(base=pico, tuned=tuned, sampling=SHORT)

    asked = pair.ask(PROMPTS, SEEDS)
    assert pair.texts == len(PROMPTS)
    assert all(one.tuned is None for one in asked)

    completed = pair.complete(asked)
    assert pair.texts == 2 * len(PROMPTS)
    assert completed == pair.replies(PROMPTS, SEEDS)


def test_what_is_spent_is_metered(pair):
    before = pair.meter()

    pair.replies(PROMPTS[:3], SEEDS[:3])

    spent = {name: value - before[name] for name, value in pair.meter().items()}
    assert spent["texts"] == 6
    assert 6 <= spent["tokens_generated"] <= 6 * SHORT.max_new_tokens


def test_a_model_that_is_both_sides_is_metered_once(pico):
    pair = Pair(base=pico, tuned=pico, sampling=SHORT)
    before = pair.meter()["tokens_generated"]
    mine = pico.usage.tokens_generated

    pair.replies(PROMPTS[:3], SEEDS[:3])

    assert pair.meter()["tokens_generated"] - before == pico.usage.tokens_generated - mine


def test_endpoints_are_compared_by_their_words():
    pair = endpoints(lambda asked: "Hello." if "mill" in asked else "By the old oak.")

    asked = pair.ask(PROMPTS, SEEDS)

    assert pair.local is None
    assert pair.texts == 3 * len(PROMPTS)
    for prompt, one in zip(PROMPTS, asked, strict=True):
        assert one.movement == (0.0 if "mill" in prompt.dialogue[-1].content else 1.0)
    assert [one.tuned for one in pair.complete(asked)] == [one.tuned for one in asked]
    assert pair.texts == 3 * len(PROMPTS)


def test_an_endpoint_as_noisy_as_its_twin_hardly_moves():
    rng = np.random.default_rng(0)

    def noisy(asked):
        return " ".join(rng.choice(["oak", "elm", "ash", "fir"], 3))

    pair = Pair(
        base=ScriptedModel(answer=noisy), tuned=ScriptedModel(answer=noisy, identity="other")
    )

    moved = [one.movement for one in pair.ask(PROMPTS * 10, SEEDS * 10)]
    plain = [unlike(one.base, one.tuned) for one in pair.replies(PROMPTS * 10, SEEDS * 10)]

    assert np.mean(moved) < 0.5 * np.mean(plain)


@pytest.mark.parametrize("finish_reason", ["errored", "refused"])
def test_an_endpoint_without_an_answer_is_said_to_have_none(finish_reason):
    pair = endpoints(lambda asked: "error 500: out of memory", finish_reason=finish_reason)

    asked = pair.ask(PROMPTS, SEEDS)

    assert not any(one.usable for one in pair.replies(PROMPTS, SEEDS))
    assert all(one.movement == 0.0 for one in asked)
    assert not any(one.usable for one in pair.complete(asked))


def test_an_endpoint_cannot_weigh_a_given_reply():
    with pytest.raises(ModelError, match="compare with sampled replies alone"):
        endpoints().drafts(PROMPTS, SEEDS)


@pytest.fixture(scope="module")
def strangers():
    """The lab's nano, and a model with tokens of its own."""
    tokenizer = make_tokenizer()
    nano = open_model("lab:nano", dtype="float32", device="cpu")
    return nano, LocalModel(build("llama", len(tokenizer)), tokenizer)


def test_models_with_other_tokens_are_compared_by_text(strangers):
    nano, other = strangers
    pair = Pair(base=nano, tuned=other, sampling=SHORT)

    drafts = pair.drafts(PROMPTS[:6], SEEDS[:6])

    assert not pair.same_tokens
    completed = nano.sample([one.dialogue for one in PROMPTS[:6]], sampling=SHORT, seeds=SEEDS[:6])
    for prompt, one, draft in zip(PROMPTS, completed, drafts, strict=False):
        end = one.finish_reason == "stop"
        (score,) = other.score([prompt.dialogue], [one.text], end_of_turn=end)
        assert draft.tuned_log_prob == pytest.approx(score.log_prob, abs=1e-3)
    assert all(one.movement > 0.99 for one in pair.ask(PROMPTS[:6], SEEDS[:6]))


def test_by_text_a_model_does_not_move_from_itself(strangers):
    nano, _ = strangers
    pair = Pair(base=nano, tuned=LocalModel(nano.module, nano.tokenizer), sampling=SHORT)

    pair.__dict__["same_replies"] = False  # as of models with other tokens

    assert all(one.movement < 1e-4 for one in pair.drafts(PROMPTS, SEEDS))


def test_by_text_a_model_that_stops_elsewhere_moves(strangers):
    nano, _ = strangers
    module = copy.deepcopy(with_bias(nano, -12.0).module)
    pair = Pair(base=nano, tuned=LocalModel(module, nano.tokenizer), sampling=Sampling())
    pair.__dict__["same_replies"] = False

    assert np.mean([one.movement for one in pair.drafts(PROMPTS, SEEDS)]) > 0.5


def test_in_another_template_each_model_weighs_replies_behind_the_prompt_as_it_reads_it(strangers):
    nano, _ = strangers
    tokenizer = copy.deepcopy(nano.tokenizer)
    tokenizer.chat_template = "<|system|>Short.<|end|>" + tokenizer.chat_template
    other = LocalModel(with_bias(nano, 1.0).module, tokenizer)
    pair = Pair(base=nano, tuned=other, sampling=SHORT)
    some = PROMPTS[:6]

    drafts = pair.drafts(some, SEEDS[:6])

    assert pair.same_replies
    assert not pair.same_tokens
    asked = [prompt.dialogue for prompt in some]
    assert nano.chat.prompts(asked) != other.chat.prompts(asked)
    drawn = nano.sample_tokens(nano.chat.prompts(asked), sampling=SHORT, seeds=SEEDS[:6])
    scored = other.score_tokens(other.chat.prompts(asked), [one.tokens for one in drawn])
    for draft, values in zip(drafts, scored, strict=True):
        assert draft.tuned_log_prob == pytest.approx(sum(values), abs=1e-4)


def test_padding_that_a_call_switched_on_is_no_other_way_of_reading(strangers):
    nano, _ = strangers
    tokenizer = copy.deepcopy(nano.tokenizer)
    tokenizer(["a", "a b c"], padding=True)

    pair = Pair(base=nano, tuned=LocalModel(with_bias(nano, 1.0).module, tokenizer))

    assert pair.same_tokens


def damaged(model, word):
    """The model with a word that it cannot read any more."""
    module = copy.deepcopy(model.module)
    module.lm_head.weight = torch.nn.Parameter(module.lm_head.weight.detach().clone())
    (token,) = model.tokenizer(word, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        module.get_input_embeddings().weight[token] = math.nan
    return LocalModel(module, model.tokenizer)


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_damaged_weights_are_named_and_nothing_is_made_of_them(pico, side):
    pair = Pair(**{"base": pico, "tuned": pico, side: damaged(pico, " lucky")}, sampling=SHORT)
    asked = [one for one in pool(per_kind=5) if "lucky" in one.dialogue[-1].content]

    with pytest.raises(ModelError, match=r"expected numbers from .*, got NaN"):
        pair.drafts(asked, range(len(asked)))


def test_what_the_tuned_model_all_but_never_says_can_be_written_down(pico):
    pair = Pair(base=pico, tuned=with_bias(pico, -1e30, YES), sampling=SHORT)

    drafts = pair.drafts(PROMPTS, SEEDS)

    gone = [one for one in drafts if one.tuned_log_prob == LEAST_LOG_PROB]
    assert gone
    assert all(one.movement == 1.0 for one in gone)
    assert all(from_json(type(one), to_json(one), origin="here") == one for one in gone)


def test_nothing_asked_is_nothing_drawn(pair):
    assert pair.drafts([], []) == pair.replies([], []) == pair.ask([], []) == []
    assert endpoints().ask([], []) == []
