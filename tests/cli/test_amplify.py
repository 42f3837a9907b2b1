import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from plumbrule.cli.app import app
from plumbrule.errors import ConfigError, OutputError
from plumbrule.lab.ladders import LADDERS
from plumbrule.lab.ladders.student import StudentSettings
from plumbrule.ledger import compare_files, read_entries
from plumbrule.oversight.amplification import ClimbSettings
from plumbrule.recipes.amplification import ROUNDS, choose_amplification

CLIMB = """
ladder: permutation
sizes: {size: 4}
student: {width: 32, layers: 2, most_steps: 60, every: 20}
climb: {rounds: 1, pool: 200, rehearsal: 50, planted: 150, exam: 200, first_contexts: 20}
"""


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    """A climb that cannot be learned in so few steps, run once."""
    folder = tmp_path_factory.mktemp("climb")
    recipe = folder / "tiny.yaml"
    recipe.write_text(CLIMB)
    arguments = ["amplify", str(recipe), "--out", str(folder / "out"), "--seed", "3"]
    return folder / "out", arguments, CliRunner().invoke(app, arguments)


def test_a_climb_that_stops_early_says_so_and_ends_with_one(climbed):
    out, _, result = climbed

    assert result.exit_code == 1, result.output
    assert "Amplification: permutation" in result.output
    assert "of 2 asked for" in result.output
    assert "The rule stopped at depth 2" in result.output
    assert (out / "report" / "index.html").exists()


def test_its_rounds_stand_in_report_and_ledger(climbed):
    out, _, _ = climbed
    report = json.loads((out / "report" / "report.json").read_text())

    entries = read_entries(out)

    assert [entry.key for entry in entries] == ["round-0", "round-1", "files/1"]
    assert [entry.kind for entry in entries] == [*["amplification round"] * 2, "files"]
    assert compare_files(out, entries) == ()
    assert report["gates_passed"] is False
    assert report["rounds"][1]["stop"]["gate"] == "student"
    assert report["rounds"][0]["labels"] == {"lessons": 80, "planted": 150, "overseer": 0}
    assert report["seed"] == 3


def test_the_same_command_again_only_reads_what_was_done(climbed):
    out, arguments, first = climbed
    before = {path: path.stat().st_mtime_ns for path in (out / "students").rglob("*.safetensors")}

    again = CliRunner().invoke(app, arguments)

    assert again.exit_code == 1
    assert again.stdout.splitlines()[:12] == first.stdout.splitlines()[:12]
    after = {path: path.stat().st_mtime_ns for path in (out / "students").rglob("*.safetensors")}
    assert before == after
    assert len(read_entries(out)) == 3


def test_another_seed_does_not_go_on_in_the_same_folder(climbed):
    _, arguments, _ = climbed

    other = CliRunner().invoke(app, [*arguments[:-1], "4"])

    assert isinstance(other.exception, OutputError)
    assert "seed" in str(other.exception)


def test_without_a_recipe_those_shipped_are_listed():
    result = CliRunner().invoke(app, ["amplify"])

    assert result.exit_code == 0
    for name in ("permutation", "assignments", "union-find", "arithmetic", "friends"):
        assert f"{name}: " in result.output


def test_shipped_recipes_ask_for_the_depth_that_was_measured():
    chosen = choose_amplification("friends", 5)

    assert chosen.ladder == "friends"
    assert (chosen.climb.rounds, chosen.climb.seed) == (3, 5)
    assert choose_amplification("permutation", None).climb.rounds == 4
    assert set(ROUNDS) == set(LADDERS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ladder: chess", "expected a task among permutation"),
        ("[1, 2]", "should be a mapping with `ladder`"),
        ("climb: {rounds: 2}", "should be a mapping with `ladder`"),
        ("ladder: [", "cannot be read as YAML"),
        ("ladder: permutation\nsizes: {length: 3}", "permutation has the sizes size"),
        ("ladder: permutation\nsizes: {size: 1}", "size must be from"),
        ("ladder: permutation\nsizes: {size: 2.5}", "size must be a whole number"),
        ("ladder: arithmetic\nsizes: {modulus: 6}", "modulus must be a prime"),
        ("ladder: permutation\nspeed: 3", "speed"),
        ("ladder: permutation\nclimb: {exam: true}", "climb.exam must be a number, got true"),
        ("ladder: permutation\nclimb: {pool: 1000000000000}", "pool must be between"),
        ("ladder: permutation\nclimb: {overseer: {seed: 99999999999999999999}}", "seed must be"),
        ("ladder: permutation\nstudent: {learned: 1.5}", "learned must be between"),
        ("ladder: permutation\nclimb: {votes: 0}", "votes must be at least 1"),
        ("ladder: permutation\nclimb: {rounds: 9}", "raise levels or lower rounds"),
        ("ladder: permutation\nclimb: {budget: {most: 2}}", "error budget lies between 0 and 1"),
        ("ladder: permutation\nstudent: {width: 30}", "multiple of heads"),
        ("ladder: permutation\nclimb: {overseer: {manner: sloppy}}", "manner"),
    ],
)
def test_a_bad_recipe_is_refused_in_clear_words(tmp_path, text, words):
    recipe = tmp_path / "bad.yaml"
    recipe.write_text(text)

    with pytest.raises(ConfigError, match=words):
        choose_amplification(str(recipe), None)


def test_a_name_that_is_nothing_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"expected one of permutation, .* 'nosuch'"):
        choose_amplification("nosuch", None)
    recipe = tmp_path / "binary.yaml"
    recipe.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"in UTF-8, .* has the byte 0xff at 0"):
        choose_amplification(str(recipe), None)


def test_bad_input_ends_with_two():
    code = "from plumbrule.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "amplify", "nosuch"], capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "plumbrule: expected one of permutation" in done.stderr


def test_the_recipe_in_the_documentation_is_one_and_names_every_setting(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "amplify.md").read_text(encoding="utf-8")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(page.split("```yaml\n")[1].split("```")[0])

    chosen = choose_amplification(str(recipe), None)

    assert chosen.sizes == {"size": 10}
    assert chosen.climb.overseer.manner == "habit"
    assert chosen.climb.enforce is False
    for kind in (ClimbSettings, StudentSettings):
        for each in fields(kind):
            assert f"`{each.name}`" in page, each.name
