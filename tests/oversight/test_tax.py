import numpy as np
import pytest
from benchmarks.oversight_tax import reliability_rows, tax_rows, trials_with
from tests.oversight.reviews import Says, part

from plumbrule.errors import DataError
from plumbrule.oversight import (
    Case,
    Opinion,
    ReviewCost,
    Task,
    TaxTrial,
    alignment_tax,
    ask,
    review,
    trial_of,
)
from plumbrule.oversight.asking import Assignment, missed
from plumbrule.statistics import paired_proportions, wilson


def trial(number, sound, reviewed, direct="pass"):
    return TaxTrial(
        id=str(number), sound=sound, reviewed=reviewed, direct=direct,
        review_cost=ReviewCost(calls=5, seconds=2.0), direct_cost=ReviewCost(calls=1, seconds=0.5),
    )  # fmt: skip


def test_what_was_bought_and_paid_by_hand():
    # 30 sound, 30 flawed; the review sees every flaw, direct judgment passes everything.
    trials = [trial(n, n < 30, "pass" if n < 30 else "fail") for n in range(60)]
    tax = alignment_tax(trials)

    assert (tax.reviewed.value, tax.direct.value, tax.unseen.value) == (1.0, 0.5, 0.5)
    assert tax.over_direct.value == tax.over_none.value == 0.5
    assert tax.over_direct.low > 0
    assert tax.per_review["calls"] == 4
    assert tax.per_right_answer is not None
    assert tax.per_right_answer["calls"] == 60 * 4 / 30
    assert tax.review_cost.seconds == pytest.approx(120.0)


def test_the_interval_is_the_paired_one():
    rng = np.random.default_rng(0)
    sound = rng.random(80) < 0.5
    reviewed = np.where(rng.random(80) < 0.9, sound, ~sound)
    direct = np.where(rng.random(80) < 0.7, sound, ~sound)
    words = {True: "pass", False: "fail"}
    tax = alignment_tax(
        [trial(n, bool(sound[n]), words[bool(reviewed[n])], words[bool(direct[n])])
         for n in range(80)]
    )  # fmt: skip
    apart = paired_proportions(direct == sound, reviewed == sound, unit="x")

    assert (tax.over_direct.low, tax.over_direct.high) == (apart.low, apart.high)


def test_undecided_outcomes_are_no_right_answers_and_are_bounded():
    trials = [trial(n, True, "uncertain" if n < 4 else "pass") for n in range(20)]
    tax = alignment_tax(trials)

    assert (tax.reviewed.value, tax.reviewed_best, tax.undecided) == (0.8, 1.0, 4)
    assert tax.over_direct.value == -0.2
    assert tax.per_right_answer is None
    assert tax.reason is not None


def test_oversight_that_changes_nothing_buys_nothing():
    tax = alignment_tax([trial(n, True, "pass") for n in range(40)])

    assert tax.over_direct.low < 0 < tax.over_direct.high
    assert tax.per_right_answer is None


def test_parts_are_judged_where_the_whole_is_too_long(tmp_path):
    """A judge that reads 20 characters finds in the parts what it misses in the whole."""

    def read(case):
        wrong = "5" in case.text[:20]
        cost = ReviewCost(calls=1, tokens=min(20, len(case.text)))
        return Opinion(verdict="fail" if wrong else "pass", rationale="read", cost=cost)

    def cut(task, sources):
        return [
            part(str(n), 20 * n, 20 * n + 20, "eye") for n in range(2 if "/" not in task.id else 0)
        ]

    eye, trials = Says(name="eye", kind="person", otherwise=read), []
    for number in range(12):
        sound = number % 2 == 0
        text = "one and one are 2, the sum of them is " + ("4" if sound else "5")
        whole = Task(id="root", asks="Is it right?")
        done = review(
            whole, {"text": text + "."}, [eye], folder=tmp_path / f"{number}", decompose=cut
        )
        job = Assignment(review_id="direct", task_id="root", specialist="eye")
        direct = ask(eye, Case(task=whole, sources={"text": text}), job, timeout_seconds=None)
        trials.append(trial_of(done, direct, id=str(number), sound=sound))
    tax = alignment_tax(trials)

    assert (tax.reviewed.value, tax.direct.value, tax.unseen.value) == (1.0, 0.5, 0.5)
    assert tax.over_direct.low > 0
    assert tax.per_review["calls"] == 1


def test_no_trials_and_twice_the_same_are_refused():
    with pytest.raises(DataError):
        alignment_tax([])
    with pytest.raises(DataError, match="id"):
        alignment_tax([trial(1, True, "pass"), trial(1, True, "pass")])


def test_a_judge_that_is_never_right_ends_in_a_table_with_reasons():
    silent = Says(name="judge", kind="model", otherwise=missed("it gave no verdict", "refusal"))
    made = trials_with(silent, 12)
    rows = [row for name, each in made.trials.items() for row in tax_rows(name, each)]
    weights = reliability_rows("parcels", made.rates)
    values = {row.measure: row.value for row in rows}

    assert [row.value for row in weights] == [None, None]
    assert all(
        row.unit == "undefined: it may be right on no flawed and sound work" for row in weights
    )
    assert values["sentences: undecided"] == values["sentences: undecided, direct"] == 12
    assert values["sentences: right with review"] == 0
    assert values["finished: right with review"] == 1


def test_a_judge_that_is_right_has_weight():
    rates = {what: wilson(9, 10, unit="share") for what in ("flawed", "sound")}

    assert [row.value for row in reliability_rows("parcels", rates)] == [rates["sound"].low] * 2
