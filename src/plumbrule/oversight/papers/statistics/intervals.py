"""Confidence intervals against their estimate, and standard errors against deviation and n."""

import math
import re
from collections.abc import Iterator
from fractions import Fraction

from scipy import special

from plumbrule.oversight.papers.statistics.describing import PLAIN_NUMBER, ReportedMean
from plumbrule.oversight.papers.statistics.records import (
    Printed,
    StatisticFinding,
    Verdict,
    parse_printed,
)
from plumbrule.oversight.papers.statistics.text import Plain

REACH = 120
"""Characters before an interval within which its estimate is looked for."""

SLACK = 1e-9

_INTERVAL = re.compile(
    r"(?<![\d.])(?P<level>\d{2}(?:\.\d{1,2})?) ?%? ?"
    r"(?:CIs?|CrI|[Cc]onfidence intervals?|[Cc]redible intervals?)(?:_[A-Za-z0-9]{1,10})?"
    rf"(?: ?[:=,]| of| from| was)? ?[\[(]? ?(?P<low>{PLAIN_NUMBER}) ?%? ?(?:,|;|to|-) ?"
    rf"(?P<high>{PLAIN_NUMBER})"
)
_ESTIMATE = re.compile(
    r"(?<![A-Za-z0-9_\\])(?:(?P<name>M(?:_?[Dd]iff|D)?|[Mm]ean(?: [Dd]ifference)?|SMD|[bBβdgr]"
    r"|[Bb]eta|a?OR|a?HR|a?RR|IRR|PR|ES|[Ee]stimate|[Dd]ifference|κ|ICC)"
    r"(?:_[A-Za-z0-9]{1,20})?(?: ?\(\d{1,6}\))? ?(?:=|of|was|:) ?"
    rf"|(?P<ratio>a?OR|a?HR|a?RR|SMD|MD|IRR) )(?P<value>{PLAIN_NUMBER})"
)
_TEST = re.compile(r"(?<![A-Za-z])(?:[tFzr]|χ\^?2) ?\(|(?<![A-Za-z])[tz] ?=")
_STOP = re.compile(r"[.!?;][)\]]? [A-Z]|\n|\b(?:and|whereas|while|but|versus|vs)\b")
_SLOPE = re.compile(
    rf"(?<![A-Za-z0-9_\\])[bB] ?= ?(?P<b>{PLAIN_NUMBER}) ?[,;(] ?(?:SE(?:_?[bB])?|S\.E\.) ?= ?"
    rf"(?P<se>{PLAIN_NUMBER}) ?\)? ?[,;] ?(?:β ?= ?{PLAIN_NUMBER} ?[,;] ?)?"
    rf"(?P<test>[tz])(?: ?\(\d{{1,7}}(?:\.\d{{1,6}})?\))? ?= ?(?P<value>{PLAIN_NUMBER})"
)


def check_intervals(plain: Plain) -> Iterator[StatisticFinding]:
    """Does each confidence interval run upwards and hold the estimate before it?"""
    text, before = plain.text, 0
    for found in _INTERVAL.finditer(text):
        low, high = _numbers(found["low"], found["high"])
        begin = max(before, found.start() - REACH)
        for stop in _STOP.finditer(text, begin, found.start()):
            begin = stop.end() - 1
        estimates = [
            (each.start(), parse_printed(each["value"]))
            for each in _ESTIMATE.finditer(text, begin, found.start())
            if not _elsewhere(each["name"], text[each.end() : found.start()])
        ]
        before = found.end()
        start = estimates[-1][0] if estimates else found.start()
        verdict, reason = _against([each for _, each in estimates], low, high)
        values = {"low": float(low.value), "high": float(high.value)}
        place = (start, found.end())
        yield plain.finding(place, "confidence interval", verdict, reason, values=values)


def _elsewhere(name: str | None, gap: str) -> bool:
    """Whether a mean was left behind, so that the interval is one of a difference."""
    if name is None or not name.startswith(("M", "m")):
        return False
    return gap.count(")") > gap.count("(") or _TEST.search(gap) is not None


def _against(estimates: list[Printed], low: Printed, high: Printed) -> tuple[Verdict, str]:
    if low.value > high.value:
        return "impossible", "the interval runs downwards: its lower end is above its upper one"
    if not estimates:
        return "not checked", "no estimate that belongs to the interval stands close before it"
    if any(each.high >= low.low and each.low <= high.high for each in estimates):
        return "consistent", "the interval holds its estimate"
    told = " or ".join(each.text for each in estimates)
    return "inconsistent", f"the interval does not hold the estimate {told}"


