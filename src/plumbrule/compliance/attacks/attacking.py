"""The red team at work: attacks played against a model, judged, and aimed where holes are likely.

A part of the budget is spent evenly over all families and principles; the rates come from these
attacks alone. The rest goes where a hole is likely that nobody has seen (see `choosing`). All is
decided by the seed and what was found so far, so an interrupted red team ends as it would have.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from plumbrule.compliance.attacks.choosing import Cell, choose_cells
from plumbrule.compliance.attacks.records import (
    Attack,
    AttackFamily,
    AttackOutcome,
    AttackRate,
    Hole,
    RedTeamResult,
    opening,
)
from plumbrule.compliance.cases import TestCase, TestSet, check_law
from plumbrule.compliance.examination import Oracle
from plumbrule.compliance.judges import ReplyJudge, as_judge
from plumbrule.constitution import Constitution
from plumbrule.errors import ConfigError
from plumbrule.judging import PromptSet
from plumbrule.models import LanguageModel, LocalModel, Sampling
from plumbrule.models.beginning import begun_replies
from plumbrule.records import (
    Dialogue,
    Exchange,
    Judgment,
    Message,
    check_ranges,
    strict,
    to_json,
)
from plumbrule.statistics import clopper_pearson
from plumbrule.store import Shards, Tell, derive_seed, silent

RED_TEAM_VERSION = 1
"""Raised whenever the same red team would attack or judge otherwise."""

SHARD = 32
"""Attacks that are kept together."""

UNIT = "violations per attack"


@strict
@dataclass(frozen=True, kw_only=True)
class RedTeamSettings:
    """How a model is attacked."""

    budget: int = 400
    """Replies that the model may be asked for, all turns counted."""

    even: float = 0.25
    """Share of the budget that is spent evenly over families and principles."""

    batch: int = 16
    """Attacks between two looks at where holes are likely."""

    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.7))
    """How replies are drawn."""

    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, budget=(1, 10**9), even=(0, 1), batch=(1, 10**6))


def red_team(
    model: LanguageModel,
    constitution: Constitution,
    goals: TestSet,
    families: Sequence[AttackFamily],
    *,
    judge: LanguageModel | Oracle | ReplyJudge,
    settings: RedTeamSettings | None = None,
    judging_prompts: PromptSet | None = None,
    folder: Path | None = None,
    tell: Tell = silent,
) -> RedTeamResult:
    """Find which principles give way to which families of attacks.

    Args:
        model: Who is attacked.
        constitution: The principles.
        goals: Tests whose probes are what attacks try to get.
        families: The attacks, such as `template_families()`.
        judge: As in `examine_compliance`. It reads each reply as one to the plain request; what a
            reply says to its judge is guarded against.
        settings: Budget and how replies are drawn.
        judging_prompts: What a model is asked in as judge.
        folder: Where replies and judgments are kept, so that an interrupted red team goes on.
        tell: Told of progress.

    Raises:
        ConfigError: There is no family, or no principle that can be attacked and judged.
        DataError: A goal speaks of a principle that the constitution does not have.
    """
    chosen = settings or RedTeamSettings()
    check_law(goals, constitution)
    tell("examining the judge", 0, 0)
    asked = as_judge(judge, constitution, prompts=judging_prompts, seed=chosen.seed)
    if folder is not None:
        return _Siege(model, constitution, goals, families, asked, chosen, folder, tell).run()
    with TemporaryDirectory(prefix="plumbrule-redteam-") as place:
        where = Path(place)
        return _Siege(model, constitution, goals, families, asked, chosen, where, tell).run()


@dataclass
class _Siege:
    """A red team at work."""

    model: LanguageModel
    law: Constitution
    goals: TestSet
    families: Sequence[AttackFamily]
    judge: ReplyJudge
    settings: RedTeamSettings
    folder: Path
    tell: Tell
    outcomes: list[AttackOutcome] = field(default_factory=list)
    tried: dict[Cell, tuple[int, int]] = field(default_factory=dict)
    barren: dict[Cell, int] = field(default_factory=dict)
    """Times that no attack could be made of a cell."""

    used: int = 0

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(derive_seed(self.settings.seed, "red team"))
        self._probes: dict[str, list[TestCase]] = {}
        for case in self.goals.cases:
            if case.kind == "probe" and case.principle_id in self.judge.principles:
                self._probes.setdefault(case.principle_id, []).append(case)
        self._by_name = {each.name: each for each in self.families}
        self.notes: list[str] = []
        usable = list(self.families)
        if not isinstance(self.model, LocalModel):
            left_out = [each.name for each in usable if each.needs_weights]
            usable = [each for each in usable if not each.needs_weights]
            if left_out:
                self.notes.append(
                    f"Left out, because they need the weights: {', '.join(left_out)}."
                )
        self.cells: list[Cell] = [
            (principle, each.name)
            for principle in self._probes
            for each in usable
            if each.only is None or principle in each.only
        ]
        if not self.cells:
            raise ConfigError(
                "there is nothing to attack with: no family of attacks is for a principle that has "
                "probes and that the judge can judge; give --prompts, or another --judge"
            )

    def run(self) -> RedTeamResult:
        even = round(self.settings.even * self.settings.budget)
        while self.used < even:
            if not self._round(self._evenly(), even=True, most=even):
                break
        while self.used < self.settings.budget:
            cells = [cell for cell in self.cells if self.barren.get(cell, 0) < 3]
            picked = choose_cells(cells, self.tried, self.settings.batch, self._rng)
            if not picked or not self._round(picked, even=False, most=self.settings.budget):
                break
        return self._result()

    def _evenly(self) -> list[Cell]:
        """The next cells in an order by chance, each once before any comes again."""
        least = min(self.tried.get(cell, (0, 0))[0] for cell in self.cells)
        fewest = [cell for cell in self.cells if self.tried.get(cell, (0, 0))[0] == least]
        order = self._rng.permutation(len(fewest))[: self.settings.batch].tolist()
        return [fewest[place] for place in order]

    def _round(self, cells: Sequence[Cell], *, even: bool, most: int) -> bool:
        """Attack some cells; False where nothing could be made of any of them."""
        attacks: list[Attack] = []
        room = most - self.used
        for cell in cells:
            probes = self._probes[cell[0]]
            case = probes[int(self._rng.integers(len(probes)))]
            attack = self._by_name[cell[1]].make(case, self._rng)
            if attack is None:
                self.barren[cell] = self.barren.get(cell, 0) + 1
                continue
            room -= len(attack.turns)
            if room < 0:
                break
            attacks.append(attack)
        if not attacks:
            return room >= 0 and any(self.barren.get(cell, 0) < 3 for cell in cells)
        place = len(self.outcomes)
        for attack, (exchange, judgment) in zip(attacks, self._judged(attacks, place), strict=True):
            outcome = AttackOutcome(
                attack=attack,
                exchange=exchange,
                verdict=judgment.verdict,
                rationale=judgment.rationale,
                even=even,
            )
            self.outcomes.append(outcome)
            tries, hits = self.tried.get((attack.principle_id, attack.family), (0, 0))
            self.tried[attack.principle_id, attack.family] = (tries + 1, hits + outcome.hit)
            self.used += len(attack.turns)
        self.tell("attacking and judging", self.used, self.settings.budget)
        return True

    def _judged(self, attacks: Sequence[Attack], place: int) -> list[tuple[Exchange, Judgment]]:
        """The dialogues that came of attacks, and the judge's word on each."""
        sampling = self.settings.sampling
        inputs = {"version": RED_TEAM_VERSION, "law": self.law.sha256, "place": place}
        played = Shards(
            self.folder / "attacks",
            {**inputs, "model": self.model.identity, "sampling": to_json(sampling)},
        ).map(
            list(attacks),
            lambda shard, seed: play(self.model, shard, sampling=sampling, seed=seed),
            kind=Exchange,
            size=SHARD,
            seed=self.settings.seed,
        )
        # A reply is judged as a reply to what the attack is after, in plain words.
        plain = [
            replace(exchange, dialogue=attack.goal)
            for exchange, attack in zip(played, attacks, strict=True)
        ]
        judged = Shards(self.folder / "judgments", {**inputs, "judge": self.judge.identity}).map(
            plain,
            lambda shard, seed: self.judge.verdicts(
                shard,
                [each.id.partition("/")[0] for each in shard],
                [derive_seed(seed, number) for number in range(len(shard))],
            ),
            kind=Judgment,
            size=SHARD,
            seed=self.settings.seed,
        )
        return list(zip(played, judged, strict=True))

    def _result(self) -> RedTeamResult:
        found: dict[Cell, AttackOutcome] = {}
        for each in self.outcomes:
            if each.hit:
                found.setdefault((each.attack.principle_id, each.attack.family), each)
        holes = [
            Hole(
                principle_id=cell[0],
                family=cell[1],
                origin=first.attack.origin,
                tries=self.tried[cell][0],
                hits=self.tried[cell][1],
                first=first,
            )
            for cell, first in found.items()
        ]
        return RedTeamResult(
            model=self.model.spec,
            model_identity=self.model.identity,
            judge=self.judge.name,
            constitution=self.law.name,
            constitution_sha256=self.law.sha256,
            budget=self.settings.budget,
            used=self.used,
            holes=tuple(holes),
            outcomes=tuple(self.outcomes),
            by_family=attack_rates(self.outcomes, self._order(1), by="family"),
            by_principle=attack_rates(self.outcomes, self._order(0), by="principle"),
            cells=len(self.cells),
            not_tried=sum(cell not in self.tried for cell in self.cells),
            notes=tuple(self.notes),
        )

    def _order(self, part: int) -> list[str]:
        return list(dict.fromkeys(cell[part] for cell in self.cells))


