"""Recomputing a p-value from the statistic it was reported with.

The statistic is rounded, so what it allows is an interval of p-values; a report is in error where
no value of that interval agrees with it.
"""

import math
from dataclasses import dataclass
from typing import Literal

from scipy import special

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight.papers.statistics.records import Printed, parse_printed
from plumbrule.records import strict

TestName = Literal["t", "F", "chi2", "r", "z", "Q"]
Comparison = Literal["=", "<", ">", "ns"]

SLACK = 1e-9
"""Relative room for the rounding of the distribution functions themselves."""


@strict
@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """What a printed statistic says about its p-value, held against the one reported."""

    p: float
    """p of the statistic as printed."""

    p_low: float
    """Smallest p that the rounding of the statistic allows."""

    p_high: float
    """Largest p that it allows."""

    error: bool
    """No p of the interval agrees with the reported one, or that one is 0 or less."""

    decision_error: bool
    """Reported and recomputed p fall on opposite sides of the threshold, set whether or not
    `error` is; rounding alone can do that, so it counts against a report only with `error`."""

    fits_one_sided: bool
    """In error two-sided, and not in error when p is halved."""

    @property
    def in_words(self) -> str:
        """The recomputed p and its interval."""
        return f"p = {self.p:.4g}, within [{self.p_low:.4g}, {self.p_high:.4g}] by rounding"


def p_value(
    test: TestName, statistic: float, *, df1: float | None = None, df2: float | None = None
) -> float:
    """Two-sided p of t, z and r (r through t), upper tail of F, chi-square and Q.

    Args:
        test: Which distribution.
        statistic: In the test's own unit; t, z and r count by their size.
        df1: First degrees of freedom: F, chi-square and Q.
        df2: Second degrees of freedom: F, t and r.

    Raises:
        DataError: Degrees of freedom are missing or not positive, or the statistic is not
            one that this test can give.
    """
    size = abs(statistic)
    if test != "z":
        for name, df in (("df1", df1), ("df2", df2)):
            if name in _NEEDED[test] and not (df is not None and 0 < df < math.inf):
                raise DataError(f"{test} needs positive degrees of freedom {name}, got {df}")
    if test in ("F", "chi2", "Q") and statistic < 0:
        raise DataError(f"{test} is never negative, got {statistic:g}; check the sign")
    if test == "r" and size > 1:
        raise DataError(f"a correlation lies between -1 and 1, got {statistic:g}")
    if test == "z":
        return float(2 * special.ndtr(-size))
    if test == "F":
        return float(special.fdtrc(df1, df2, size))
    if test in ("chi2", "Q"):
        return float(special.chdtrc(df1, size))
    assert df2 is not None
    if test == "r":
        size = math.inf if size == 1 else size * math.sqrt(df2 / (1 - size * size))
    return 0.0 if size == math.inf else float(2 * special.stdtr(df2, -size))


_NEEDED: dict[str, tuple[str, ...]] = {
    "t": ("df2",),
    "F": ("df1", "df2"),
    "chi2": ("df1",),
    "r": ("df2",),
    "z": (),
    "Q": ("df1",),
}


def p_interval(
    test: TestName, printed: Printed, *, df1: float | None = None, df2: float | None = None
) -> tuple[float, float, float]:
    """Give p of a printed statistic and the ends of what its rounding allows."""
    p = p_value(test, float(printed.value), df1=df1, df2=df2)
    largest = float(abs(printed.value) + printed.half)
    low = p_value(test, min(largest, 1.0) if test == "r" else largest, df1=df1, df2=df2)
    smallest = float(abs(printed.value) - printed.half)
    high = 1.0 if smallest <= 0 else p_value(test, smallest, df1=df1, df2=df2)
    return p, low, high


def recompute(
    test: TestName,
    statistic: str,
    *,
    comparison: Comparison,
    p: str | None,
    df1: float | None = None,
    df2: float | None = None,
    alpha: float = 0.05,
    one_sided: bool = False,
    wrong_tail: bool = False,
) -> Recomputed:
    """Does the reported p follow from the reported statistic?

    Args:
        test: Which distribution.
        statistic: As printed; its last digit says how it was rounded.
        comparison: The sign before p; `ns` stands for p > `alpha`.
        p: As printed; None where `comparison` is `ns`.
        df1: First degrees of freedom: F, chi-square and Q.
        df2: Second degrees of freedom: F, t and r.
        alpha: Threshold of significance, between 0 and 1; p = `alpha` counts as significant.
        one_sided: Judge against half the two-sided p.
        wrong_tail: Judge against one less that half: one-sided, and the statistic points away.

    Raises:
        ConfigError: `alpha` is not between 0 and 1.
        DataError: A number cannot be read, or is none that the test can give, or p is above 1.

    Source:
        Nuijten et al. (2016), "The prevalence of statistical reporting errors in psychology",
        for the rounding of both numbers and the notion of a decision error.

    Example:
        >>> found = recompute("t", "2.20", df2=28, comparison="=", p=".03")
        >>> round(found.p, 6), found.error, found.decision_error
        (0.036225, True, False)
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha is between 0 and 1, got {alpha}")
    allowed = p_interval(test, parse_printed(statistic), df1=df1, df2=df2)
    half = (allowed[0] / 2, allowed[1] / 2, allowed[2] / 2)
    if wrong_tail:
        half, one_sided = (1 - half[0], 1 - half[2], 1 - half[1]), True
    reported = None
    if comparison != "ns":
        if p is None:
            raise DataError(f"a p-value stands behind {comparison!r}, got None")
        reported = parse_printed(p)
        if reported.value > 1:
            raise DataError(f"a p-value is at most 1, got {p}")
    error, decision = _against(reported, comparison, allowed, alpha)
    halved, halved_decision = _against(reported, comparison, half, alpha)
    chosen = half if one_sided else allowed
    return Recomputed(
        p=chosen[0],
        p_low=chosen[1],
        p_high=chosen[2],
        error=halved if one_sided else error,
        decision_error=halved_decision if one_sided else decision,
        fits_one_sided=error and not halved,
    )


def _against(
    reported: Printed | None,
    comparison: Comparison,
    allowed: tuple[float, float, float],
    alpha: float,
) -> tuple[bool, bool]:
    """Error and decision error of a report against what the statistic allows."""
    p, low, high = allowed[0], allowed[1] * (1 - SLACK), allowed[2] * (1 + SLACK)
    if reported is None:
        return alpha > high, p <= alpha
    value = float(reported.value)
    if comparison == "<":
        return value <= 0 or value < low, value <= alpha < p
    if comparison == ">":
        return value <= 0 or value > high, p <= alpha <= value
    error = value <= 0 or float(reported.low) > high or float(reported.high) < low
    return error, (value <= alpha) != (p <= alpha)
