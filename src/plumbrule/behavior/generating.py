"""From subgroups to claims: both models' replies there, and what they say in words.

Subgroups in which the same has changed become one subgroup with several names.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from plumbrule.behavior.hypotheses import Hypothesis
from plumbrule.behavior.pair import AskedPrompt, PairedReply
from plumbrule.behavior.properties import LEAST_SEEN, Shift, contrast_replies
from plumbrule.behavior.recording import Recorder
from plumbrule.behavior.rule_sets import purest
from plumbrule.behavior.subgroups import MOST_RULES, Selector, SelectorTable, Subgroup, united
from plumbrule.records import Prompt
from plumbrule.store import derive_seed

SAME_CHANGE = 0.6
"""Share of the move among one subgroup's changed replies at which another's is the same change."""

ALIKE = 0.5
"""Share of one subgroup's movement that another must have to be the same: where half of the prompts
move, the name takes in what the change leaves alone."""

LEAST_ADDED = 0.05
"""Share of a subgroup's prompts that another must have to be named in one breath with it."""

TELLING = 0.5
"""Movement of a reply from which it is likely to show what has changed."""

LEAST_MEMBERS = 2
"""Explored prompts in a subgroup: an edit of one fact may touch no more of them."""

CLEAR = 0.5
"""Move of a property from which a single reply says whether a prompt is affected."""

PURE_ENOUGH = 0.85
"""Share of the purest name's move that the others must show."""

KEPT = 0.6
"""Share of what moves under a name that its part must keep: where only false beliefs move, those
of one person are purer than all, and not what has changed."""

TOLERATED = 1 / 3
"""Share of the purest name's move from which a name stays that has no purer part."""

FEW = 4
"""Prompts known under a name up to which a single one may say what its purer part is called."""

LEAST_DRAWN = 4
"""Replies read under a name that only one or two prompts speak for."""

CHECKED = 8
"""Further prompts on which each name is tried."""

WIDENED, WIDENING, WIDER = 5, 8, 0.75
"""Parts of a name that are tried, prompts for each, and the share of the change they must show."""


def _changed(pairs: Sequence[PairedReply]) -> list[PairedReply]:
    """Those whose replies differ at all."""
    return [pair for pair in pairs if pair.base != pair.tuned]


