"""Who labels what: people, a model or a checker, and how much each label counts afterwards.

Plain feedback from a model raises what is preferred and lowers what satisfies people, where it
prefers style over correctness. So a few pairs are labeled by both, and from these is learned where
the model agrees with people: by what a pair is about, not by the model's confidence alone. People
get what is critical and what the model is likely to get wrong; checkers what can be checked.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.errors import ConfigError, DataError
from plumbrule.records import Estimate, LabelSource, Preference, strict
from plumbrule.statistics import auroc, paired_proportions, wilson

Labeler = Literal["person", "model", "checker"]
"""Who labels an item."""

LEAST_DOUBLED = 40
"""Doubly labeled pairs that a router is learned from; with fewer, or with fewer than ten of a kind,
the model's agreement with people is taken as the same everywhere. Ours."""

FOLDS = 5

SURE = 0.95
"""No label counts as surer than this, whoever gave it: people err too. Ours."""

FEATURES = (
    "words of the request", "turns", "digits in the request", "code in the request",
    "asks a question", "longer reply, in log words", "chosen reply longer by, in log words",
    "words the replies share", "confidence", "disagreement of both orders",
)  # fmt: skip
"""What `pair_features` gives, in order."""


def pair_features(pairs: Sequence[Preference]) -> Float[np.ndarray, "pairs features"]:
    """Simple features of pairs that a model has labeled, in the order of `FEATURES`.

    Args:
        pairs: With the model's label and, by principle, how far both orders were apart.

    Example:
        >>> pair_features([]).shape
        (0, 10)
    """
    rows = []
    for each in pairs:
        request = " ".join(turn.content for turn in each.dialogue if turn.role == "user")
        first, second = (text.casefold().split() for text in (each.first, each.second))
        shared = len(set(first) & set(second)) / max(len(set(first) | set(second)), 1)
        orders = each.order_disagreement.values()
        lean = 0.0 if each.probability is None else each.probability - 0.5
        longer = math.log1p(len(first)) - math.log1p(len(second))
        rows.append(
            [
                math.log1p(len(request.split())),
                len(each.dialogue),
                math.log1p(sum(letter.isdigit() for letter in request)),
                sum(mark in request for mark in ("```", "def ", "();", "SELECT ", "</")),
                float("?" in request),
                math.log1p(max(len(first), len(second))),
                longer * np.sign(lean),  # a judge that goes by length is wrong where it chose so
                shared,
                abs(lean),
                max(orders, default=0.0),
            ]
        )
    return np.asarray(rows, float).reshape(len(rows), len(FEATURES))


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelRouter:
    """Where a model's labels agree with people's, as learned from pairs that both labeled."""

    agreement: Estimate
    """Share of the doubly labeled pairs on which they agree."""

    method: str
    """What was learned: `logistic regression`, `gradient boosting`, or `the same everywhere`."""

    told: Estimate | None
    """AUROC of the expected agreement on pairs it was not learned from; None where nothing was."""

    by_confidence: Estimate | None
    """The same of the model's confidence alone; None where it was not given."""

    reason: str

    model: object
    """What predicts; None for the same everywhere."""

    def expected(
        self, features: Float[np.ndarray, "pairs features"]
    ) -> Float[np.ndarray, " pairs"]:
        """Probability that the model's label is what a person would say, pair by pair."""
        given = _check_features(features)
        if self.model is None or not len(given):
            return np.full(len(given), self.agreement.value)
        return np.asarray(self.model.predict_proba(given)[:, 1])  # type: ignore[attr-defined]


def learn_router(
    features: Float[np.ndarray, "pairs features"],
    agrees: Bool[np.ndarray, " pairs"],
    *,
    confidence: Float[np.ndarray, " pairs"] | None = None,
    seed: int = 0,
) -> LabelRouter:
    """Learn where a model's labels agree with people's.

    Logistic regression and gradient boosting are tried on parts they were not fitted to; the one
    with the smaller log loss is taken where it beats the plain share of agreement.

    Args:
        features: Of the doubly labeled pairs, from `pair_features` or any others.
        agrees: Whether both labels are the same.
        confidence: How sure the model was of each pair, to show what it tells by itself.
        seed: Of the parts and of the boosting.

    Returns:
        The router; where there is too little to learn from, or nothing learned is better than the
        plain share, it expects the same agreement everywhere and says so.

    Raises:
        DataError: No pairs, or features that do not fit them.

    Source:
        Miranda et al. (2024), "Hybrid Preferences", arXiv:2410.19133, which routes by features of
        the prompt; the choice between three simple models is ours.
    """
    given, right = _check_features(features), np.asarray(agrees)
    if right.shape != (len(given),) or right.dtype != bool or not len(right):
        raise DataError(
            "expected one yes or no a doubly labeled pair, got an array of "
            f"{right.dtype} of shape {right.shape} for {len(given)} pairs"
        )
    agreement = wilson(int(right.sum()), len(right), unit="doubly labeled pairs agreed on")
    alone = None
    if confidence is not None and 0 < right.sum() < len(right):
        sure = np.asarray(confidence, float)
        alone = auroc(sure[right].tolist(), sure[~right].tolist())
    smaller = int(min(right.sum(), (~right).sum()))
    if len(right) < LEAST_DOUBLED or smaller < 10:
        few = f"{len(right)} doubly labeled pairs, {smaller} of the rarer kind"
        return _everywhere(agreement, alone, f"too few to learn from: {few}")
    return _learned(given, right, agreement, alone, seed)


