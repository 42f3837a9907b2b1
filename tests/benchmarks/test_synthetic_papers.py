"""Synthetic papers hold exactly the flaws that were planted, and are the same for the same seed."""

import re

import numpy as np
import pytest
from benchmarks.papers import hits, review
from benchmarks.synthetic_papers import KINDS, STATISTICS_KINDS, make_paper
from benchmarks.synthetic_papers.study import make_study
from scipy import stats

from plumbrule.errors import ConfigError


def found(folder, paper, form):
    path = folder / f"paper.{form}"
    path.write_text(paper.latex if form == "tex" else paper.markdown, encoding="utf-8")
    return review(path)


@pytest.mark.parametrize("form", ["md", "tex"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_planted_flaw_is_found_and_nothing_else(tmp_path, kind, form):
    for seed in range(4):
        paper = make_paper(seed, flaws=[kind])
        flaws = found(tmp_path, paper, form)

        assert [each.kind for each in paper.truth] == [kind]
        assert any(flaw.kind == kind for flaw in flaws)
        assert all(hits(paper.truth[0], flaw) for flaw in flaws)


@pytest.mark.parametrize("form", ["md", "tex"])
def test_clean_papers_have_no_flaw(tmp_path, form):
    for seed in range(100, 115):
        paper = make_paper(seed)

        assert paper.truth == ()
        assert found(tmp_path, paper, form) == []


@pytest.mark.parametrize("kind", STATISTICS_KINDS)
def test_flaws_of_statistics_stand_in_both_formats(kind):
    for seed in range(20):
        clean, paper = make_paper(seed), make_paper(seed, flaws=[kind])
        mark = paper.truth[0].mark.removeprefix("p ")

        assert paper.markdown != clean.markdown
        assert paper.latex != clean.latex
        assert mark in paper.markdown
        assert mark in paper.latex


def test_an_impossible_mean_is_no_mean_of_whole_answers():
    for seed in range(40):
        paper = make_paper(seed, flaws=["impossible_mean"])
        mean = float(paper.truth[0].mark)
        printed = rf"\*n\* = (\d+), \*M\* = {paper.truth[0].mark}, \*SD\* = [\d.]+\) was close"
        match = re.search(printed, paper.markdown)
        assert match is not None
        count = int(match[1])
        distance = np.abs(np.arange(8 * count) / count - mean)

        assert distance.min() > 0.005


def test_printed_statistics_follow_from_one_another():
    for seed in range(40):
        study = make_study(np.random.default_rng(seed))
        t = float(study.test.partition("= ")[2])
        low, high = (2 * stats.t.sf(abs(t) + d, study.size - 2) for d in (0.005, -0.005))
        if study.p_value.startswith("="):
            assert low - 0.0005 <= float(study.p_value[2:]) <= high + 0.0005
        else:
            assert low < 0.001
        assert study.women + study.men == sum(study.arms) == study.size


def test_the_seed_decides_everything():
    assert make_paper(3, flaws=KINDS) == make_paper(3, flaws=KINDS)
    assert make_paper(3).markdown != make_paper(4).markdown


@pytest.mark.parametrize("pages", [3, 10, 30])
def test_papers_have_the_length_asked_for(pages):
    words = len(make_paper(1, pages=pages).markdown.split())

    assert 0.8 < words / (450 * pages) < 1.4


@pytest.mark.parametrize(
    "settings", [{"flaws": ["typo"]}, {"flaws": ["table_total"] * 2}, {"pages": 2}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match="must be"):
        make_paper(0, **settings)
