"""The tutorials' commands are the program's, and those that take no time print what is shown.

`python -m benchmarks.tutorials`, in `make bench`, runs all of them.
"""

import shlex

import pytest
from docs import tutorials
from typer.main import get_command
from typer.testing import CliRunner

from plumbrule.cli.app import app

QUICK = ("constitution lint",)
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in tutorials.PAGES}


def every_command(text):
    return [each for block in tutorials.CONSOLE.findall(text) for each in tutorials.commands(block)]


def ours(text):
    return [each for each in every_command(text) if each.line.startswith("plumbrule ")]


@pytest.mark.parametrize("name", PAGES)
def test_every_command_is_one_that_the_program_takes(name):
    commands = ours(PAGES[name])
    for each in commands:
        found, words = get_command(app), shlex.split(each.line)[1:]
        while hasattr(found, "commands"):
            found = found.commands[words.pop(0)]

        assert found.make_context(each.line, words)

    assert len(commands) >= 3


@pytest.mark.parametrize("name", PAGES)
def test_every_command_shows_what_it_prints(name):
    assert all(each.shown for each in ours(PAGES[name]))


@pytest.mark.parametrize("name", PAGES)
def test_quick_commands_print_what_is_shown(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    tutorials.write_files(PAGES[name], tmp_path)
    for each in ours(PAGES[name]):
        if each.line.removeprefix("plumbrule ").startswith(QUICK):
            done = CliRunner().invoke(app, shlex.split(each.line)[1:])

            assert (done.exit_code, done.stdout) == (each.ends, each.shown)


def test_a_page_gets_what_its_commands_print(tmp_path):
    file = "<!-- file: a.txt -->\n\n```\nhello\n```\n\n"
    page = f"{file}```console\n$ cat a.txt\nold\n$ false   # ends with 1\n```\n"

    renewed = tutorials.run(page, tmp_path, list)

    assert renewed == page.replace("old", "hello")
    with pytest.raises(RuntimeError, match="expected 0 of `false`, got 1"):
        tutorials.run("```console\n$ false\n```\n", tmp_path, list)
