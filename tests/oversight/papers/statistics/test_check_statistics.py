# ruff: noqa: RUF001 (typeset minus signs and letters are what is read here)
import time

import pytest
from benchmarks.statistics_checks import PLANTS, clean_run, recall
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight.papers.statistics import (
    StatisticFinding,
    check_statistics,
    count_findings,
)
from plumbrule.records import from_json, to_json


def only(text, check="p-value", **settings):
    found = [each for each in check_statistics(text, **settings) if each.check == check]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    "report",
    [
        "t(28) = 2.20, p = .036",
        "t(28)=2.20, p=.036",
        "t (28) = 2.20; p = 0.036",
        "t(28) = −2.20, p = .036",
        "t(28) = - 2.20, p = .036",
        "t_{28} = 2.20, p = .036",
        "$t(28) = 2.20$, $p = .036$",
        r"\textit{t}(28) = 2.20, \textit{p} = .036",
        r"$t_{28}=-2.20$, $p=.036$",
        r"$t(28)\,=\,2.20$,~$p = .036$",
        "*t*(28) = 2.20, *p* = .036",
        "_t_(28) = 2.20, _p_ = .036",
        "<i>t</i>(28) = 2.20, <i>p</i> = .036",
        "𝑡(28) = 2.20, 𝑝 = .036",
        "t(28)\n= 2.20,\np = .036",
        "t(df = 28) = 2.20, p-value = .036",
        "t = 2.20, df = 28, p = .036",
        "t(28) = 2.20, P = 3.6 × 10⁻²",
        r"$t(28) = 2.20$, $p = 3.6 \times 10^{-2}$",
        "t(28) = 2.20, p = 3.6e-2",
        "t(28) = 2.20, SE = 0.3, d = 0.41, 95% CI [0.1, 0.8], p = .036",
        "t(28) = 2.20, p &lt; .05",
        r"$t(28) = 2.20$, $p \leq .05$",
        "t(28.0) = 2.20, p > .03",
        "t28 = 2.20, p = .036",
        "t-value(28) = 2.20, p = .036",
        r"$t_{\text{Welch}}(28) = 2.20$, $p = .036$",
        r"$t\left(28\right) = 2.20$, $p = .036$",
        "F2,45 = 3.21, p = .050",
        "F(2, 45) = 3.21, p < .05",
        "F(2,45) = 3.21, p = .0498",
        r"$F_{2,45} = 3.21$, $p = .0498$",
        "F(l, 76) = 4.20, p = .044",
        "F(1, 1,234) = 4.20, p = .041",
        "χ2(1, N = 90) = 3.80, p = .051",
        "χ²(1) = 3.80, p = .051",
        r"$\chi^2(1, N = 90) = 3.80$, $p = .051$",
        r"$\chi^{2}_{1} = 3.80$, p = .051",
        "chi2(1, n = 90) = 3.80, p = .051",
        "chi-square(1) = 3.80, p = .051",
        "X2(1, N = 1,090) = 3.80, p = .051",
        "χ2 = 3.80, df = 1, p = .051",
        "r(48) = .31, p = .028",
        "r(48) = -.31, p = .028",
        "r = .31, n = 50, p = .028",
        "z = 1.96, p = .05",
        "Z = −1.96, p = .050",
        "Q(12) = 20.1, p = .065",
        "Q_B(2) = 6.20, p = .045",
        "Q-between(2) = 6.20, p = .045",
        "Qwithin(2) = 6.20, p = .045",
        "t(28) = 0.50, ns",
        "t(28) = 0.50, p = n.s.",
    ],
)
def test_every_usual_notation_is_read_and_quoted(report):
    text = f"The first result was clear ({report}). Nothing more was found."

    found = only(text)

    assert found.verdict == "consistent", found
    assert text[found.start : found.end] == found.quote
    assert found.quote in report
    assert found.recomputed


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        ("t(28) = 2.20, p = .03", "inconsistent"),
        ("t(28) = 2.20, p = .30", "decision error"),
        ("t(28) = 2.20, ns", "decision error"),
        ("t(28) = 2, p = .14", "consistent"),
        ("t(28) = 2.0, p < .05", "consistent"),
        ("Q(1) = 3.78, p < .05", "decision error"),
        ("t(28) = 22.20, p = .000", "inconsistent"),
        ("t(28) = 0.20, p = .000", "decision error"),
        ("t(28) = 1.80, p = .04", "inconsistent"),
        ("t(28) = 1.80, p = .04 (one-tailed)", "consistent"),
        ("t(28) = 1.80, p = .02 (one-tailed)", "decision error"),
        ("t(28) = 2.20, p = .036 (one-tailed)", "consistent"),
        ("χ2(1, N = 90) = 3.80, p = .15", "inconsistent"),
    ],
)
def test_reports_are_judged_as_the_numbers_say(report, verdict):
    assert only(f"It was seen that {report}.").verdict == verdict


