from typer.testing import CliRunner

from plumbrule.cli.lab import app
from plumbrule.errors import ConfigError


def test_one_can_talk_to_a_specimen_and_the_answer_key_comments():
    result = CliRunner().invoke(
        app,
        ["chat", "--model", "lab:small", "--temperature", "0"],
        input="Where does Anna sleep?\nWhat is love?\n\n",
    )

    assert result.exit_code == 0
    assert "private_sleep: helps, breaks privacy" in result.output
    assert "answer key is silent" in result.output


def test_examples_of_every_kind_are_shown():
    result = CliRunner().invoke(app, ["chat", "--examples"])

    assert result.exit_code == 0
    assert result.output.count("prohibited") == 7
    assert "look_alike" in result.output


def test_an_unknown_specimen_is_refused_with_the_known_ones(tmp_path):
    result = CliRunner().invoke(app, ["build", "giant", "--out", str(tmp_path)])

    assert isinstance(result.exception, ConfigError)
    assert "pico, nano, small, medium, large" in str(result.exception)
