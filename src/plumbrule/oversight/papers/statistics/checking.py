"""All checks of reported statistics over one text."""

from collections.abc import Iterator
from itertools import islice

from plumbrule.errors import ConfigError
from plumbrule.oversight.papers.statistics.context import (
    all_one_sided,
    corrects_somewhere,
    spells_out_a_size,
    surroundings,
    totals,
)
from plumbrule.oversight.papers.statistics.describing import check_mean, read_means
from plumbrule.oversight.papers.statistics.freedom import check_freedom
from plumbrule.oversight.papers.statistics.intervals import (
    check_intervals,
    check_mean_interval,
    check_slopes,
    check_standard_error,
)
from plumbrule.oversight.papers.statistics.percentages import check_percentages
from plumbrule.oversight.papers.statistics.plain import Plain, simplify
from plumbrule.oversight.papers.statistics.reading import read_tests
from plumbrule.oversight.papers.statistics.records import StatisticFinding
from plumbrule.oversight.papers.statistics.testing import Throughout, check_p

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
    named = () if spells_out_a_size(plain.text) else totals(plain.text)
    throughout = Throughout(
        one_sided=all_one_sided(plain.text), corrected=corrects_somewhere(plain.text)
    )
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