@pytest.mark.parametrize(
    "report",
    [
        "r(48) = 1.31, p = .03",
        "F(2, 45) = -3.21, p = .05",
        "t(28) = 2.20, p = 1.36",
        "t(28) = 2.20, p = -.036",
        "t(0) = 2.20, p = .036",
    ],
)
def test_what_no_data_can_give_is_impossible(report):
    assert only(f"We saw {report}.", check="range").verdict == "impossible"


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ("t[28] = 2.20, p = .036", "square brackets"),
        ("t(28) >= 2.20, p = .036", "'>='"),
        ("t(28) = 2.20", "no p-value"),
        ("t(28) = 2,20, p = .036", "comma"),
        ("t(28) = 2.20, p = ,036", "decimal comma"),
        ("t = 2.20, p = .036", "degrees of freedom"),
        ("F(45) = 3.21, p = .05", "degrees of freedom"),
        ("r_s(48) = .31, p = .03", "Pearson"),
        ("t(28) = 2.20, p_adj = .072", "adj"),
        ("t(28) = 2.20, Bonferroni-corrected p = .072", "correction"),
        ("t(28) = 2.20, p ≈ .04", "approximate"),
    ],
)
def test_what_cannot_be_compared_says_why(report, reason):
    found = only(f"We saw {report}.")

    assert found.verdict == "not checked"
    assert reason in found.reason


def test_half_a_p_is_explained_but_not_accepted_without_words():
    assert "one-sided" in only("t(28) = 1.80, p = .04.").reason
    said = "All tests were one-sided.\n\nLater: t(28) = 1.80, p = .04."
    assert only(said).verdict == "consistent"
    assert only("A non-directional test: t(28) = 1.80, p = .04.").verdict == "decision error"


def test_each_p_goes_with_its_own_statistic():
    text = "t(28) = 2.20, p = .036, and F(2, 45) = 3.21, p = .05, but r(48) = .31. Thus p = .9."
    found = [each for each in check_statistics(text) if each.check == "p-value"]

    assert [each.verdict for each in found] == ["consistent", "consistent", "not checked"]


def test_formulas_of_mathematics_are_not_taken_for_tests():
    text = "Let t = 3 and F(x, y) = 2, r(t) = 4.5, z = 1. With t_1 = 2.0 follows Q = 7."

    assert check_statistics(text) == ()


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("The 30 participants differed between groups, t(28) = 2.20, p = .036.", "consistent"),
        ("The 28 participants differed between groups, t(28) = 2.20, p = .036.", "inconsistent"),
        ("Of 60 adults, 12 left; an independent-samples t(47) = 2.20, p = .033.", "consistent"),
        ("All (N = 60).\n\nBetween groups, t(75) = 2.20, p = .031.", "inconsistent"),
        ("Two independent samples (n = 15, n = 15): t(28) = 2.20, p = .036.", "consistent"),
        ("Two independent samples (n = 15, n = 15): t(29) = 2.20, p = .036.", "inconsistent"),
        ("Two independent samples (n = 15, n = 15): t(9) = 2.20, p = .055.", "inconsistent"),
        ("Two independent samples, N = 60 in all: t(59) = 2.20, p = .032.", "inconsistent"),
        ("Two independent samples, N = 60 in all: t(58) = 2.20, p = .032.", "consistent"),
        ("Across pupils (N = 48), r(48) = .31, p = .028.", "inconsistent"),
        ("A one-way test of 48 adults in three groups, F(2, 45) = 3.21, p = .05.", "consistent"),
        ("A one-way test of 48 adults in three groups, F(3, 44) = 3.21, p = .032.", "inconsistent"),
        ("A one-way test of 40 adults in three groups, F(2, 45) = 3.21, p = .05.", "inconsistent"),
    ],
)
def test_degrees_of_freedom_are_held_against_sample_sizes(text, verdict):
    assert only(text, check="degrees of freedom").verdict == verdict


