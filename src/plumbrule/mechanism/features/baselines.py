"""Whether a dictionary is worth it: its best latent beside a mean difference and a linear probe.

For a question with labeled texts the plain methods often win. All three see the same texts, choose
on one half of them and are judged on the other, so that the latent that is best among thousands has
to be so on texts that did not choose it. Kept small on purpose: probes as such, with
cross-validation and controls, are another module's.

Axes: R texts, M latents, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from plumbrule.errors import DataError
from plumbrule.mechanism.features.dictionaries import Dictionary
from plumbrule.mechanism.features.streaming import TextActivations
from plumbrule.records import Estimate, strict
from plumbrule.statistics import auroc
from plumbrule.store import derive_seed

ROWS = 16
"""Texts read at once."""

FEWEST = 8
"""Texts of each label, half of which judge."""


@strict
@dataclass(frozen=True, kw_only=True)
class AgainstBaselines:
    """How well three ways tell labeled texts apart, on texts that chose nothing."""

    latent: int
    """The best latent of the half that chooses."""

    pooling: str
    """How its activations over a text's tokens become one number: `mean` or `max`."""

    feature: Estimate
    """AUROC of that latent."""

    mean_difference: Estimate
    """AUROC along the difference of the labels' mean activations."""

    probe: Estimate
    """AUROC of a logistic regression on the activations."""

    texts: int
    """That judge."""


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """Pooled activations, one row for each text."""

    mean: np.ndarray
    """Latents' activations, mean over tokens, (R, M)."""

    largest: np.ndarray
    """The largest over tokens, (R, M)."""

    inputs: np.ndarray
    """What the dictionary reads, mean over tokens, (R, I)."""


def pooled(
    dictionary: Dictionary, source: TextActivations, *, latents: Sequence[int] | None = None
) -> Pooled:
    """Read texts and make a row of each.

    Args:
        dictionary: Whose latents.
        source: Texts, each with a token that is not left out.
        latents: Which to keep; None keeps all.

    Raises:
        DataError: A text is too short.
    """
    short = [at for at, row in enumerate(source.rows) if len(row) <= source.skipped]
    if short:
        raise DataError(
            f"text {short[0] + 1} has {len(source.rows[short[0]])} tokens, of which the first "
            f"{source.skipped} are left out; give longer texts"
        )
    reading = dictionary.origin.reading
    mean, largest, inputs = [], [], []
    kept: Any = slice(None) if latents is None else list(latents)
    for start in range(0, len(source.rows), ROWS):
        some = list(range(start, min(start + ROWS, len(source.rows))))
        taken = source.read_rows(some, reading.sites)
        for at in range(len(some)):
            read = reading.inputs({name: rows[at] for name, rows in taken.items()}).float().cpu()
            codes = dictionary.encode(read)[:, kept]
            mean.append(codes.mean(0).numpy())
            largest.append(codes.amax(0).numpy())
            inputs.append(read.mean(0).numpy())
    return Pooled(mean=np.array(mean), largest=np.array(largest), inputs=np.array(inputs))


def against_baselines(
    dictionary: Dictionary,
    source: TextActivations,
    labels: Sequence[bool],
    *,
    seed: int,
    latents: Sequence[int] | None = None,
) -> AgainstBaselines:
    """Tell labeled texts apart by a latent, by a mean difference and by a probe.

    Args:
        dictionary: Whose latents.
        source: The texts, and the model.
        labels: One per text.
        seed: Of the halves.
        latents: Among which the best is looked for; None: among all.

    Raises:
        DataError: Fewer than 8 texts of a label, not one label per text, or no latent.
    """
    truth = np.asarray(labels, bool)
    if len(truth) != len(source.rows):
        raise DataError(f"expected a label a text, got {len(truth)} for {len(source.rows)}")
    fewest = min(int(truth.sum()), int((~truth).sum()))
    if fewest < FEWEST:
        raise DataError(
            f"expected at least {FEWEST} texts of each label, half to choose on and half to judge "
            f"on, got {fewest}; add some"
        )
    if latents is not None and not len(latents):
        raise DataError("expected latents to look for the best of, got none")
    choosing = _half(truth, seed)
    read = pooled(dictionary, source, latents=latents)
    tables = {"mean": read.mean, "max": read.largest}
    ranked = {name: _areas(table[choosing], truth[choosing]) for name, table in tables.items()}
    pooling = max(ranked, key=lambda name: float(np.abs(ranked[name] - 0.5).max()))
    latent = int(np.argmax(np.abs(ranked[pooling] - 0.5)))
    sign = 1.0 if ranked[pooling][latent] >= 0.5 else -1.0
    center = read.inputs[choosing].mean(0)
    scale = read.inputs[choosing].std(0) + 1e-6
    standard = (read.inputs - center) / scale
    here, there = (standard[choosing & (truth == label)].mean(0) for label in (True, False))
    probe = LogisticRegression(C=0.1, max_iter=1000).fit(standard[choosing], truth[choosing])
    judged = ~choosing
    return AgainstBaselines(
        latent=latent if latents is None else int(latents[latent]),
        pooling=pooling,
        feature=_area(sign * tables[pooling][judged, latent], truth[judged]),
        mean_difference=_area(standard[judged] @ (here - there), truth[judged]),
        probe=_area(probe.decision_function(standard[judged]), truth[judged]),
        texts=int(judged.sum()),
    )


def _half(truth: np.ndarray, seed: int) -> np.ndarray:
    """Half of the texts of each label."""
    rng = np.random.default_rng(derive_seed(seed, "baselines"))
    chosen = np.zeros(len(truth), bool)
    for label in (True, False):
        places = rng.permutation(np.flatnonzero(truth == label))
        chosen[places[: len(places) // 2]] = True
    return chosen


def _areas(table: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """AUROC of every column."""
    from scipy.stats import rankdata

    ranks = rankdata(table, axis=0)
    positive, negative = int(truth.sum()), int((~truth).sum())
    sums = ranks[truth].sum(0) - positive * (positive + 1) / 2
    return np.asarray(sums / (positive * negative))


def _area(scores: np.ndarray, truth: np.ndarray) -> Estimate:
    return auroc(scores[truth].tolist(), scores[~truth].tolist())
