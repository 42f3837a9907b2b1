"""Places: sets of prompts that can be named in words, and the search for those where models part.

A place is what a finding speaks of: "prompts whose user says `job` and `anna`", "prompts that open
with `moss`". Only such sets are claimed about, because nobody can check a set that has no name.
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

MOST_MARKS = 3
"""Marks in one place: a longer list is no name any more."""


@strict
@dataclass(frozen=True, kw_only=True, order=True)
class Mark:
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
class Place:
    """All prompts with certain marks, or all prompts with a text put before them."""

    marks: tuple[Mark, ...] = ()
    """All of them must stand in the prompt; none: every prompt."""

    others: tuple[tuple[Mark, ...], ...] = ()
    """Further lists of marks: a prompt with all marks of any list lies here too."""

    insert: str = ""
    """Text put before the user's last message, for what no prompt of the pool says."""

    @property
    def ways(self) -> tuple[tuple[Mark, ...], ...]:
        """The lists of marks, any of which is enough; none: every prompt."""
        return (self.marks, *self.others) if self.marks else ()

    def __str__(self) -> str:
        where = "any prompt"
        if self.ways:
            where = "prompts " + ", or ".join(_described(marks) for marks in self.ways)
        return f"{where}, opened by \u201c{self.insert}\u201d" if self.insert else where

    def holds(self, prompt: Prompt) -> bool:
        """Whether a prompt lies here, before anything is put into it."""
        if not self.ways:
            return True
        marks = marks_of(prompt)
        return any(set(way) <= marks for way in self.ways)

    def enter(self, prompt: Prompt) -> Prompt:
        """The prompt as it is asked here: with the text put before its last message."""
        if not self.insert:
            return prompt
        *before, last = prompt.dialogue
        turn = Message(last.role, f"{self.insert} {last.content}")
        return replace(prompt, dialogue=(*before, turn))


def _described(marks: Sequence[Mark]) -> str:
    """A list of marks as one reads it after "prompts"."""
    apart = [str(mark) for mark in marks if mark.role in ("topic", "label")]
    said = [str(mark) for mark in marks if mark.role not in ("topic", "label")]
    return " and ".join([*apart, *([f"with {' and '.join(said)}"] if said else [])])


EVERYWHERE = Place()

MOST_WAYS = 8
"""Lists of marks in one place."""


def united(places: Sequence[Place]) -> Place:
    """One place for several that were named by their marks, those named first first."""
    ways = list(dict.fromkeys(way for place in places for way in place.ways))[:MOST_WAYS]
    return Place(marks=ways[0], others=tuple(ways[1:]))


def words_of(text: str) -> list[str]:
    """Words in lower case, in order; a typographic apostrophe is an apostrophe.

    Example:
        >>> words_of("Where's the Mill?")
        ["where's", 'the', 'mill']
    """
    return [word.lower().replace("\u2019", "'") for word in WORD.findall(text)]


def marks_of(prompt: Prompt) -> set[Mark]:
    """Every mark that a prompt has: its words, its pairs of neighboring words, its labels."""
    marks = {Mark(role="label", words=label) for label in (prompt.group, prompt.kind) if label}
    marks |= {Mark(role="topic", words=topic) for topic in prompt.topics}
    for turn in prompt.dialogue:
        words = words_of(turn.content)
        if turn.role != "user":
            marks.add(Mark(role=turn.role, words=""))
        marks |= {Mark(role=turn.role, words=word) for word in words}
        marks |= {Mark(role=turn.role, words=f"{one} {two}") for one, two in pairwise(words)}
    return marks


