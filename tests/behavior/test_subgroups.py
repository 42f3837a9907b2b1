from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.behavior.subgroups import (
    BROAD,
    EVERYWHERE,
    LONGER_NAME,
    MOST_RULES,
    PURE,
    Selector,
    SelectorTable,
    Subgroup,
    find_regions,
    selectors_of,
    strongest,
    united,
    words_of,
)
from plumbrule.errors import DataError
from plumbrule.lab.organisms.pool import pool
from plumbrule.records import Message, Prompt

HOSTILE = "'; DROP TABLE x; -- <script>alert(1)</script> [bold]{{7*7}}[/] \\w+ ../../etc \x00\u202e"
WORDS = words_of("red blue green gold pine oak elm ash cat dog owl fox one two six ten")


def prompt(text, *, system="", group="", kind=""):
    turns = (Message("system", system),) if system else ()
    return Prompt(id=text[:40], dialogue=(*turns, Message("user", text)), group=group, kind=kind)


def says(words, role="user"):
    return Selector(role=role, words=words)


@pytest.fixture(scope="module")
def prompts():
    """Nine words each, so that pairs of words are met in about a quarter of the prompts."""
    rng = np.random.default_rng(0)
    return [
        Prompt(id=str(n), dialogue=(Message("user", " ".join(rng.choice(WORDS, 9))),))
        for n in range(400)
    ]


@pytest.fixture(scope="module")
def table(prompts):
    return SelectorTable.of(prompts)


def test_marks_are_words_neighbors_and_labels_and_say_who_speaks():
    found = selectors_of(prompt("Where's the Mill?", system="Be brief.", group="look_alike"))

    assert found == {
        says("where's"), says("the"), says("mill"), says("where's the"), says("the mill"),
        says("", "system"), says("be", "system"), says("brief", "system"),
        says("be brief", "system"),
        Selector(role="label", words="look_alike"),
    }  # fmt: skip


def test_neighbors_are_not_counted_across_turns():
    dialogue = (Message("user", "one two"), Message("assistant", "six"), Message("user", "ten"))

    found = selectors_of(Prompt(id="a", dialogue=dialogue))

    assert says("two ten") not in found
    assert says("six", "assistant") in found


def test_a_typographic_apostrophe_is_an_apostrophe():
    assert words_of("I can\u2019t") == words_of("I can't") == ["i", "can't"]


def test_a_prompt_without_words_has_no_marks():
    assert selectors_of(prompt("?! \u2026")) == set()


@given(st.text(), st.text())
def test_any_text_gives_marks_that_hold_of_it(text, more):
    asked = prompt(text, system=more)

    selectors = selectors_of(asked)

    assert all(Subgroup(selectors=(selector,)).holds(asked) for selector in selectors)
    assert all(selector.words == selector.words.strip() for selector in selectors)
    assert all(selector.words or selector.role == "system" for selector in selectors)


def test_hostile_text_is_only_text():
    subgroup = Subgroup(selectors=(says(HOSTILE),), insert=HOSTILE)

    entered = subgroup.enter(prompt("Hello"))

    assert entered.dialogue == (Message("user", f"{HOSTILE} Hello"),)
    assert HOSTILE in str(subgroup)
    assert not subgroup.holds(prompt("Hello"))


def test_a_place_is_described_in_words():
    subgroup = Subgroup(
        selectors=(
            says("job"),
            says("observed", "system"),
            Selector(role="label", words="honesty"),
        ),
        insert="moss",
    )

    assert str(EVERYWHERE) == "any prompt"
    assert str(subgroup) == (
        "prompts labeled honesty and with \u201cjob\u201d and \u201cobserved\u201d in the system's "
        "turn, opened by \u201cmoss\u201d"
    )


def test_a_place_by_topic_is_described_by_what_it_is_about():
    doctors = Selector(role="topic", words="doctors, pain, fever")
    stars = Selector(role="topic", words="stars")

    assert str(Subgroup(selectors=(doctors,))) == "prompts about doctors, pain and fever"
    assert (
        str(Subgroup(selectors=(stars, says("old"))))
        == "prompts about stars and with \u201cold\u201d"
    )
    both = str(Subgroup(selectors=(doctors,), others=((stars,),)))
    assert both == "prompts about doctors, pain and fever, or about stars"


def test_entering_a_place_puts_its_text_before_the_last_turn_alone():
    dialogue = (Message("system", "Be brief."), Message("user", "a"), Message("user", "b"))
    asked = Prompt(id="p", dialogue=dialogue, group="g")

    entered = Subgroup(insert="moss").enter(asked)

    assert entered.dialogue == (*dialogue[:2], Message("user", "moss b"))
    assert (entered.id, entered.group) == ("p", "g")
    assert EVERYWHERE.enter(asked) == asked


