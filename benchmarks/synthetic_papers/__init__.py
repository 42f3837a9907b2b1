"""Synthetic papers with known truth: a clean paper, or one in which named flaws are planted."""

from benchmarks.synthetic_papers.flaws import KINDS, STATISTICS_KINDS, PlantedFlaw
from benchmarks.synthetic_papers.making import SyntheticPaper, make_paper

__all__ = [
    "KINDS",
    "STATISTICS_KINDS",
    "PlantedFlaw",
    "SyntheticPaper",
    "make_paper",
]
