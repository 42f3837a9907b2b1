"""Reported tests: found in a text, and whether their p-values follow from their statistics.

Every pattern here is bounded in length and runs on simplified text, so that the time grows with
the length of the text and no faster, whatever it holds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import get_args

from plumbrule.errors import DataError
from plumbrule.oversight.papers.statistics.p_values import (
    Comparison,
    Recomputed,
    TestName,
    recompute,
)
from plumbrule.oversight.papers.statistics.records import (
    Check,
    StatisticFinding,
    Verdict,
    parse_printed,
)
from plumbrule.oversight.papers.statistics.text import (
    ALL_ONE_SIDED,
    CORRECTS,
    ROUNDED_FREEDOM,
    TWO_SIDED,
    Plain,
    Surroundings,
    says_corrected,
    says_one_sided,
)

NUMBER = (
    r"(?:[-+] ?)?(?:\d{1,3}(?:,\d{3}){1,4}(?:\.\d{1,15})?|\d{1,15}(?:\.\d{1,15})?|\.\d{1,15})"
    r"(?!\d|,\d|\.\d)"
)
POWER = r"(?:[eE]-?\d{1,3}| ?x ?10 ?\^? ?- ?\d{1,3})?"
CUT, CUT_P = r"-?\d{1,3}\. \d{1,4}(?= ?[,;)])", r"0?\. \d{1,5}(?!\d)"
"""Numbers that a blank cuts in two behind their point, as in `t(58) = 4. 90, p < 0. 001`."""

REACH = 160
"""Characters after a statistic within which its p-value is looked for."""

_CHI = r"(?:(?:χ|\u03a7|[Cc]hi)[- ]?(?:\^? ?2|[Ss]quared?)|[Xx]\^?2|c2(?= ?\(\d))"
"""The last as the symbol font of a PDF spells it."""

_HEAD = re.compile(
    r"(?<![A-Za-z0-9_\\^.])"
    rf"(?:(?P<chi2>{_CHI})|(?P<Q>Q(?:[-_ ]?(?:[Bb]etween|[Ww]ithin|[BWMET]|[Tt]otal|b|w))?)"
    r"|(?:(?P<t>[tT])|(?P<F>[Ff])|(?P<z>[zZ]))(?:[- ](?:value|statistic|score|test|ratio))?"
    r"|(?P<r>r))"
    r"(?P<label>_(?:[A-Za-z]{1,12}))?"
    r"(?: ?\((?P<round>[^()\n]{1,60})\)| ?\[(?P<square>[^\[\]\n]{1,40})\]"
    r"|_\(?(?P<low>\d[\d.]{0,8}(?: ?, ?\d[\d.]{0,8})?)\)?(?:\^2)?"
    r"(?: ?\((?P<after>[^()\n]{1,40})\))?"
    r"|(?<=t)(?P<flat_t>\d{2,4}(?:\.\d{1,3})?)|(?<=F)(?P<flat_f>\d{1,3} ?, ?\d{1,5}))?"
    rf" ?(?P<sign><=|>=|[=<>~]) ?(?P<value>{CUT}|{NUMBER}|-?\d{{1,6}},\d{{1,6}})"
)
_P = re.compile(
    r"(?<![A-Za-z0-9_\\])(?<!η2 )(?<!η\^2 )(?<!η_)[pP](?:[- ]?values?|[- ]?val)?(?:'?s)?"
    r"(?:_(?P<kind>[A-Za-z0-9.-]{1,20})| ?\((?P<note>[A-Za-z -]{1,20})\))?"
    rf" ?(?P<sign><=|>=|[=<>~:]) ?(?:(?P<value>{CUT_P}|,\d{{1,4}}|\d,\d{{1,4}}"
    rf"|[01]?\.\d{{1,15}}(?![\d.]\d)(?!\d){POWER}|{NUMBER}{POWER})"
    r"|(?P<ns>n\.? ?s\.?)(?![A-Za-z]))"
)
_NS = re.compile(r" ?[,;(] ?(?P<ns>n\.? ?s\.?|N\.S\.|NS)(?![A-Za-z])")
_END = re.compile(r"[.!?]\)? [A-Z(]|\n")
_TURN = re.compile(
    r"\b(?:whereas|while|but|however|although|compared|neither)\b"
    r"|[a-z]{3,}(?: [a-z]{3,}){4}"
)
_DF_AFTER = re.compile(
    r"\bd\.?f\.? ?= ?\(?(\d{1,7}(?:\.\d{1,6})?(?: ?[,;] ?\d{1,7}(?:\.\d{1,6})?)?)"
)
_N_AFTER = re.compile(r"(?<![A-Za-z0-9_])[nN] ?= ?(\d{1,3}(?:,\d{3}){1,3}|\d{1,9})(?![\d.])")


@dataclass(frozen=True, kw_only=True)
class ReportedTest:
    """One result as a text reports it; numbers stay text because their last digit counts."""

    test: TestName
    statistic: str
    df1: float | None = None
    df2: float | None = None
    n: int | None = None
    """Sample size given beside the degrees of freedom."""

    comparison: Comparison = "="
    p: str | None = None
    problem: str | None = None
    """Why it cannot be recomputed; None where it can."""

    start: int
    """Place of the whole report in the simplified text."""

    end: int
    head_end: int
    """Where the statistic ends and what follows it begins."""


def read_tests(plain: Plain) -> Iterator[ReportedTest]:
    """Find every statistic that is printed with degrees of freedom or with a p-value."""
    ahead = _HEAD.finditer(plain.text)
    head = next(ahead, None)
    while head is not None:
        following = next(ahead, None)
        limit = min(len(plain.text), head.end() + REACH)
        if following is not None:
            limit = min(limit, following.start())
        report = _read(plain.text, head, limit)
        if report is not None:
            yield report
        head = following


def _read(text: str, head: re.Match[str], limit: int) -> ReportedTest | None:
    stop = _END.search(text, head.end(), limit)
    gap = text[head.end() : stop.start() + 1 if stop else limit]
    found = _P.search(gap) or _NS.match(gap[:30])
    if found is not None and _TURN.search(gap, 0, found.start()):
        found = None
    inside = head["round"] or head["low"] or head["square"] or head["flat_t"] or head["flat_f"]
    if found is None and not (head["round"] or head["square"]):
        return None
    if inside is None and head["sign"] != "=":
        return None
    end = head.end() + (found.end() if found else 0)
    report = ReportedTest(
        test=_kind(head),
        statistic=re.sub(r"\. ", ".", head["value"].replace("+", "")),
        start=head.start(),
        end=end,
        head_end=head.end(),
    )
    before_p = gap[: found.start()] if found else gap[:40]
    report = _with_freedom(report, inside, head["after"], before_p)
    if inside is not None and report.problem == "":
        return None
    problem = _shape_problem(head) or report.problem
    report = replace(report, problem=problem) if found is None else _with_p(report, found, problem)
    if found is None and problem is None:
        return replace(report, problem="no p-value of its own follows it")
    return report


def _kind(head: re.Match[str]) -> TestName:
    return next(name for name in get_args(TestName) if head[name])


def _shape_problem(head: re.Match[str]) -> str | None:
    if head["square"]:
        return "degrees of freedom in square brackets are not read"
    if head["sign"] != "=":
        return f"the statistic is given with {head['sign']!r}, not as a value"
    if "," in head["value"]:
        return "a comma in the statistic can mark thousands or decimals"
    if head["r"] and head["label"]:
        return "a correlation other than Pearson's has its own p-value"
    return None


def _with_freedom(
    report: ReportedTest, inside: str | None, after: str | None, gap: str
) -> ReportedTest:
    """Add degrees of freedom and n; an empty problem says that this is no test at all."""
    if inside is None:
        named = _DF_AFTER.search(gap)
        inside = named[1] if named else ""
    numbers, n = _split(inside + (", " + after if after else ""), single=report.test in ("t", "r"))
    if n is None:
        sized = _N_AFTER.search(gap)
        n = int(sized[1].replace(",", "")) if sized else None
    report = replace(report, n=n)
    if numbers is None:
        return replace(report, problem="")
    wanted = 2 if report.test == "F" else 0 if report.test == "z" else 1
    if report.test == "z":
        return report
    if report.test == "r" and not numbers and n is not None and n > 2:
        numbers = [float(n - 2)]
    if report.test == "chi2" and len(numbers) == 2 and n is None and numbers[1] >= numbers[0]:
        numbers, report = numbers[:1], replace(report, n=int(numbers[1]))
    if len(numbers) != wanted:
        many = "no" if not numbers else str(len(numbers))
        return replace(
            report, problem=f"{report.test} needs {wanted} degrees of freedom, got {many}"
        )
    if report.test == "F":
        return replace(report, df1=numbers[0], df2=numbers[1])
    if report.test in ("chi2", "Q"):
        return replace(report, df1=numbers[0])
    return replace(report, df2=numbers[0])


_PART = re.compile(r"(?:d\.?f\.?_?[12]? ?=? ?)?(\d{1,9}(?:\.\d{1,9})?)")
_SIZE = re.compile(r"[nN](?:_?[A-Za-z]{1,8})? ?= ?(\d{1,9})")


def _split(inside: str, *, single: bool = False) -> tuple[list[float] | None, int | None]:
    """Numbers and n between brackets; None for numbers where something else is there."""
    numbers, n = [], None
    # A thousands comma is followed by three digits and no blank, and APA puts a blank after others.
    if ", " in inside or single:
        inside = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", inside)
    for part in re.split(r"[,;]", inside):
        part = part.strip()
        if part in ("l", "I"):
            part = "1"
        number, size = _PART.fullmatch(part), _SIZE.fullmatch(part)
        if number:
            numbers.append(float(number[1]))
        elif size:
            n = int(size[1])
        elif part:
            return None, None
    return numbers, n


def _with_p(report: ReportedTest, found: re.Match[str], problem: str | None) -> ReportedTest:
    """Add the reported p-value, or why it cannot be compared."""
    groups = found.groupdict()
    if groups["ns"]:
        return replace(report, comparison="ns", problem=problem)
    kind = (groups.get("kind") or groups.get("note") or "").lower()
    sign, value = groups["sign"], re.sub(r"\. ", ".", groups["value"])
    if sign == "~":
        problem = problem or "the p-value is approximate"
    if value.startswith(",") or re.fullmatch(r"\d,\d{1,4}", value):
        problem = problem or "the p-value has a decimal comma"
    if re.match(r"adj|corr|fdr|bonf|holm|perm|boot|fwe|unc|rep|tukey|exact|bh|mc", kind):
        problem = problem or f"a p-value marked {kind!r} does not follow from the statistic alone"
    comparison: Comparison = "<" if "<" in sign else ">" if ">" in sign else "="
    return replace(report, comparison=comparison, p=value, problem=problem)


@dataclass(frozen=True, kw_only=True)
class Throughout:
    """What a text says of all its tests."""

    one_sided: bool
    corrected: bool
    """It names a correction for several comparisons, whichever of them it was made for."""

    @classmethod
    def of(cls, text: str) -> "Throughout":
        """Look for the words that say so."""
        return cls(
            one_sided=ALL_ONE_SIDED.search(text) is not None,
            corrected=CORRECTS.search(text) is not None,
        )


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
    if halves and not TWO_SIDED.search(near.text):
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
    whole = ROUNDED_FREEDOM.search(near.text) is not None
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
