import json
import random

import pytest
from tests.fakes import ScriptedModel

from plumbrule.data import read_prompt_file
from plumbrule.errors import ConfigError, DataError, OutputError
from plumbrule.folders import locked
from plumbrule.ledger import read_entries, verify
from plumbrule.loop.trial_production import read_plan, run_trial, write_plan
from plumbrule.loop.watch_production import watch_and_report
from plumbrule.monitoring import TrialPlan, WatchSettings
from plumbrule.people import read_items

LAW = """
name: manners
version: "1"
principles:
  - id: no-insults
    text: Do not insult whoever asks.
    tier: 0
    words: [fool*]
  - id: no-lies
    text: Do not lie.
    tier: 0
"""
SETTINGS = WatchSettings(baseline=300, label_flagged=1.0, per_year=365_000.0)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "law.yaml").write_text(LAW)
    write(tmp_path / "a.jsonl", 700, lambda at: 0.02 if at < 400 else 0.4)
    return tmp_path


def write(path, number, rates):
    rng = random.Random(1)
    with path.open("w") as file:
        for at in range(number):
            said = "A mile, you fool." if rng.random() < rates(at) else "A mile."
            row = {"id": f"r{at}", "prompt": f"How far is {at}?", "reply": said, "time": 1.7e9 + at}
            file.write(json.dumps(row) + "\n")


def watch(place, **more):
    given = {"out": place / "w", "settings": SETTINGS} | more
    return watch_and_report(place / "a.jsonl", str(place / "law.yaml"), **given)


def test_a_watch_writes_its_page_its_events_and_its_ledger(place):
    said: list[str] = []
    found = watch(place, say=said.append)
    (alarm,) = found.alarms
    page = found.page.read_text()

    assert alarm.principle_id == "no-insults"
    assert said == [
        f"alarm at conversation {alarm.at}: no-insults is broken more often than "
        f"{100 * alarm.bound:.2f}% (the model)"
    ]
    assert any("Nobody looks at no-lies" in line for line in found.content["summary"])
    assert "is broken more often than" in page
    assert "polygon" in page
    kinds = [each.kind for each in read_entries(place / "w" / "ledger.db")]
    assert kinds == ["watch", "alarm", "cause"]
    assert verify(place / "w" / "ledger.db").problems == ()


def test_a_source_in_another_form_is_said_first(place):
    (place / "a.jsonl").write_text("this is no conversation\nnor this {\n")

    summary = watch(place).content["summary"]

    assert summary[0].startswith("0 replies read")
    assert summary[1].startswith("2 of 2 lines could not be read")
    assert summary[1].endswith("Is the source in a form that a watch reads?")


def test_a_damaged_line_among_good_ones_is_counted_in_the_summary(place):
    with (place / "a.jsonl").open("a") as file:
        file.write("{damaged\n")

    summary = watch(place).content["summary"]

    assert "1 of" in summary[1]
    assert "could not be read" in summary[1]
    assert "Is the source" not in summary[1]


def test_the_same_command_again_changes_no_byte(place):
    watch(place)
    names = ("report/report.json", "report/index.html", "evaluations.jsonl", "to_label.jsonl")
    before = [(place / "w" / name).read_bytes() for name in names]
    again = watch(place)

    assert again.lines == 0
    assert [(place / "w" / name).read_bytes() for name in names] == before


def test_a_second_watcher_and_other_settings_are_refused(place):
    watch(place)
    with locked(place / "w" / "run.lock"), pytest.raises(OutputError, match="another process"):
        watch(place)
    with pytest.raises(OutputError, match="differs"):
        watch(place, settings=WatchSettings(baseline=301))


def test_text_of_a_model_does_nothing_on_the_page(place):
    row = {"id": "x", "prompt": "<script>alert(1)</script>", "reply": "Fool <img src=x onerror=a>"}
    (place / "a.jsonl").write_text(json.dumps(row) + "\n")
    page = watch(place).page.read_text()

    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;img src=x onerror=a&gt;" in page


def test_reports_are_taken_once_and_become_tests(place):
    rows = [
        {"prompt": "Is it far?", "reply": "Fool!", "principle": "no-insults", "comment": "rude"},
        {"prompt": "is  it far?", "reply": "fool!", "principle": "no-insults", "comment": "again"},
        {"id": "unknown-one", "comment": "bad"},
    ]
    path = place / "reports.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    watch(place, reports=[path])
    found = watch(place, reports=[path])
    counts = {each["name"]: each["count"] for each in found.content["read"]}
    (test,) = read_prompt_file(place / "w" / "tests.jsonl").prompts

    assert counts["reports"] == 2
    assert counts["reports_twice"] == 4
    assert (test.group, test.kind, test.held_out) == ("reported", "no-insults", True)
    assert test.dialogue[-1].content == "Is it far?"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "must be JSON"),
        ("[]", "an object"),
        ('{"comment": "x"}', "which conversation"),
        ('{"prompt": "a", "reply": "b", "principle": "none"}', "which there is not"),
    ],
)
def test_what_are_no_reports_is_said_with_its_line(place, text, what):
    path = place / "reports.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(DataError, match=what):
        watch(place, reports=[path])


