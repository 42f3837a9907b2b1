import pytest
from hypothesis import given, settings
from tests.constitution.builders import clean, constitutions, patient, principle

from plumbrule.constitution import Counterfactual, CritiqueExample, diff
from plumbrule.errors import ConstitutionError


def with_principles(*principles):
    return clean(principles=principles)


def test_the_same_content_has_no_difference():
    found = diff(clean(), clean())

    assert found.same
    assert found.describe() == "no difference"


def test_what_came_and_what_went():
    found = diff(
        with_principles(principle(0), principle(1)), with_principles(principle(1), principle(2))
    )

    assert [each.id for each in found.added] == ["about-bread"]
    assert [each.id for each in found.removed] == ["about-weather"]
    assert (found.renamed, found.moved, found.changed, found.reordered) == ((), (), (), ())
    assert "+ about-bread (tier 0): Explain bread with patience." in found.describe()
    assert "- about-weather (tier 0): Explain weather with patience." in found.describe()


def test_a_principle_under_another_id_is_renamed_and_its_other_changes_are_told():
    before = with_principles(principle(0), principle(1))
    after = with_principles(principle(0, id="on-weather", source="a law"), principle(1))
    found = diff(before, after)

    assert [(each.before, each.after) for each in found.renamed] == [
        ("about-weather", "on-weather")
    ]
    assert (found.added, found.removed) == ((), ())
    assert [(each.principle_id, each.field) for each in found.changed] == [("on-weather", "source")]
    assert "= about-weather is now called on-weather" in found.describe()


def test_of_two_with_the_same_text_the_wholly_equal_one_is_the_renamed_one():
    before = with_principles(principle(0, id="a"), principle(0, id="b", source="a law"))
    after = with_principles(principle(0, id="c", source="a law"), principle(0, id="d"))

    renamed = {each.before: each.after for each in diff(before, after).renamed}
    assert renamed == {"a": "d", "b": "c"}


def test_moved_tiers_say_who_decides_earlier():
    found = diff(with_principles(principle(0)), with_principles(principle(0, tier=2)))

    assert [(each.before, each.after) for each in found.moved] == [(0, 2)]
    assert found.changed == ()
    assert "^ about-weather: tier 0 -> 2 (decides later)" in found.describe()
    back = diff(with_principles(principle(0, tier=2)), with_principles(principle(0)))
    assert "(decides earlier)" in back.describe()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", "Explain weather briefly."),
        ("source", ""),
        ("applies_when", ("it rains",)),
        ("except_when", ("it rains",)),
        ("probes", ("Hurry through weather.",)),
        ("twins", ()),
        (
            "critique_examples",
            (CritiqueExample(request="a", reply="b", critique="c", revision="d"),),
        ),
        ("counterfactuals", (Counterfactual(reply="a", breaks="b", keeps="c"),)),
    ],
)
def test_a_changed_field_is_named(field, value):
    found = diff(clean(), clean(principle(0, **{field: value})))

    assert [(each.principle_id, each.field) for each in found.changed] == [("about-weather", field)]
    assert f"* about-weather: {field}" in found.describe()


@pytest.mark.parametrize("field", ["name", "version", "description"])
def test_a_change_of_the_heading_is_told(field):
    found = diff(clean(), clean(**{field: "another"}))

    assert [(each.principle_id, each.field) for each in found.changed] == [(None, field)]
    assert f"* {field}" in found.describe()


def test_lists_show_what_came_and_went():
    before = clean(principle(0, probes=("one", "two", "three")))
    after = clean(principle(0, probes=("two", "four", "one")))

    lines = diff(before, after).describe().splitlines()
    assert lines == ["* about-weather: probes", "    - three", "    + four"]


def test_a_list_in_another_order_says_so():
    before = clean(principle(0, probes=("one", "two")))
    after = clean(principle(0, probes=("two", "one")))

    assert "same entries in another order" in diff(before, after).describe()


def test_a_difference_far_into_a_long_text_is_shown():
    start = "Explain the weather " * 20
    found = diff(
        clean(principle(0, text=start + "slowly.")), clean(principle(0, text=start + "fast."))
    )

    assert "slowly." in found.describe()
    assert "fast." in found.describe()


def test_the_fewest_moves_explain_another_order():
    four = [principle(number) for number in range(4)]
    found = diff(with_principles(*four), with_principles(four[3], *four[:3]))

    assert found.reordered == ("about-music",)
    assert not found.same
    assert "about-music" in found.describe()


def test_a_doubled_id_cannot_be_compared():
    with pytest.raises(ConstitutionError, match="expected each id once"):
        diff(clean(), clean(principle(0), principle(0)))


@settings(patient, max_examples=60)
@given(constitutions, constitutions)
def test_a_difference_is_empty_exactly_when_the_hashes_agree(before, after):
    for one, other in ((before, after), (before, before)):
        found = diff(one, other)
        parts = (found.added, found.removed, found.renamed, found.moved, found.changed)
        assert found.same == (not any(parts) and not found.reordered)
        assert found.same == (found.describe() == "no difference")
        assert found.same == (one == other)


@settings(patient, max_examples=40)
@given(constitutions, constitutions)
def test_looking_back_swaps_what_came_and_what_went(before, after):
    there, back = diff(before, after), diff(after, before)

    assert {each.id for each in there.added} == {each.id for each in back.removed}
    assert len(there.renamed) == len(back.renamed)
    assert len(there.moved) == len(back.moved)
    assert len(there.reordered) == len(back.reordered)
