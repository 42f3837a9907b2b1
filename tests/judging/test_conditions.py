from tests.fakes import ScriptedModel

from plumbrule.constitution import Constitution, CritiqueExample, Principle
from plumbrule.judging import (
    Standing,
    conclude_conditions,
    find_scopes,
    grade,
    known_conditions,
    load_prompts,
    try_conditions,
)
from plumbrule.judging.conditions import decisive, settled
from plumbrule.records import Exchange, Message

PROMPTS = load_prompts("default")


def example(request):
    return CritiqueExample(request=request, reply="no", critique="bad", revision="yes")


CRISIS = Principle(
    id="crisis",
    text="Be warm.",
    tier=0,
    applies_when=("someone is in danger",),
    except_when=("it is a play",),
    probes=("danger now", "danger here"),
    twins=("calm day", "calm week"),
    critique_examples=(example("danger one"), example("danger two")),
)
HELP = Principle(
    id="help",
    text="Help.",
    tier=1,
    probes=("how do I cook",),
    twins=("calm cooking", "calm evening", "calm morning"),
)
LAW = Constitution(name="two", version="1", principles=(CRISIS, HELP))
OPTIONS = PROMPTS.template("applies").options


def holds(options, share):
    return [{"holds": share, "absent": 1 - share}[OPTIONS[option]] for option in options]


def sees_danger(asked, options):
    """Knows danger when it is asked about danger; knows nothing of plays."""
    if "in danger" not in asked:
        return holds(options, 0.5)
    return holds(options, 0.3 if "danger" in asked.split("</request>")[0] else 0.1)


def abilities(odds=sees_danger):
    questions = known_conditions(LAW)
    answers = try_conditions(
        ScriptedModel(odds=odds), questions, prompts=PROMPTS, seeds=[0] * len(questions)
    )
    return conclude_conditions(answers)


def scope_of(text, odds=sees_danger):
    model = ScriptedModel(odds=odds)
    (scope,) = find_scopes(
        model,
        [("p", (Message("user", text),))],
        abilities(odds),
        prompts=PROMPTS,
        seeds=[0],
    )
    return scope, model


def test_a_request_outside_of_a_principle_is_not_asked_about():
    scope, _ = scope_of("What is the weather?")
    judge = ScriptedModel()
    exchange = Exchange(id="p", dialogue=(Message("user", "Q"),), response="R", model="m")

    judged = grade(
        judge,
        [exchange],
        LAW,
        prompts=PROMPTS,
        seeds=[0],
        standing=Standing(conditions=abilities(), scopes={"p": scope}),
    )

    verdicts = {each.principle_id: each for each in judged}
    assert verdicts["crisis"].verdict == "not_applicable"
    assert verdicts["crisis"].method == "condition"
    assert all("Principle: Help." in asked[-1].content for asked in judge.asked)


def test_a_request_inside_stays_inside():
    scope, _ = scope_of("danger, help me")

    assert dict(scope.outside) == {}


def test_a_condition_that_the_judge_cannot_tell_stays_in_the_question():
    found = abilities()

    left = settled(CRISIS, found)

    assert left.applies_when == ()
    assert left.except_when == CRISIS.except_when


def test_a_judge_that_knows_nothing_takes_no_request_out():
    scope, model = scope_of("What is the weather?", lambda asked, options: holds(options, 0.5))

    assert dict(scope.outside) == {}
    assert not model.asked


def test_no_known_request_of_a_principle_is_taken_out():
    for request in (*CRISIS.probes, *(each.request for each in CRISIS.critique_examples)):
        assert dict(scope_of(request)[0].outside) == {}


def test_one_undecided_alternative_leaves_all_undecided():
    two = [each for each in abilities() if each.condition.applies]
    text = type(two[0].condition)(principle_id="crisis", text="it is late", applies=True)
    unsure = [*two, type(two[0])(condition=text, works=False, border=0.0, auroc=None)]

    assert decisive(unsure) == []
