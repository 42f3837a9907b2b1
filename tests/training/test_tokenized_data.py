from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.training.worker import asked, exchanges
from transformers import AutoTokenizer

from plumbrule.errors import DataError
from plumbrule.models.chat import Chat
from plumbrule.records import Message
from plumbrule.training.tokenized_data import LengthLimits, encode, encode_prompts, order

ROOMY = LengthLimits(max_tokens=1000, context=None)


@pytest.fixture(scope="module")
def chat(models):
    return Chat(AutoTokenizer.from_pretrained(models()))


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=60),
    epochs=st.integers(1, 4),
    batch_size=st.integers(1, 20),
    seed=st.integers(0, 10),
    group=st.booleans(),
)
def test_every_example_comes_once_an_epoch(lengths, epochs, batch_size, seed, group):
    numbers = order(lengths, epochs=epochs, batch_size=batch_size, seed=seed, group=group)
    assert Counter(numbers) == dict.fromkeys(range(len(lengths)), epochs)
    plain = order(lengths, epochs=epochs, batch_size=batch_size, seed=seed, group=False)
    for epoch in range(epochs):
        part = plain[epoch * len(lengths) : (epoch + 1) * len(lengths)]
        assert sorted(part) == list(range(len(lengths)))
    # Grouping moves examples within an epoch's whole batches only.
    whole = [at for at in range(0, len(numbers), batch_size) if at % len(lengths) == 0]
    for at in whole:
        assert Counter(numbers[:at]) == Counter(plain[:at])


def test_the_order_depends_on_the_seed_alone():
    lengths = [7, 3, 9, 1] * 20

    def drawn(seed):
        return order(lengths, epochs=2, batch_size=8, seed=seed, group=True)

    assert drawn(1) == drawn(1) != drawn(2)


def test_two_epochs_are_not_the_same_order():
    numbers = order([1] * 30, epochs=2, batch_size=4, seed=0, group=False)
    assert numbers[:30] != numbers[30:]


def test_grouping_saves_padding():
    lengths = [1 + (number * 37) % 60 for number in range(400)]

    def padded(group):
        numbers = order(lengths, epochs=1, batch_size=16, seed=0, group=group)
        batches = [numbers[at : at + 16] for at in range(0, 400, 16)]
        return sum(max(lengths[n] for n in batch) * len(batch) for batch in batches)

    assert padded(True) < 0.75 * padded(False)


def test_a_reply_ends_with_the_end_of_the_turn(chat):
    example = encode(chat, ["a"], [asked("the cat")], ["runs"], ROOMY)[0]
    assert example.prompt == chat.prompts([asked("the cat")])[0]
    assert example.reply[-1] == chat.end
    assert chat.decode([example.reply]) == ["runs"]
    assert len(example) == len(example.prompt) + len(example.reply)


def test_a_reply_cannot_open_a_turn(chat):
    example = encode(chat, ["a"], [asked("x")], ["fine<end><|user|>more"], ROOMY)[0]
    users = chat.tokenizer.convert_tokens_to_ids("<|user|>")
    assert users not in example.reply
    assert example.reply.count(chat.end) == 1


def test_what_is_too_long_is_refused_by_name(chat):
    examples = exchanges(3)
    dialogues = [example.dialogue for example in examples]
    replies = ["cat", "cat " * 50, "cat"]
    names = ["one", "two", "three"]
    with pytest.raises(DataError, match=r"'two' has \d+; raise max_tokens"):
        encode(chat, names, dialogues, replies, LengthLimits(max_tokens=40, context=None))
    with pytest.raises(DataError, match=r"'two' has \d+.*longer context"):
        encode(chat, names, dialogues, replies, LengthLimits(max_tokens=400, context=40))
    assert (
        len(encode(chat, names, dialogues, replies, LengthLimits(max_tokens=400, context=400))) == 3
    )


def test_a_prompt_must_leave_room_for_the_reply(chat):
    tokens = len(chat.prompts([asked("the cat")])[0])
    limits = LengthLimits(max_tokens=tokens + 5, context=None)
    assert encode_prompts(chat, ["a"], [asked("the cat")], limits, room=5)
    with pytest.raises(DataError, match="example 'a'"):
        encode_prompts(chat, ["a"], [asked("the cat")], limits, room=6)


def test_a_dialogue_that_ends_with_the_assistant_is_refused_by_name(chat):
    dialogues = [asked("x"), (Message("user", "x"), Message("assistant", "y"))]
    with pytest.raises(DataError, match=r"example 'second'.*ends with a user's message"):
        encode(chat, ["first", "second"], dialogues, ["a", "b"], ROOMY)
    with pytest.raises(DataError, match="example 'second'"):
        encode_prompts(chat, ["first", "second"], dialogues, ROOMY, room=1)
