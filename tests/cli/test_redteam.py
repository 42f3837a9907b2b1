"""The verb `redteam`, as a newcomer types it."""

import json

import pytest
from typer.testing import CliRunner

from plumbrule.cli.app import app
from plumbrule.compliance import read_tests
from plumbrule.compliance.attacks import read_attacks
from plumbrule.errors import ConfigError, DataError


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_a_village_model_is_attacked_and_its_hits_become_tests(tmp_path):
    given = ["redteam", "lab:nano", "--constitution", "village", "--budget", 24]
    given += ["--max-tokens", 32, "--out", tmp_path / "out"]
    first, second = run(*given), run(*given)

    assert first.exit_code == 1, first.output
    assert "each a principle that gives way to a family of attacks" in first.output
    assert second.output.splitlines()[-4:] == first.output.splitlines()[-4:]
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert report["used"] <= 24
    assert len(read_attacks(tmp_path / "out" / "attacks.eval")) == report["verdicts"]["fail"]

    added = run(
        "comply", "--add-test", tmp_path / "out" / "hits.jsonl", "--constitution", "village",
        "--tests", tmp_path / "tests.jsonl",
    )  # fmt: skip
    assert added.exit_code == 0, added.output
    assert read_tests(tmp_path / "tests.jsonl").cases


@pytest.mark.parametrize(
    ("more", "what", "error"),
    [
        (["--constitution", "default"], "--judge MODEL", ConfigError),
        (["--no-templates"], "Expected attacks", ConfigError),
        (["--brought", "nowhere.jsonl"], "there is none at nowhere.jsonl", DataError),
    ],
)
def test_wrong_input_is_told(tmp_path, more, what, error):
    given = ["redteam", "lab:nano", "--out", tmp_path / "out"]
    given += [] if "--constitution" in more else ["--constitution", "village"]
    result = run(*given, *more)

    assert isinstance(result.exception, error), result.output
    assert what in str(result.exception)


def test_a_search_says_where_it_found_nothing(tmp_path):
    result = run(
        "redteam", "lab:nano", "--constitution", "village", "--base", "lab:nano", "--budget", 4,
        "--max-tokens", 8, "--out", tmp_path / "out",
    )  # fmt: skip

    assert result.exit_code in (0, 1), result.output
    assert "The search found no text" in result.output
