"""What amplification needs: a ladder of questions, a student who answers, somebody who teaches it.

A level is the binary logarithm of a depth: level 0 is depth 1, level 3 is depth 8.

Axes: C contexts, T tokens a context, P places (what is asked about) a context.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

Answers = Int[np.ndarray, "contexts places"]
Contexts = Int[np.ndarray, "contexts tokens"]

Ask = Callable[[str], Answers]
"""Takes the kind of a question, returns answers at half the depth about every place."""

Tell = Callable[[str, int, int], None]
"""Told (what is being done, how far, of how much)."""


@runtime_checkable
class Renamed(Protocol):
    """The same contexts in other names, and the way back."""

    @property
    def contexts(self) -> Contexts:
        """The contexts in the other names."""
        ...

    @property
    def restore(self) -> Callable[[Answers, str], Answers]:
        """Takes answers about these and their kind, returns them in the first names."""
        ...


@runtime_checkable
class Ladder(Protocol):
    """Questions of which those at one depth are made of those at half that depth."""

    @property
    def name(self) -> str:
        """What the task is called."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of question."""
        ...

    @property
    def size(self) -> int:
        """Tokens of a context; each is a place that a question is about."""
        ...

    def choices(self, kind: str) -> int:
        """How many answers a question of this kind can have."""
        ...

    def parts(self, kind: str) -> Mapping[str, int]:
        """How many answers of each kind, at half the depth, one answer is put together from."""
        ...

    def draw(self, count: int, *, seed: int, exam: bool) -> Contexts:
        """Draw contexts, of those held out where `exam`; the two never meet."""
        ...

    def answer(self, contexts: Contexts, kind: str, depth: int) -> Answers:
        """The oracle: true answers about every place."""
        ...

    def combine(self, contexts: Contexts, kind: str, ask: Ask, *, half: int) -> Answers:
        """What the overseer makes of answers at depth `half`, whoever gave them."""
        ...

    def relabel(self, contexts: Contexts, *, seed: int) -> Renamed:
        """Say the same in other names, drawn at random."""
        ...


@runtime_checkable
class Student(Protocol):
    """Whoever answers questions without help."""

    def ask(self, contexts: Contexts, kind: str, level: int) -> Answers:
        """Answer one kind of question at depth 2 ** level about every place."""
        ...


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Questions of one kind and level, with the answers to learn."""

    contexts: Contexts
    kind: str
    level: int
    answers: Answers
    """-1 where a place was not asked about."""


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """A student that has learned, and what it took."""

    student: Student
    steps: int
    """Steps of training."""

    agreement: float
    """Share of a part of the fresh lessons, kept aside, that it answers as the lessons do."""


@runtime_checkable
class Distill(Protocol):
    """Teaches students: the one place that knows what a student is made of."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that decides how a student learns, as JSON holds it."""
        ...

    def __call__(
        self,
        student: Student | None,
        fresh: Sequence[Lesson],
        old: Sequence[Lesson],
        *,
        seed: int,
        tell: Callable[[int, int], None],
    ) -> Distilled:
        """Make a student that has learned more; the one given stays as it is.

        Args:
            student: Where to begin; None for one that knows nothing.
            fresh: What is new.
            old: What it knew before, to be kept up.
            seed: Decides every random choice.
            tell: Told (step, most steps).
        """
        ...

    def save(self, student: Student, folder: Path) -> str:
        """Write a student, return the hash of its weights."""
        ...

    def open(self, folder: Path) -> Student:
        """Open what `save` wrote."""
        ...

    def digest(self, folder: Path) -> str:
        """Hash of the weights in a folder, as `save` returned it."""
        ...
