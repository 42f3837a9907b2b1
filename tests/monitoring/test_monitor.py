import json
import os
import random
import signal
import sqlite3
import time
from dataclasses import replace

import pytest

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import ConfigError, DataError, StorageError
from plumbrule.monitoring import (
    Ruling,
    Shares,
    TrafficMonitor,
    TrialPlan,
    WatchSettings,
    word_screen,
)
from plumbrule.monitoring import state as states

LAW = Constitution(
    name="t",
    version="1",
    principles=(
        Principle(id="no-fools", text="Insult nobody.", tier=0, words=("fool*",)),
        Principle(id="no-oaths", text="Do not swear.", tier=1, words=("damn*",)),
    ),
)
SETTINGS = WatchSettings(baseline=400, anchors=40, anchor_every=100, anchors_each=10, batch=64)


def line(number, broken=False, **more):
    text = "A mile." + (" You fool." if broken else "")
    return json.dumps(
        {"id": f"r{number}", "time": 1.7e9 + 86 * number, "prompt": "How far?", "reply": text}
        | more
    )


def watching(folder, *, settings=SETTINGS, judge=None, **more):
    return TrafficMonitor(
        folder, LAW, settings=settings, screen=word_screen(LAW), judge=judge, **more
    )


def by_words(also=lambda text: False):
    """A judge that sees what there is to see, and what `also` says besides."""

    def rule(conversations):
        return [
            {
                "no-fools": Ruling(verdict="fail" if "fool" in c.reply or also(c) else "pass"),
                "no-oaths": Ruling(verdict="fail" if "damn" in c.reply else "pass"),
            }
            for c in conversations
        ]

    return rule


def traffic(path, number, rates, start=0):
    rng = random.Random(start)
    path.write_text(
        "".join(line(start + at, rng.random() < rates(at)) + "\n" for at in range(number))
    )


def facts(monitor):
    return monitor._facts() | {"days": monitor.stored.days("no-fools")}


def test_a_rise_raises_one_alarm_that_stands_until_it_is_handled(tmp_path):
    traffic(tmp_path / "a.jsonl", 900, lambda at: 0.02 if at < 500 else 0.5)
    with watching(tmp_path / "w") as monitor:
        monitor.read(tmp_path / "a.jsonl")
        (alarm,) = monitor.alarms

        assert (alarm.kind, alarm.principle_id, alarm.cause) == ("rate", "no-fools", "model")
        assert 500 < alarm.at < 560
        with pytest.raises(ConfigError, match="no standing alarm"):
            monitor.handle(["no-oaths"])
        monitor.handle(["no-fools"])
        assert monitor.standing("no-fools") is None
        assert monitor.rates()["no-fools"] == (None, None)


def test_nothing_is_counted_twice_and_nothing_without_content_is_judged(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        line(1),
        line(2),
        line(1),
        line(3),
        "{broken",
        '{"x": 1}',
        json.dumps({"id": "e", "prompt": "?"}),
    ]
    path.write_text("\n".join([*lines, *reversed(lines)]) + "\n")
    with watching(tmp_path / "w") as monitor:
        monitor.read(path)

        assert monitor.counts["conversations"] == 3
        assert monitor.counts["twice"] == 6
        assert monitor.counts["without_content"] == 1
        assert monitor.counts["damaged"] == 4
        assert monitor.counted == 3
    other = tmp_path / "copy.jsonl"
    other.write_text(path.read_text())
    with watching(tmp_path / "w") as monitor:
        monitor.read(other)

        assert monitor.counted == 3


def test_lines_without_ids_are_known_by_their_content(tmp_path):
    path = tmp_path / "a.jsonl"
    one = json.dumps({"prompt": "a", "reply": "b", "time": 1.7e9})
    other = json.dumps({"prompt": "a", "reply": "b", "time": 1.7e9 + 1})
    path.write_text(f"{one}\n{other}\n{one}\n")
    with watching(tmp_path / "w") as monitor:
        monitor.read(path)

        assert (monitor.counts["conversations"], monitor.counts["twice"]) == (2, 1)


def test_a_conversation_counts_once_and_all_its_turns_are_looked_at(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(line(n, n == 2, thread="t") + "\n" for n in range(4)))
    with watching(tmp_path / "w") as monitor:
        monitor.read(path)
        assert (monitor.counted, monitor.counts["later_turns"]) == (1, 3)
        assert len(monitor.stored.examples("no-fools")) == 1
    with watching(tmp_path / "v", settings=replace(SETTINGS, unit="reply")) as monitor:
        monitor.read(path)
        assert monitor.counted == 4


