"""What the documents say is so: examples run, and nothing a user can set goes unsaid."""

import dataclasses
import doctest
import importlib.util
import re
from pathlib import Path

import pytest
from tests.test_errors import every_error
from typer.main import get_command

from plumbrule.cli.app import app
from plumbrule.errors import PlumbruleError
from plumbrule.judging.prompts import TASKS, Template
from plumbrule.loop import Gates, RunConfig

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
TEXT = {path: path.read_text(encoding="utf-8") for path in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_examples_run(path):
    found = doctest.testfile(str(path), module_relative=False, encoding="utf-8")

    assert found.failed == 0


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT[path]):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("kind", [RunConfig, Gates], ids=lambda kind: kind.__name__)
def test_every_setting_of_a_run_is_documented(kind):
    page = TEXT[ROOT / "docs" / "running.md"]

    missing = [each.name for each in dataclasses.fields(kind) if f"`{each.name}`" not in page]

    assert not missing


def test_every_verb_is_documented():
    everything = "".join(TEXT.values())
    command = get_command(app)
    for name, verb in command.commands.items():  # type: ignore[attr-defined]
        for path in [f"{name} {sub}" for sub in getattr(verb, "commands", {})] or [name]:
            assert f"plumbrule {path}" in everything, path


def test_every_verb_can_be_called_from_python():
    page = TEXT[ROOT / "docs" / "python.md"]
    verbs = {
        path
        for name, verb in get_command(app).commands.items()  # type: ignore[attr-defined]
        for path in [f"{name} {sub}" for sub in getattr(verb, "commands", {})] or [name]
    }

    missing = [
        path
        for path in verbs
        if not re.search(rf"\| .*\b{path}\b.*` \|", page) and f"pr.{CALLS.get(path)}(" not in page
    ]

    assert not missing


CALLS = {"run": "align", "compare": "compare", "review": "review", "comply": "comply"}


def test_every_function_named_for_python_is_there():
    page = TEXT[ROOT / "docs" / "python.md"]
    for name in set(re.findall(r"`(plumbrule(?:\.\w+)+)", page)):
        module, _, attribute = name.rpartition(".")

        there = importlib.util.find_spec(name) if module == "plumbrule" else None
        assert there or hasattr(importlib.import_module(module), attribute), name


def test_every_option_of_run_is_documented():
    page = TEXT[ROOT / "docs" / "running.md"]
    run = get_command(app).commands["run"]  # type: ignore[attr-defined]

    missing = [option for each in run.params for option in each.opts if f"`{option}" not in page]

    assert not missing


@pytest.mark.parametrize("kind", [each for each in every_error() if each is not PlumbruleError])
def test_every_error_is_documented(kind):
    if kind.__module__ == "plumbrule.errors":
        assert f"`{kind.__name__}`" in TEXT[ROOT / "docs" / "running.md"]


def test_every_field_of_a_prompt_set_is_documented():
    page = TEXT[ROOT / "docs" / "judging.md"]

    for name in [*TASKS, *Template.model_fields, "single_line", "few_shot"]:
        assert f"`{name}`" in page


def test_every_benchmark_row_with_a_target_stands_in_the_readme():
    import json

    rows = json.loads((ROOT / "benchmarks" / "results" / "main_job.json").read_text())
    readme = TEXT[ROOT / "README.md"]

    for row in rows:
        if row["target"]:
            assert row["measure"] in readme
            assert f"{row['value']:.4g}" in readme


def test_every_term_of_the_glossary_stands_there_once():
    page = TEXT[ROOT / "docs" / "glossary.md"]
    terms = [
        re.sub(r"\(.*?\)|\*", "", each).strip()
        for line in re.findall(r"^\| (.+?) \|", page, flags=re.MULTILINE)
        for each in line.split(", ")
    ]

    assert len(terms) > 80
    assert sorted(each for each in set(terms) - {"term", "---"} if terms.count(each) > 1) == []
