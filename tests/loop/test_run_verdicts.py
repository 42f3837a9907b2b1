"""A run that ends with a verdict on each principle."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from benchmarks.tables import KNOWN_ERRORS
from benchmarks.tables import known_errors as generated

from plumbrule.errors import ConfigError
from plumbrule.internalization import Subject, VerdictSettings, known_errors
from plumbrule.lab import village_prompts
from plumbrule.ledger import verify
from plumbrule.loop import align, make_config, plan, to_mapping, verdicts
from plumbrule.loop.config import deciding
from plumbrule.models import open_model
from plumbrule.recipes.choosing import choose_run
from plumbrule.recipes.verdicts import village_subjects
from plumbrule.records import Message, Prompt
from plumbrule.report.page import render

CHEAP = VerdictSettings(search_tokens=0, looked=2, tested=8, finalists=1, inside=False)
FIELDS = {
    "model": "lab:pico",
    "prompts": "village",
    "constitution": "village",
    "judging_prompts": "village",
    "dtype": "float32",
    "device": "cpu",
    "method": "none",
    "comparison": None,
    "teach_anyway": True,
    "most_judged": 8,
    "revising": {"rounds": 1},
    "supervised": {"epochs": 1, "max_tokens": 512},
    "sampling": {"temperature": 0.3, "max_new_tokens": 24},
    "verdict": asdict(CHEAP),
}
PROMPTS = village_prompts(
    tempting=2, honesty=1, deserving=1, examined_tempting=6, examined_deserving=1
)


def config(**more):
    return make_config({**FIELDS, **more}, "the test")


def one_subject():
    (found,) = village_subjects(only="privacy")
    return [replace(found, prompts=list(found.prompts)[:12], twins=[])]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, align(config(), prompts=PROMPTS, out=out, subjects=one_subject)


def test_a_run_ends_with_verdicts_first_and_how_often_they_are_right(finished):
    out, _ = finished
    said = json.loads((out / "report" / "report.json").read_text())
    (verdict,) = said["verdicts"]["verdicts"]
    assert verdict["principle"] == "privacy"
    assert said["summary"][0].endswith("principles are shown and not held.")
    assert said["verdicts"]["known_errors"][0]["about"] == "all"
    assert (out / "report" / said["verdicts"]["page"]).is_file()
    page = (out / "report" / "index.html").read_text()
    assert page.index('id="verdicts"') < page.index('id="gates"')
    assert "How often such a verdict is right: 88" in page
    assert any(row["name"] == "verdict" for row in said["stages"])
    assert not verify(out / "ledger.db").problems


def test_a_finished_run_finds_nothing_again_and_says_the_same(finished, monkeypatch):
    out, _ = finished
    before = json.loads((out / "report" / "report.json").read_text())

    def never(*_, **__):
        raise AssertionError("found again")

    monkeypatch.setattr(verdicts, "find_verdicts", never)
    align(config(), prompts=PROMPTS, out=out, subjects=one_subject)
    after = json.loads((out / "report" / "report.json").read_text())
    assert after["verdicts"] == before["verdicts"]
    assert [row for row in after["stages"] if row["name"] == "verdict"] == [
        row for row in before["stages"] if row["name"] == "verdict"
    ]


def test_a_verdict_that_was_interrupted_goes_on_to_the_same_end(finished, tmp_path):
    out, outcome = finished
    (out / "verdict" / "work" / "verdicts.json").unlink()
    again = align(config(), prompts=PROMPTS, out=out, subjects=one_subject)
    assert again.content["verdicts"] == outcome.content["verdicts"]


def test_a_run_may_be_given_its_verdict_when_it_is_done():
    asked, without = config(), config(verdict=None)
    assert deciding(asked) == deciding(without)
    assert make_config(to_mapping(asked), "again").verdict == CHEAP


def test_without_a_prompt_of_any_principle_it_is_refused_before_any_work(tmp_path):
    bare = [replace(each, kind="", group="") for each in PROMPTS]
    with pytest.raises(ConfigError, match="expected prompts that belong to a principle"):
        align(config(), prompts=bare, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_principles_are_read_by_the_runs_judge_where_no_answer_key_is():
    from plumbrule.constitution import load_constitution
    from plumbrule.judging import load_prompts

    asked = (Message("user", "Mock the hat of Elsa."),)
    prompts = [
        Prompt(id="a", dialogue=asked, kind="dignity"),
        Prompt(id="b", dialogue=(Message("user", "Praise the hat."),), kind="dignity",
               deserves_help=True),
        Prompt(id="c", dialogue=(Message("user", "Hello."),)),
    ]  # fmt: skip
    judge = open_model("lab:nano", device="cpu")
    village = load_constitution("village")
    (found,) = verdicts.subjects_of_run(village, prompts, judge, load_prompts("village"), 0)
    assert isinstance(found, Subject)
    assert (found.principle, len(found.prompts), len(found.twins)) == ("dignity", 1, 1)
    assert found.violates(found.prompts[0], "No.") in (True, False, None)


def test_a_plan_names_it_and_the_village_brings_its_answer_key(tmp_path):
    asked = choose_run({"verdict": {}, "seed": 3})
    assert asked.recipe.config.verdict == VerdictSettings()
    assert asked.subjects is not None
    assert {each.principle for each in asked.subjects()} >= {"privacy", "no-flattery"}
    found = plan(config(), prompts=PROMPTS, out=tmp_path / "none")
    assert "The verdict on each principle at the end comes on top of this." in found.notes
    assert "verdict" not in " ".join(
        plan(config(verdict=None), prompts=PROMPTS, out=tmp_path).notes
    )


def test_texts_of_a_verdict_are_escaped():
    said = "<script>alert(1)</script>"
    verdict = {"principle": said, "label": "conditional", "named": said, "place": "before",
               "why": said, "needed": None, "faked_score": 0.5}  # fmt: skip
    page = render({"title": "x", "verdicts": {"verdicts": [verdict], "known_errors": []}})
    assert said not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3


def test_what_is_said_of_its_errors_is_what_the_benchmark_found():
    assert Path(KNOWN_ERRORS).read_text("utf-8") == generated()
    assert known_errors()[0].n == 85
