"""From a reported test to a finding: does its p-value follow from its statistic?"""

from dataclasses import dataclass, replace

from plumbrule.errors import DataError
from plumbrule.oversight.papers.statistics.p_values import Recomputed, recompute
from plumbrule.oversight.papers.statistics.reading import ReportedTest
from plumbrule.oversight.papers.statistics.records import (
    Check,
    StatisticFinding,
    Verdict,
    parse_printed,
)
from plumbrule.oversight.papers.statistics.text import (
    Plain,
    Surroundings,
    estimates_freedom,
    says_corrected,
    says_one_sided,
    says_two_sided,
)


@dataclass(frozen=True, kw_only=True)
class Throughout:
    """What a text says of all its tests."""

    one_sided: bool
    corrected: bool
    """It names a correction for several comparisons, whichever of them it was made for."""


def check_p(
    plain: Plain,
    report: ReportedTest,
    near: Surroundings,
    *,
    alpha: float,
    throughout: Throughout,
) -> StatisticFinding:
    """Hold the reported p-value against the recomputed one.

    Args:
        plain: The text that holds the report.
        report: What was read.
        near: The text around it.
        alpha: Threshold of significance.
        throughout: What the text says of all its tests.
    """

    def found(verdict: Verdict, reason: str, seen: Recomputed | None = None) -> StatisticFinding:
        check: Check = "range" if verdict == "impossible" else "p-value"
        place = (report.start, report.end)
        if seen is None:
            return plain.finding(place, check, verdict, reason)
        values = {"p": seen.p, "p_low": seen.p_low, "p_high": seen.p_high}
        return plain.finding(place, check, verdict, reason, seen.in_words, values)

    impossible = _impossible(report)
    if impossible:
        return found("impossible", impossible)
    if report.problem:
        return found("not checked", report.problem)
    try:
        seen = _recompute(report, alpha, one_sided=False)
    except DataError as error:
        return found("not checked", str(error))
    zero = report.p is not None and parse_printed(report.p).value == 0
    if zero:
        verdict: Verdict = "decision error" if seen.decision_error else "inconsistent"
        return found(verdict, "a p-value is never 0; give a bound such as p < .001", seen)
    if not seen.error:
        flip = "; the printed statistic alone would fall on the other side of the threshold"
        return found(
            "consistent",
            "the reported p follows from the statistic within rounding"
            + (flip if seen.decision_error else ""),
            seen,
        )
    return found(*_explain(report, near, seen, alpha, throughout))


def _explain(
    report: ReportedTest,
    near: Surroundings,
    seen: Recomputed,
    alpha: float,
    throughout: Throughout,
) -> tuple[Verdict, str, Recomputed]:
    """Verdict on a report whose two-sided p does not fit."""
    halves = _has_sides(report) and seen.fits_one_sided
    one_sided = throughout.one_sided or says_one_sided(near)
    if halves and one_sided:
        halved = _recompute(report, alpha, one_sided=True)
        return "consistent", "the reported p fits a one-sided test, which the text names", halved
    if one_sided and report.test in ("t", "z", "r"):
        turned = _recompute(report, alpha, wrong_tail=True)
        if not turned.error:
            return "consistent", "the reported p fits the other tail of a one-sided test", turned
    other = _other_freedom(report, near, alpha)
    if other is not None:
        return "consistent", *other
    if says_corrected(near) and _larger(report, seen):
        return (
            "not checked",
            "the text nearby speaks of a correction, which can raise p above the recomputed one",
            seen,
        )
    if throughout.corrected and _larger(report, seen) and seen.p_high > SURE:
        return (
            "not checked",
            "the text speaks elsewhere of a correction for several comparisons, which can raise p",
            seen,
        )
    hint = ""
    if halves and not says_two_sided(near):
        hint = "; half of it fits, so a one-sided test would explain it, but none is named"
    # Where something else would explain it, no claim of significance is called false.
    turned_over = seen.decision_error and not hint
    verdict: Verdict = "decision error" if turned_over else "inconsistent"
    turn = ", and the two fall on opposite sides of the threshold" if turned_over else ""
    reason = f"the reported p does not follow from the statistic{turn}{hint}"
    return verdict, reason, seen


