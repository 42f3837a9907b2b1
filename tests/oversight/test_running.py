import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from benchmarks.review_trail import Rows
from tests.oversight.reviews import ROOT, TEXT, Says, cut, failing, part, report, run, state

from plumbrule.errors import ConfigError, DataError, LedgerError, OutputError
from plumbrule.oversight import (
    Opinion,
    Parts,
    Quote,
    Reliability,
    ReviewBudget,
    ReviewCost,
    Rule,
    Span,
    Task,
    answer_questions,
    review,
    verify_review,
)

TRUSTED = Rule(reliabilities={"judge": Reliability(sensitivity=0.95, specificity=0.95)})


def judge(**more):
    return Says(name="judge", kind="model", **more)


def test_a_tree_of_passes_passes_and_a_planted_flaw_fails_it_with_its_evidence(tmp_path):
    fine = run(tmp_path / "fine", Says(), judge(), rule=TRUSTED)
    bad = Says(answers={"root/rest/sky": failing("The sky is green.")})
    flawed = run(tmp_path / "flawed", bad, judge(), rule=TRUSTED)

    assert fine.verdict.outcome == "pass"
    assert flawed.verdict.outcome == "fail"
    assert [step.task_id for step in flawed.verdict.trail] == ["root", "root/rest", "root/rest/sky"]
    [quote] = flawed.verdict.trail[-1].quotes
    assert TEXT[quote.start : quote.end] == quote.text == "The sky is green."
    assert state(flawed, "root/sum").outcome == "pass"


def test_tools_are_asked_before_models_and_parts_before_wholes(tmp_path):
    order: list[tuple[str, str]] = []

    def remember(case):
        order.append((case.task.id, "asked"))
        return Opinion(verdict="pass", rationale="fine")

    tool, model = Says(otherwise=remember), judge(otherwise=remember)
    person = Says(name="person", kind="person", otherwise=remember)
    root = replace(ROOT, specialists=("person", "judge"))
    run(tmp_path / "r", person, model, tool, task=root, workers=1)

    assert [name for name, _ in order] == [
        "root/rest/mean", "root/rest/sky", "root/sum",
        "root/rest/sky", "root/sum", "root/rest", "root", "root",
    ]  # fmt: skip
    assert {each.specialist for each in person.cases[0].reports} == {"tool", "judge"}


def test_whoever_crashes_declines_or_answers_nonsense_is_counted_and_never_passes(tmp_path):
    def crash(case):
        raise RuntimeError("out of\nluck \ud800")

    def leave(case):
        sys.exit("bye")

    declined = Opinion(verdict="pass", rationale="I would rather not", failure="refusal")
    invented = Quote(source="text", start=0, end=4, text="Made")
    answers = {
        "error": crash,
        "refusal": declined,
        "evidence": Opinion(verdict="pass", rationale="look", evidence=(invented,)),
    }
    nonsense = [
        "pass",
        None,
        Opinion(verdict="sure", rationale="x"),  # type: ignore[arg-type]
        Opinion(verdict="pass", rationale="x", confidence=float("nan")),
        Opinion(verdict="pass", rationale="x", confidence=7.0),
        Opinion(verdict="pass", rationale="\ud800"),
    ]
    cases = [
        *answers.items(),
        ("error", leave),
        *(("error", lambda case, each=each: each) for each in nonsense),
    ]
    for number, (failure, answer) in enumerate(cases):
        bad = Says(name="bad", kind=("tool", "model")[number % 2], otherwise=answer)
        done = run(
            tmp_path / str(number), bad, Says(), task=replace(ROOT, specialists=("bad", "tool")),
            decompose=None,
        )  # fmt: skip

        assert report(done, "root", "bad").failure == failure
        assert done.verdict.tally.failures == {failure: 1}
        assert done.verdict.outcome == "uncertain"
        assert done.verdict.not_checked[0].specialist == "bad"
        assert verify_review(tmp_path / str(number)).sound