def _learned(
    given: np.ndarray, right: np.ndarray, agreement: Estimate, alone: Estimate | None, seed: int
) -> LabelRouter:
    from sklearn.base import clone
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    ways = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(C=0.3)),
        "gradient boosting": HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.06, max_leaf_nodes=6, l2_regularization=5.0,
            min_samples_leaf=10, early_stopping=False, random_state=seed,
        ),
    }  # fmt: skip
    losses, seen = {}, {}
    for name, way in ways.items():
        shares = cross_val_predict(way, given, right, cv=parts, method="predict_proba")[:, 1]
        losses[name], seen[name] = log_loss(right, shares), shares
    best = min(losses, key=lambda name: losses[name])
    plain = log_loss(right, np.full(len(right), agreement.value))
    groups = seen[best][right].tolist(), seen[best][~right].tolist()
    told = auroc(*groups)
    # What is learned by luck costs little, what is not learned much: one chance in ten is taken.
    if losses[best] >= plain or auroc(*groups, level=0.8).low <= 0.5:
        return _everywhere(
            agreement, alone, f"{best} tells agreement no better than the plain share", told
        )
    return LabelRouter(
        agreement=agreement,
        method=best,
        told=told,
        by_confidence=alone,
        reason=f"log loss {losses[best]:.3f} on pairs it had not seen, {plain:.3f} by the share",
        model=clone(ways[best]).fit(given, right),
    )


def _everywhere(
    agreement: Estimate, alone: Estimate | None, reason: str, told: Estimate | None = None
) -> LabelRouter:
    return LabelRouter(
        agreement=agreement,
        method="the same everywhere",
        told=told,
        by_confidence=alone,
        reason=reason,
        model=None,
    )


def _check_features(features: np.ndarray) -> np.ndarray:
    given = np.asarray(features, float)
    if given.ndim != 2 or not np.isfinite(given).all():
        raise DataError(
            f"features must be finite numbers, pairs x features, got the shape {given.shape}"
        )
    return given


def route(
    expected: Float[np.ndarray, " pairs"],
    *,
    people: int,
    critical: Bool[np.ndarray, " pairs"] | None = None,
    checkable: Bool[np.ndarray, " pairs"] | None = None,
) -> list[Labeler]:
    """Say who labels each pair.

    Args:
        expected: Probability that the model's label is right, from a router.
        people: Labels that people have time for.
        critical: Pairs under a principle that people decide; they come first.
        checkable: Pairs that a program can decide, such as sums; no person is asked about them
            unless they are critical.

    Returns:
        One per pair. What is critical goes to people; what is checkable to a checker; of the rest,
        people get those on which the model is least expected to be right.

    Raises:
        ConfigError: More pairs are critical than people have time for.
        DataError: Arrays of other lengths, or a probability outside 0 to 1.
    """
    chance = np.asarray(expected, float)
    none = np.zeros(len(chance), bool)
    must = none if critical is None else np.asarray(critical)
    can = none if checkable is None else np.asarray(checkable)
    if not must.shape == can.shape == chance.shape or not ((chance >= 0) & (chance <= 1)).all():
        raise DataError(
            "expected a probability from 0 to 1, and a yes or no, for each pair; got the shapes "
            f"{chance.shape}, {must.shape}, {can.shape}"
        )
    if must.sum() > people:
        raise ConfigError(
            f"{must.sum()} pairs are critical, and people have time for {people}; allow more "
            "labels, or make fewer principles critical"
        )
    found: list[Labeler] = ["checker" if each else "model" for each in can]
    rest = np.flatnonzero(~must & ~can)
    weakest = rest[np.argsort(chance[rest], kind="stable")][: people - int(must.sum())]
    for at in [*np.flatnonzero(must).tolist(), *weakest.tolist()]:
        found[at] = "person"
    return found


@strict
@dataclass(frozen=True, kw_only=True)
class HybridLabel:
    """One label of a mixed set, with what it counts for and what it cost."""

    item: str
    labeler: Labeler

    probability: float
    """That the first reply is better, as sure as whoever says so has been right: train on this."""

    weight: float
    """What the label counts for in training, 0 (a coin) to 1."""

    dollars: float
    """What it cost."""


