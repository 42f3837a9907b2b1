"""Linear probes: what can be read from activations, and what of it is more than words.

A probe that separates two kinds of prompt perfectly may read a style, a cue word or the prompt
itself. So its score is set beside those of shuffled labels, of the words alone, and of the worst
shift of style, and rows that belong together are never on both sides of a split.

Axes: N rows, D width, G groups (such as a prompt and its twin).

Source:
    Alain & Bengio (2016), arXiv 1610.01644: linear probes. Hewitt & Liang (2019), "Designing and
    interpreting probes with control tasks", arXiv 1909.03368: selectivity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Num

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.capturing import Captured
from plumbrule.records import Estimate
from plumbrule.statistics import auroc

ProbeKind = Literal["logistic", "mean_difference"]


Pooling = Literal["mean", "last"]


LEAST_GROUPS = 10
"""Groups of either label below which nothing is said of a probe."""


FOLDS = 5


Rows = Num[np.ndarray, "N D"]


Labels = Bool[np.ndarray, " N"]


@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """A direction and a border: the score of a row is how far it lies beyond it."""

    kind: ProbeKind
    direction: Float[np.ndarray, " D"]
    border: float

    def scores(self, rows: Rows) -> Float[np.ndarray, " N"]:
        """Larger: more like the rows that were labeled true; 0 is the border."""
        found: np.ndarray = np.asarray(rows, float) @ self.direction - self.border
        return found


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """How well rows are told apart by a probe that has not seen them."""

    auroc: Estimate | None
    """None where there are too few rows; `reason` and `needed` then say so."""

    scores: Float[np.ndarray, " N"] | None
    """Of each row, from a probe that was fitted on other groups."""

    reason: str | None = None
    needed: int | None = None
    """Groups of either label that it takes."""


@dataclass(frozen=True, kw_only=True)
class ShiftResult:
    """How a probe does on rows of other styles or domains than those it was fitted on."""

    by_shift: Mapping[str, ProbeResult]
    worst: str | None
    """The shift with the lowest AUROC; None where none could be judged."""

    @property
    def auroc(self) -> Estimate | None:
        """Of the worst shift, which is the one to report."""
        return None if self.worst is None else self.by_shift[self.worst].auroc


def fit_probe(
    rows: Rows, labels: Labels, *, kind: ProbeKind = "logistic", penalty: float = 1.0
) -> LinearProbe:
    """Fit a probe.

    Args:
        rows: Activations.
        labels: Which of two kinds each row is of.
        kind: Logistic regression on standardized coordinates, or the difference of the two means.
        penalty: Strength of the quadratic penalty of a logistic probe.

    Raises:
        DataError: One label only, or numbers that are none.
        ConfigError: There is no such kind.

    Example:
        >>> rows = np.array([[0.0, 1.0], [0.0, 2.0], [3.0, 1.0], [3.0, 2.0]])
        >>> probe = fit_probe(rows, np.array([False, False, True, True]), kind="mean_difference")
        >>> probe.direction.tolist(), probe.border
        ([3.0, 0.0], 4.5)
    """
    rows, labels = checked_rows(rows, labels)
    if labels.all() or not labels.any():
        raise DataError("expected rows of both labels to fit a probe on, got one label alone")
    if kind == "mean_difference":
        first, second = rows[labels].mean(0), rows[~labels].mean(0)
        direction = first - second
        return LinearProbe(
            kind=kind, direction=direction, border=float(direction @ (first + second) / 2)
        )
    if kind != "logistic":
        raise ConfigError(f"expected a probe that is logistic or mean_difference, got {kind!r}")
    from sklearn.linear_model import LogisticRegression

    middle, spread = rows.mean(0), rows.std(0)
    spread[spread < 1e-8] = 1.0  # a coordinate that never varies says nothing
    model = LogisticRegression(C=1.0 / (penalty * rows.shape[1] ** 0.5), max_iter=500)
    model.fit((rows - middle) / spread, labels)
    direction = model.coef_[0] / spread
    return LinearProbe(
        kind=kind,
        direction=direction,
        border=float(direction @ middle - model.intercept_[0]),
    )


def pooled(captured: Captured, site: str, pooling: Pooling = "mean") -> Rows:
    """One row per text of what was captured at a site.

    Args:
        captured: All positions of each text.
        site: Which site.
        pooling: The mean over a text's tokens, or the last token alone. What stands last changes
            with the style of a text sooner than the mean does.
    """
    found = [each.mean(0) if pooling == "mean" else each[-1] for each in captured.values[site]]
    return np.array([each.float().cpu().numpy() for each in found])


def cross_validated(
    rows: Rows,
    labels: Labels,
    groups: Sequence[object],
    *,
    kind: ProbeKind = "logistic",
    folds: int = FOLDS,
    level: float = 0.95,
    seed: int = 0,
) -> ProbeResult:
    """Say how well a probe tells rows apart that it was not fitted on.

    Args:
        rows: Activations.
        labels: Of each row.
        groups: What each row belongs to: a prompt and its twins are one group, and are on one
            side of every split.
        kind: Of the probe.
        folds: Parts of which one at a time is held out.
        level: Of the interval, which counts groups and not rows.
        seed: Decides the parts.

    Source:
        Nadeau & Bengio (2003), "Inference for the generalization error", Machine Learning 52: the
        probes of the parts share rows, so that the variance is 1 + folds / (folds - 1) times that
        of rows scored by one probe.
    """
    rows, labels = checked_rows(rows, labels)
    named = numbered(groups, len(rows))
    few = few_groups(labels, named)
    if few is not None:
        return few
    scores = held_out_scores(rows, labels, named, kind=kind, folds=folds, seed=seed)
    auroc = grouped_auroc(
        scores, labels, named.tolist(), level=level, inflated=1 + folds / (folds - 1)
    )
    return ProbeResult(auroc=auroc, scores=scores)


def grouped_auroc(
    scores: Float[np.ndarray, " N"],
    labels: Labels,
    groups: Sequence[object],
    *,
    level: float = 0.95,
    inflated: float = 1.0,
) -> Estimate:
    """AUROC over all rows, with an interval as wide as the number of groups makes it.

    Args:
        scores: Of each row.
        labels: Of each row.
        groups: What each row belongs to.
        level: Of the interval.
        inflated: How many times larger the variance is than that of one scorer's scores.

    Raises:
        DataError: A label has no row.
    """
    named = numbered(groups, len(scores))
    # As many rows as there are groups, and as their shared probes leave of them: the rest repeats.
    counts = [max(2, int(len(np.unique(named[kind])) / inflated)) for kind in (labels, ~labels)]
    return auroc(
        scores[labels].tolist(),
        scores[~labels].tolist(),
        level=level,
        independent=(counts[0], counts[1]),
    )


def under_shift(
    rows: Rows,
    labels: Labels,
    shifted: Mapping[str, tuple[Rows, Labels, Sequence[object]]],
    groups: Sequence[object],
    *,
    kind: ProbeKind = "logistic",
    level: float = 0.95,
    folds: int = FOLDS,
    seed: int = 0,
) -> ShiftResult:
    """Fit a probe on one style or domain, and judge it on each of the others.

    Groups that a probe was fitted on are not judged on in their other style: a probe that knows
    the prompt would do well on it in any style.

    Args:
        rows: Activations of the plain texts.
        labels: Of each.
        shifted: By shift: rows, labels, and the group of each row, named as in `groups`.
        groups: Of the plain rows.
        kind: Of the probe.
        level: Of the intervals.
        folds: Parts of the groups.
        seed: Decides the parts.
    """
    rows, labels = checked_rows(rows, labels)
    few = few_groups(labels, numbered(groups, len(rows)))
    parts = spread_groups([str(one) for one in groups], labels, folds, seed)
    found: dict[str, ProbeResult] = {}
    for name, (other, theirs, whose) in shifted.items():
        other, theirs = checked_rows(other, theirs)
        few_there = few or few_groups(theirs, numbered(whose, len(other)))
        if few_there is not None:
            found[name] = few_there
            continue
        scores, aligned = np.full(len(other), np.nan), np.full(len(other), np.nan)
        places = np.array([parts.get(str(one), -1) for one in whose])
        own = np.array([parts[str(one)] for one in groups])
        for part in sorted({*places.tolist()}):
            # A group that stands in no plain row is unknown to every probe.
            kept = own != part
            probe = fit_probe(rows[kept], labels[kept], kind=kind)
            given = probe.scores(other[places == part])
            scores[places == part] = given
            # A shift moves the scores of each probe by an amount of its own.
            aligned[places == part] = (given - given.mean()) / max(float(given.std()), 1e-12)
        found[name] = ProbeResult(
            auroc=grouped_auroc(
                aligned, theirs, whose, level=level, inflated=1 + folds / (folds - 1)
            ),
            scores=scores,
        )
    judged = {name: one.auroc.value for name, one in found.items() if one.auroc is not None}
    return ShiftResult(
        by_shift=found, worst=min(judged, key=lambda name: judged[name]) if judged else None
    )


def few_groups(labels: Labels, groups: np.ndarray) -> ProbeResult | None:
    """What is said where there are too few groups; None where there are enough."""
    counts = [len(np.unique(groups[kind])) for kind in (labels, ~labels)]
    if min(counts) >= LEAST_GROUPS:
        return None
    return ProbeResult(
        auroc=None,
        scores=None,
        reason=f"{min(counts)} groups of one label are too few to judge a probe on",
        needed=LEAST_GROUPS,
    )


def held_out_scores(
    rows: Rows, labels: Labels, groups: np.ndarray, *, kind: ProbeKind, folds: int, seed: int
) -> Float[np.ndarray, " N"]:
    """Score of each row by a probe fitted without its group, in units of its part's spread."""
    parts = spread_groups(groups.tolist(), labels, folds, seed)
    own = np.array([parts[one] for one in groups.tolist()])
    scores = np.full(len(rows), np.nan)
    for part in range(folds):
        inside = own == part
        if not inside.any():
            continue
        probe = fit_probe(rows[~inside], labels[~inside], kind=kind)
        found = probe.scores(rows[inside])
        # Borders and lengths differ from part to part; what is compared is the order in all.
        outside = probe.scores(rows[~inside])
        scores[inside] = found / max(float(outside.std()), 1e-12)
    return scores


