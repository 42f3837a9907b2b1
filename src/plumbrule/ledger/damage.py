"""What was done to a ledger, and where: changed, dropped, added or reordered entries."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from plumbrule.ledger.alignment import Alignment, align, stated_position
from plumbrule.ledger.chain import StoredRow

Damage = Literal["changed", "dropped", "added", "reordered"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One place where a ledger is not what was written."""

    position: int | None
    """Place of the entry in the chain, from 1; for an added one, the place it was found at. None
    for the head file."""

    key: str | None
    """The entry's key as it is there now; None where no entry is left or it has no key."""

    kind: Damage

    detail: str
    """What the evidence is, in a few words."""

    def __str__(self) -> str:
        place = "head file" if self.position is None else f"entry {self.position}"
        key = "" if self.key is None else f" {self.key!r}"  # repr: no control characters
        return f"{self.kind}: {place}{key}: {self.detail}"


def examine(
    rows: Sequence[StoredRow], *, entries: int | None, end: str | None
) -> tuple[Problem, ...]:
    """Compare a table with the chain that its hashes and its known end prove.

    Args:
        rows: The table, in the order of stated positions.
        entries: How many entries there should be; None where nothing says so.
        end: Hash of the last one; None where nothing says so.

    Returns:
        The problems in the order of positions; empty when every entry is as it was written.
    """
    alignment = align(rows, entries=entries, end=end)
    moved = _moved(alignment)
    changed, added = _tell_apart(alignment)
    dropped = [at for at in alignment.missing if at not in changed]
    problems = [_rewritten(alignment, at, index) for at, index in changed.items()]
    problems += [_problem(rows[index], _place(rows, index), "added", ADDED) for index in added]
    problems += [_problem(None, at, "dropped", "no row holds it any more") for at in dropped]
    for at in moved:
        row = rows[alignment.found[at]]
        problems.append(
            _problem(row, at, "reordered", f"stands at place {alignment.found[at] + 1}")
        )
    renumbered = bool(moved or added or dropped)
    for at in sorted(set(alignment.found) - moved):
        detail = _edited(alignment, at, renumbered=renumbered)
        if detail:
            problems.append(_problem(rows[alignment.found[at]], at, "changed", detail))
    return tuple(sorted(problems, key=lambda problem: problem.position or 0))


ADDED = "nothing after it builds on it, and the head does not count it"


def _problem(row: StoredRow | None, at: int, kind: Damage, detail: str) -> Problem:
    key = row.key if row is not None and isinstance(row.key, str) else None
    return Problem(position=at, key=key, kind=kind, detail=detail)


def _place(rows: Sequence[StoredRow], index: int) -> int:
    stated = stated_position(rows[index])
    return index + 1 if stated is None else stated


def _rewritten(alignment: Alignment, at: int, index: int) -> Problem:
    row = alignment.rows[index]
    if not row.sealed_at(at):
        detail = "its contents do not match its hash"
    elif at == alignment.entries:
        detail = (
            "its hash is not the one that the head names: it, or an earlier entry with all after "
            "it, was written anew; or else the head was"
        )
    else:
        detail = "its hash was made anew: the entry after it builds on another"
    return _problem(row, at, "changed", detail)


def _edited(alignment: Alignment, at: int, *, renumbered: bool) -> str | None:
    """What is wrong with a row recognized as an entry, apart from its place among the others."""
    index = alignment.found[at]
    row = alignment.rows[index]
    if at in alignment.refitted:
        return "its contents are as written; its position, its link or its hash is not"
    if row.previous != alignment.hashes.get(at - 1, row.previous):
        return "it does not build on the entry before it: one of the two was written anew"
    allowed = {at, index + 1} if renumbered else {at}
    if stated_position(row) not in allowed:
        return f"its position was {at} and is stated as {row.position!r}"
    return None


def _moved(alignment: Alignment) -> set[int]:
    """Positions of entries that left their order: a smallest set, or both sides of each swap."""
    order = [at for at, _ in sorted(alignment.found.items(), key=lambda pair: pair[1])]
    fewest = set(order) - _longest_rising(order)
    displaced = {at for at, expected in zip(order, sorted(order), strict=True) if at != expected}
    return displaced if len(displaced) <= 2 * len(fewest) else fewest


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """A longest subsequence that only rises, by patience sorting."""
    tops: list[int] = []
    chosen: list[int] = []  # index of the top of each pile
    before: list[int | None] = []
    for index, number in enumerate(numbers):
        pile = bisect_left(tops, number)
        before.append(chosen[pile - 1] if pile else None)
        tops[pile : pile + 1], chosen[pile : pile + 1] = [number], [index]
    rising: set[int] = set()
    at = chosen[-1] if chosen else None
    while at is not None:
        rising.add(numbers[at])
        at = before[at]
    return rising


def _tell_apart(alignment: Alignment) -> tuple[dict[int, int], list[int]]:
    """Unknown rows that stand where an entry is missing are changed, all others are added."""
    missing = dict.fromkeys(alignment.missing)
    changed: dict[int, int] = {}
    left: list[int] = []
    for index in alignment.unknown:
        stated = stated_position(alignment.rows[index])
        if stated in missing:
            del missing[stated]
            changed[stated] = index
        else:
            left.append(index)
    positions = {index: at for at, index in alignment.found.items()}
    indices = sorted(positions)
    added: list[int] = []
    for index in left:
        split = bisect_left(indices, index)
        low = positions[indices[split - 1]] if split else 0
        high = positions[indices[split]] if split < len(indices) else alignment.entries + 1
        between = next((at for at in range(low + 1, high) if at in missing), None)
        if between is None:
            added.append(index)
        else:
            del missing[between]
            changed[between] = index
    return changed, added
