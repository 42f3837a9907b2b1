"""Models that take turns in memory: one is there, and the others are read from disk again.

Weights of 32 bits are mapped from their file, so that coming back takes moments; others are
converted anew.
"""

import gc
from typing import Protocol


class Rests(Protocol):
    """A model that can let go of its weights, such as a `LocalModel` from disk."""

    turns: "Turns | None"

    @property
    def resting(self) -> bool:
        """Whether its weights are not in memory."""

    def rest(self) -> None:
        """Let go of the weights, until something needs them again."""


class Turns:
    """Of the models in it at most one is in memory.

    Whoever needs two of them at once must not let them take turns: what was done to one, as by a
    hook, is gone when another comes.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._models: list[Rests] = []

    def join(self, model: Rests) -> None:
        """Take in one that is in memory, and let the others go.

        Raises:
            ModelError: The weights of one are not those on disk.
        """
        self._models.append(model)
        model.turns = self
        self.rest(but=model)

    def rest(self, *, but: Rests | None = None) -> None:
        """Let all go, or all but one."""
        from plumbrule.models.packing import give_back

        for each in self._models:
            if each is not but and not each.resting:
                each.rest()
        gc.collect()  # modules refer to themselves, so that their weights would stay for a while
        give_back()
