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


def flaws(folder, text):
    path = folder / "paper.md"
    path.write_text(text, encoding="utf-8")
    return [flaw.kind for flaw in check_numbers(read_paper(path)).flaws]


TABLE = (
    "Table 1: Reaction times.\n\n| Group | Time (ms) |\n|---|---|\n| Nap | {} |\n| Wake | 560 |\n"
)


@pytest.mark.parametrize(
    ("abstract", "body", "expected"),
    [
        ("It covers 1,204 households.", "Data from 1,240 households were used.", 1),
        ("It covers 1,204 households.", "Data from 1,204 households were used.", 0),
        ("It covers 1,204 households.", "Data from 1,340 households were used.", 0),
        ("It covers 1,204 households.", "We had 1,240 households, 1,204 of them urban.", 0),
        ("Memory fell by 30%.", "Memory fell by 35% compared with before.", 1),
        ("Memory fell by 30%.", "Speed rose by 35% compared with before.", 0),
        ("Errors were 35% in the treatment group.", "Errors were 30% in the control group.", 0),
        ("In the nap group the reaction time was 512 ms.", TABLE.format(521), 1),
        ("In the nap group the reaction time was 512 ms.", TABLE.format(512), 0),
        ("In the nap group the reaction time was 566 ms.", TABLE.format(512), 1),
        ("In the wake group the reaction time was 521 ms.", TABLE.format(512), 1),
        ("In one group the reaction took 521 ms.", TABLE.format(512), 0),
    ],
)
def test_a_number_of_the_abstract_that_a_slip_changed_is_told(tmp_path, abstract, body, expected):
    text = f"# Abstract\n\n{abstract}\n\n# Results\n\n{body}\n"

    assert flaws(tmp_path, text) == ["abstract_mismatch"] * expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "The sample consisted of a sample of 84 people.\n\nIn our sample of 48 people it held.",
            1,
        ),
        ("We tested 84 people.\n\n36 left. In our sample of 48 people it held.", 0),
        ("We tested 84 people.\n\nAfter exclusions a sample of 48 people was analyzed.", 0),
        ("In Study 1 we tested 84 people.\n\nIn Study 2 we tested 48 people.", 0),
        ("We tested 84 people.\n\nIn our sample of 35 people it held.", 0),
        ("We tested 84 people.\n\nLee (2004) tested 48 people.", 0),
        ("We tested 84 people.\n\nEarlier studies had a sample of 48 people.", 0),
    ],
)
def test_a_sample_that_a_slip_changed_is_told_once(tmp_path, text, expected):
    assert flaws(tmp_path, f"# Method\n\n{text}\n") == ["number_changed"] * expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We saw 120 people: 40 in the nap group, 42 in the walk group, and 40 at rest.", 1),
        ("We saw 120 people: 40 in the nap group, 40 in the walk group and 38 at rest.", 1),
        ("We saw 120 people: 40 in the nap group, 40 in the walk group and 40 at rest.", 0),
        ("We saw 120 people: 20 in the nap group, 20 in the walk group and 20 at rest.", 0),
        ("It has 500 texts, of which 300 are for training, 100 for tuning and 150 for tests.", 1),
        ("It has 500 texts, of which 300 are long, 100 hard and 50 both.", 0),
        ("It has 500 texts: 30% in English, 40% in Dutch, and 30% in Danish.", 0),
    ],
)
def test_parts_that_are_listed_behind_their_whole_are_added_up(tmp_path, text, expected):
    assert flaws(tmp_path, f"# Method\n\n{text}\n") == ["subgroup_sum"] * expected


def test_t_without_its_freedom_bounds_p_from_above(tmp_path):
    table = (
        "| x | b | t | p |\n|---|---|---|---|\n| a | 0.4 | 3.00 | {} |\n| c | 0.1 | 1.00 | .32 |\n"
    )

    assert flaws(tmp_path, f"# T\n\n{table.format('.30')}") == ["table_statistic"]
    assert flaws(tmp_path, f"# T\n\n{table.format('.003')}") == []
    assert flaws(tmp_path, f"# T\n\n{table.format('.010')}") == []
