from dataclasses import replace

import pytest
from hypothesis import given, settings
from tests.constitution.builders import clean, constitutions, patient, principle

from plumbrule.constitution import (
    LINT_CODES,
    SHIPPED,
    CritiqueExample,
    lint,
    load_constitution,
)

DOSE = "Always tell the user the usual dose of a medicine."
NO_DOSE = "Never tell the user the usual dose of a medicine."


def example(**changes):
    made = CritiqueExample(request="a", reply="b", critique="c", revision="d")
    return replace(made, **changes)


PLANTED = [
    ("duplicate-id", clean(principle(0), principle(1, id="about-weather")), ("about-weather",)),
    ("empty-text", clean(principle(0, text=" ")), ("about-weather",)),
    ("empty-text", clean(principle(0, applies_when=("",))), ("about-weather",)),
    ("empty-text", clean(principle(0, probes=("Hurry.", "\n"))), ("about-weather",)),
    ("empty-text", clean(principle(0, critique_examples=(example(critique=""),))),
     ("about-weather",)),
    ("contradiction", clean(principle(0, text=DOSE, tier=0), principle(1, text=NO_DOSE, tier=0)),
     ("about-weather", "about-chess")),
    ("impossible-condition", clean(principle(0, applies_when=("it rains and it does not rain",))),
     ("about-weather",)),
    ("unreachable", clean(principle(0, applies_when=("it rains",), except_when=("it rains",))),
     ("about-weather",)),
    ("probe-is-twin", clean(principle(0, probes=("Say  A word on WEATHER.",))),
     ("about-weather",)),
    ("overlap", clean(principle(0), principle(1, text="With patience, explain the weather.")),
     ("about-weather", "about-chess")),
    ("condition-excepted", clean(principle(
        0, applies_when=("it rains", "it snows"), except_when=("it snows",))), ("about-weather",)),
    ("condition-excepted", clean(principle(
        0, applies_when=("a doctor asks for the dose of a new medicine",),
        except_when=("a doctor asks for the dose of a rare medicine",))), ("about-weather",)),
    ("idle-exception", clean(principle(
        0, applies_when=("the user is a child",), except_when=("the user is not a child",))),
     ("about-weather",)),
    ("always-applies", clean(principle(
        0, applies_when=("the user is a child", "the user is not a child"))), ("about-weather",)),
    ("shared-probe-twin", clean(principle(0, probes=("Name a fact on chess.",))),
     ("about-weather", "about-chess")),
    ("repeated-test", clean(principle(0, twins=("Be calm.", "be  calm."))), ("about-weather",)),
    ("no-probes", clean(principle(0, probes=())), ("about-weather",)),
    ("no-twins", clean(principle(0, twins=())), ("about-weather",)),
    ("no-source", clean(principle(0, source=" ")), ("about-weather",)),
    ("long-text", clean(principle(0, text="Explain the weather. " * 50)), ("about-weather",)),
    ("too-few", clean(principles=clean().principles[:9]), ()),
    ("too-many", clean(*[principle(0, id=f"p-{n}", text=f"Praise item{n} of shop{n}.",
                                   tier=n % 2, probes=(f"a {n}",), twins=(f"b {n}",))
                         for n in range(21)]), ()),
    ("tier-gap", clean(principle(0, tier=2), tiers=("a", "b", "c"),
                       principles=tuple(principle(n, tier=2 * (n % 2)) for n in range(10))), ()),
    ("tier-names", clean(principle(0, tier=2)), ("about-weather",)),
    ("tier-names", clean(tiers=("First", "Second", "Third")), ()),
]  # fmt: skip


def test_nobody_complains_of_a_clean_constitution():
    assert lint(clean()) == ()
    assert lint(clean(tiers=())) == ()


@pytest.mark.parametrize(("code", "constitution", "about"), PLANTED)
def test_a_planted_fault_is_found_and_nothing_else(code, constitution, about):
    found = lint(constitution)

    assert [complaint.code for complaint in found] == [code]
    assert found[0].principle_ids == about
    assert found[0].severity == LINT_CODES[code]
    assert len(found[0].message) > 20
    assert len(found[0].fix) > 15


