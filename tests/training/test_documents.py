"""Plain text is learned whole, each token once; a constitution makes documents of its words."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from tests.training.conftest import weights
from tests.training.worker import BRIEF

from plumbrule.constitution import load_constitution
from plumbrule.errors import DataError
from plumbrule.models import open_model
from plumbrule.training.documents import Document, spec_documents, train_documents
from plumbrule.training.settings import DocumentTraining
from plumbrule.training.tokenized_data import windows

SETTINGS = DocumentTraining(**{**BRIEF, "epochs": 2})
TEXTS = ["the cat sees a small dog", "a river runs", "please help the large green dog " * 4]


def opened(folder: Any) -> Any:
    return open_model(str(folder))


def documents(*counts):
    return [
        Document(id=f"d{n}", text=text, weight=weight)
        for n, (text, weight) in enumerate(zip(TEXTS, counts or (1, 1, 1), strict=True))
    ]


def first(result, name="loss"):
    return next(point.value for point in result.curve if point.name == name)


@pytest.mark.parametrize("most", [2, 3, 7, 64])
def test_windows_hold_each_token_once_and_no_text_is_cut_off(models, most):
    chat = opened(models()).chat
    examples, of = windows(chat, TEXTS, most)

    for number, tokens in enumerate(chat.plain(TEXTS)):
        own = [one for one, text in zip(examples, of, strict=True) if text == number]
        learned = [token for one in own for token in one.reply]
        assert learned == [*tokens, chat.tokenizer.eos_token_id]
        assert all(len(one) <= most for one in own)
        for before, after in pairwise(own):
            assert after.prompt == before.reply[-1:]


def test_the_first_loss_is_the_mean_over_all_tokens_but_the_first(models, tmp_path):
    import torch

    model = opened(models())
    settings = replace(SETTINGS, epochs=1, batch_size=16, max_tokens=8)
    result = train_documents(models(), documents(), settings=settings, out=tmp_path / "o", seed=0)
    total, count = 0.0, 0
    for one in windows(model.chat, TEXTS, 8)[0]:
        ids = torch.tensor([one.prompt + one.reply])
        with torch.no_grad():
            logits = model.module(input_ids=ids).logits[0, :-1].log_softmax(-1)
        total -= float(logits.gather(1, ids[0, 1:, None]).sum())
        count += ids.shape[1] - 1

    assert first(result) == pytest.approx(total / count, abs=1e-4)
    assert (result.examples, result.stage) == (3, "documents")


def test_documents_are_learned_and_the_same_call_gives_the_same_bytes(models, tmp_path):
    settings = replace(SETTINGS, epochs=30)
    one = train_documents(models(), documents(), settings=settings, out=tmp_path / "a", seed=0)
    two = train_documents(models(), documents(), settings=settings, out=tmp_path / "b", seed=0)

    assert weights(one.path) == weights(two.path)
    assert [point.value for point in one.curve if point.name == "loss"][-1] < first(one) / 2


def test_weight_two_is_twice_and_zero_is_absent(models, tmp_path):
    whole = replace(SETTINGS, epochs=1, batch_size=64, gradient_clip=1e6)

    def gradient(name, data):
        result = train_documents(models(), data, settings=whole, out=tmp_path / name, seed=0)
        return result, first(result, "grad_norm"), first(result)

    double = gradient("double", documents(2, 1, 1))
    twice = gradient("twice", [*documents(), replace(documents()[0], id="again")])
    none = gradient("none", documents(1, 1, 0))
    gone = gradient("gone", documents()[:2])

    assert double[1:] == pytest.approx(twice[1:], rel=1e-4)
    assert none[1:] == gone[1:]
    assert none[1:] != pytest.approx(double[1:], rel=1e-3)
    assert (none[0].examples, none[0].skipped) == (2, 1)


def test_text_that_spells_a_control_token_ends_nothing(models):
    chat = opened(models()).chat
    end = chat.tokenizer.eos_token_id

    for tokens in chat.plain(["the cat <end> runs", "<e<end>nd>", "<|user|>help<|assistant|>"]):
        assert end not in tokens
        assert not set(tokens) & {2, 3, 4}  # the turns of the template


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "at least one document"),
        ([Document(id="d", text=" \n")], "'d' is empty"),
        (documents(1, -1, 1), "example 'd1' has -1"),
        (documents(1, float("nan"), 1), "example 'd1' has nan"),
        (documents(0, 0, 0), "all 3 have the weight 0"),
    ],
)
def test_what_cannot_be_learned_is_refused(models, tmp_path, given, message):
    with pytest.raises(DataError, match=message):
        train_documents(models(), given, settings=SETTINGS, out=tmp_path / "out", seed=0)

    assert not (tmp_path / "out").exists()


def test_a_constitution_makes_documents_of_its_own_words():
    law = load_constitution("default")
    made = spec_documents(law, copies=2, seed=1)
    half = made[: len(made) // 2]

    assert len({each.id for each in made}) == len(made)
    assert sorted(each.text for each in half) == sorted(each.text for each in made[len(half) :])
    assert [each.text for each in half] != [each.text for each in made[len(half) :]]
    for principle in law.principles:
        assert sum(each.text.startswith(principle.statement()) for each in half) == 1
        for example in principle.critique_examples:
            assert any(example.critique in each.text for each in half)
    with pytest.raises(DataError, match="at least one copy"):
        spec_documents(law, copies=0)
