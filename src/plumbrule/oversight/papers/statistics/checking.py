"""Degrees of freedom against sample sizes, and all checks of statistics over one text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from plumbrule.errors import ConfigError
from plumbrule.oversight.papers.statistics.means import (
    check_intervals,
    check_mean,
    check_mean_interval,
    check_slopes,
    check_standard_error,
    read_means,
)
from plumbrule.oversight.papers.statistics.records import StatisticFinding
from plumbrule.oversight.papers.statistics.testing import (
    ReportedTest,
    Throughout,
    check_p,
    read_tests,
)
from plumbrule.oversight.papers.statistics.text import (
    SPELLED,
    Plain,
    Surroundings,
    group_sizes,
    named_total,
    number_of_groups,
    simplify,
    surroundings,
    totals,
)
from plumbrule.oversight.papers.statistics.whole_numbers import check_percentages

_MANY_PER_PERSON = re.compile(
    r"[Mm]ixed|[Mm]ultilevel|[Hh]ierarchical|\btrials\b|[Ss]atterthwaite|[Kk]enward|[Rr]epeated"
    r"|rm-?ANOVA|[Mm]arginal means|[Ww]ithin[- ](?:subject|participant|person)"
    r"|\bobservations\b|\bsessions\b|\blmer\b|random (?:effects?|intercepts?|slopes?)"
)
_INDEPENDENT = re.compile(
    r"[Ii]ndependent|[Tt]wo-sample|[Bb]etween-(?:subjects|participants|groups)|[Ss]tudent's"
)
_PAIRED = re.compile(
    r"\b[Pp]aired|[Oo]ne-sample|\b[Dd]ependent-samples|[Ww]ithin-(?:subjects|participants)"
)
_ONE_WAY = re.compile(r"[Oo]ne-way|[Bb]etween-(?:subjects|participants|groups)")
_BETWEEN = re.compile(
    r"[Ii]ndependent[- ](?:samples?|groups?|t\b)|[Tt]wo-sample|[Ss]tudent's|[Oo]ne-way"
    r"|[Bb]etween[- ](?:subjects?|participants?|groups?|persons?)"
    r"|[Aa]cross (?:the |all )?(?:\d+ )?"
    r"(?:participants|persons|people|subjects|patients|students|pupils)"
)
"""Words which say that each person gave one observation, so that people bound the freedom."""

_TWO_WAY = re.compile(r"[Tt]wo-way|[Tt]hree-way|[Ff]actorial|ANCOVA|[Cc]ovariate|\d ?x ?\d")


@dataclass(frozen=True)
class _Bound:
    """Degrees of freedom of a test, and those that its design allows."""

    df: float
    low: float
    high: float
    rule: str
    """The bound in words, as the finding prints it."""


def check_freedom(
    plain: Plain, report: ReportedTest, near: Surroundings, *, all_totals: tuple[int, ...]
) -> StatisticFinding | None:
    """Hold degrees of freedom against the sample sizes nearby, for tests between persons alone.

    Within persons, in mixed models and after estimated marginal means there are more observations
    than people, and papers name these in too many ways to know them all; so a test is only looked
    at where its sentence, or the one before, says that it compares persons.

    Args:
        plain: The text that holds the report.
        report: What was read.
        near: The text around it.
        all_totals: Every size of a whole sample that the text names.

    Returns:
        None where no sample size can be tied to the test.
    """
    if report.test not in ("t", "F", "r") or report.df2 is None:
        return None
    bounds = _bounds(report, near, all_totals)
    if not bounds:
        return None
    broken = [each for each in bounds if not each.low <= each.df <= each.high]
    told = "; ".join(each.rule for each in bounds)
    problem = "; ".join(f"{each.rule}, the text has {each.df:g}" for each in broken)
    return plain.finding(
        (report.start, report.head_end),
        "degrees of freedom",
        "inconsistent" if broken else "consistent",
        problem or "the degrees of freedom fit the sample sizes given",
        told,
        {f"df{place}_most": each.high for place, each in enumerate(bounds, 1)},
    )


def _bounds(report: ReportedTest, near: Surroundings, all_totals: tuple[int, ...]) -> list[_Bound]:
    """What the sizes that are known allow; nothing where none bounds the test.

    Source:
        Welch (1947) for the lower bound with two groups: the smaller group less one.
    """
    df = report.df2
    assert df is not None
    if _MANY_PER_PERSON.search(near.text) or not _BETWEEN.search(near.lead):
        return []
    sizes = group_sizes(near.sentence)
    # A number of people can be a part of the sample, such as those who left, so without an N of its
    # own a test is held against the largest sample that the text names.
    exact = report.n or named_total(near.sentence)
    n = exact or max((*all_totals, sum(sizes)), default=0)
    if exact is None and len(all_totals) == 1:
        exact = all_totals[0]
    if report.test == "r":
        rule = f"a correlation over {n} pairs has at most {n - 2}"
        return [_Bound(df, 0, n - 2, rule)] if n > 2 else []
    if report.test == "F":
        return _bounds_f(report, near, n)
    paired = _PAIRED.search(near.sentence) is not None
    independent = _INDEPENDENT.search(near.sentence) is not None and not paired
    if independent and len(sizes) == 2:
        low, high = min(sizes) - 1, sum(sizes) - 2
        rule = f"two groups of {sizes[0]} and {sizes[1]} allow {low} to {high}"
        return [_Bound(df, low, high, rule)] if low > 0 else []
    if n < 2:
        return []
    if paired and exact and df == exact - 2:
        rule = f"pairs or one sample of {exact} give {exact - 1}; {exact - 2} belongs to two groups"
        return [_Bound(df, exact - 1, exact - 1, rule)]
    if independent and n > 2:
        return [_Bound(df, 0, n - 2, f"two groups of {n} in all allow at most {n - 2}")]
    return [_Bound(df, 0, n - 1, f"a sample of {n} allows at most {n - 1}")]


def _bounds_f(report: ReportedTest, near: Surroundings, n: int) -> list[_Bound]:
    """Of both degrees of freedom of a one-way analysis of variance between groups."""
    assert report.df1 is not None
    assert report.df2 is not None
    one_way = _ONE_WAY.search(near.lead) is not None and not _TWO_WAY.search(near.text)
    if not one_way or _PAIRED.search(near.text):
        return []
    groups = number_of_groups(near.lead)
    if groups is None:
        groups = int(report.df1) + 1
        if not n or report.df1 != int(report.df1):
            return []
    first = _Bound(report.df1, groups - 1, groups - 1, f"{groups} groups give {groups - 1}")
    if n <= groups:
        return [first]
    rule = f"{n} observations in {groups} groups allow at most {n - groups}"
    return [first, _Bound(report.df2, 0, n - groups, rule)]


MOST = 10_000
"""Findings of one kind in one text; a book has a few thousand."""


def check_statistics(
    text: str, *, alpha: float = 0.05, whole_numbers: bool = False, most: int = MOST
) -> tuple[StatisticFinding, ...]:
    """Recompute every reported statistic that can be recomputed, and name those that cannot.

    Args:
        text: A paper or a part of one: plain text, Markdown or LaTeX source.
        alpha: Threshold of significance that decision errors are judged by.
        whole_numbers: Take every mean for one of whole numbers; otherwise only those where the
            words nearby say so are put to GRIM and GRIMMER.
        most: Findings of one kind before the rest of the text is left unread, which is then
            itself a finding.

    Returns:
        Findings in the order of the text; `count_findings` counts them.

    Raises:
        ConfigError: `alpha` is not between 0 and 1, or `most` is below 1.

    Example:
        >>> found = check_statistics("The groups differed, t(28) = 2.20, p = .30.")
        >>> found[0].verdict, found[0].quote
        ('decision error', 't(28) = 2.20, p = .30')
    """
    if not 0 < alpha < 1 or most < 1:
        raise ConfigError(
            f"expected alpha between 0 and 1 and most of at least 1, got {alpha} and {most}"
        )
    plain = simplify(text)
    found = []
    for kind in (
        _tests(plain, alpha),
        _means(plain, whole_numbers),
        check_intervals(plain),
        check_slopes(plain),
        check_percentages(plain),
    ):
        part = list(islice(kind, most + 1))
        if len(part) > most:
            part[most] = _unread(plain, part[most])
        found += part
    return tuple(sorted(found, key=lambda each: (each.start, each.end, each.check)))


def _tests(plain: Plain, alpha: float) -> Iterator[StatisticFinding]:
    named = () if SPELLED.search(plain.text) else totals(plain.text)
    throughout = Throughout.of(plain.text)
    for report in read_tests(plain):
        near = surroundings(plain.text, report.start, report.end)
        yield check_p(plain, report, near, alpha=alpha, throughout=throughout)
        freedom = check_freedom(plain, report, near, all_totals=named)
        if freedom is not None:
            yield freedom


def _means(plain: Plain, whole_numbers: bool) -> Iterator[StatisticFinding]:
    for report in read_means(plain):
        yield check_mean(plain, report, whole_numbers=whole_numbers)
        for each in (check_standard_error(plain, report), check_mean_interval(plain, report)):
            if each is not None:
                yield each


def _unread(plain: Plain, last: StatisticFinding) -> StatisticFinding:
    return StatisticFinding(
        check="reading",
        verdict="not checked",
        quote=last.quote,
        start=last.start,
        end=last.end,
        reason=f"too many statistics of one kind: from character {last.start} on none was read",
    )
