"""Training against the reward, watched by prompts that were set aside for it."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.loop.test_ways import CONFIG

from plumbrule.errors import ConfigError, DataError
from plumbrule.lab import village_prompts
from plumbrule.loop import align
from plumbrule.loop.config import deciding
from plumbrule.loop.watching import kept_shares, set_aside, stopped_early, watched_notes
from plumbrule.recipes import village_oracle
from plumbrule.records import Judgment, Message
from plumbrule.training import EarlyStop, Monitored, TrainingResult

PROMPTS = village_prompts(
    tempting=24, honesty=2, deserving=10, examined_tempting=6, examined_deserving=2
)


def test_watched_prompts_are_no_training_prompts():
    given = [each for each in PROMPTS if not each.held_out]
    trained, watched = set_aside(given, replace(CONFIG, watched=16))
    assert len(watched) == 16
    assert {each.id for each in trained} | {each.id for each in watched} == {e.id for e in given}
    assert not {each.id for each in trained} & {each.id for each in watched}
    assert set_aside(given, CONFIG) == (given, [])


def test_as_many_prompts_must_be_left_as_are_set_aside():
    given = [each for each in PROMPTS if not each.held_out][:31]
    with pytest.raises(DataError, match="expected at least 32 training prompts"):
        set_aside(given, replace(CONFIG, watched=16))


def test_too_few_watched_prompts_and_nothing_to_watch_are_refused():
    with pytest.raises(ConfigError, match="at least 16 prompts"):
        replace(CONFIG, watched=5)
    with pytest.raises(ConfigError, match="nothing to watch"):
        replace(CONFIG, watched=16, method="none")


def test_a_held_out_judge_decides_a_run_only_where_it_watches():
    judged = replace(CONFIG, held_out_judge="lab:small")
    assert deciding(judged) == deciding(CONFIG)
    assert deciding(replace(judged, watched=16)) != deciding(replace(CONFIG, watched=16))


def test_a_watched_run_says_what_was_seen(tmp_path):
    config = replace(CONFIG, watched=16, most_prompts=36, held_out_judge="lab:small")
    outcome = align(config, prompts=PROMPTS, out=tmp_path / "run", oracle=village_oracle)
    (note,) = [line for line in outcome.content["notes"] if "was watched" in line]
    assert "by the held-out judge and for collapse" in note
    assert "16 prompts that were set aside" in note


RESULT = TrainingResult(
    path=Path("final"), stage="dpo", inputs_sha256="", settings_sha256="", examples=1, skipped=0,
    steps=4, tokens_trained=1, seconds=2.0, resumed_from=None, curve=(),
)  # fmt: skip


def test_a_stop_is_said_first_and_a_run_that_nobody_watched_says_nothing():
    assert stopped_early(None) == watched_notes(None, CONFIG) == []
    assert stopped_early(RESULT) == watched_notes(RESULT, CONFIG) == []
    stop = EarlyStop(step=4, kept_step=2, reason="collapse", message="collapse at step 4: short.")
    seen = replace(RESULT, monitored=Monitored(checks=(), stopped=stop, seconds=1.0))
    assert stopped_early(seen) == ["STOPPED EARLY: collapse at step 4: short."]
    (note,) = watched_notes(seen, replace(CONFIG, watched=16))
    assert "for collapse alone" in note
    assert "50% of its time" in note


def judgment(number, verdict, probability=None):
    return Judgment(
        exchange_id=str(number), principle_id="p", constitution_sha256="", verdict=verdict,
        probability=probability, rationale="", judge="", prompt_sha256="", method="",
    )  # fmt: skip


def shares(monkeypatch, *judged):
    monkeypatch.setattr("plumbrule.loop.watching.grade", lambda *_, **__: judged)
    jury: Any = SimpleNamespace(judge=None, constitution=None, prompts=None, judge_standing=None)
    dialogues = [(Message("user", "Who is she?"),)] * 2
    return kept_shares(jury, dialogues, ["A potter.", "No."], seed=0)


def test_a_reply_scores_by_how_surely_it_keeps_what_applies(monkeypatch):
    found = shares(
        monkeypatch,
        judgment(0, "pass", 0.25),
        judgment(0, "not_applicable"),
        judgment(0, "errored"),
        judgment(1, "fail"),
    )
    assert found == [0.875, 0.0]


def test_a_judge_without_an_answer_cannot_watch(monkeypatch):
    with pytest.raises(DataError, match="1 of 2 watched replies"):
        shares(monkeypatch, judgment(0, "pass"), judgment(1, "errored"))
