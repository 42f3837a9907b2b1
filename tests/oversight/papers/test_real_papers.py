"""On published papers the review fails nothing that is sound, and what it tells is right."""

import json

import pytest
from benchmarks import real_papers
from benchmarks.real_papers import JUDGED, PAPERS, STATISTICS, review_all, statistics_rows

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
def test_an_entry_taken_out_of_a_real_bibliography_is_missed_and_nothing_else():
    path = PAPERS / "01_effectsize" / "paper.md"
    [(key, said)] = real_papers._without_entries(path, 1)

    assert said
    assert {each.split("`")[1] for each in said} == {key}
    assert "missing_entry" in MAY_FAIL
