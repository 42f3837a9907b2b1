"""Whether a probe reads more than chance, than its own capacity, or than the words themselves."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from plumbrule.mechanism.probes import (
    FOLDS,
    Labels,
    ProbeKind,
    ProbeResult,
    Rows,
    checked_rows,
    cross_validated,
    grouped_auroc,
    held_out_scores,
    numbered,
)
from plumbrule.records import Estimate


@dataclass(frozen=True, kw_only=True)
class Selectivity:
    """A probe's score beside that of the same probe on labels that mean nothing."""

    real: float
    control: float
    """Mean over draws of labels given at random to each type of row."""

    @property
    def value(self) -> float:
        """AUROC that does not come from remembering types; near 0 where all of it does."""
        return self.real - self.control


def selectivity(
    rows: Rows,
    labels: Labels,
    types: Sequence[object],
    *,
    kind: ProbeKind = "logistic",
    draws: int = 5,
    seed: int = 0,
) -> Selectivity:
    """Compare a probe with the same on a control task: each type of row gets a label by chance.

    Rows of one type are on both sides of the splits, in both tasks: a probe that can remember
    types does well on the control too.

    Args:
        rows: Activations, several of each type.
        labels: The labels of interest.
        types: Word, prompt or template that each row is of.
        kind: Of the probe.
        draws: Random labelings.
        seed: Decides them and the splits.
    """
    rows, labels = checked_rows(rows, labels)
    named = numbered(types, len(rows))
    alone = np.arange(len(rows))
    rng = np.random.default_rng(seed)

    def value(given: Labels) -> float:
        return _area(held_out_scores(rows, given, alone, kind=kind, folds=FOLDS, seed=seed), given)

    controls = []
    for _ in range(draws):
        by_type = rng.permutation(np.arange(named.max() + 1) % 2 == 0)
        controls.append(value(by_type[named]))
    return Selectivity(real=value(labels), control=float(np.mean(controls)))


def bag_of_words(
    texts: Sequence[str],
    labels: Labels,
    groups: Sequence[object],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> ProbeResult:
    """What words alone tell: logistic regression on which words a text has, split as a probe is.

    Args:
        texts: The same texts that the activations were read on.
        labels: Of each text.
        groups: As of the probe.
        level: Of the interval.
        seed: Decides the parts; the same seed gives the same parts as `cross_validated`.
    """
    counts = _words(texts)
    return cross_validated(counts, labels, groups, kind="logistic", level=level, seed=seed)


def cue_words(texts: Sequence[str], labels: Labels, *, most: int = 8) -> tuple[str, ...]:
    """Words that tell the labels apart best by themselves, the strongest first.

    Example:
        >>> cue_words(["bad cat", "bad dog", "good cat", "good dog"], np.array([1, 1, 0, 0]) > 0)
        ('bad', 'good')
    """
    several = [set(_split(text)) for text in texts]
    found = []
    for word in sorted(set().union(*several)):
        has = np.array([word in one for one in several])
        gap = abs(has[labels].mean() - has[~labels].mean())
        # A word in one text of fifty is no cue.
        if gap > 2 / np.sqrt(len(texts)) * 0.5:
            found.append((-gap, word))
    return tuple(word for _, word in sorted(found)[:most])


def without_words(text: str, words: Sequence[str]) -> str:
    """A text with some words taken out, to read again what is left.

    Example:
        >>> without_words("How do I make poison, please?", ["poison"])
        'How do I make , please?'
    """
    if not words:
        return text
    pattern = r"\b(?:" + "|".join(map(re.escape, words)) + r")\b"
    return re.sub(r"\s+", " ", re.sub(pattern, "", text, flags=re.IGNORECASE)).strip()


def increment(
    scores: Float[np.ndarray, " N"],
    baseline: Float[np.ndarray, " N"],
    labels: Labels,
    groups: Sequence[object],
    *,
    level: float = 0.95,
    folded: bool = True,
) -> Estimate:
    """How much better scores tell rows apart than those of a baseline on the same rows.

    Args:
        scores: Of the probe, from folds that it was not fitted on.
        baseline: Of what it is held against, such as `bag_of_words` or what a black box says.
        labels: Of each row.
        groups: As of the probe; the interval counts groups.
        level: Of the interval.
        folded: Whether the scores come from probes that share rows, as those of
            `cross_validated` do.

    Returns:
        Difference of the two AUROCs. Its interval is never of width 0, not even where both are 1.

    Source:
        Zou & Donner (2008), Statistics in Medicine 27: an interval of a difference from the two
        score intervals and the correlation, here of DeLong et al. (1988), Biometrics 44.
    """
    shared_rows = 1 + FOLDS / (FOLDS - 1) if folded else 1.0
    first = grouped_auroc(scores, labels, groups, level=level, inflated=shared_rows)
    second = grouped_auroc(baseline, labels, groups, level=level, inflated=shared_rows)
    shared = _correlation(scores, baseline, labels)
    down, up = first.value - first.low, second.high - second.value
    low = _far(down, up, shared)
    up, down = first.high - first.value, second.value - second.low
    high = _far(up, down, shared)
    value = first.value - second.value
    return Estimate(
        value=value,
        low=max(-1.0, value - low),
        high=min(1.0, value + high),
        level=level,
        n=min(first.n, second.n),
        unit="AUROC beyond the baseline",
        method="difference of score intervals with DeLong's correlation",
    )


def _words(texts: Sequence[str]) -> Float[np.ndarray, "N words"]:
    several = [set(_split(text)) for text in texts]
    words = sorted(set().union(*several)) if several else []
    return np.array([[word in one for word in words] for one in several], dtype=float)


def _area(scores: Float[np.ndarray, " N"], labels: Labels) -> float:
    high, low = scores[labels][:, None], scores[~labels][None, :]
    return float(((high > low) + 0.5 * (high == low)).mean())


def _correlation(one: np.ndarray, other: np.ndarray, labels: Labels) -> float:
    """DeLong's correlation of two AUROCs on the same rows, never below 0."""
    above, below = [], []
    for scores in (one, other):
        high, low = scores[labels][:, None], scores[~labels][None, :]
        wins = (high > low) + 0.5 * (high == low)
        above.append(wins.mean(1))
        below.append(wins.mean(0))
    cover = np.cov(above) / len(above[0]) + np.cov(below) / len(below[0])
    scale = float(np.sqrt(cover[0, 0] * cover[1, 1]))
    return 0.0 if scale <= 0 else float(np.clip(cover[0, 1] / scale, 0.0, 1.0))


def _far(one: float, other: float, shared: float) -> float:
    return float(np.sqrt(max(one**2 + other**2 - 2 * shared * one * other, 1e-12)))


def _split(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())
