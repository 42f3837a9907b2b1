"""Finished runs side by side, from their reports alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from plumbrule.errors import ConfigError, DataError, OutputError
from plumbrule.loop.runs import compare_runs, read_runs, runs_content
from plumbrule.statistics import paired_proportions


def written(folder, helpful, harmless, *, prompts=None, broken="", **more):
    """The report of a run with a letter a prompt."""
    stage = {"helpful": helpful, "harmless": harmless, "broken": {"privacy": broken or harmless}}
    estimate = {
        "value": 0.5, "low": 0.1, "high": 0.9, "level": 0.95, "n": 4, "unit": "x", "method": "y",
    }  # fmt: skip
    content = {
        "title": "t", "recipe": "rlhf", "method": "dpo", "headline_source": "oracle",
        "seconds": 1.0, "stages": [{"seconds": 1.0, "tokens_scored": 3, "dollars": 0.5}],
        "labels": {"people": {"pairs": 7, "replies": 0}, "ai": {"pairs": 2, "replies": 0}},
        "principles": [
            {"id": "privacy", "text": "p", "final": {"violation_rate": {"oracle": estimate}}}
        ],
        "models": {"judge": {"identity": "j"}, "model": {"identity": "m", "spec": "lab:nano"}},
        "constitution": {"name": "c", "version": "1"}, "constitution_sha256": "s",
        "outcomes": {
            "prompts": prompts or [f"prompt {number}" for number in range(len(helpful))],
            "stages": {"before": stage, "final": stage},
        },
        **more,
    }  # fmt: skip
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "report.json").write_text(json.dumps(content))
    return folder


def differences(content):
    return {row["measure"]: row for row in content["differences"][0]["rows"]}


def test_differences_are_paired_over_the_prompts_that_both_were_asked(tmp_path):
    first = written(tmp_path / "a", "yynn--", "--yynn", prompts=list("abcdef"))
    second = written(tmp_path / "b", "ny-yny", "yn--nn", prompts=list("bacdxe"))

    content = runs_content(read_runs([first, second]), command="test")

    # Shared and known in both: a (y, y), b (y, n), d (n, y); c is not known in the second.
    expected = paired_proportions(
        np.array([True, True, False]), np.array([True, False, True]), unit="x"
    )
    row = differences(content)["helpful"]
    for name in ("value", "low", "high"):
        assert row["estimate"][name] == pytest.approx(getattr(expected, name))
    assert any("shares 5 of its 6 held-out prompts" in note for note in content["notes"])


def test_a_run_that_is_better_on_both_is_said_to_be(tmp_path):
    worse = written(tmp_path / "worse", "ynnn----", "----ynnn")
    better = written(tmp_path / "better", "yyyn----", "----yynn")
    other = written(tmp_path / "other", "yyyy----", "----nnnn")

    content = runs_content(read_runs([worse, better, other]), command="test")

    assert [row["beaten_by"] for row in content["runs"]] == [["better"], [], []]
    assert [row["labels"]["people"]["pairs"] for row in content["runs"]] == [7, 7, 7]
    assert [row["dollars"] for row in content["runs"]] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"headline_source": "judge"}, "one is read by the oracle, the other by the judge"),
        ({"outcomes": None}, "does not say what each prompt came to"),
    ],
)
def test_what_cannot_be_compared_is_said_and_not_computed(tmp_path, more, said):
    first = written(tmp_path / "a", "yn", "ny")
    second = written(tmp_path / "b", "yn", "ny", **more)

    if "outcomes" in more:
        with pytest.raises(DataError, match=said):
            read_runs([first, second])
        return
    content = runs_content(read_runs([first, second]), command="test")
    assert {row["estimate"] for row in differences(content).values()} == {None}
    assert any(said in note for note in content["notes"])


def test_another_judge_is_another_ruler(tmp_path):
    models = {"judge": {"identity": "k"}, "model": {"identity": "m"}}
    first = written(tmp_path / "a", "yn", "ny", headline_source="judge")
    second = written(tmp_path / "b", "yn", "ny", headline_source="judge", models=models)

    content = runs_content(read_runs([first, second]), command="test")

    assert differences(content)["helpful"]["reason"] == "another judge read its replies"


def test_runs_without_a_prompt_in_common_have_no_difference(tmp_path):
    first = written(tmp_path / "a", "yn", "ny", prompts=["a", "b"])
    second = written(tmp_path / "b", "yn", "ny", prompts=["c", "d"])

    row = differences(runs_content(read_runs([first, second]), command="test"))["helpful"]

    assert row["estimate"] is None
    assert row["reason"] == "0 held-out prompts tell of it in both runs"


def test_wrong_folders_are_refused_and_nothing_is_written(tmp_path):
    good = written(tmp_path / "a", "yn", "ny")
    (tmp_path / "empty").mkdir()
    damaged = written(tmp_path / "b", "yn", "ny")
    (damaged / "report" / "report.json").write_text('{"principles": ')
    other = tmp_path / "other" / "report"
    other.mkdir(parents=True)
    (other / "report.json").write_text("[]")

    for folders, kind, said in (
        ([good], ConfigError, "two to 20 runs, got 1"),
        ([good, good], ConfigError, "is there twice"),
        ([good, tmp_path / "empty"], DataError, "there is none at"),
        ([good, damaged], DataError, "is no JSON"),
        ([good, other.parent], DataError, "is one of something else"),
    ):
        with pytest.raises(kind, match=said):
            compare_runs(folders, out=tmp_path / "out", command="test")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    folders = [written(tmp_path / name, "yn", "ny") for name in "ab"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")

    with pytest.raises(OutputError, match="holds something else"):
        compare_runs(folders, out=tmp_path / "out", command="test")


def test_what_runs_say_is_shown_and_never_run(tmp_path):
    bad = "<script>alert(1)</script>\u202e"
    folders = [
        written(tmp_path / f"{name}<b>", "yn", "ny", title=bad, recipe=bad, method=bad)
        for name in "ab"
    ]

    compare_runs(folders, out=tmp_path / "out", command=bad)

    page = Path(tmp_path / "out" / "report" / "index.html").read_text()
    assert "<script" not in page
    assert "\u202e" not in page
    assert "<b>" not in page.replace("<b>value</b>", "")
    assert "&lt;script&gt;alert(1)" in page
