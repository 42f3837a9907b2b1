"""The known truth that methods for public input are measured against: it must itself be true."""

import re
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.public_statements import (
    FoundView,
    draw_statements,
    perfect,
    score,
)

from plumbrule.errors import DataError

BOTH = pytest.mark.parametrize("sealed", [False, True])
OPEN = draw_statements(0)


@BOTH
def test_the_numbers_are_those_that_were_promised(sealed):
    drawn = draw_statements(3, sealed=sealed)
    truth = drawn.truth

    assert len(drawn.statements) == len({one.id for one in drawn.statements}) == 500
    assert len(truth.spam) == 50
    assert set(Counter(truth.spam.values())) == {
        "ad", "url", "gibberish", "off_topic", "copy", "injection"
    }  # fmt: skip
    assert Counter(truth.group_of.values()) == {0: 220, 1: 120, 2: 60}
    held = Counter(len(view.held_by) for view in truth.views.values())
    assert held == {3: 5, 2: 4, 1: 3}
    assert all(0 not in truth.views[name].held_by for name in truth.minority)


@BOTH
def test_the_seed_decides_everything(sealed):
    assert draw_statements(1, sealed=sealed) == draw_statements(1, sealed=sealed)
    assert draw_statements(1, sealed=sealed) != draw_statements(2, sealed=sealed)


def test_the_sealed_set_shares_no_view_and_no_wording_with_the_open_one():
    sealed = draw_statements(0, sealed=True)

    assert not set(OPEN.truth.views) & set(sealed.truth.views)
    texts = {one.text for one in OPEN.statements}
    assert not texts & {one.text for one in sealed.statements}


def test_genuine_statements_are_all_different_and_copies_are_not():
    texts = {one.id: " ".join(re.findall(r"\w+", one.text.lower())) for one in OPEN.statements}
    genuine = [text for one, text in texts.items() if one not in OPEN.truth.spam]

    assert len(set(genuine)) == len(genuine)
    assert len(OPEN.truth.copy_of) == 8
    assert all(texts[one] == texts[original] for one, original in OPEN.truth.copy_of.items())
    assert all(OPEN.truth.spam[one] == "copy" for one in OPEN.truth.copy_of)


def test_votes_are_few_and_show_what_each_group_holds():
    votes = defaultdict(list)
    asked = Counter(vote.person for vote in OPEN.votes)
    for vote in OPEN.votes:
        group, view = OPEN.truth.group_of.get(vote.person), OPEN.truth.view_of.get(vote.statement)
        if group is not None and view is not None:
            votes[view, group].append(vote.vote == "agree")

    assert np.mean([asked[one] for one in OPEN.truth.group_of]) == pytest.approx(31, abs=1)
    for (view, group), agreed in votes.items():
        holds = group in OPEN.truth.views[view].held_by
        assert np.mean(agreed) > 0.7 if holds else np.mean(agreed) < 0.35, (view, group)


def test_nobody_votes_twice_and_authors_hold_what_they_write():
    assert len({(vote.person, vote.statement) for vote in OPEN.votes}) == len(OPEN.votes)
    for one in OPEN.statements:
        if one.id not in OPEN.truth.spam:
            held = OPEN.truth.views[OPEN.truth.view_of[one.id]].held_by
            assert OPEN.truth.group_of[one.person] in held


@BOTH
def test_the_truth_gets_full_marks(sealed):
    truth = draw_statements(5, sealed=sealed).truth
    got = score(perfect(truth), truth, truth.group_of)

    assert got.kept == set(truth.views)
    assert got.minority_shown == truth.minority
    assert got.group_agreement == 1
    assert not got.falsely_minority
    assert (got.repeated, got.mixed, got.spam_principles, got.spam_statements) == (0, 0, 0, 0)


def principle(*statements, minority=False):
    return FoundView(text="so", statements=tuple(statements), minority=minority)


def test_garbage_gets_no_marks():
    ids = [one.id for one in OPEN.statements]
    chance = np.random.default_rng(0).permutation(ids)
    groups = dict(zip(OPEN.truth.group_of, np.arange(400) % 3, strict=True))
    for garbage in (
        [],
        [principle(*ids)],
        [principle(one) for one in ids],
        [principle(*part) for part in np.array_split(chance, 12)],
    ):
        got = score(garbage, OPEN.truth, groups)
        assert not got.kept
        assert got.repeated == 0
        assert got.group_agreement == pytest.approx(0, abs=0.05)


def test_spam_is_counted_where_it_stands():
    truth = OPEN.truth
    spam = [one for one, kind in truth.spam.items() if kind != "copy"]
    view = truth.view_of[next(iter(truth.copy_of.values()))]
    first = next(one for one in perfect(truth) if view == truth.view_of[one.statements[0]])

    assert score([principle(*spam[:5])], truth).spam_principles == 1
    assert score([principle(*spam[:5])], truth).spam_statements == 5
    assert score([principle()], truth).spam_principles == 1
    copies = [one for one in truth.copy_of if truth.view_of[one] == view]
    with_copies = replace(first, statements=(*first.statements, *copies))
    assert score([with_copies], truth).spam_statements == len(copies)
    original = truth.copy_of[copies[0]]
    instead = [one for one in first.statements if one != original]
    assert score([principle(*instead, copies[0])], truth).spam_statements == 0


def test_a_repeated_view_and_a_false_minority_are_seen():
    whole = perfect(OPEN.truth)
    shared = next(one for one in whole if not one.minority)
    got = score([*whole, principle(*shared.statements[:-1])], OPEN.truth)
    assert got.repeated == 1

    got = score([replace(one, minority=not one.minority) for one in whole], OPEN.truth)
    assert got.minority_shown == frozenset()
    assert got.falsely_minority == set(OPEN.truth.views) - OPEN.truth.minority


def test_a_group_for_each_person_is_no_agreement():
    assert score([], OPEN.truth, {}).group_agreement == 0


def test_a_statement_that_does_not_exist_is_refused():
    with pytest.raises(DataError, match="s999"):
        score([principle("s999")], OPEN.truth)
