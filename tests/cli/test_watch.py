"""The verbs `watch` and `ab`, as a newcomer types them."""

import json

import pytest
from typer.testing import CliRunner

from plumbrule.cli.app import app
from plumbrule.errors import ConfigError, DataError

LAW = """
name: manners
version: "1"
principles:
  - id: no-insults
    text: Do not insult whoever asks.
    tier: 0
    words: [fool*]
"""


@pytest.fixture
def material(tmp_path):
    (tmp_path / "law.yaml").write_text(LAW)
    rows = [
        {"id": f"r{n}", "prompt": "How far?", "reply": "A mile." + " You fool." * (n % 3 == 0)}
        for n in range(300)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def watch(material, *more):
    given = ["watch", material / "a.jsonl", "--constitution", material / "law.yaml"]
    return run(*given, "--out", material / "w", *more)


def test_a_standing_alarm_ends_with_code_1_and_a_handled_one_with_0(material):
    first = watch(material, "--limit", "no-insults=5%")
    second = watch(material, "--limit", "no-insults=5%", "--handled", "no-insults")

    assert first.exit_code == 1, first.output
    assert "Alarm at conversation" in first.output
    assert "5.00%" in first.output
    assert second.exit_code == 0, second.output


def test_without_enough_traffic_it_says_so_and_ends_well(material):
    result = watch(material)

    assert result.exit_code == 0
    assert "The baseline is not complete: 300 of 30,000" in result.output


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--limit", "no-insults"], "must be ID=RATE"),
        (["--limit", "none=5%"], "not watched"),
        (["--keep", "all"], "keep must be"),
        (["--unit", "word"], "unit must be"),
        (["--share", "0"], "above 0"),
        (["--handled", "no-insults"], "no standing alarm"),
    ],
)
def test_what_is_wrong_is_said(material, more, what):
    result = watch(material, *more)

    assert isinstance(result.exception, ConfigError)
    assert what in str(result.exception)


def test_a_trial_is_planned_assigned_and_run(material):
    folder, law = material / "t", material / "law.yaml"
    planned = run("ab", "plan", folder, "--constitution", law, "--primary", "no-insults")
    arms = run("ab", "arm", folder, "a", "b")
    result = run("ab", "run", folder, material / "a.jsonl", "--constitution", law)
    page = (folder / "report" / "index.html").read_text()

    assert planned.exit_code == 0, planned.output
    assert set(arms.output.split()) <= {"incumbent", "candidate"}
    assert result.exit_code == 0, result.output
    assert "Nothing is decided yet" in result.output
    assert "The plan, fixed beforehand" in page


def test_a_trial_without_a_plan_is_refused(material):
    result = run("ab", "run", material / "t", material / "a.jsonl", "--constitution", "default")

    assert isinstance(result.exception, DataError)
