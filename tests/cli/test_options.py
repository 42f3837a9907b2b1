"""No option takes NaN, infinity, or text that no file holds, whatever it is for."""

import sys
from typing import get_type_hints

import pytest

from plumbrule.cli.app import app, main


@pytest.fixture
def plumbrule(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["plumbrule", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, " ".join(capsys.readouterr().err.split())

    return call


def verbs(group, *names):
    for command in group.registered_commands:
        yield (*names, command.name or command.callback.__name__), command.callback
    for each in group.registered_groups:
        yield from verbs(each.typer_instance, *names, each.name)


def floats(verb):
    hints = get_type_hints(verb)
    return [name for name, kind in hints.items() if kind in (float, float | None)]


NUMBERS = [
    (names, f"--{name.replace('_', '-')}") for names, verb in verbs(app) for name in floats(verb)
]


def test_there_are_such_options():
    assert len(NUMBERS) > 8


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400"])
@pytest.mark.parametrize(("names", "option"), NUMBERS, ids=lambda each: " ".join(each))
def test_no_number_may_be_none(plumbrule, names, option, value):
    code, said = plumbrule(*names, f"{option}={value}")

    assert code == 2
    assert "Traceback" not in said


def test_a_name_that_no_file_holds_is_refused(plumbrule, tmp_path):
    code, said = plumbrule("review", "--out", tmp_path, "--accept", "paper", "--person", "p\udcff")

    assert (code, "--person must be UTF-8 text" in said) == (2, True)


@pytest.mark.parametrize(
    "options",
    [
        ("--timeout", "-1"),
        ("--workers", "0"),
        ("--minutes", "-5"),
        ("--most-tokens", "-1"),
        ("--depth", "-1"),
        ("--seed", "9" * 30),
        ("--judge", "lab:nano", "--prices", "nan,1"),
    ],
)
def test_a_number_out_of_range_is_refused(plumbrule, tmp_path, options):
    paper = tmp_path / "paper.md"
    paper.write_text("# A\n\nText.\n")
    code, said = plumbrule("review", paper, "--out", tmp_path / "out", *options)

    assert code == 2
    assert "Traceback" not in said
