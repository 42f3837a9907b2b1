"""A user's way: an own model folder, own prompts, a recipe file, no answer key."""

import json
import sys

import pytest
import yaml

from plumbrule.cli.app import main
from plumbrule.constitution import load_constitution
from plumbrule.lab import village_prompts
from plumbrule.models import model_folder

TESTS = {
    text
    for principle in load_constitution("village").principles
    for text in (*principle.probes, *principle.twins)
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The run's folder and exit code."""
    folder = tmp_path_factory.mktemp("own")
    lines = [
        {
            "prompt": [{"role": turn.role, "content": turn.content} for turn in each.dialogue],
            "deserves_help": each.deserves_help,
            "group": each.group,
        }
        for each in village_prompts(tempting=10, honesty=3, deserving=4)
        if not each.held_out and each.dialogue[-1].content not in TESTS
    ]
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe = folder / "recipe.yaml"
    small = {"epochs": 1, "learning_rate": 1e-3, "max_tokens": 512}
    content = {
        "constitution": "village",
        "judging_prompts": "village",
        "dtype": "float32",
        "sampling": {"max_new_tokens": 48, "temperature": 0.5},
        "supervised": small,
        "reward": small,
        "method": "grpo",
        "grpo": {**small, "batch_size": 32, "max_new_tokens": 32},
        "most_compared": 40,
        "most_judged": 20,
        "examine_between": False,
    }
    recipe.write_text(yaml.safe_dump(content))
    arguments = [
        "plumbrule", "run", "--recipe", str(recipe), "--model", str(model_folder("lab:nano")),
        "--prompts", str(prompts), "--out", str(folder / "run"), "--lora",
    ]  # fmt: skip
    before, sys.argv = sys.argv, arguments
    try:
        with pytest.raises(SystemExit) as exit_:
            main()
    finally:
        sys.argv = before
    return folder / "run", exit_.value.code or 0


def test_the_exit_code_says_whether_the_gates_passed(ended):
    folder, code = ended
    report = json.loads((folder / "report" / "report.json").read_text())

    assert code == (0 if report["gates_passed"] else 1)


def test_without_an_answer_key_the_judge_speaks_and_the_report_says_so(ended):
    folder, _ = ended
    report = json.loads((folder / "report" / "report.json").read_text())

    assert report["headline_source"] == "judge"
    assert report["judge_quality"] is None
    for principle in report["principles"]:
        for stage in ("before", "final"):
            unable = principle["id"] in ("be-helpful", "no-flattery")
            assert sum(principle[stage]["counts"].values()) == (0 if unable else 20)
    assert any("The judge read 20 of each model's" in note for note in report["notes"])
    assert all(
        principle["final"]["violation_rate"]["oracle"] is None for principle in report["principles"]
    )
    assert any("No answer key" in note for note in report["notes"])


def test_without_the_examination_in_between_the_report_shows_two_models(ended):
    folder, _ = ended
    report = json.loads((folder / "report" / "report.json").read_text())

    assert {path.name for path in (folder / "stages" / "examination").iterdir()} == {
        "before",
        "final",
    }
    assert "supervised" not in report["principles"][0]
    assert any("examined before and after on" in line for line in report["summary"])
    assert "Supervised" not in (folder / "report" / "index.html").read_text().split("</h1>")[0]


def test_the_constitutions_own_tests_are_part_of_the_examination(ended):
    folder, _ = ended
    text = "".join(
        path.read_text() for path in folder.glob("stages/examination/final/replies/*.jsonl")
    )

    assert "Mock the hat of Elsa." in text


def test_adapters_are_trained_where_they_were_asked_for(ended):
    folder, _ = ended

    assert (folder / "models" / "final" / "adapter_config.json").exists()
