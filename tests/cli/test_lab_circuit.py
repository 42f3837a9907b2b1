import json

import pytest
from typer.testing import CliRunner

from plumbrule.cli.app import app
from plumbrule.lab.circuits import TASKS
from plumbrule.lab.trained_circuits import TRAINED

RUN = CliRunner()


def test_without_a_name_all_are_listed():
    told = RUN.invoke(app, ["lab", "circuit"])

    assert told.exit_code == 0
    for name in (*TASKS, *TRAINED):
        assert name in told.output


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_model_is_written_with_its_pairs_and_its_truth_and_can_be_searched(tmp_path, family):
    folder = tmp_path / "two_hop"
    arguments = ["lab", "circuit", "two_hop", "--family", family, "--pairs", "40"]
    told = RUN.invoke(app, [*arguments, "--out", str(folder)])
    assert told.exit_code == 0, told.output

    pairs, out = str(folder / "pairs.jsonl"), str(tmp_path / "found")
    found = RUN.invoke(app, ["inspect", "circuit", str(folder), "--pairs", pairs, "--out", out])

    assert found.exit_code == 0, found.output
    truth = set(json.loads((folder / "truth.json").read_text())["edges"])
    record = json.loads((tmp_path / "found" / "circuit.json").read_text())
    edges = {f"{edge['writer']} -> {edge['reader']}" for edge in record["circuit"]["edges"]}
    assert edges == truth


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["addition"], "expected a model among induction"),
        (["indirect_object", "--family", "llama"], "can be built as gpt2"),
        (["two_hop", "--family", "bert"], "can be built as gpt2, llama"),
    ],
)
def test_what_cannot_be_made_is_said(tmp_path, arguments, said):
    from plumbrule.errors import ConfigError

    told = RUN.invoke(app, ["lab", "circuit", *arguments, "--out", str(tmp_path / "out")])

    assert isinstance(told.exception, ConfigError)
    assert said in str(told.exception)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_another_model_is_left_as_it_was(tmp_path):
    from plumbrule.errors import OutputError

    (tmp_path / "model.safetensors").write_text("somebody's work")

    told = RUN.invoke(app, ["lab", "circuit", "two_hop", "--out", str(tmp_path)])

    assert isinstance(told.exception, OutputError)
    assert "holds something else" in str(told.exception)
    assert (tmp_path / "model.safetensors").read_text() == "somebody's work"
    assert [each.name for each in tmp_path.iterdir()] == ["model.safetensors"]


def test_the_same_command_again_gives_the_same_and_another_seed_is_refused(tmp_path):
    from plumbrule.errors import OutputError

    arguments = ["lab", "circuit", "two_hop", "--pairs", "8", "--out", str(tmp_path)]
    first = RUN.invoke(app, arguments)
    before = (tmp_path / "model.safetensors").read_bytes()
    again = RUN.invoke(app, arguments)
    other = RUN.invoke(app, [*arguments, "--seed", "1"])

    assert (first.exit_code, again.exit_code) == (0, 0)
    assert isinstance(other.exception, OutputError)
    assert (tmp_path / "model.safetensors").read_bytes() == before
