"""Reported means with what is beside them: deviations, standard errors, confidence intervals.

GRIM, GRIMMER and DEBIT say of a mean what whole numbers allow; intervals are held against their
estimate, and standard errors against deviation and n.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from scipy import special

from plumbrule.errors import DataError
from plumbrule.oversight.papers.document import word_set
from plumbrule.oversight.papers.statistics.records import (
    Check,
    Printed,
    StatisticFinding,
    Verdict,
    parse_printed,
)
from plumbrule.oversight.papers.statistics.text import (
    Plain,
    group_sizes,
    only_size,
    surroundings,
    totals,
)
from plumbrule.oversight.papers.statistics.whole_numbers import debit, grim, grimmer

PLAIN_NUMBER = r"(?:[-+] ?)?(?:\d{1,12}(?:\.\d{1,12})?|\.\d{1,12})(?!\d|\.\d)"
REACH = 100
"""Characters after a mean within which its deviation is looked for."""

_MEAN = re.compile(
    r"(?<![A-Za-z0-9_\\])(?:"
    rf"M(?:_[A-Za-z0-9]{{1,20}})? ?= ?(?P<m>{PLAIN_NUMBER})"
    rf"|[Mm]ean(?: [a-z]{{2,20}}){{0,2}} ?(?:=|of|was|is) ?(?P<mean>{PLAIN_NUMBER})"
    rf"|(?:M|[Mm]ean) ?\(SD\) ?=? ?(?P<with>{PLAIN_NUMBER}) ?\((?P<sd>{PLAIN_NUMBER})\))"
)
_SD = re.compile(
    rf"(?<![A-Za-z0-9_])(?:SD|S\.D\.|[Ss]tandard deviation)(?:_[A-Za-z0-9]{{1,20}})?"
    rf" ?(?:=|of|was|:)? ?(?P<sd>{PLAIN_NUMBER})"
)
_SE = re.compile(
    r"(?<![A-Za-z0-9_])(?:SEM?|S\.E\.|[Ss]tandard error)(?:_[A-Za-z0-9]{1,20})?"
    rf" ?(?:=|of|was|:)? ?(?P<se>{PLAIN_NUMBER})"
)
_STOP = re.compile(r"[.!?][)\]]? [A-Z(]|\n")
_WHOLE = re.compile(
    r"[Ll]ikert|-point (?:[A-Za-z-]{2,20} )?(?:scales?|items?|formats?)\b|[Rr]ating scale"
    r"|[Nn]umber of (?:[a-z]{2,20} ){1,2}(?:was|were|had|in|among|per|M|\(|:)"
    r"|[Ww]hole numbers?|[Ii]ntegers?\b|\bcounts?\b|[Oo]n a scale (?:of|from)|\brated\b"
    r"|from 1 \([a-z ]{2,30}\)"
)
_CONTINUOUS = re.compile(r"\bsliders?\b|[Vv]isual analog|\bVAS\b|[Cc]ontinuous|\bseeds\b")
_BINARY = re.compile(
    r"\b[Bb]inary (?:answers?|items?|variables?|outcomes?|responses?|measures?|data|choices?)\b"
    r"|[Dd]ichotomous|coded (?:as )?0|zeros? and ones?|\b0/1\b"
)
_ITEMS = re.compile(
    r"\b(\d{1,3}|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty)[- ]items?\b"
)
_MANY = re.compile(r"\b(?:items|averaged|composite|subscale|index|aggregate[d]?)\b")
_NO_MEASURES = word_set(
    """
    participant people person subject student adult patient child children respondent group
    condition scale point rating rated rate item likert answer response score mean measured
    measure from with were they their that this than each both more less after before when which
    number whole higher lower differed between than control treatment first second study sample
    used using asked question all very much not at agree disagree strongly ranged range
    """
)
_NUMBERS = {
    **{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8},
    **{"nine": 9, "ten": 10, "twelve": 12, "twenty": 20},
}


@dataclass(frozen=True, kw_only=True)
class ReportedMean:
    """One mean as a text reports it; numbers stay text because their last digit counts."""

    mean: str
    sd: str | None
    se: str | None
    n: int | None
    items: int | None
    """Whole numbers averaged per answer; None where the text names several but not how many."""

    whole: bool
    """The text nearby says that the data are whole numbers."""

    binary: bool
    """It says that they are zeros and ones."""

    start: int
    end: int
    """Where the last number that belongs to the mean ends."""


def read_means(plain: Plain) -> Iterator[ReportedMean]:
    """Find every mean and tie deviation, standard error and sample size to it."""
    text, before, scales = plain.text, 0, Scales(plain.text)
    ahead = _MEAN.finditer(text)
    found = next(ahead, None)
    while found is not None:
        following = next(ahead, None)
        limit = min(len(text), found.end() + REACH, following.start() if following else len(text))
        stop = _STOP.search(text, found.end(), limit)
        yield _read(text, found, before, stop.start() if stop else limit, scales)
        before, found = found.end(), following


class Scales:
    """What the text says elsewhere of how each thing was measured."""

    def __init__(self, text: str) -> None:
        self._by_word: dict[str, list[str]] = {}
        for match in _WHOLE.finditer(text):
            said = surroundings(text, *match.span()).sentence
            for word in _measures(said):
                known = self._by_word.setdefault(word, [])
                if said not in known:
                    known.append(said)

    def of(self, sentence: str) -> str:
        """The one sentence that says how what a sentence speaks of was measured; or nothing."""
        found = {said for word in _measures(sentence) for said in self._by_word.get(word, ())}
        return found.pop() if len(found) == 1 else ""


def _measures(sentence: str) -> set[str]:
    """Words of a sentence that can name what was measured."""
    words = {word for word in re.findall(r"[a-z]{4,20}", sentence.lower())}
    return {word.removesuffix("s") for word in words} - _NO_MEASURES


def _read(text: str, found: re.Match[str], before: int, stop: int, scales: Scales) -> ReportedMean:
    near = surroundings(text, *found.span())
    sd, se = _SD.search(text, found.end(), stop), _SE.search(text, found.end(), stop)
    size = _size(text, found, before, stop)
    if size is None:
        named = totals(near.sentence) + group_sizes(near.sentence)
        alone = len(_MEAN.findall(near.sentence)) == 1
        size = named[0] if alone and len(named) == 1 else None
    said = near.lead
    if not (_WHOLE.search(said) or _BINARY.search(said) or _CONTINUOUS.search(said)):
        said = scales.of(near.sentence) or said
    items = _ITEMS.search(said)
    many = None if _MANY.search(said) else 1
    ends = [found.end(), *(each.end() for each in (sd, se) if each)]
    return ReportedMean(
        mean=(found["m"] or found["mean"] or found["with"]).replace("+", ""),
        sd=found["sd"] or (sd["sd"] if sd else None),
        se=se["se"] if se else None,
        n=size,
        items=(_NUMBERS.get(items[1]) or int(items[1])) if items else many,
        whole=_WHOLE.search(said) is not None and not _CONTINUOUS.search(said),
        binary=_BINARY.search(said) is not None,
        start=found.start(),
        end=max(ends),
    )


def _size(text: str, found: re.Match[str], before: int, stop: int) -> int | None:
    """Sample size inside the brackets of the mean, or the last one named since the mean before."""
    close = text.find(")", found.end(), stop)
    behind = only_size(text[found.end() : close if close >= 0 else stop])
    if behind is not None:
        return behind
    ahead = text[max(before, found.start() - 2 * REACH) : found.start()]
    begin = 0
    for stopped in _STOP.finditer(ahead):
        begin = stopped.end() - 1
    return only_size(ahead[begin:])


def check_mean(plain: Plain, report: ReportedMean, *, whole_numbers: bool) -> StatisticFinding:
    """Can data of the kind described have this mean and this deviation?

    Args:
        plain: The text that holds the report.
        report: What was read.
        whole_numbers: Take all data for whole numbers, whatever the text says.
    """
    check, verdict, reason, values = _judge(report, whole_numbers)
    place = (report.start, report.end)
    return plain.finding(place, check, verdict, reason, _in_words(values), values)


_Judged = tuple[Check, Verdict, str, dict[str, float]]


def _judge(report: ReportedMean, whole: bool) -> _Judged:
    """Which rule, which verdict, why, and the numbers behind it."""
    if report.sd is not None and parse_printed(report.sd).value < 0:
        return "range", "impossible", "a standard deviation is never negative", {}
    if not (report.whole or report.binary or whole):
        return "GRIM", "not checked", "nothing near says that the data are whole numbers", {}
    if report.n is None or report.n < 1:
        return "GRIM", "not checked", "no single sample size near the mean", {}
    if report.items is None:
        return "GRIM", "not checked", "several items are averaged and their number is not given", {}
    if report.binary and report.sd is not None and report.n > 1:
        return _judge_binary(report, report.sd, report.n)
    seen = grim(report.mean, report.n, items=report.items)
    values = {"below": seen.below, "above": seen.above}
    data = f"{report.n} answers" + (f" to {report.items} items" if report.items > 1 else "")
    if not seen.consistent:
        return "GRIM", "impossible", f"no whole numbers in {data} have this mean", values
    if report.sd is not None and report.n > 1:
        outcome = grimmer(report.mean, report.sd, report.n, items=report.items)
        if outcome == "too many sums":
            return "GRIMMER", "not checked", "too many sums fit the mean to go through", {}
        if outcome != "consistent":
            reason = f"no whole numbers in {data} have this mean and deviation ({outcome})"
            return "GRIMMER", "impossible", reason, {}
        return "GRIMMER", "consistent", f"{data} can have this mean and deviation", {}
    if not seen.decisive:
        return "GRIM", "not checked", f"{data} can have any mean of so few decimals", {}
    return "GRIM", "consistent", f"{data} can have this mean", values


def _judge_binary(report: ReportedMean, sd: str, n: int) -> _Judged:
    share = float(parse_printed(report.mean).value)
    try:
        fits = debit(report.mean, sd, n)
    except DataError as error:
        return "DEBIT", "impossible", str(error), {}
    values = {}
    if 0 <= share <= 1:
        values["sd"] = (n / (n - 1) * share * (1 - share)) ** 0.5
    if fits:
        return "DEBIT", "consistent", f"{n} zeros and ones can have this mean and deviation", values
    return "DEBIT", "impossible", f"no {n} zeros and ones have this mean and deviation", values


def _in_words(values: dict[str, float]) -> str | None:
    if "below" in values:
        return f"the nearest possible means are {values['below']:.6g} and {values['above']:.6g}"
    return f"the deviation is {values['sd']:.6g}" if "sd" in values else None


REACH_BACK = 120
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
_BREAK = re.compile(r"[.!?;][)\]]? [A-Z]|\n|\b(?:and|whereas|while|but|versus|vs)\b")
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
        begin = max(before, found.start() - REACH_BACK)
        for stop in _BREAK.finditer(text, begin, found.start()):
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
        return "not checked", "no estimate that belongs to the interval is close before it"
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
    if found is None or _BREAK.search(plain.text, report.end, found.start()):
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
