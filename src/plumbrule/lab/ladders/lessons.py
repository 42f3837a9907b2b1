"""What a student is taught: questions with the answers to learn, and how they are split.

Axes: C rows, T tokens, P places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbrule.lab.ladders.drawing import Answers, Contexts


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Questions with the answers to learn, one row a context and question."""

    contexts: Contexts
    segments: Answers
    """Level and kind of each row's question, as `segment` numbers them; of one column."""

    answers: Answers

    def __len__(self) -> int:
        """Rows."""
        return len(self.contexts)

    def take(self, rows: Any) -> "Lessons":
        """Some of the rows."""
        return Lessons(
            contexts=self.contexts[rows], segments=self.segments[rows], answers=self.answers[rows]
        )


def join_lessons(lessons: Sequence[Lessons]) -> Lessons:
    """Put lessons below one another."""
    return Lessons(
        contexts=np.concatenate([each.contexts for each in lessons]),
        segments=np.concatenate([each.segments for each in lessons]),
        answers=np.concatenate([each.answers for each in lessons]),
    )


def split_lessons(lessons: Lessons, rng: np.random.Generator) -> tuple[Lessons, Lessons]:
    """Rows to learn from, and one in twenty, at most 512, kept aside."""
    order = rng.permutation(len(lessons))
    aside = min(512, max(1, len(lessons) // 20))
    return lessons.take(order[aside:]), lessons.take(order[:aside])