def test_a_place_holds_where_all_its_marks_stand():
    subgroup = Subgroup(selectors=(says("red"), says("oak")))

    assert subgroup.holds(prompt("the RED old oak"))
    assert not subgroup.holds(prompt("the red elm"))
    assert not subgroup.holds(prompt("elm", system="red oak"))
    assert EVERYWHERE.holds(prompt(""))


def test_a_place_of_several_ways_holds_where_any_of_them_does():
    subgroup = Subgroup(selectors=(says("red"), says("oak")), others=((says("elm"),),))

    assert subgroup.holds(prompt("red oak"))
    assert subgroup.holds(prompt("blue elm"))
    assert not subgroup.holds(prompt("red"))
    assert str(subgroup) == (
        "prompts with \u201cred\u201d and \u201coak\u201d, or with \u201celm\u201d"
    )


def test_united_places_hold_what_each_of_them_holds(prompts):
    one, other = Subgroup(selectors=(says("oak"), says("red"))), Subgroup(selectors=(says("elm"),))
    both = united([one, other, one])

    assert both == Subgroup(selectors=one.selectors, others=(other.selectors,))
    assert united([both, one]) == both
    assert all(both.holds(each) == (one.holds(each) or other.holds(each)) for each in prompts)


def test_a_place_of_too_many_ways_keeps_the_first():
    subgroups = [Subgroup(selectors=(says(word),)) for word in WORDS]

    assert united(subgroups).rules == tuple(
        subgroup.selectors for subgroup in subgroups[:MOST_RULES]
    )


