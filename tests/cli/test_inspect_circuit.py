import json
import xml.etree.ElementTree as ElementTree

import pytest
from typer.testing import CliRunner

from plumbrule.cli.inspect import app
from plumbrule.errors import DataError
from plumbrule.lab.circuits import TASKS, save_circuit

COUNT = 32


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A model with a known circuit on disk, with a tokenizer of one word a token."""
    folder = tmp_path_factory.mktemp("planted")
    model = TASKS["pairing"].build(0, family="llama")
    save_circuit(model, folder, pairs=2 * COUNT, seed=1)
    lines = [json.loads(line) for line in (folder / "pairs.jsonl").read_text("utf-8").splitlines()]
    return folder, lines[:COUNT], model


def run(folder, lines, out):
    path = out / "pairs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return CliRunner().invoke(
        app, ["circuit", str(folder), "--pairs", str(path), "--out", str(out / "found")]
    )


def test_the_planted_circuit_is_found_written_and_drawn(planted, tmp_path):
    folder, lines, model = planted

    result = run(folder, lines, tmp_path)

    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "found" / "circuit.json").read_text("utf-8"))
    confirmed = [each["edge"] for each in record["circuit"]["claims"] if each["confirmed"]]
    assert {(edge["writer"], edge["reader"]) for edge in confirmed} == set(model.edges)
    assert record["circuit"]["faithfulness"] == pytest.approx(1.0, abs=0.1)
    assert [each["order"] for each in record["areas"]] == ["size", "help"]
    drawn = ElementTree.fromstring((tmp_path / "found" / "circuit.svg").read_text("utf-8"))
    assert f"A circuit of {len(confirmed)} edges" in "".join(drawn.itertext())
    assert f"{len(confirmed)} of 82 edges confirmed" in result.output
    assert all(f"{writer} -> {reader}" in result.output for writer, reader in model.edges)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"right": "start yes"}, "line 2: right must be a single token, 'start yes' is 2"),
        ({"wrong": ""}, "line 2: wrong must be a single token, '' is 0"),
        ({"corrupted": "start"}, "line 2: expected two prompts of as many tokens"),
        ({"other": 1}, "line 2 does not hold a PairLine: other: Unexpected keyword argument"),
    ],
)
def test_a_line_that_is_no_pair_is_named(planted, tmp_path, change, says):
    folder, lines, _ = planted

    result = run(folder, [lines[0], {**lines[1], **change}], tmp_path)

    assert isinstance(result.exception, DataError)
    assert says in str(result.exception)


def test_an_answer_that_is_right_and_wrong_and_a_missing_file_are_refused(planted, tmp_path):
    folder, lines, _ = planted

    result = run(folder, [{**lines[0], "wrong": lines[0]["right"]}], tmp_path)

    assert isinstance(result.exception, DataError)
    assert "line 1: right and wrong are the same token" in str(result.exception)
    missing = CliRunner().invoke(
        app, ["circuit", str(folder), "--pairs", str(tmp_path / "no"), "--out", str(tmp_path)]
    )
    assert "expected a file of pairs, there is no" in str(missing.exception)
