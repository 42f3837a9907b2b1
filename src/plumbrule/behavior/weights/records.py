"""What a comparison of weights found, as it is saved and printed: numbers and names, no tensors."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from plumbrule.records import strict

Rounding = Literal["bfloat16", "float16"]

Spectrum = Literal["exact", "randomized", "factors"]
"""Where singular values came from: the whole decomposition, block Krylov, or LoRA factors."""


@strict
@dataclass(frozen=True, kw_only=True)
class TensorChange:
    """One tensor that both models have. Norms are Frobenius norms, in the units of the weights."""

    name: str

    shape: tuple[int, ...]
    """What was compared; where a vocabulary grew, the rows that both have."""

    base_dtype: str
    tuned_dtype: str

    base_norm: float
    tuned_norm: float
    change_norm: float
    """0 where no number of the tensor differs."""

    spectral_norm: float | None = None
    """Largest singular value of the change; None where nothing changed or it is no matrix."""

    singular_values: tuple[float, ...] = ()
    """Largest ones of the change, in order; empty where nothing changed or it is no matrix."""

    spectrum: Spectrum | None = None
    """How they were found; a randomized one may miss a few percent of a flat spectrum."""

    rounding: Rounding | None = None
    """All differences are no larger than rounding to this type makes; None where not or unknown."""

    @property
    def changed(self) -> bool:
        """Whether any number differs."""
        return self.change_norm > 0

    @property
    def is_matrix(self) -> bool:
        """Two axes or more; biases and norms start alike in all models and tell no descent."""
        return len(self.shape) >= 2

    @property
    def relative(self) -> float | None:
        """Norm of the change over that of the base; None where the base is all zeros."""
        return self.change_norm / self.base_norm if self.base_norm else None

    @property
    def cosine(self) -> float | None:
        """Between base and tuned as long vectors; None where either is all zeros."""
        return _cosine(self.base_norm, self.tuned_norm, self.change_norm)

    @property
    def stable_rank(self) -> float | None:
        """Squared Frobenius over squared spectral norm: 1 for one direction, up to the width."""
        return (self.change_norm / self.spectral_norm) ** 2 if self.spectral_norm else None


@strict
@dataclass(frozen=True, kw_only=True)
class Resized:
    """A tensor whose shape differs between the two models."""

    name: str
    base_shape: tuple[int, ...]
    tuned_shape: tuple[int, ...]

    compared_rows: int | None
    """First rows, which both have and which were compared; None where the shapes do not line up."""


@strict
@dataclass(frozen=True, kw_only=True)
class WeightReport:
    """All tensors of two models, side by side."""

    base: str
    tuned: str
    """What the two were called."""

    tensors: tuple[TensorChange, ...]
    """Those in both, changed or not, in the base's order; tied ones once."""

    missing: tuple[str, ...]
    """Tensors of the base that the tuned model lacks."""

    extra: tuple[str, ...]
    """Tensors of the tuned model that the base lacks."""

    resized: tuple[Resized, ...]

    notes: tuple[str, ...]
    """What the reader must know about how they were compared."""

    @property
    def changed(self) -> tuple[TensorChange, ...]:
        """Tensors that differ, the largest relative change first; from zero comes before all."""
        found = [one for one in self.tensors if one.changed]
        return tuple(
            sorted(found, key=lambda one: -math.inf if one.relative is None else -one.relative)
        )

    @property
    def relative(self) -> float | None:
        """Norm of all changes over the norm of the base; None where no weight is shared."""
        base, _, change = norms(self.tensors)
        return change / base if base else None

    @property
    def cosine(self) -> float | None:
        """Between all shared weights of the two models; None where there are none."""
        return _cosine(*norms(self.tensors))


def norms(tensors: Iterable[TensorChange]) -> tuple[float, float, float]:
    """Norms of base, tuned and change over several tensors together."""
    several = list(tensors)
    return (
        math.hypot(*[one.base_norm for one in several]),
        math.hypot(*[one.tuned_norm for one in several]),
        math.hypot(*[one.change_norm for one in several]),
    )


def _cosine(base: float, tuned: float, change: float) -> float | None:
    if not base or not tuned:
        return None
    # (a² + b² - c²) / 2ab with a² - c² as a product, so that large numbers do not cancel.
    value = ((base - change) * (base + change) + tuned * tuned) / (2 * base * tuned)
    return max(-1.0, min(1.0, value))
