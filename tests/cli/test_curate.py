"""The verbs `curate` and `distill`, as a newcomer types them."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from plumbrule.cli.app import app
from plumbrule.errors import ConfigError, ConstitutionError, DataError

LAW = """
name: plays
version: "1"
principles:
  - id: no-oaths
    tier: 0
    text: Swear no oaths.
    words: [zounds, "by heaven -> indeed"]
"""


@pytest.fixture
def material(tmp_path):
    (tmp_path / "law.yaml").write_text(LAW)
    (tmp_path / "corpus.txt").write_text("Zounds!\n\nBy heaven, a line.\n\nA line.")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_a_corpus_is_curated_and_the_counts_are_printed(material):
    given = ["curate", material / "corpus.txt", "--constitution", material / "law.yaml"]
    result = run(*given, "--out", material / "out", "--fate", "no-oaths=revise")

    assert result.exit_code == 0, result.output
    assert "no-oaths" in result.output
    assert "Of 3 passages 2 are kept: 1 as they were, 1 rewritten." in result.output
    rows = (material / "out" / "kept.jsonl").read_text().splitlines()
    assert [json.loads(row)["text"] for row in rows] == ["Indeed, a line.", "A line."]
    assert run(*given, "--out", material / "out", "--fate", "no-oaths=revise").exit_code == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["--fate", "no-oaths"], ConfigError, "must be ID=FATE"),
        (["--fate", "a=drop", "--fate", "a=keep"], ConfigError, "twice"),
        (["--fate", "nobody=drop"], ConstitutionError, "has no principle"),
        (["--broken", "burn"], ConfigError, "fate is one of"),
        (["--judged", "5"], ConfigError, "no judge"),
        (["--constitution", "village"], DataError, "has no words"),
    ],
)
def test_bad_options_are_refused(material, options, error, message):
    given = ["curate", material / "corpus.txt", "--out", material / "out"]
    if "--constitution" not in options:
        given += ["--constitution", material / "law.yaml"]
    result = run(*given, *options)

    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert not (material / "out").exists()


@pytest.mark.parametrize("weight", ["nan", "-1", "1e30", "much"])
def test_a_weight_that_is_none_ends_with_two(material, weight):
    given = ["curate", material / "corpus.txt", "--constitution", material / "law.yaml"]
    result = run(*given, "--out", material / "out", "--weight", weight)

    assert isinstance(result.exception, ConfigError) or result.exit_code == 2
    assert not (material / "out").exists()


def test_a_student_is_distilled_from_a_teacher(tmp_path):
    lines = [{"prompt": f"Tell me about bees {n}.", "held_out": n > 3} for n in range(5)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    arguments = ["distill", "lab:pico", "--teacher", "lab:nano", "--constitution", "village"]
    arguments += ["--prompts", tmp_path / "prompts.jsonl", "--judging-prompts", "village"]
    result = run(*arguments, "--out", tmp_path / "out", "--epochs", "1", "--max-tokens", "16")

    if isinstance(result.exception, DataError):  # a model this small may write nothing of use
        assert "none of 4 is left" in str(result.exception)
        return
    assert result.exit_code == 0, result.output
    assert "The student learned" in result.output
    assert (tmp_path / "out" / "models" / "final" / "config.json").exists()


def test_help_does_not_wait_for_torch():
    code = (
        "import sys; import plumbrule.cli.app; "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
