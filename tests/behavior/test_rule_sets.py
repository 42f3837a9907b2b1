import numpy as np
import pytest

from plumbrule.behavior.rule_sets import find_rule_set, purest
from plumbrule.behavior.subgroups import Selector, SelectorTable, Subgroup, words_of
from plumbrule.lab.organisms.pool import pool
from plumbrule.records import Message, Prompt

WORDS = words_of("red blue green gold pine oak elm ash cat dog owl fox one two six ten")


def named(table, scores, *, most=8, least_contrast=3.0, least_members=2, shrunk=1.0):
    return find_rule_set(
        table,
        scores,
        most=most,
        least_contrast=least_contrast,
        least_members=least_members,
        shrunk=shrunk,
    )


@pytest.fixture(scope="module")
def prompts():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, size=5, replace=False)) for _ in range(600)]
    return [Prompt(id=str(n), dialogue=(Message("user", text),)) for n, text in enumerate(texts)]


@pytest.fixture(scope="module")
def table(prompts):
    return SelectorTable.of(prompts)


def says(*words):
    return tuple(Selector(role="user", words=word) for word in sorted(words))


def inside(subgroup, prompts):
    return np.array([subgroup.holds(each) for each in prompts])


def found_rows(found, count):
    rows = np.zeros(count, dtype=bool)
    for region in found:
        rows[list(region.members)] = True
    return rows


def test_a_set_that_takes_two_names_gets_both(prompts, table):
    planted = Subgroup(selectors=says("oak", "red"), others=(says("fox", "ten"),))
    rng = np.random.default_rng(1)
    scores = inside(planted, prompts) + rng.normal(0, 0.15, 600)

    found = named(table, scores)

    assert {each.subgroup.selectors for each in found[:2]} == {planted.selectors, planted.others[0]}
    assert (found_rows(found[:2], 600) == inside(planted, prompts)).all()


def test_a_place_that_moves_as_a_whole_is_not_cut_down_to_where_it_moves_most(prompts, table):
    whole, part = Subgroup(selectors=says("cat")), Subgroup(selectors=says("cat", "dog"))
    rng = np.random.default_rng(2)
    scores = 0.25 * inside(whole, prompts) + 0.3 * inside(part, prompts)

    found = named(table, scores + rng.normal(0, 0.03, 600))

    assert (found_rows(found, 600) >= inside(whole, prompts)).all()


def test_of_a_place_only_the_part_that_moves_is_named(prompts, table):
    planted = Subgroup(selectors=says("elm", "owl"))
    rng = np.random.default_rng(3)
    scores = inside(planted, prompts) + rng.normal(0, 0.05, 600)

    (first, *_) = named(table, scores)

    assert first.subgroup == planted


def test_a_small_set_is_named_without_a_prompt_that_only_looks_like_it(prompts, table):
    """The rest of a name costs a third of its prompts at most."""
    planted = Subgroup(selectors=says("ash", "gold", "six"))
    wanted = inside(planted, prompts)
    assert 3 <= wanted.sum() <= 40
    rng = np.random.default_rng(4)

    found = named(table, wanted + rng.normal(0, 0.03, 600))

    rows = found_rows([each for each in found if each.mean > 0.5], 600)
    assert wanted[rows].mean() == 1.0
    assert rows[wanted].mean() > 0.5


def test_no_prompt_is_a_member_twice(prompts, table):
    rng = np.random.default_rng(5)
    scores = inside(Subgroup(selectors=says("pine")), prompts) + rng.normal(0, 0.5, 600)

    members = [row for each in named(table, scores) for row in each.members]

    assert len(members) == len(set(members))


def test_there_are_no_more_names_than_asked_for(prompts, table):
    scores = sum(
        inside(Subgroup(selectors=says(word)), prompts) * weight
        for word, weight in (("one", 1.0), ("two", 2.0), ("six", 4.0), ("ten", 8.0))
    )

    assert len(named(table, scores, most=3)) == 3


@pytest.mark.parametrize("shrunk", [1.0, 4.0])
def test_at_four_and_a_half_standard_errors_noise_is_rarely_named(table, shrunk):
    """At most 1 in 20 by design; 4 of 30 would be met by chance once in 40 times."""
    rng = np.random.default_rng(6)
    village = SelectorTable.of(pool(per_kind=20))

    alarms = [
        bool(
            named(
                selectors,
                rng.permutation(np.linspace(-1, 1, len(selectors.has))),
                least_contrast=4.5,
                least_members=3,
                shrunk=shrunk,
            )
        )
        for selectors in (table, village)
        for _ in range(15)
    ]

    assert sum(alarms) <= 4


@pytest.mark.parametrize("scores", [np.zeros(600), np.full(600, 3.0)], ids=["zero", "the same"])
def test_where_nothing_stands_out_nothing_is_named(table, scores):
    assert named(table, scores) == []


def test_a_name_gets_the_rarest_mark_that_keeps_what_moves(prompts, table):
    planted = Subgroup(selectors=says("oak", "red"))
    rows = np.flatnonzero(inside(Subgroup(selectors=says("oak")), prompts)).tolist()
    moved = {row: float(planted.holds(prompts[row])) for row in rows}

    rule, rate = purest(table, says("oak"), moved, least=0.85, kept=0.0)
    best, most = purest(table, says("oak"), moved, least=0.0, kept=0.75)

    assert Subgroup(selectors=rule).holds(prompts[next(row for row in rows if moved[row])])
    assert {row for row in rows if Subgroup(selectors=rule).holds(prompts[row])} == {
        row for row in rows if moved[row]
    }
    assert rate == most == 1.0
    assert set(best) >= {*says("oak")}


def test_a_pure_name_is_left_as_it_is_where_no_part_is_purer(prompts, table):
    rows = np.flatnonzero(inside(Subgroup(selectors=says("oak")), prompts)).tolist()

    rule, rate = purest(table, says("oak"), dict.fromkeys(rows, 0.0), least=0.85, kept=0.0)
    assert (rule, rate) == (says("oak"), 0.0)
    assert purest(table, says("oak"), {}, least=0.85, kept=0.0) == (says("oak"), 0.0)
    three = says("oak", "red", "fox")
    assert purest(table, three, {0: 1.0, 1: 0.0}, least=0.85, kept=0.0) == (three, 0.5)
