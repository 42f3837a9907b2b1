"""Which claims are confirmed when they come one after another and each is decided before the next.

`e_lond` takes e-values and holds whatever the dependence between the claims. `saffron`,
`lord_plus_plus`, `addis` and plain `lond` take p-values and hold ONLY WHERE THE P-VALUES ARE
INDEPENDENT: each computed on data that no other one saw. Claims about the same prompts, the same
replies or the same judge's mistakes are dependent, and there the share of false claims can be
many times the level.

Every level offered depends on earlier values alone. So a stream that has grown is handed in
again from its beginning, and the decisions already made come out the same.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Real

from plumbrule.errors import ConfigError, DataError
from plumbrule.statistics.checks import check_some
from plumbrule.statistics.multiple import check_false_share, checked_evidence

Evidence = Real[np.ndarray, " tests"]


@dataclass(frozen=True, kw_only=True, eq=False)  # arrays have no single "equal"
class OnlineDecisions:
    """What was decided about each test, in the order the tests came."""

    levels: Float[np.ndarray, " tests"]
    """Level offered to each test, known before its value was: the most its p-value may be, and
    one over the least its e-value must be."""

    rejected: Bool[np.ndarray, " tests"]
    """True where the null is rejected, which confirms the claim."""


def e_lond(e_values: Evidence, *, level: float) -> OnlineDecisions:
    """Decide a stream of claims by e-values, whatever the dependence between them.

    The one to use for claims on the same prompts. `e_bh` claims more where all claims can wait
    for one another.

    Args:
        e_values: One per claim, in the order they came, those that came to nothing included.
        level: Largest expected share of false claims among those made, after any number of tests.

    Returns:
        Levels and decisions; a claim is confirmed where its e-value is at least one over its level.

    Raises:
        ConfigError: `level` is not strictly between 0 and 1.
        DataError: An e-value is negative or not a number, or they do not lie along one axis.

    Source:
        Xu & Ramdas (2024), "Online multiple testing with e-values", AISTATS: e-LOND.

    Example:
        >>> e_lond(np.array([2000.0, 0.3, 2000.0]), level=0.05).rejected.tolist()
        [True, False, True]
    """
    check_false_share(level)
    evidence = checked_evidence(e_values, name="e-values")
    return _by_discoveries(evidence, level * _slow_shares(evidence.size), e_values=True)


def lond(p_values: Evidence, *, level: float, dependent: bool = False) -> OnlineDecisions:
    """Decide a stream of claims by p-values, with levels that grow with the number of discoveries.

    INDEPENDENT P-VALUES ONLY, unless `dependent`. The least powerful of these procedures.

    Args:
        p_values: One per claim, in the order they came, those that came to nothing included.
        level: Largest expected share of false claims among those made, after any number of tests.
        dependent: Divide level number t by 1 + 1/2 + ... + 1/t, which then holds whatever the
            dependence and costs much power: `e_lond` is better where there are e-values.

    Raises:
        ConfigError: `level` is not strictly between 0 and 1.
        DataError: A p-value is outside [0, 1] or not a number, or they are not along one axis.

    Source:
        Javanmard & Montanari (2018), "Online rules for control of false discovery rate and false
        discovery exceedance", Annals of Statistics 46; the division from arXiv 1502.06197.

    Example:
        >>> lond(np.array([0.001, 0.3, 0.001]), level=0.05).rejected.tolist()
        [True, False, False]
    """
    check_false_share(level)
    evidence = checked_evidence(p_values, largest=1.0, name="p-values")
    base = level * _slow_shares(evidence.size)
    if dependent:
        base /= np.cumsum(1.0 / np.arange(1, evidence.size + 1))
    return _by_discoveries(evidence, base, e_values=False)


def lord_plus_plus(
    p_values: Evidence, *, level: float, initial_share: float = 0.1
) -> OnlineDecisions:
    """Decide a stream of claims by p-values, with levels fed by the discoveries before.

    INDEPENDENT P-VALUES ONLY. For discoveries that are rare among the tests.

    Args:
        p_values: One per claim, in the order they came, those that came to nothing included.
        level: Largest expected share of false claims among those made, after any number of tests.
        initial_share: Part of `level` that may be spent before the first discovery.

    Raises:
        ConfigError: `level` or `initial_share` is not strictly between 0 and 1.
        DataError: A p-value is outside [0, 1] or not a number, or they are not along one axis.

    Source:
        Ramdas, Yang, Wainwright & Jordan (2017), "Online control of the false discovery rate with
        decaying memory", NeurIPS; constants as in the R package onlineFDR.

    Example:
        >>> lord_plus_plus(np.array([1e-5, 0.3, 0.0004]), level=0.05).rejected.tolist()
        [True, False, True]
    """
    check_false_share(level)
    evidence = checked_evidence(p_values, largest=1.0, name="p-values")
    return _by_wealth(
        evidence,
        charged=np.ones(evidence.size, dtype=bool),
        shares=_slow_shares(evidence.size),
        level=level,
        initial_share=initial_share,
    )


def saffron(
    p_values: Evidence,
    *,
    level: float,
    candidate_bound: float = 0.5,
    initial_share: float = 0.5,
) -> OnlineDecisions:
    """Decide a stream of claims by p-values; small ones cost nothing, so many may be found.

    INDEPENDENT P-VALUES ONLY. For streams in which discoveries are common.

    Args:
        p_values: One per claim, in the order they came, those that came to nothing included.
        level: Largest expected share of false claims among those made, after any number of tests.
        candidate_bound: Up to this a p-value is a candidate, and its test is not charged.
        initial_share: Part of `level` that may be spent before the first discovery.

    Raises:
        ConfigError: `level`, `candidate_bound` or `initial_share` is not strictly between 0 and 1.
        DataError: A p-value is outside [0, 1] or not a number, or they are not along one axis.

    Source:
        Ramdas, Zrnic, Wainwright & Jordan (2018), "SAFFRON: an adaptive algorithm for online
        control of the false discovery rate", ICML; constants as in the R package onlineFDR.

    Example:
        >>> saffron(np.array([0.001, 0.3, 0.01]), level=0.05).rejected.tolist()
        [True, False, True]
    """
    check_false_share(level)
    _check_share(candidate_bound, name="candidate_bound")
    evidence = checked_evidence(p_values, largest=1.0, name="p-values")
    return _by_wealth(
        evidence,
        charged=evidence > candidate_bound,
        shares=_fast_shares(evidence.size),
        level=level,
        initial_share=initial_share,
        spent=1.0 - candidate_bound,
        largest=candidate_bound,
    )


def addis(
    p_values: Evidence,
    *,
    level: float,
    candidate_bound: float = 0.25,
    discard_bound: float = 0.5,
    initial_share: float = 0.5,
) -> OnlineDecisions:
    """Decide a stream of claims by p-values, some of which are larger than chance would make them.

    INDEPENDENT P-VALUES ONLY. For nulls with room to spare, such as "better by at least 0.1"
    where most are not better at all.

    Args:
        p_values: One per claim, in the order they came, those that came to nothing included.
        level: Largest expected share of false claims among those made, after any number of tests.
        candidate_bound: Up to this a p-value is a candidate, and its test is not charged.
        discard_bound: Above this a p-value says nothing, and its test is not charged either.
        initial_share: Part of `level` that may be spent before the first discovery.

    Raises:
        ConfigError: `level` or `initial_share` is not strictly between 0 and 1, or the bounds
            are not in the order 0, candidate, discard, 1.
        DataError: A p-value is outside [0, 1] or not a number, or they are not along one axis.

    Source:
        Tian & Ramdas (2019), "ADDIS: an adaptive discarding algorithm for online FDR control with
        conservative nulls", NeurIPS; constants as in the R package onlineFDR.

    Example:
        >>> addis(np.array([0.001, 0.9, 0.005]), level=0.05).rejected.tolist()
        [True, False, True]
    """
    check_false_share(level)
    if not 0.0 < candidate_bound < discard_bound <= 1.0:
        raise ConfigError(
            "candidate_bound must be above 0 and below discard_bound, and that at most 1; "
            f"got {candidate_bound} and {discard_bound}"
        )
    evidence = checked_evidence(p_values, largest=1.0, name="p-values")
    return _by_wealth(
        evidence,
        charged=(evidence > candidate_bound) & (evidence <= discard_bound),
        shares=_fast_shares(evidence.size),
        level=level,
        initial_share=initial_share,
        spent=discard_bound - candidate_bound,
        largest=candidate_bound,
    )


def monte_carlo_p_value(observed: float, simulated: Real[np.ndarray, " draws"]) -> float:
    """Say how often chance alone does at least as well as what was observed.

    Args:
        observed: The statistic of the data; larger speaks more against the null.
        simulated: The same statistic of data drawn under the null.

    Returns:
        The p-value, counting the observation among the draws: it is never 0, and below 1 in 20
        it needs at least 20 draws.

    Raises:
        DataError: No draws, a statistic that is not a number, or draws not along one axis.

    Source:
        Phipson & Smyth (2010), "Permutation P-values should never be zero".

    Example:
        >>> monte_carlo_p_value(3.0, np.array([1.0, 2.0, 3.0, 0.5]))
        0.4
    """
    draws = np.asarray(simulated, dtype=np.float64)
    if draws.ndim != 1:
        raise DataError(f"the draws must lie along one axis, got the shape {draws.shape}")
    check_some(draws.size, name="a Monte-Carlo p-value")
    if math.isnan(observed) or np.isnan(draws).any():
        raise DataError(
            "the statistic must be a number for the data and for every draw, got NaN; "
            "define it for every draw, since leaving draws out would bend the p-value"
        )
    return (1 + int((draws >= observed).sum())) / (draws.size + 1)


def _fast_shares(count: int) -> Float[np.ndarray, " ages"]:
    """Share of a wealth spent on the first test after it came in, the second, ...: 1 in all."""
    ages = np.arange(1, count + 1, dtype=np.float64)
    return np.asarray(0.4374901658 * ages**-1.6)


def _slow_shares(count: int) -> Float[np.ndarray, " ages"]:
    """As above, with far more left for later tests: 1 in all after very many."""
    ages = np.arange(1, count + 1, dtype=np.float64)
    shares = np.log(np.maximum(ages, 2.0)) / (ages * np.exp(np.sqrt(np.log(ages))))
    return np.asarray(0.07720838 * shares)


def _by_discoveries(
    evidence: Float[np.ndarray, " tests"], base: Float[np.ndarray, " tests"], *, e_values: bool
) -> OnlineDecisions:
    """Offer the base level times one more than the discoveries so far."""
    levels, rejected = np.zeros(evidence.size), np.zeros(evidence.size, dtype=bool)
    discoveries = 0
    for test, value in enumerate(evidence.tolist()):
        offered = float(base[test]) * (discoveries + 1)
        levels[test] = offered
        rejected[test] = value >= 1.0 / offered if e_values else value <= offered
        discoveries += int(rejected[test])
    return OnlineDecisions(levels=levels, rejected=rejected)


def _by_wealth(
    p_values: Float[np.ndarray, " tests"],
    *,
    charged: Bool[np.ndarray, " tests"],
    shares: Float[np.ndarray, " tests"],
    level: float,
    initial_share: float,
    spent: float = 1.0,
    largest: float = 1.0,
) -> OnlineDecisions:
    """Spend an initial wealth and one more after every discovery, each in shares that fall.

    A wealth grows older with every charged test after the one that brought it in. What the three
    procedures differ in is which tests are charged; the rest is the same sum.
    """
    _check_share(initial_share, name="initial_share")
    count = p_values.size
    levels, rejected = np.zeros(count), np.zeros(count, dtype=bool)
    wealth = np.full(count + 2, level)
    wealth[0], wealth[1] = initial_share * level, (1.0 - initial_share) * level
    born = np.zeros(count + 1, dtype=np.int64)  # charged tests so far when each wealth came in
    sources, clock = 1, 0
    for test in range(count):
        offered = float(wealth[:sources] @ shares[clock - born[:sources]])
        levels[test] = min(largest, spent * offered)
        clock += int(charged[test])
        if p_values[test] <= levels[test]:
            rejected[test] = True
            born[sources] = clock
            sources += 1
    return OnlineDecisions(levels=levels, rejected=rejected)


def _check_share(value: float, *, name: str) -> None:
    if not 0.0 < value < 1.0:
        raise ConfigError(f"{name} must be strictly between 0 and 1, got {value}")