def mix_labels(
    items: Sequence[str],
    model_says: Float[np.ndarray, " pairs"],
    expected: Float[np.ndarray, " pairs"],
    given: Mapping[str, tuple[Labeler, bool]],
    *,
    person_accuracy: float = SURE,
    checker_accuracy: float = SURE,
    dollars: Mapping[Labeler, float] | None = None,
) -> list[HybridLabel]:
    """Put labels of several kinds together, each as sure as its giver has been seen to be.

    Args:
        items: Ids of the pairs.
        model_says: The model's probability that the first reply is better.
        expected: Probability that the model's label is right, from a router. Below one half the
            label is turned round.
        given: Item → who labeled it besides, and whether the first reply is better.
        person_accuracy: Share of people's labels that are right, from their certificate.
        checker_accuracy: The same of a checker.
        dollars: What a label costs, by labeler; the model's label is paid for on every item.

    Returns:
        One label per pair. A label that is right with probability r weighs (2r - 1) squared: a coin
        nothing. Pairs on which the model said one half and nobody else anything weigh 0.

    Raises:
        DataError: Lengths that do not fit, a probability outside 0 to 1, an unknown item.
    """
    says, right = np.asarray(model_says, float), np.asarray(expected, float)
    if (
        not says.shape == right.shape == (len(items),)
        or not ((np.stack([says, right]) >= 0) & (np.stack([says, right]) <= 1)).all()
    ):
        raise DataError(
            "expected two probabilities from 0 to 1 for each item, got the shapes "
            f"{says.shape}, {right.shape} for {len(items)} items"
        )
    if unknown := sorted(set(given) - set(items)):
        raise DataError(f"labels of unknown items: {', '.join(unknown[:5])}; check their ids")
    price = {"person": 0.0, "model": 0.0, "checker": 0.0, **(dollars or {})}
    accuracy = {"person": person_accuracy, "checker": checker_accuracy}
    labels = []
    for item, said, chance in zip(items, says.tolist(), right.tolist(), strict=True):
        labeler, first = given.get(item, ("model", said > 0.5))
        sure = accuracy.get(labeler, 0.5 if said == 0.5 else chance)
        sure = min(max(sure, 1 - SURE), SURE)
        labels.append(
            HybridLabel(
                item=item,
                labeler=labeler,
                probability=sure if first else 1 - sure,
                weight=(2 * sure - 1) ** 2,
                dollars=price["model"] + (price[labeler] if labeler != "model" else 0.0),
            )
        )
    return labels


def weigh_preferences(
    preferences: Sequence[Preference], labels: Sequence[HybridLabel]
) -> list[Preference]:
    """Preferences as mixed labels have them, with their probabilities and weights: train on these.

    The reward model and DPO multiply each pair's loss by its weight.

    Args:
        preferences: The pairs; what was said of them before is replaced.
        labels: One per pair, by its id.

    Raises:
        DataError: A pair has no label, or a label no pair.
    """
    known = {each.item: each for each in labels}
    strange = sorted(known.keys() ^ {each.id for each in preferences})
    if strange:
        raise DataError(
            f"expected one label for each of {len(preferences)} pairs, got {len(known)}; without "
            f"their counterpart are {', '.join(strange[:5])}; check their ids"
        )
    return [
        replace(
            each,
            probability=label.probability,
            weight=label.weight,
            source=_SOURCES[label.labeler],
            labeler=label.labeler,
            method="mixed labels",
        )
        for each in preferences
        for label in [known[each.id]]
    ]


_SOURCES: dict[Labeler, LabelSource] = {"person": "human", "model": "ai", "checker": "rule"}


@strict
@dataclass(frozen=True, kw_only=True)
class Satisfaction:
    """Whether what wins also satisfies."""

    change: Estimate
    """Share of prompts whose reply satisfies, after minus before."""

    win_rate: Estimate
    """Share of comparisons with a winner that the model after training wins."""

    style_over_substance: bool
    """Confirmed to win, while satisfaction is confirmed to fall: what plain feedback from a model
    does (Li et al. 2024, arXiv:2403.08309)."""


def weigh_satisfaction(
    before: Bool[np.ndarray, " prompts"],
    after: Bool[np.ndarray, " prompts"],
    wins: Bool[np.ndarray, " decided"],
) -> Satisfaction:
    """Set the absolute measure beside the relative one.

    Args:
        before: Whether the reply of the model before satisfies, judged by itself, per prompt.
        after: The same of the model after training, on the same prompts.
        wins: Of the comparisons that had a winner, whether the model after training won.

    Raises:
        DataError: Two different sets of prompts, or none of a kind.

    Example:
        >>> one, two = np.tile([True], 200), np.tile([True, True, True, False], 50)
        >>> weigh_satisfaction(one, two, np.tile([True, True, False], 60)).style_over_substance
        True
    """
    change = paired_proportions(before, after, unit="satisfied prompts")
    won = np.asarray(wins, bool)
    rate = wilson(int(won.sum()), len(won), unit="comparisons won")
    return Satisfaction(
        change=change,
        win_rate=rate,
        style_over_substance=bool(change.high < 0 and rate.low > 0.5),
    )