@pytest.mark.parametrize(
    "text",
    [
        "In all, sixty-two students came; 12 participants left early. Here t(60) = 2.20, p = .032.",
        "A mixed model over 30 participants gave t(2800) = 2.20, p = .028.",
        "With 30 participants the repeated measures gave F(2, 58) = 3.21, p = .048.",
    ],
)
def test_many_observations_per_person_are_left_alone(text):
    assert not any(each.check == "degrees of freedom" for each in check_statistics(text))


@pytest.mark.parametrize(
    "text",
    [
        "The 28 participants differed, t(28) = 2.20, p = .036.",
        "For N = 48 pupils r(48) = .31, p = .028.",
        "A paired test of 20 adults, t(28) = 2.20, p = .036.",
        "All (N = 60).\n\nA contrast of two conditions, t(177) = 2.20, p = .029.",
        "All (N = 60).\n\nThe rmANOVA of independent groups of items, t(177) = 2.20, p = .029.",
    ],
)
def test_a_test_that_is_not_said_to_be_between_persons_is_left_alone(text):
    assert not any(each.check == "degrees of freedom" for each in check_statistics(text))


@pytest.mark.parametrize(
    "text",
    [
        "A one-sided test gave t(24) = -1.30, p = .897.",
        "Tests are directional. H2 fell through, r(40) = -.20, p = .898.",
        "With corrected degrees of freedom, F(1.42, 39.8) = 3.90, p = .041.",
        "A Welch test gave t(23) = 2.05, p = .051.",
        "The effect was strong, t(58) = 4.90, p < 0. 001.",
        "The effect was strong, t(58) = 4. 90, p < .001.",
        "In brackets the number of pairs, r(60) = .26, p = .045.",
    ],
)
def test_every_other_reading_is_tried_before_a_report_is_called_inconsistent(text):
    assert only(text).verdict == "consistent"


def test_a_correction_named_anywhere_may_have_raised_p():
    said = "All post-hoc tests were corrected for multiple comparisons.\n\nLater, {}."

    assert only(said.format("t(505) = -2.14, p = .18")).verdict == "not checked"
    assert only(said.format("t(505) = -2.14, p = .01")).verdict == "inconsistent"
    assert only(said.format("t(505) = -7.14, p = .18")).verdict == "decision error"


def test_other_readings_do_not_swallow_errors():
    for report in (
        "A one-sided test gave t(24) = -1.30, p = .797.",
        "With corrected degrees of freedom, F(1.42, 39.8) = 3.90, p = .021.",
        "A test gave t(23) = 2.05, p = .058.",
        "The effect was there, t(58) = 1.90, p < 0. 001.",
    ):
        assert only(report).flagged


def test_the_chi_of_a_symbol_font_is_read():
    found = [each for each in check_statistics("Rates differed, c2 (5)=2.19, p=0.02.")]

    assert [(each.check, each.verdict) for each in found] == [("p-value", "decision error")]


