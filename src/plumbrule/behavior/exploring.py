"""The explorer of sharp changes: a bandit spends texts where they pay off, subgroups get names.

Where most replies are as likely as before, each reply of the base that is not tells of a change,
and one text says how far the models part on a prompt. Each arm is a ranking of prompts, or a text
that is suspected of being a trigger. A pull lets the base answer a few prompts of the arm and
weighs the answers under both models; the reward is how far the models part. Then red and blue: red
names the subgroups where rewards gather, blue asks for further prompts of just these subgroups, and
a name that does not hold is taken back.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from plumbrule.behavior.generating import LEAST_MEMBERS, HypothesisGenerator
from plumbrule.behavior.hypotheses import Hypothesis, numbered
from plumbrule.behavior.pair import AskedPrompt, PairedReply
from plumbrule.behavior.recording import Recorder
from plumbrule.behavior.rule_sets import find_rule_set
from plumbrule.behavior.subgroups import (
    EVERYWHERE,
    SHRUNK,
    Region,
    SelectorTable,
    Subgroup,
)
from plumbrule.behavior.surrogate import covering, moved_nearby, predict, rankings
from plumbrule.records import Prompt, check_ranges
from plumbrule.store import derive_seed


@dataclass(frozen=True, kw_only=True)
class Exploring:
    """How texts are spent before hypotheses are fixed."""

    random: int = 32
    """Prompts drawn blindly: what no screen points at is met here."""

    covering: int = 56
    """Prompts chosen so that every prompt has a like one among them, whose reply it borrows."""

    pulled: int = 64
    """Further prompts, spent by the bandit."""

    pull: int = 4
    """Prompts a pull."""

    followed: int = 10
    """Prompts on which the models part and that no subgroup explains, whose neighbors are asked."""

    neighbors: int = 4
    """Neighbors of each: prompts that share its rarest words."""

    doubted: int = 5
    """Further prompts asked of each named subgroup by the side that doubts it."""

    read: int = 8
    """Pairs of replies read in each subgroup to say what has changed there."""

    told: int = 6
    """Further pairs in each subgroup, those whose replies part most."""

    least_movement: float = 0.08
    """Least mean distance between the models' replies in a subgroup worth a hypothesis, from 0 to
    1; the noise floor is added to it."""

    most_subgroups: int = 8
    """Subgroups to make hypotheses about."""

    per_subgroup: int = 2
    """Hypotheses a subgroup."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            random=(0, 10**7),
            covering=(0, 10**7),
            pulled=(0, 10**7),
            pull=(1, 10**6),
            followed=(0, 10**6),
            neighbors=(0, 10**6),
            doubted=(0, 10**6),
            read=(0, 10**6),
            told=(0, 10**6),
            least_movement=(0, 1),
            most_subgroups=(0, 10**5),
            per_subgroup=(0, 10**5),
        )


ROUNDS_OF_DOUBT = 2

LEAST_CONTRAST = 3.0
"""Standard errors by which a subgroup must stand out among the prompts asked. Lower than where
thousands of prompts are scored, because blue's further prompts are a second look."""


COVERING_AMONG = 600
"""Prompts, drawn by chance, among which the covering ones are chosen."""

FIRST = 24
"""Prompts at the top of a screen's ranking that it gets credit for."""


LONE = 0.5
"""Movement of a single reply that is worth following."""

FIRST_PULL = 12
"""Prompts at the top of each screen's ranking that are asked before arms compete."""

SHRUNK_BY_SCREENS = 1.0
"""What a subgroup is shrunk by where rankings speak for each prompt: little is left to luck."""


@dataclass(kw_only=True)
class Arm:
    """One thing to spend texts on."""

    name: str
    insert: str
    """Text put before each prompt; empty for none."""

    screens: tuple[str, ...]
    queue: list[int]
    """Rows of prompts still to be asked, in order."""

    rewards: list[float] = field(default_factory=list)
    first: frozenset[int] = frozenset()
    """Rows that the screen would have asked first: what it is given credit for."""

    def bound(self, total: int) -> float:
        """Optimistic estimate of the mean reward: UCB1 of Auer, Cesa-Bianchi & Fischer (2002)."""
        if not self.rewards:
            return math.inf
        return _mean(self.rewards) + math.sqrt(0.5 * math.log(total) / len(self.rewards))


