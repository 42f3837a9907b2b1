"""Citations, entries, identifiers, bibliographies and sources are checked against one another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.errors import DataError
from plumbrule.oversight.papers import (
    check_bibliography,
    check_citations,
    check_sources,
    parse_bibtex,
    read_paper,
)
from plumbrule.oversight.papers.citations import (
    arxiv_error,
    doi_error,
    isbn_error,
    orcid_error,
    pmid_error,
)

LIST = """
## References

Lee, S., & Wu, T. (2019). A thing of note. Letters, 3. doi:10.1000/abc.5

Sato, A., Ito, B., & Kim, C. (2020). Another thing. Letters, 4.
"""
GOOD = "As Lee and Wu (2019) say, it holds (Sato et al., 2020)."


def paper(folder, body, references=LIST, name="paper.md"):
    path = folder / name
    path.write_text(f"# T\n\n## Body\n\n{body}\n{references}", encoding="utf-8")
    return read_paper(path)


def kinds(check):
    return [flaw.kind for flaw in check.flaws]


def test_a_paper_in_order_has_no_flaw(tmp_path):
    check = check_citations(paper(tmp_path, GOOD))

    assert check.flaws == ()
    assert check.not_checked == ()
    assert check.checked == 4


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (GOOD + " And so (Novak, 2001).", ["missing_entry"]),
        ("As Lee and Wu (2019) say.", ["uncited_entry"]),
        ("As Lee and Wu (2018) say, it holds (Sato et al., 2020).", ["year_mismatch"]),
        ("As Lee and Wuu (2019) say, it holds (Sato et al., 2020).", ["author_mismatch"]),
        ("As Leee and Wu (2019) say, (Satoo et al., 2020).", ["author_mismatch"] * 2),
        (GOOD + " Also Lee and Wu (2018).", ["missing_entry"]),
        ("Recently, Lee and Wu (2019) agree, as (e.g., Sato et al., 2020) do.", []),
        (GOOD + " In March (2010) and Table (2011) nothing (version 2012) is cited.", []),
        ("Lee & Wu's (2019) view and Sato's (2020; see also Lee & Wu, 2019).", []),
    ],
)
def test_citations_of_author_and_year_are_matched(tmp_path, body, expected):
    check = check_citations(paper(tmp_path, body))

    assert kinds(check) == expected


def test_evidence_quotes_the_citation_and_its_entry(tmp_path):
    read = paper(tmp_path, "As Lee and Wu (2018) say, it holds (Sato et al., 2020).")
    (flaw,) = check_citations(read).flaws

    assert [each.quote[:18] for each in flaw.evidence] == [
        "Lee and Wu (2018)",
        "Lee, S., & Wu, T. ",
    ]
    assert [each.section for each in flaw.evidence] == ["Body", "References"]
    assert all(read.text[each.start : each.end] == each.quote for each in flaw.evidence)
    assert flaw.message == "the text says 2018, the entry says 2019"


NUMBERS = """
## References

[1] S. Lee and T. Wu, "A thing of note," Letters, 2019.

[2] A. Sato, "Another thing," Letters, 2020.

[3] B. Novak, "A third thing," Letters, 2021.
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("It holds [1-3].", []),
        ("It holds [1, 3] and [2], on the scale [1, 7] and in [0, 1].", []),
        ("It holds [1, 3].", ["uncited_entry"]),
        ("It holds [1-3] but [4].", ["missing_entry"]),
        ("Lee and Wu (2019) [1] hold it [2, 3].", []),
        ("Lee and Wu (2018) [1] hold it [2, 3].", ["year_mismatch"]),
        ("Popescu (2019) [1] holds it [2, 3].", ["author_mismatch"]),
    ],
)
def test_citations_by_number_are_matched(tmp_path, body, expected):
    assert kinds(check_citations(paper(tmp_path, body, NUMBERS))) == expected


def test_duplicates_are_found_by_identifier_and_by_title(tmp_path):
    twice = LIST + (
        "\nLee, S., & Wu, T. (2019). A thing of notes. Other Letters.\n\n"
        "Popescu, P. (2001). Something else. Letters. https://doi.org/10.1000/ABC.5\n"
    )
    check = check_citations(paper(tmp_path, GOOD + " (Popescu, 2001)", twice))

    assert kinds(check).count("duplicate_entry") == 2


def test_a_paper_without_a_list_is_not_a_pass(tmp_path):
    check = check_citations(paper(tmp_path, GOOD, ""))

    assert check.flaws == ()
    assert "no list" in check.not_checked[0]


def test_entries_of_a_shared_file_that_are_not_cited_are_mentioned_only(tmp_path):
    (tmp_path / "refs.bib").write_text("@book{a, title={One}}\n@book{b, title={Two}}")
    (tmp_path / "p.tex").write_text("Words \\cite{a}. \\bibliography{refs}")
    (tmp_path / "q.tex").write_text("Words \\cite{a,c}. \\nocite{*} \\bibliography{refs}")
    check = check_citations(read_paper(tmp_path / "p.tex"))
    other = check_citations(read_paper(tmp_path / "q.tex"))

    assert [(flaw.kind, flaw.severity) for flaw in check.flaws] == [("uncited_entry", "info")]
    assert kinds(other) == ["missing_entry"]