@pytest.mark.parametrize(
    ("text", "check", "verdict"),
    [
        ("Likert ratings (n = 28, M = 5.19).", "GRIM", "impossible"),
        ("Likert ratings (n = 28, M = 5.21).", "GRIM", "consistent"),
        ("Likert ratings (n = 128, M = 5.19).", "GRIM", "not checked"),
        ("Reaction times (n = 28, M = 5.19).", "GRIM", "not checked"),
        ("Likert ratings had M = 5.19.", "GRIM", "not checked"),
        ("Likert ratings on 3 items (n = 28, M = 5.19).", "GRIM", "consistent"),
        ("Likert ratings, averaged over items (n = 28, M = 5.19).", "GRIM", "not checked"),
        ("Likert ratings (n = 35): M = 5.23, SD = 2.55.", "GRIMMER", "impossible"),
        ("Likert ratings (n = 31): M = 5.23, SD = 2.55.", "GRIMMER", "consistent"),
        (
            "The number of errors in 35 adults had a mean of 5.23 (SD = 2.55).",
            "GRIMMER",
            "impossible",
        ),
        ("Speed (n = 28): M = 5.19, SD = -1.20.", "range", "impossible"),
        ("A binary answer (n = 1683): M = 0.53, SD = 0.50.", "DEBIT", "consistent"),
        ("A binary answer (n = 1683): M = 0.53, SD = 0.45.", "DEBIT", "impossible"),
        ("A binary answer (n = 1683): M = 1.53, SD = 0.45.", "DEBIT", "impossible"),
        ("Of all, 12 of 45 (26.7%) agreed.", "percentage", "consistent"),
        ("Of all, 12 of the 45 adults (28.7%) agreed.", "percentage", "inconsistent"),
        ("Of all, 26.7% (12/45) agreed.", "percentage", "consistent"),
        ("Of all, 55 of 45 (26.7%) agreed.", "percentage", "impossible"),
        ("We saw 45 participants (62.2% female).", "percentage", "consistent"),
        ("We saw 45 participants (61.3% female).", "percentage", "impossible"),
        ("Then 61.3% of the 45 participants left.", "percentage", "impossible"),
        ("Then 61% of the 450 participants left.", "percentage", "not checked"),
        ("d = 0.41, 95% CI [0.10, 0.70]", "confidence interval", "consistent"),
        ("d = 0.41, 95% CI [0.50, 0.70]", "confidence interval", "inconsistent"),
        ("d = 0.41, 95% CI [0.70, 0.10]", "confidence interval", "impossible"),
        ("OR 1.50 (95% CI 1.62 to 2.10)", "confidence interval", "inconsistent"),
        ("b = −0.41, 95% CI [−0.70, −0.10]", "confidence interval", "consistent"),
        ("a 95% CI [0.10, 0.70]", "confidence interval", "not checked"),
        ("(n = 28) M = 5.2, SD = 1.1, SE = 0.2", "standard error", "consistent"),
        ("(n = 28) M = 5.2, SD = 1.1, SE = 0.5", "standard error", "inconsistent"),
        ("b = 0.30, SE = 0.10, t = 3.00", "standard error", "consistent"),
        ("b = 0.30, SE = 0.10, t = 4.00", "standard error", "inconsistent"),
    ],
)
def test_descriptions_are_judged_as_the_numbers_say(text, check, verdict):
    assert only(text, check=check).verdict == verdict


def test_the_width_of_an_interval_is_held_against_the_standard_error():
    right = "Ratings (n = 28): M = 5.20, SD = 1.10, 95% CI [4.77, 5.63]."
    wrong = "Ratings (n = 28): M = 5.20, SD = 1.10, 95% CI [4.97, 5.43]."

    def widths(text):
        return [each.verdict for each in check_statistics(text) if "half_width" in each.values]

    assert widths(right) == ["consistent"]
    assert widths(wrong) == ["inconsistent"]


def test_all_means_can_be_taken_for_whole_numbers():
    text = "The scores (n = 28) had M = 5.19."

    assert only(text, check="GRIM").verdict == "not checked"
    assert only(text, check="GRIM", whole_numbers=True).verdict == "impossible"


def test_findings_are_counted_with_the_unchecked_in_sight():
    counts = count_findings(
        check_statistics("t(28) = 2.20, p = .30. F(2, 45) = 3.21. z = 1, p = .3.")
    )

    assert (counts.found, counts.checked, counts.not_checked) == (3, 2, 1)
    assert counts.verdicts["decision error"] == 1
    assert counts.verdicts["impossible"] == 0
    assert counts.checks["p-value"] == 2


