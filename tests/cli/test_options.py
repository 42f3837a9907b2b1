"""No option takes NaN, infinity, or text that no file holds, whatever it is for."""

import inspect
import sys
from typing import get_args, get_type_hints

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


def numbers(verb):
    """Options of a verb that are numbers, with their typer options."""
    for name, parameter in inspect.signature(verb).parameters.items():
        kind, *rest = get_args(parameter.annotation) or (parameter.annotation,)
        kinds = {each for one in get_args(kind) or (kind,) for each in (one, *get_args(one))}
        for each in rest:
            if {int, float} & kinds and type(each).__name__ == "OptionInfo":
                yield name, each


ELSEWHERE = {
    "seed",  # any whole number that can be written down
    "thinking_tokens",  # settings of an endpoint
    *("fdr", "min_effect", "budget", "max_tokens"),  # settings of a comparison
}
"""Options whose range their settings keep, with a message of their own."""


def test_every_number_that_an_option_takes_has_its_range():
    found = [(verb, name, each) for verb, call in verbs(app) for name, each in numbers(call)]

    assert len(found) > 25
    for verb, name, each in found:
        if name not in ELSEWHERE:
            assert each.min is not None, (verb, name)
            assert each.max is not None, (verb, name)


@pytest.mark.parametrize("name", ["fdr", "min_effect", "budget", "max_tokens", "thinking_tokens"])
@pytest.mark.parametrize("value", ["-1", "1e30", "1000000000000000"])
def test_a_number_out_of_a_settings_range_is_refused(plumbrule, tmp_path, name, value):
    option = f"--{name.replace('_', '-')}"
    code, said = plumbrule("compare", "lab:nano", "lab:pico", "--out", tmp_path, option, value)

    assert code == 2
    assert name in said.replace("-", "_") or "max_new_tokens" in said
