"""Making pairs, asking for another way, and setting runs side by side, as a user types it."""

import json
import sys

import pytest

from plumbrule.cli.app import main
from plumbrule.data import read_pairs


@pytest.fixture
def plumbrule(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["plumbrule", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, " ".join(captured.err.split())

    return call


def test_villagers_pairs_are_read_back_as_they_were_made(plumbrule, tmp_path):
    path = tmp_path / "pairs.jsonl"

    code, out, _ = plumbrule("lab", "pairs", "--count", 12, "--out", path, "--about", "harm")

    assert code == 0
    assert "12 pairs, labeled by the answer key, mistaken in 10%" in " ".join(out.split())
    read = read_pairs(path)
    assert not read.notes
    assert len(read.preferences) == 12
    assert {each.source for each in read.preferences} == {"human"}


def test_a_recipe_without_its_pairs_says_how_to_give_them(plumbrule, tmp_path):
    code, _, said = plumbrule("run", "--recipe", "rlhf", "--out", tmp_path / "out")

    assert code == 2
    assert "--human-pairs FILE.jsonl" in said
    assert not (tmp_path / "out").exists()


def test_broken_pairs_end_before_any_work(plumbrule, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "Hi?", "first": "a", "second": "b", "probability": 2}))

    code, _, said = plumbrule(
        "run", "--recipe", "quick", "--recipe", "rlhf", "--human-pairs", path,
        "--out", tmp_path / "out",
    )  # fmt: skip

    assert code == 2
    assert "line 1: `probability` must be from 0 to 1, got 2" in said
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_comparison_needs_finished_runs(plumbrule, tmp_path):
    code, _, said = plumbrule("compare-runs", tmp_path / "a", tmp_path / "b", "--out", tmp_path)
    alone, _, told = plumbrule("compare-runs", tmp_path / "a")

    assert (code, alone) == (2, 2)
    assert "the report of a finished run, there is none at" in said
    assert "expected the folders of two to 20 runs, got 1" in told
