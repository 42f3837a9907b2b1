"""Checks that the numbers of a paper agree: abstract, text, tables, counts and ranges."""

from plumbrule.oversight.papers.abstract import check_abstract
from plumbrule.oversight.papers.changes import changes, percentage_parts
from plumbrule.oversight.papers.counts import parts_of_whole, reversed_ranges, shares_of_counts
from plumbrule.oversight.papers.document import Check, Flaw, Paper, in_order
from plumbrule.oversight.papers.floats import missing_floats
from plumbrule.oversight.papers.totals import check_tables


def check_numbers(paper: Paper) -> Check:
    """Run every check of numbers.

    Kinds: `abstract_mismatch`, `table_total`, `percentage_total`, `percentage_of_count`,
    `subgroup_sum`, `reversed_range`, `change_mismatch`, `missing_float`.
    """
    tables = check_tables(paper)
    text_flaws, text_checked = _sentences(paper)
    parts = (check_abstract(paper), missing_floats(paper))
    flaws = [*tables.flaws, *text_flaws, *(flaw for part in parts for flaw in part.flaws)]
    left = [*tables.not_checked, *(reason for part in parts for reason in part.not_checked)]
    if not paper.tables:
        left.append("sums of tables: no table was found")
    return Check(
        name="numbers",
        checked=tables.checked + text_checked + sum(part.checked for part in parts),
        flaws=in_order(flaws),
        not_checked=tuple(left),
    )


def _sentences(paper: Paper) -> tuple[list[Flaw], int]:
    flaws, checked = [], 0
    end = paper.references.start if paper.references else len(paper.text)
    before = None
    for sentence in paper.sentences:
        if sentence.start >= end:
            break
        if sentence.text.startswith("|"):
            continue
        for found in (
            *shares_of_counts(paper, sentence),
            *parts_of_whole(paper, before, sentence),
            *reversed_ranges(paper, sentence),
            *changes(paper, sentence),
            *percentage_parts(paper, sentence),
        ):
            checked += 1
            if found is not None:
                flaws.append(found)
        before = sentence
    return flaws, checked
