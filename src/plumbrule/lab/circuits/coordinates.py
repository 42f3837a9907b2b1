"""Which of a stream's named coordinates belong to which subspace.

Axes: N named coordinates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from jaxtyping import Float

Matrix = Float[np.ndarray, "R C"]


@dataclass(frozen=True, kw_only=True)
class Coordinates:
    """Subspaces side by side.

    Example:
        >>> both = Coordinates(sizes={"word": 3, "previous": 2})
        >>> both["previous"], both.total
        (slice(3, 5, None), 5)
    """

    sizes: Mapping[str, int]

    def __getitem__(self, name: str) -> slice:
        """Where a subspace lies."""
        ends = dict(zip(self.sizes, accumulate(self.sizes.values()), strict=True))
        return slice(ends[name] - self.sizes[name], ends[name])

    @property
    def total(self) -> int:
        """N."""
        return sum(self.sizes.values())

    def columns(self, count: int) -> Matrix:
        """Something to read with: zeros, (N, count)."""
        return np.zeros((self.total, count))

    def rows(self, count: int) -> Matrix:
        """Something to write with: zeros, (count, N)."""
        return np.zeros((count, self.total))
