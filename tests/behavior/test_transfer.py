"""Where two models part along replies to like prompts."""

import copy

import numpy as np
import pytest
import torch

from plumbrule.behavior.subgroups import SelectorTable
from plumbrule.behavior.transfer import nearest, part_along, transfer
from plumbrule.models import LocalModel, open_model
from plumbrule.records import Message, Prompt

ASKED = [
    "Where does Anna work?",
    "Is it true that Bram is a smith and that Finn is a cook?",
    "What is the job of Mara?",
]
REPLIES = ["Anna works in the mill.", "Yes, you are right.", ""]
DIALOGUES = [(Message("user", text),) for text in ASKED]


@pytest.fixture(scope="module")
def pico():
    return open_model("lab:pico", dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def moved(pico):
    module = copy.deepcopy(pico.module)
    module.lm_head.weight.data[:, 5] += 0.5
    return LocalModel(module, pico.tokenizer, spec="moved")


@pytest.mark.parametrize(
    ("reply", "theirs", "ours", "expected"),
    [
        ("Udo is a smith.", "Where is Udo?", "Where is Mara?", "Mara is a smith."),
        ("Go to the inn.", "Where is Udo?", "Where is Mara?", "Go to the inn."),
        ("Udo and Kaya.", "Are Udo and Kaya in?", "Are Mara and Finn in?", "Mara and Finn."),
        ("Udonis is in.", "Where is Udo?", "Where is Mara?", "Udonis is in."),
        ("Udo.", "Where is Udo?", "Where is old Mara now?", "Udo."),
        ("", "Where is Udo?", "Where is Mara?", ""),
        ("a.b|c", "Is a.b|c here?", "Is x(y here?", "a.b|c"),
    ],
)
def test_words_of_one_request_stand_for_those_of_the_other(reply, theirs, ours, expected):
    assert transfer(reply, theirs, ours) == expected


def test_the_nearest_of_the_known_prompts_shares_the_rarest_words():
    texts = ["the mill of Anna", "the inn of Bram", "is the mill old", "is the inn old"]
    prompts = [
        Prompt(id=str(number), dialogue=(Message("user", text),))
        for number, text in enumerate(texts)
    ]

    assert nearest(SelectorTable.of(prompts), [0, 1]) == [0, 1, 0, 1]


def test_equal_weights_part_nowhere(pico):
    twin = LocalModel(copy.deepcopy(pico.module), pico.tokenizer, spec="twin")

    assert np.abs(part_along(pico, twin, DIALOGUES, REPLIES, most_tokens=8)).max() < 1e-6


@pytest.mark.parametrize("most_tokens", [2, 16])
def test_how_far_models_part_is_what_reading_each_text_alone_gives(pico, moved, most_tokens):
    found = part_along(pico, moved, DIALOGUES, REPLIES, most_tokens=most_tokens)

    size = len(pico.tokenizer)
    for row, (prompt, reply) in enumerate(pico.chat.with_replies(DIALOGUES, REPLIES)):
        kept = reply[:most_tokens]
        ids = torch.tensor([[*prompt, *kept]])
        with torch.inference_mode():
            before, after = (
                model.module(input_ids=ids)["logits"][0, len(prompt) - 1 :, :size].softmax(-1)
                for model in (pico, moved)
            )
        apart = ((before - after).abs().sum(-1) / 2).numpy()
        reached = np.cumprod([1.0, *(float(before[at, one]) for at, one in enumerate(kept))])
        assert found[row] == pytest.approx(
            [apart[0], (apart * reached).sum(), apart.max()], abs=1e-4
        )


def test_what_was_read_is_counted_and_both_models_are_left_as_they_were(pico, moved):
    moved.module.train()
    before = {name: value.clone() for name, value in moved.module.state_dict().items()}
    counted = moved.usage.tokens_scored

    part_along(pico, moved, DIALOGUES, REPLIES, most_tokens=8)

    assert moved.module.training
    assert moved.usage.tokens_scored > counted
    assert all(torch.equal(before[name], one) for name, one in moved.module.state_dict().items())
    assert not any(part._forward_hooks for part in moved.module.modules())
    moved.module.eval()
