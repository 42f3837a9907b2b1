"""Reads a scientific paper and reviews it: what needs no judgment by tools, the rest by models."""

from plumbrule.oversight.papers.bibliographies import (
    Bibliography,
    BrokenEntry,
    check_bibliography,
    parse_bibtex,
)
from plumbrule.oversight.papers.citations import check_citations
from plumbrule.oversight.papers.document import (
    CheckResult,
    Citation,
    Flaw,
    Hidden,
    Paper,
    PaperEvidence,
    PaperSentence,
    ReferenceEntry,
    Section,
    Table,
    TableCell,
)
from plumbrule.oversight.papers.instructions import check_instructions
from plumbrule.oversight.papers.judges import judges
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
    flaws_in,
    opinion_of,
    tools,
)
from plumbrule.oversight.papers.support import Support, SupportCheck, check_sources
from plumbrule.oversight.records import ReportedFlaw

__all__ = [
    "Bibliography",
    "BrokenEntry",
    "CheckResult",
    "CheckSpecialist",
    "Citation",
    "Flaw",
    "Hidden",
    "Material",
    "Paper",
    "PaperEvidence",
    "PaperSentence",
    "ReferenceEntry",
    "ReportedFlaw",
    "Section",
    "Support",
    "SupportCheck",
    "Table",
    "TableCell",
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
