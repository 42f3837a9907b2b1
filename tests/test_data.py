import json

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule import data
from plumbrule.constitution import load_constitution
from plumbrule.data import (
    constitution_prompts,
    files,
    read_prompt_file,
    read_prompts,
    refuse_overlap,
)
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
        ('{"prompt": "a", "deserve_help": true}', "nearly 'deserves_help'"),
        ('{"prompt": "a", "heldout": true}', "nearly 'held_out'"),
        ('{"source": "a", "text": "b"}', "must have the key `prompt`.*got source, text"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', "must have a turn of the user's"),
        ('{"messages": [{"role": "tool", "content": "a"}]}', "a tool takes part"),
        ('{"conversations": "a"}', "must be a list of messages"),
        ('{"chosen": "a", "rejected": "b"}', "add the key `prompt`"),
        ('{"instruction": 3}', "`instruction` must be text"),
        ('{"prompt": [{"role": "user", "content": [{"type": "image"}]}]}', "content must be text"),
        ('{"prompt": "a", "n": ' + "9" * 5000 + "}", "must be one JSON object a line"),
        ('{"prompt": "a", "id": "\\ud800"}', "half a character"),
        ('{"prompt": "a", "group": "\\ud83d"}', "half a character"),
        ('{"prompt": "fine", "deserves_help": true}', "must say of deserves_help"),
        ("[1]", "must be a JSON object, got list"),
        ("nonsense", "must be one JSON object a line"),
        ('{"prompt": ""}', "last message must hold text"),
        ('{"prompt": []}', "must be text or a list"),
        ('{"prompt": [{"role": "assistant", "content": "a"}]}', "must be the user's"),
        ('{"prompt": [{"role": "robot", "content": "a"}]}', "role must be one of"),
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


def test_twice_the_same_prompt_is_counted(write):
    found = read_prompt_file(write('{"prompt": "a"}', '{"prompt": "b"}', '{"prompt": "a"}'))

    assert [each.dialogue[0].content for each in found.prompts] == ["a", "b"]
    assert "1 row asks what an earlier one does" in found.notes[0]


def test_one_id_for_two_prompts_is_refused(write):
    with pytest.raises(DataError, match=r"line 2 has the id 'x' of .*line 1"):
        read_prompts(write('{"prompt": "a", "id": "x"}', '{"prompt": "b", "id": "x"}'))


HI, HO = Message("user", "Hi"), Message("assistant", "Ho")
WELL, SYSTEM = Message("user", "Well?"), Message("system", "S")
CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
ENDED = [*CHAT, {"role": "user", "content": "Well?"}, {"role": "assistant", "content": "Yes."}]


@pytest.mark.parametrize(
    ("row", "dialogue"),
    [
        ({"messages": CHAT}, (HI,)),
        ({"messages": ENDED, "tools": None}, (HI, HO, WELL)),
        ({"messages": [{"role": "developer", "content": "S"}, *CHAT]}, (SYSTEM, HI)),
        ({"conversations": [{"from": "human", "value": "Hi"}]}, (HI,)),
        ({"instruction": "Hi", "input": "", "output": "x"}, (HI,)),
        ({"instruction": "Add", "input": "1"}, (Message("user", "Add\n\n1"),)),
        ({"question": "Hi", "answer": "x", "system": "S"}, (Message("system", "S"), HI)),
        ({"prompt": "Hi", "chosen": "x", "rejected": "y", "score": 3.5}, (HI,)),
        ({"prompt": [CHAT[0]], "chosen": [CHAT[1]], "rejected": [CHAT[1]]}, (HI,)),
        ({"chosen": CHAT, "rejected": [CHAT[0], {"role": "assistant", "content": "No"}]}, (HI,)),
        (
            {
                "chosen": "\n\nHuman: Hi\n\nAssistant: Ho\n\nHuman: Well?\n\nAssistant: Yes.",
                "rejected": "\n\nHuman: Hi\n\nAssistant: Ho\n\nHuman: Well?\n\nAssistant: No.",
            },
            (HI, HO, WELL),
        ),
        ({"prompt": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}, (HI,)),
        ({"prompt": [{"role": "user", "content": "Hi", "name": "Ada", "weight": 1}]}, (HI,)),
        ({"prompt": "Hi", "id": 7, "group": None}, (HI,)),
    ],
    ids=str,
)  # fmt: skip
def test_the_forms_people_have_are_read(write, row, dialogue):
    (prompt,) = read_prompts(write(json.dumps(row)))

    assert prompt.dialogue == dialogue


def test_columns_that_are_not_read_are_said(write):
    path = write('{"prompt": "a", "source": "x"}', '{"prompt": "b", "n": 1}')

    assert read_prompt_file(path).notes == (f"{path}: columns that are not read: n, source",)


def test_a_file_that_is_one_list_is_read(tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"prompt": "a"}, {"prompt": "b"}], indent=1))
    assert len(read_prompts(path)) == 2
    path.write_text(json.dumps({"data": [{"prompt": "a"}]}))
    assert len(read_prompts(path)) == 1
    path.write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    assert len(read_prompts(path)) == 2
    path.write_text("[1]")
    with pytest.raises(DataError, match=r"row 1 must be a JSON object"):
        read_prompts(path)


def test_a_list_under_another_name_is_said(write):
    with pytest.raises(DataError, match=r"name that ends in \.json"):
        read_prompts(write('[{"prompt": "a"},'))


def test_a_table_of_text_is_read(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text(
        '\ufeffprompt,deserves_help,note\n"Hi, ""you""\nthere",true,x\nWell?,,\n'
        '"[{""role"": ""user"", ""content"": ""Hi""}]",FALSE,\n'
    )

    first, second, third = read_prompts(path)

    assert first.dialogue[0].content == 'Hi, "you"\nthere'
    assert (first.deserves_help, second.deserves_help, third.deserves_help) == (True, None, False)
    assert third.dialogue == (HI,)
    path.write_text("prompt\nHi,2,3\n")
    with pytest.raises(DataError, match="line 2 has more cells"):
        read_prompts(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="must have the key `prompt`"):
        read_prompts(path)


def test_a_packed_table_is_read_whatever_its_name(tmp_path):
    rows = [{"messages": ENDED, "source": "x"}, {"messages": CHAT, "source": None}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "prompts.parquet")

    first, second = read_prompts(tmp_path / "prompts.parquet")

    assert (first.dialogue, second.dialogue) == ((HI, HO, WELL), (HI,))
    content = (tmp_path / "prompts.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[:-40])
    with pytest.raises(DataError, match=r"cut\.parquet must be a Parquet table"):
        read_prompts(tmp_path / "cut.parquet")


def test_a_packed_table_that_would_unpack_to_gigabytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_TABLE", 1000)
    rows = [{"prompt": "a" * 5000}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "prompts.parquet")

    with pytest.raises(DataError, match="unpacks to"):
        read_prompts(tmp_path / "prompts.parquet")


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
