# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""What a paper says is read from each of its formats, and what cannot be read is said."""

import time

import pytest
from benchmarks.synthetic_papers import make_paper
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight.papers import check_instructions, read_paper
from plumbrule.oversight.papers.structure import split_sentences
from plumbrule.records import from_json, to_json

MARKDOWN = """# On things

## Abstract

We tested 40 people (*p* = .03).<!-- not printed -->

## Method

Lee and Wu (2019) did it (see Sato et al., 2020a; van Dam, 2001). It held.

| Group | n |
|---|---|
| A | 15 |
| B | 25 |

Table 1: Sizes.

## References

Lee, S., & Wu, T. (2019). A thing of note. Letters, 3. doi:10.1000/abc.5

Sato, A., Ito, B., & Kim, C. (2020a). Another thing? Letters, 4. arXiv:2001.01234

van Dam, D. (2001). A book. Press. ISBN 978-3-16-148410-0.
"""

LATEX = r"""\documentclass{article}
\newcommand{\size}{40}
\title{On things}
\begin{document}
\begin{abstract}
We tested \size{} people ($p = .03$). % a comment about nothing
\end{abstract}
\section{Method}\label{sec:m}
It was done \citep[p.~3]{lee2019,sato2020} and \citet{dam2001} too; see Table~\ref{tab:s}.
M\"uller found $\chi^2(1, N = 40) = 3.78$, 95\% of it. \input{more}
\begin{table}
\caption{Sizes.}\label{tab:s}
\begin{tabular}{lr}
\toprule
Group & n \\ \midrule
A & 15 \\
\multicolumn{1}{l}{B} & 25 \\
\bottomrule
\end{tabular}
\end{table}
\bibliography{refs}
\end{document}
"""

BIB = r"""
@article{lee2019, author = {Lee, S. and Wu, T.}, title = "A {Thing} of Note", year = 2019,
  doi = {10.1000/abc.5}}
@article{broken, title = {never closes, year = 1
@book{sato2020, author = {Sato, A. and M{\"u}ller, B.}, title = {Another}, year = {2020}}
@misc{dam2001, author = {van Dam, D.}, title = {A book}, date = {2001-05}}
"""


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_markdown_gives_the_text_that_is_printed(tmp_path):
    paper = read_paper(write(tmp_path, "paper.md", MARKDOWN))

    assert "We tested 40 people (p = .03)." in paper.text
    assert [each.title for each in paper.sections][1:] == ["Abstract", "Method", "References"]
    assert paper.abstract is not None
    assert [(each.text, each.how) for each in paper.hidden] == [("not printed", "HTML comment")]
    assert [[cell.text for cell in row] for row in paper.tables[0].rows] == [
        ["Group", "n"],
        ["A", "15"],
        ["B", "25"],
    ]
    assert (paper.tables[0].label, paper.tables[0].caption) == ("Table 1", "Sizes.")
    assert [(each.authors, each.year) for each in paper.citations] == [
        (("Lee", "Wu"), "2019"),
        (("Sato", "et al"), "2020a"),
        (("van Dam",), "2001"),
    ]
    assert [(each.authors, each.year, each.title) for each in paper.entries] == [
        (("Lee", "Wu"), "2019", "A thing of note"),
        (("Sato", "Ito", "Kim"), "2020a", "Another thing"),
        (("van Dam",), "2001", "A book"),
    ]
    assert paper.entries[0].doi == "10.1000/abc.5"
    assert paper.entries[1].arxiv == "2001.01234"
    assert paper.entries[2].isbn == "978-3-16-148410-0"


def test_latex_gives_the_text_that_is_printed(tmp_path):
    write(tmp_path, "refs.bib", BIB)
    write(tmp_path, "more.tex", "More of it.")
    paper = read_paper(write(tmp_path, "paper.tex", LATEX))

    assert "We tested 40 people (p = .03)." in paper.text
    assert "Müller found χ2(1, N = 40) = 3.78, 95% of it. More of it." in paper.text
    assert "see Table 1." in paper.text
    assert [each.key for each in paper.citations] == ["lee2019", "sato2020", "dam2001"]
    assert [[cell.text for cell in row] for row in paper.tables[0].rows] == [
        ["Group", "n"],
        ["A", "15"],
        ["B", "25"],
    ]
    assert paper.tables[0].label == "Table 1"
    assert {each.key: (each.authors, each.year) for each in paper.entries} == {
        "lee2019": (("Lee", "Wu"), "2019"),
        "sato2020": (("Sato", "Müller"), "2020"),
        "dam2001": (("van Dam",), "2001"),
    }
    assert any("refs.bib, line 4: the entry broken is broken" in each for each in paper.not_read)
    assert "a comment about nothing" in [each.text for each in paper.hidden]


@pytest.mark.parametrize("form", [".md", ".tex", ".txt"])
def test_every_span_holds_the_words_it_names(tmp_path, form):
    source = make_paper(5)
    path = write(tmp_path, f"p{form}", source.latex if form == ".tex" else source.markdown)
    paper = read_paper(path)
    cells = [cell for table in paper.tables for row in table.rows for cell in row]

    assert len(paper.sentences) > 50
    for kind in (paper.sentences, cells, paper.entries):
        for each in kind:
            assert paper.text[each.start : each.end] == each.text
    assert all(0 <= each.start < each.end <= len(paper.text) for each in paper.citations)


def test_a_paper_survives_a_trip_through_json(tmp_path):
    paper = read_paper(write(tmp_path, "paper.md", MARKDOWN))

    assert from_json(type(paper), to_json(paper), origin="memory") == paper


