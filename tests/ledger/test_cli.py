import json
import sqlite3

import pytest
from typer.testing import CliRunner

from plumbrule.cli.ledger import app
from plumbrule.errors import LedgerError
from plumbrule.ledger import Ledger


@pytest.fixture
def run(tmp_path):
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        ledger.record("train [bold]", "stage", {"steps": 100, "note": "\u202e[red]"})
        ledger.record("report", "stage", {"text": "long " * 100})
    return tmp_path


def command(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def tamper(run, statement):
    connection = sqlite3.connect(run / "ledger.db")
    with connection:
        connection.execute(statement)
    connection.close()


def head_of(run):
    with Ledger.open(run) as ledger:
        return ledger.head.hash


@pytest.mark.parametrize("name", ["", "ledger.db"])
def test_a_sound_ledger_ends_with_0(run, name):
    result = command("verify", run / name, "--head", head_of(run))

    assert result.exit_code == 0
    assert f"sound: 2 entries, head {head_of(run)}" in result.output


def test_a_damaged_ledger_ends_with_1_and_names_each_problem_on_a_line(run):
    tamper(run, "UPDATE entries SET payload = '{}', key = 'new\n[b]' WHERE position = 1")
    tamper(run, "DELETE FROM entries WHERE position = 2")
    result = command("verify", run)
    lines = result.output.splitlines()

    assert result.exit_code == 1
    assert lines[0].startswith("changed: entry 1 'new\\n[b]': its contents")
    assert lines[1].startswith("dropped: entry 2: ")
    assert lines[2:] == ["not sound: 2 problems in 1 entry"]


def test_another_head_than_the_one_kept_ends_with_1(run):
    result = command("verify", run, "--head", "0" * 63 + "1")

    assert result.exit_code == 1
    assert "dropped: entry 3" in result.output


def test_without_any_head_it_says_what_cannot_be_noticed(run):
    (run / "ledger.head").unlink()
    result = command("verify", run)

    assert result.exit_code == 1
    assert "--head" in result.output


@pytest.mark.parametrize("verb", [("verify",), ("show",), ("export", "--out", "x")])
def test_no_ledger_is_a_wrong_input(tmp_path, verb):
    result = command(verb[0], tmp_path, *verb[1:])

    assert isinstance(result.exception, LedgerError)
    assert result.exception.exit_code == 2
    assert "no ledger at" in str(result.exception)


def test_the_table_shows_text_as_it_is_and_the_head_to_keep(run):
    result = command("show", run)

    assert result.exit_code == 0
    assert "[bold]" in result.output
    assert "\u202e" not in result.output
    assert f"head {head_of(run)}" in result.output


def test_an_empty_ledger_is_shown_and_sound(tmp_path):
    Ledger.open(tmp_path).close()

    assert command("verify", tmp_path).exit_code == 0
    assert f"head {'0' * 64}" in command("show", tmp_path).output


def test_the_export_is_one_json_object_a_line(run, tmp_path):
    result = command("export", run, "--out", tmp_path / "entries.jsonl")
    lines = (tmp_path / "entries.jsonl").read_text().splitlines()

    assert result.exit_code == 0
    assert [json.loads(line)["key"] for line in lines] == ["train [bold]", "report"]
    assert "2 entries in" in result.output
