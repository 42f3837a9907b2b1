"""An entry, and the hash that ties it to the one before."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plumbrule.errors import LedgerError
from plumbrule.store import canonical, fingerprint

GENESIS = "0" * 64
"""What the first entry names as the hash before it."""

LONGEST_NAME = 500
"""Characters a key or a kind may have: what every database can index."""


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One thing that was done."""

    position: int
    """Place in the chain, from 1."""

    previous: str
    """Hash of the entry before, in hexadecimal; 64 zeros for the first."""

    key: str
    """Name of what was done, unique in the ledger."""

    kind: str
    """Sort of thing, e.g. "stage" or "finding"."""

    payload: Mapping[str, Any]
    """What there is to say about it, as JSON can hold it."""

    written_at: str
    """Moment of writing, ISO 8601 in UTC."""

    hash: str
    """SHA-256 over the canonical JSON of all fields above, in hexadecimal."""


@dataclass(frozen=True, kw_only=True)
class LedgerHead:
    """Where a ledger ends: enough to notice later that anything in it is not as it was."""

    entries: int
    """Entries in the ledger."""

    hash: str
    """Hash of the last entry; 64 zeros when there is none."""


@dataclass(frozen=True, kw_only=True)
class StoredRow:
    """An entry as the database gave it, when nothing about it may be believed."""

    position: object
    previous: object
    key: object
    kind: object
    payload: object
    written_at: object
    hash: object

    def hash_at(self, position: int, previous: object) -> str | None:
        """Hash that this content has at a place; None where it is nothing we would have written."""
        texts = (previous, self.key, self.kind, self.payload, self.written_at)
        if not all(isinstance(text, str) for text in texts):
            return None
        try:
            payload = json.loads(str(self.payload))
            if canonical(payload) != self.payload:
                return None
            return fingerprint(
                {
                    "position": position,
                    "previous": previous,
                    "key": self.key,
                    "kind": self.kind,
                    "payload": payload,
                    "written_at": self.written_at,
                }
            )
        except (ValueError, RecursionError):  # not JSON, or not text that UTF-8 can hold
            return None

    def sealed_at(self, position: int) -> bool:
        """Whether the stored hash is the one of this content at this place."""
        return self.hash is not None and self.hash == self.hash_at(position, self.previous)


def seal(
    position: int, previous: str, key: str, kind: str, payload: str, written_at: str
) -> StoredRow:
    """Make a row with its hash; `payload` is canonical JSON already."""
    row = StoredRow(
        position=position, previous=previous, key=key, kind=kind,
        payload=payload, written_at=written_at, hash=None,
    )  # fmt: skip
    return StoredRow(**{**vars(row), "hash": row.hash_at(position, previous)})


def to_entry(row: StoredRow, *, origin: str) -> LedgerEntry:
    """Read a row as an entry.

    Raises:
        LedgerError: The row does not have the form of one; whether it was changed in other ways
            is for `verify` to say.
    """
    try:
        payload = json.loads(str(row.payload))
    except (ValueError, RecursionError):
        payload = None
    texts = (row.previous, row.key, row.kind, row.written_at, row.hash)
    is_entry = isinstance(row.position, int) and all(isinstance(text, str) for text in texts)
    if not is_entry or not isinstance(payload, dict):
        raise LedgerError(
            f"{origin} holds a row at position {row.position!r} that is no entry; "
            "`plumbrule ledger verify` tells what was done to it"
        )
    return LedgerEntry(**{**vars(row), "payload": payload})


def canonical_payload(payload: Mapping[str, Any]) -> str:
    """Text of a payload as it is stored and hashed.

    Raises:
        LedgerError: It holds what JSON or UTF-8 cannot, such as NaN or half a surrogate pair.
    """
    if not isinstance(payload, Mapping):
        raise LedgerError(f"a payload is a mapping, got {type(payload).__name__}")
    try:
        text = canonical(dict(payload))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError(
            f"a payload holds text, finite numbers, lists and mappings with text as keys; {error}. "
            "Turn records into such with `plumbrule.records.to_json`"
        ) from error
    return text


def check_name(name: str, *, field: str) -> None:
    """Refuse a key or a kind that could not be shown on one line or indexed everywhere."""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        raise LedgerError(
            f"a {field} is 1 to {LONGEST_NAME} printable characters, got {str(name)[:60]!r}; "
            "put longer text into the payload and its hash into the key"
        )
