"""The reward is the verdict of the tree, and what was not checked is never a pass."""

import math
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight import Opinion, Outcome, Quote, Reliability, ReviewCost, Rule, Span, Task
from plumbrule.oversight.debating import ChoiceJudge, measured_reliability
from plumbrule.oversight.records import Kind
from plumbrule.oversight.rewarding import LEAST, Panel, Work, reward_works
from plumbrule.records import Message

RULE = Rule(
    reliabilities={
        "judge": Reliability(sensitivity=0.8, specificity=0.9),
        "whole": Reliability(sensitivity=0.9, specificity=0.9),
    },
    prior=0.8,
    fail_at=0.5,
    pass_at=0.51,
)


@dataclass
class Words:
    """Passes what does not hold the word "bad"; may do other things on other words."""

    name: str = "judge"
    kind: Kind = "model"
    version: str = "1"
    most: ReviewCost = field(default_factory=ReviewCost)

    def check(self, case):
        if "crash" in case.text:
            raise RuntimeError("the judge fell over")
        if "decline" in case.text:
            return Opinion(verdict="not checked", rationale="I would rather not", failure="refusal")
        if "invent" in case.text:
            made_up = Quote(source="text", start=0, end=4, text="zzzz")
            return Opinion(verdict="pass", rationale="see there", evidence=(made_up,))
        if "unsure" in case.text:
            return Opinion(verdict="uncertain", rationale="who knows")
        verdict: Outcome = "fail" if "bad" in case.text else "pass"
        return Opinion(verdict=verdict, rationale="read", cost=ReviewCost(calls=1, tokens=3))


@dataclass
class Many(Words):
    """The same for many cases at once."""

    asked: list[int] = field(default_factory=list)
    short: bool = False

    def check_all(self, cases):
        self.asked.append(len(cases))
        return [self.check(case) for case in cases][self.short :]


def cut(task, sources):
    if "/" in task.id:
        return []
    parts, at = [], 0
    for number, line in enumerate(sources["text"].split("\n")):
        if line == "uncuttable":
            raise DataError("no parts here")
        span = Span(source="text", start=at, end=at + len(line))
        parts.append(
            Task(
                id=f"{task.id}/{number}",
                asks="?",
                specialists=("judge",),
                spans=(span,),
                required="optional" not in line,
            )
        )
        at += len(line) + 1
    return parts


def work(*lines, specialists=()):
    return Work(
        task=Task(id="work", asks="?", specialists=specialists), sources={"text": "\n".join(lines)}
    )


def reward(*lines, judge=None, rule=RULE, **more):
    [found] = reward_works([work(*lines)], [judge or Words()], rule=rule, decompose=cut, **more)
    return found


def posterior(verdict):
    """By enumeration: P(sound | verdict) for a judge of 0.8 and 0.9 and a prior of 0.8."""
    sound = 0.8 * (0.9 if verdict == "pass" else 0.1)
    flawed = 0.2 * (0.2 if verdict == "pass" else 0.8)
    return sound / (sound + flawed)


@pytest.mark.parametrize("verdicts", [("pass", "pass"), ("pass", "fail"), ("fail", "fail", "pass")])
def test_the_reward_is_the_log_odds_that_all_parts_are_sound(verdicts):
    found = reward(*["bad" if each == "fail" else "good" for each in verdicts])

    likely = math.prod(posterior(each) for each in verdicts)
    assert found.probability == pytest.approx(likely)
    assert found.value == pytest.approx(math.log(likely / (1 - likely)))
    assert sum(part.nats for part in found.parts) == pytest.approx(math.log(likely))
    assert found.outcome == ("fail" if "fail" in verdicts else "pass")


def test_each_part_shows_what_it_takes_away():
    found = reward("good", "bad", "good")

    worst = min(found.parts, key=lambda part: part.nats)
    assert worst.task_id == "work/1"
    assert worst.outcome == "fail"
    assert [part.task_id for part in found.parts] == ["work", "work/0", "work/1", "work/2"]
    assert found.parts[0].nats == 0.0


def test_more_flaws_are_worth_less_and_the_order_of_parts_does_not_matter():
    values = [reward(*["bad"] * count, *["good"] * (5 - count)).value for count in range(6)]

    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 6
    assert reward("bad", "good").value == pytest.approx(reward("good", "bad").value)


@pytest.mark.parametrize(
    ("word", "failure"), [("crash", "error"), ("decline", "refusal"), ("invent", "evidence")]
)
@pytest.mark.parametrize("kind", [Words, Many])
def test_a_check_that_did_not_take_place_is_counted_and_worth_no_more_than_a_failure(
    word, failure, kind
):
    # A panel that crashes takes all its cases with it; one that declines declines one.
    found = reward("good", word, judge=kind())

    assert found.outcome != "pass"
    assert found.failures[failure] == found.not_checked >= 1
    assert found.value <= reward("good", "bad").value


@pytest.mark.parametrize("lines", [("good", "uncuttable"), ("uncuttable",)])
def test_a_work_that_cannot_be_cut_is_not_checked(lines):
    found = reward(*lines)

    assert found.outcome == "not checked"
    assert found.failures == {"error": 1}
    assert found.probability == pytest.approx(LEAST)


def test_an_uncertain_part_is_worth_less_than_a_pass():
    found = reward("good", "unsure")

    assert found.outcome == "uncertain"
    assert found.not_checked == 0
    assert found.value < reward("good", "good").value


