"""What the verbs that look inside make of texts and of prompts that come along."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from plumbrule.cli.app import main
from plumbrule.cli.inspect import app
from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism import task_file, tasks
from plumbrule.mechanism.texts import check_length, check_tokens, text_tokens

CASE = Path(__file__).parents[3] / "shared" / "cases" / "12_inspect_beyond_context"


class Words:
    """A tokenizer of whole words in lower case; it ends every text with a mark."""

    unk_token, unk_token_id, eos_token_id = "<unk>", 0, 1
    known = ("<unk>", "</s>", "the", "cat", "sat")

    def __call__(self, text, **_):
        words = [word if word in self.known else "<unk>" for word in text.lower().split()]
        return {"input_ids": [self.known.index(word) for word in words] + [1]}

    def decode(self, tokens, **_):
        return " ".join(self.known[token] for token in tokens)


@dataclass
class Opened:
    tokenizer: Any = field(default_factory=Words)
    context: int | None = 4


def read(text):
    model = Opened()
    check_tokens(model, text_tokens(model, text), text, "the text")
    return text_tokens(model, text)


def test_a_text_is_read_without_the_mark_behind_it():
    assert read("The cat sat") == [2, 3, 4]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("the cat sat the cat", "the text has 5 tokens, the model reads at most 4"),
        ("the dog sat", "does not give the text back.*'the dog sat' becomes 'the <unk> sat'"),
    ],
)
def test_a_text_that_the_model_would_not_read_is_refused(text, says):
    with pytest.raises(DataError, match=says):
        read(text)


def test_no_token_and_too_long_a_repetition_are_refused():
    with pytest.raises(DataError, match="at least one token"):
        check_tokens(Opened(), [], "", "the text")
    with pytest.raises(ConfigError, match="--length 3, read twice, is 6 tokens"):
        check_length(Opened(), 6, "--length 3, read twice,")
    check_length(Opened(context=None), 6, "anything")


@pytest.mark.parametrize("task", tasks())
def test_pairs_that_come_along_differ_in_what_is_asked_alone(task):
    lines = [json.loads(line) for line in task_file(task).read_text("utf-8").splitlines()]

    assert len(lines) >= 100
    assert len({(line["clean"], line["corrupted"]) for line in lines}) == len(lines)
    for line in lines:
        clean, corrupted = line["clean"].split(), line["corrupted"].split()
        changed = sum(one != other for one, other in zip(clean, corrupted, strict=True))
        assert changed == (1 if task == "indirect-object" else 2)
        assert line["right"] != line["wrong"]
        assert {line["right"].strip(), line["wrong"].strip()} <= set(line["clean"].split())


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((), ConfigError, "expected --task NAME (copying, indirect-object) or --pairs FILE"),
        (("--task", "copying", "--pairs", "x"), ConfigError, "got both"),
        (("--task", "nothing"), ConfigError, "expected a task among copying, indirect-object"),
        (("--pairs", "{empty}"), DataError, "it is empty"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments, error, says, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    given = [each.format(empty=empty) for each in arguments]

    result = CliRunner().invoke(app, ["circuit", "lab:pico", *given, "--out", str(tmp_path)])

    assert isinstance(result.exception, error)
    assert says in str(result.exception)


@pytest.mark.skipif(not CASE.is_dir(), reason=f"needs {CASE}")
@pytest.mark.parametrize(
    "arguments",
    [
        ("heads", "{case}/gpt2_32"),
        ("lens", "{case}/gpt2_32", "four apples on the table " * 20, "--raw"),
        ("neurons", "{case}/gpt2_32", "--layer", "0", "--prompts", "{case}/long.jsonl"),
        ("circuit", "{case}/gpt2_32", "--pairs", "{case}/pairs.jsonl", "--out", "{out}"),
    ],
)
def test_more_tokens_than_positions_is_one_message_and_exit_code_2(
    arguments, tmp_path, monkeypatch, capsys
):
    given = [each.format(case=CASE, out=tmp_path) for each in arguments]
    monkeypatch.setattr("sys.argv", ["plumbrule", "inspect", *given])

    with pytest.raises(SystemExit) as stopped:
        main()

    assert stopped.value.code == 2
    assert "the model reads at most 32" in capsys.readouterr().err