SURE = 1e-4
"""p below which no correction for the comparisons of one paper leads over the threshold."""

ROOM = 0.005
"""Relative room for p where degrees of freedom were estimated: what they come from is rounded."""


def _other_freedom(
    report: ReportedTest, near: Surroundings, alpha: float
) -> tuple[str, Recomputed] | None:
    """Why p fits after all, where the printed degrees of freedom may stand for others; else None.

    Estimated ones are rounded, and behind a correlation the number of pairs may stand.
    """
    if report.test == "r" and report.df2 is not None and report.df2 > 2:
        seen = _recompute(replace(report, df2=report.df2 - 2), alpha)
        if not seen.error:
            return "the reported p fits if the number in brackets counts the pairs", seen
    whole = estimates_freedom(near)
    firsts, seconds = _rounded(report.df1, whole=False), _rounded(report.df2, whole=whole)
    if len(firsts) == len(seconds) == 1:
        return None
    tried = [
        _recompute(replace(report, df1=df1, df2=df2), alpha) for df1 in firsts for df2 in seconds
    ]
    low = min(each.p_low for each in tried) * (1 - ROOM)
    high = max(each.p_high for each in tried) * (1 + ROOM)
    if not _within(report, low, high, alpha):
        return None
    return "the reported p fits within the rounding of the degrees of freedom", tried[0]


def _rounded(df: float | None, *, whole: bool) -> list[float | None]:
    """Ends of what printed degrees of freedom stand for; whole ones are exact unless estimated."""
    if df is None or (df == int(df) and not whole):
        return [df]
    half = 0.5 if df == int(df) else 0.5 * 10 ** -len(f"{df:g}".partition(".")[2])
    return [max(df - half, 0.5), df + half]


def _within(report: ReportedTest, low: float, high: float, alpha: float) -> bool:
    """Whether a reported p can be one of an interval."""
    if report.comparison == "ns" or report.p is None:
        return high > alpha
    p = parse_printed(report.p)
    if report.comparison == "<":
        return low < p.value
    if report.comparison == ">":
        return high > p.value
    return p.low <= high and p.high >= low


def _recompute(
    report: ReportedTest, alpha: float, *, one_sided: bool = False, wrong_tail: bool = False
) -> Recomputed:
    return recompute(
        report.test,
        report.statistic,
        comparison=report.comparison,
        p=report.p,
        df1=report.df1,
        df2=report.df2,
        alpha=alpha,
        one_sided=one_sided,
        wrong_tail=wrong_tail,
    )


def _impossible(report: ReportedTest) -> str | None:
    """What no data can give; None where nothing speaks against it."""
    try:
        statistic = parse_printed(report.statistic)
        p = None if report.p is None else parse_printed(report.p)
    except DataError:
        return None
    judged = report.p is not None or report.comparison == "ns"
    if p is not None and p.value > 1:
        return f"a p-value is at most 1, the text has {report.p}"
    if p is not None and p.value < 0:
        return f"a p-value is never negative, the text has {report.p}"
    if judged and report.test == "r" and abs(statistic.value) > 1:
        return f"a correlation lies between -1 and 1, the text has {report.statistic}"
    if judged and report.test in ("F", "chi2", "Q") and statistic.value < 0:
        return f"{report.test} is never negative, the text has {report.statistic}"
    if judged and any(df is not None and df <= 0 for df in (report.df1, report.df2)):
        return "degrees of freedom are positive, the text has 0"
    return None


def _has_sides(report: ReportedTest) -> bool:
    """Whether the test has two sides: F and chi-square do where they are a squared t or z."""
    return report.test in ("t", "z", "r") or (report.test in ("F", "chi2") and report.df1 == 1)


def _larger(report: ReportedTest, seen: Recomputed) -> bool:
    """Whether the reported p lies above the recomputed one, as a correction would put it."""
    if report.comparison in ("ns", ">"):
        return True
    return report.p is not None and float(parse_printed(report.p).value) > seen.p
