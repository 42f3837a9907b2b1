"""A rate from few labels by people and many by a judge, however wrong the judge is.

People's labels alone are right and few; a judge's are many and wrong in an unknown way. The mean of
the judge over all replies, moved by how far it was off where people looked, is right whatever the
judge does, and the surer the better the judge. The pool is every reply that the judge scored, drawn
like those that the rate speaks of; people labeled a part of it, drawn with known probability.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy import special, stats

from plumbrule.errors import DataError
from plumbrule.records import Estimate
from plumbrule.statistics.checks import bounded, check_level, check_some
from plumbrule.statistics.intervals import clopper_pearson

Labeled = Real[np.ndarray, " labeled"] | Bool[np.ndarray, " labeled"]
"""One number per reply that people labeled; true and false count as 1 and 0."""

Rest = Real[np.ndarray, " rest"] | Bool[np.ndarray, " rest"]
"""One number per reply that only the judge saw."""

Strata = tuple[Int[np.ndarray, " labeled"], Int[np.ndarray, " rest"]]

UNSEEN = 1.0
"""Labels that each group is taken to have besides its own, half yes and half no, where a spread is
estimated: what Jeffreys' prior amounts to. Where no error was seen, there may still be some."""

ENDS = 0.4
"""What is added to a count at its nearer end of an interval: 0.5 is Jeffreys', 0 Clopper and
Pearson's. At 100 labels Jeffreys' own cover 93.3% at the worst of the rates and judges of
`benchmarks/judges_certified.py`; so a fifth of the way to the exact ones. Ours."""

DRAWS = 4_000
"""Draws from which the ends of a sum over groups are read, always the same for the same data."""

LEAST_FOR_SLOPE = 10
"""Labels a group needs before the judge's scores within it are used: a slope of fewer is chance."""

BINS, LEAST_IN_BIN = 5, 10
"""Most groups of like scores in which a judge's errors are looked at, and labels in each."""


@dataclass(frozen=True, kw_only=True)
class CorrectedRate:
    """A rate that a judge's errors were taken out of, or why there is none."""

    estimate: Estimate | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class LabelsNeeded:
    """How many labels by people a rate needs; None where no number of them is enough."""

    random: int
    """Without the judge, replies drawn at random."""

    with_judge: int | None
    """Drawn at random, beside the judge's scores of the pool."""

    where_unsure: int | None
    """Drawn more often where the judge's score says little, beside the same scores."""

    reason: str | None
    """Why there is no number."""


