"""Which row is which entry, when rows may have been edited, dropped, added or moved.

An entry's hash holds its position and the hash of the entry before. So from the end that the
head file names one can walk back and prove each entry, wherever its row now stands. Beyond the
first break rows are recognized by the position their hash was made for. A row that was rewritten
is still recognized if its contents lead from the hash before it to the hash after it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, permutations

from plumbrule.ledger.chain import GENESIS, StoredRow

REACH = 8
"""How far a row may have been renumbered to be recognized by its own seal alone."""

LONGEST_REFIT = 3
"""Neighboring rows that may have been rewritten together and still be recognized."""


@dataclass(kw_only=True)
class Alignment:
    """What is known about the entries 1 to `entries`."""

    rows: Sequence[StoredRow]
    """As the database gave them, by their stated positions."""

    entries: int
    """Entries that the ledger should hold."""

    hashes: dict[int, str] = field(default_factory=dict)
    """Hash of the entry at a position, where something vouches for it; 0 is before the first."""

    found: dict[int, int] = field(default_factory=dict)
    """Index of the row that is the entry at a position."""

    refitted: set[int] = field(default_factory=set)
    """Positions of rows recognized by contents only: their position, links or hash were edited."""

    @property
    def missing(self) -> list[int]:
        """Positions without a row."""
        return [at for at in range(1, self.entries + 1) if at not in self.found]

    @property
    def unknown(self) -> list[int]:
        """Indices of rows that are no entry we know of."""
        known = set(self.found.values())
        return [index for index in range(len(self.rows)) if index not in known]


def align(rows: Sequence[StoredRow], *, entries: int | None, end: str | None) -> Alignment:
    """Find for each entry the row that is it.

    Args:
        rows: The table, in the order of stated positions.
        entries: How many there should be; None where nothing says so.
        end: Hash of the last one; None where nothing says so.
    """
    if entries is None:
        entries, end = _find_end(rows, end)
    alignment = Alignment(rows=rows, entries=entries)
    if end is not None:
        alignment.hashes[entries] = end
    alignment.hashes.setdefault(0, GENESIS)
    _walk_back(alignment)
    _recognize(alignment)
    for run in _runs(alignment.missing):
        _refit(alignment, run)
    return alignment


def stated_position(row: StoredRow) -> int | None:
    """The position a row claims, if that is a number."""
    return row.position if type(row.position) is int else None


def _find_end(rows: Sequence[StoredRow], end: str | None) -> tuple[int, str | None]:
    """Number of entries and last hash, where the hash is all one has, or not even that."""
    if not rows:
        return 0, None
    having = [index for index, row in enumerate(rows) if end is not None and row.hash == end]
    last = having[0] if having else len(rows) - 1
    if _made_for(rows, last) is None:
        return stated_position(rows[last]) or len(rows), end
    # The last row may be one that was moved there: the true end was made for a later place.
    candidates = having or range(len(rows))
    at, index = max((_made_for(rows, index) or 0, index) for index in candidates)
    return at, end or str(rows[index].hash)


def _made_for(rows: Sequence[StoredRow], index: int) -> int | None:
    """Position that a row's hash was made for; None where its contents do not match its hash."""
    return next((at for at in _nearby(rows[index], index) if rows[index].sealed_at(at)), None)


def _nearby(row: StoredRow, index: int) -> list[int]:
    """Positions a row may have had before renumbering, the likeliest first."""
    centers = {index + 1, stated_position(row) or index + 1}
    around = {center + step for center in centers for step in range(-REACH, REACH + 1)}
    return sorted(
        (at for at in around if at >= 1), key=lambda at: min(abs(at - center) for center in centers)
    )


def _walk_back(alignment: Alignment) -> None:
    """From the known end, link by link: whatever this finds is genuine."""
    by_hash: defaultdict[object, list[int]] = defaultdict(list)
    for index, row in enumerate(alignment.rows):
        by_hash[row.hash].append(index)
    after = len(alignment.rows)
    for at in range(alignment.entries, 0, -1):
        wanted = alignment.hashes.get(at)
        candidates = by_hash.get(wanted, []) if wanted else []
        genuine = [index for index in candidates if alignment.rows[index].sealed_at(at)]
        if not genuine:
            return
        # Of copies, the one that stands right before the entry found last.
        after = max(genuine, key=lambda index: (index < after, index))
        _accept(alignment, at, after)


def _recognize(alignment: Alignment) -> None:
    """Beyond the first break, by the position a row's hash was made for, from the end on."""
    rows = alignment.rows
    made_for: defaultdict[int, list[int]] = defaultdict(list)
    for index in alignment.unknown:
        place = _made_for(rows, index)
        if place is not None:
            made_for[place].append(index)
    for at in range(alignment.entries, 0, -1):
        wanted = alignment.hashes.get(at)
        before = {rows[index].hash for index in made_for[at - 1]} or {alignment.hashes.get(at - 1)}
        fitting = [index for index in made_for[at] if wanted in (None, rows[index].hash)]
        if at not in alignment.found and fitting:
            best = max(fitting, key=lambda index: rows[index].previous in before)
            _accept(alignment, at, best)


def _accept(alignment: Alignment, at: int, index: int) -> None:
    row = alignment.rows[index]
    alignment.found[at] = index
    alignment.hashes[at] = str(row.hash)
    alignment.hashes.setdefault(at - 1, str(row.previous))


def _refit(alignment: Alignment, run: list[int]) -> None:
    """Try unknown rows where entries are missing: do their contents lead from hash to hash?

    Rows just before the gap are tried along with them where nothing proves them: one who swaps
    the last two entries and makes both hashes anew leaves the first of them looking sound.
    """
    while len(run) <= LONGEST_REFIT and run[0] >= 1:
        start, end = alignment.hashes.get(run[0] - 1), alignment.hashes.get(run[-1])
        usable = alignment.unknown + [alignment.found[at] for at in run if at in alignment.found]
        if end is None or len(usable) > LONGEST_REFIT + 2:
            return
        for order in permutations(usable, len(run)) if start is not None else ():
            hashes = _chain(alignment.rows, order, run, str(start))
            if hashes and hashes[-1] == end:
                alignment.found.update(zip(run, order, strict=True))
                alignment.hashes.update(zip(run, hashes, strict=True))
                alignment.refitted.update(run)
                return
        run = [run[0] - 1, *run]


def _chain(
    rows: Sequence[StoredRow], order: Iterable[int], run: Sequence[int], start: str
) -> list[str] | None:
    """Hashes that the contents of these rows have at these positions, one after the other."""
    hashes: list[str] = []
    for at, index in zip(run, order, strict=True):
        following = rows[index].hash_at(at, hashes[-1] if hashes else start)
        if following is None:
            return None
        hashes.append(following)
    return hashes


def _runs(positions: Iterable[int]) -> list[list[int]]:
    """Positions cut into stretches without a gap."""
    numbered = enumerate(positions)
    return [
        [position for _, position in run]
        for _, run in groupby(numbered, key=lambda pair: pair[1] - pair[0])
    ]
