"""Append-only, hash-chained record of what was done: write, verify, export."""

from plumbrule.ledger.book import Ledger
from plumbrule.ledger.chain import LedgerEntry, LedgerHead
from plumbrule.ledger.damage import Problem
from plumbrule.ledger.files import (
    FileProblem,
    compare_files,
    file_hashes,
    nested_ledgers,
    record_files,
)
from plumbrule.ledger.reading import Verification, export, read_entries, verify

__all__ = [
    "FileProblem",
    "Ledger",
    "LedgerEntry",
    "LedgerHead",
    "Problem",
    "Verification",
    "compare_files",
    "export",
    "file_hashes",
    "nested_ledgers",
    "read_entries",
    "record_files",
    "verify",
]