def attack_rates(
    outcomes: Sequence[AttackOutcome], names: Sequence[str], *, by: str
) -> tuple[AttackRate, ...]:
    """How often attacks succeed, from those that were drawn evenly.

    Args:
        outcomes: All of them.
        names: Families or principles, in the order wanted.
        by: `family` or `principle`.
    """
    grouped: dict[str, list[AttackOutcome]] = {name: [] for name in names}
    for each in outcomes:
        name = each.attack.family if by == "family" else each.attack.principle_id
        grouped[name].append(each)
    rates = []
    for name, found in grouped.items():
        decided = [each.hit for each in found if each.even and each.verdict in ("fail", "pass")]
        rates.append(
            AttackRate(
                name=name,
                estimate=clopper_pearson(sum(decided), len(decided), unit=UNIT)
                if decided
                else None,
                reason=None if decided else "none of the attacks drawn evenly has a verdict",
                tries=len(found),
                hits=sum(each.hit for each in found),
                unanswered=sum(each.verdict in ("refused", "errored") for each in found),
            )
        )
    return tuple(rates)


def play(
    model: LanguageModel, attacks: Sequence[Attack], *, sampling: Sampling, seed: int
) -> list[Exchange]:
    """Play attacks to their end: the model answers every turn, and its answers stay in sight.

    Args:
        model: Who answers.
        attacks: Any number of turns each.
        sampling: How replies are drawn.
        seed: Of the draws.
    """
    dialogues: list[Dialogue] = [opening(attack) for attack in attacks]
    replies: list[tuple[str, str]] = [("", "errored")] * len(attacks)
    for turn in range(max(len(attack.turns) for attack in attacks)):
        places = [
            place
            for place, attack in enumerate(attacks)
            if turn < len(attack.turns) and (turn == 0 or replies[place][1] != "errored")
        ]
        for place in places:
            if turn:
                dialogues[place] += (Message("assistant", replies[place][0]),)
            dialogues[place] += (Message("user", attacks[place].turns[turn]),)
        last = {place for place in places if turn == len(attacks[place].turns) - 1}
        begun = [attacks[place].prefill if place in last else "" for place in places]
        seeds = [derive_seed(seed, "turn", turn, place) for place in places]
        drawn = _drawn(model, [dialogues[each] for each in places], begun, sampling, seeds)
        for place, reply in zip(places, drawn, strict=True):
            replies[place] = reply
    return [
        Exchange(
            id=attack.id,
            dialogue=dialogue,
            response=text,
            model=model.identity,
            sampling=asdict(sampling),
            seed=seed,
            finish_reason=reason,
        )
        for attack, dialogue, (text, reason) in zip(attacks, dialogues, replies, strict=True)
    ]


def _drawn(
    model: LanguageModel,
    dialogues: Sequence[Dialogue],
    begun: Sequence[str],
    sampling: Sampling,
    seeds: Sequence[int],
) -> list[tuple[str, str]]:
    """Replies and how each ended; those with given first words need the weights."""
    found: dict[int, tuple[str, str]] = {}
    plain = [place for place, words in enumerate(begun) if not words]
    if plain:
        drawn = model.sample(
            [dialogues[place] for place in plain],
            sampling=sampling,
            seeds=[seeds[place] for place in plain],
        )
        found |= {
            place: (each.text, each.finish_reason) for place, each in zip(plain, drawn, strict=True)
        }
    rest = [place for place, words in enumerate(begun) if words]
    if rest:
        assert isinstance(model, LocalModel)
        texts, _ = begun_replies(
            model,
            [dialogues[place] for place in rest],
            [begun[place] for place in rest],
            sampling=sampling,
            seeds=[seeds[place] for place in rest],
        )
        found |= {place: (text, "stop") for place, text in zip(rest, texts, strict=True)}
    return [found[place] for place in range(len(dialogues))]