def test_every_rule_has_a_planted_fault():
    assert {code for code, _, _ in PLANTED} == set(LINT_CODES)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Always give the exact dose of medicines.", "Do not give doses of a medicine."),
        ("Refuse to discuss religion.", "Never refuse to discuss religion."),
        ("Be brief. Avoid jokes about weddings.", "Tell jokes about weddings. Use long words."),
        ("When asked, name your maker.", "Don't name your maker."),
    ],
)
def test_a_contradiction_is_found_in_other_words(one, other):
    pair = (principle(0, text=one, tier=0), principle(1, text=other, tier=0))

    assert "contradiction" in {complaint.code for complaint in lint(clean(*pair))}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"tier": 0}, {"tier": 1}),
        ({"except_when": ("the user is a doctor",)}, {"applies_when": ("the user is a doctor",)}),
        ({"applies_when": ("the user is a doctor",)}, {"except_when": ("the user is a doctor",)}),
        ({"applies_when": ("the user is a doctor",)}, {"applies_when": ("it is a film script",)}),
        ({"applies_when": ("the user is ill",)}, {"applies_when": ("the user is not ill",)}),
        ({"except_when": ("the medicine is a poison",)}, {"text": NO_DOSE + " Such as poison."}),
    ],
)
def test_tiers_and_conditions_resolve_a_contradiction(first, second):
    pair = clean(
        principle(0, **{"text": DOSE, "tier": 0, **first}),
        principle(1, **{"text": NO_DOSE, "tier": 0, **second}),
    )

    assert [complaint.code for complaint in lint(pair)] == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # Both hold for a doctor: nothing keeps the general rule from applying there too.
        ({}, {"applies_when": ("the user is a doctor",)}),
        ({"except_when": ("it rains",)}, {"applies_when": ("the user is a doctor",)}),
        ({"applies_when": ("the user is a doctor",)}, {"applies_when": ("a doctor is the user",)}),
        ({"except_when": ("the user is a nurse",)}, {}),
    ],
)
def test_a_condition_that_separates_nothing_resolves_nothing(first, second):
    pair = clean(
        principle(0, text=DOSE, tier=0, **first), principle(1, text=NO_DOSE, tier=0, **second)
    )

    assert [complaint.code for complaint in lint(pair)] == ["contradiction"]


def test_principles_on_other_subjects_do_not_contradict_each_other():
    pair = clean(
        principle(0, text="Explain how trains are built.", tier=0),
        principle(1, text="Never insult the people who ride on trains.", tier=0),
    )

    assert lint(pair) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"applies_when": ("it rains",), "except_when": ("in every case",)},
        {"except_when": ("always",)},
        {"applies_when": ("it rains and it is night",), "except_when": ("it rains",)},
    ],
)
def test_an_exception_that_takes_everything_back_is_an_error(change):
    assert "unreachable" in {complaint.code for complaint in lint(clean(principle(0, **change)))}


def test_a_narrower_exception_is_what_exceptions_are_for():
    made = principle(
        0,
        applies_when=("the user asks for the dose of a medicine",),
        except_when=("the user asks for the dose of a medicine for a child",),
    )

    assert lint(clean(made)) == ()


def test_errors_come_before_warnings():
    found = lint(clean(principle(0, source="", text=""), principle(1, probes=())))

    severities = [complaint.severity for complaint in found]
    assert severities == sorted(severities)
    assert severities[0] == "error"


@pytest.mark.parametrize("name", SHIPPED)
def test_nobody_complains_of_what_is_shipped(name):
    assert lint(load_constitution(name)) == ()


@settings(patient, max_examples=60)
@given(constitutions)
def test_lint_answers_on_anything_and_always_the_same(constitution):
    found = lint(constitution)

    assert found == lint(constitution)
    ids = {each.id for each in constitution.principles}
    assert all(set(complaint.principle_ids) <= ids for complaint in found)