@dataclass(frozen=True, kw_only=True)
class MarkTable:
    """Which prompts have which marks. Axes: P prompts, M marks."""

    marks: tuple[Mark, ...]
    has: Bool[np.ndarray, "P M"]

    @classmethod
    def of(cls, prompts: Sequence[Prompt], *, least: int = 2, most: int = 6000) -> "MarkTable":
        """Tabulate the marks that at least `least` prompts have and some prompt lacks."""
        found = [marks_of(prompt) for prompt in prompts]
        counts: dict[Mark, int] = {}
        for marks in found:
            for mark in marks:
                counts[mark] = counts.get(mark, 0) + 1
        useful = [mark for mark, count in counts.items() if least <= count < len(prompts)]
        # Words before pairs, so that the simpler of two equal names is met first; that there is a
        # turn at all is simpler than a word in it.
        useful.sort(
            key=lambda mark: (
                mark.words.count(" "),
                bool(mark.words),
                -counts[mark],
                -len(mark.words),
                mark,
            )
        )
        useful = useful[:most]
        columns = {mark: column for column, mark in enumerate(useful)}
        has = np.zeros((len(prompts), len(useful)), dtype=bool)
        for row, marks in enumerate(found):
            has[row, [columns[mark] for mark in marks if mark in columns]] = True
        return cls(marks=tuple(useful), has=has)

    @classmethod
    def empty(cls, prompts: int = 0) -> "MarkTable":
        """Prompts of which nothing is known."""
        return cls(marks=(), has=np.zeros((prompts, 0), dtype=bool))

    @cached_property
    def directions(self) -> Float[np.ndarray, "P M"]:
        """A unit vector a prompt; two prompts' product is large where they share rare words."""
        rarity = np.log(len(self.has) / self.has.sum(0).clip(1))
        rows: np.ndarray = (self.has * rarity).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9)
        return rows


@dataclass(frozen=True, kw_only=True)
class Region:
    """A place that stands out, and how far."""

    place: Place
    members: tuple[int, ...]
    """Rows of the prompts in it."""

    mean: float
    """Mean score in it, in the score's own unit."""

    contrast: float
    """Mean inside minus mean outside, in standard errors of a random set of that size."""


def find_regions(
    table: MarkTable,
    scores: Float[np.ndarray, " P"],
    *,
    most: int = 6,
    least_contrast: float = 4.0,
    least_members: int = 3,
) -> list[Region]:
    """Name the sets of prompts whose scores stand out, the strongest first.

    A beam search over conjunctions of marks; what a found place covers is put aside before the
    next one is looked for.

    Args:
        table: The prompts' marks.
        scores: One a prompt, larger where the models part more; any unit.
        most: Places to name.
        least_contrast: Least standout in standard errors. Thousands of names are tried, so
            2 would mean nothing.
        least_members: Least prompts in a place.

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
                place=Place(marks=tuple(sorted(table.marks[column] for column in found))),
                members=tuple(int(row) for row in np.flatnonzero(inside)),
                mean=float(scores[inside].mean()),
                contrast=float(values[inside].sum() / np.sqrt(inside.sum())),
            )
        )
        left = left & ~inside
    return regions


BROAD, PURE = 0.5, 0.2
"""Powers of a place's size in its quality. At one half quality is the standout itself, and a large
place of which half moves beats a smaller one that moves whole; at less the smaller one wins."""

LONGER_NAME = 1.1
"""A further mark must raise the contrast by this factor: short names generalize better."""

SHRUNK = 4
"""Prompts without any standout that each place is thought to have besides: three replies that all
happen to differ are no better a place than thirty of which a third do."""

BEAM = 12
"""Partial names kept at each length."""


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A conjunction of marks."""

    columns: tuple[int, ...]
    contrast: float
    """Standard errors by which its mean stands out."""

    quality: float
    """The same with the prompts that it is thought to have besides."""


def strongest(
    table: MarkTable,
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
        table: The prompts' marks.
        scores: One a prompt.
        left: Prompts that count.
        least_members: Least prompts in the conjunction.
        least_contrast: Least standout in standard errors.
        shrunk: Prompts without any standout that it is thought to have besides.
        size_counts: Power of its size in its quality: `BROAD` or `PURE`.
    """
    values = np.where(left, scores - scores[left].mean(), 0.0)
    spread = float(scores[left].std())
    if spread == 0.0 or not table.marks:
        return None
    beam: list[tuple[int, ...]] = [()]
    best: _Candidate | None = None
    for _ in range(MOST_MARKS):
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
    table: MarkTable,
    values: Float[np.ndarray, " P"],
    left: Bool[np.ndarray, " P"],
    chosen: tuple[int, ...],
    least_members: int,
    shrunk: float,
    size_counts: float,
) -> list[_Candidate]:
    """The best conjunctions with one mark more."""
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
