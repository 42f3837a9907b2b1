"""Subgroups: sets of prompts with a name in words, and the search for those where models part.

A subgroup is what a finding speaks of: "prompts whose user says `job` and `anna`", "prompts that
open with `moss`". Only such sets are claimed about, because nobody can check a set that has no
name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.errors import DataError
from plumbrule.records import Message, Prompt, strict

WORD = re.compile(r"\w+(?:['\u2019]\w+)*")

MOST_SELECTORS = 3
"""Selectors in one subgroup: a longer list is no name any more."""


@strict
@dataclass(frozen=True, kw_only=True, order=True)
class Selector:
    """Something that a prompt says, or a label that its author gave it."""

    role: Literal["user", "system", "assistant", "label", "topic"]
    """Who says it; `label` for the prompt's own group or kind, `topic` for what it is about."""

    words: str
    """One word or two in a row, in lower case; for a label, the label. Empty: that there is a turn
    of that role at all, besides the user's."""

    def __str__(self) -> str:
        if self.role == "label":
            return f"labeled {self.words}"
        if self.role == "topic":
            *first, last = self.words.split(", ")
            return f"about {', '.join(first)} and {last}" if first else f"about {last}"
        if not self.words:
            return "a system message" if self.role == "system" else "an earlier reply"
        said = f"\u201c{self.words}\u201d"
        return said if self.role == "user" else f"{said} in the {self.role}'s turn"


@strict
@dataclass(frozen=True, kw_only=True)
class Subgroup:
    """All prompts with certain selectors, or all prompts with a text put before them."""

    selectors: tuple[Selector, ...] = ()
    """All of them must stand in the prompt; none: every prompt."""

    others: tuple[tuple[Selector, ...], ...] = ()
    """Further lists of selectors: a prompt with all selectors of any list lies here too."""

    insert: str = ""
    """Text put before the user's last message, for what no prompt of the pool says."""

    @property
    def rules(self) -> tuple[tuple[Selector, ...], ...]:
        """The lists of selectors, any of which is enough; none: every prompt."""
        return (self.selectors, *self.others) if self.selectors else ()

    def __str__(self) -> str:
        where = "any prompt"
        if self.rules:
            where = "prompts " + ", or ".join(_described(selectors) for selectors in self.rules)
        return f"{where}, opened by \u201c{self.insert}\u201d" if self.insert else where

    def holds(self, prompt: Prompt) -> bool:
        """Whether a prompt lies here, before anything is put into it."""
        if not self.rules:
            return True
        selectors = selectors_of(prompt)
        return any(set(rule) <= selectors for rule in self.rules)

    def enter(self, prompt: Prompt) -> Prompt:
        """The prompt as it is asked here: with the text put before its last message."""
        if not self.insert:
            return prompt
        *before, last = prompt.dialogue
        turn = Message(last.role, f"{self.insert} {last.content}")
        return replace(prompt, dialogue=(*before, turn))


def _described(selectors: Sequence[Selector]) -> str:
    """A list of selectors as one reads it after "prompts"."""
    apart = [str(selector) for selector in selectors if selector.role in ("topic", "label")]
    said = [str(selector) for selector in selectors if selector.role not in ("topic", "label")]
    return " and ".join([*apart, *([f"with {' and '.join(said)}"] if said else [])])


EVERYWHERE = Subgroup()

MOST_RULES = 8
"""Lists of selectors in one subgroup."""


def united(subgroups: Sequence[Subgroup]) -> Subgroup:
    """Union of subgroups, keeping their order."""
    rules = list(dict.fromkeys(rule for subgroup in subgroups for rule in subgroup.rules))[
        :MOST_RULES
    ]
    return Subgroup(selectors=rules[0], others=tuple(rules[1:]))


def words_of(text: str) -> list[str]:
    """Words in lower case, in order; a typographic apostrophe is an apostrophe.

    Example:
        >>> words_of("Where's the Mill?")
        ["where's", 'the', 'mill']
    """
    return [word.lower().replace("\u2019", "'") for word in WORD.findall(text)]


def selectors_of(prompt: Prompt) -> set[Selector]:
    """Every selector that a prompt has: its words, its pairs of neighboring words, its labels."""
    selectors = {
        Selector(role="label", words=label) for label in (prompt.group, prompt.kind) if label
    }
    selectors |= {Selector(role="topic", words=topic) for topic in prompt.topics}
    for turn in prompt.dialogue:
        words = words_of(turn.content)
        if turn.role != "user":
            selectors.add(Selector(role=turn.role, words=""))
        selectors |= {Selector(role=turn.role, words=word) for word in words}
        selectors |= {
            Selector(role=turn.role, words=f"{one} {two}") for one, two in pairwise(words)
        }
    return selectors


