"""The prompts of a comparison: one half to look at, the other to test on, never mixed."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from plumbrule.behavior.subgroups import Subgroup, words_of
from plumbrule.errors import DataError
from plumbrule.records import Prompt
from plumbrule.store import derive_seed, fingerprint

COVER = 4
"""Times that each word should be met among the prompts that are scanned."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Prompts, split by the hash of each dialogue."""

    explore: tuple[Prompt, ...]
    """What screens may see."""

    confirm: tuple[Prompt, ...]
    """What hypotheses are tested on; no screen ever sees one of these."""

    @classmethod
    def of(cls, prompts: Sequence[Prompt], *, seed: int) -> "Pool":
        """Split prompts into two halves of about equal size; equal dialogues stay together.

        Of two prompts that share their rarest words one goes to each half, by a coin that the seed
        tosses: what is asked in few prompts can then be both met and tested.

        Raises:
            DataError: No prompts, fewer than 2 different ones, or two with one id.
        """
        ranked = sorted(prompts, key=lambda prompt: (_rank(prompt, seed), prompt.id))
        ranks = [_rank(prompt, seed) for prompt in ranked]
        different = sorted(set(ranks))
        if len(different) < 2:
            raise DataError(
                f"a comparison needs at least 2 different prompts, one to look at and one to test "
                f"on; got {len(different)}. Give --prompts a file with some hundred of the kind "
                "the model is used with."
            )
        if len({prompt.id for prompt in prompts}) < len(prompts):
            raise DataError("two prompts have the same id; ids must be unique")
        # A dialogue that stands there twice must not be looked at and tested on.
        looked_at = _explored(dict(zip(ranks, ranked, strict=True)))
        return cls(
            explore=tuple(p for r, p in zip(ranks, ranked, strict=True) if r in looked_at),
            confirm=tuple(p for r, p in zip(ranks, ranked, strict=True) if r not in looked_at),
        )

    @cached_property
    def sha256(self) -> str:
        """Hash of all prompts and of how they are split."""
        return fingerprint(
            [
                [[each.id, each.group, each.kind, _rank(each, 0)] for each in side]
                for side in (self.explore, self.confirm)
            ]
        )

    def confirming(self, subgroup: Subgroup) -> tuple[int, ...]:
        """Positions of the test prompts in a subgroup."""
        if not subgroup.rules:
            return tuple(range(len(self.confirm)))
        return tuple(_inside([subgroup], self.confirm, self._confirm_said))

    @cached_property
    def _confirm_said(self) -> list[str]:
        return [_said(prompt) for prompt in self.confirm]

    def exploring(self, subgroups: Iterable[Subgroup]) -> list[int]:
        """Positions of the explored prompts in any of several subgroups."""
        return _inside(list(subgroups), self.explore, self._explore_said)

    @cached_property
    def _explore_said(self) -> list[str]:
        return [_said(prompt) for prompt in self.explore]

    def covering(self, most: int, *, seed: int) -> list[int]:
        """Positions of explored prompts that between them say every word several times.

        What is looked at grows with the number of words, not with the number of prompts.

        Args:
            most: Prompts wanted; all of them where there are no more.
            seed: Decides the order in which prompts are considered.
        """
        if len(self.explore) <= most:
            return list(range(len(self.explore)))
        order = np.random.default_rng(derive_seed(seed, "covering")).permutation(len(self.explore))
        met: dict[str, int] = {}
        chosen: list[int] = []
        rest: list[int] = []
        for index in order.tolist():
            words = set(self._explore_said[index].split())
            if len(chosen) < most and any(met.get(word, 0) < COVER for word in words):
                chosen.append(index)
                for word in words:
                    met[word] = met.get(word, 0) + 1
            else:
                rest.append(index)
        return sorted([*chosen, *rest[: most - len(chosen)]])


def _inside(
    subgroups: Sequence[Subgroup], prompts: Sequence[Prompt], said: Sequence[str]
) -> list[int]:
    """Positions of the prompts that lie in any of several subgroups."""
    rules = [rule for subgroup in subgroups for rule in subgroup.rules]
    # Most prompts lack a word of it, which is cheaper to see than all their selectors.
    noted = ("label", "topic")  # on a prompt, rather than said in it
    needed = [
        [
            f" {selector.words} "
            for selector in rule
            if selector.words and selector.role not in noted
        ]
        for rule in rules
    ]
    return [
        at
        for at, text in enumerate(said)
        if any(all(words in text for words in some) for some in needed)
        and any(subgroup.holds(prompts[at]) for subgroup in subgroups)
    ]


def _said(prompt: Prompt) -> str:
    """All words in order, turn after turn, each between spaces."""
    return " " + " ".join(word for turn in prompt.dialogue for word in words_of(turn.content)) + " "


def _words(prompt: Prompt) -> frozenset[str]:
    return frozenset(word for turn in prompt.dialogue for word in words_of(turn.content))


def _explored(prompts: Mapping[str, Prompt]) -> set[str]:
    """The ranks of those that may be looked at: one of each two neighbors by their rarest words."""
    words = {rank: _words(prompt) for rank, prompt in prompts.items()}
    counts = Counter(word for each in words.values() for word in each)
    order = sorted(
        prompts, key=lambda rank: (sorted((counts[word], word) for word in words[rank]), rank)
    )
    # Ranks are hashes, so that the lower of two is a fair coin.
    return {min(order[at : at + 2]) for at in range(0, len(order) - 1, 2)}


def _rank(prompt: Prompt, seed: int) -> str:
    """Hash of the words alone: the same prompt is on the same side whatever it is called."""
    turns = "\0".join(f"{turn.role}\0{turn.content}" for turn in prompt.dialogue)
    return hashlib.sha256(f"{seed}\0{turns}".encode()).hexdigest()
