"""Append-only, hash-chained record of what was done: write, verify, export."""

from plumbrule.ledger.book import Ledger
from plumbrule.ledger.chain import Entry, Head
from plumbrule.ledger.damage import Problem
from plumbrule.ledger.reading import Verification, export, read_entries, verify

__all__ = [
    "Entry",
    "Head",
    "Ledger",
    "Problem",
    "Verification",
    "export",
    "read_entries",
    "verify",
]