def span(number, *, content=True, name=None):
    held = [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]
    for key, role, text in (("input", "user", "?"), ("output", "assistant", f"Answer {number}.")):
        value = json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])
        if content:
            held.append({"key": f"gen_ai.{key}.messages", "value": {"stringValue": value}})
    told = {"traceId": f"{number:032x}", "spanId": f"{number:016x}", "attributes": held}
    if name:
        return json.dumps(
            {"resourceLogs": [{"scopeLogs": [{"logRecords": [told | {"eventName": name}]}]}]}
        )
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [told]}]}]})


@pytest.mark.parametrize("hold", [1, 3, 2000])
def test_a_span_and_its_events_are_one_reply_in_any_order_and_however_far_apart(tmp_path, hold):
    details = "gen_ai.client.inference.operation.details"
    lines = [span(n, content=False) for n in range(20)]
    lines += [span(n, name=details) for n in range(20)]
    random.Random(1).shuffle(lines)
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    with watching(tmp_path / "w", settings=replace(SETTINGS, hold=hold, batch=3)) as monitor:
        monitor.read(tmp_path / "a.jsonl")

        assert monitor.counts["conversations"] == 20
        assert monitor.counts["without_content"] == 0


def test_clocks_that_jump_are_counted_and_change_no_alarm(tmp_path):
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    rng = random.Random(4)
    rows = [(n, rng.random() < (0.02 if n < 500 else 0.5)) for n in range(800)]
    good.write_text("".join(line(n, broken) + "\n" for n, broken in rows))
    bad.write_text(
        "".join(line(n, b, time=1.7e9 + (9e9 if n % 97 == 0 else 86 * n)) + "\n" for n, b in rows)
    )
    alarms: list[list[int]] = []
    for path in (good, bad):
        settings = replace(SETTINGS, per_year=365_000.0)
        with watching(tmp_path / path.stem, settings=settings) as monitor:
            monitor.read(path)
            alarms.append([each.at for each in monitor.alarms])
            jumps = monitor.counts["clock_jumps"]

    assert alarms[0] == alarms[1] != []
    assert jumps == 17


