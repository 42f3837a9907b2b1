"""A ranking learned from past comparisons: which cheap screens were right about which prompts.

It orders the work and decides nothing. Across methods of training such rankings can fail
altogether, so what it was learned from is kept with it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from plumbrule.errors import DataError
from plumbrule.records import from_json, strict

CLUES = ("weights", "divergence", "activations")
"""Screens whose rankings it reads, in order."""


@strict
@dataclass(frozen=True, kw_only=True)
class Prior:
    """How much each screen's ranking is to be believed."""

    weights: Mapping[str, float]
    """By screen; for a ranking from 0 to 1, sharpened so that its top speaks."""

    comparisons: int
    """Past comparisons it was learned from."""

    prompts: int
    """Prompts in them whose movement was known."""


@dataclass(frozen=True, kw_only=True)
class Past:
    """What a finished comparison teaches."""

    scores: Mapping[str, Float[np.ndarray, " P"]]
    """Each screen's scores of all P prompts."""

    movement: Mapping[int, float]
    """How far the models parted on the prompts that were asked, by row."""


def learn(past: Sequence[Past]) -> Prior:
    """Learn from comparisons in which it is known where the models parted.

    Args:
        past: Finished comparisons.

    Raises:
        DataError: There is no past comparison with a score and a movement.
    """
    rows, targets = [], []
    for each in past:
        asked = sorted(each.movement)
        count = max((len(scores) for scores in each.scores.values()), default=max(asked, default=0))
        clues = np.stack([_clue(each.scores.get(name), count) for name in CLUES], axis=1)
        rows.append(clues[asked])
        targets.append(np.array([each.movement[row] for row in asked]))
    if not rows or not sum(map(len, targets)):
        raise DataError(
            "a prior is learned from finished comparisons with screens' scores and movements; got "
            "none. Run some with --out and give their folders."
        )
    known, moved = np.concatenate(rows), np.concatenate(targets)
    # Ridge, and never below zero: a screen that ranks backwards is left out, not turned around.
    from scipy.optimize import nnls

    penalty = np.sqrt(1e-2 * len(moved)) * np.eye(len(CLUES))
    found, _ = nnls(np.vstack([known, penalty]), np.concatenate([moved, np.zeros(len(CLUES))]))
    return Prior(
        weights={name: float(weight) for name, weight in zip(CLUES, found, strict=True)},
        comparisons=len(past),
        prompts=len(moved),
    )


def shipped() -> Prior | None:
    """The prior learned from the lab's organisms; None where the package has none."""
    path = resources.files("plumbrule") / "behavior" / "screens" / "prior.json"
    if not path.is_file():
        return None
    return from_json(Prior, json.loads(path.read_text("utf-8")), origin=str(path))


def rank(prior: Prior, scores: Mapping[str, Float[np.ndarray, " P"]]) -> Float[np.ndarray, " P"]:
    """Score prompts by what their screens' rankings were worth in the past."""
    count = len(next(iter(scores.values())))
    total = np.zeros(count)
    for name, weight in prior.weights.items():
        total += weight * _clue(scores.get(name), count)
    return total


def _clue(scores: Float[np.ndarray, " P"] | None, count: int) -> Float[np.ndarray, " P"]:
    """A screen's ranking, sharpened so that only its top speaks; zeros where it did not look."""
    if scores is None or float(np.ptp(scores)) == 0.0:
        return np.zeros(count)
    sharpened: np.ndarray = (rankdata(scores) / count) ** 8
    return sharpened