def test_one_who_takes_too_long_is_left_and_charged_the_most_it_may_take(tmp_path):
    enough = threading.Event()

    def sleep(case):
        enough.wait(30)
        return Opinion(verdict="pass", rationale="at last")

    slow = Says(name="slow", kind="model", otherwise=sleep, most=ReviewCost(calls=3))
    started = time.perf_counter()
    done = run(
        tmp_path, slow, task=replace(ROOT, specialists=("slow",)), decompose=None,
        timeout_seconds=0.1,
    )  # fmt: skip
    enough.set()

    assert time.perf_counter() - started < 10
    assert report(done, "root", "slow").failure == "timeout"
    assert done.verdict.cost.calls == 3
    assert done.verdict.outcome == "not checked"


def test_branches_run_side_by_side(tmp_path):
    together = threading.Barrier(2, timeout=20)

    def meet(case):
        together.wait()
        return Opinion(verdict="pass", rationale="met")

    parts = (part("a", 0, 5, "tool"), part("b", 5, 9, "tool"))
    done = run(
        tmp_path, Says(otherwise=meet), workers=2,
        decompose=lambda task, sources: parts if task.id == "root" else (),
        task=Task(id="root", asks="?"),
    )  # fmt: skip

    assert done.verdict.outcome == "pass"


@pytest.mark.parametrize("workers", [1, 3])
def test_the_budget_is_kept_and_what_was_cut_is_said(tmp_path, workers):
    paid = judge(
        most=ReviewCost(calls=2, tokens=100),
        otherwise=Opinion(verdict="pass", rationale="fine", cost=ReviewCost(calls=2, tokens=60)),
    )
    done = run(
        tmp_path / "r", Says(), paid, rule=TRUSTED, budget=ReviewBudget(calls=5), workers=workers
    )

    assert done.verdict.cost.calls == 4
    assert sum(paid.asked.values()) == 2
    assert set(paid.asked) == {"root/rest/sky", "root/sum"}
    assert done.verdict.tally.failures == {"budget": 2}
    assert "calls" in report(done, "root", "judge").not_checked[0]
    assert done.verdict.outcome == "uncertain"
    assert done.verdict.over_budget == ()


def test_an_overrun_is_said(tmp_path):
    liar = judge(otherwise=Opinion(verdict="pass", rationale="fine", cost=ReviewCost(tokens=900)))
    done = run(tmp_path, Says(), liar, budget=ReviewBudget(tokens=1000))

    assert done.verdict.over_budget == ("3600 tokens of 1000",)


def test_no_seconds_left_stops_everyone_after_the_first(tmp_path):
    def work(case):
        time.sleep(0.02)
        return Opinion(verdict="pass", rationale="fine")

    done = run(
        tmp_path, Says(otherwise=work), judge(), budget=ReviewBudget(seconds=0.01), workers=1,
    )  # fmt: skip

    assert done.verdict.tally.passed == 1
    assert done.verdict.tally.failures == {"budget": done.verdict.tally.asked - 1}


def test_parts_below_the_depth_are_listed_and_keep_the_whole_from_passing(tmp_path):
    done = run(tmp_path, Says(), judge(), rule=TRUSTED, depth=1)

    assert report(done, "root/rest/sky", "tool").failure == "depth"
    assert {each.task_id for each in done.verdict.not_checked} == {
        "root/rest/mean", "root/rest/sky",
    }  # fmt: skip
    assert done.verdict.outcome == "uncertain"


def test_a_cut_part_without_specialists_is_listed_too(tmp_path):
    done = run(
        tmp_path, Says(), depth=0, task=Task(id="root", asks="?", specialists=("tool",)),
        decompose=lambda task, sources: (part("a", 0, 5),),
    )  # fmt: skip

    assert [each.task_id for each in done.verdict.not_checked] == ["root/a"]
    assert done.verdict.outcome == "uncertain"


def test_a_specialist_who_is_not_there_is_named(tmp_path):
    done = run(tmp_path, Says())

    assert report(done, "root", "judge").failure == "absent"
    assert done.verdict.outcome == "uncertain"