def test_ten_megabytes_in_a_line_are_read_and_cut(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": "?", "reply": "x" * 10_000_000}) + "\n" + line(1) + "\n")
    with watching(tmp_path / "w", judge=by_words()) as monitor:
        monitor.read(path)

        assert (monitor.counts["conversations"], monitor.counts["cut"]) == (2, 1)


def test_sampled_rates_are_those_of_all_traffic(tmp_path):
    traffic(tmp_path / "a.jsonl", 4_000, lambda at: 0.2)
    settings = replace(SETTINGS, shares=Shares(plain=0.25, suspect=0.5), baseline=10_000)
    with watching(tmp_path / "w", settings=settings, judge=by_words()) as monitor:
        monitor.read(tmp_path / "a.jsonl")
        rate, _ = monitor.rates()["no-fools"]

        assert 900 < monitor.counts["judged"] < 1_400
        assert rate.low < 0.2 < rate.high
        assert abs(rate.value - 0.2) < 0.03


def test_scores_are_events_at_the_spans(tmp_path):
    (tmp_path / "a.jsonl").write_text(span(1) + "\n" + span(2) + "\n")
    with watching(tmp_path / "w", judge=by_words(), judge_name="words") as monitor:
        monitor.read(tmp_path / "a.jsonl")
    lines = (tmp_path / "w" / "evaluations.jsonl").read_text().splitlines()
    (scope,) = json.loads(lines[0])["resourceLogs"][0]["scopeLogs"]
    record = scope["logRecords"][0]

    assert len(lines) == 2
    assert record["eventName"] == "gen_ai.evaluation.result"
    assert (record["traceId"], record["spanId"]) == (f"{1:032x}", f"{1:016x}")
    told = {each["key"]: each["value"] for each in record["attributes"]}
    assert told["gen_ai.evaluation.name"] == {"stringValue": "no-fools"}
    assert told["gen_ai.evaluation.score.value"] == {"doubleValue": 0.0}
    assert told["gen_ai.evaluation.score.label"] == {"stringValue": "pass"}


def test_a_judge_that_changes_is_told_from_a_model_that_does(tmp_path):
    settings = replace(SETTINGS, anchors=200, anchors_each=50, per_year=365_000.0)
    changed: list[int] = []
    traffic(tmp_path / "a.jsonl", 420, lambda at: 0.02)
    traffic(tmp_path / "b.jsonl", 400, lambda at: 0.02, start=1000)
    traffic(tmp_path / "c.jsonl", 600, lambda at: 0.5, start=1000)

    def drifting(conversation):
        return bool(changed) and sum(map(ord, conversation.id)) % 3 == 0

    for name, second, drifts in (("judge", "b", True), ("model", "c", False)):
        changed.clear()
        with watching(tmp_path / name, settings=settings, judge=by_words(drifting)) as monitor:
            monitor.read(tmp_path / "a.jsonl")
            changed.extend([1] * drifts)
            monitor.read(tmp_path / f"{second}.jsonl")
            rates = [each for each in monitor.alarms if each.kind == "rate"]

            assert [each.cause for each in rates] == [name]
            assert any(each.kind == "judge" for each in monitor.alarms) == drifts


def test_answers_that_never_came_are_no_pass(tmp_path):
    def silent(conversations):
        return [
            {name: Ruling(verdict="errored") for name in ("no-fools", "no-oaths")}
            for _ in conversations
        ]

    traffic(tmp_path / "a.jsonl", 50, lambda at: 0.5)
    with watching(tmp_path / "w", judge=silent) as monitor:
        monitor.read(tmp_path / "a.jsonl")

        assert monitor.watched["no-fools"].unanswered == 50
        assert monitor.rates()["no-fools"] == (None, None)


@pytest.mark.parametrize("keep", ["redacted", "hash", "none"])
def test_what_must_not_be_stored_is_nowhere_in_the_folder(tmp_path, keep):
    secret = "jo.smith@example.org"
    (tmp_path / "a.jsonl").write_text(
        line(1, True, reply=f"You fool, write to {secret}!", prompt=f"I am {secret}") + "\n"
        + json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{
            "eventName": "gen_ai.user.message", "traceId": "a" * 32, "spanId": "b" * 16,
            "body": {"kvlistValue": {"values": [
                {"key": "content", "value": {"stringValue": f"Mail {secret}"}}]}},
        }]}]}]}) + "\n"
    )  # fmt: skip
    settings = replace(SETTINGS, keep=keep, label_flagged=1.0)
    with watching(tmp_path / "w", settings=settings, judge=by_words()) as monitor:
        monitor.read(tmp_path / "a.jsonl", until_quiet=False)
        asked = monitor.stored.to_label()
    held = b"".join(path.read_bytes() for path in (tmp_path / "w").rglob("*") if path.is_file())

    assert secret.encode() not in held
    assert len(asked) == (keep == "redacted")
    assert (b"write to" in held) == (keep == "redacted")


def test_texts_go_when_their_time_is_over(tmp_path):
    traffic(tmp_path / "a.jsonl", 40, lambda at: 1.0)
    settings = replace(SETTINGS, retain_days=30)
    clock = [1e9]
    with watching(tmp_path / "w", settings=settings, now=lambda: clock[0]) as monitor:
        monitor.read(tmp_path / "a.jsonl")
        assert monitor.forget_old() == 0
        clock[0] += 31 * 86_400
        assert monitor.forget_old() == 40
        assert monitor.stored.examples("no-fools") == []
        assert monitor.counted == 40
    held = b"".join(path.read_bytes() for path in (tmp_path / "w").rglob("state.db*"))
    assert b"You fool" not in held


def test_labels_of_what_was_drawn_correct_the_rate(tmp_path):
    traffic(tmp_path / "a.jsonl", 600, lambda at: 0.2)
    settings = replace(SETTINGS, label_flagged=0.5, label_cleared=0.2, baseline=1000)
    with watching(tmp_path / "w", settings=settings, judge=by_words()) as monitor:
        path = tmp_path / "a.jsonl"
        path.write_text(
            "".join(
                line(n, n % 5 == 0, prompt=f"How far is {n}{'!' * (n % 2)}?") + "\n"
                for n in range(600)
            )
        )
        monitor.read(path)
        items = monitor.stored.to_label()
        answers = {}
        from plumbrule.people import QueueItem

        for each in items:
            one = QueueItem(
                principle_id=each["principle"],
                principle=each["text"],
                request=each["request"],
                replies=(each["reply"],),
            )
            # People say that half of what the judge flags is right.
            answers[one.id] = "fool" in each["reply"] and len(each["request"]) % 2 == 0
        counts = monitor.stored.labels(answers)
        _, fixed = monitor.rates(counts)["no-fools"]

        assert 30 < counts["no-fools"].flagged < 90
        assert 0.03 < fixed.value < 0.17
        assert len(monitor.stored.confirmed(answers)) == sum(answers.values())


