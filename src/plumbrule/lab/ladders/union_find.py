"""Finding representatives in a forest: who is the root above x, looking at most k links up?

Token i of a context is the parent of i; a root is its own parent. 2k links up are k links up from
where k links lead. The forests are deep: mostly long paths.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plumbrule.errors import ConfigError
from plumbrule.lab.ladders.drawing import (
    Answers,
    Ask,
    Contexts,
    Relabelled,
    check_size,
    draw_split,
    follow,
    inverse,
    look_up,
    rename_links,
    shuffles,
)


@dataclass(frozen=True)
class UnionFind:
    """Where `depth` parent links lead from each node of a union-find forest.

    Source:
        After the union-find task of Christiano, Shlegeris & Amodei (2018), arXiv 1810.08575; they
        take 64 vertices. That the links are given as parents, and the doubling, are ours.
    """

    size: int = 12
    """Nodes of a forest."""

    straight: float = 0.85
    """Probability that a node hangs below the one drawn just before it."""

    roots: float = 0.05
    """Probability that a node begins a tree of its own."""

    name = "union-find"
    kinds = ("ancestor",)

    def __post_init__(self) -> None:
        """Refuse sizes that no context can have."""
        check_size("size", self.size, least=3, most=64)
        if not (self.straight >= 0 and self.roots >= 0 and self.straight + self.roots <= 1):
            raise ConfigError(
                "straight and roots are probabilities that add up to 1 at most, got "
                f"{self.straight} and {self.roots}"
            )

    @property
    def vocabulary(self) -> int:
        """Different tokens in a context."""
        return self.size

    def draw(self, count: int, *, seed: int, exam: bool) -> Contexts:
        """Draw forests from one side of the split."""
        return draw_split(self._forests, count, seed=seed, exam=exam)

    def answer(self, contexts: Contexts, kind: str, depth: int) -> Answers:
        """Follow the parent links, one after another."""
        return follow(contexts, depth)

    def choices(self, kind: str) -> int:
        """How many answers a question of this kind can have."""
        return self.size

    def parts(self, kind: str) -> Mapping[str, int]:
        """How many answers of each kind, at half the depth, one answer is put together from."""
        return {"ancestor": 2}

    def combine(self, contexts: Contexts, kind: str, ask: Ask, *, half: int) -> Answers:
        """Ask who is above x, then who is above that."""
        found = ask("ancestor")
        return look_up(found, found)

    def relabel(self, contexts: Contexts, *, seed: int) -> Relabelled:
        """Rename the nodes at random."""
        return rename_links(contexts, seed=seed)

    def describe(self, context: Contexts, kind: str, place: int, depth: int) -> str:
        """One question in words; `context` is a single row."""
        links = ", ".join(
            f"{node} is a root" if node == parent else f"{node} hangs below {parent}"
            for node, parent in enumerate(context[0])
        )
        return f"{links}. Which node do at most {depth} links up from {place} lead to?"

    def _forests(self, count: int, rng: np.random.Generator) -> Contexts:
        places = np.arange(self.size)
        draws = rng.random((count, self.size))
        any_before = (rng.random((count, self.size)) * np.maximum(places, 1)).astype(np.int64)
        parents = np.where(draws < self.straight, places - 1, any_before)
        parents = np.where(draws > 1 - self.roots, places, parents)
        parents[:, 0] = 0
        names = shuffles(count, self.size, rng)
        return look_up(look_up(names, parents), inverse(names))