@pytest.mark.parametrize(
    ("error", "good", "bad"),
    [
        (doi_error, "10.1000/xyz-1(2).3;4", "10.12/abc"),
        (doi_error, "10.1038.3/nature", "doi.org/10.1000/x"),
        (arxiv_error, "2212.08073v2", "2213.08073"),
        (arxiv_error, "1412.0001", "1501.0001"),
        (arxiv_error, "hep-th/9901001", "hep-th/0801001"),
        (arxiv_error, "2212.08073 [cs.CL]", "0703.0001"),
        (isbn_error, "0-306-40615-2", "0-306-40615-3"),
        (isbn_error, "080442957X", "0804429571"),
        (isbn_error, "9780306406157", "9770306406157"),
        (orcid_error, "0000-0002-1694-233X", "0000-0002-1694-2331"),
        (pmid_error, "31452104", "031452104"),
    ],
)
def test_identifiers_are_told_from_malformed_ones(error, good, bad):
    assert error(good) is None
    assert error(bad)


@given(st.lists(st.integers(0, 9), min_size=9, max_size=9), st.integers(0, 9), st.integers(1, 9))
def test_check_digits_notice_every_single_change(digits, place, change):
    body = "".join(map(str, digits))
    right = [body + check for check in "0123456789X" if isbn_error(body + check) is None]

    assert len(right) == 1
    place = min(place, 8)
    wrong = body[:place] + str((digits[place] + change) % 10) + body[place + 1 :] + right[0][-1]
    assert isbn_error(wrong)


def test_broken_entries_are_named_by_line_and_the_rest_is_read():
    text = (
        "@comment{nothing}\n@string{let = {Letters}}\n"
        "@article{a, author={Lee, S. and {The {WHO} Group}}, journal = let # { A}, year=2019}\n"
        "@article{b, title={never closes,\n year=2000\n"
        "@article{c title={no comma}}\n"
        "@article{d, title=\"Good {\\\"o}\", month = jan, year = {2001},}\n"
        "@article{e, title={x}, title={y}}\n"
    )  # fmt: skip
    found = parse_bibtex(text)

    assert {each.key: each.line for each in found.entries} == {"a": 3, "d": 7, "e": 8}
    assert found.entries[0].authors == ("Lee", "The WHO Group")
    assert found.entries[1].title == "Good ö"
    assert [each.line for each in found.broken] == [4, 6, 8]
    assert "never closes" in found.broken[0].reason


@given(st.text(alphabet='@{}"=,#ab1 \n', max_size=200))
def test_any_bibliography_is_read_to_its_end(text):
    found = parse_bibtex(text + "\n@book{last, title={Here}}")

    assert found.entries[-1].title == "Here"


BIB = """
@article{x, author={Lee, S. and Wu, T.}, title={A Thing of Note}, year=2018, doi={10.1000/abc.5}}
@article{y, author={Satoh, A.}, title={Another thing}, year=2020}
"""


def test_the_list_is_compared_with_a_trusted_bibliography(tmp_path):
    (tmp_path / "b.bib").write_text(BIB)
    more = LIST + "\nNovak, B. (2001). Never written by anyone. Letters.\n"
    check = check_bibliography(paper(tmp_path, GOOD, more), tmp_path / "b.bib")

    assert [flaw.message for flaw in check.flaws] == [
        "the year is 2019 in the paper and 2018 in the bibliography",
        "the first author is Sato in the paper and Satoh in the bibliography",
        "no work in b.bib has this title or DOI",
    ]


def test_an_identifier_of_another_work_is_noticed(tmp_path):
    (tmp_path / "b.bib").write_text(BIB.replace("A Thing of Note", "Wholly different words"))
    check = check_bibliography(paper(tmp_path, GOOD), tmp_path / "b.bib")

    assert any("the title is" in flaw.message for flaw in check.flaws)


def test_a_bibliography_without_entries_is_refused(tmp_path):
    (tmp_path / "b.bib").write_text("nothing")

    with pytest.raises(DataError, match="holds no BibTeX entry"):
        check_bibliography(paper(tmp_path, GOOD), tmp_path / "b.bib")


def test_numbers_and_quotations_are_looked_up_in_the_source(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "lee2019.txt").write_text("We saw that 45.5% of 120 people\nliked the Thing a lot.")
    body = (
        "Lee and Wu (2019) saw 45.5% of it. Lee and Wu (2019) saw 46%. "
        "They “liked the thing … lot” (Lee & Wu, 2019). They “liked no thing at all” "
        "(Lee & Wu, 2019). It was 99% (Sato et al., 2020). Lee and Wu (2019) agree."
    )
    result = check_sources(paper(tmp_path, body), folder)

    assert [each.status for each in result.supports] == [
        "found",
        "not found",
        "found",
        "not found",
        "not checked",
        "not checked",
    ]
    assert [flaw.kind for flaw in result.check.flaws] == [
        "number_not_in_source",
        "quote_not_in_source",
    ]
    assert result.check.checked == 4
    assert len(result.check.not_checked) == 2


def test_nothing_is_looked_up_in_a_source_without_words(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "lee2019.md").write_text("<!-- nothing is printed -->")
    result = check_sources(paper(tmp_path, "Lee and Wu (2019) saw 45.5% of it."), folder)

    assert [each.status for each in result.supports] == ["not checked"]
    assert result.check.not_checked[0] == "the source lee2019.md holds no words"