def test_kills_leave_the_same_bytes_and_counts(tmp_path):
    spans = tmp_path / "spans"
    spans.mkdir()
    for part in range(3):
        traffic(spans / f"{part}.jsonl", 500, lambda at: 0.05, start=part * 1000)
        os.utime(spans / f"{part}.jsonl", (part, part))
    with watching(tmp_path / "whole", judge=by_words(), judge_name="j") as monitor:
        monitor.read(spans)
        expected = facts(monitor)
    rng = random.Random(2)
    for _ in range(6):
        child = os.fork()
        if not child:
            with watching(tmp_path / "w", judge=by_words(), judge_name="j") as monitor:
                monitor.read(spans)
            os._exit(0)
        time.sleep(rng.uniform(0.02, 0.3))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with watching(tmp_path / "w", judge=by_words(), judge_name="j") as monitor:
        monitor.read(spans)
        found = facts(monitor)

    assert found == expected
    name = "evaluations.jsonl"
    assert (tmp_path / "w" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_judge_that_fails_loses_nothing_and_counts_nothing_twice(tmp_path):
    traffic(tmp_path / "a.jsonl", 300, lambda at: 0.1)
    asked: list[int] = []

    def failing(conversations):
        asked.append(len(conversations))
        if len(asked) == 3:
            raise StorageError("the endpoint is away")
        return by_words()(conversations)

    with watching(tmp_path / "w", judge=failing) as monitor, pytest.raises(StorageError):
        monitor.read(tmp_path / "a.jsonl")
    with watching(tmp_path / "w", judge=by_words()) as monitor:
        monitor.read(tmp_path / "a.jsonl")
        assert monitor.counted == 300
    with watching(tmp_path / "v", judge=by_words()) as monitor:
        monitor.read(tmp_path / "a.jsonl")
    name = "evaluations.jsonl"
    assert (tmp_path / "w" / name).read_bytes() == (tmp_path / "v" / name).read_bytes()


def test_a_full_disk_is_said_and_the_same_goes_on(tmp_path, monkeypatch):
    traffic(tmp_path / "a.jsonl", 200, lambda at: 0.1)
    with watching(tmp_path / "w") as monitor:

        def full(self, places):
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(states.WatchState, "keep_places", full)
        with pytest.raises(StorageError, match="nothing is lost"):
            monitor.read(tmp_path / "a.jsonl")
    monkeypatch.undo()
    with watching(tmp_path / "w") as monitor:
        monitor.read(tmp_path / "a.jsonl")
        assert monitor.counted == 200


def test_a_state_that_is_none_and_events_that_were_cut_are_refused(tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "state.db").write_bytes(b"no database, " * 100)
    with pytest.raises(DataError, match="state of a watch"):
        watching(tmp_path / "w")
    traffic(tmp_path / "a.jsonl", 30, lambda at: 1.0)
    with watching(tmp_path / "v") as monitor:
        monitor.read(tmp_path / "a.jsonl")
    (tmp_path / "v" / "evaluations.jsonl").write_text("")
    with pytest.raises(DataError, match="somebody changed it"):
        watching(tmp_path / "v")


def test_a_limit_of_a_principle_that_is_not_watched_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="not watched"):
        watching(tmp_path / "w", settings=replace(SETTINGS, limits={"no-lies": 0.1}))


def test_a_limit_needs_no_baseline(tmp_path):
    traffic(tmp_path / "a.jsonl", 200, lambda at: 0.3)
    settings = replace(SETTINGS, limits={"no-fools": 0.02})
    with watching(tmp_path / "w", settings=settings) as monitor:
        monitor.read(tmp_path / "a.jsonl")

        assert [each.principle_id for each in monitor.alarms] == ["no-fools"]


def test_a_trial_counts_in_the_same_transactions(tmp_path):
    plan = TrialPlan(
        name="x", primary="no-fools", share=0.5, least=0, most=200, every=20, smallest=0.3
    )
    traffic(tmp_path / "a.jsonl", 150, lambda at: 0.1)
    with watching(tmp_path / "w", plan=plan) as monitor:
        monitor.read(tmp_path / "a.jsonl")
        counts = monitor.trial.counts["no-fools"].tolist()
    with watching(tmp_path / "w", plan=plan) as monitor:
        assert monitor.trial.counts["no-fools"].tolist() == counts
        assert sum(counts) >= 20
