"""The difference of two tensors, a block of rows at a time, and its strongest directions.

Axes: M rows, N columns, K directions, R rank of an adapter.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from plumbrule.behavior.weights.records import Rounding, Spectrum
from plumbrule.behavior.weights.sources import Stored
from plumbrule.errors import ModelError

BLOCK = 2**20
"""Numbers read at once: 4 MiB each of base, tuned and difference in 32 bits."""

HELD = 2**24
"""Largest difference, in numbers, that is kept while it is decomposed; a larger one is read anew
for each of the passes, so that memory does not grow with the vocabulary."""

EXACT = 2**19
"""Largest matrix, in numbers, that is decomposed whole; about 0.3 seconds."""

_EXTRA, _POWERS = 8, 6
"""Columns beyond those wanted, and passes back and forth; on flat random matrices the largest
value then comes out 0.3% low; the steeper the spectrum, the nearer."""


_LOOK = 2**16
"""Numbers at once when it is asked whether rounding explains a difference."""

_FEW, _SPREAD = 16, 0.25
"""Rounding errors use half of what rounding allows on average; fewer than so many tell nothing."""


@dataclass(frozen=True, kw_only=True)
class Directions:
    """The strongest singular triplets of a change: it is about `left @ diag(values) @ right.T`."""

    left: Float[Tensor, "M K"]
    values: Float[Tensor, " K"]
    """From the largest on."""

    right: Float[Tensor, "N K"]

    row_norms: Float[Tensor, " M"]
    """Length of each row of the whole change."""

    spectrum: Spectrum


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What one pass over two tensors says. Squares are sums over all numbers."""

    base: float
    tuned: float
    change: float
    rounding: Rounding | None
    row_norms: Float[Tensor, " M"] | None