def test_people_are_asked_and_their_labels_confirm_tests(place):
    watch(place)
    items = read_items(place / "w" / "to_label.jsonl")
    path = place / "labels.jsonl"
    path.write_text(
        "".join(
            json.dumps({"item": each.id, "broken": "fool" in each.replies[0]}) + "\n"
            for each in items
        )
    )
    found = watch(place, labels=[path])
    (row,) = found.content["principles"]
    groups = {each.group for each in read_prompt_file(place / "w" / "tests.jsonl").prompts}

    assert row["labels"]["flagged_broken"] == row["labels"]["flagged"] > 50
    assert groups == {"confirmed"}


def test_handled_alarms_are_in_the_ledger(place):
    watch(place)
    found = watch(place, handled=["no-insults"])

    assert found.alarms == ()
    assert [each.kind for each in read_entries(place / "w" / "ledger.db")][-1] == "handled"


def test_without_judge_and_words_nobody_can_rule(place):
    (place / "law.yaml").write_text(LAW.replace("    words: [fool*]\n", ""))
    with pytest.raises(ConfigError, match="give --judge"):
        watch(place)


def test_a_judge_that_knows_nothing_is_refused(place):
    examples = [
        {"request": f"Am I {n}?", "reply": "Fool.", "critique": "Rude.", "revision": "Yes."}
        for n in range(6)
    ]
    rule = {"id": "p", "text": "Be kind.", "tier": 0, "critique_examples": examples}
    law = {"name": "l", "version": "1", "principles": [rule]}
    (place / "law.yaml").write_text(json.dumps(law))
    with pytest.raises(ConfigError, match="no better than chance"):
        watch(place, judge=ScriptedModel())


def test_a_judge_without_verdicts_is_said(place):
    found = watch(place, judge=ScriptedModel(covered=0.1))

    assert any("no verdict on many replies" in line for line in found.content["summary"])
    assert any("no-insults (700 of 700)" in line for line in found.content["summary"])


def test_what_the_judge_was_not_examined_on_is_said(place):
    judge = ScriptedModel(odds=lambda asked, options: [0.99] + [0.01] * (len(options) - 1))
    found = watch(place, judge=judge)

    assert any("not examined on no-insults, no-lies" in line for line in found.content["summary"])


def test_no_source_is_said_before_a_folder_is_made(place):
    with pytest.raises(DataError, match="there is none"):
        watch_and_report(place / "none", str(place / "law.yaml"), out=place / "v")
    assert not (place / "v").exists()


def test_a_source_that_stops_and_comes_back_is_followed(place):
    looks: list[int] = []

    def stop():
        looks.append(1)
        if len(looks) == 1:
            (place / "a.jsonl").rename(place / "gone")
        if len(looks) == 3:
            with (place / "gone").open("a") as file:
                file.write(json.dumps({"id": "late", "prompt": "?", "reply": "Late."}) + "\n")
            (place / "gone").rename(place / "a.jsonl")
        return len(looks) == 5

    found = watch(place, follow_seconds=0.01, stop=stop)

    assert found.content["counted"] == 701


PLAN = TrialPlan(
    name="t", primary="no-insults", share=0.3, smallest=0.05, least=300, most=5_000,
    expected={"no-insults": 0.2},
)  # fmt: skip


def arms(path, candidate, incumbent, number=1_500):
    rng = random.Random(2)
    with path.open("w") as file:
        for at in range(number):
            arm = PLAN.arm(f"r{at}")
            broken = rng.random() < (candidate if arm == "candidate" else incumbent)
            said = "A mile, you fool." if broken else "A mile."
            row = {"id": f"r{at}", "prompt": "?", "reply": said, "arm": arm}
            file.write(json.dumps(row) + "\n")


@pytest.mark.parametrize(
    ("candidate", "incumbent", "action"), [(0.02, 0.2, "promote"), (0.6, 0.2, "roll back")]
)
def test_a_trial_ends_by_its_plan_and_the_ledger_says_why(place, candidate, incumbent, action):
    arms(place / "a.jsonl", candidate, incumbent)
    write_plan(place / "t", PLAN, str(place / "law.yaml"))
    for _ in range(2):
        found = run_trial(place / "t", place / "a.jsonl", str(place / "law.yaml"))
    entries = read_entries(place / "t" / "ledger.db")

    assert found.decision is not None
    assert found.decision.action == action
    assert [each.kind for each in entries] == ["plan", "decision"]
    assert entries[0].payload["sha256"] == PLAN.sha256
    assert entries[1].payload["action"] == action
    row = found.content["principles"][0]
    assert row["corrected"]["low"] <= row["corrected"]["value"] <= row["corrected"]["high"]
    assert found.page.exists()


def test_a_plan_is_fixed_once_and_cannot_be_changed_afterwards(place):
    law = str(place / "law.yaml")
    write_plan(place / "t", PLAN, law)
    write_plan(place / "t", PLAN, law)
    assert read_plan(place / "t") == PLAN
    with pytest.raises(OutputError, match="fixed once"):
        write_plan(place / "t", TrialPlan(name="u", primary="no-insults"), law)
    path = place / "t" / "plan.yaml"
    path.write_text(path.read_text().replace("smallest: 0.05", "smallest: 0.01"))
    with pytest.raises(DataError, match="not what was fixed"):
        run_trial(place / "t", place / "a.jsonl", law)


def test_a_trial_of_what_nobody_can_rule_on_is_refused(place):
    law = str(place / "law.yaml")
    write_plan(place / "t", TrialPlan(name="t", primary="no-lies"), law)
    with pytest.raises(ConfigError, match="nobody can rule"):
        run_trial(place / "t", place / "a.jsonl", law)
    with pytest.raises(DataError, match="ab plan"):
        run_trial(place / "none", place / "a.jsonl", law)