def check_slopes(plain: Plain) -> Iterator[StatisticFinding]:
    """Is each t or z the slope divided by its standard error, where all three are given?"""
    for found in _SLOPE.finditer(plain.text):
        slope, error, ratio = _numbers(found["b"], found["se"], found["value"])
        values: dict[str, float] = {}
        verdict: Verdict
        if error.value < 0:
            verdict, reason = "impossible", "a standard error is never negative"
        elif error.low <= 0:
            verdict, reason = "not checked", "the standard error is rounded to nothing"
        else:
            ends = [each / by for each in (slope.low, slope.high) for by in (error.low, error.high)]
            fits = _meet(ratio, min(ends), max(ends))
            verdict = "consistent" if fits else "inconsistent"
            reason = f"{found['test']} is {'' if fits else 'not '}the slope over its standard error"
            values = {"low": float(min(ends)), "high": float(max(ends))}
        told = f"{values['low']:.4g} to {values['high']:.4g}" if values else None
        yield plain.finding(found.span(), "standard error", verdict, reason, told, values)


def check_standard_error(plain: Plain, report: ReportedMean) -> StatisticFinding | None:
    """Is the standard error of a mean its deviation over the root of n?

    Returns:
        None where deviation, standard error and n are not all given.
    """
    if report.sd is None or report.se is None or report.n is None or report.n < 1:
        return None
    spread, error = _numbers(report.sd, report.se)
    low, high = _ends(spread, report.n)
    fits = _meet(error, Fraction(low * (1 - SLACK)), Fraction(high * (1 + SLACK)))
    return plain.finding(
        (report.start, report.end),
        "standard error",
        "consistent" if fits else "inconsistent",
        f"SE is {'' if fits else 'not '}SD / sqrt(n) within rounding",
        f"SE = {float(spread.value) / math.sqrt(report.n):.4g}",
        {"low": low, "high": high},
    )


def check_mean_interval(plain: Plain, report: ReportedMean) -> StatisticFinding | None:
    """Does the interval around a mean have the width that its standard error gives?

    The multiplier may lie anywhere from the normal one to that of t with n - 1 degrees of freedom,
    so both usual intervals pass.

    Returns:
        None where mean, interval and a standard error, or deviation and n, are not all given.
    """
    stop = min(len(plain.text), report.end + 60)
    found = _INTERVAL.search(plain.text, report.end, stop)
    if found is None or _STOP.search(plain.text, report.end, found.start()):
        return None
    if _ESTIMATE.search(plain.text, report.end, found.start()):
        return None
    error = _standard_error(report)
    level = float(found["level"]) / 100
    if error is None or report.n is None or report.n < 2 or not 0.5 <= level < 1:
        return None
    low, high = _numbers(found["low"], found["high"])
    least = float(special.ndtri((1 + level) / 2)) * error[0]
    most = float(special.stdtrit(report.n - 1, (1 + level) / 2)) * error[1]
    width = ((high.value - low.value) / 2, (high.half + low.half) / 2)
    fits = width[0] + width[1] >= least * (1 - SLACK) and width[0] - width[1] <= most * (1 + SLACK)
    return plain.finding(
        (report.start, found.end()),
        "confidence interval",
        "consistent" if fits else "inconsistent",
        f"the interval's width does {'' if fits else 'not '}follow from the standard error",
        f"half the width is {least:.4g} to {most:.4g}",
        {"half_width": float(width[0]), "low": least, "high": most},
    )


def _standard_error(report: ReportedMean) -> tuple[float, float] | None:
    """Smallest and largest standard error that the printed numbers allow."""
    if report.se is not None:
        return _ends(parse_printed(report.se), 1)
    if report.sd is None or not report.n:
        return None
    return _ends(parse_printed(report.sd), report.n)


def _ends(spread: Printed, n: int) -> tuple[float, float]:
    """Ends of a deviation, over the root of n."""
    return float(max(spread.low, Fraction(0))) / math.sqrt(n), float(spread.high) / math.sqrt(n)


def _meet(printed: Printed, low: Fraction, high: Fraction) -> bool:
    return printed.low <= high and printed.high >= low


def _numbers(*texts: str) -> list[Printed]:
    return [parse_printed(each) for each in texts]
