"""Powers of a permutation: where does x go when it is moved k times?

Token i of a context is the image of i. The power 2k is the power k applied twice:
sigma^2k(x) = sigma^k(sigma^k(x)).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from plumbrule.lab.ladders.drawing import (
    Answers,
    Ask,
    Contexts,
    Relabelled,
    check_size,
    draw_split,
    follow,
    look_up,
    rename_links,
    shuffles,
)


@dataclass(frozen=True)
class PermutationPowering:
    """Where a permutation sends each of its elements in `depth` moves.

    Source:
        Christiano, Shlegeris & Amodei (2018), "Supervising strong learners by amplifying weak
        experts", arXiv 1810.08575: the task and its decomposition; they take up to 64 elements.
    """

    size: int = 8
    """Elements that are permuted."""

    name = "permutation"
    kinds = ("image",)

    def __post_init__(self) -> None:
        """Refuse sizes that no context can have."""
        check_size("size", self.size, least=3, most=64)

    @property
    def vocabulary(self) -> int:
        """Different tokens in a context."""
        return self.size

    def draw(self, count: int, *, seed: int, exam: bool) -> Contexts:
        """Draw permutations, all equally likely, from one side of the split."""
        return draw_split(
            lambda wanted, rng: shuffles(wanted, self.size, rng),
            count,
            seed=seed,
            exam=exam,
        )

    def answer(self, contexts: Contexts, kind: str, depth: int) -> Answers:
        """Move every element `depth` times, one move after another."""
        return follow(contexts, depth)

    def choices(self, kind: str) -> int:
        """How many answers a question of this kind can have."""
        return self.size

    def parts(self, kind: str) -> Mapping[str, int]:
        """How many answers of each kind, at half the depth, one answer is put together from."""
        return {"image": 2}

    def combine(self, contexts: Contexts, kind: str, ask: Ask, *, half: int) -> Answers:
        """Ask where x goes, then where that goes."""
        found = ask("image")
        return look_up(found, found)

    def relabel(self, contexts: Contexts, *, seed: int) -> Relabelled:
        """Rename the elements at random: the permutation conjugated by another."""
        return rename_links(contexts, seed=seed)

    def describe(self, context: Contexts, kind: str, place: int, depth: int) -> str:
        """One question in words; `context` is a single row."""
        moves = ", ".join(f"{x} to {image}" for x, image in enumerate(context[0]))
        return f"{moves}. Where is {place} after {depth} moves?"
