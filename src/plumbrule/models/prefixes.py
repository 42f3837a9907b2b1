"""Which texts begin alike, so that a common beginning is computed once.

A tree: each stem is a run of tokens after its parent's, and what is left of each text is read in
batches after the deepest stem it begins with. Stems of about one length after the same parent are
read side by side. Everything is weighed in tokens: reading a batch costs as much as `overhead`
tokens besides its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True, kw_only=True)
class BatchLimits:
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
    """A common beginning, or several of one length side by side, and what is read after them."""

    parent: int | None
    """Number of the stem before it; None for the first, which is empty."""

    start: int
    """Tokens before this stem's own."""

    stop: int
    """Tokens up to the end of this stem."""

    examples: list[int]
    """For each beginning, the number of a text that begins so; several only where no stem has this
    one as its parent."""

    members: dict[int, int] = field(default_factory=dict)
    """Which of them each text begins with that is read right after them."""

    batches: list[list[int]] = field(default_factory=list)
    """Numbers of the texts that are read right after it."""


def plan(texts: Sequence[Sequence[int]], most: Sequence[int], limits: BatchLimits) -> list[Stem]:
    """Find what to compute once.

    Args:
        texts: Tokens.
        most: For each text, how many of its tokens a stem may cover.
        limits: Of a batch.

    Returns:
        Stems, each after its parent and its parent's other descendants before it. Every text is in
        one batch. The first stem is empty.

    Example:
        >>> limits = BatchLimits(rows=8, tokens=100, own=100, overhead=1)
        >>> [(stem.start, stem.stop, stem.batches) for stem in plan(
        ...     [[1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [7, 8]], [4, 4, 1], limits)]
        [(0, 0, [[2]]), (0, 4, [[0, 1]])]
    """
    if not texts:
        return []
    order = sorted(range(len(texts)), key=lambda item: list(texts[item]))
    common = _common(texts, most, order)
    stems = [Stem(parent=None, start=0, stop=0, examples=[order[0]])]
    leaves: list[list[int]] = [[]]
    waiting = [(0, len(texts), 0)]
    while waiting:
        first, last, at = waiting.pop()
        if last - first == 1:
            leaves[at].append(order[first])
            continue
        shared = int(common[first + 1 : last].min())
        saved = (shared - stems[at].stop) * (last - first - 1)
        lowest = bool((common[first + 1 : last] == shared).all())
        # A stem costs a batch of its own, and takes its texts out of the batches of its parent.
        # One that no other follows may be read beside its like: decided when all are known.
        if saved > 2 * limits.overhead or (lowest and saved > 0):
            stems.append(
                Stem(parent=at, start=stems[at].stop, stop=shared, examples=[order[first]])
            )
            leaves.append([])
            at = len(stems) - 1
        cuts = first + 1 + np.flatnonzero(common[first + 1 : last] == shared)
        edges = [first, *cuts.tolist(), last]
        waiting.extend((one, other, at) for one, other in pairwise(edges))
    stems, leaves = _side_by_side(stems, leaves, limits)
    for stem, items in zip(stems, leaves, strict=True):
        stem.batches = _cut(texts, items, stem.stop, limits)
    return stems


def _side_by_side(
    stems: list[Stem], leaves: list[list[int]], limits: BatchLimits
) -> tuple[list[Stem], list[list[int]]]:
    """Read stems that no other follows side by side with their like, or not at all."""
    parents = {stem.parent for stem in stems}
    families: dict[int, list[int]] = {}
    for number, stem in enumerate(stems):
        if stem.parent is not None and number not in parents:
            families.setdefault(stem.parent, []).append(number)
    together: dict[int, list[int]] = {}
    last = {number for children in families.values() for number in children}
    for parent, children in families.items():
        groups = _grouped(stems, leaves, children, limits)
        together.update({min(group): group for group in groups})
        for number in set(children).difference(*groups):
            leaves[parent].extend(leaves[number])
    kept = [number for number in range(len(stems)) if number not in last or number in together]
    places = {number: place for place, number in enumerate(kept)}
    made, items = [], []
    for number in kept:
        stem, group = stems[number], together.get(number, [number])
        made.append(
            Stem(
                parent=None if stem.parent is None else places[stem.parent],
                start=stem.start,
                stop=min(stems[one].stop for one in group),
                examples=[stems[one].examples[0] for one in group],
                members={item: row for row, one in enumerate(group) for item in leaves[one]},
            )
        )
        items.append([item for one in group for item in leaves[one]])
    return made, items


def _grouped(
    stems: Sequence[Stem],
    leaves: Sequence[Sequence[int]],
    children: Sequence[int],
    limits: BatchLimits,
) -> list[list[int]]:
    """The cheapest way to read stems after one parent: in groups of about one length, or never.

    A group is cut to the shortest of it: what a text has beyond that is read with the rest of it,
    once a text in place of once for all. A group costs two batches.
    """
    ranked = sorted(children, key=lambda each: (stems[each].stop, each))
    again = [len(leaves[each]) - 1 for each in ranked]
    stops = [stems[each].stop for each in ranked]
    start = stems[ranked[0]].start
    # The least cost of the first so many, and where the last group begins; None: the last has none.
    best: list[tuple[int, int | None]] = [(0, None)]
    for end in range(1, len(ranked) + 1):
        alone = best[-1][0] + (stops[end - 1] - start) * again[end - 1]
        found: tuple[int, int | None] = (alone, None)
        twice = 0
        for begin in range(end - 1, -1, -1):
            rows = end - begin
            if begin < end - 1:  # all but the first are cut shorter than before
                twice += (stops[begin + 1] - stops[begin]) * sum(again[begin + 1 : end])
            if rows > 1 and (
                rows > limits.rows
                or rows * (stops[begin] - start) > limits.own
                or rows * stops[begin] > limits.tokens
            ):
                continue
            cost = best[begin][0] + 2 * limits.overhead + twice
            if cost < found[0]:
                found = (cost, begin)
        best.append(found)
    groups = []
    end = len(ranked)
    while end:
        first = best[end][1]
        if first is not None:
            groups.append(ranked[first:end])
        end = end - 1 if first is None else first
    return groups


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
    texts: Sequence[Sequence[int]], items: list[int], start: int, limits: BatchLimits
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