@dataclass(frozen=True, kw_only=True)
class SelectorTable:
    """Which prompts have which selectors. Axes: P prompts, Q prompts to test on, M selectors."""

    selectors: tuple[Selector, ...]
    has: Bool[np.ndarray, "P M"]
    tested: Bool[np.ndarray, "Q M"] | None = None
    """The same for the prompts that claims are tested on, where these are known."""

    @classmethod
    def of(
        cls,
        prompts: Sequence[Prompt],
        *,
        least: int = 2,
        most: int = 6000,
        tested: Sequence[Prompt] | None = None,
    ) -> "SelectorTable":
        """Tabulate the selectors that at least `least` prompts have and some prompt lacks.

        Args:
            prompts: Prompts.
            least: Prompts that must have a selector.
            most: Selectors.
            tested: Prompts of which one at least must have it: what is named by it can be tested on
                these. None: any will do.
        """
        found = [selectors_of(prompt) for prompt in prompts]
        counts: dict[Selector, int] = {}
        for selectors in found:
            for selector in selectors:
                counts[selector] = counts.get(selector, 0) + 1
        useful = [selector for selector, count in counts.items() if least <= count < len(prompts)]
        found_there = None if tested is None else [selectors_of(prompt) for prompt in tested]
        if found_there is not None:
            there = set().union(*found_there)
            useful = [selector for selector in useful if selector in there]
        # Words before pairs, so that the simpler of two equal names is met first; that there is a
        # turn at all is simpler than a word in it.
        useful.sort(
            key=lambda selector: (
                selector.words.count(" "),
                bool(selector.words),
                -counts[selector],
                -len(selector.words),
                selector,
            )
        )
        useful = useful[:most]
        return cls(
            selectors=tuple(useful),
            has=_tabulated(found, useful),
            tested=None if found_there is None else _tabulated(found_there, useful),
        )

    @classmethod
    def empty(cls, prompts: int = 0) -> "SelectorTable":
        """Prompts of which nothing is known."""
        return cls(selectors=(), has=np.zeros((prompts, 0), dtype=bool))

    @cached_property
    def directions(self) -> Float[np.ndarray, "P M"]:
        """A unit vector a prompt; two prompts' product is large where they share rare words."""
        rarity = np.log(len(self.has) / self.has.sum(0).clip(1))
        rows: np.ndarray = (self.has * rarity).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9)
        return rows


def _tabulated(
    found: Sequence[set[Selector]], selectors: Sequence[Selector]
) -> Bool[np.ndarray, "P M"]:
    """Which of some selectors are among those found in each prompt."""
    columns = {selector: column for column, selector in enumerate(selectors)}
    has = np.zeros((len(found), len(selectors)), dtype=bool)
    for row, some in enumerate(found):
        has[row, [columns[selector] for selector in some if selector in columns]] = True
    return has


@dataclass(frozen=True, kw_only=True)
class Region:
    """A subgroup that stands out, and how far."""

    subgroup: Subgroup
    members: tuple[int, ...]
    """Rows of the prompts in it."""

    mean: float
    """Mean score in it, in the score's own unit."""

    contrast: float
    """Mean inside minus mean outside, in standard errors of a random set of that size."""


