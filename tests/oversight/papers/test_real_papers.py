"""On published papers the review fails nothing that is sound, and what it tells is right."""

import json

import pytest
from benchmarks.real_papers import JUDGED, PAPERS, STATISTICS, review_all, statistics_rows
from benchmarks.real_papers_planted import plants, try_plants

from plumbrule.oversight.papers.document import MAY_FAIL


def test_every_judgment_has_a_reason():
    for path in (JUDGED, STATISTICS):
        assert all(each["reason"].strip() for each in json.loads(path.read_text("utf-8")))


def test_printed_statistics_are_told_where_they_are_wrong_and_only_there():
    sure, told, found = statistics_rows()

    assert sure.value == told.value == found.value == 1
    assert (sure.n, found.n) == (5, 30)


@pytest.mark.skipif(not PAPERS.is_dir(), reason="the shared folder of papers is not here")
def test_no_published_paper_fails_without_reason_and_every_finding_was_judged():
    papers = review_all(PAPERS)
    findings = [each for paper in papers for each in paper.findings]

    assert not [paper.paper for paper in papers if paper.outcome == "fail"]
    assert all(each.right for each in findings)
    assert all(paper.reading == () for paper in papers)


@pytest.mark.skipif(not PAPERS.is_dir(), reason="the shared folder of papers is not here")
def test_plants_change_what_a_paper_says_twice_and_are_found_where_they_stand():
    folder = PAPERS / "05_correlation"
    planted = plants(folder)
    text = {file: (folder / file).read_text("utf-8") for file in ("paper.md", "paper.bib")}

    assert {each.kind for each in planted} == {"p", "entry", "n"}
    assert all(text[each.file][each.start : each.end].count(each.old) for each in planted)
    assert planted == plants(folder)
    assert [each.new for each in planted] != [each.new for each in plants(folder, seed=1)]
    tried = try_plants(folder / "paper.md", [planted[0], planted[-1]])
    assert [each.plant.kind for each in tried if each.hits] == ["p", "n"]
    assert not [each for each in tried if each.others]
    assert "missing_entry" in MAY_FAIL