def prediction_powered_mean(
    human: Labeled,
    judge_on_the_same: Labeled,
    judge_on_the_rest: Rest,
    *,
    probabilities: Real[np.ndarray, " labeled"] | None = None,
    strata: Strata | None = None,
    level: float = 0.95,
    unit: str,
) -> Estimate:
    """Estimate a rate from people's labels of some replies and a judge's scores of all.

    Replies are taken in two groups, scored above the pool's mean and below, and within each the
    scores get the weight that makes the spread least, from 0 to 1: for a judge that says yes or no
    that is PPI++ with the tuned weight. The interval comes from drawing each group's rate as
    Jeffreys' posterior has it, a little wider, at the number of plain labels that would tell as
    much, and adding them. A normal interval is far too narrow where the rate is near 0 or few of
    the judge's errors happened to be seen.

    Args:
        human: Labels by people, from 0 to 1; yes and no count as 1 and 0.
        judge_on_the_same: The judge's verdicts or probabilities, from 0 to 1, on the same replies.
        judge_on_the_rest: The same on all other replies of the pool.
        probabilities: Chance that each labeled reply had to be labeled, above 0 and at most 1, each
            drawn by itself; None: all the same.
        strata: Stratum of each labeled reply and of each other one, where a number was drawn from
            each; None: one.
        level: Two-sided confidence level, strictly between 0 and 1.
        unit: What the rate counts; copied into the result.

    Returns:
        The rate of the population that the pool was drawn from; `n` is the number of labels.

    Raises:
        ConfigError: `level` is not strictly between 0 and 1.
        DataError: Arrays of other lengths, a number outside its bounds, or a stratum without
            labels.

    Source:
        Angelopoulos, Duchi & Zrnic (2023), "PPI++: Efficient Prediction-Powered Inference",
        arXiv:2311.01453: the tuned weight. Zrnic & Candes (2024), "Active Statistical Inference",
        arXiv:2403.03208: unequal probabilities; here as shares (Hajek). Brown, Cai & DasGupta
        (2001), "Interval estimation for a binomial proportion": Jeffreys' interval, which ends at 0
        and 1 where the rate does. Korn & Graubard (1998), "Confidence intervals for proportions
        with small expected number of positive counts estimated from survey data": the effective
        number. Groups, and their sum, are ours.

    Example:
        >>> truth = np.tile([1, 0, 0, 0, 0], 20)
        >>> judge = np.tile([1, 0, 0, 0, 1, 1, 0, 0, 0, 0], 10)  # wrong once in ten
        >>> found = prediction_powered_mean(truth, judge, np.tile(judge, 20), unit="share")
        >>> alone = clopper_pearson(20, 100, unit="share")
        >>> round(found.value, 2), found.high - found.low < 0.85 * (alone.high - alone.low)
        (0.2, True)
    """
    check_level(level)
    y = bounded(human, low=0.0, high=1.0, name="human labels")
    f = bounded(judge_on_the_same, low=0.0, high=1.0, name="judge's scores of the labeled replies")
    rest = bounded(judge_on_the_rest, low=0.0, high=1.0, name="judge's scores of the rest")
    check_some(y.size, name="a rate from people and a judge")
    _check_length(f, y.size, "judge's scores of the labeled replies")
    chance = _chances(probabilities, y.size)
    total = y.size + rest.size
    parts = []
    for same, others in _groups(f, rest, strata):
        drawn = None if chance is None else chance[same]
        parts.append(_part(y[same], f[same], rest[others], drawn, level))
    mean = min(sum(each.size * each.mean for each in parts) / total, 1.0)
    low, high = _of_sum(parts, mean, level)
    return Estimate(
        value=mean,
        low=min(low, mean),
        high=max(high, mean),
        level=level,
        n=y.size,
        unit=unit,
        method="PPI++ in two groups, beta intervals",
    )


def weighted_rate(
    values: Labeled,
    probabilities: Real[np.ndarray, " labeled"] | None,
    *,
    level: float = 0.95,
    unit: str,
) -> Estimate:
    """Estimate a rate from labels that were drawn with unequal, known probability.

    Args:
        values: Yes or no for each reply, as 1 and 0.
        probabilities: Chance that each had to be labeled; None, or all the same: a plain rate with
            its exact interval.
        level: Two-sided confidence level.
        unit: What the rate counts.

    Returns:
        The rate; `n` is the number of plain labels that tell as much, rounded down.

    Raises:
        ConfigError: `level` is out of range.
        DataError: No values, or a number outside its bounds.

    Source:
        Hajek's share; the interval is at the effective number of Korn & Graubard (1998).

    Example:
        >>> found = weighted_rate(np.array([1, 1, 0, 0]), np.array([1, 1, 0.5, 0.5]), unit="share")
        >>> round(found.value, 3)
        0.333
    """
    check_level(level)
    y = bounded(values, low=0.0, high=1.0, name="values")
    check_some(y.size, name="a rate")
    chance = _chances(probabilities, y.size)
    if chance is None or np.ptp(chance) == 0:
        return clopper_pearson(round(float(y.sum())), y.size, level=level, unit=unit)
    share = (1 / chance) / (1 / chance).sum()
    mean = float(share @ y)
    variance, _ = _spread(share, y - mean, mean, used=min(1, y.size - 1))
    effective = _effective(_plain(mean, share) / variance, y.size - 1, level)
    low, high = _ends(mean, effective, level)
    return Estimate(
        value=mean,
        low=low,
        high=high,
        level=level,
        n=max(int(effective), 1),
        unit=unit,
        method="Hajek, beta interval at the effective number",
    )


