"""Look at a ledger without touching it: verify, read, export."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plumbrule.errors import LedgerError
from plumbrule.ledger.chain import GENESIS, LedgerEntry, LedgerHead, StoredRow, to_entry
from plumbrule.ledger.damage import Problem, examine
from plumbrule.ledger.headfile import Ends, head_path, read_ends
from plumbrule.store import canonical, write_atomic

if TYPE_CHECKING:
    from plumbrule.ledger.database import LedgerLocation


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What an examination of a ledger found."""

    entries: int
    """Rows in the table now."""

    head: str
    """Hash in the last row; 64 zeros where there is none."""

    problems: tuple[Problem, ...]
    """In the order of positions; empty when nothing is wrong."""

    end_known: bool
    """Whether a head file or a given head said where the ledger ends. If not, entries cut off
    or added at the end cannot be noticed."""

    @property
    def sound(self) -> bool:
        """Whether everything is as it was written, as far as can be known."""
        return not self.problems


def verify(path: str | Path, *, expected_head: str | None = None) -> Verification:
    """Find out whether a ledger is what was written, and if not, what was done to it.

    Nothing is changed, not even by a repair that SQLite would make on opening.

    Args:
        path: A ledger file, a run's folder or an SQLAlchemy URL.
        expected_head: Hash of the last entry, as kept elsewhere. Without it, one who rewrites
            the ledger and its head file together goes unnoticed.

    Returns:
        Number of entries, head, and the problems with their places.

    Raises:
        LedgerError: There is no ledger here, or its file cannot be read as one; or
            `expected_head` is not a hash.
        StorageError: The disk or the server does not answer.
    """
    from plumbrule.ledger.database import locate

    given = None if expected_head is None else _checked_head(expected_head)
    rows, ends, problems = _look(locate(path))
    end = _end(rows, ends)
    if given is None or (end is not None and given == end.hash):
        problems += examine(
            rows, entries=end.entries if end else None, end=end.hash if end else None
        )
    else:
        problems += _against_given_head(rows, end, given)
    return Verification(
        entries=len(rows),
        head=str(rows[-1].hash) if rows else GENESIS,
        problems=problems,
        end_known=end is not None or given is not None,
    )


def _checked_head(text: str) -> str:
    head = text.strip().lower()
    if len(head) != 64 or set(head) - set("0123456789abcdef"):
        raise LedgerError(
            f"a head is 64 hexadecimal digits, got {text[:80]!r}; `plumbrule ledger show` prints it"
        )
    return head


def _against_given_head(
    rows: Sequence[StoredRow], end: LedgerHead | None, given: str
) -> tuple[Problem, ...]:
    """Problems where a head kept elsewhere overrules the head file, which names another."""
    if given == GENESIS or any(row.hash == given for row in rows):
        problems = examine(rows, entries=0 if given == GENESIS else None, end=given)
        detail = "it does not name the end that the given head and the entries do"
        changed = Problem(position=None, key=None, kind="changed", detail=detail)
        return problems or ((changed,) if end is not None else ())
    count = end.entries if end else len(rows)
    detail = (
        "no entry has the hash given as head: the end was cut off, or entries were written anew, "
        "together with the head file"
    )
    lost = Problem(position=count + 1, key=None, kind="dropped", detail=detail)
    inside = examine(rows, entries=end.entries if end else None, end=end.hash if end else None)
    return (*inside, lost)


def read_entries(path: str | Path) -> tuple[LedgerEntry, ...]:
    """Read all entries of a ledger, in order and without changing anything.

    Raises:
        LedgerError: There is no ledger here, or a row does not have the form of an entry.
    """
    from plumbrule.ledger.database import locate, reading

    place = locate(path)
    with reading(place) as rows:
        return tuple(to_entry(row, origin=place.name) for row in rows)


def export(path: str | Path, out: Path) -> LedgerHead:
    """Write all entries as JSON, one per line, for whoever keeps or audits them.

    Args:
        path: A ledger file, a run's folder or an SQLAlchemy URL.
        out: The file to write; replaced in one step if it is there.

    Returns:
        Where the ledger ended.

    Raises:
        LedgerError: There is no ledger here, or a row does not have the form of an entry.
        StorageError: The disk did not take the file.
    """
    entries = read_entries(path)
    write_atomic(out, "".join(canonical(vars(entry)) + "\n" for entry in entries))
    return LedgerHead(entries=len(entries), hash=entries[-1].hash if entries else GENESIS)


def _look(place: "LedgerLocation") -> tuple[list[StoredRow], Ends | None, tuple[Problem, ...]]:
    """Table and head file of the same moment, also while a run is writing."""
    from plumbrule.ledger.database import reading

    with reading(place) as rows:
        if place.file is None:
            return rows, None, ()
        return rows, *_read_head_file(head_path(place.file))


def _read_head_file(path: Path) -> tuple[Ends | None, tuple[Problem, ...]]:
    lost = "entries cut off at the end could not be noticed without it"
    try:
        ends = read_ends(path)
    except LedgerError:
        detail = f"{path.name} does not hold what was written there; {lost}"
        return None, (Problem(position=None, key=None, kind="changed", detail=detail),)
    if ends is None:
        detail = f"{path.name} is not beside the ledger; {lost}"
        return None, (Problem(position=None, key=None, kind="dropped", detail=detail),)
    return ends, ()


def _end(rows: list[StoredRow], ends: Ends | None) -> LedgerHead | None:
    """Where the ledger should end: with the entry announced before a kill, if that is there."""
    if ends is None:
        return None
    if ends.announced is not None and any(row.hash == ends.announced for row in rows):
        return LedgerHead(entries=ends.head.entries + 1, hash=ends.announced)
    return ends.head
