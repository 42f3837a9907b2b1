"""How far labels leave open which constitution is behind them.

Axes: N pairs, M rules.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.drafting.ballots import Ballots, fit, labels_of
from plumbrule.drafting.candidates import PreferenceRule
from plumbrule.drafting.pairs import LabeledPair
from plumbrule.records import Estimate
from plumbrule.statistics import mcnemar_exact, wilson
from plumbrule.store import derive_seed, fingerprint

ALTERNATIVES = 24
"""Rules that are tried in the place of each principle, the likeliest first."""

TRIED = 400
"""Constitutions that are tried where all cannot be."""


@dataclass(frozen=True, kw_only=True)
class OtherConstitutions:
    """How far the labels leave open which constitution is behind them."""

    by_place: tuple[int, ...]
    """Of each principle, the other rules that can stand in its place, the rest unchanged."""

    smaller: int
    """Constitutions of some of the principles, not all, that do as well."""

    considered: int
    """Constitutions that have in each place the principle or one that can be there, the found
    one left out."""

    as_well: int
    """Of these, how many do as well: counted where all were tried, else estimated."""

    share: Estimate | None
    """The share that does as well, with its interval; None where none was to be tried."""

    counted: bool
    """Whether all were tried."""


def hits(odds: np.ndarray, pairs: Sequence[LabeledPair]) -> Bool[np.ndarray, " N"]:
    """Where a prediction names the preferred reply; a coin that falls by the pair decides ties."""
    coin = np.array(
        [1 if int(fingerprint([pair.request, pair.first])[0], 16) < 8 else -1 for pair in pairs]
    )
    named = np.where(np.sign(odds) == 0, coin, np.sign(odds))
    return np.asarray(named == np.where(labels_of(pairs) > 0.5, 1, -1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Yardstick:
    """A constitution that others are held against, on pairs that decided nothing."""

    pairs: Sequence[LabeledPair]
    right: Bool[np.ndarray, " N"]
    """Where it names the preferred reply."""

    level: float

    def as_well(self, odds: Float[np.ndarray, " N"]) -> bool:
        """Whether another one is better, or a paired test cannot tell the two apart."""
        other = hits(odds, self.pairs)
        return bool(other.sum() >= self.right.sum()) or (
            mcnemar_exact(self.right, other) > 1 - self.level
        )


def instead(
    at: int, rules: Sequence[PreferenceRule], grid: Ballots, yardstick: Yardstick
) -> list[PreferenceRule]:
    """Other rules that can stand in one principle's place, the rest unchanged."""
    library = grid.library
    rest = [rule for place, rule in enumerate(rules) if place != at]
    votes = grid.votes(rest)
    held_rest = [library.votes(rule, yardstick.pairs) for rule in rest]
    found: list[PreferenceRule] = []
    seen = [library.votes(rules[at], grid.pairs)]
    for rule, worth, _ in grid.ranked(votes, strict=1.0, price=0.0, most=4 * ALTERNATIVES):
        if worth <= 0 or len(found) == ALTERNATIVES:
            break
        cast = library.votes(rule, grid.pairs)
        if any(np.array_equal(cast, each) for each in seen):
            continue  # the same in other words
        seen.append(cast)
        fitted, _ = fit(np.column_stack([votes, cast]), grid.labels)
        held = np.column_stack([*held_rest, library.votes(rule, yardstick.pairs)])
        if yardstick.as_well(held @ fitted):
            found.append(rule)
    return found


def count_others(
    rules: Sequence[PreferenceRule],
    alternatives: Sequence[Sequence[PreferenceRule]],
    grid: Ballots,
    yardstick: Yardstick,
    seed: int,
) -> OtherConstitutions:
    """Count, or estimate from some, the other constitutions that do as well."""
    choices = [[rule, *more] for rule, more in zip(rules, alternatives, strict=True)]
    votes, held = (
        [[grid.library.votes(rule, pairs) for rule in each] for each in choices]
        for pairs in (grid.pairs, yardstick.pairs)
    )

    def does(picked: Sequence[int | None]) -> bool:
        places = [(at, one) for at, one in enumerate(picked) if one is not None]
        table = np.array([votes[at][one] for at, one in places]).T
        weights, _ = fit(table, grid.labels)
        return yardstick.as_well(np.array([held[at][one] for at, one in places]).T @ weights)

    smaller = 0
    if len(rules) <= 8:
        for picked in product((0, None), repeat=len(rules)):
            left = sum(one is not None for one in picked)
            smaller += 0 < left < len(rules) and does(picked)
    sizes = [len(each) for each in choices]
    considered = int(np.prod(sizes, dtype=object)) - 1
    tried = _tried(sizes, does, whole=considered <= TRIED, seed=seed)
    well = sum(tried)
    return OtherConstitutions(
        by_place=tuple(map(len, alternatives)),
        smaller=smaller,
        considered=considered,
        as_well=well if considered <= TRIED else round(considered * well / len(tried)),
        share=wilson(well, len(tried), level=yardstick.level, unit="share of constitutions")
        if tried
        else None,
        counted=considered <= TRIED,
    )


def _tried(
    sizes: Sequence[int], does: Callable[[Sequence[int]], bool], *, whole: bool, seed: int
) -> list[bool]:
    """Whether each other constitution does as well: of all, or of some drawn at random."""
    if whole:
        return [does(each) for each in product(*map(range, sizes)) if any(each)]
    rng = np.random.default_rng(derive_seed(seed, "other constitutions"))
    drawn: list[tuple[int, ...]] = []
    while len(drawn) < TRIED:
        each = tuple(int(rng.integers(size)) for size in sizes)
        if any(each):
            drawn.append(each)
    return list(map(does, drawn))