@pytest.mark.parametrize(
    "parts",
    [
        [part("a", 0, 5), part("a", 5, 9)],
        [part("b", 0, 5, parent="elsewhere")],
        [part("b/c", 0, 5)],
        [part("a", 0, 5000)],
        [Task(id="root/a", asks="?", spans=(Span(source="none", start=0, end=1),))],
        ["not a task"],
    ],
    ids=["twice", "foreign", "skips a level", "outside", "no source", "no task"],
)
def test_a_decomposition_that_fails_is_reported_and_does_not_pass(tmp_path, parts):
    done = run(tmp_path, Says(), judge(), rule=TRUSTED, decompose=lambda task, sources: parts)

    assert report(done, "root", "decomposition").failure == "error"
    assert done.verdict.outcome == "uncertain"
    assert verify_review(tmp_path).sound


def test_what_a_decomposition_costs_counts(tmp_path):
    def paid(task, sources):
        return Parts(tasks=tuple(cut(task, sources)), cost=ReviewCost(calls=1))

    done = run(tmp_path, Says(), judge(), decompose=paid)

    assert done.verdict.cost.calls == len(done.root.walk())


def test_the_same_call_again_asks_nobody_and_changes_nothing(tmp_path):
    first = run(tmp_path, Says(), judge())
    tool, model = Says(), judge()
    again = run(tmp_path, tool, model)

    assert not tool.asked
    assert not model.asked
    assert again == first


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.oversight.reviews import Says, run
from plumbrule.oversight import Opinion
count = 0
def die(case):
    global count
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return Opinion(verdict="pass", rationale="fine")
judge = Says(name="judge", kind="model", otherwise=die)
run(Path(sys.argv[1]), Says(otherwise=die), judge, workers=1)
"""


def test_after_a_kill_only_what_is_missing_is_asked(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "r"), "5"]
    killed = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": "src:."})
    assert killed.returncode == -signal.SIGKILL
    half = verify_review(tmp_path / "r")
    tool, model = Says(), judge()
    done = run(tmp_path / "r", tool, model, workers=1)

    assert half.sound
    assert not half.complete
    assert sum(tool.asked.values()) + sum(model.asked.values()) == done.verdict.tally.asked - 4
    after = verify_review(tmp_path / "r")
    assert after.sound
    assert after.complete


def test_a_file_lost_in_a_kill_is_written_again_and_a_changed_one_is_refused(tmp_path):
    run(tmp_path, Says(), judge())
    path = next((tmp_path / "reports").iterdir())
    text = path.read_text()
    path.unlink()
    run(tmp_path, Says(), judge())
    assert path.read_text() == text

    path.write_text(text.replace("fine", "good"))
    with pytest.raises(LedgerError, match="not what the ledger recorded"):
        run(tmp_path, Says(), judge())


def test_nothing_more_is_recorded_on_a_ledger_that_was_tampered_with(tmp_path):
    run(tmp_path, Says(), judge())
    ledger = Rows(tmp_path / "ledger.db")
    rows = ledger.read()
    at = next(index for index, row in enumerate(rows) if row["kind"] == "review report")
    rows[at]["payload"] = rows[at]["payload"].replace("fine", "good")
    ledger.write(rows)

    with pytest.raises(LedgerError, match="the ledger of"):
        run(tmp_path, Says(), judge())
    with pytest.raises(LedgerError, match="the ledger of"):
        answer_questions(tmp_path, [Says(), judge()])


def test_a_folder_belongs_to_one_review(tmp_path):
    run(tmp_path, Says(), judge())

    with pytest.raises(OutputError, match="another run"):
        run(tmp_path, Says(), judge(), seed=1)


def test_wrong_settings_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="unique"):
        run(tmp_path / "r", Says(), Says())
    with pytest.raises(ConfigError, match="depth"):
        run(tmp_path / "r", Says(), depth=-1)
    with pytest.raises(ConfigError, match="workers"):
        run(tmp_path / "r", Says(), workers=0)
    with pytest.raises(DataError, match="characters"):
        run(tmp_path / "r", Says(), task=part("a", 0, 999, parent="x"))
    with pytest.raises(DataError, match="UTF-8"):
        review(ROOT, {"text": "\ud800"}, [Says()], folder=tmp_path / "r")

    assert not (tmp_path / "r").exists()


def test_every_file_is_json_of_its_record(tmp_path):
    done = run(tmp_path, Says(), judge())
    written = {json.loads(path.read_text())["id"] for path in (tmp_path / "reports").iterdir()}

    assert written == {each.id for node in done.root.walk() for each in node.reports}