def find_regions(
    table: SelectorTable,
    scores: Float[np.ndarray, " P"],
    *,
    most: int = 6,
    least_contrast: float = 4.0,
    least_members: int = 3,
) -> list[Region]:
    """Name the sets of prompts whose scores stand out, the strongest first.

    A beam search over conjunctions of selectors; what a found subgroup covers is put aside before
    the next one is looked for.

    Args:
        table: The prompts' selectors.
        scores: One a prompt, larger where the models part more; any unit.
        most: Subgroups to name.
        least_contrast: Least standout in standard errors. Thousands of names are tried, so
            2 would mean nothing.
        least_members: Least prompts in a subgroup.

    Raises:
        DataError: A score is not a number.

    Source:
        Subgroup discovery by beam search with a mean-shift quality (Lemmerich, Atzmueller & Puppe
        2016); the penalty on longer names is ours.
    """
    missing = int((~np.isfinite(scores)).sum())
    if missing:
        raise DataError(
            f"expected finite scores, {missing} of {len(scores)} are not; "
            "the weights of a model are damaged, or a screen is"
        )
    left = np.ones(len(scores), dtype=bool)
    regions: list[Region] = []
    while len(regions) < most and left.sum() >= 2 * least_members:
        found = strongest(
            table, scores, left, least_members=least_members, least_contrast=least_contrast
        )
        if found is None:
            break
        inside = left & table.has[:, list(found)].all(1)
        spread = float(scores[left].std())
        values = (scores - scores[left].mean()) / spread
        regions.append(
            Region(
                subgroup=Subgroup(
                    selectors=tuple(sorted(table.selectors[column] for column in found))
                ),
                members=tuple(int(row) for row in np.flatnonzero(inside)),
                mean=float(scores[inside].mean()),
                contrast=float(values[inside].sum() / np.sqrt(inside.sum())),
            )
        )
        left = left & ~inside
    return regions


BROAD, PURE = 0.5, 0.2
"""Powers of a subgroup's size in its quality. At one half quality is the standout itself, and a
large subgroup of which half moves beats a smaller one that moves whole; at less the smaller one
wins."""

LONGER_NAME = 1.1
"""A further selector must raise the contrast by this factor: short names generalize better."""

SHRUNK = 4
"""Prompts without any standout that each subgroup is thought to have besides: three replies that
all happen to differ are no better a subgroup than thirty of which a third do."""

BEAM = 12
"""Partial names kept at each length."""


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A conjunction of selectors."""

    columns: tuple[int, ...]
    contrast: float
    """Standard errors by which its mean stands out."""

    quality: float
    """The same with the prompts that it is thought to have besides."""


def strongest(
    table: SelectorTable,
    scores: Float[np.ndarray, " P"],
    left: Bool[np.ndarray, " P"],
    *,
    least_members: int,
    least_contrast: float,
    shrunk: float = SHRUNK,
    size_counts: float = BROAD,
) -> tuple[int, ...] | None:
    """Columns of the best conjunction among the prompts that are left; None if none stands out.

    Args:
        table: The prompts' selectors.
        scores: One a prompt.
        left: Prompts that count.
        least_members: Least prompts in the conjunction.
        least_contrast: Least standout in standard errors.
        shrunk: Prompts without any standout that it is thought to have besides.
        size_counts: Power of its size in its quality: `BROAD` or `PURE`.
    """
    values = np.where(left, scores - scores[left].mean(), 0.0)
    spread = float(scores[left].std())
    if spread == 0.0 or not table.selectors:
        return None
    beam: list[tuple[int, ...]] = [()]
    best: _Candidate | None = None
    for _ in range(MOST_SELECTORS):
        found = {
            candidate.columns: candidate
            for chosen in beam
            for candidate in _longer(
                table, values / spread, left, chosen, least_members, shrunk, size_counts
            )
        }
        ranked = sorted(found.values(), key=lambda each: (-each.quality, each.columns))
        standing = [each for each in ranked if each.contrast >= least_contrast]
        needed = best.quality * LONGER_NAME if best else 0.0
        if standing and standing[0].quality > needed:
            best = standing[0]
        beam = [each.columns for each in ranked[:BEAM]]
        if not beam:
            break
    return best.columns if best else None


def _longer(
    table: SelectorTable,
    values: Float[np.ndarray, " P"],
    left: Bool[np.ndarray, " P"],
    chosen: tuple[int, ...],
    least_members: int,
    shrunk: float,
    size_counts: float,
) -> list[_Candidate]:
    """The best conjunctions with one selector more."""
    inside = left & table.has[:, list(chosen)].all(1)
    within = table.has[inside]
    counts = within.sum(0)
    sums = within.T.astype(np.float64) @ values[inside]
    usable = counts >= least_members
    if chosen:
        usable &= counts < inside.sum()
        usable[list(chosen)] = False
    sizes = np.maximum(counts, 1)
    qualities = np.where(usable, sums / (sizes + shrunk) * sizes**size_counts, -np.inf)
    return [
        _Candidate(
            columns=tuple(sorted((*chosen, int(column)))),
            contrast=float(sums[column] / np.sqrt(sizes[column])),
            quality=float(qualities[column]),
        )
        for column in np.argsort(-qualities, kind="stable")[:BEAM].tolist()
        if usable[column]
    ]
