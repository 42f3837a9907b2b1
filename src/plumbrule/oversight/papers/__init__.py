"""Reads a scientific paper and reviews it: what needs no judgment by tools, the rest by models."""

from plumbrule.oversight.papers.bibliographies import (
    Bibliography,
    BrokenEntry,
    check_bibliography,
    parse_bibtex,
)
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
from plumbrule.oversight.papers.material import (
    Material,
    load_material,
    read_material,
    save_material,
)
from plumbrule.oversight.papers.numbers import check_numbers
from plumbrule.oversight.papers.reading import read_paper
from plumbrule.oversight.papers.reviewing import (
    answer_paper,
    closed_because,
    matching_material,
    review_paper,
    verify_paper_review,
)
from plumbrule.oversight.papers.specialists import (
    CheckSpecialist,
    ReportedFlaw,
    flaws_in,
    opinion_of,
    tools,
)
from plumbrule.oversight.papers.support import Support, SupportCheck, check_sources
from plumbrule.oversight.papers.tree import judges

__all__ = [
    "Bibliography",
    "BrokenEntry",
    "Cell",
    "Check",
    "CheckSpecialist",
    "Citation",
    "Entry",
    "Evidence",
    "Flaw",
    "Hidden",
    "Material",
    "Paper",
    "ReportedFlaw",
    "Section",
    "Sentence",
    "Support",
    "SupportCheck",
    "Table",
    "answer_paper",
    "check_bibliography",
    "check_citations",
    "check_instructions",
    "check_numbers",
    "check_sources",
    "closed_because",
    "flaws_in",
    "judges",
    "load_material",
    "matching_material",
    "opinion_of",
    "parse_bibtex",
    "read_material",
    "read_paper",
    "review_paper",
    "save_material",
    "tools",
    "verify_paper_review",
]
