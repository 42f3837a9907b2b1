"""Critique, revise, compare and grade replies, over any model."""

from plumbrule.judging.comparison import Pair, combine, compare
from plumbrule.judging.grading import grade, sort_by_manner
from plumbrule.judging.prompts import PromptSet, load_prompts, transcript
from plumbrule.judging.revision import Critique, Draft, critique, revise, unusable

__all__ = [
    "Critique",
    "Draft",
    "Pair",
    "PromptSet",
    "combine",
    "compare",
    "critique",
    "grade",
    "load_prompts",
    "revise",
    "sort_by_manner",
    "transcript",
    "unusable",
]