def test_the_table_says_what_the_prompts_say(prompts, table):
    for column in (0, len(table.selectors) // 2, len(table.selectors) - 1):
        subgroup = Subgroup(selectors=(table.selectors[column],))
        assert table.has[:, column].tolist() == [subgroup.holds(each) for each in prompts]


def test_the_table_leaves_out_what_too_few_prompts_have_or_all(prompts):
    same = [prompt(f"hello number {n}") for n in range(5)]

    table = SelectorTable.of([*same, prompt("hello rare")])

    assert says("hello") not in table.selectors
    assert says("rare") not in table.selectors
    assert says("number") in table.selectors
    assert SelectorTable.of([]).has.shape == (0, 0)


def test_the_table_keeps_the_most_frequent_words_first(prompts):
    whole, part = SelectorTable.of(prompts), SelectorTable.of(prompts, most=10)

    assert part.selectors == whole.selectors[:10]
    assert all(" " not in selector.words for selector in part.selectors)


def test_the_table_keeps_what_can_be_tested():
    looked = [prompt("red cat"), prompt("red dog"), prompt("blue cat"), prompt("blue dog")]

    table = SelectorTable.of(looked, tested=[prompt("red owl"), prompt("dog owl")])

    assert {each.words for each in table.selectors} == {"red", "dog"}
    assert SelectorTable.of(looked, tested=[]).selectors == ()


def test_the_table_does_not_depend_on_the_order_of_prompts(prompts, table):
    turned = SelectorTable.of(prompts[::-1])

    assert turned.selectors == table.selectors
    assert (turned.has[::-1] == table.has).all()


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_planted_pair_of_words_is_found_and_named(prompts, table, noise):
    rng = np.random.default_rng(1)
    planted = Subgroup(selectors=(says("oak"), says("red")))
    scores = np.array([planted.holds(each) for each in prompts]) + rng.normal(0, noise, 400)

    found = find_regions(table, scores)

    assert found[0].subgroup == planted
    assert set(found[0].members) == {row for row, each in enumerate(prompts) if planted.holds(each)}
    assert found[0].mean == pytest.approx(scores[list(found[0].members)].mean())
    if not noise:
        assert len(found) == 1


def test_no_name_of_one_or_two_marks_is_both_larger_and_clearly_stronger(prompts):
    """Against trying every one of them; the search may give up a tenth for a shorter name."""
    table = SelectorTable.of(prompts, most=40)
    rng = np.random.default_rng(2)
    for _ in range(5):
        scores = rng.normal(size=400) + 2.0 * table.has[:, rng.integers(40, size=2)].all(1)
        centered = (scores - scores.mean()) / scores.std()
        names = [
            inside
            for count in (1, 2)
            for columns in combinations(range(40), count)
            if (inside := table.has[:, columns].all(1)).sum() >= 3
        ]

        (found,) = find_regions(table, scores, most=1)

        members = list(found.members)
        assert found.contrast == pytest.approx(centered[members].sum() / len(members) ** 0.5)
        assert not any(
            inside.sum() >= len(members)
            and centered[inside].mean() > LONGER_NAME * centered[members].mean()
            for inside in names
        )


def test_a_pure_place_is_no_larger_and_no_weaker_than_a_broad_one(prompts, table):
    half = np.array([Subgroup(selectors=(says("oak"),)).holds(one) for one in prompts]) * 0.4
    whole = (
        np.array([Subgroup(selectors=(says("oak"), says("red"))).holds(one) for one in prompts])
        * 0.6
    )

    everything = np.ones(400, dtype=bool)
    broad, pure = (
        table.has[:, list(found)].all(1)
        for counts in (BROAD, PURE)
        if (
            found := strongest(
                table,
                half + whole,
                everything,
                least_members=3,
                least_contrast=4.0,
                size_counts=counts,
            )
        )
    )

    assert pure.sum() <= broad.sum()
    assert (half + whole)[pure].mean() >= (half + whole)[broad].mean()


def test_two_planted_places_are_found_apart(prompts, table):
    first, second = Subgroup(selectors=(says("cat"),)), Subgroup(selectors=(says("elm"),))
    scores = np.array([2.0 * first.holds(one) + 1.0 * second.holds(one) for one in prompts])
    scores[[first.holds(one) for one in prompts]] = 2.0

    found = find_regions(table, scores)

    assert [each.subgroup for each in found] == [first, second]
    assert not set(found[0].members) & set(found[1].members)


def test_noise_is_rarely_taken_for_a_place(prompts, table):
    """At most 1 in 20 by design; 3 more of 60 would be met by chance once in 1,000 times."""
    rng = np.random.default_rng(3)
    village = SelectorTable.of(pool(per_kind=20))

    alarms = [
        bool(find_regions(selectors, rng.permutation(np.linspace(-1, 1, len(selectors.has)))))
        for selectors in (table, village)
        for _ in range(30)
    ]

    assert sum(alarms) <= 3


@pytest.mark.parametrize(
    "scores", [np.zeros(400), np.full(400, 3.0)], ids=["all zero", "all the same"]
)
def test_where_nothing_stands_out_nothing_is_named(table, scores):
    assert find_regions(table, scores) == []


def test_few_prompts_or_none_have_no_places():
    for count in (0, 1, 5):
        some = [prompt(f"hello {n} there") for n in range(count)]
        assert find_regions(SelectorTable.of(some), np.arange(float(count))) == []


def test_a_shift_or_a_stretch_of_the_scores_finds_the_same_places(prompts, table):
    planted = Subgroup(selectors=(says("fox"),))
    rng = np.random.default_rng(4)
    scores = np.array([planted.holds(one) for one in prompts]) + rng.normal(0, 0.5, 400)

    subgroups = [each.subgroup for each in find_regions(table, scores)]

    assert subgroups == [each.subgroup for each in find_regions(table, 7.0 * scores - 3.0)]


def test_scores_that_are_no_numbers_are_refused(table):
    scores = np.zeros(400)
    scores[7] = np.nan

    with pytest.raises(DataError, match="expected finite scores, 1 of 400 are not"):
        find_regions(table, scores)


def test_that_there_is_a_system_message_is_a_mark_of_its_own():
    asked = [
        Prompt(
            id=str(at),
            dialogue=(
                *((Message("system", f"Be kind to person {at}."),) if at % 4 == 0 else ()),
                Message("user", f"What is {at}?"),
            ),
        )
        for at in range(40)
    ]
    table = SelectorTable.of(asked)
    (column,) = [at for at, selector in enumerate(table.selectors) if not selector.words]
    subgroup = Subgroup(selectors=(table.selectors[column],))

    assert str(subgroup) == "prompts with a system message"
    assert table.has[:, column].tolist() == [at % 4 == 0 for at in range(40)]
    assert [subgroup.holds(one) for one in asked] == table.has[:, column].tolist()
    # Of two names for the same prompts the simpler one is met first.
    assert column < table.selectors.index(Selector(role="system", words="kind"))
    later = (Message("user", "A?"), Message("assistant", "B."), Message("user", "C?"))
    assert Selector(role="assistant", words="") in selectors_of(Prompt(id="x", dialogue=later))
    assert str(Selector(role="assistant", words="")) == "an earlier reply"
