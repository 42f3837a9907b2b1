"""Chains of facts in the village: the friend of the friend of ... somebody.

A context holds one fact a person in random order, a token a fact: who, and who their friend is.
The question is at a fact and is about whom the fact is about: who is the friend of the friend
of ... that person, `depth` times. Of 2k times, the second k begin where the first k end.
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
from plumbrule.lab.world import PEOPLE


@dataclass(frozen=True)
class FriendChain:
    """Who is at the end of `depth` friendships, from facts in random order.

    Source:
        The village is ours. That an answer is found by asking the same question at half the depth
        twice is the decomposition of Christiano, Shlegeris & Amodei (2018), arXiv 1810.08575, for
        powers of a permutation; here two people may have the same friend.
    """

    size: int = 8
    """People, each with one friend who is somebody else."""

    name = "friends"
    kinds = ("friend",)

    def __post_init__(self) -> None:
        """Refuse sizes that no context can have."""
        check_size("size", self.size, least=3, most=len(PEOPLE))

    @property
    def vocabulary(self) -> int:
        """Different tokens in a context."""
        return self.size * self.size

    def draw(self, count: int, *, seed: int, exam: bool) -> Contexts:
        """Draw villages from one side of the split, which does not look at the order of facts."""
        return draw_split(self._villages, count, seed=seed, exam=exam, key=self._friend_of)

    def answer(self, contexts: Contexts, kind: str, depth: int) -> Answers:
        """Go from friend to friend."""
        friend_of, found = self._friend_of(contexts), contexts // self.size
        for _ in range(depth):
            found = look_up(friend_of, found)
        return found

    def choices(self, kind: str) -> int:
        """How many answers a question of this kind can have."""
        return self.size

    def parts(self, kind: str) -> Mapping[str, int]:
        """How many answers of each kind, at half the depth, one answer is put together from."""
        return {"friend": 2}

    def combine(self, contexts: Contexts, kind: str, ask: Ask, *, half: int) -> Answers:
        """Ask who is half way, then ask the same about that person."""
        found = ask("friend")
        return look_up(look_up(found, inverse(contexts // self.size)), found)

    def relabel(self, contexts: Contexts, *, seed: int) -> Relabelled:
        """Rename the people, and tell the facts in another order."""
        rng = np.random.default_rng(seed)
        new = shuffles(len(contexts), self.size, rng)
        order = shuffles(len(contexts), self.size, rng)
        told = look_up(contexts, order)
        return Relabelled(
            contexts=look_up(new, told // self.size) * self.size + look_up(new, told % self.size),
            restore=lambda answers, kind: look_up(inverse(new), look_up(answers, inverse(order))),
        )

    def describe(self, context: Contexts, kind: str, place: int, depth: int) -> str:
        """One question in words; `context` is a single row."""
        facts = " ".join(
            f"The friend of {PEOPLE[fact // self.size]} is {PEOPLE[fact % self.size]}."
            for fact in context[0]
        )
        asked = PEOPLE[context[0, place] // self.size]
        return f"{facts} Who is {'the friend of ' * depth}{asked}?"

    def _friend_of(self, contexts: Contexts) -> Contexts:
        return look_up(contexts % self.size, inverse(contexts // self.size))

    def _villages(self, count: int, rng: np.random.Generator) -> Contexts:
        people = shuffles(count, self.size, rng)
        other = rng.integers(1, self.size, (count, self.size))
        return people * self.size + (people + other) % self.size
