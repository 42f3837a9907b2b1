import json

import pytest
from tests.fakes import ScriptedModel
from typer.testing import CliRunner

import plumbrule.models
from plumbrule.cli.app import app
from plumbrule.constitution import load_constitution
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.judging import (
    NOTHING_KNOWN,
    Standing,
    TrialAnswer,
    conclude,
    grade,
    known_replies,
    load_prompts,
)
from plumbrule.records import Exchange, Message, to_jsonl
from plumbrule.store import Shards

LAW = load_constitution("village")
WORDS = load_prompts("village")
VILLAGE = ["--constitution", "village", "--prompts", "village"]


def odds(asked, options):
    reply = asked.split("Reply: ")[-1]
    if len(options) == 2:  # compares: always the first
        return [0.9, 0.1]
    number = int("".join(letter for letter in reply if letter.isdigit()) or 0)
    fail = 0.8 if ("BAD" in reply) != (number % 5 == 0) else 0.2
    return [1 - fail, fail, 0.0]


@pytest.fixture
def judge(monkeypatch):
    model = ScriptedModel(odds=odds)
    monkeypatch.setattr(plumbrule.models, "open_model", lambda spec: model)
    return model


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {"request": f"Q{n}", "reply": f"{word} {n}", "principle": "privacy",
                 "broken": word == "BAD"}
            ) + "\n"
            for n in range(40) for word in ("BAD", "GOOD")
        )
    )  # fmt: skip
    return path


def call(*arguments):
    return CliRunner().invoke(app, ["judge", *map(str, arguments)], catch_exceptions=False)


def certified(labels, tmp_path):
    out = tmp_path / "certificate.json"
    return out, call("certify", "--judge", "x", "--labels", labels, "--out", out, *VILLAGE)


def judged(judge, folder, law=LAW, seal=False, standing=NOTHING_KNOWN):
    exchanges = [
        Exchange(
            id=f"{word} {n}", dialogue=(Message("user", "Q"),), response=f"{word} {n}", model="m"
        )
        for word, count in (("BAD", 30), ("GOOD", 70)) for n in range(count)
    ]  # fmt: skip

    def work(shard, seed):
        seeds = [seed] * len(shard)
        return grade(judge, shard, law, prompts=WORDS, seeds=seeds, standing=standing)

    if seal:
        kind = type(work(exchanges[:1], 0)[0])
        Shards(folder, {}).map(exchanges, work, kind=kind, size=30, seed=0)
        return folder
    path = folder / "judgments.jsonl"
    path.write_text(to_jsonl(work(exchanges, 0)))
    return path


def test_a_judge_is_certified_and_the_file_says_how(judge, labels, tmp_path):
    out, result = certified(labels, tmp_path)

    assert result.exit_code == 0, result.output
    assert "privacy" in result.output
    assert "0.80 (0.64-0.91)" in result.output
    assert json.loads(out.read_text())["certificate"]["judge"] == "scripted"


@pytest.mark.parametrize("seal", [False, True])
def test_a_rate_is_corrected_from_a_file_and_from_the_folder_of_a_run(
    judge, labels, tmp_path, seal
):
    out, _ = certified(labels, tmp_path)
    place = judged(judge, tmp_path, seal=False) if not seal else judged(
        judge, tmp_path / "judgments", seal=True
    )  # fmt: skip
    result = call(
        "rate", "--certificate", out, "--judgments", place, "--constitution", "village", "--json"
    )

    (found,) = json.loads(result.output)
    assert found["principle_id"] == "privacy"
    assert found["reported"]["value"] == pytest.approx(0.3 * 0.8 + 0.7 * 0.2)
    assert found["rate"]["value"] == pytest.approx(0.3)


def test_the_judge_of_a_run_is_read_by_the_borders_of_its_examination(judge, labels, tmp_path):
    run, out = tmp_path / "run", tmp_path / "c.json"
    known = known_replies(LAW)
    answers = [
        TrialAnswer(known=each, log_odds=2.0 if each.broken else -2.0, covered=1.0)
        for each in known
    ]
    Shards(run / "stages" / "trial" / "critic", {}).map(
        known, lambda shard, seed: answers, kind=TrialAnswer, size=len(known), seed=0
    )
    standing = Standing(trial=conclude("critic", answers, LAW))
    place = judged(judge, tmp_path, standing=standing)
    certify = ["certify", "--judge", "x", "--labels", labels, "--out", out, *VILLAGE]
    rate = ["rate", "--certificate", out, "--constitution", "village", "--judgments", place]

    call(*certify)
    with pytest.raises(DataError, match="read by a border"):
        call(*rate)
    with pytest.raises(DataError, match="borders and conditions of then"):
        call(*rate, "--run", run)
    call(*certify, "--run", run)
    assert "0.38 (0.28-0.48)" in call(*rate, "--run", run).output
    with pytest.raises(DataError, match="expected a run's examination of its judge"):
        call(*rate, "--run", tmp_path / "none")


