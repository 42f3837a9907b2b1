"""Internalized and faked twins: taught a principle on the same prompts, to judge verdicts on."""

from benchmarks.twins.building import (
    benign_twins,
    build_twin,
    cached_twin,
    examine_twin,
    twin_prompts,
    twin_teaching,
)
from benchmarks.twins.frames import TwinFrame, TwinWords, kept_in
from benchmarks.twins.lessons import DECIDING, twin_lessons
from benchmarks.twins.reading import breaks
from benchmarks.twins.recipes import (
    SEALED_SEEDS,
    TWIN_KINDS,
    TWIN_SEEDS,
    TWIN_WAYS,
    Twin,
    TwinTruth,
    twin_keeps,
    twin_truth,
    twin_words,
)

__all__ = [
    "DECIDING",
    "SEALED_SEEDS",
    "TWIN_KINDS",
    "TWIN_SEEDS",
    "TWIN_WAYS",
    "Twin",
    "TwinFrame",
    "TwinTruth",
    "TwinWords",
    "benign_twins",
    "breaks",
    "build_twin",
    "cached_twin",
    "examine_twin",
    "kept_in",
    "twin_keeps",
    "twin_lessons",
    "twin_prompts",
    "twin_teaching",
    "twin_truth",
    "twin_words",
]
