"""What a screen is: a cheap look that says where the models may part. It only orders the work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from plumbrule.behavior.hypotheses import Hypothesis
from plumbrule.behavior.pair import Pair
from plumbrule.behavior.places import MarkTable, Place
from plumbrule.records import Prompt


@dataclass(frozen=True, kw_only=True)
class View:
    """What a screen is given."""

    pair: Pair
    prompts: Sequence[Prompt]
    """Prompts it may look at; never those that hypotheses are tested on."""

    table: MarkTable
    """Marks of these prompts."""

    most_texts: int
    """Texts it may generate."""

    seed: int

    seen: Mapping[str, "Sighting"] = field(default_factory=dict)
    """What the screens before it saw."""

    shared: dict[str, Any] = field(default_factory=dict)
    """Results that several screens use, such as the weight differences: computed once."""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What a screen has seen."""

    scores: np.ndarray | None = None
    """One a prompt, larger where the models part more, in the screen's own unit; None where it
    does not score prompts."""

    places: Mapping[Place, float] = field(default_factory=dict)
    """Places it suspects beyond the prompts it was given, such as those behind a trigger."""

    phrases: tuple[tuple[str, Literal["more", "less"]], ...] = ()
    """Words that it suspects the tuned model of saying more, or less."""

    hypotheses: tuple[Hypothesis, ...] = ()
    """Whole claims, such as those of a judge."""

    note: str | None = None
    """What it saw, in a sentence for the report."""

    lacking: str | None = None
    """Why it could not look; None where it did."""


@runtime_checkable
class Screen(Protocol):
    """A cheap look at two models."""

    @property
    def name(self) -> str:
        """What the report and `--screens` call it."""
        ...

    def __call__(self, view: View) -> Sighting:
        """Look, and say where the models may part."""
        ...
