"""How far people agree, and how well each of them judges what is known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from plumbrule.errors import DataError
from plumbrule.people.queue import live_events
from plumbrule.people.records import QueueEvent, QueueItem
from plumbrule.records import Estimate, strict

RESAMPLES = 2000
"""Bootstrap samples of items."""

LEAST_ITEMS = 5
"""Items that two people labeled, below which no interval is given."""

Counts = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Values = np.ndarray[tuple[int], np.dtype[np.float64]]
_Measure = Callable[[Counts, Counts], Values]
"""Takes one row per item, and one row of weights of the items a value."""


@strict
@dataclass(frozen=True, kw_only=True)
class PeopleAgreement:
    """How far people agree beyond chance under one principle, or under all."""

    principle_id: str | None
    """None for all principles together."""

    kind: str
    """`grade` or `pair`: they have other answers and are not mixed."""

    people: tuple[str, ...]
    """Two for Cohen's kappa; all who labeled for Krippendorff's alpha."""

    measure: str
    """`Cohen's kappa` or `Krippendorff's alpha`."""

    items: int
    """Items with two labels or more, by these people."""

    same: float | None
    """Share of pairs of labels that are the same, chance not taken out."""

    estimate: Estimate | None
    """1 is agreement, 0 is chance."""

    reason: str | None
    """Why there is no estimate."""


@strict
@dataclass(frozen=True, kw_only=True)
class PersonCertificate:
    """How well a person judges items whose answer is known."""

    annotator: str
    principle_id: str | None
    """None for all principles together."""

    sensitivity: Estimate | None
    """Replies that break the principle, said to do so."""

    specificity: Estimate | None
    """Replies that do not, not said to do so."""

    accuracy: Estimate | None
    """Pairs told rightly."""

    reason: str | None
    """Why nothing is known; None where something is."""


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """How far two people agree beyond chance.

    Args:
        first: One person's answers.
        second: The other's, to the same items in the same order.

    Returns:
        Kappa, 1 for agreement and 0 for chance; None where both always gave one and the same
        answer, so that chance alone agrees fully and nothing is left to measure.

    Raises:
        DataError: No answers, or not as many of both.

    Source:
        Cohen (1960), "A coefficient of agreement for nominal scales".

    Example:
        >>> cohen_kappa(["a", "a", "b", "b"], ["a", "b", "b", "b"])
        0.5
    """
    if len(first) != len(second) or not first:
        raise DataError(
            f"kappa needs the answers of two people to the same items, got {len(first)} and "
            f"{len(second)}"
        )
    kappa = float(_kappas(_crossed(first, second), np.ones((1, len(first))))[0])
    return None if np.isnan(kappa) else kappa


def krippendorff_alpha(counts: Counts) -> float | None:
    """How far any number of people agree beyond chance, where not all answered everything.

    Args:
        counts: How many people gave each answer to each item: items by answers. Items with fewer
            than two answers say nothing and are left out.

    Returns:
        Alpha for nominal data; None where everyone always gave the same answer.

    Raises:
        DataError: No item has two answers.

    Source:
        Krippendorff (2011), "Computing Krippendorff's alpha-reliability": coincidences of nominal
        data with missing values.

    Example:
        >>> krippendorff_alpha(np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]]))
        1.0
    """
    pairable = counts[counts.sum(1) >= 2]
    if not len(pairable):
        raise DataError("alpha needs items with two answers or more, got none")
    alpha = float(_alphas(pairable, np.ones((1, len(pairable))))[0])
    return None if np.isnan(alpha) else alpha


def kappa_between(
    first: Sequence[str],
    second: Sequence[str],
    *,
    people: tuple[str, str],
    answers: Sequence[str],
    principle_id: str | None = None,
    kind: str = "grade",
    seed: int = 0,
    level: float = 0.95,
) -> PeopleAgreement:
    """How far two who judged the same items agree, people or models, with an interval.

    Args:
        first: What one of them said of each item.
        second: What the other said, of the same items in the same order; one item at least.
        people: Who they are.
        answers: All answers that could have been given.
        principle_id: The principle that was asked about.
        kind: What was asked for, `grade` or `pair`.
        seed: Of the bootstrap.
        level: Of the interval.
    """
    estimate, reason = _interval(
        _crossed(first, second, answers),
        _crossed(*_every_pair(answers), answers),
        _kappas,
        seed=seed,
        level=level,
    )
    return PeopleAgreement(
        principle_id=principle_id,
        kind=kind,
        people=people,
        measure="Cohen's kappa",
        items=len(first),
        same=float(np.mean([a == b for a, b in zip(first, second, strict=True)])),
        estimate=estimate,
        reason=reason,
    )


def agreement(
    items: Sequence[QueueItem],
    labels: Sequence[QueueEvent],
    *,
    seed: int = 0,
    level: float = 0.95,
) -> list[PeopleAgreement]:
    """How far people agree, by principle and over all.

    Args:
        items: Of the queue.
        labels: What people said; adjudications, which saw the others' answers, are left out.
        seed: Of the bootstrap.
        level: Of the intervals.

    Returns:
        For each kind and principle, and for all principles together: Krippendorff's alpha of all
        people, and Cohen's kappa of each two of them who share items. An estimate is missing, with
        the reason, where it is undefined or has too few items for an interval.
    """
    by_item: dict[str, dict[str, str]] = {}
    for event in live_events(labels):
        if event.action == "label" and event.via != "adjudication" and event.answer is not None:
            by_item.setdefault(event.item_id, {})[event.annotator] = event.answer
    found: list[PeopleAgreement] = []
    for kind in ("grade", "pair"):
        own = [item for item in items if item.kind == kind and len(by_item.get(item.id, ())) >= 2]
        principles = list(dict.fromkeys(item.principle_id for item in own))
        for principle in [None, *principles] if len(principles) > 1 else principles:
            some = [by_item[item.id] for item in own if principle in (None, item.principle_id)]
            answers = own[0].answers
            found += _of_group(some, answers, principle, kind, seed, level)
    return found


def _of_group(
    said: Sequence[Mapping[str, str]],
    answers: Sequence[str],
    principle: str | None,
    kind: str,
    seed: int,
    level: float,
) -> list[PeopleAgreement]:
    people = tuple(sorted({name for each in said for name in each}))
    counts = np.array(
        [[list(each.values()).count(answer) for answer in answers] for each in said], dtype=float
    )
    pairs = (counts * (counts - 1)).sum() / (counts.sum(1) * (counts.sum(1) - 1)).sum()
    every = np.eye(len(answers))
    one_each = np.array([one + other for one in every for other in every])
    estimate, reason = _interval(counts, one_each, _alphas, seed=seed, level=level)
    found = [
        PeopleAgreement(
            principle_id=principle,
            kind=kind,
            people=people,
            measure="Krippendorff's alpha",
            items=len(said),
            same=float(pairs),
            estimate=estimate,
            reason=reason,
        )
    ]
    for one, other in combinations(people, 2):
        shared = [each for each in said if one in each and other in each]
        if not shared:
            continue
        found.append(
            kappa_between(
                [each[one] for each in shared],
                [each[other] for each in shared],
                people=(one, other),
                answers=answers,
                principle_id=principle,
                kind=kind,
                seed=seed,
                level=level,
            )
        )
    return found


def person_certificate(
    items: Sequence[QueueItem],
    labels: Sequence[QueueEvent],
    annotator: str,
    *,
    principle_id: str | None = None,
    level: float = 0.95,
) -> PersonCertificate:
    """How well a person judges what is known.

    Args:
        items: Of the queue; those with a known answer count.
        labels: What people said.
        annotator: The person.
        principle_id: Under one principle; None for all together.
        level: Of the intervals.

    Returns:
        Sensitivity and specificity of grades and accuracy of pairs, with exact intervals. That a
        principle does not apply counts as not broken.
    """
    from plumbrule.statistics import clopper_pearson

    answers = {
        event.item_id: event.answer
        for event in live_events(labels)
        if event.action == "label" and event.annotator == annotator
    }
    told = [
        (item, answers[item.id])
        for item in items
        if item.known is not None
        and item.id in answers
        and principle_id in (None, item.principle_id)
    ]
    grades = [(item.known == "fail", said == "fail") for item, said in told if item.kind == "grade"]
    pairs = [said == item.known for item, said in told if item.kind == "pair"]

    def rate(hits: list[bool]) -> Estimate | None:
        if not hits:
            return None
        return clopper_pearson(sum(hits), len(hits), level=level, unit="known items told rightly")

    return PersonCertificate(
        annotator=annotator,
        principle_id=principle_id,
        sensitivity=rate([said for broken, said in grades if broken]),
        specificity=rate([not said for broken, said in grades if not broken]),
        accuracy=rate(pairs),
        reason=None if told else f"{annotator} has answered no item whose answer is known",
    )


def _every_pair(answers: Sequence[str]) -> tuple[list[str], list[str]]:
    return [one for one in answers for _ in answers], [other for _ in answers for other in answers]


def _crossed(
    first: Sequence[str], second: Sequence[str], answers: Sequence[str] | None = None
) -> Counts:
    """One row per item: which answer the one gave, and which the other."""
    names = list(answers or dict.fromkeys([*first, *second]))
    rows = np.zeros((len(first), 2 * len(names)))
    for row, (one, other) in enumerate(zip(first, second, strict=True)):
        rows[row, names.index(one)] = 1
        rows[row, len(names) + names.index(other)] = 1
    return rows


def _kappas(rows: Counts, weights: Counts) -> Values:
    """Kappa of each weighting (rows of `weights`) of the items; NaN where it is undefined."""
    half = rows.shape[1] // 2
    one, other = rows[:, :half], rows[:, half:]
    total = weights.sum(1)
    seen = weights @ (one * other).sum(1) / total
    chance = ((weights @ one) * (weights @ other)).sum(1) / total**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(chance < 1 - 1e-12, (seen - chance) / (1 - chance), np.nan)


def _alphas(counts: Counts, weights: Counts) -> Values:
    """Alpha of each weighting (rows of `weights`) of the items; NaN where it is undefined."""
    people = counts.sum(1)
    same = (counts * (counts - 1)).sum(1) / (people - 1)
    by_answer = weights @ counts
    total = by_answer.sum(1)
    observed = 1 - weights @ same / total
    expected = 1 - (by_answer * (by_answer - 1)).sum(1) / (total * (total - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 1e-12, 1 - observed / expected, np.nan)


def _interval(
    rows: Counts, pseudo: Counts, measure: _Measure, *, seed: int, level: float
) -> tuple[Estimate | None, str | None]:
    """Value of a measure with its interval, or why there is none.

    The bootstrap is Rubin's (1981), which weights items by chance in place of drawing them, with
    one more item that is spread over all pairs of answers. Without it, people who never differed
    among ten items would be held to agree for certain. Percentiles are set further out, as far as
    Student's t at this number of items (Hesterberg 2015, arXiv:1411.5279, section 5.2).
    """
    from scipy import stats

    from plumbrule.statistics.checks import check_level

    check_level(level)
    count = len(rows)
    value = float(measure(rows, np.ones((1, count)))[0])
    if np.isnan(value):
        return None, "everyone always gave the same answer, so chance alone explains all agreement"
    if count < LEAST_ITEMS:
        return None, f"{count} items have labels of two people, an interval needs {LEAST_ITEMS}"
    everything = np.concatenate([rows, pseudo])
    shape = np.concatenate([np.ones(count), np.full(len(pseudo), 1 / len(pseudo))])
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(0, RESAMPLES, 100):  # in parts, for the memory
        weights = rng.standard_gamma(shape, size=(100, len(shape)))
        drawn.append(measure(everything, weights * (count / weights.sum(1, keepdims=True))))
    tail = stats.norm.sf(np.sqrt(count / (count - 1)) * stats.t.isf((1 - level) / 2, count - 1))
    low, high = np.nanquantile(np.concatenate(drawn), [tail, 1 - tail])
    return Estimate(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        level=level,
        n=count,
        unit="agreement beyond chance",
        method="Bayesian bootstrap over items",
    ), None
