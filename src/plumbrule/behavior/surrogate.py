"""Surrogate: how far two models part on prompts not asked, predicted from those that were.

Axes: P prompts, K of them asked, S rankings.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from plumbrule.behavior.subgroups import SelectorTable

NEIGHBORS = 5
"""Asked prompts, those that share the rarest words, that speak for a prompt."""


def rankings(
    scores: Mapping[str, Float[np.ndarray, " P"]], count: int
) -> Float[np.ndarray, "P S"] | None:
    """Several scores as ranks from 0 to 1, side by side; None where none tells prompts apart."""
    ranked = [rankdata(each) / count for each in scores.values() if float(np.ptp(each)) > 0]
    return np.stack(ranked, axis=1) if ranked else None


def covering(table: SelectorTable, rows: Sequence[int], count: int) -> list[int]:
    """Prompts such that every prompt of the table is like one of them.

    Args:
        table: Selectors of all P prompts.
        rows: Prompts that may be chosen.
        count: Prompts to choose.

    Returns:
        Some of the rows, that which most others are like first; all where there are no more.

    Source:
        Greedy facility location (Nemhauser, Wolsey & Fisher 1978): at least 63% of the best.
    """
    if count >= len(rows):
        return list(rows)
    likeness = (table.directions @ table.directions[list(rows)].T).clip(0)
    best = np.zeros(len(likeness), dtype=likeness.dtype)
    chosen: list[int] = []
    for _ in range(count):
        gains = np.maximum(likeness - best[:, None], 0).sum(0)
        gains[chosen] = -1.0
        at = int(gains.argmax())
        chosen.append(at)
        best = np.maximum(best, likeness[:, at])
    return [rows[at] for at in chosen]


def moved_nearby(
    table: SelectorTable, rows: Sequence[int], known: Float[np.ndarray, " K"]
) -> Float[np.ndarray, " P"]:
    """Mean movement of the nearest prompts that were asked, the prompt itself left out.

    Args:
        table: Selectors of all P prompts.
        rows: Prompts that were asked.
        known: Their movement.
    """
    likeness = table.directions @ table.directions[list(rows)].T
    likeness[list(rows), range(len(rows))] = -1.0
    count = min(NEIGHBORS, len(rows))
    nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    # Never zero: a prompt that shares no word with any is guessed as the mean of some.
    shares = np.take_along_axis(likeness, nearest, axis=1).clip(1e-3) ** 2
    found: np.ndarray = (shares * known[nearest]).sum(1) / shares.sum(1)
    return found


def predict(
    clues: Float[np.ndarray, "P S"],
    rows: Sequence[int],
    known: Float[np.ndarray, " K"],
    *,
    seed: int,
) -> Float[np.ndarray, " P"]:
    """Movement of every prompt, guessed from the clues to those that were asked.

    Those asked were chosen for standing out. Named by them alone, every subgroup would look as if
    all of it moved.

    Args:
        clues: What speaks for movement, the more the more: rankings, asked neighbors.
        rows: Prompts that were asked.
        known: Their movement.
        seed: Of the forest.
    """
    from sklearn.ensemble import RandomForestRegressor

    # The further apart a clue sees two models, the further apart they are: never the reverse.
    forest = RandomForestRegressor(
        n_estimators=40,
        min_samples_leaf=3,
        monotonic_cst=[1] * clues.shape[1],
        random_state=seed % 2**32,
    )
    found: np.ndarray = forest.fit(clues[list(rows)], known).predict(clues)
    return found