def corrected_rate(
    flagged: int,
    judged: int,
    *,
    found: int,
    broken: int,
    cleared: int,
    kept: int,
    level: float = 0.95,
    unit: str,
) -> CorrectedRate:
    """Correct the rate at which a judge flags replies for its sensitivity and specificity.

    For replies that nobody labeled, on the strength of others that people did: it assumes that the
    judge errs on both alike.

    Args:
        flagged: Replies that the judge flagged.
        judged: Replies that it judged.
        found: Known broken replies that it flagged.
        broken: Known broken replies that it judged.
        cleared: Known kept replies that it did not flag.
        kept: Known kept replies that it judged.
        level: Two-sided confidence level.
        unit: What the rate counts.

    Returns:
        The rate with an interval that holds the uncertainty of all three; no estimate, and the
        reason, where the known replies do not show that the judge does better than chance.

    Raises:
        ConfigError: `level` is out of range.
        DataError: More of a kind than there are, or nothing was judged.

    Source:
        Rogan & Gladen (1978), "Estimating prevalence from the results of a screening test": the
        rate. Lang & Reiczigel (2014), "Confidence limits for prevalence of disease adjusted for
        estimated sensitivity and specificity", Preventive Veterinary Medicine 113: the interval.
        Fisher's exact test, one-sided at 5%: whether it does better than chance.

    Example:
        >>> seen = corrected_rate(
        ...     300, 1000, found=90, broken=100, cleared=80, kept=100, unit="share"
        ... ).estimate
        >>> round(seen.value, 3), round(seen.low, 3), round(seen.high, 3)
        (0.143, 0.021, 0.236)
    """
    check_level(level)
    for yes, count, name in (
        (flagged, judged, "flagged"), (found, broken, "found"), (cleared, kept, "cleared"),
    ):  # fmt: skip
        if not 0 <= yes <= count:
            raise DataError(f"`{name}` must be between 0 and their number, got {yes} of {count}")
    check_some(judged, name="a corrected rate")
    if not broken or not kept:
        return CorrectedRate(
            estimate=None,
            reason=f"it is known of {broken} broken and {kept} kept replies; both kinds are needed",
        )
    table = [[found, broken - found], [kept - cleared, cleared]]
    chance = float(stats.fisher_exact(table, alternative="greater").pvalue)
    if chance > 0.05:
        return CorrectedRate(
            estimate=None,
            reason=f"the judge does no better than chance on known replies: it flagged {found} of "
            f"{broken} broken and {kept - cleared} of {kept} kept ones (p = {chance:.2g})",
        )
    z = float(stats.norm.isf((1 - level) / 2))
    youden = found / broken + cleared / kept - 1
    value = min(max((flagged / judged + cleared / kept - 1) / youden, 0.0), 1.0)
    # All three rates are moved a little toward one half, as Agresti and Coull do for one.
    q, size = (flagged + z * z / 2) / (judged + z * z), judged + z * z
    se, sp = (found + 1) / (broken + 2), (cleared + 1) / (kept + 2)
    of_se, of_sp = se * (1 - se) / (broken + 2), sp * (1 - sp) / (kept + 2)
    middle = (q + sp - 1) / (se + sp - 1)
    half = (
        z
        * math.sqrt(q * (1 - q) / size + middle**2 * of_se + (1 - middle) ** 2 * of_sp)
        / (se + sp - 1)
    )
    shift = 2 * z * z * (middle * of_se - (1 - middle) * of_sp)
    low, high = (min(max(middle + shift + side * half, 0.0), 1.0) for side in (-1, 1))
    return CorrectedRate(
        estimate=Estimate(
            value=value,
            low=min(low, value),
            high=max(high, value),
            level=level,
            n=judged,
            unit=unit,
            method="Rogan-Gladen, Lang-Reiczigel interval",
        ),
        reason=None,
    )