def spread_groups(groups: Sequence[Any], labels: Labels, folds: int, seed: int) -> dict[Any, int]:
    """Which part each group is in: groups of either label spread evenly."""
    rng = np.random.default_rng(seed)
    true = dict.fromkeys(one for one, label in zip(groups, labels, strict=True) if label)
    false = dict.fromkeys(one for one in groups if one not in true)
    found: dict[Any, int] = {}
    for several in (list(true), list(false)):
        for place, at in enumerate(rng.permutation(len(several))):
            found[several[int(at)]] = place % folds
    return found


def numbered(groups: Sequence[object], count: int) -> np.ndarray:
    """Groups as whole numbers, one per row."""
    if len(groups) != count:
        raise DataError(f"expected a group for each row, got {len(groups)} for {count} rows")
    numbers = {name: at for at, name in enumerate(dict.fromkeys(map(str, groups)))}
    return np.array([numbers[str(one)] for one in groups], dtype=int)


def checked_rows(rows: Rows, labels: Labels) -> tuple[Float[np.ndarray, "N D"], Labels]:
    """Rows and labels as arrays, or an error that says what is wrong with them."""
    rows, labels = np.asarray(rows, float), np.asarray(labels)
    if rows.ndim != 2 or labels.shape != rows.shape[:1]:
        raise DataError(
            f"expected rows (N, D) with one label each, got {rows.shape} and {labels.shape}"
        )
    if labels.dtype != bool:
        raise DataError(f"expected labels that are true or false, got {labels.dtype}")
    if not np.isfinite(rows).all():
        raise DataError("expected activations that are numbers, got NaN or infinity among them")
    return rows, labels
