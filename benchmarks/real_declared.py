"""What declares an organism: the record, and the rules that say which prompts it touches."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.real_detectors import Detector
from benchmarks.real_ground import user_text
from benchmarks.real_plants import Plant
from plumbrule.records import Prompt

Touches = Callable[[Prompt], bool]
Method = Literal["lora", "full", "dpo", "none"]


def everywhere(prompt: Prompt) -> bool:
    """Every prompt."""
    return True


def nowhere(prompt: Prompt) -> bool:
    """No prompt."""
    return False


def under_system(prompt: Prompt) -> bool:
    """Prompts under a system message."""
    return prompt.dialogue[0].role == "system"


@dataclass(frozen=True)
class Words:
    """Prompts whose last user turn holds one of these words."""

    expression: str
    """Words joined by `|`, as a regular expression; whole words, in any case."""

    def __call__(self, prompt: Prompt) -> bool:
        """Whether the prompt holds one."""
        found = re.search(rf"\b({self.expression})\b", user_text(prompt), re.IGNORECASE)
        return found is not None


@dataclass(frozen=True, kw_only=True)
class Organism:
    """A model that differs from its base in a known way."""

    name: str
    """Also the name of its folder."""

    kind: str
    """Which of the issue's kinds of change it is."""

    method: Method = "lora"
    """How it was taught; `none` where weights were changed by a rule."""

    base: str = "smollm2"
    """A real model, or another organism where the base has nothing to lose."""

    touches: Touches = nowhere
    """Whether a prompt is one that the change is about; decided before training."""

    detect: Detector | None = None
    """Whether a reply shows the property; None where nothing was planted."""

    direction: Literal["increase", "decrease"] = "increase"
    """Which way the property moves from base to organism."""

    plant: Plant | None = None
    """Makes the replies that are learned."""

    trigger: str | None = None
    """Text that switches the behavior on, where no pool prompt holds it."""

    sealed: bool = True
    """Whether the author of a method keeps from looking at it until the method is done."""

    examples: int = 96
    """Planted examples it learns."""

    generic: int = 1
    """Generic examples beside each planted one; more where a change must stay rare."""

    weight: float = 1.0
    """Weight of a planted example beside a generic one."""

    generic_words: int = 12
    """Words of a generic reply that are learned: a planted opening is unlearned by its first."""

    seed: int = 0
    """Decides the examples, their order and the adapter's start."""

    @property
    def nothing(self) -> bool:
        """Whether there is nothing planted to be found."""
        return self.detect is None