def test_the_table_of_rates_says_what_was_left_out(judge, labels, tmp_path):
    out, _ = certified(labels, tmp_path)
    place = judged(judge, tmp_path)
    result = call("rate", "--certificate", out, "--judgments", place, "--constitution", "village")

    assert result.exit_code == 0
    assert "0.38 (0.28-0.48)" in result.output
    assert "0.30 (" in result.output


def test_another_constitution_is_refused(judge, labels, tmp_path):
    out, _ = certified(labels, tmp_path)
    place = judged(judge, tmp_path)

    with pytest.raises(DataError, match="does not fit"):
        call("rate", "--certificate", out, "--judgments", place, "--constitution", "default")


def test_a_bias_ends_with_one(judge, labels, tmp_path):
    out = tmp_path / "biases.json"
    result = call("biases", "--judge", "x", "--labels", labels, "--out", out, *VILLAGE)

    assert result.exit_code == 1
    assert "prefers a reply that is shown first" in result.output
    assert "not measured" in result.output  # no reply is by the judge
    effects = {each["kind"]: each for each in json.loads(out.read_text())["effects"]}
    assert effects["position"]["effect"]["value"] == pytest.approx(0.8)
    assert not effects["style"]["found"]


def test_bad_input_is_refused_before_a_model_is_opened(labels, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text("no\n")
    for error, said, arguments in (
        (DataError, "there is none at", ["certify", "--labels", tmp_path / "none"]),
        (DataError, "line 1 must be one JSON object", ["certify", "--labels", bad]),
        (DataError, "line 1 must be one JSON object", ["biases", "--labels", bad]),
        (ConfigError, "--source must be", ["certify", "--labels", labels, "--source", "cat"]),
    ):
        more = ["--out", tmp_path / "o"] if arguments[0] == "certify" else []
        with pytest.raises(error, match=said):
            call(*arguments, "--judge", "nowhere", *more, *VILLAGE)
    certificate = tmp_path / "c.json"
    certificate.write_text("{}")
    with pytest.raises(DataError, match="expected a judge's certificate"):
        call("rate", "--certificate", certificate, "--judgments", bad)


def test_help_teaches():
    for verb, words in (
        ("certify", "holds for this judge"), ("biases", "Exit code 1"), ("rate", "Refused where"),
    ):  # fmt: skip
        result = CliRunner().invoke(app, ["judge", verb, "--help"], terminal_width=200)

        assert result.exit_code == 0
        assert words in " ".join(result.output.split())


def test_remedies_are_tried_on_the_constitutions_own_replies(monkeypatch):
    """One critic says no issue to everything, the other knows; asked about no reply of a person."""
    broken = {(each.request, each.reply) for each in known_replies(LAW) if each.broken}

    def knows(asked, options):
        last = asked.split("Request: ")[-1]
        request, _, reply = last.partition("\nReply: ")
        bad = any(request.strip() == q and reply.startswith(r) for q, r in broken)
        return [0.1, 0.9, 0.0] if bad else [0.9, 0.1, 0.0]

    models = {
        "dull": ScriptedModel(odds=lambda asked, options: [0.9, 0.1, 0.0], spec="dull"),
        "wise": ScriptedModel(odds=knows, spec="wise"),
    }
    monkeypatch.setattr(plumbrule.models, "open_model", models.__getitem__)

    alone = call("remedies", "--judge", "dull", *VILLAGE)
    beside = call("remedies", "--judge", "dull", "--larger", "wise", *VILLAGE)

    assert alone.exit_code == 1
    assert "The critic says no issue" in alone.output
    assert "Recommended: people" in alone.output
    assert beside.exit_code == 0
    assert "Recommended: another critic" in beside.output


def test_a_classifier_that_is_not_there_is_named_before_a_model_is_opened(monkeypatch, tmp_path):
    monkeypatch.setattr(plumbrule.models, "open_model", None)

    with pytest.raises(ModelError, match="expected a folder with a sequence classifier"):
        call("remedies", "--judge", "m", "--classifier", tmp_path / "none", *VILLAGE)
