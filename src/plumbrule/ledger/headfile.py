"""The small file beside a SQLite ledger that says where it ends.

A chain shows what was changed inside it, not that its end was cut off. So the end is in a
second file, written in two steps around each entry: first the old end together with the hash
about to be written, then, when the entry is safe, the new end. A kill in between leaves a file
that allows exactly two states, without the announced entry and with it, and no other entry.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from plumbrule.errors import LedgerError
from plumbrule.ledger.chain import GENESIS, LedgerHead
from plumbrule.store import canonical, write_atomic


@dataclass(frozen=True, kw_only=True)
class Ends:
    """What the head file says."""

    head: LedgerHead

    announced: str | None = None
    """Hash of the entry that was being written; None when none was."""

    def match(self, head: LedgerHead) -> bool:
        """Whether a ledger that ends so was left by us, at the latest by a kill."""
        following = LedgerHead(entries=self.head.entries + 1, hash=self.announced or "")
        return head == self.head or (self.announced is not None and head == following)


_LARGEST = 4096
"""Bytes; ours have some hundred."""

EMPTY = Ends(head=LedgerHead(entries=0, hash=GENESIS))


def head_path(ledger: Path) -> Path:
    """Where the head file of a ledger file stands.

    Raises:
        LedgerError: The ledger's own name ends as a head file's does.
    """
    path = ledger.with_suffix(".head")
    if path == ledger:
        raise LedgerError(f"a ledger cannot be called {ledger.name}: that is the head file's name")
    return path


def read_ends(path: Path) -> Ends | None:
    """Read a head file; None where there is none.

    Raises:
        LedgerError: It is not what was written there.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe, or something that is read without end
            raise LedgerError(f"{path} must be a head file as it was written there, it is no file")
        with path.open("rb") as file:
            text = file.read(_LARGEST).decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    try:
        value = json.loads(text)
        ends = Ends(
            head=LedgerHead(entries=value["entries"], hash=value["hash"]),
            announced=value["announced"],
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        ends = None
    if ends is None or text != _text(ends) or not _is_plausible(ends):
        raise LedgerError(f"{path} must be a head file as it was written there, it is another")
    return ends


def write_ends(path: Path, ends: Ends) -> None:
    """Replace a head file, in one step.

    Raises:
        StorageError: The disk did not take it; the one before still stands.
    """
    write_atomic(path, _text(ends))


def _text(ends: Ends) -> str:
    value = {"entries": ends.head.entries, "hash": ends.head.hash, "announced": ends.announced}
    return canonical(value) + "\n"


def _is_plausible(ends: Ends) -> bool:
    hashes = [ends.head.hash] + ([] if ends.announced is None else [ends.announced])
    return (
        type(ends.head.entries) is int
        and ends.head.entries >= 0
        and all(isinstance(text, str) and len(text) == 64 for text in hashes)
    )