def unsureness(
    human: Labeled, judge_on_the_same: Labeled, judge_on_the_pool: Rest
) -> Float[np.ndarray, " rest"]:
    """How far a label is from what a judge's score says of it, for each reply of a pool.

    Args:
        human: Labels of a first, randomly drawn part, from 0 to 1.
        judge_on_the_same: The judge's scores of these.
        judge_on_the_pool: The judge's scores of the replies to draw from.

    Returns:
        Root mean square error at each reply's score, in score points: that of the first labels of
        like score, in groups of ten or more.

    Raises:
        DataError: No labels, or arrays of other lengths.
    """
    y = bounded(human, low=0.0, high=1.0, name="human labels")
    f = bounded(judge_on_the_same, low=0.0, high=1.0, name="judge's scores of the labeled replies")
    pool = bounded(judge_on_the_pool, low=0.0, high=1.0, name="judge's scores of the pool")
    check_some(y.size, name="a judge's error")
    _check_length(f, y.size, "judge's scores of the labeled replies")
    values = np.unique(f)
    if values.size <= BINS:  # verdicts, or few steps: each by itself
        cuts = (values[1:] + values[:-1]) / 2
    else:
        bins = max(1, min(BINS, y.size // LEAST_IN_BIN))
        cuts = np.unique(np.quantile(f, np.arange(1, bins) / bins))
    own, others = np.digitize(f, cuts), np.digitize(pool, cuts)
    found = np.empty(pool.size)
    for group in range(cuts.size + 1):
        seen = y[own == group]
        mean = float(seen.mean()) if seen.size else float(y.mean())
        squares = float(((seen - mean) ** 2).sum())
        found[others == group] = math.sqrt(_smoothed(squares, mean, seen.size))
    return found


def inclusion_probabilities(
    unsure: Real[np.ndarray, " items"], labels: int, *, at_random: float = 0.2
) -> Float[np.ndarray, " items"]:
    """With what chance to have each reply labeled, so that a rate is known best.

    Args:
        unsure: How far a label may be from what is expected of it, 0 or more, in any unit; see
            `unsureness`.
        labels: Expected number of labels, above 0 and at most the number of replies.
        at_random: Share of the labels that goes to all replies alike: what nobody doubts may be
            wrong as well.

    Returns:
        One probability per reply, above 0 and at most 1; their sum is `labels`. Draw each alone.

    Raises:
        DataError: A number is out of its range.

    Source:
        Zrnic & Candes (2024), arXiv:2403.03208: in proportion to the root of the expected squared
        error, mixed with equal chances.

    Example:
        >>> inclusion_probabilities(np.array([0.4, 0.2, 0.1, 0.1]), 2).round(3).tolist()
        [0.9, 0.5, 0.3, 0.3]
    """
    doubt = bounded(unsure, low=0.0, high=math.inf, name="unsureness")
    if not 0 < labels <= doubt.size:
        raise DataError(
            f"labels must be above 0 and at most the number of replies, got {labels} of "
            f"{doubt.size}; label all of them, or draw from more"
        )
    if not 0 <= at_random <= 1:
        raise DataError(f"at_random must be between 0 and 1, got {at_random}")
    total = doubt.sum()
    wanted = at_random / doubt.size + (1 - at_random) * (
        doubt / total if total else np.full(doubt.size, 1 / doubt.size)
    )
    chance = labels * wanted
    while (chance > 1).any():
        sure = chance >= 1
        left = float(chance[~sure].sum())
        if left == 0:
            break
        chance = np.where(sure, 1.0, chance * (labels - int(sure.sum())) / left)
    return np.minimum(chance, 1.0)


def labels_needed(
    half_width: float,
    human: Labeled,
    judge_on_the_same: Labeled,
    judge_on_the_rest: Rest,
    *,
    level: float = 0.95,
) -> LabelsNeeded:
    """Say how many labels by people a rate needs, with this judge and without.

    Args:
        half_width: Wanted distance from the rate to the end of its interval, above 0, in points of
            the rate: 0.03 for three points.
        human: Labels of a first, randomly drawn part, from 0 to 1.
        judge_on_the_same: The judge's scores of these.
        judge_on_the_rest: Its scores of all other replies of the pool.
        level: Two-sided confidence level.

    Returns:
        Numbers of labels in all, the first ones included, by the normal approximation.

    Raises:
        ConfigError: `level` is out of range.
        DataError: Arrays of other lengths, no labels, or a half-width of 0 or less.
    """
    check_level(level)
    if not 0 < half_width < 1:
        raise DataError(f"half_width must be above 0 and below 1, got {half_width}")
    y = bounded(human, low=0.0, high=1.0, name="human labels")
    f = bounded(judge_on_the_same, low=0.0, high=1.0, name="judge's scores of the labeled replies")
    rest = bounded(judge_on_the_rest, low=0.0, high=1.0, name="judge's scores of the rest")
    check_some(y.size, name="a number of labels")
    _check_length(f, y.size, "judge's scores of the labeled replies")
    pool = y.size + rest.size
    parts = [
        _part(y[same], f[same], rest[others], None, level)
        for same, others in _groups(f, rest, None)
    ]
    mean = float(y.mean())
    single = _smoothed(y.size * mean * (1 - mean), mean, y.size)
    wanted = (half_width / float(stats.norm.isf((1 - level) / 2))) ** 2
    random = math.ceil(single / wanted)
    left = wanted - single / pool
    if left <= 0:
        reason = (
            f"a pool of {pool} replies is too small: it differs by more than {half_width:g} from "
            "what it was drawn from; have the judge score more"
        )
        return LabelsNeeded(random=random, with_judge=None, where_unsure=None, reason=reason)
    doubt = unsureness(y, f, np.concatenate([f, rest]))
    shape = 0.2 + 0.8 * doubt / doubt.mean()
    unequal = float((doubt**2 / shape).mean())
    return LabelsNeeded(
        random=random,
        with_judge=_of_pool(sum(each.size * each.single for each in parts) / pool, left, pool),
        where_unsure=_of_pool(unequal, left, pool),
        reason=None,
    )


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One group of the pool: its rate, plain labels that tell as much, variance of a label."""

    size: int
    mean: float
    effective: float | int
    single: float


def _part(
    y: Float[np.ndarray, " labeled"],
    f: Float[np.ndarray, " labeled"],
    rest: Float[np.ndarray, " rest"],
    chance: Float[np.ndarray, " labeled"] | None,
    level: float,
) -> _Part:
    n, size = y.size, y.size + rest.size
    drawn = np.full(n, n / size) if chance is None else chance
    share = (1 / drawn) / (1 / drawn).sum()
    plain = float(share @ y)
    own, judged = y - plain, f - share @ f
    slope = 0.0
    if n >= LEAST_FOR_SLOPE and np.ptp(f) > 0:
        slope = float(share**2 @ (own * judged)) / float(share**2 @ judged**2)
        slope = min(max(slope, 0.0), 1.0)
    everyone = (float(f.sum()) + float(rest.sum())) / size
    mean = min(max(plain + slope * (everyone - float(share @ f)), 0.0), 1.0)
    used = min(1 + (slope > 0), n - 1)
    _, single = _spread(share, own - slope * judged, plain, used=used)
    effective: float = n
    if slope > 0 or np.ptp(drawn) > 0:  # else it is a plain count
        # What was labeled for certain is known: only what might not have been drawn varies.
        left = float(share**2 @ (1 - drawn)) / float(share @ share)
        errors = (own - slope * judged) * np.sqrt(1 - drawn)
        variance, _ = _spread(share, errors, plain, used, left)
        one = _plain(mean, share)
        effective = _effective(one / (variance + one / size), n - used, level)
    return _Part(size=size, mean=mean, effective=effective, single=single)


def _of_sum(parts: Sequence[_Part], mean: float, level: float) -> tuple[float, float]:
    """Ends of the rate that groups have together, from draws of each."""
    if len(parts) == 1:
        return _ends(mean, parts[0].effective, level)
    chance = np.random.default_rng(0)
    total = sum(each.size for each in parts)
    # How the pool is made up is itself a draw.
    between = sum(each.size * (each.mean - mean) ** 2 for each in parts) / total**2
    lower = math.sqrt(between) * chance.standard_normal(DRAWS)
    upper = lower.copy()
    for each in parts:
        yes, no = each.effective * each.mean, each.effective * (1 - each.mean)
        share = each.size / total
        if each.mean > 0:
            lower += share * chance.beta(yes + ENDS, no + 1 - ENDS, DRAWS)
        if each.mean < 1:
            upper += share * chance.beta(yes + 1 - ENDS, no + ENDS, DRAWS)
        else:
            upper += share
    tail = (1 - level) / 2
    low, high = float(np.quantile(lower, tail)), float(np.quantile(upper, 1 - tail))
    return max(low, 0.0), min(high, 1.0)


def _spread(
    share: Float[np.ndarray, " labeled"],
    errors: Float[np.ndarray, " labeled"],
    mean: float,
    used: int,
    left: float = 1.0,
) -> tuple[float, float]:
    """Variance of a weighted mean, and of one label, with `UNSEEN` labels more.

    Args:
        share: Weight of each label; they sum to 1.
        errors: What is left of it.
        mean: The rate, by which the labels more are placed.
        used: What was fitted.
        left: Weight of the labels more.
    """
    number = 1 / float(share @ share)
    squares = float(share**2 @ errors**2) * number**2 * share.size / (share.size - used)
    single = (squares + left * UNSEEN * _one_more(mean)) / (number + UNSEEN)
    return single / number, single


def _plain(mean: float, share: Float[np.ndarray, " labeled"]) -> float:
    """Variance of one yes or no at a rate, smoothed in the same way."""
    number = 1 / float(share @ share)
    return _smoothed(number * mean * (1 - mean), mean, number)


def _one_more(mean: float) -> float:
    """Squared distance from a rate of one label more, half yes and half no."""
    return ((1 - mean) ** 2 + mean**2) / 2


def _smoothed(squares: float, mean: float, n: float | int) -> float:
    """Variance of one label from a sum of squares, with `UNSEEN` labels more."""
    return (squares + UNSEEN * _one_more(mean)) / (n + UNSEEN)


def _effective(number: float, freedom: int, level: float) -> float:
    """Fewer plain labels, as the spread that they come from was itself estimated."""
    tail = (1 - level) / 2
    return number * float(stats.norm.isf(tail) / stats.t.isf(tail, max(freedom, 1))) ** 2


def _ends(mean: float, n: float | int, level: float) -> tuple[float, float]:
    """Interval of a rate seen in `n` labels; it ends at 0 and 1 where the rate does."""
    tail, yes, no = (1 - level) / 2, n * mean, n * (1 - mean)
    low, high = 0.0, 1.0
    if mean > 0:
        low = float(special.betaincinv(yes + ENDS, no + 1 - ENDS, tail))
    if mean < 1:
        high = float(special.betaincinv(yes + 1 - ENDS, no + ENDS, 1 - tail))
    return min(low, mean), max(high, mean)


def _of_pool(single: float, wanted: float, pool: int) -> int:
    """Labels out of a pool, none of them drawn twice."""
    return min(math.ceil(single / (wanted + single / pool)), pool)


def _chances(
    given: Real[np.ndarray, " labeled"] | None, n: int
) -> Float[np.ndarray, " labeled"] | None:
    if given is None:
        return None
    chance = bounded(given, low=0.0, high=1.0, name="probabilities")
    _check_length(chance, n, "probabilities")
    if not (chance > 0).all():
        raise DataError(
            "probabilities must be above 0: what could not be drawn was not labeled; got 0 for "
            f"number {int(np.flatnonzero(chance <= 0)[0])}"
        )
    return chance


def _groups(
    f: Float[np.ndarray, " labeled"], rest: Float[np.ndarray, " rest"], strata: Strata | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Which labeled and which other replies are in each group: stratum, and score above its mean.

    The scores alone decide, so that grouping favors no rate. A group that nobody looked into is put
    together with the other one of its stratum.
    """
    if strata is None:
        strata = np.zeros(f.size, dtype=int), np.zeros(rest.size, dtype=int)
    _check_length(strata[0], f.size, "strata of the labeled replies")
    _check_length(strata[1], rest.size, "strata of the rest")
    groups = []
    for each in np.union1d(*strata):
        same, others = strata[0] == each, strata[1] == each
        check_some(int(same.sum()), name=f"stratum {each}")
        middle = np.concatenate([f[same], rest[others]]).mean()
        split = [(same & (f > middle), others & (rest > middle))]
        split.append((same & (f <= middle), others & (rest <= middle)))
        whole = all(labeled.any() for labeled, _ in split)
        groups += split if whole else [(same, others)]
    return groups


def _check_length(array: np.ndarray, n: int, name: str) -> None:
    """Refuse an array that numpy would stretch."""
    if array.shape != (n,):
        raise DataError(f"{name} must be {n} numbers along one axis, got the shape {array.shape}")
