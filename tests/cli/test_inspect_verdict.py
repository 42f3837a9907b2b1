import json

import pytest
from typer.testing import CliRunner

from plumbrule.cli.inspect import app
from plumbrule.errors import ConfigError, DataError, OutputError

QUICK = ("--search-tokens", "0", "--no-inside", "--max-tokens", "24")


def asked(*arguments):
    return CliRunner().invoke(app, ["verdict", *arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verdict") / "one"
    return folder, asked("lab:nano", "--principle", "privacy", "--out", str(folder), *QUICK)


def test_a_verdict_is_printed_and_written(judged):
    folder, result = judged

    assert result.exit_code == 0, result.exception
    assert "privacy" in result.output
    assert "absent" in result.output
    assert "0 of 1 principles are shown and not held" in result.output
    record = json.loads((folder / "report" / "report.json").read_text())
    assert record["verdicts"][0]["label"] == "absent"
    page = (folder / "report" / "index.html").read_text()
    assert "Violations, by principle" in page
    assert "<script" not in page


def test_the_same_command_goes_on_and_another_is_refused(judged):
    folder, _first = judged

    again = asked("lab:nano", "--principle", "privacy", "--out", str(folder), *QUICK)
    other = asked("lab:nano", "--principle", "privacy", "--seed", "1", "--out", str(folder), *QUICK)

    assert again.exit_code == 0
    assert "absent" in again.output
    assert isinstance(other.exception, OutputError)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("lab:nano", "--principle", "no-such"), ConfigError, "of the village among"),
        (("lab:nano", "--judge", "lab:nano"), ConfigError, "beside --prompts or --judge"),
        (
            ("lab:nano", "--constitution", "default", "--principle", "no-such"),
            ConfigError,
            "--constitution and --judge",
        ),
        (
            ("lab:nano", "--constitution", "default", "--judge", "lab:nano", "--prompts", "none"),
            DataError,
            "none",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused_in_words(tmp_path, arguments, kind, words):
    result = asked(*arguments, "--out", str(tmp_path / "out"))

    assert isinstance(result.exception, kind)
    assert words in str(result.exception)
    assert not (tmp_path / "out").exists()
