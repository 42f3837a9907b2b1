"""The constitution: principles with priorities, conditions, sources and tests."""

from plumbrule.constitution.complaint import LINT_CODES, Complaint
from plumbrule.constitution.diff import ConstitutionDiff, FieldChange, Renaming, diff
from plumbrule.constitution.files import (
    SHIPPED,
    dump_constitution,
    load_constitution,
    parse_constitution,
)
from plumbrule.constitution.importer import MarkdownImport, Skipped, import_markdown
from plumbrule.constitution.lint import lint
from plumbrule.constitution.schema import Constitution, Counterfactual, CritiqueExample, Principle
from plumbrule.constitution.words import (
    WordHit,
    WordRule,
    find_words,
    holds_words,
    replace_words,
    word_rule,
)

__all__ = [
    "LINT_CODES",
    "SHIPPED",
    "Complaint",
    "Constitution",
    "ConstitutionDiff",
    "Counterfactual",
    "CritiqueExample",
    "FieldChange",
    "MarkdownImport",
    "Principle",
    "Renaming",
    "Skipped",
    "WordHit",
    "WordRule",
    "diff",
    "dump_constitution",
    "find_words",
    "holds_words",
    "import_markdown",
    "lint",
    "load_constitution",
    "parse_constitution",
    "replace_words",
    "word_rule",
]
