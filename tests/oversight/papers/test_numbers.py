# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Numbers that must agree are compared, and numbers that need not are left alone."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.oversight.papers import check_numbers, read_paper
from plumbrule.oversight.papers.quantities import numbers_in, read_count, read_number


def check(folder, body, abstract="Nothing to count."):
    path = folder / "paper.md"
    path.write_text(f"# T\n\n## Abstract\n\n{abstract}\n\n## Body\n\n{body}\n", encoding="utf-8")
    return check_numbers(read_paper(path))


def kinds(folder, body, abstract="Nothing to count."):
    return [flaw.kind for flaw in check(folder, body, abstract).flaws]


@pytest.mark.parametrize(
    ("sentence", "flawed"),
    [
        ("We saw 45 of 120 people (37.5%).", False),
        ("We saw 45 of 120 people (38%).", False),  # 37.5 rounded half up
        ("We saw 45 of 120 people (37%).", False),  # and half down
        ("We saw 45 of 120 people (38.5%).", True),
        ("It was 45/120 (36%).", True),
        ("It was 38.5% (45/120) of them.", True),
        ("It was 38.5% (n = 45 of 120) of them.", True),
        ("Of the 120 people, 45 (39.5%) agreed.", True),
        ("Forty-five out of 120 people (39.5%) agreed.", True),
        ("Some (45 of 120, 40%) agreed.", True),
        ("We saw 45 of 120 people (95% CI 30 to 60).", False),
        ("We saw 45 of 120 people (about 40%).", False),
        ("We saw 1,200 of 2,400 people (50%).", False),
        ("We saw 45 of 120 people, and 12 percent left.", False),
    ],
)
def test_percentages_are_compared_with_their_counts(tmp_path, sentence, flawed):
    assert kinds(tmp_path, sentence) == ["percentage_of_count"] * flawed


@given(part=st.integers(0, 500), more=st.integers(1, 500), decimals=st.integers(0, 2))
def test_a_correctly_rounded_percentage_is_never_a_flaw(part, more, decimals):
    whole = part + more
    exact = Decimal(100 * part) / whole
    for rounding in ("ROUND_HALF_UP", "ROUND_HALF_DOWN", "ROUND_HALF_EVEN"):
        shown = read_number(str(exact.quantize(Decimal(1).scaleb(-decimals), rounding=rounding)))
        assert shown is not None
        assert shown.fits(exact)


@pytest.mark.parametrize(
    ("sentence", "flawed"),
    [
        ("We had 120 participants (64 women and 56 men).", False),
        ("We had 120 participants (64 women and 57 men).", True),
        ("We had 120 participants, 64 women and 57 men.", True),
        ("We had 120 participants. Of these, 64 were women and 57 were men.", True),
        ("We had 120 participants (64 women, 54 men, 2 non-binary).", False),
        ("We had 120 participants (64 women, 54 men; two did not say).", False),
        ("We had 120 participants (64 women, 54 men; some declined to answer).", False),
        ("Of 130 invited people, 120 took part (64 women and 56 men).", False),
        ("N = 120 (women, n = 64; men, n = 50).", True),
        ("Sixty participants were assigned, 30 to the treatment group and 31 to the control "
         "group.", True),
        ("We had 120 participants, and 64 women wrote to us.", False),
        ("There were 12 women per group and 10 men in all 60 participants.", False),
    ],
)  # fmt: skip
def test_groups_must_add_up_to_their_whole(tmp_path, sentence, flawed):
    assert kinds(tmp_path, sentence) == ["subgroup_sum"] * flawed


@pytest.mark.parametrize(
    ("sentence", "flawed"),
    [
        ("The slope was 0.3, 95% CI [0.1, 0.5].", False),
        ("The slope was 0.3, 95% CI [0.5, 0.1].", True),
        ("The slope was −0.3, 95% CI [−0.5, −0.1].", False),
        ("Ages ranged from 65 to 18 years.", True),
        ("They were aged between 65 and 18.", True),
        ("The score fell from 65 to 18.", False),
        ("Pages 120–9 were read.", False),
    ],
)
def test_ranges_must_begin_at_their_lower_end(tmp_path, sentence, flawed):
    assert kinds(tmp_path, sentence) == ["reversed_range"] * flawed


def table(*rows, heads="| Group | A | B | Total |", after=""):
    rule = "|" + "---|" * (heads.count("|") - 1)
    return "\n".join([heads, rule, *rows]) + "\n\n" + after


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["| x | 10 | 20 | 30 |", "| y | 1 | 2 | 3 |", "| Total | 11 | 22 | 33 |"], []),
        (["| x | 10 | 20 | 30 |", "| y | 1 | 2 | 3 |", "| Total | 12 | 22 | 34 |"], ["12", "34"]),
        (["| x | 10 | 20 | 30 |", "| y | 1 | 2 | 3 |", "| Total | 11 | 22 | 35 |"], ["35"]),
        (["| x | 1.04 | 2.0 | 3.0 "
        "|", "| y | 1.04 | 2.0 | 3.1 |", "| Total | 2.1 | 4.0 | 6.1 |"], []),
        (["| women | 5 | 6 | 11 |", "| men | 6 | 6 | 12 |", "| young | 4 | 2 | 6 |",
          "| old | 7 | 10 | 17 |", "| Total | 11 | 12 | 23 |"], []),
        (["| x | 10 | 20 | 30 |", "| y | – | n/a | 3 |", "| Total | 11 | 22 | 33 |"], []),
    ],
)  # fmt: skip
def test_totals_of_tables_must_be_sums(tmp_path, rows, expected):
    flaws = check(tmp_path, table(*rows)).flaws

    assert [flaw.evidence[0].quote for flaw in flaws if flaw.kind == "table_total"] == expected


