"""What a text counts and lists, what it says again, and the tests in the rows of its tables."""

import pytest

from plumbrule.oversight.papers import check_numbers, flaws_in, read_material, review_paper
from plumbrule.oversight.papers.reading import read_paper


def told(folder, text, name="paper.md"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return [
        (flaw.kind, flaw.severity, flaw.message)
        for flaw in check_numbers(read_paper(path)).flaws
        if flaw.kind in ("listed_count", "number_changed", "table_statistic")
    ]


LISTED = [
    "The package has {} kinds of filters:\n\n- low\n- high\n- band\n\nAll are fast.",
    "It has {} kinds of filters, which differ in their order:\n\n1. low\n2. high\n3. band\n",
    "Filters come in {} kinds: low, high, and band.",
    "Filters come in {} kinds: low (slow), high and band, which is the newest.",
    "It runs in {} modes, 1) alone, 2) in pairs, or 3) over a network of machines.",
    "{} types are defined, `Low`, `High`, and `Band`, for filters.",
]


@pytest.mark.parametrize("text", LISTED)
@pytest.mark.parametrize(("word", "found"), [("four", 1), ("two", 1), ("three", 0)])
def test_a_count_is_held_against_the_list_behind_it(tmp_path, text, word, found):
    flaws = told(tmp_path, f"# T\n\n{text.format(word.capitalize() if text[0] == '{' else word)}\n")

    assert [each[:2] for each in flaws] == [("listed_count", "low")] * found
    assert not flaws or "lists 3" in flaws[0][2]


@pytest.mark.parametrize(
    "text",
    [
        "Two reviewers saw it differently:\n\n- It is long.\n- It is short.\n- It is neither.\n",
        "There are at least two reasons: cost, speed, and trust.",
        "It has two parts: the core, the smaller one, and the rest.",
        "It has two values, the `worker` with the code and the `port` of it: `a`, `b`, and `c`.",
        "We ran it for two years: 2011, 2012, and part of 2013.",
        "* It has two kinds:\n  * low\n  * high\n* It is fast.\n",
    ],
)
def test_lists_that_may_be_of_something_else_are_left_alone(tmp_path, text):
    assert told(tmp_path, f"# T\n\n{text}\n") == []


def test_a_number_that_points_back_is_held_against_the_one_before(tmp_path):
    text = "# T\n\nThe {} main modules measure shape.{} These six modules are new.\n"

    flaws = told(tmp_path, text.format("five", ""))
    assert [each[0] for each in flaws] == ["number_changed"]
    assert told(tmp_path, text.format("six", "")) == []
    assert told(tmp_path, text.format("seven", " One of them was removed.")) == []


ROWS = """# T

| Effect | Estimate | t | df | p | n |
|---|---|---|---|---|---|
| a | 0.45 | 1.34 | 144 | {} | 146 |
| b | 1.03 | 2.97 | 144 | .003 | {} |
| c | 0.58 | 6.18 | 144 | < .001 | 146 |
"""
PRINTED = """# T

```
#> Level | Difference |   SE | t(144) |      p
#> -------------------------------------------
#> a     |       0.45 | 0.34 |   1.34 |  {}
#> b     |       1.03 | 0.35 |   2.97 |  0.003
#> c     |       0.58 | 0.09 |   6.18 | < .001
```
"""


def test_p_in_a_row_is_recomputed_from_the_statistic_in_it(tmp_path):
    for table, right, wrong in ((ROWS, ".182", ".582"), (PRINTED, "0.182", "0.582")):
        assert told(tmp_path, table.format(right, 146)) == []
        [(kind, severity, message)] = told(tmp_path, table.format(wrong, 146))
        assert (kind, severity) == ("table_statistic", "low")
        assert "p = 0.1824" in message
        assert "0.582" in message or ".582" in message


def test_a_size_that_is_not_as_far_from_its_freedom_as_the_others_is_told(tmp_path):
    [(kind, _, message)] = told(tmp_path, ROWS.format(".182", 164))

    assert kind == "table_statistic"
    assert "164" in message


def test_p_that_a_correction_may_have_raised_is_not_told(tmp_path):
    corrected = "\n\nPost-hoc tests are Bonferroni-corrected.\n"
    raised = ROWS.replace(".003", ".010").replace("< .001", "= .020")

    assert told(tmp_path, raised.format(".546", 146)) == []  # most rows disagree
    one = "| Effect | t | df | p |\n|---|---|---|---|\n| a | 2.10 | 40 | {} |\n"
    assert told(tmp_path, f"# T\n\n{one.format('.126')}{corrected}") == []
    assert len(told(tmp_path, f"# T\n\n{one.format('.004')}{corrected}")) == 1


@pytest.mark.parametrize(
    "table",
    [
        "| x | t | t | df | p |\n|---|---|---|---|---|\n| a | 2.1 | 9.9 | 40 | .5 |\n",
        "| x | F | df | p |\n|---|---|---|---|\n| a | 2.1 | 40 | .5 |\n",
        "| x | z | p (Holm) |\n|---|---|---|\n| a | 2.1 | .5 |\n",
        "| x | t | df | p |\n|---|---|---|---|\n| a | 6.10 | 40 | .000 |\n",
        "| x | t | df | p |\n|---|---|---|---|\n| a | 2.02 | 40 | .025 |\n",
    ],
)
def test_rows_that_do_not_say_enough_are_left_alone(tmp_path, table):
    assert told(tmp_path, f"# T\n\n{table}") == []


def test_a_row_that_a_program_printed_is_quoted_on_the_page(tmp_path):
    path = tmp_path / "paper.md"
    path.write_text(PRINTED.format("0.582"))
    done = review_paper(read_material(path), folder=tmp_path / "review")

    [flaw] = [
        flaw
        for node in done.root.walk()
        for report in node.current
        for flaw in flaws_in(report)
        if flaw.kind == "table_statistic"
    ]
    assert "0.582" in flaw.quotes[0].text