class Difference:
    """Tuned minus base of one tensor, as a matrix: all axes but the last are its rows."""

    def __init__(self, name: str, base: Stored, tuned: Stored, *, rows: int) -> None:
        """Note where the two lie; nothing is read yet.

        Args:
            name: For messages.
            base: One.
            tuned: The other, of the same shape but perhaps for the first axis.
            rows: How much of the first axis to compare.
        """
        self.name, self._base, self._tuned = name, base, tuned
        self._rows, self._inner = rows, math.prod(base.shape[1:])
        self._columns = base.shape[-1] if len(base.shape) > 1 else 1
        wide = torch.float64 in (base.dtype, tuned.dtype)
        self._dtype = torch.float64 if wide else torch.float32
        self._held: list[Tensor] | None = None
        self.shape = (rows * self._inner // max(1, self._columns), self._columns)

    def measure(self) -> Sizes:
        """Read both once: norms, and whether rounding explains the difference.

        Raises:
            ModelError: A number is NaN or infinite.
        """
        base = tuned = change = 0.0
        candidates, keep = _candidates(self._base, self._tuned), []
        norms, at = torch.zeros(self.shape[0]), 0
        small = math.prod(self.shape) <= HELD
        for first, second in self._pairs():
            square = self._square(first, "base")
            base += square
            if second is first:
                tuned += square
                difference = first.new_zeros(1, 1).expand_as(first)  # takes no memory
            else:
                tuned += self._square(second, "tuned")
                difference = second - first
                change += float(torch.linalg.vector_norm(difference)) ** 2
                candidates = [one for one in candidates if one.explains(first, second)]
                norms[at : at + len(first)] = torch.linalg.vector_norm(difference, dim=1).cpu()
            at += len(first)
            if small:
                keep.append(difference)
        self._held = keep if small and change else None
        return Sizes(
            base=base,
            tuned=tuned,
            change=change,
            rounding=candidates[0].name if change and candidates else None,
            row_norms=norms if change else None,
        )

    def blocks(self) -> Iterator[Tensor]:
        """Blocks of rows of the difference, in order."""
        if self._held is not None:
            yield from self._held
        else:
            for first, second in self._pairs():
                yield second - first

    def forth(self, right: Float[Tensor, "N c"]) -> Float[Tensor, "M c"]:
        """The difference times a few columns."""
        return torch.cat([block.to(right.dtype) @ right for block in self.blocks()])

    def back(self, left: Float[Tensor, "M c"]) -> Float[Tensor, "N c"]:
        """The transposed difference times a few columns."""
        total = torch.zeros(self.shape[1], left.shape[1], dtype=left.dtype, device=left.device)
        at = 0
        for block in self.blocks():
            total += block.to(left.dtype).T @ left[at : at + len(block)]
            at += len(block)
        return total

    @property
    def device(self) -> torch.device:
        """Where the difference is computed: where the base lies."""
        return self._base.rows(0, 0).device

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        step = max(1, BLOCK // max(1, self._inner))
        for start in range(0, self._rows, step):
            stop = min(start + step, self._rows)
            stored = self._base.rows(start, stop)
            other = stored
            if self._tuned is not self._base:
                other = self._tuned.rows(start, stop).to(stored.device)
            first = stored.to(self._dtype).reshape(-1, self._columns)
            if other is stored or (other.dtype == stored.dtype and torch.equal(other, stored)):
                yield first, first
            else:
                yield first, other.to(self._dtype).reshape(-1, self._columns)

    def _square(self, block: Tensor, whose: str) -> float:
        value = float(torch.linalg.vector_norm(block))
        if not math.isfinite(value):
            bad = int((~torch.isfinite(block)).sum())
            if bad:
                raise ModelError(
                    f"expected finite weights, {self.name} of the {whose} model has {bad} or more "
                    "that are NaN or infinite; its training diverged or the file is damaged"
                )
            value = float(torch.linalg.vector_norm(block.double()))
        return value * value


def strongest(difference: Difference, sizes: Sizes, *, top: int, seed: int) -> Directions:
    """The strongest directions of a change that is not zero."""
    assert sizes.row_norms is not None
    if math.prod(difference.shape) <= EXACT:
        whole = torch.cat(list(difference.blocks())).double()
        left, values, right = torch.linalg.svd(whole, full_matrices=False)
        found, how = (left[:, :top], values[:top], right.mH[:, :top]), "exact"
    else:
        found, how = krylov(difference, top=top, seed=seed), "randomized"
    return _ordered(*found, row_norms=sizes.row_norms, exact=how == "exact")


def krylov(
    difference: Difference, *, top: int, seed: int
) -> tuple[Float[Tensor, "M K"], Float[Tensor, " K"], Float[Tensor, "N K"]]:
    """Find the largest singular triplets by multiplying random columns back and forth.

    All intermediate columns are kept as one basis, which finds the largest values of a flat
    spectrum far better than the last ones alone.

    Source:
        Musco & Musco (2015), "Randomized block Krylov methods for stronger and faster approximate
        singular value decomposition", arXiv 1504.05477, algorithm 2.
    """
    generator = torch.Generator().manual_seed(seed)
    width = min(top + _EXTRA, *difference.shape)
    start = torch.randn(difference.shape[1], width, generator=generator)
    block = _orthonormal(difference.forth(start.to(difference.device)))
    basis = [block]
    for _ in range(_POWERS):
        block = _orthonormal(difference.forth(_orthonormal(difference.back(block))))
        basis.append(block)
    joined = torch.cat(basis, dim=1)
    left = _orthonormal(joined[:, : difference.shape[0]])
    right, values, small = torch.linalg.svd(difference.back(left), full_matrices=False)
    return left @ small.mH[:, :top], values[:top], right[:, :top]


def from_factors(
    up: Float[Tensor, "M R"], down: Float[Tensor, "R N"], *, top: int
) -> tuple[Directions, float]:
    """Directions and Frobenius norm of the product of two thin factors, never multiplied out."""
    left, one = torch.linalg.qr(up.double())
    right, other = torch.linalg.qr(down.double().mH)
    inner_left, values, inner_right = torch.linalg.svd(one @ other.mH)
    left, right = left @ inner_left, right @ inner_right.mH
    row_norms = torch.linalg.vector_norm(left * values, dim=1).float()
    norm = float(torch.linalg.vector_norm(values))
    directions = _ordered(
        left[:, :top], values[:top], right[:, :top], row_norms=row_norms, exact=True
    )
    return replace(directions, spectrum="factors"), norm


def _ordered(
    left: Tensor, values: Tensor, right: Tensor, *, row_norms: Tensor, exact: bool
) -> Directions:
    """Leave out directions that are rounding, and give each a sign that depends on it alone."""
    keep = values > 1e-6 * values[:1]
    left, values, right = left[:, keep], values[keep], right[:, keep]
    largest = right.abs().argmax(dim=0)
    signs = right.gather(0, largest[None])[0].sign()
    return Directions(
        left=(left * signs).float().cpu().contiguous(),
        values=values.float().cpu(),
        right=(right * signs).float().cpu().contiguous(),
        row_norms=row_norms.float(),
        spectrum="exact" if exact else "randomized",
    )


def _orthonormal(columns: Tensor) -> Tensor:
    basis: Tensor = torch.linalg.qr(columns)[0]
    return basis


@dataclass(frozen=True)
class _Rounded:
    """The guess that one side is the other, rounded to a type of 16 bits."""

    name: Rounding
    dtype: torch.dtype
    slack: torch.dtype | None
    """Another 16-bit type in which the other side is stored: both may be roundings of a third."""

    def explains(self, base: Tensor, tuned: Tensor) -> bool:
        """Whether each pair is at most half a step apart, one side on the grid, and errors spread.

        A light fine-tune kept in 32 bits is smaller than the steps of 16 bits too. It leaves
        neither side on the grid, or where the base was saved in 16 bits, differs by much less
        than half a step: rounding errors spread evenly up to it.
        """
        # A little at a time: the first few numbers of most changes give the answer.
        parts = (torch.split(one.reshape(-1), _LOOK) for one in (base, tuned))
        return all(self._explains(*both) for both in zip(*parts, strict=True))

    def _explains(self, base: Tensor, tuned: Tensor) -> bool:
        if not any(torch.equal(one.to(self.dtype).to(one.dtype), one) for one in (base, tuned)):
            return False
        # The nearer to zero, the finer the grid: half a step there bounds rounding both ways.
        smaller = torch.minimum(base.abs(), tuned.abs())
        allowed = _half_step(smaller, self.dtype)
        if self.slack is not None:
            allowed = allowed + _half_step(smaller, self.slack)
        difference = (tuned - base).abs()
        used = (difference / allowed)[difference > 0]
        spread = used.numel() < _FEW or float(used.mean()) > _SPREAD
        return spread and bool((difference <= allowed).all())


def _candidates(base: Stored, tuned: Stored) -> list[_Rounded]:
    half, brain = torch.float16, torch.bfloat16
    if {base.dtype, tuned.dtype} == {half, brain}:
        return [_Rounded("bfloat16", brain, half)]  # the coarser grid decides
    return [_Rounded("float16", half, None), _Rounded("bfloat16", brain, None)]


def _half_step(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Half the distance between neighbors of a type around each value."""
    limits = torch.finfo(dtype)
    exponent = torch.frexp(values)[1]  # value = m * 2**exponent, with m from 0.5 up to 1
    step = torch.ldexp(torch.full_like(values, limits.eps), exponent - 1)
    smallest = limits.tiny * limits.eps
    return 0.5 * torch.where(values == 0, smallest, step.clamp(min=smallest))
