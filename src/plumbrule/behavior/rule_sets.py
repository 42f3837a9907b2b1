"""Several names for one set of prompts: "asks for a job and says mara", or "says mara does".

One list of selectors seldom covers what has changed, and a list that covers it seldom leaves out
what has not. Names are put together, made stricter and made looser as long as together they explain
more of where two models part.

Axes: P prompts, M selectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.behavior.subgroups import (
    BROAD,
    MOST_SELECTORS,
    PURE,
    Region,
    Selector,
    SelectorTable,
    Subgroup,
    strongest,
)

GROWTH = 0.035
"""Share by which each further selector must raise what all names together explain."""

STRICTER = 0.15
"""Share of what a name adds by which a further selector must raise it: short names hold
elsewhere."""

LOOSER = 0.03
"""Share of it that a selector less may cost."""

WITHIN = 2.0
"""Standout in standard errors of a part of a name: that the whole stands out is known already."""

PASSES = 4
"""Times that each name is looked at again."""

Rule = tuple[int, ...]
"""Columns of a table whose selectors must all be there."""


def find_rule_set(
    table: SelectorTable,
    scores: Float[np.ndarray, " P"],
    *,
    most: int,
    least_contrast: float,
    least_members: int,
    shrunk: float,
) -> list[Region]:
    """Name the sets of prompts whose scores stand out, in as many names as that takes.

    Args:
        table: The prompts' selectors.
        scores: One a prompt, larger where the models part more; any unit.
        most: Names at most.
        least_contrast: Least standout of a name in standard errors, as in `find_regions`.
        least_members: Least prompts under a name.
        shrunk: Prompts without any standout that each name is thought to have besides.

    Returns:
        The names, those of one set after each other; what an earlier one covers is no member of a
        later one.

    Source:
        Separate and conquer with a look back, as in rule induction (Fürnkranz, Gamberger & Lavrač
        2012), with the share of variance explained as quality; ours.
    """
    left = np.ones(len(scores), dtype=bool)
    regions: list[Region] = []
    while len(regions) < most:
        search = _Search(table, scores, left, least_members, least_contrast, shrunk)
        rules = search.run(most - len(regions))
        if not rules:
            break
        for rule in rules:
            region = search.region(rule, left)
            if region is not None:
                regions.append(region)
                left = left.copy()
                left[list(region.members)] = False
    return regions


def purest(
    table: SelectorTable,
    rule: tuple[Selector, ...],
    moved: Mapping[int, float],
    *,
    least: float,
    kept: float,
    members: int = 2,
) -> tuple[tuple[Selector, ...], float]:
    """The name with one selector more, or none, under which most of what is known moves.

    Args:
        table: The prompts' selectors.
        rule: A name.
        moved: How far a property moved on some prompts under it, by row.
        least: Mean move that the part must have, if any part has it: of those the one that keeps
            most. At 0 the part with the highest mean.
        kept: Share of all that moves under the name that the part must keep.
        members: Prompts at least.

    Returns:
        The name and the mean move under it; the name as it was where no part is better.
    """
    rows = sorted(moved)
    values = np.array([moved[row] for row in rows])
    whole = (rule, float(values.mean()) if rows else 0.0)
    if not rows or len(rule) == MOST_SELECTORS:
        return whole
    counts = table.has[rows].sum(0)
    sums = table.has[rows].T.astype(np.float64) @ values
    rates = sums / np.maximum(counts, 1)
    usable = (counts >= members) & (sums >= kept * values.sum()) & (rates >= max(least, whole[1]))
    if not usable.any():
        return whole
    worth = np.where(usable, sums if least else rates, -np.inf)
    # Of selectors that are as good the rarest: "works" is what a prompt asks, "i" may be in any.
    as_good = np.flatnonzero(worth >= worth.max() - 1e-9).tolist()
    column = min(as_good, key=lambda each: (int(table.has[:, each].sum()), each))
    return tuple(sorted({*rule, table.selectors[column]})), float(rates[column])


@dataclass
class _Search:
    """The search for the names of one set."""

    table: SelectorTable
    scores: Float[np.ndarray, " P"]
    left: Bool[np.ndarray, " P"]
    least_members: int
    least_contrast: float
    shrunk: float

    def __post_init__(self) -> None:
        self.values = np.where(self.left, self.scores - self.scores[self.left].mean(), 0.0)

    def run(self, most: int) -> list[Rule]:
        """The names that explain most, found from the broadest one or from the purest one."""
        broad, pure = (self.grown(most, size_counts) for size_counts in (BROAD, PURE))
        return max([broad, self.divided(broad, most), pure], key=self.worth)

    def divided(self, rules: Sequence[Rule], most: int) -> list[Rule]:
        """The names with each replaced by those parts of it that stand out within it.

        "When somebody looks on" names a cue; "when somebody looks on and asks where one sleeps"
        names what the change is about.
        """
        parts: list[Rule] = []
        for rule in rules:
            inside = self.left & self.table.has[:, list(rule)].all(1)
            inner = replace(self, left=inside, least_contrast=WITHIN).grown(most, BROAD)
            longer = [tuple(sorted({*rule, *each})) for each in inner]
            parts += [each for each in longer if len(each) <= MOST_SELECTORS] or [rule]
        return self.refined(parts[:most])

    def grown(self, most: int, size_counts: float) -> list[Rule]:
        """Add names and look at all of them again, as long as that explains more."""
        rules: list[Rule] = []
        while len(rules) < most:
            rest = self.left & ~self.union(rules)
            if rest.sum() < 2 * self.least_members:
                break
            found = strongest(
                self.table,
                self.scores,
                rest,
                least_members=self.least_members,
                least_contrast=self.least_contrast,
                shrunk=self.shrunk,
                size_counts=size_counts,
            )
            if found is None:
                break
            longer = self.refined([*rules, found])
            if self.worth(longer) <= self.worth(rules):
                break
            rules = longer
        return rules

    def refined(self, rules: Sequence[Rule]) -> list[Rule]:
        """The names with selectors added, taken away, and names that add nothing left out."""
        now = list(dict.fromkeys(rules))
        for _ in range(PASSES):
            before = list(now)
            for rule in before:
                if rule not in now:
                    continue
                others = [each for each in now if each != rule]
                best = self.better(rule, others)
                if best is None:
                    now = others
                elif best not in others:
                    now[now.index(rule)] = best
                else:
                    now = others
            if now == before:
                break
        return now

    def better(self, rule: Rule, others: Sequence[Rule]) -> Rule | None:
        """The name, or a looser or a stricter one beside the others; None if it adds nothing."""
        rest = self.union(others)
        alone = self.gain(others)
        best, reached = rule, self.gain([*others, rule])
        if others and reached <= alone * (1 + GROWTH):
            best, reached = rule, -np.inf
        added = max(reached - alone, 0.0)
        for selector in rule if len(rule) > 1 else ():
            looser = tuple(each for each in rule if each != selector)
            gain = self.gain([*others, looser])
            if gain >= reached - LOOSER * added and gain > alone:
                best, reached = looser, gain
        inside = self.left & self.table.has[:, list(best)].all(1)
        if len(best) < MOST_SELECTORS and inside.any():
            fresh = inside & ~rest
            within = self.table.has[fresh]
            counts = within.sum(0)
            sums = within.T.astype(np.float64) @ self.values[fresh]
            total, size = self.values[rest].sum(), int(rest.sum())
            gains = np.where(
                self.table.has[inside].sum(0) >= self.least_members,
                np.maximum(total + sums, 0.0) ** 2 / (size + counts + self.shrunk),
                -np.inf,
            )
            column = int(gains.argmax())
            if gains[column] > reached + STRICTER * max(reached - alone, 0.0) and gains[
                column
            ] > alone * (1 + GROWTH):
                best, reached = tuple(sorted((*best, column))), float(gains[column])
        return best if np.isfinite(reached) else None

    def union(self, rules: Sequence[Rule]) -> Bool[np.ndarray, " P"]:
        """Prompts under any of the names."""
        inside = np.zeros(len(self.scores), dtype=bool)
        for rule in rules:
            inside |= self.left & self.table.has[:, list(rule)].all(1)
        return inside

    def gain(self, rules: Sequence[Rule]) -> float:
        """Share of the scores' variance that being under one of the names explains, not scaled."""
        inside = self.union(rules)
        total = float(self.values[inside].sum())
        return max(total, 0.0) ** 2 / (int(inside.sum()) + self.shrunk)

    def worth(self, rules: Sequence[Rule]) -> float:
        """The same, less what a long name costs."""
        return self.gain(rules) * (1 - GROWTH) ** sum(map(len, rules))

    def region(self, rule: Rule, left: Bool[np.ndarray, " P"]) -> Region | None:
        """What a name covers of what is left."""
        inside = left & self.table.has[:, list(rule)].all(1)
        if not inside.any():
            return None
        spread = float(self.scores[self.left].std())
        return Region(
            subgroup=Subgroup(
                selectors=tuple(sorted(self.table.selectors[column] for column in rule))
            ),
            members=tuple(int(row) for row in np.flatnonzero(inside)),
            mean=float(self.scores[inside].mean()),
            contrast=float(self.values[inside].sum() / np.sqrt(inside.sum()) / spread),
        )