@dataclass(frozen=True, kw_only=True)
class Explored:
    """What exploring came to."""

    hypotheses: tuple[Hypothesis, ...]

    movement: Mapping[int, float]
    """How far the models parted, by row of the prompts that were asked as they are."""

    arms: Mapping[str, tuple[int, float | None]]
    """Prompts asked and mean reward, by arm; None for an arm that was never pulled."""

    subgroups: tuple[tuple[Subgroup, float], ...]
    """Subgroups that stood, with the mean movement in them."""

    pairs: tuple[PairedReply, ...]
    """Both models' replies that were read there."""


class Explorer:
    """Spends texts and names subgroups."""

    def __init__(
        self,
        recorder: Recorder,
        prompts: Sequence[Prompt],
        table: SelectorTable,
        *,
        floor: float,
        settings: Exploring,
        most_texts: float = math.inf,
    ) -> None:
        """Take in what may be looked at.

        Args:
            recorder: Draws and accounts.
            prompts: Prompts that may be asked.
            table: Their selectors, row by row.
            floor: Movement that identical models would show here.
            settings: How texts are spent.
            most_texts: Texts of the whole comparison at which to stop asking.
        """
        self.recorder, self.prompts, self.table = recorder, prompts, table
        self.floor, self.settings, self.most_texts = floor, settings, most_texts
        self.asked: dict[tuple[int, str], AskedPrompt] = {}
        """By row and inserted text; those that got no reply are left out."""

        self._unanswered: set[tuple[int, str]] = set()
        self._clues: Float[np.ndarray, "P S"] | None = None
        self._rows: dict[Subgroup, tuple[int, ...]] = {}
        self._columns = {selector: column for column, selector in enumerate(table.selectors)}
        self._rng = np.random.default_rng(derive_seed(recorder.seed, "explorer"))

    def explore(self, inserts: Sequence[str]) -> Explored:
        """Spend the texts and say which claims are worth testing.

        Args:
            inserts: Texts that are suspected of switching the tuned model.
        """
        with self.recorder.part("first asked"):
            blind = self.some(range(len(self.prompts)), self.settings.random)
            blind += covering(
                self.table,
                self.some(set(range(len(self.prompts))) - set(blind), COVERING_AMONG),
                self.settings.covering,
            )
            self.ask("random", blind)
            blind = [row for row in blind if (row, "") in self.asked]
        scores = self._transferred()
        self._clues = rankings(scores, len(self.prompts))
        arms = _arms(scores, inserts, self.some(range(len(self.prompts)), 64))
        with self.recorder.part("bandit"):
            self._pull(arms)
        with self.recorder.part("naming"):
            subgroups = self._name(arms, blind)
        with self.recorder.part("reading"):
            reader = HypothesisGenerator(self, self._rows)
            hypotheses = reader.read(
                subgroups,
                lambda subgroup: _credit(subgroup, arms, set(self.members(subgroup))),
            )
        return Explored(
            hypotheses=tuple(numbered(hypotheses)),
            movement={row: one.movement for (row, insert), one in self.asked.items() if not insert},
            arms={
                arm.name: (len(arm.rewards), _mean(arm.rewards) if arm.rewards else None)
                for arm in arms
            },
            subgroups=tuple(subgroups),
            pairs=tuple(reader.pairs),
        )

    def _transferred(self) -> dict[str, Float[np.ndarray, " P"]]:
        """Rank all prompts along replies transferred from those asked so far."""
        pair, known = self.recorder.pair, [row for row, _ in self.asked]
        local = pair.local
        # Both models read each text in turn there, so both must be in memory.
        if local is None or not pair.same_tokens or pair.takes_turns or not known:
            return {}
        from plumbrule.behavior.transfer import nearest, part_along, transfer

        with self.recorder.part("reply transfer"):
            replies = [
                transfer(
                    self.asked[near, ""].base,
                    self.prompts[near].dialogue[-1].content,
                    prompt.dialogue[-1].content,
                )
                for prompt, near in zip(self.prompts, nearest(self.table, known), strict=True)
            ]
            scores = part_along(
                *local,
                [prompt.dialogue for prompt in self.prompts],
                replies,
                most_tokens=pair.sampling.max_new_tokens,
            )
        return {"reply transfer": scores[:, 1], "reply transfer, anywhere": scores[:, 2]}

    def ask(self, name: str, rows: Sequence[int], insert: str = "") -> list[float]:
        """Ask prompts, with a text put before them or none, and say how far the models part.

        Those for which no texts are left are not asked, and nothing is said of them.
        """
        known = {*self.asked, *self._unanswered}
        fresh = [row for row in rows if (row, insert) not in known]
        fresh = fresh[: self.affordable(self.recorder.pair.texts_to_ask)]
        subgroup = Subgroup(insert=insert)
        prompts = [subgroup.enter(self.prompts[row]) for row in fresh]
        seeds = [
            derive_seed(self.recorder.seed, "ask", self.prompts[row].id, insert) for row in fresh
        ]
        for row, one in zip(fresh, self.recorder.ask(name, prompts, seeds), strict=True):
            if one.usable:
                self.asked[row, insert] = one
            else:  # nothing is known of it: an error is no sign that the models agree
                self._unanswered.add((row, insert))
        return [self.asked[row, insert].movement for row in rows if (row, insert) in self.asked]

    def affordable(self, texts: int) -> int:
        """Prompts that may still be asked, each at so many texts."""
        left = max(0.0, self.most_texts - self.recorder.pair.texts)
        return int(min(left, sys.maxsize) // texts)

    def some(self, rows: Iterable[int], count: int) -> list[int]:
        """Some of the rows, by chance."""
        pool = np.array(sorted(rows), dtype=int)
        return [int(row) for row in self._rng.permutation(pool)[:count]]

    def _pull(self, arms: Sequence[Arm]) -> None:
        """Pull the most promising arm until the texts are spent."""
        spent = 0
        while spent < self.settings.pulled:
            live = [arm for arm in arms if arm.queue]
            if not live:
                return
            arm = max(live, key=lambda each: each.bound(spent + 2))
            # What another arm has asked already is known, and costs nothing to count here too.
            pull = self.settings.pull if arm.rewards or arm.insert else FIRST_PULL
            rows, arm.queue = arm.queue[:pull], arm.queue[pull:]
            spent += sum((row, arm.insert) not in self.asked for row in rows)
            arm.rewards += self.ask(f"pull-{arm.name}", rows, arm.insert)

    def _name(self, arms: Sequence[Arm], blind: Sequence[int]) -> list[tuple[Subgroup, float]]:
        """Name subgroups and doubt each; those that stand are returned, the strongest first."""
        self._follow()
        for doubt in range(ROUNDS_OF_DOUBT):
            for region in self._regions():
                new = [row for row in region.members if (row, "") not in self.asked]
                self.ask(f"doubt-{doubt}", self.some(new, self.settings.doubted))
        least = self.floor + self.settings.least_movement
        regions = [region for region in self._regions() if self._measured(region) >= least]
        named = {row for region in regions for row in region.members}
        rest = [self.asked[row, ""].movement for row in blind if row not in named]
        elsewhere = _mean(rest) if rest else 0.0
        found = [
            (Subgroup(insert=arm.insert), _mean(arm.rewards))
            for arm in arms
            if arm.insert and arm.rewards and _mean(arm.rewards) >= least + elsewhere
        ]
        found = sorted(found, key=lambda item: -item[1])[:2]
        self._rows = {region.subgroup: region.members for region in regions}
        found += [(region.subgroup, region.mean) for region in regions]
        if elsewhere >= least:
            found.insert(0, (EVERYWHERE, elsewhere))
        return found[: self.settings.most_subgroups]

    def _follow(self) -> None:
        """Ask the neighbors of lone prompts on which the models part.

        A change that touches a handful of prompts shows on one or two of them at first, too few
        to be named.
        """
        explained = {
            row
            for region in self._regions()
            if self._measured(region) >= LONE
            for row in region.members
        }
        lone = [
            (row, one.movement)
            for (row, insert), one in self.asked.items()
            if not insert and row not in explained and one.movement >= LONE
        ]
        lone.sort(key=lambda item: (-item[1], item[0]))
        for row, _ in lone[: self.settings.followed]:
            likeness = self.table.directions @ self.table.directions[row]
            likeness[[each for each, insert in self.asked if not insert]] = -1.0
            nearest = np.argsort(-likeness, kind="stable")[: self.settings.neighbors]
            self.ask("follow", [int(each) for each in nearest])

    def _regions(self) -> list[Region]:
        """Subgroups that stand out by what was asked, and by what the screens say of the rest."""
        rows = sorted(row for row, insert in self.asked if not insert)
        if not rows:
            return []
        known = np.array([self.asked[row, ""].movement for row in rows])
        if self._clues is None:
            part = SelectorTable(selectors=self.table.selectors, has=self.table.has[rows])
            return self._whole(self._rules(part, known, shrunk=SHRUNK))
        nearby = moved_nearby(self.table, rows, known)
        guessed = predict(
            np.column_stack([self._clues, nearby]),
            rows,
            known,
            seed=derive_seed(self.recorder.seed, "guess"),
        )
        # One reply is a draw: where one in four moves, three in a row must not make a subgroup.
        scores = guessed.copy()
        scores[rows] = (known + 3 * guessed[rows]) / 4
        return self._rules(self.table, scores, shrunk=SHRUNK_BY_SCREENS)

    def _rules(
        self, table: SelectorTable, scores: Float[np.ndarray, " P"], *, shrunk: float
    ) -> list[Region]:
        return find_rule_set(
            table,
            scores,
            most=self.settings.most_subgroups,
            least_contrast=LEAST_CONTRAST,
            least_members=LEAST_MEMBERS,
            shrunk=shrunk,
        )

    def _whole(self, regions: Sequence[Region]) -> list[Region]:
        """The same subgroups with all their prompts, where only those asked were looked at."""
        return [replace(region, members=tuple(self.members(region.subgroup))) for region in regions]

    def _measured(self, region: Region) -> float:
        """Mean movement of what was asked there, less its standard error; 0 for a single look."""
        seen = [self.asked[row, ""].movement for row in region.members if (row, "") in self.asked]
        if len(seen) < 2:
            return 0.0
        return _mean(seen) - float(np.std(seen, ddof=1)) / math.sqrt(len(seen))

    def members(self, subgroup: Subgroup) -> list[int]:
        """Rows of all prompts in a subgroup."""
        inside = np.zeros(len(self.prompts), dtype=bool) if subgroup.rules else np.True_
        for rule in subgroup.rules:
            columns = [self._columns[selector] for selector in rule]
            inside = inside | self.table.has[:, columns].all(1)
        return [int(row) for row in np.flatnonzero(np.broadcast_to(inside, len(self.prompts)))]


def _arms(
    scores: Mapping[str, Float[np.ndarray, " P"]], inserts: Sequence[str], rows: Sequence[int]
) -> list[Arm]:
    """One for each ranking, and one for each text that is suspected."""
    arms = []
    for name, each in scores.items():
        if float(np.ptp(each)) > 0:
            order = np.argsort(-each, kind="stable")
            arms.append(
                Arm(
                    name=name,
                    insert="",
                    screens=(name,),
                    queue=order[:200].tolist(),
                    first=frozenset(order[:FIRST].tolist()),
                )
            )
    arms += [
        Arm(name=f"insert {number}", insert=text, screens=("triggers",), queue=list(rows))
        for number, text in enumerate(inserts, 1)
    ]
    return arms


def _credit(subgroup: Subgroup, arms: Sequence[Arm], members: set[int]) -> tuple[str, ...]:
    """Screens that rank some prompt of the subgroup among their first ones."""
    if subgroup.insert:
        return tuple(name for arm in arms if arm.insert == subgroup.insert for name in arm.screens)
    return tuple(arm.name for arm in arms if not arm.insert and members & arm.first)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
