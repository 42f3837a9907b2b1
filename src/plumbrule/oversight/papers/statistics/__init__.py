"""Checks of the statistics that a paper reports, by arithmetic alone.

`check_statistics` reads a whole text; the other functions take the numbers themselves.
"""

from plumbrule.oversight.papers.statistics.checking import check_statistics
from plumbrule.oversight.papers.statistics.p_values import Recomputed, p_value, recompute
from plumbrule.oversight.papers.statistics.records import (
    StatisticCounts,
    StatisticFinding,
    count_findings,
)
from plumbrule.oversight.papers.statistics.whole_numbers import Granularity, debit, grim, grimmer

__all__ = [
    "Granularity",
    "Recomputed",
    "StatisticCounts",
    "StatisticFinding",
    "check_statistics",
    "count_findings",
    "debit",
    "grim",
    "grimmer",
    "p_value",
    "recompute",
]
