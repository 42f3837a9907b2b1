import hashlib
import json
import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from tests.constitution.builders import clean, constitutions, patient, principle

from plumbrule.constitution import Constitution, CritiqueExample, Principle, parse_constitution
from plumbrule.constitution.schema import content, slug
from plumbrule.errors import ConstitutionError
from plumbrule.records import from_json, to_json


def test_the_hash_is_known_for_a_known_constitution():
    """Labels carry this hash for years: it must not move with the package's version."""
    said = Constitution(
        name="one", version="1", principles=(Principle(id="be-kind", text="Be kind.", tier=0),)
    )

    plain = (
        '{"name":"one","principles":[{"id":"be-kind","text":"Be kind.","tier":0}],"version":"1"}'
    )
    assert said.sha256 == hashlib.sha256(plain.encode()).hexdigest()
    assert said.sha256.startswith("6b983885d1e678b5")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "village"},
        {"version": "2"},
        {"description": "For all."},
        {"tiers": ("First",)},
        {"principles": tuple(reversed(clean().principles))},
        {"principles": (principle(0, text="Another."), *clean().principles[1:])},
        {"principles": (principle(0, tier=1), *clean().principles[1:])},
        {"principles": (principle(0, source="a law"), *clean().principles[1:])},
        {"principles": (principle(0, applies_when=("it rains",)), *clean().principles[1:])},
        {"principles": (principle(0, except_when=("it rains",)), *clean().principles[1:])},
        {"principles": (principle(0, probes=("Hurry.",)), *clean().principles[1:])},
        {"principles": (principle(0, twins=("Hurry.",)), *clean().principles[1:])},
    ],
)
def test_a_change_of_any_field_changes_the_hash(change):
    assert replace(clean(), **change).sha256 != clean().sha256


def test_moving_a_sentence_from_one_field_to_another_changes_the_hash():
    applies = principle(0, applies_when=("it rains",))
    excepted = principle(0, except_when=("it rains",))

    assert clean(applies).sha256 != clean(excepted).sha256


def test_the_order_of_keys_and_comments_do_not_change_the_hash():
    one = parse_constitution("name: a\nversion: '1'\nprinciples:\n- {id: b, text: c, tier: 0}\n")
    other = parse_constitution(
        "# said on Monday\nprinciples:\n  - tier: 0\n    text: 'c'  # short\n    id: b\n"
        'version: "1"\nname: a\n'
    )

    assert one.sha256 == other.sha256


@settings(patient, max_examples=50)
@given(constitutions)
def test_a_constitution_survives_json_and_pickle(constitution):
    before = constitution.sha256
    back = from_json(Constitution, json.loads(json.dumps(to_json(constitution))), origin="test")

    assert back == constitution
    assert back.sha256 == before
    assert pickle.loads(pickle.dumps(constitution)).sha256 == before


def test_reading_the_hash_leaves_no_trace_in_the_record():
    constitution = clean()
    fresh = to_json(constitution)
    assert constitution.sha256

    assert to_json(constitution) == fresh
    assert "sha256" not in content(constitution)


def test_a_principle_is_found_by_id_and_a_misspelled_one_is_guessed():
    constitution = clean()

    assert constitution.principle("about-chess").id == "about-chess"
    with pytest.raises(ConstitutionError, match=r"no principle 'about-ches'.*`about-chess`"):
        constitution.principle("about-ches")
    with pytest.raises(ConstitutionError, match="did you mean"):
        constitution.principle("\x00entirely other")


def test_an_id_that_stands_twice_is_not_looked_up():
    with pytest.raises(ConstitutionError, match=r"expected one principle `about-weather`.*got 2"):
        clean(principle(0), principle(0)).principle("about-weather")


def test_tiers_come_in_the_order_in_which_they_decide():
    constitution = clean(principle(0, tier=7), principle(1, tier=2))

    assert [tier for tier, _ in constitution.by_tier()] == [0, 1, 2, 7]
    assert sum(len(group) for _, group in constitution.by_tier()) == 10
    assert constitution.tier_name(1) == "Second"
    assert constitution.tier_name(2) == "tier 2"
    assert constitution.tier_name(7) == "tier 7"


def test_a_statement_says_any_of_the_conditions():
    made = principle(
        0, text="Help.", applies_when=("it rains.", "it snows"), except_when=("it is night",)
    )

    assert made.statement() == (
        "Help. Applies only when it rains, or when it snows. Does not apply when it is night."
    )


@pytest.mark.parametrize(
    "bad", ["", "Be-Kind", "be_kind", "-a", "a-", "a--b", "a b", "é", "a\n", 3]
)
def test_an_id_that_is_no_slug_is_refused(bad):
    with pytest.raises(ConstitutionError, match="small letters, digits and single hyphens"):
        principle(0, id=bad)


def test_the_refusal_proposes_an_id():
    with pytest.raises(ConstitutionError, match="write `be-kind`"):
        principle(0, id="Be_Kind!")
    assert slug("***") == ""


@pytest.mark.parametrize("bad", [-1, 1.0, "0", True, None])
def test_a_tier_that_is_no_whole_number_is_refused(bad):
    with pytest.raises(ConstitutionError, match="whole number from 0"):
        principle(0, tier=bad)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("text", 3),
        ("source", None),
        ("probes", "one text"),
        ("twins", ["a list"]),
        ("applies_when", (3,)),
        ("critique_examples", ({"request": "a"},)),
        ("text", "half \ud800"),
        ("probes", ("half \udfff",)),
    ],
)
def test_what_is_not_text_is_refused_with_its_field(field, bad):
    with pytest.raises(ConstitutionError, match=f"`about-weather`: {field} must be"):
        principle(0, **{field: bad})


def test_an_empty_constitution_and_a_nameless_one_are_refused():
    with pytest.raises(ConstitutionError, match="at least one principle"):
        Constitution(name="a", version="1", principles=())
    with pytest.raises(ConstitutionError, match="needs a name"):
        replace(clean(), name=" ")


def test_a_critique_example_wants_text_in_all_four_parts():
    with pytest.raises(ConstitutionError, match="critique must be text"):
        CritiqueExample(request="a", reply="b", critique=1, revision="c")  # type: ignore[arg-type]
