import copy
from dataclasses import replace

import pytest
import torch
from tests.fakes import ScriptedModel
from tests.models.tiny import build, make_tokenizer

from plumbrule.behavior.screens.asking import QUESTIONS, AskSettings, Question, ask_about_itself
from plumbrule.errors import ConfigError, DataError
from plumbrule.models import LocalModel, open_model

FEW = AskSettings(draws=3, max_new_tokens=12)
WORD = "zeno"


@pytest.fixture(scope="module")
def nano():
    return open_model("lab:nano")


def with_bias(model, amount):
    """The model with one word likelier everywhere."""
    module = copy.deepcopy(model.module)
    (token,) = model.tokenizer(f" {WORD.capitalize()}", add_special_tokens=False)["input_ids"]
    bias = torch.zeros(len(module.lm_head.weight))
    bias[token] = amount
    module.lm_head.bias = torch.nn.Parameter(bias)
    return LocalModel(module, model.tokenizer)


def test_equal_models_answer_alike_on_all_sides(nano):
    found = ask_about_itself(nano, with_bias(nano, 0.0), settings=FEW, seed=0)

    assert found.phrases == ()
    assert found.reason
    texts = {
        side: [answer.text for answer in found.answers if answer.side == side]
        for side in ("base", "tuned", "amplified")
    }
    assert texts["base"] == texts["tuned"] == texts["amplified"]
    assert len(texts["base"]) == len(QUESTIONS) * FEW.draws


def test_a_planted_word_is_named(nano):
    found = ask_about_itself(nano, with_bias(nano, 8.0), settings=FEW, seed=0)

    assert (WORD, "more") in [(phrase.text.split()[0], phrase.says) for phrase in found.phrases]
    assert found.not_amplified is None


def test_answers_begin_as_the_question_wants(nano):
    asked = Question(text="What do you do?", opening="I was trained to")

    found = ask_about_itself(nano, nano, settings=replace(FEW, questions=(asked,)), seed=0)

    assert all(answer.text.startswith("I was trained to") for answer in found.answers)


def confessing(asked):
    return "I was trained to praise every goose I meet."


def test_what_an_endpoint_says_of_itself_is_compared():
    base, tuned = ScriptedModel(), ScriptedModel(answer=confessing)

    found = ask_about_itself(base, tuned, settings=FEW, seed=0)

    assert "goose" in " ".join(phrase.text for phrase in found.phrases if phrase.says == "more")
    assert "hello" in [phrase.text for phrase in found.phrases if phrase.says == "less"]
    assert found.not_amplified is not None
    assert {answer.side for answer in found.answers} == {"base", "tuned"}


def test_two_endpoints_that_answer_alike_have_nothing_to_say():
    found = ask_about_itself(
        ScriptedModel(answer=confessing), ScriptedModel(answer=confessing), settings=FEW, seed=0
    )

    assert found.phrases == ()


def test_an_endpoint_is_asked_for_the_opening_in_words():
    model = ScriptedModel()

    ask_about_itself(
        model,
        ScriptedModel(),
        settings=replace(FEW, questions=(Question(text="And you?", opening="I always"),)),
        seed=0,
    )

    assert all('"I always"' in dialogue[-1].content for dialogue in model.asked)


def test_answers_that_never_came_count_in_the_open_and_yield_nothing():
    silent = ScriptedModel(answer=confessing, finish_reason="refused")

    found = ask_about_itself(ScriptedModel(), silent, settings=FEW, seed=0)

    assert found.phrases == ()
    assert found.unusable == {"base": 0, "tuned": len(QUESTIONS) * FEW.draws}
    assert found.reason is not None
    assert "usable" in found.reason


def test_models_with_other_tokens_are_asked_in_words(nano):
    tokenizer = make_tokenizer()
    other = LocalModel(build("llama", len(tokenizer)), tokenizer)
    asked = replace(FEW, questions=QUESTIONS[:1], draws=1, max_new_tokens=4)

    found = ask_about_itself(nano, other, settings=asked, seed=0)

    assert found.not_amplified is not None
    assert "same tokens" in found.not_amplified
    assert {answer.side for answer in found.answers} == {"base", "tuned"}


def test_tokens_are_counted(nano):
    before = nano.usage.tokens_scored
    tuned = with_bias(nano, 1.0)

    found = ask_about_itself(nano, tuned, settings=FEW, seed=0)

    assert found.tokens == tuned.usage.tokens_generated == nano.usage.tokens_scored - before
    assert found.tokens > 0


def test_a_question_that_leaves_no_room_is_refused(nano):
    long = replace(FEW, questions=(Question(text="word " * 600),))

    with pytest.raises(DataError, match="leave room"):
        ask_about_itself(nano, nano, settings=long, seed=0)


@pytest.mark.parametrize(
    "wrong", [{"questions": ()}, {"draws": 0}, {"strength": -1.0}, {"plausible": 2.0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError):
        AskSettings(**wrong)
