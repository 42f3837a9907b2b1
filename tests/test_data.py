import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule import data
from plumbrule.constitution import load_constitution
from plumbrule.data import constitution_prompts, read_prompts, refuse_overlap
from plumbrule.errors import DataError, PlumbruleError
from plumbrule.records import Message, Prompt


@pytest.fixture
def write(tmp_path):
    def write(*lines):
        path = tmp_path / "prompts.jsonl"
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return path

    return write


def test_text_and_messages_are_prompts(write):
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    path = write('{"prompt": "How?"}', json.dumps({"prompt": turns, "deserves_help": True}))

    first, second = read_prompts(path)

    assert first.dialogue == (Message("user", "How?"),)
    assert second.dialogue == (Message("system", "Be kind."), Message("user", "Hi"))
    assert (first.deserves_help, second.deserves_help) == (None, True)


def test_a_quarter_is_held_out_and_the_same_quarter_each_time(write):
    lines = [json.dumps({"prompt": f"Question {number}?"}) for number in range(400)]

    held_out = {prompt.id for prompt in read_prompts(write(*lines)) if prompt.held_out}
    reversed_ = {prompt.id for prompt in read_prompts(write(*lines[::-1])) if prompt.held_out}

    assert held_out == reversed_
    # Binomial(400, 1/4): mean 100, standard deviation 8.7; four of them.
    assert 65 <= len(held_out) <= 135


def test_a_file_that_says_what_is_held_out_is_believed(write):
    path = write('{"prompt": "a", "held_out": true}', '{"prompt": "b"}')

    assert [prompt.held_out for prompt in read_prompts(path)] == [True, False]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"promt": "a"}', "must have the key `prompt`.*got promt"),
        ('{"prompt": "a", "extra": 1}', "got extra, prompt"),
        ("[1]", "must be a JSON object, got list"),
        ("nonsense", "must be one JSON object a line"),
        ('{"prompt": ""}', "last message is empty"),
        ('{"prompt": []}', "must be text or a list"),
        ('{"prompt": [{"role": "assistant", "content": "a"}]}', "must be the user's"),
        ('{"prompt": [{"role": "robot", "content": "a"}]}', "role is one of"),
        ('{"prompt": "a", "deserves_help": "yes"}', "true, false or null, got 'yes'"),
        ('{"prompt": "a", "held_out": 1}', "must be a bool, got 1"),
        ('{"prompt": "\\ud800"}', "half a character"),
        ("[" * 100_000, "must be one JSON object a line"),
    ],
)
def test_a_line_that_is_no_prompt_is_named_with_its_number(write, line, message):
    with pytest.raises(DataError, match=rf"line 2.*{message}"):
        read_prompts(write('{"prompt": "fine"}', line))


def test_a_file_without_prompts_is_refused(write):
    with pytest.raises(DataError, match="holds no prompts"):
        read_prompts(write(""))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is none at .*nowhere.jsonl; check --prompts"):
        read_prompts(tmp_path / "nowhere.jsonl")


def test_other_encodings_are_refused_with_their_line(tmp_path):
    path = tmp_path / "latin.jsonl"
    path.write_bytes('{"prompt": "a"}\n{"prompt": "é"}\n'.encode("latin-1"))

    with pytest.raises(DataError, match="line 2 must be UTF-8"):
        read_prompts(path)


def test_a_gigabyte_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(2**30)  # sparse: takes no space

    with pytest.raises(DataError, match=r"at most 64 MiB.*1024 MiB; draw a sample"):
        read_prompts(path)


def test_twice_the_same_prompt_is_refused(write):
    with pytest.raises(DataError, match=r"line 2 has the id .* of line 1"):
        read_prompts(write('{"prompt": "a"}', '{"prompt": "a"}'))


def refusal(path):
    """What a user is told of a file that holds no prompts; None where it holds some."""
    try:
        assert read_prompts(path)
    except PlumbruleError as error:
        return str(error)
    return None


@given(st.binary(max_size=300))
def test_any_bytes_are_prompts_or_one_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "prompts.jsonl"
    path.write_bytes(content)

    problem = refusal(path)

    assert problem is None or "prompts.jsonl" in problem


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_any_json_is_a_prompt_or_one_clear_error(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("fuzz") / "prompts.jsonl"
    path.write_text(json.dumps({"prompt": value}) + "\n")

    problem = refusal(path)

    assert problem is None or "line 1" in problem


def test_a_prompt_on_both_sides_is_refused():
    dialogue = (Message("user", "a"),)

    with pytest.raises(DataError, match="one for training and one for the examination"):
        refuse_overlap(
            [Prompt(id="x", dialogue=dialogue), Prompt(id="y", dialogue=dialogue, held_out=True)]
        )


def test_a_constitution_brings_its_own_tests():
    constitution = load_constitution("village")

    prompts = constitution_prompts(constitution)

    assert all(prompt.held_out for prompt in prompts)
    assert {prompt.kind for prompt in prompts} == {each.id for each in constitution.principles}
    assert {prompt.deserves_help for prompt in prompts if prompt.group == "twin"} == {True}
    assert data.HELD_OUT_SHARE == 0.25