def test_optional_parts_move_no_reward():
    assert reward("good", "optional bad").value == pytest.approx(reward("good").value)


def test_nobody_asked_is_no_pass():
    [found] = reward_works([work("good")], [], rule=RULE)
    assert (found.outcome, found.asked) == ("not checked", 0)
    assert found.probability == pytest.approx(LEAST)

    [absent] = reward_works([work("good")], [], rule=RULE, decompose=cut)
    assert absent.failures == {"absent": 1}


def test_parts_below_the_depth_are_not_checked():
    found = reward("good", "good", depth=0)

    assert found.failures == {"depth": 2}
    assert found.outcome != "pass"


def test_a_tool_that_fails_a_part_weighs_more_than_a_model():
    tool, model = reward("bad", judge=Words(kind="tool")), reward("bad")

    assert tool.outcome == model.outcome == "fail"
    assert tool.probability == pytest.approx(LEAST)
    assert tool.value < model.value


def test_a_model_of_undeclared_reliability_moves_nothing():
    found = reward("good", rule=Rule(prior=0.8))

    assert found.outcome == "uncertain"
    assert found.probability == pytest.approx(0.8)


class Meeting:
    """Reads the whole: two good parts that do not go together."""

    name, version, most = "whole", "1", ReviewCost()
    kind: Kind = "model"

    def __init__(self):
        self.saw = []

    def check(self, case):
        self.saw = [report.task_id for report in case.reports]
        both = "own" in case.text and "borrow" in case.text
        return Opinion(verdict="fail" if both else "pass", rationale="read as a whole")


def test_a_reader_of_the_whole_repairs_what_the_parts_cannot_see():
    flawed, sound = ("own", "borrow"), ("own", "own")
    assert reward(*flawed).outcome == "pass"
    assert reward(*flawed).value == pytest.approx(reward(*sound).value)

    reader = Meeting()
    found = reward_works(
        [work(*lines, specialists=("whole",)) for lines in (flawed, sound)],
        [Words(), reader],
        rule=RULE,
        decompose=cut,
    )

    assert [each.outcome for each in found] == ["fail", "pass"]
    assert found[0].value < found[1].value
    assert reader.saw == ["work/0", "work/1"]


def test_many_works_give_what_each_gives_alone_and_a_panel_is_asked_once():
    lines = [("good", "bad"), ("good",), ("bad", "bad", "decline")]
    panel = Many()
    works = [work(*each) for each in lines]

    together = reward_works(works, [panel], rule=RULE, decompose=cut)

    assert panel.asked == [6]
    for found, each in zip(together, lines, strict=True):
        alone = reward(*each)
        assert replace(found, cost=ReviewCost()) == replace(alone, cost=ReviewCost())
    assert together[0].cost.tokens == 6
    assert together[0].cost.calls == 2


def test_a_panel_that_answers_too_few_checks_nothing():
    found = reward("good", "good", judge=Many(short=True))

    assert found.failures == {"error": 2}


def test_two_specialists_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="different names"):
        reward_works([work("good")], [Words(), Words()], rule=RULE)


class Chooser:
    """A model that puts "bad" at a tenth, and does not answer "mute"."""

    identity = "chooser"

    def __init__(self):
        self.usage = SimpleNamespace(tokens_scored=0)

    def choose(self, dialogues, options, *, seeds):
        self.usage.tokens_scored += 10 * len(dialogues)
        found = []
        for dialogue in dialogues:
            text = dialogue[-1].content
            likely = 0.1 if "bad" in text else 0.3 if "odd" in text else 0.9
            mute = "mute" in text
            found.append(
                SimpleNamespace(
                    probabilities=None if mute else (likely, 1 - likely),
                    covered=0.0 if mute else 1.0,
                    reason="silent" if mute else None,
                )
            )
        return found


def chooser(**more):
    return ChoiceJudge(
        name="judge",
        model=cast("Any", Chooser()),
        question=lambda case: (Message("user", case.text),),
        **more,
    )


def test_a_choice_judge_fails_below_its_threshold_and_counts_silence_as_refusal():
    judge = chooser()
    assert isinstance(judge, Panel)
    found = reward("good", "bad", "mute", judge=judge)

    assert [part.outcome for part in found.parts[1:]] == ["pass", "fail", "not checked"]
    assert found.failures == {"refusal": 1}
    assert found.cost.tokens == 30
    assert found.cost.calls == 3
    assert reward("odd", judge=chooser()).outcome == "fail"
    assert reward("odd", judge=chooser(fails_below=0.2)).outcome == "pass"
    assert chooser().version != chooser(fails_below=0.2).version
    with pytest.raises(ConfigError, match="strictly between 0 and 1"):
        chooser(fails_below=1.0)


def test_reliability_is_counted_and_never_certain():
    sound = [True] * 4 + [False] * 3
    found = measured_reliability(
        ["pass", "pass", "pass", "fail", "fail", "fail", "not checked"], sound
    )

    assert found.specificity == pytest.approx(3.5 / 5)
    assert found.sensitivity == pytest.approx(2.5 / 4)
    perfect = measured_reliability(["pass", "fail"], [True, False])
    assert (perfect.specificity, perfect.sensitivity) == (0.75, 0.75)
    for truth in ([True, True], [False, False]):
        with pytest.raises(DataError, match="sound and on flawed"):
            measured_reliability(["pass", "fail"], truth)
