"""Interaction flaws: every passage stands in its place, and only their meeting is a flaw."""

import re
from itertools import combinations
from typing import cast

import pytest
from benchmarks.papers import review

from plumbrule.errors import ConfigError
from plumbrule.lab.paper_interactions import BANKS, Bank, in_words, wordings
from plumbrule.lab.papers import INTERACTION_KINDS, KINDS, make_paper
from plumbrule.oversight.papers import read_paper


def read(folder, paper, form):
    path = folder / f"paper.{form}"
    path.write_text(paper.latex if form == "tex" else paper.markdown, encoding="utf-8")
    return read_paper(path)


def place(paper, words):
    """Where words stand in a paper, whatever the white space."""
    return re.search(r"\s+".join(map(re.escape, words.split())), paper.text)


@pytest.mark.parametrize("bank", BANKS)
def test_each_kind_has_six_wordings_and_more_in_different_sections(bank):
    assert tuple(wordings(bank)) == INTERACTION_KINDS
    for listed in wordings(bank).values():
        assert len({each.parts for each in listed}) >= 6
        for each in listed:
            sections = [part.partition(": ")[0].removesuffix(" table") for part in each.parts]
            assert len(set(sections)) == len(sections) >= 2


def test_the_fresh_bank_has_eight_wordings_of_each_kind_and_more():
    assert all(len(listed) >= 8 for listed in wordings("fresh").values())


@pytest.mark.parametrize(("one", "other"), list(combinations(BANKS, 2)))
def test_the_banks_share_no_passage(one, other):
    first, second = (
        {
            text
            for listed in wordings(bank).values()
            for each in listed
            for text in (*each.parts, each.fits, each.apart)
        }
        for bank in (one, other)
    )

    assert not first & second


@pytest.mark.parametrize("bank", BANKS)
def test_a_wording_is_left_for_every_kind_in_every_paper(bank):
    for seed in range(150):
        made = make_paper(seed, flaws=INTERACTION_KINDS, pages=3, bank=bank)

        assert {each.kind for each in made.truth} == set(INTERACTION_KINDS)


@pytest.mark.parametrize("bank", BANKS)
@pytest.mark.parametrize("form", ["md", "tex"])
def test_the_marked_passages_stand_in_different_sections(tmp_path, bank, form):
    for seed in range(6):
        made = make_paper(seed, flaws=INTERACTION_KINDS, bank=bank)
        paper = read(tmp_path, made, form)

        assert sorted(each.kind for each in made.truth) == sorted(INTERACTION_KINDS)
        for planted in made.truth:
            places = [place(paper, mark) for mark in planted.mark.split("|")]
            assert all(places), planted
            first, last = places[0], places[2 if planted.kind == "assembled_purpose" else 1]
            assert paper.section_at(first.start()) != paper.section_at(last.start())


@pytest.mark.parametrize("bank", BANKS)
def test_a_clean_twin_lacks_a_passage_and_is_otherwise_the_same(tmp_path, bank):
    for seed in range(8):
        kind = INTERACTION_KINDS[seed % len(INTERACTION_KINDS)]
        made = make_paper(seed, flaws=[kind], bank=bank)
        [planted] = made.truth
        twin, paper = (read(tmp_path, each, "md") for each in (make_paper(seed, bank=bank), made))
        count = 3 if kind == "assembled_purpose" else 2
        marks = planted.mark.split("|")[:count]

        assert not all(place(twin, mark) for mark in marks)
        kept = {each.text for each in twin.sentences} & {each.text for each in paper.sentences}
        assert len(kept) > 0.9 * len({each.text for each in twin.sentences})


@pytest.mark.parametrize("bank", BANKS)
def test_clean_papers_hold_words_of_flaws_too(tmp_path, bank):
    sides, agreements, others = 0, 0, 0
    for seed in range(40):
        text = " ".join(make_paper(seed, bank=bank).markdown.split())
        for listed in wordings(bank).values():
            for each in listed:
                first, fits, apart = (
                    max(re.split(r"\{[^{}]*\}", words.partition(": ")[2]), key=len).rpartition(
                        " | "
                    )[0 if "|" in words else 2]
                    in text
                    for words in (each.parts[0], each.fits, each.apart)
                )
                sides += first and not fits and not apart
                agreements += fits
                others += apart

    assert min(sides, agreements, others) >= 20


@pytest.mark.parametrize("bank", BANKS)
def test_no_check_of_parts_sees_them(tmp_path, bank):
    for seed in range(8):
        made = make_paper(seed, flaws=INTERACTION_KINDS, bank=bank)
        path = tmp_path / "paper.md"
        path.write_text(made.markdown, encoding="utf-8")

        assert review(path) == []


def test_other_flaws_are_planted_beside_them(tmp_path):
    made = make_paper(3, flaws=[*KINDS, *INTERACTION_KINDS])
    path = tmp_path / "paper.tex"
    path.write_text(made.latex, encoding="utf-8")

    assert {each.kind for each in review(path)} >= set(KINDS)
    assert {each.kind for each in made.truth} == {*KINDS, *INTERACTION_KINDS}


@pytest.mark.parametrize(
    ("bank", "passage"),
    [
        ("development", r"Of (\d+) people who were recruited, (\d+) were excluded"),
        ("fresh", r"Of the (\d+) individuals who entered the study, (\d+) were removed"),
    ],
)
def test_numbers_of_both_sides_follow_from_the_study(bank, passage):
    seen = 0
    for seed in range(200):
        clean = " ".join(make_paper(seed, bank=bank).markdown.split())
        for recruited, excluded in re.findall(passage, clean):
            size = re.search(r"tested this with (\d+)", clean)
            assert size is not None
            assert int(recruited) - int(excluded) == int(size[1])
            seen += 1

    assert seen >= 3


def test_numbers_are_spelled_out():
    assert [in_words(n) for n in (7, 20, 41, 100, 119)] == [
        "seven",
        "twenty",
        "forty-one",
        "one hundred",
        "one hundred and nineteen",
    ]


def test_an_unknown_bank_is_refused():
    with pytest.raises(ConfigError, match="bank must be one of"):
        make_paper(0, bank=cast(Bank, "secret"))
