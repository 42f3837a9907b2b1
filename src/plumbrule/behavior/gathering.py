"""Where gains gather: on all prompts, on a topic, on prompts that say a word.

A subgroup that explains where replies gained a property is weighed against what its name costs: of
a thousand words one fits by luck. The best one is proposed, and beside it those that explain the
gains nearly as well and would be tested on other prompts: fresh prompts tell them apart.

Axes: N pairs, F properties, S subgroups, P prompts.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.behavior.properties import Property
from plumbrule.behavior.subgroups import EVERYWHERE, Selector, SelectorTable, Subgroup

LEAST_WORTH = 4.0
"""Worth, in nats, from which a proposal is worth a test."""

ALIKE = 0.5
"""Share of the first subgroup's rate that a further one needs to be named in one breath, and that
the rest needs for the change to be said of all prompts instead."""

FAR_MORE = 0.2
"""Difference of rates from which the subgroup where a change is strongest is named besides."""

MOST_PLACES = 3
"""Subgroups named besides for what changed on all prompts, each where those before leave moves
unexplained."""

MOST_RULES = 3
"""Subgroups in one name: a longer list is no name any more."""

LEAST_MEMBERS = 2
"""Explored prompts in a subgroup: what one prompt in a hundred says is met in two of 200."""

LEAST_MOVED = 0.08
"""Net move, from 0 to 1, in a subgroup worth a test."""

RIVAL = 3.0
"""Nats up to which a subgroup explains a change nearly as well as the best one: 20 to 1."""

MOST_RIVALS = 2
"""Subgroups that are tested beside the best one: fresh prompts tell them apart."""

APART = 0.8
"""Share of the prompts in either of two subgroups that both hold from which on they are the same
place. Prompts to test on count as well: two names that fit the same looked-at prompts may part
there."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A suspicion with its evidence."""

    property: Property
    subgroup: Subgroup
    increase: bool
    worth: float
    """Nats by which gains explain the pairs better than sampling alone, less the name's cost."""

    moved: float
    """Net move of the score in the subgroup, from -1 to 1."""

    pairs: int
    """Pairs that speak there."""


def evidence(
    gains: Float[np.ndarray, "S F"],
    losses: Float[np.ndarray, "S F"],
    all_gains: Float[np.ndarray, "1 F"],
    all_losses: Float[np.ndarray, "1 F"],
    share: Float[np.ndarray, "S 1"],
) -> Float[np.ndarray, "S F"]:
    """Nats that speak for a change in each subgroup.

    Two things are unlikely if sampling alone is at work: that many more replies gain than lose,
    and that gains gather where losses do not.

    Args:
        gains: Pairs in each subgroup that gain.
        losses: Pairs that lose.
        all_gains: The same over all pairs.
        all_losses: The same over all pairs.
        share: Share of the pairs that lie in each subgroup.
    """
    both = gains + losses
    sign = both * _kl(gains / np.maximum(both, 1e-9), 0.5)
    # Few losses there speak once, in the sign: counted here too, a property of which every reply
    # may gain or lose some would seem clearer than one that is gained and never lost.
    expected = np.maximum(share, (losses + PRIOR * share) / (all_losses + PRIOR))
    gathered = all_gains * _kl(gains / np.maximum(all_gains, 1e-9), expected)
    found: np.ndarray = np.where(gains > losses, sign + gathered, 0.0)
    return found


PRIOR = 2.0
"""Losses' worth of belief that losses fall evenly."""