def _moved(shift: Shift, pairs: Sequence[PairedReply]) -> float:
    """Mean move of a property on pairs, in the direction of a shift."""
    wanted = shift.property
    moved = [wanted.score(pair.tuned) - wanted.score(pair.base) for pair in pairs]
    return _mean(moved) * float(np.sign(shift.difference))


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What was read in one subgroup."""

    subgroup: Subgroup
    movement: float
    fair: list[PairedReply]
    pairs: list[PairedReply]


@dataclass(kw_only=True)
class Told:
    """Subgroups in which the same has changed, and the replies that say so."""

    subgroups: list[Subgroup]
    movement: float
    """How far the models part in the first of them."""

    pairs: list[PairedReply]
    """Replies that were read there, telling ones among them."""

    fair: list[PairedReply]
    """Those of them that were not chosen for telling."""

    lead: Shift

    @classmethod
    def of(cls, reading: _Reading, lead: Shift) -> "Told":
        """What a first subgroup says."""
        return cls(
            subgroups=[reading.subgroup],
            movement=reading.movement,
            pairs=list(reading.pairs),
            fair=list(reading.fair),
            lead=lead,
        )

    def says_of(self, subgroup: Subgroup, pairs: Sequence[PairedReply]) -> bool:
        """Whether the change here is the change there too: whether the replies changed alike."""
        changed, known = _changed(pairs), _changed(self.pairs)
        if not subgroup.rules or not self.subgroups[0].rules or not changed or not known:
            return False
        if sum(len(each.rules) for each in self.subgroups) >= MOST_RULES:
            return False
        if _moved(self.lead, changed) >= SAME_CHANGE * _moved(self.lead, known):
            return True
        # Said too narrowly here, perhaps: what is true there may be the better word for both.
        shifts = contrast_replies(
            [pair.base for pair in pairs], [pair.tuned for pair in pairs], most=1
        )
        if not shifts or _moved(shifts[0], known) < SAME_CHANGE * _moved(shifts[0], changed):
            return False
        self.lead = shifts[0]
        return True

    def holds_for(self, pairs: Sequence[PairedReply]) -> bool:
        """Whether the same has changed as often on these pairs, none chosen for telling."""
        if not pairs or not self.fair:
            return False
        here = max(_moved(self.lead, self.fair), LEAST_SEEN)
        return _moved(self.lead, pairs) >= WIDER * here


class Amounts(Protocol):
    """How much is read."""

    @property
    def read(self) -> int:
        """Pairs of replies read in each subgroup."""

    @property
    def told(self) -> int:
        """Further pairs in each subgroup, those whose replies part most."""

    @property
    def per_subgroup(self) -> int:
        """Hypotheses about each subgroup."""


class Exploration(Protocol):
    """What asks prompts, and knows what was asked; `exploring.Explorer` is one."""

    recorder: Recorder
    prompts: Sequence[Prompt]
    table: SelectorTable
    asked: dict[tuple[int, str], AskedPrompt]

    @property
    def settings(self) -> Amounts:
        """How texts are spent."""

    def ask(self, name: str, rows: Sequence[int], insert: str = "") -> list[float]:
        """Ask prompts, with a text put before them or none."""

    def affordable(self, texts: int) -> int:
        """Prompts that may still be asked, each at so many texts."""

    def some(self, rows: Iterable[int], count: int) -> list[int]:
        """Some of the rows, by chance."""

    def members(self, subgroup: Subgroup) -> list[int]:
        """Rows of all prompts in a subgroup."""


class HypothesisGenerator:
    """Reads replies in subgroups that an explorer has found."""

    def __init__(self, explorer: Exploration, rows: Mapping[Subgroup, tuple[int, ...]]) -> None:
        """Take in what was found.

        Args:
            explorer: Asks, and knows what was asked.
            rows: Prompts of a subgroup, without those that a stronger subgroup covers.
        """
        self.explorer, self._rows = explorer, rows
        self.pairs: list[PairedReply] = []
        """All that was read."""

        self._replies: dict[int, list[PairedReply]] = {}
        """The same by row, of prompts as they are."""

    def read(
        self,
        subgroups: Sequence[tuple[Subgroup, float]],
        credit: Callable[[Subgroup], tuple[str, ...]],
    ) -> list[Hypothesis]:
        """Let the tuned model answer too where it differs, and say in words how.

        Args:
            subgroups: Where the models part, and how far, the strongest first.
            credit: Names what led to a subgroup.
        """
        told: list[Told] = []
        silent: list[_Reading] = []
        for number, (subgroup, movement) in enumerate(subgroups):
            reading = self._reading(number, subgroup, movement)
            if self._joined(reading, told):
                continue
            shifts = self._contrast(reading.pairs)
            if shifts:
                told.append(Told.of(reading, shifts[0]))
            else:
                silent.append(reading)
        # Too few replies to say anything by themselves may say what was found out later.
        for reading in silent:
            self._joined(reading, told)
        claims = []
        for each in told:
            subgroup = each.subgroups[0]
            if subgroup.rules:
                subgroup = self._purified(self._widen(united(each.subgroups), each), each)
            claims += [
                Hypothesis(
                    id="0",
                    subgroup=subgroup,
                    property=shift.property,
                    direction="increase" if shift.difference > 0 else "decrease",
                    screens=credit(subgroup),
                )
                for shift in self._contrast(each.pairs)
            ]
        return claims

    def _reading(self, number: int, subgroup: Subgroup, movement: float) -> "_Reading":
        # A change of one reply in five needs five times the replies of one of all.
        wanted = round(min(2.5, max(1.0, 0.5 / movement)) * self.explorer.settings.read)
        drawn = self._drawn(subgroup, wanted)
        fair = self._pairs(f"read-{number}", subgroup, drawn, wanted)
        telling = self._pairs(f"read-{number}-telling", subgroup, self._furthest(subgroup, drawn))
        return _Reading(subgroup=subgroup, movement=movement, fair=fair, pairs=[*fair, *telling])

    def _joined(self, reading: "_Reading", told: Sequence["Told"]) -> bool:
        """Add a subgroup to that in which the same has changed, if there is one."""
        subgroup = reading.subgroup
        for each in told:
            if (
                _alike(each.movement, reading.movement)
                and self._worth_naming(subgroup, each.subgroups[0])
                and each.says_of(subgroup, reading.pairs)
            ):
                each.subgroups.append(subgroup)
                each.pairs += reading.pairs
                each.fair += reading.fair
                return True
        return False

    def _worth_naming(self, subgroup: Subgroup, beside: Subgroup) -> bool:
        """Whether a subgroup is large enough beside another to make its name longer."""
        return len(self.explorer.members(subgroup)) >= LEAST_ADDED * len(
            self.explorer.members(beside)
        )

    def _widen(self, subgroup: Subgroup, told: "Told") -> Subgroup:
        """The subgroup with every shorter name under which the same has changed.

        A subgroup is named by a few prompts that happened to be asked: "buy" and "boat", where
        "buy" is what matters. Each part of a name is tried on prompts outside.
        """
        names = dict.fromkeys(
            selector for rule in subgroup.rules for selector in rule if len(rule) > 1
        )
        sizes = {
            selector: len(self.explorer.members(Subgroup(selectors=(selector,))))
            for selector in names
        }
        for selector in sorted(names, key=lambda each: (-sizes[each], each))[:WIDENED]:
            inside = set(self.explorer.members(subgroup))
            outside = [
                row
                for row in self.explorer.members(Subgroup(selectors=(selector,)))
                if row not in inside
            ]
            rows = self.explorer.some(outside, WIDENING)
            if len(rows) < LEAST_MEMBERS:
                continue
            wider = Subgroup(selectors=(selector,))
            pairs = self._pairs("widen", wider, rows)
            if len(subgroup.rules) < MOST_RULES and told.holds_for(pairs):
                kept = [Subgroup(selectors=rule) for rule in subgroup.rules if selector not in rule]
                subgroup = united([wider, *kept])
                told.pairs += pairs
                told.fair += pairs
        return subgroup

    def _purified(self, subgroup: Subgroup, told: "Told") -> Subgroup:
        """The subgroup without what the change leaves alone, where it is clear enough to see.

        A name that a few prompts suggested is tried on others that it covers; where some do not
        move, a further selector keeps those that do, or the name is given up.
        """
        changed = _changed(told.pairs)
        if not changed or _moved(told.lead, changed) < CLEAR:
            return subgroup
        moved = {rule: self._outcomes(rule, told.lead) for rule in subgroup.rules}
        rates = {rule: _mean(list(found.values())) for rule, found in moved.items() if found}
        table = self.explorer.table
        best = [purest(table, rule, moved[rule], least=0.0, kept=KEPT) for rule in rates]
        target = max([*rates.values(), *(rate for _, rate in best)], default=0.0)
        if target < CLEAR:
            return subgroup
        least = PURE_ENOUGH * target
        names = []
        for rule, rate in rates.items():
            few = len(moved[rule]) <= FEW
            stricter, its_rate = purest(
                table, rule, moved[rule], least=least, kept=KEPT, members=1 if few else 2
            )
            if rate < least <= its_rate and self._again(stricter, told.lead) >= least:
                names.append(stricter)
            elif rate >= TOLERATED * target:
                names.append(rule)
        return united([Subgroup(selectors=rule) for rule in names]) if names else subgroup

    def _again(self, rule: tuple[Selector, ...], lead: Shift) -> float:
        """How far the property moves under a name, at `LEAST_DRAWN` replies or more."""
        subgroup = Subgroup(selectors=rule)
        rows = [row for row in self.explorer.members(subgroup) if row in self._replies]
        known = sum(len(self._replies[row]) for row in rows)
        if known < LEAST_DRAWN:
            self._pairs("again", subgroup, rows, len(rows) + LEAST_DRAWN - known)
        return _moved(lead, [pair for row in rows for pair in self._replies[row]])

    def _outcomes(self, rule: tuple[Selector, ...], lead: Shift) -> dict[int, float]:
        """How far the property moved on prompts under a name, some of them asked for this."""
        subgroup = Subgroup(selectors=rule)
        members = self.explorer.members(subgroup)
        fresh = [row for row in members if row not in self._replies]
        self._pairs("purify", subgroup, self.explorer.some(fresh, CHECKED))
        return {row: _moved(lead, self._replies[row]) for row in members if row in self._replies}

    def _contrast(self, pairs: Sequence[PairedReply]) -> list[Shift]:
        return contrast_replies(
            [pair.base for pair in pairs],
            [pair.tuned for pair in pairs],
            most=self.explorer.settings.per_subgroup,
        )

    def _drawn(self, subgroup: Subgroup, wanted: int) -> list[int]:
        """Rows of a subgroup, those asked already first."""
        # What a stronger subgroup covers is left to it: its change is not this one's.
        members = self._rows.get(subgroup) or self.explorer.members(replace(subgroup, insert=""))
        known = [row for row in members if (row, subgroup.insert) in self.explorer.asked]
        rows = self.explorer.some(known, wanted)
        fresh = [row for row in members if (row, subgroup.insert) not in self.explorer.asked]
        return rows + self.explorer.some(fresh, wanted - len(rows))

    def _furthest(self, subgroup: Subgroup, besides: Sequence[int]) -> list[int]:
        """Further rows of a subgroup on whose replies the models part: they show a rare change.

        Chosen for what they show, so that nothing is measured on them.
        """
        members = self._rows.get(subgroup) or self.explorer.members(replace(subgroup, insert=""))
        moved = {
            row: self.explorer.asked[row, subgroup.insert].movement
            for row in members
            if (row, subgroup.insert) in self.explorer.asked and row not in besides
        }
        far = sorted(
            (row for row in moved if moved[row] >= TELLING), key=lambda row: (-moved[row], row)
        )
        return far[: self.explorer.settings.told]

    def _pairs(
        self, name: str, subgroup: Subgroup, rows: Sequence[int], wanted: int = 0
    ) -> list[PairedReply]:
        """Both replies to prompts of a subgroup, some drawn again if more are wanted."""
        self.explorer.ask(name, rows, subgroup.insert)
        rows = [row for row in rows if (row, subgroup.insert) in self.explorer.asked]
        if self.explorer.recorder.pair.local is not None:
            rows = rows[: self.explorer.affordable(1)]
        pairs = self.explorer.recorder.complete(
            name, [self.explorer.asked[row, subgroup.insert] for row in rows]
        )
        again: list[int] = []
        if rows and len(pairs) < wanted:
            # Few prompts, so several draws of each: two replies alone share too many words.
            again = [rows[at % len(rows)] for at in range(wanted - len(pairs))]
            again = again[: self.explorer.affordable(2)]
            pairs += self.explorer.recorder.pairs(
                f"{name}-again",
                [subgroup.enter(self.explorer.prompts[row]) for row in again],
                [
                    derive_seed(self.explorer.recorder.seed, "again", row, at)
                    for at, row in enumerate(again)
                ],
            )
        if not subgroup.insert:
            for row, pair in zip([*rows, *again], pairs, strict=True):
                if pair.usable:
                    self._replies.setdefault(row, []).append(pair)
        usable = [pair for pair in pairs if pair.usable]
        self.pairs += usable
        return usable


def _alike(one: float, other: float) -> bool:
    """Whether two subgroups move so much alike that neither is a mixture beside the other."""
    return min(one, other) >= ALIKE * max(one, other)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