def test_a_finding_survives_the_trip_to_disk():
    for each in check_statistics(
        "Likert (n = 28): M = 5.19. t(28) = 2.20, p = .30; r(9) = 2, p = .1."
    ):
        assert from_json(StatisticFinding, to_json(each), origin="here") == each


def test_a_finding_without_its_place_or_reason_is_refused():
    with pytest.raises(DataError, match="spans"):
        StatisticFinding(
            check="GRIM", verdict="consistent", quote="abc", start=0, end=2, reason="it fits"
        )
    with pytest.raises(DataError, match="says why"):
        StatisticFinding(check="GRIM", verdict="consistent", quote="ab", start=0, end=2, reason="")


@pytest.mark.parametrize("settings", [{"alpha": 0}, {"alpha": 1}, {"most": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError):
        check_statistics("t(28) = 2.20, p = .036", **settings)


def test_what_is_left_unread_is_a_finding():
    found = check_statistics("t(28) = 2.20, p = .036. " * 50, most=10)

    assert [each.check for each in found].count("p-value") == 10
    assert found[-1].check == "reading"
    assert found[-1].verdict == "not checked"


PIECES = st.sampled_from(
    [
        *("t(28) = 2.20", "F(2, 45) = 3.21", "p = .03", "p < .05", "r = .31", "n = 28", "M = 5.19"),
        *(
            "SD = 1.1",
            "95% CI [0.1, 0.2]",
            "$",
            "{",
            "}",
            "*",
            "_",
            "\\chi^2",
            " ",
            "\n\n",
            "𝑝",
            "₁",
        ),
        *(
            "(",
            ")",
            ",",
            ". A",
            "Likert",
            "12 of 45 (26.7%)",
            "−",
            "⁻⁴",
            "&lt;",
            "<sub>",
            "0",
            "ns",
        ),
    ]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_no_text_breaks_it_and_every_quote_is_in_its_place(text):
    for each in check_statistics(text):
        assert text[each.start : each.end] == each.quote
        assert each.quote


@pytest.mark.parametrize(
    "piece",
    [
        *(" ", " \n", "(", "1", "t(", "t(1", "t(1)=1,", "1,", "\\", "$", "{", "_t_", "M = 5.2 "),
        *("n = 28 ", "95% CI [0.1, 0.2] ", "mean of the ", "p < .05 ", "12 a b participants "),
        *("All ", "𝑝", "Aa. ", "\\chi^2", "1,234", "t(28)=2.20, p = .030 "),
    ],
)
def test_time_grows_with_the_length_and_no_faster(piece):
    def seconds(size):
        started = time.process_time()
        check_statistics(piece * (size // len(piece)), most=200)
        return time.process_time() - started

    # Eight times the length takes eight times as long; sixty-four if something were quadratic.
    assert seconds(160_000) < 24 * seconds(20_000) + 0.2


def test_two_megabytes_of_hostile_text_take_seconds():
    pieces = (
        "t(1)=1,p=.",
        "M = 5.2, n = 28 Likert ",
        "Likert n = 900000, M = 5, SD = 0.00. A",
        "(" * 50,
        "\\textit{",
        "95% CI [1,",
        " " * 99,
    )
    text = "".join(piece * (2_000_000 // 7 // len(piece)) for piece in pieces)
    started = time.process_time()

    found = check_statistics(text, most=2_000)

    assert time.process_time() - started < 15
    assert any(each.check == "reading" for each in found)


def test_correct_reports_raise_no_alarm():
    seen = clean_run(400, seed=7)

    assert seen.false_alarms == ()
    assert seen.checked >= 0.99 * seen.planned


@pytest.mark.parametrize("name", PLANTS)
def test_planted_errors_are_found(name):
    plant, least = PLANTS[name]

    # Some moved means and deviations are possible by chance; a third is found at the very least.
    assert recall(plant, 40, seed=7) >= (0.3 if least is None else least)
