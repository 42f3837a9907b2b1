"""What a matrix of weights, or a change of one, reads and writes most strongly, as tokens.

A matrix is a sum of directions: it reads one pattern and writes another, as strongly as the
singular value says. How many of them are more than a matrix of like numbers without structure would
have is asked by flipping signs at random: every number keeps its size and its place, so that rows
and columns that are large stay large, and only what runs through many of them is lost.

Axes: M numbers given out, N numbers taken in, D width of the residual stream, V vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.sparse.linalg import eigsh

from plumbrule.errors import ConfigError, ModelError
from plumbrule.mechanism.parts.matrices import Matrix, matrices
from plumbrule.mechanism.sites import Sites
from plumbrule.models.unembedding import (
    Decode,
    TokenScore,
    most_and_least,
    unembedding,
    unit_rows,
)
from plumbrule.records import strict
from plumbrule.store import Progress, derive_seed, silent

EXACT = 2**20
"""Largest matrix, in numbers, that is decomposed whole; of larger ones only the strongest
directions are found."""

SQUARE = 1024
"""Largest side of a square matrix whose largest value is computed whole: for such sizes that is
several times faster than powers of the matrix itself."""

DRAWS = 20
"""Matrices with flipped signs that a matrix is compared with."""

MOST_STANDING = 32
"""Directions that are tested at most."""

_SHAPE, _SCALE = 46.446, 0.186054
"""The law of the largest value of a random matrix (Tracy-Widom), but for center and spread, as a
gamma law: Chiani (2014), arXiv 1209.3394."""


@strict
@dataclass(frozen=True, kw_only=True)
class Direction:
    """One singular direction of one matrix."""

    index: int
    """0 for the strongest."""

    value: float
    """Its singular value."""

    confirmed: bool
    """Whether it is more than numbers of these sizes have by chance."""

    reads: tuple[tuple[TokenScore, ...], tuple[TokenScore, ...]] | None
    """Tokens whose embeddings point along what it takes in, and against; None where it takes in
    something else than the residual stream."""

    writes: tuple[tuple[TokenScore, ...], tuple[TokenScore, ...]] | None
    """Tokens that it raises where its input points along what it reads, and those that it lowers;
    None where it does not write into the residual stream."""


@strict
@dataclass(frozen=True, kw_only=True)
class MatrixDirections:
    """One matrix, read as roles and tokens."""

    name: str
    """A parameter, or such as `3.heads.1 OV`."""

    rows: int
    columns: int
    norm: float
    """Root of the sum of the squares of all numbers; 0 where nothing changed."""

    confirmed: int
    """Confirmed directions, from the strongest on; at most 32."""

    directions: tuple[Direction, ...]


def weight_directions(
    module: Any,
    sites: Sites,
    *,
    seed: int,
    against: Any | None = None,
    names: Sequence[str] | None = None,
    top: int = 4,
    tokens: int = 10,
    level: float = 0.05,
    decode: Decode = str,
    progress: Progress = silent,
) -> tuple[MatrixDirections, ...]:
    """Take the layers' matrices apart, or what changed in them, and read them as tokens.

    One matrix is taken at a time. Signs are shared: turn both what a direction reads and what it
    writes around, and it is the same direction.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        seed: Of the flipped signs.
        against: The model before; the change from it to `module` is taken apart.
        names: Matrices to look at: parameters, or such as `3.heads.1 OV` (not of a change); None:
            every matrix inside a layer and, without `against`, every head's way from what it
            attends to to what it writes.
        top: Directions to describe of each.
        tokens: Tokens to name each way.
        level: Chance that anything is found in matrices without structure, over all that are looked
            at together.
        decode: Gives a token's text.
        progress: Told of matrices done.

    Returns:
        One entry per matrix: those with most confirmed directions first, then by singular value.

    Raises:
        ConfigError: A matrix of that name does not exist, or a number is out of range.
        ModelError: The models differ in shape, or a number is NaN or infinite.

    Source:
        Millidge & Black (2022), "The singular value decompositions of transformer weight matrices
        are highly interpretable", for reading directions as tokens. Flipped signs: Hong, Sheng &
        Dobriban (2020), arXiv 2012.02985; the Tracy-Widom tail behind a few draws is ours.
    """
    if top < 1 or tokens < 1 or not 0.0 < level < 1.0:
        raise ConfigError(
            "expected top and tokens of at least 1 and a level between 0 and 1, got "
            f"{top}, {tokens} and {level}"
        )
    wanted = matrices(module, sites, against=against, names=names)
    reader = _Reader(module, sites, tokens, decode)
    found = []
    for done, each in enumerate(wanted):
        progress(done, len(wanted))
        found.append(_describe(each, reader, top=top, chance=level / len(wanted), seed=seed))
    return tuple(
        sorted(
            found,
            key=lambda one: (-one.confirmed, -(one.directions[0].value if one.directions else 0.0)),
        )
    )


class _Reader:
    """Turns directions into tokens."""

    def __init__(self, module: Any, sites: Sites, tokens: int, decode: Decode) -> None:
        self._out = unit_rows(unembedding(module, sites.layers[0].path.rpartition(".")[0]))
        table = module.get_input_embeddings().weight.detach().float().cpu()
        self._in = unit_rows(table - table.mean(0)) if table.shape[1] == sites.width else None
        self._tokens, self._decode, self._width = tokens, decode, sites.width

    def writes(self, direction: Any, scale: Any) -> Any:
        return self._named(self._out, direction * scale)

    def reads(self, direction: Any, scale: Any) -> Any:
        return None if self._in is None else self._named(self._in, direction * scale)

    def _named(self, table: Any, direction: Any) -> Any:
        scores = table @ (direction / direction.norm().clamp(min=1e-30)) * self._width**0.5
        return most_and_least(scores, self._tokens, self._decode)


def _describe(
    matrix: Matrix, reader: _Reader, *, top: int, chance: float, seed: int
) -> MatrixDirections:
    """Take one matrix apart; its numbers are read here and let go at the end."""
    import torch

    factors = matrix.factors()
    whole = _product(factors)
    norm = float(torch.linalg.vector_norm(whole))
    if not math.isfinite(norm):
        raise ModelError(
            f"expected finite weights, {matrix.name} has some that are NaN or infinite; its "
            "training diverged or the file is damaged"
        )
    rows, columns = (int(each) for each in whole.shape)
    if norm == 0.0:
        return MatrixDirections(
            name=matrix.name, rows=rows, columns=columns, norm=0.0, confirmed=0, directions=()
        )
    left, values, right = _strongest(whole, max(top, MOST_STANDING))
    generator = torch.Generator().manual_seed(derive_seed(seed, matrix.name) % 2**63)
    confirmed = _count_confirmed(factors, left, values, right, chance=chance, generator=generator)
    directions = tuple(
        Direction(
            index=at,
            value=float(values[at]),
            confirmed=at < confirmed,
            reads=None
            if matrix.read_scale is None
            else reader.reads(right[:, at], matrix.read_scale),
            writes=None
            if matrix.write_scale is None
            else reader.writes(left[:, at], matrix.write_scale),
        )
        for at in range(min(top, len(values)))
        if float(values[at]) > 1e-6 * float(values[0])
    )
    return MatrixDirections(
        name=matrix.name,
        rows=rows,
        columns=columns,
        norm=norm,
        confirmed=confirmed,
        directions=directions,
    )


def _product(factors: Sequence[Any]) -> Any:
    product = factors[0]
    for factor in factors[1:]:
        product = product @ factor
    return product


def _strongest(whole: Any, count: int) -> tuple[Any, Any, Any]:
    """The strongest singular triplets, each with the sign that its largest input has."""
    import torch

    if whole.numel() <= EXACT:
        left, values, right = torch.linalg.svd(whole, full_matrices=False)
        right = right.mT
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            left, values, right = torch.svd_lowrank(whole, q=min(count + 8, *whole.shape), niter=6)
    left, values, right = left[:, :count], values[:count], right[:, :count]
    signs = right.gather(0, right.abs().argmax(0)[None])[0].sign()
    return left * signs, values, right * signs


def _count_confirmed(
    factors: Sequence[Any], left: Any, values: Any, right: Any, *, chance: float, generator: Any
) -> int:
    """How many directions, from the strongest on, are more than flipped signs leave.

    What is confirmed is taken off before the rest is tested again, so that a strong direction does
    not hide weaker ones. A product of factors is compared with products of flipped factors, once.
    """
    count, rest = 0, list(factors)
    while True:
        edge = _edge(rest, chance=chance, generator=generator)
        above = int((values[:MOST_STANDING] > edge).sum())
        if above <= count:
            return count
        count = above
        if len(factors) > 1 or count >= min(len(values), MOST_STANDING):
            return count
        rest = [factors[0] - (left[:, :count] * values[:count]) @ right[:, :count].mT]


def _edge(factors: Sequence[Any], *, chance: float, generator: Any) -> float:
    """The singular value that the strongest direction of such numbers exceeds by chance."""
    import torch

    largest = []
    for _ in range(DRAWS):
        flipped = [
            factor
            * (torch.randint(0, 2, factor.shape, generator=generator, dtype=torch.int8) * 2 - 1)
            for factor in factors
        ]
        largest.append(_largest(flipped, generator))
    center, spread = float(np.mean(largest)), float(np.std(largest, ddof=1))
    law = stats.gamma(_SHAPE, scale=_SCALE)
    away = float((law.isf(chance) - law.mean()) / law.std())
    # A few draws give the spread roughly; it is taken to be as large as they allow at 4 of 5.
    wider = math.sqrt((DRAWS - 1) / stats.chi2.ppf(0.2, DRAWS - 1) * (1 + 1 / DRAWS))
    return center + away * spread * wider


def _largest(factors: Sequence[Any], generator: Any) -> float:
    """The largest singular value of a product."""
    import torch

    if len(factors) == 2 and factors[0].shape[1] <= SQUARE:
        # The product is wide and of low rank: its values are those of a matrix as small as that.
        left, right = factors
        inner = torch.linalg.qr(left, mode="r")[1] @ right
        return _largest_root(inner @ inner.mT)
    matrix = _product(factors)
    if min(matrix.shape) <= SQUARE:
        narrow = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
        return _largest_root(narrow @ narrow.mT)
    # Powers of a few random columns: good to about a tenth of a percent on a flat spectrum.
    columns = torch.randn(matrix.shape[1], 8, generator=generator)
    for _ in range(24):
        columns = torch.linalg.qr(matrix.mT @ (matrix @ columns))[0]
    return float(torch.linalg.matrix_norm(matrix @ columns, 2))


def _largest_root(square: Any) -> float:
    """Root of the largest eigenvalue of a symmetric matrix that has none below 0."""
    import torch

    if len(square) <= 128:
        return float(torch.linalg.eigvalsh(square)[-1].clamp(min=0.0).sqrt())
    table = square.numpy()
    start = np.ones(len(table), dtype=table.dtype)
    (found,) = eigsh(table, k=1, which="LA", tol=1e-5, v0=start, return_eigenvectors=False)
    return math.sqrt(max(float(found), 0.0))