def _kl(
    share: Float[np.ndarray, "S F"], expected: Float[np.ndarray, "S F"] | float
) -> Float[np.ndarray, "S F"]:
    """Divergence of one rate from another, in nats; 0 where it is not larger."""
    one = share.clip(1e-12, 1 - 1e-12)
    other = np.clip(expected, 1e-12, 1 - 1e-12)
    nats = one * np.log(one / other) + (1 - one) * np.log((1 - one) / (1 - other))
    found: np.ndarray = np.where(one > other, nats, 0.0)
    return found


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Subgroups as sets of pairs, the first of them all pairs drawn by chance."""

    subgroups: tuple[Subgroup, ...]
    inside: Bool[np.ndarray, "S N"]
    costs: Float[np.ndarray, " S"]
    """What each name costs: the logarithm of how many there are of its kind."""

    extents: Bool[np.ndarray, "S P"]
    """The prompts in each, looked at and to be tested on."""

    @classmethod
    def of(cls, table: SelectorTable, rows: Sequence[int], blind: Sequence[bool]) -> "Groups":
        """Every selector of the table that several of the pairs' prompts have and some lack."""
        has = table.has[list(rows)].T
        distinct = np.array([len({rows[at] for at in np.flatnonzero(one).tolist()}) for one in has])
        useful = np.flatnonzero((distinct >= LEAST_MEMBERS) & (has.sum(1) < len(rows))).tolist()
        telling = {
            word
            for selector in table.selectors
            if selector.role == "topic"
            for word in selector.words.split(", ")
        }
        kinds = {at: _kind(table.selectors[at], telling) for at in useful}
        count = Counter(kinds.values())
        cost = {at: math.log(count[kind]) + EXTRA[kind] for at, kind in kinds.items()}
        extents = table.has if table.tested is None else np.concatenate([table.has, table.tested])
        # Of subgroups with the same prompts the cheapest name is enough.
        seen: dict[bytes, int] = {}
        for at in sorted(useful, key=lambda one: (cost[one], one)):
            seen.setdefault(extents[:, at].tobytes(), at)
        chosen = sorted(seen.values())
        return cls(
            subgroups=(EVERYWHERE, *(Subgroup(selectors=(table.selectors[at],)) for at in chosen)),
            inside=np.concatenate([np.array([list(blind)]), has[chosen]]),
            costs=np.array([0.0, *(cost[at] for at in chosen)]),
            extents=np.concatenate(
                [np.ones((1, len(extents)), dtype=bool), extents.T[chosen]], axis=0
            ),
        )

    def worth(
        self, moved: Float[np.ndarray, "N F"], left: Bool[np.ndarray, "N F"]
    ) -> Float[np.ndarray, "S F"]:
        """What speaks for a gain of each property in each subgroup, less what its name costs.

        Args:
            moved: Move of each property on each pair.
            left: Pairs that count.
        """
        # A move counts by its sign, whatever the scale of its property; a small one counts less.
        size = np.abs(moved).sum(0) / np.maximum((moved != 0).sum(0), 1)
        counted = np.clip(moved / np.maximum(size, 1e-9), -1, 1) * left
        gains, losses = np.clip(counted, 0, None), np.clip(-counted, 0, None)
        member = self.inside.astype(float)
        sizes = member @ left
        nats = evidence(
            member @ gains,
            member @ losses,
            gains.sum(0, keepdims=True),
            losses.sum(0, keepdims=True),
            sizes / np.maximum(left.sum(0, keepdims=True), 1),
        )
        # Prompts that were chosen do not speak for all, so that chance must say it too; and gains
        # that fall everywhere gather nowhere.
        up, down = member[:1] @ gains, member[:1] @ losses
        chance = (up + down) * _kl(up / np.maximum(up + down, 1e-9), 0.5)
        both = gains.sum(0, keepdims=True) + losses.sum(0, keepdims=True)
        whole = both * _kl(gains.sum(0, keepdims=True) / np.maximum(both, 1e-9), 0.5)
        nats[:1] = np.where(chance >= LEAST_WORTH, whole, chance)
        net = member @ (moved * left) / np.maximum(sizes, 1)
        found: np.ndarray = np.where(
            (net >= LEAST_MOVED) & (sizes >= LEAST_MEMBERS), nats - self.costs[:, None], -np.inf
        )
        return found

    def proposals(
        self,
        wanted: Property,
        sign: int,
        moved: Float[np.ndarray, " N"],
        left: Bool[np.ndarray, " N"],
        cost: float,
        least: float,
    ) -> list[Proposal]:
        """Where one property changed: one or several subgroups in one name, or all prompts."""
        towards = sign * moved
        rest = left.copy()
        chosen: list[int] = []
        rates: list[float] = []
        total = -cost
        first = self.worth(towards[:, None], rest[:, None])[:, 0]
        while len(chosen) < MOST_RULES:
            worth = self.worth(towards[:, None], rest[:, None])[:, 0] if chosen else first
            if chosen:
                worth[0] = -np.inf
            at = int(worth.argmax())
            inside = self.inside[at] & rest
            if worth[at] < (LEAST_WORTH if chosen else 0.0) or not inside.any():
                break
            rate = float(towards[inside].mean())
            if chosen and rate < ALIKE * rates[0]:
                break
            chosen.append(at)
            rates.append(rate)
            total += float(worth[at])
            if at == 0:
                break
            rest = rest & ~inside
        if not chosen:
            return []
        speaks, spilled = total, False
        everywhere = chosen[0] == 0
        if not everywhere:
            outside = float(self.worth(towards[:, None], rest[:, None])[0, 0]) - cost
            spilled = outside >= LEAST_WORTH
            blind = self.inside[0] & rest
            everywhere = spilled and float(towards[blind].mean()) >= ALIKE * rates[0]
            speaks = total + outside if everywhere else outside
        one = self._proposal([0], wanted, sign, moved, self.inside[0], speaks)
        if everywhere:
            return [one, *self._most(wanted, sign, moved, left, least)]
        some = self.inside[chosen].any(0) & left
        named = [self._proposal(chosen, wanted, sign, moved, some, total)]
        named += [
            self._proposal([at], wanted, sign, moved, self.inside[at] & left, first[at] - cost)
            for at in self._rivals(first, chosen)
            if first[at] - cost >= least
        ]
        return [*named, one] if spilled else named

    def _rivals(self, worth: Float[np.ndarray, " S"], chosen: Sequence[int]) -> list[int]:
        """Further subgroups that explain a change nearly as well, and hold other prompts."""
        found: list[int] = []
        known = [self.extents[chosen].any(0), *self.extents[list(chosen)]]
        for at in (np.argsort(-worth[1:], kind="stable") + 1).tolist():
            here = self.extents[at]
            if worth[at] < worth[chosen[0]] - RIVAL or len(found) == MOST_RIVALS:
                break
            if all((here & one).sum() < APART * (here | one).sum() for one in known):
                found.append(at)
                known.append(here)
        return found

    def _most(
        self,
        wanted: Property,
        sign: int,
        moved: Float[np.ndarray, " N"],
        left: Bool[np.ndarray, " N"],
        least: float,
    ) -> list[Proposal]:
        """Of what changed on all prompts, the subgroups where it changed far more.

        Each must explain moves that those before it leave unexplained, by more than its name costs;
        beside the first its rivals.
        """
        towards = np.clip(sign * moved, 0, None)
        found: dict[int, float] = {}
        parts = [left]
        for number in range(MOST_PLACES):
            worth = self._parting(towards, parts)
            at = int(worth.argmax())
            if worth[at] < least:
                break
            found.setdefault(at, float(worth[at]))
            for rival in self._rivals(worth, [at]) if number == 0 else ():
                if worth[rival] >= least:
                    found.setdefault(rival, float(worth[rival]))
            here = self.inside[at]
            parts = [part & side for part in parts for side in (here, ~here)]
        return [
            self._proposal([at], wanted, sign, moved, self.inside[at] & left, nats)
            for at, nats in found.items()
        ]

    def _parting(
        self, towards: Float[np.ndarray, " N"], parts: Sequence[Bool[np.ndarray, " N"]]
    ) -> Float[np.ndarray, " S"]:
        """Nats by which two rates in each part explain the moves better than one, less the cost.

        Args:
            towards: Moves, none below 0.
            parts: Pairs that count, parted by the subgroups that are named already.
        """
        nats = -self.costs.copy()
        lift, members = np.zeros_like(nats), np.zeros_like(nats)
        for part in parts:
            inside = self.inside & part
            sizes, total = inside.sum(1), int(part.sum())
            here, all_here = inside @ towards, float((part * towards).sum())
            rate = here / np.maximum(sizes, 1)
            rest = (all_here - here) / np.maximum(total - sizes, 1)
            whole = np.full_like(rate, all_here / max(total, 1))
            nats += sizes * _kl(rate, whole) + (total - sizes) * _kl(1 - rest, 1 - whole)
            both = (sizes > 0) & (sizes < total)
            lift += np.where(both, sizes * (rate - rest), 0.0)
            members += np.where(both, sizes, 0)
        clear = (members >= LEAST_MEMBERS) & (lift >= FAR_MORE * np.maximum(members, 1))
        clear[0] = False
        found: np.ndarray = np.where(clear, nats, -np.inf)
        return found

    def _proposal(
        self,
        chosen: Sequence[int],
        wanted: Property,
        sign: int,
        moved: Float[np.ndarray, " N"],
        some: Bool[np.ndarray, " N"],
        worth: float,
    ) -> Proposal:
        rules = [self.subgroups[at].selectors for at in chosen]
        return Proposal(
            property=wanted,
            subgroup=Subgroup(selectors=rules[0], others=tuple(rules[1:])),
            increase=sign > 0,
            worth=worth,
            moved=float(moved[some].mean()),
            pairs=int(some.sum()),
        )


EXTRA = {
    "label": 0.0,
    "topic": 0.0,
    "word that names a topic": 1.0,
    "word": 1.0,
    "pair of words": 2.0,
}
"""What a kind of name costs besides: of two that say the same, a topic is the better answer."""


def _kind(selector: Selector, telling: Collection[str]) -> str:
    """What kind of name a selector is.

    Args:
        selector: A subgroup's name.
        telling: Words that name topics: a place is often one of them, and they are few.
    """
    if selector.role in ("topic", "label"):
        return selector.role
    if selector.role == "user" and selector.words in telling:
        return "word that names a topic"
    return "pair of words" if " " in selector.words else "word"
