import pytest
from tests.oversight.reviews import Says, failing, report, run, state

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight import (
    Opinion,
    Person,
    Reliability,
    Rule,
    Task,
    accept,
    answer_questions,
    overrule,
    send_back,
    verify_review,
)

TRUSTED = Rule(reliabilities={"judge": Reliability(sensitivity=0.95, specificity=0.95)})
QUESTION = "Is the sky meant as a painting?"


@pytest.fixture
def flawed(tmp_path):
    bad = Says(answers={"root/rest/sky": failing("The sky is green.")})
    run(tmp_path / "r", bad, Says(name="judge", kind="model"), rule=TRUSTED)
    return tmp_path / "r"


def test_an_overruling_changes_the_verdict_above_and_gives_its_reason(flawed):
    done = overrule(flawed, "root/rest/sky", "pass", person="Ada", reason="It is a painting.")

    assert done.verdict.outcome == "pass"
    there = state(done, "root/rest/sky")
    assert (there.outcome, there.derived) == ("pass", "fail")
    assert there.because[0] == "overruled by Ada: It is a painting."
    assert verify_review(flawed).verdict == done.verdict


def test_a_person_can_fail_what_every_part_passed(tmp_path):
    run(tmp_path, Says(), Says(name="judge", kind="model"), rule=TRUSTED)
    done = overrule(tmp_path, "root", "fail", person="Ada", reason="The whole misleads.")

    assert done.verdict.outcome == "fail"


def test_the_last_of_two_overrulings_holds(flawed):
    overrule(flawed, "root", "pass", person="Ada", reason="Fine.")
    done = overrule(flawed, "root", "uncertain", person="Ben", reason="Not so fast.")

    assert done.verdict.outcome == "uncertain"
    assert [each.person for each in done.root.decisions] == ["Ada", "Ben"]


def test_accepting_keeps_the_outcome_and_an_overruling_before_it(flawed):
    overrule(flawed, "root", "pass", person="Ada", reason="Fine.")
    done = accept(flawed, "root", person="Ben", human_minutes=12.0)

    assert done.verdict.outcome == "pass"
    assert state(done, "root").accepted_by == done.root.decisions[1].id
    assert done.verdict.cost.human_minutes == 12.0


def asked_again(case):
    return Opinion(verdict="pass", rationale=f"{case.question} Yes, the caption says so.")


def test_a_question_holds_the_pass_until_a_new_report_speaks_to_it(tmp_path):
    run(tmp_path, Says(), Says(name="judge", kind="model"), rule=TRUSTED)
    waiting = send_back(tmp_path, "root/rest/sky", QUESTION, person="Ada", to=["judge"])
    model = Says(name="judge", kind="model", otherwise=asked_again)
    done = answer_questions(tmp_path, [Says(), model])

    assert waiting.verdict.outcome == "uncertain"
    assert done.verdict.outcome == "pass"
    assert sum(model.asked.values()) == 1
    new = report(done, "root/rest/sky", "judge")
    assert (new.round, QUESTION in new.rationale) == (1, True)
    assert [each.verdict for each in new_and_old(done)] == ["pass", "pass"]
    assert verify_review(tmp_path).complete


def new_and_old(done):
    node = next(each for each in done.root.walk() if each.task.id == "root/rest/sky")
    return [each for each in node.reports if each.specialist == "judge"]


def test_an_answer_that_ignores_the_question_does_not_count(tmp_path):
    run(tmp_path, Says(), Says(name="judge", kind="model"), rule=TRUSTED)
    send_back(tmp_path, "root/rest/sky", QUESTION, person="Ada", to=["judge"])
    done = answer_questions(tmp_path, [Says(), Says(name="judge", kind="model")])

    assert report(done, "root/rest/sky", "judge").failure == "question"
    assert done.verdict.outcome == "uncertain"


def test_a_new_report_can_turn_the_verdict(flawed):
    send_back(flawed, "root/rest/sky", QUESTION, person="Ada", to=["tool"])
    done = answer_questions(flawed, [Says(otherwise=asked_again)])

    assert done.verdict.outcome == "pass"


def test_new_reports_make_decisions_lapse_above_but_not_beside(flawed):
    overrule(flawed, "root", "pass", person="Ada", reason="Fine.")
    overrule(flawed, "root/sum", "pass", person="Ada", reason="Fine.")
    accept(flawed, "root/rest", person="Ada")
    send_back(flawed, "root/rest/sky", QUESTION, person="Ben", to=["tool"])
    done = answer_questions(flawed, [Says(otherwise=asked_again)])

    assert done.verdict.outcome == "uncertain"
    assert "decide anew" in done.verdict.because[0]
    assert len(state(done, "root").lapsed) == 1
    assert state(done, "root/rest").accepted_by is None
    assert state(done, "root/sum").overruled_by is not None
    again = overrule(flawed, "root", "pass", person="Ada", reason="Still fine.")
    assert again.verdict.outcome == "pass"


def test_a_lapsed_overruling_does_not_hide_a_failure(flawed):
    overrule(flawed, "root", "pass", person="Ada", reason="Fine.")
    done = overrule(flawed, "root/sum", "uncertain", person="Ben", reason="Hm.")

    assert done.verdict.outcome == "fail"


def test_people_can_be_specialists_with_minutes(tmp_path):
    def ask(case):
        return Opinion(verdict="fail", rationale="I saw it.")

    person = Person(name="Ada", ask=ask, minutes=5.0)
    whole = Task(id="root", asks="?", specialists=("Ada",))
    done = run(tmp_path, person, task=whole, decompose=None)

    assert done.verdict.outcome == "fail"
    assert report(done, "root", "Ada").kind == "person"


def test_a_model_cannot_come_back_as_a_tool(flawed):
    send_back(flawed, "root/rest/sky", QUESTION, person="Ada", to=["judge"])

    with pytest.raises(ConfigError, match="was a model"):
        answer_questions(flawed, [Says(name="judge", kind="tool")])


def test_what_cannot_be_decided_is_refused_and_nothing_is_written(flawed):
    before = verify_review(flawed).head
    with pytest.raises(ConfigError, match="no node"):
        accept(flawed, "root/none", person="Ada")
    with pytest.raises(ConfigError, match="name"):
        accept(flawed, "root", person=" ")
    with pytest.raises(DataError, match="reason"):
        overrule(flawed, "root", "pass", person="Ada", reason=" ")
    with pytest.raises(DataError, match="outcome"):
        overrule(flawed, "root", "not checked", person="Ada", reason="No.")
    with pytest.raises(DataError, match="question"):
        send_back(flawed, "root", "", person="Ada")
    with pytest.raises(ConfigError, match="specialists"):
        send_back(flawed, "root", "Why?", person="Ada", to=["stranger"])

    assert verify_review(flawed).head == before
