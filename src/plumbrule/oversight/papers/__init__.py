"""Reads a scientific paper, and checks what can be checked without judgment: citations, numbers."""

from plumbrule.oversight.papers.agreement import check_bibliography
from plumbrule.oversight.papers.bibtex import Bibliography, BrokenEntry, parse_bibtex
from plumbrule.oversight.papers.citations import check_citations
from plumbrule.oversight.papers.document import (
    Cell,
    Check,
    Citation,
    Entry,
    Evidence,
    Flaw,
    Hidden,
    Paper,
    Section,
    Sentence,
    Table,
)
from plumbrule.oversight.papers.instructions import check_instructions
from plumbrule.oversight.papers.numbers import check_numbers
from plumbrule.oversight.papers.reading import read_paper
from plumbrule.oversight.papers.support import Support, SupportCheck, check_sources

__all__ = [
    "Bibliography",
    "BrokenEntry",
    "Cell",
    "Check",
    "Citation",
    "Entry",
    "Evidence",
    "Flaw",
    "Hidden",
    "Paper",
    "Section",
    "Sentence",
    "Support",
    "SupportCheck",
    "Table",
    "check_bibliography",
    "check_citations",
    "check_instructions",
    "check_numbers",
    "check_sources",
    "parse_bibtex",
    "read_paper",
]
