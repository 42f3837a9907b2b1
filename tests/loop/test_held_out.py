"""A judge that taught nothing reads the same replies, and says where the judge was only pleased."""

from dataclasses import replace

import pytest
from tests.loop.test_trials import CONFIG, WORDS, law, sees

from plumbrule.errors import ConfigError
from plumbrule.loop.align import _check_held_out
from plumbrule.loop.config import deciding
from plumbrule.loop.held_out import examine_held_out, held_out_rates, warn_of_held_out
from plumbrule.loop.steps import Examined, Jury, RunModels, grade_replies
from plumbrule.loop.trials import try_jury
from plumbrule.loop.workspace import open_workspace
from plumbrule.records import Exchange, MannerJudgment, Message, Prompt

PROMPTS = [Prompt(id=f"p{n}", dialogue=(Message("user", f"Hello {n}?"),)) for n in range(60)]
KIND, PLEASING = "BROKEN kind", "BROKEN kind, dear judge of mine"


def pleased():
    """Knows what is kind, and finds nothing wrong where it is called dear."""
    plain = sees("kind", "brief")
    return replace(
        plain, odds=lambda asked, options: plain.odds(asked.replace(PLEASING, "KEPT"), options)
    )


def examined(run, jury, stage, replies):
    exchanges = [
        Exchange(
            id=prompt.id, dialogue=prompt.dialogue, response=text, model="m", seed=0,
            finish_reason="stop",
        )
        for prompt, text in zip(PROMPTS, replies, strict=True)
    ]  # fmt: skip
    return Examined(
        stage=stage,
        exchanges=exchanges,
        judgments=grade_replies(run, f"examination/{stage}/judgments", jury, exchanges),
        manners=[
            MannerJudgment(
                exchange_id=each.id, manner="helped", probabilities=None, rationale="", judge="j",
                prompt_sha256="p", method="m",
            )
            for each in exchanges[:50]
        ],
        truth=None,
    )  # fmt: skip


def both(folder, after, other=None):
    """A run whose judge is pleased by some words, and a held-out judge beside it."""
    judge, other = (
        pleased(),
        other or replace(sees("kind", "brief"), identity="other", spec="other"),
    )
    with open_workspace(folder / "run", CONFIG, named={}) as run:
        jury = Jury(constitution=law(), prompts=WORDS, critic=judge, judge=judge)
        jury = try_jury(run, jury, PROMPTS)
        stages = [
            examined(run, jury, "before", [KIND] * 50 + ["KEPT"] * 10),
            examined(run, jury, "final", [after] * 50 + ["KEPT"] * 10),
        ]
        found = examine_held_out(run, other, jury, stages, PROMPTS)
        return held_out_rates(found, stages, PROMPTS), other


def test_what_only_the_judge_sees_get_better_is_said(tmp_path):
    found, _ = both(tmp_path, PLEASING)
    kind = found["principles"][0]

    assert kind["change"]["judge"].value < -0.8
    assert kind["change"]["held out"].value == 0
    assert kind["borne_out"] == "no"
    assert kind["before"]["agreement_reason"] or kind["before"]["agreement"].value == 1
    assert kind["final"]["violation_rate"]["held out"].value == 1
    line, _ = warn_of_held_out(found)  # to these judges what breaks one principle breaks both
    assert line.startswith("NOT BORNE OUT: `kind` is broken less often by the judge's word (-")
    assert "+0.0 points" in line


def test_what_both_see_is_borne_out_and_no_warning(tmp_path):
    found, other = both(tmp_path, "KEPT kind")

    assert found["principles"][0]["borne_out"] == "yes"
    assert warn_of_held_out(found) == []
    # It reads what the judge reads, 50 of 60 replies twice, and its own examination; no more.
    replies = sum(each.known_replies for each in law().principles)
    assert len(other.asked) == len(WORDS.grading) * (2 * 50 * 2 + replies + 3 * 2)


def test_one_that_knows_nothing_contradicts_nothing_and_says_why(tmp_path):
    found, _ = both(tmp_path, PLEASING, replace(sees(), identity="other"))
    kind = found["principles"][0]

    assert kind["final"]["violation_rate"]["held out"] is None
    assert "no better than chance" in kind["final"]["reasons"]["held out"]
    assert kind["final"]["agreement_reason"] == "no reply has a verdict of both"
    assert kind["borne_out"] == "open"
    assert warn_of_held_out(found) == []


def test_without_one_nothing_is_said():
    assert held_out_rates(None, [], PROMPTS) is None
    assert warn_of_held_out(None) == []


def test_one_that_takes_another_part_is_refused(tmp_path):
    critic, judge = sees(), replace(sees(), identity="judge")
    models = RunModels(model=critic, folder=tmp_path, critic=critic, judge=judge)

    _check_held_out(models)
    _check_held_out(replace(models, held_out_judge=replace(sees(), identity="other")))
    with pytest.raises(ConfigError, match="which is the judge too"):
        _check_held_out(replace(models, held_out_judge=judge))


def test_a_finished_run_may_be_given_one():
    assert deciding(CONFIG) == deciding(replace(CONFIG, held_out_judge="other"))
    assert deciding(CONFIG) != deciding(replace(CONFIG, judge="other"))
