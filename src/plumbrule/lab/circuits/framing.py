"""How named coordinates lie in a model's residual stream.

They are turned into the model's own by random orthonormal directions, so that no single number of
the stream means anything. Norms are made nearly harmless by a coordinate that always holds
`CONSTANT`: the stream's length is then nearly the same everywhere, and a norm is nearly a fixed
scale. What is left of it is (|h| / CONSTANT)² / 2, where |h| is the length of all the rest.

Axes: D width of the model, N named coordinates.
"""

import math
from typing import Any

import numpy as np

from plumbrule.lab.circuits.assembling import Assembled
from plumbrule.lab.circuits.blueprint import ONE
from plumbrule.lab.circuits.coordinates import Matrix

HEADS = 4
"""Query heads a layer, in every family."""

CONSTANT = 200.0
"""What the constant coordinate holds. Larger makes norms more harmless and rounding worse."""


def _directions(size: int, width: int, rng: np.random.Generator) -> Matrix:
    """Orthonormal directions for the coordinates, each of mean 0: (D, N)."""
    drawn = rng.normal(size=(width, size + 1))
    drawn[:, 0] = 1.0  # so that all others are orthogonal to it: a LayerNorm takes means off
    basis: np.ndarray = np.linalg.qr(drawn)[0][:, 1:]
    return basis


class Frame:
    """How named coordinates are written to the residual stream, and read after its norms."""

    def __init__(self, parts: Assembled, width: int, rng: np.random.Generator) -> None:
        self.basis = _directions(parts.places.total, width, rng)
        self.one = parts.places[ONE]
        self.width = width

    def write(self, rows: Matrix) -> Any:
        """(…, N) to (…, D)."""
        return tensor(rows @ self.basis.T)

    def read(self, columns: Matrix) -> Any:
        """(N, …) to (D, …): undoes the norm's scale, and reads the constant as 1."""
        columns = columns.copy()
        columns[self.one] /= CONSTANT
        return tensor(CONSTANT / math.sqrt(self.width) * self.basis @ columns)

    def embedding(self, parts: Assembled) -> Any:
        """What tokens write, the constant included: (V, D)."""
        table = parts.embedding.copy()
        table[:, self.one] = CONSTANT
        return self.write(table)


def tensor(values: np.ndarray) -> Any:
    """In the precision of the models."""
    import torch

    return torch.tensor(values, dtype=torch.float32)


def padded(columns: Matrix, width: int) -> Matrix:
    """A matrix with columns of zeros behind its own."""
    return np.pad(columns, ((0, 0), (0, width - columns.shape[1])))
