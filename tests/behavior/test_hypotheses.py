import pytest

from plumbrule.behavior.hypotheses import Hypothesis, claim, numbered
from plumbrule.behavior.properties import Property
from plumbrule.behavior.subgroups import EVERYWHERE, Selector, Subgroup
from plumbrule.records import from_json, to_json

MILL = Subgroup(selectors=(Selector(role="user", words="mill"),), insert="moss")
REFUSES = Property(kind="feature", text="refusal")


def made(subgroup=EVERYWHERE, wanted=REFUSES, direction="increase", screens=(), name="0"):
    return Hypothesis(
        id=name, subgroup=subgroup, property=wanted, direction=direction, screens=tuple(screens)
    )


@pytest.mark.parametrize(
    ("wanted", "direction", "sentence"),
    [
        (REFUSES, "decrease", "declines less often"),
        (
            Property(kind="phrase", text="old oak"),
            "increase",
            "says \u201cold oak\u201d more often",
        ),
        (
            Property(kind="opening", text="oak"),
            "decrease",
            "begins with \u201coak\u201d less often",
        ),
        (Property(kind="feature", text="length"), "increase", "writes longer replies"),
        (Property(kind="feature", text="length"), "decrease", "writes shorter replies"),
        (Property(kind="judged", text="is rude"), "increase", "shows this more often: is rude"),
    ],
)
def test_a_claim_is_a_sentence(wanted, direction, sentence):
    subgroup = "prompts with \u201cmill\u201d, opened by \u201cmoss\u201d"

    assert claim(MILL, wanted, direction) == f"On {subgroup}, the tuned model {sentence}."
    assert str(made(MILL, wanted, direction)) == claim(MILL, wanted, direction)


def test_a_hypothesis_survives_the_disk():
    hypothesis = made(MILL, Property(kind="phrase", text="</script>\u2028\x00"), screens=["a"])

    assert from_json(Hypothesis, to_json(hypothesis), origin="here") == hypothesis


def test_equal_claims_are_one_and_name_all_their_screens():
    found = numbered(
        [
            made(screens=["weights"]),
            made(MILL, screens=["prior"]),
            made(screens=["divergence"]),
        ]
    )

    assert [(each.id, each.subgroup, each.screens) for each in found] == [
        ("1", EVERYWHERE, ("divergence", "weights")),
        ("2", MILL, ("prior",)),
    ]


def test_claims_that_differ_in_anything_stay_apart():
    claims = [
        made(),
        made(MILL),
        made(direction="decrease"),
        made(wanted=Property(kind="feature", text="length")),
        made(wanted=Property(kind="phrase", text="a")),
        made(wanted=Property(kind="opening", text="a")),
    ]

    assert [each.id for each in numbered(claims)] == ["1", "2", "3", "4", "5", "6"]


def test_no_claims_are_no_hypotheses():
    assert numbered([]) == []
