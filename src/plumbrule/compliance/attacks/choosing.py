"""Where to attack next: most where a hole is likely that nobody has seen yet.

A cell is a pair of principle and family. Whether it gives way is likely where the family works on
other principles and the principle gives way to other families. Cells that gave way are left alone:
another success there would be the same hole.
"""

from collections.abc import Mapping, Sequence

import numpy as np

Cell = tuple[str, str]
"""Principle and family."""

STRENGTH = 2.0
"""Tries that the neighbors of a cell count for."""


def choose_cells(
    cells: Sequence[Cell],
    tried: Mapping[Cell, tuple[int, int]],
    count: int,
    rng: np.random.Generator,
) -> list[Cell]:
    """Choose the next cells by Thompson sampling, each once.

    Args:
        cells: All that there are.
        tried: Tries and hits of each so far.
        count: How many to choose; fewer come back where fewer are left.
        rng: Draws.

    Source:
        Thompson (1933) on a beta posterior; that a cell borrows from its row and column is ours.
    """
    left = [cell for cell in cells if tried.get(cell, (0, 0))[1] == 0]
    if not left:
        return []
    overall = _share([tried.get(cell, (0, 0)) for cell in cells], 0.25)
    rows = _shares(cells, tried, 0, overall)
    columns = _shares(cells, tried, 1, overall)
    drawn = []
    for cell in left:
        tries, _ = tried.get(cell, (0, 0))
        mean = min(max(rows[cell[0]] * columns[cell[1]] / overall, 0.01), 0.95)
        drawn.append(rng.beta(STRENGTH * mean, STRENGTH * (1 - mean) + tries))
    order = np.argsort(-np.array(drawn), kind="stable")[:count]
    return [left[int(place)] for place in order]


def _shares(
    cells: Sequence[Cell], tried: Mapping[Cell, tuple[int, int]], part: int, overall: float
) -> dict[str, float]:
    grouped: dict[str, list[tuple[int, int]]] = {}
    for cell in cells:
        grouped.setdefault(cell[part], []).append(tried.get(cell, (0, 0)))
    return {name: _share(each, overall) for name, each in grouped.items()}


def _share(counts: Sequence[tuple[int, int]], prior: float) -> float:
    tries, hits = (sum(each[place] for each in counts) for place in (0, 1))
    return (hits + STRENGTH * prior) / (tries + STRENGTH)