def test_plain_text_is_read_with_aligned_tables_and_bare_headings(tmp_path):
    text = (
        "On things\n\nABSTRACT\n\nWe tested 40 people.\n\n1. Introduction\n\nIt is known [1, "
        "2].\n\n"
        "Table 1: Sizes.\n\nGroup    n   share\nA       15   37.5\nB       25   62.5\n\n"
        "REFERENCES\n\n[1] S. Lee and T. Wu, “A thing of note,” Letters, 2019.\n"
        "[2] A. Sato, “Another thing,” Letters, 2020.\n"
    )
    paper = read_paper(write(tmp_path, "paper.txt", text))

    assert [each.title for each in paper.sections] == ["ABSTRACT", "1. Introduction", "REFERENCES"]
    assert [cell.text for cell in paper.tables[0].rows[2]] == ["B", "25", "62.5"]
    assert [each.key for each in paper.citations] == ["1", "2"]
    assert [(each.authors, each.title, each.year) for each in paper.entries] == [
        (("Lee", "Wu"), "A thing of note", "2019"),
        (("Sato",), "Another thing", "2020"),
    ]


def test_input_is_read_inside_the_folder_only(tmp_path):
    write(tmp_path, "secret.tex", "the secret words")
    inner = tmp_path / "paper"
    inner.mkdir()
    (inner / "link.tex").symlink_to(tmp_path / "secret.tex")
    source = "Some words. \\input{../secret} \\input{link} \\input{self} \\input{gone}"
    write(inner, "self.tex", "again \\input{self}")
    paper = read_paper(write(inner, "paper.tex", source))

    assert "secret words" not in paper.text
    assert paper.text.count("again") <= 10
    assert sum("outside the paper's folder" in each for each in paper.not_read) == 2
    assert any("no such file" in each for each in paper.not_read)
    assert any("too many files" in each for each in paper.not_read)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("Words {that never close.\n\nMore words.", "a brace opened in line 1 never closes"),
        ("Words.\n} More words.", "a brace closes in line 2"),
        ("\\begin{table} Words. More words.", "never ends"),
    ],
)
def test_latex_that_does_not_compile_is_read_and_reported(tmp_path, source, words):
    paper = read_paper(write(tmp_path, "paper.tex", source))

    assert any(words in each for each in paper.not_read)
    assert "More words." in paper.text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.md", b"", "is empty"),
        ("a.md", b" \n ", "holds no text"),
        ("a.txt", b"abc\x00\x01\x02", "binary"),
        ("a.txt", bytes(range(1, 9)) * 50, "binary"),
        ("a.txt", b"%PDF-1.4 ...", "ending .pdf"),
        ("a.docx", b"PK", "expected a paper as"),
        ("a.pdf", b"no pdf at all", "cannot be read as a PDF"),
    ],
)
def test_what_is_no_paper_is_refused_in_clear_words(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(DataError, match=words):
        read_paper(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"got no file at .*gone\.md; check the path"):
        read_paper(tmp_path / "gone.md")
    with pytest.raises(DataError, match=r"got no file at .*, which is a folder; name a file"):
        read_paper(tmp_path)


def test_another_language_is_said_and_the_paper_is_read(tmp_path):
    text = "Wir haben die Versuche an vierzig Personen durchgeführt und nichts gefunden. " * 20
    german = read_paper(write(tmp_path, "de.md", text))
    english = read_paper(write(tmp_path, "en.md", make_paper(1).markdown))

    assert any("not seem to be in English" in each for each in german.not_read)
    assert not any("English" in each for each in english.not_read)


def test_old_encodings_are_read(tmp_path):
    path = tmp_path / "old.txt"
    path.write_bytes("Müller found it – twice.".encode("cp1252"))

    assert read_paper(path).text == "Müller found it – twice."


def test_reading_takes_time_in_proportion_to_the_length(tmp_path):
    seconds = []
    for times in (4, 16):
        path = write(tmp_path, "long.md", make_paper(2).markdown * times)
        started = time.process_time()
        check_instructions(read_paper(path))
        seconds.append(time.process_time() - started)

    # Four times the text; quadratic work would take sixteen times as long.
    assert seconds[1] < 9 * seconds[0] + 0.2


@pytest.mark.parametrize(
    "piece",
    ["(" * 300, "[" * 300, "{\\a" * 200, "@a{b, ", "$" * 301, "| a |\n", "a, B " * 200, "1,"],
)
@pytest.mark.parametrize("form", ["md", "tex", "txt"])
def test_hostile_repetition_does_not_stall(tmp_path, piece, form):
    path = write(tmp_path, f"p.{form}", "The words. " + piece * (60_000 // len(piece)))
    started = time.process_time()
    check_instructions(read_paper(path))

    assert time.process_time() - started < 5


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=300))
def test_any_text_can_be_read(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("any")
    for form in (".md", ".tex", ".txt"):
        path = write(folder, f"p{form}", "Some words first. " + text.replace("\ud800", ""))
        try:
            paper = read_paper(path)
        except DataError:  # control characters make it a binary file
            continue
        for each in paper.sentences:
            assert paper.text[each.start : each.end] == each.text


@given(st.lists(st.sampled_from(["We saw it", "Lee et al. held", "Then p = .05 held"]), min_size=1))
def test_sentences_end_at_full_stops_and_not_in_abbreviations(words):
    text = ". ".join(words) + "."

    assert [each.text for each in split_sentences(text)] == [f"{each}." for each in words]


def test_a_missing_pdf_library_is_named_with_its_remedy(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pypdf", None)
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.4")

    with pytest.raises(ConfigError, match=r"plumbrule\[papers\]"):
        read_paper(path)
