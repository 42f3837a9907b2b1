"""Which texts begin alike, so that a common beginning is computed once.

A tree: each stem is a run of tokens after its parent's, and what is left of each text is read in
batches after the deepest stem it begins with. Everything is weighed in tokens: reading a batch
costs as much as `overhead` tokens besides its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large a batch may be, and when another one is worth it."""

    rows: int
    """Most texts side by side."""

    tokens: int
    """Most tokens of them together, common beginnings and padding included."""

    own: int
    """Most tokens of them together, common beginnings left out and padding included."""

    overhead: int
    """Tokens that could be read in the time that one more batch takes."""


@dataclass(kw_only=True)
class Stem:
    """A common beginning, and what is read after it."""

    parent: int | None
    """Number of the stem before it; None for the first, which is empty."""

    start: int
    """Tokens before this stem's own."""

    stop: int
    """Tokens up to the end of this stem."""

    example: int
    """Number of a text that begins so."""

    batches: list[list[int]] = field(default_factory=list)
    """Numbers of the texts that are read right after it."""


def plan(texts: Sequence[Sequence[int]], most: Sequence[int], limits: Limits) -> list[Stem]:
    """Find what to compute once.

    Args:
        texts: Tokens.
        most: For each text, how many of its tokens a stem may cover.
        limits: Of a batch.

    Returns:
        Stems, each after its parent and its parent's other descendants before it. Every text is in
        one batch. The first stem is empty.

    Example:
        >>> limits = Limits(rows=8, tokens=100, own=100, overhead=1)
        >>> [(stem.start, stem.stop, stem.batches) for stem in plan(
        ...     [[1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [7, 8]], [4, 4, 1], limits)]
        [(0, 0, [[2]]), (0, 4, [[0, 1]])]
    """
    if not texts:
        return []
    order = sorted(range(len(texts)), key=lambda item: list(texts[item]))
    common = _common(texts, most, order)
    stems = [Stem(parent=None, start=0, stop=0, example=order[0])]
    leaves: list[list[int]] = [[]]
    waiting = [(0, len(texts), 0)]
    while waiting:
        first, last, at = waiting.pop()
        if last - first == 1:
            leaves[at].append(order[first])
            continue
        shared = int(common[first + 1 : last].min())
        # A stem costs a batch of its own, and takes its texts out of the batches of its parent.
        if (shared - stems[at].stop) * (last - first - 1) > 2 * limits.overhead:
            stems.append(Stem(parent=at, start=stems[at].stop, stop=shared, example=order[first]))
            leaves.append([])
            at = len(stems) - 1
        cuts = first + 1 + np.flatnonzero(common[first + 1 : last] == shared)
        edges = [first, *cuts.tolist(), last]
        waiting.extend((one, other, at) for one, other in pairwise(edges))
    for stem, items in zip(stems, leaves, strict=True):
        stem.batches = _cut(texts, items, stem.stop, limits)
    return stems


def _common(
    texts: Sequence[Sequence[int]], most: Sequence[int], order: Sequence[int]
) -> Int[np.ndarray, " texts"]:
    """Tokens that each text in order shares with the one before it; the first with none."""
    found = np.zeros(len(order), dtype=np.int64)
    for place in range(1, len(order)):
        one, other = order[place - 1], order[place]
        limit = min(most[one], most[other])
        found[place] = _alike(texts[one], texts[other], limit)
    return found


def _alike(one: Sequence[int], other: Sequence[int], limit: int) -> int:
    """How many of the first `limit` tokens two texts share, by halving."""
    if one[:limit] == other[:limit]:
        return limit
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle)
    return low


def _cut(
    texts: Sequence[Sequence[int]], items: list[int], start: int, limits: Limits
) -> list[list[int]]:
    """Cut texts into batches of alike lengths, longest first."""
    batches: list[list[int]] = []
    longest = padding = 0
    for item in sorted(items, key=lambda item: (-len(texts[item]), item)):
        own = len(texts[item]) - start
        rows = len(batches[-1]) + 1 if batches else 0
        padding += longest - own
        if (
            not batches
            or rows > limits.rows
            or rows * longest > limits.own
            or rows * (start + longest) > limits.tokens
            or padding > limits.overhead
        ):
            batches.append([])
            longest, padding = own, 0
        batches[-1].append(item)
    return batches