@pytest.mark.parametrize(
    ("heads", "rows", "after"),
    [
        ("| Group | Mean | SD |", ["| x | 4 | 1 |", "| y | 5 | 1 |", "| Overall | 5 | 1 |"], ""),
        ("| Model | Accuracy |", ["| x | 0.8 |", "| y | 0.9 |", "| All | 0.95 |"], ""),
        ("| Group | n | k |", ["| x | 4 | 1 |", "| y | 5 | 1 |", "| Total | 8 | 3 |"],
         "Note. More than one answer was allowed."),
        ("| Group | North | South |", ["| x | 4 | 1 |", "| y | 5 | 1 |", "| Total | 13 | 7 |"], ""),
    ],
)  # fmt: skip
def test_columns_that_are_no_sums_are_left_alone(tmp_path, heads, rows, after):
    assert check(tmp_path, table(*rows, heads=heads, after=after)).flaws == ()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["| x | 45 | 37.5 |", "| y | 75 | 62.5 |", "| Total | 120 | 100 |"], []),
        (["| x | 45 | 39.5 |", "| y | 75 | 62.5 |", "| z | 0 | 0.0 |", "| Total | 120 | 100 |"],
         ["percentage_of_count", "percentage_total"]),
        (["| x | 1 | 33.3 |", "| y | 1 | 33.3 |", "| z | 1 | 33.3 |", "| Total | 3 | 100 |"], []),
        (["| x | 45 | 80 |", "| y | 75 | 90 |", "| Total | 120 | 86 |"], []),
    ],
)  # fmt: skip
def test_percentages_of_a_table_follow_from_its_counts(tmp_path, rows, expected):
    body = table(*rows, heads="| Group | n | % |")

    assert sorted(kinds(tmp_path, body)) == expected


ABSTRACT = (
    "The treatment group reached a mean recall of 4.21 points, and 37.5% of patients improved."
)


@pytest.mark.parametrize(
    ("body", "flawed"),
    [
        ("The treatment group reached a mean recall of 4.21 points.", 0),
        ("The treatment group reached a mean recall of 4.2 points.", 0),
        ("The treatment group reached a mean recall of 4.27 points.", 1),
        ("The control group reached a mean recall of 3.27 points.", 0),
        ("In the end 39% of patients improved.", 1),
        ("In the end 38% of patients improved.", 0),
        ("In the end 39% of walls were painted.", 0),
        ("| Group | Mean recall |\n|---|---|\n| Treatment | 4.81 |\n| Control | 3.0 |\n", 1),
        ("| Group | Mean recall |\n|---|---|\n| Treatment | 4.21 |\n| Control | 3.0 |\n", 0),
    ],
)
def test_the_abstract_is_compared_with_text_and_tables(tmp_path, body, flawed):
    found = check(tmp_path, body, ABSTRACT)

    assert [flaw.kind for flaw in found.flaws] == ["abstract_mismatch"] * flawed
    if not flawed:
        assert any("occur nowhere else" in each for each in found.not_checked)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Table 1: Sizes.\n\nSee Table 1 and Table 2.", ["Table 2"]),
        ("Table 1: Sizes.\n\nTable 2. More.\n\nSee Tables 1-2, and Tables 1 and "
        "3.", ["Tables 1 and 3"]),
        ("Table 1: Sizes.\n\nSee Lee (2019, Table 4), Table S3, and Table 5 of Lee (2019).", []),
        ("As Figure 3 shows.", []),
        ("![Figure 1: A line.](a.png)\n\nAs Figure 2 and Fig. 1 show.", ["Figure 2"]),
    ],
)  # fmt: skip
def test_pointers_to_tables_and_figures_lead_somewhere(tmp_path, body, expected):
    flaws = check(tmp_path, body).flaws

    assert [flaw.evidence[0].quote for flaw in flaws] == expected


def test_pointers_without_any_caption_are_said_not_to_be_checked(tmp_path):
    assert any("figures" in each for each in check(tmp_path, "As Figure 3 shows.").not_checked)


def test_numbers_are_read_as_printed():
    text = "1,234.5 and .05, −3; A4 3rd p < .001, 12%, (45/120), 3–5, 2019a, t(38)=2.25."

    assert [text[start:end] for start, end, _ in numbers_in(text)] == [
        "1,234.5", ".05", "−3", ".001", "12", "45", "120", "3", "5", "38", "2.25",
    ]  # fmt: skip


@given(st.decimals(-10_000, 10_000, places=2))
def test_a_printed_number_is_read_back(value):
    (found,) = numbers_in(f"It was {value} here.")

    assert found[2].value == value
    assert found[2].decimals == 2


def test_counts_are_read_in_words():
    assert [read_count(each) for each in ("twelve", "Ninety-nine", "twenty", "1,200")] == [
        12, 99, 20, 1200,
    ]  # fmt: skip
