"""Numbers that only fit together over a sentence, or over sections, are held against each other."""

import pytest

from plumbrule.oversight.papers import check_numbers, read_paper
from plumbrule.oversight.papers.statistics import check_statistics


def kinds(folder, text):
    path = folder / "paper.md"
    path.write_text(f"# T\n\n{text}\n")
    return [flaw.kind for flaw in check_numbers(read_paper(path)).flaws]


@pytest.mark.parametrize(
    "text",
    [
        "Speed rose from 12.4 to 15.1, an increase of 3.7.",
        "Speed rose from 12.4 to 15.1, by 30%.",
        "Errors dropped from 40% to 30%, a drop of 15%.",
        "Scores increased from 15.2 to 12.4 points.",
        "The rate fell from 0.20 to 0.31.",
    ],
)
def test_a_change_that_does_not_follow_from_its_ends_is_told(tmp_path, text):
    assert kinds(tmp_path, text) == ["change_mismatch"]


@pytest.mark.parametrize(
    "text",
    [
        "Speed rose from 12.4 to 15.1, an increase of 2.7.",
        "Speed rose from 12.4 to 15.1, by 22%.",
        "Errors dropped from 40% to 30%, a drop of 10%.",
        "Errors dropped from 40% to 30%, a drop of 25%.",
        "Errors changed from 30 to 20.",
        "The dose rose from 500 mg to 2 g.",
        "Ratings were made from 1 to 7, by 40 people.",
        "Output increased from 20 to 30 by 2015.",
    ],
)
def test_a_change_that_follows_is_left_alone(tmp_path, text):
    assert kinds(tmp_path, text) == []


def test_groups_that_nobody_shares_are_no_more_than_a_hundred_per_cent(tmp_path):
    ages = "We saw 90 pupils ({}% aged six, 33% aged seven, and 41% aged eight or nine)."

    assert kinds(tmp_path, ages.format(38)) == ["percentage_total"]
    assert kinds(tmp_path, ages.format(26)) == []
    assert kinds(tmp_path, ages.format(20)) == []
    several = "Of them 60% used pens, 50% used chalk, and 40% used brushes."
    assert kinds(tmp_path, several) == []


SIZES = (
    "## Abstract\n\nA sample of {} eight-year-olds drew cats.\n\n## Method\n\n{}\n\n"
    "## Results\n\nFine."
)


@pytest.mark.parametrize(
    ("size", "method", "expected"),
    [
        (94, "A sample of 84 children (44 girls, 40 boys) took part.", ["abstract_mismatch"]),
        (84, "A sample of 84 children (44 girls, 40 boys) took part.", []),
        (94, "We saw 50 children in spring and 44 children in autumn.", []),
        (94, "Ten more than the 84 children who stayed came: 94.", []),
        (94, "A sample of 840 children took part.", []),
        (94, "They drew.", []),
    ],
)
def test_the_sample_of_the_abstract_stands_in_the_text(tmp_path, size, method, expected):
    assert kinds(tmp_path, SIZES.format(size, method)) == expected


METHOD = "## Method\n\nThey rated their {} on a 7-point scale{}.\n\n"


@pytest.mark.parametrize(
    ("scale", "more", "verdict"),
    [
        ("boredom", "", "impossible"),
        ("hunger", "", "not checked"),
        ("boredom", ", averaged over items", "not checked"),
        ("boredom", " of 3 items", "consistent"),
    ],
)
def test_a_mean_is_put_to_grim_where_another_section_says_how_it_was_measured(scale, more, verdict):
    text = METHOD.format(scale, more) + "## Results\n\nBoredom was high (n = 28, M = 5.19)."
    [found] = [each for each in check_statistics(text) if each.check == "GRIM"]

    assert found.verdict == verdict
