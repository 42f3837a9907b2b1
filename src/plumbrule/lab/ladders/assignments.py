"""Simultaneous assignments, executed k times: what does each variable hold then?

All variables begin at 0. Token i of a context is the assignment of variable i, "take variable j and
add c", with all right sides read before anything is written. After 2k executions, variable x
holds what it adds in the last k, and what its source k executions back held by then.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plumbrule.lab.ladders.drawing import (
    Answers,
    Ask,
    Contexts,
    Relabelled,
    check_size,
    draw_split,
    inverse,
    look_up,
    shuffles,
)


@dataclass(frozen=True)
class AssignmentChain:
    """Value, and source, of each variable after `depth` executions of a block of assignments.

    Source:
        After the sequential assignments of Christiano, Shlegeris & Amodei (2018), arXiv
        1810.08575. Addition in place of a drawn table, and the doubling, are ours.
    """

    size: int = 8
    """Variables."""

    modulus: int = 4
    """Values are counted modulo this."""

    name = "assignments"
    kinds = ("source", "value")

    def __post_init__(self) -> None:
        """Refuse sizes that no context can have."""
        check_size("size", self.size, least=2, most=26)
        check_size("modulus", self.modulus, least=2, most=64)

    @property
    def vocabulary(self) -> int:
        """Different tokens in a context."""
        return self.size * self.modulus

    def draw(self, count: int, *, seed: int, exam: bool) -> Contexts:
        """Draw blocks of assignments, all equally likely, from one side of the split."""
        return draw_split(
            lambda wanted, rng: rng.integers(0, self.vocabulary, (wanted, self.size)),
            count,
            seed=seed,
            exam=exam,
        )

    def answer(self, contexts: Contexts, kind: str, depth: int) -> Answers:
        """Execute the block `depth` times."""
        source, added = contexts // self.modulus, contexts % self.modulus
        held, origin = np.zeros_like(contexts), np.broadcast_to(np.arange(self.size), source.shape)
        for _ in range(depth):
            held = (look_up(held, source) + added) % self.modulus
            origin = look_up(origin, source)
        return origin if kind == "source" else held

    def choices(self, kind: str) -> int:
        """How many answers a question of this kind can have."""
        return self.size if kind == "source" else self.modulus

    def parts(self, kind: str) -> Mapping[str, int]:
        """How many answers of each kind, at half the depth, one answer is put together from."""
        return {"source": 2} if kind == "source" else {"source": 1, "value": 2}

    def combine(self, contexts: Contexts, kind: str, ask: Ask, *, half: int) -> Answers:
        """Ask for the source half way back, and what is added on both halves of the way."""
        source = np.clip(ask("source"), 0, self.size - 1)
        if kind == "source":
            return look_up(source, source)
        value = ask("value")
        total: Answers = (value + look_up(value, source)) % self.modulus
        return total

    def relabel(self, contexts: Contexts, *, seed: int) -> Relabelled:
        """Rename the variables at random."""
        new = shuffles(len(contexts), self.size, np.random.default_rng(seed))
        old = inverse(new)
        source = look_up(new, look_up(contexts // self.modulus, old))
        added = look_up(contexts % self.modulus, old)

        def restore(answers: Answers, kind: str) -> Answers:
            back = look_up(answers, new)
            return look_up(old, back) if kind == "source" else back

        return Relabelled(contexts=source * self.modulus + added, restore=restore)

    def describe(self, context: Contexts, kind: str, place: int, depth: int) -> str:
        """One question in words; `context` is a single row."""
        names = "abcdefghijklmnopqrstuvwxyz"
        right = ", ".join(f"{names[t // self.modulus]} + {t % self.modulus}" for t in context[0])
        left = ", ".join(names[: self.size])
        asked = (
            f"which variable's first value did {names[place]} take over"
            if kind == "source"
            else f"what does {names[place]} hold, modulo {self.modulus}"
        )
        return f"{left} := {right}, {depth} times, from 0. Then {asked}?"
