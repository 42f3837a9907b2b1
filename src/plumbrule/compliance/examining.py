"""The examination: tests asked a batch at a time, judged, and stopped once a principle is decided.

Principles are asked side by side. After every batch each is looked at again: it is decided once
there is enough evidence that it is broken more often than allowed, or once its whole interval
lies within what is allowed. The findings of all principles are confirmed together (e-BH).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from plumbrule.compliance.cases import CaseKind, TestCase, TestSet, check_law
from plumbrule.compliance.deciding import Outcome, RateSoFar, rate_so_far
from plumbrule.compliance.examination import Oracle
from plumbrule.compliance.judges import ReplyJudge, as_judge
from plumbrule.compliance.outcomes import (
    ComplianceResult,
    PrincipleCompliance,
    RegressionOutcome,
    Side,
)
from plumbrule.compliance.settings import ComplianceSettings
from plumbrule.constitution import Constitution
from plumbrule.errors import ConfigError
from plumbrule.judging import PromptSet
from plumbrule.models import LanguageModel
from plumbrule.records import Exchange, Judgment, MannerJudgment, to_json
from plumbrule.statistics import e_bh
from plumbrule.store import Shards, Tell, derive_seed, silent

EXAMINATION_VERSION = 1
"""Raised whenever the same tests would be asked or judged otherwise."""

SHARD = 64
"""Replies that are kept together."""

SILENT = 64
"""Replies after which a principle that applied to none of them is asked no more."""

UNITS: Mapping[CaseKind, str] = {
    "probe": "violations per request",
    "twin": "refusals per request that deserves help",
}


def examine_compliance(
    model: LanguageModel,
    constitution: Constitution,
    tests: TestSet,
    *,
    judge: LanguageModel | Oracle | ReplyJudge,
    settings: ComplianceSettings | None = None,
    judging_prompts: PromptSet | None = None,
    folder: Path | None = None,
    tell: Tell = silent,
) -> ComplianceResult:
    """Find how often a model breaks each principle, and which it breaks more often than allowed.

    Args:
        model: Who is examined.
        constitution: The principles.
        tests: What it is asked; see `build_tests`.
        judge: A model, which is examined first on the constitution's own examples; an answer key;
            or a judge made before.
        settings: Bounds, levels and how replies are drawn.
        judging_prompts: What a model is asked in as judge; None: the default set.
        folder: Where replies and judgments are kept, so that an interrupted examination goes on;
            None: nowhere.
        tell: Told of progress.

    Raises:
        ConfigError: The judge can judge none of the principles, or a bound names none.
        DataError: A test speaks of a principle that the constitution does not have.
    """
    chosen = settings or ComplianceSettings()
    check_law(tests, constitution)
    strange = sorted(set(chosen.bounds) - {each.id for each in constitution.principles})
    if strange:
        raise ConfigError(f"there is no principle {strange[0]!r:.60} to give a bound to")
    tell("examining the judge", 0, 0)
    asked = as_judge(judge, constitution, prompts=judging_prompts, seed=chosen.seed)
    if folder is not None:
        return _Examination(model, constitution, tests, asked, chosen, folder, tell).run()
    with TemporaryDirectory(prefix="plumbrule-comply-") as place:
        return _Examination(model, constitution, tests, asked, chosen, Path(place), tell).run()


@dataclass
class _Track:
    """One principle's probes or twins: what is to be asked yet, and what came of the others."""

    principle_id: str
    kind: CaseKind
    bound: float
    waiting: list[list[TestCase]]
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    by_way: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    hits: list[str] = field(default_factory=list)
    rate: RateSoFar | None = None
    decided: str | None = None


@dataclass
class _Examination:
    """An examination under way."""

    model: LanguageModel
    law: Constitution
    tests: TestSet
    judge: ReplyJudge
    settings: ComplianceSettings
    folder: Path
    tell: Tell
    exchanges: dict[str, Exchange] = field(default_factory=dict)
    judgments: list[Judgment] = field(default_factory=list)

    def run(self) -> ComplianceResult:
        tracks = self._tracks()
        total = sum(len(each.waiting) for each in tracks)
        while any(self._open(each) for each in tracks):
            batch: list[tuple[_Track, TestCase]] = []
            for track in tracks:
                if self._open(track):
                    for _ in range(min(self.settings.batch, len(track.waiting))):
                        batch += [(track, case) for case in track.waiting.pop(0)]
            self._ask(batch)
            self._look(tracks)
            left = sum(len(each.waiting) for each in tracks if self._open(each))
            self.tell("asking and judging", total - left, total)
        return self._result(tracks, self._regressions())

    def _tracks(self) -> list[_Track]:
        """Probes of every principle that can be judged, and its twins, in random order."""
        kinds: tuple[CaseKind, ...] = ("probe", "twin") if self.settings.twins else ("probe",)
        found = []
        for principle in self.law.principles:
            for kind in kinds:
                families = self.tests.families(principle.id, kind)
                if not families or (kind == "probe" and principle.id not in self.judge.principles):
                    continue
                names = list(families)
                seed = derive_seed(self.settings.seed, "order", principle.id, kind)
                order = np.random.default_rng(seed).permutation(len(names)).tolist()
                found.append(
                    _Track(
                        principle_id=principle.id,
                        kind=kind,
                        bound=self.settings.allowed(principle.id)
                        if kind == "probe"
                        else self.settings.most_refused,
                        waiting=[families[names[place]] for place in order],
                    )
                )
        if not any(each.kind == "probe" for each in found):
            raise ConfigError(
                f"{self.judge.name} can judge none of the principles that there are tests of; "
                "give another --judge, or prompts for other principles"
            )
        return found

    def _open(self, track: _Track) -> bool:
        full = track.asked >= self.settings.most_asked
        return bool(track.waiting) and not full and track.decided is None

    def _ask(self, batch: Sequence[tuple[_Track, TestCase]]) -> None:
        probes = [(track, case) for track, case in batch if case.kind != "twin"]
        twins = [(track, case) for track, case in batch if case.kind == "twin"]
        for (track, case), judgment in zip(
            probes, self._judged([case for _, case in probes]), strict=True
        ):
            _count(track, judgment.verdict)
            if judgment.verdict != "not_applicable":
                self._take(track, case, _outcome(judgment.verdict))
            track.asked += 1
        for (track, case), manner in zip(
            twins, self._sorted([case for _, case in twins]), strict=True
        ):
            _count(track, manner.manner)
            said = manner.manner
            declined = None if said in ("refused", "errored") else said != "helped"
            self._take(track, case, declined)
            track.asked += 1

    def _take(self, track: _Track, case: TestCase, outcome: Outcome) -> None:
        track.outcomes.setdefault(case.family, []).append(outcome)
        track.by_way.setdefault(case.way, {}).setdefault(case.family, []).append(outcome)
        if outcome:
            track.hits.append(case.id)

    def _judged(self, cases: Sequence[TestCase]) -> list[Judgment]:
        replies = self._replies(cases)
        names = {case.id: case.principle_id for case in cases}
        found = self._shards("judgments", self.judge.identity).map(
            replies,
            lambda shard, seed: self.judge.verdicts(
                shard,
                [names[each.id] for each in shard],
                [derive_seed(seed, each.id) for each in shard],
            ),
            kind=Judgment,
            size=SHARD,
            seed=self.settings.seed,
        )
        self.judgments += found
        return found

    def _sorted(self, cases: Sequence[TestCase]) -> list[MannerJudgment]:
        return self._shards("manners", self.judge.identity).map(
            self._replies(cases),
            lambda shard, seed: self.judge.manners(
                shard, [derive_seed(seed, each.id) for each in shard]
            ),
            kind=MannerJudgment,
            size=SHARD,
            seed=self.settings.seed,
        )

    def _replies(self, cases: Sequence[TestCase]) -> list[Exchange]:
        sampling = self.settings.sampling

        def work(shard: Sequence[TestCase], seed: int) -> list[Exchange]:
            del seed  # a reply depends on its test alone, whatever was asked beside it
            seeds = [derive_seed(self.settings.seed, "reply", case.id) for case in shard]
            drawn = self.model.sample(
                [case.dialogue for case in shard], sampling=sampling, seeds=seeds
            )
            return [
                Exchange(
                    id=case.id,
                    dialogue=case.dialogue,
                    response=each.text,
                    model=self.model.identity,
                    sampling=asdict(sampling),
                    seed=own,
                    finish_reason=each.finish_reason,
                )
                for case, each, own in zip(shard, drawn, seeds, strict=True)
            ]

        found = self._shards("replies", self.model.identity, to_json(sampling)).map(
            list(cases), work, kind=Exchange, size=SHARD, seed=self.settings.seed
        )
        self.exchanges |= {each.id: each for each in found}
        return found

    def _shards(self, name: str, *decides: object) -> Shards:
        inputs = {"version": EXAMINATION_VERSION, "law": self.law.sha256, "by": list(decides)}
        return Shards(self.folder / name, inputs)

    def _look(self, tracks: Sequence[_Track]) -> None:
        """Say where each track stands, and which are decided.

        A claim that is confirmed beside all others stays so: its evidence no longer changes, and
        that of those confirmed with it does not either.
        """
        for track in tracks:
            if track.decided is None:
                track.rate = rate_so_far(
                    track.outcomes,
                    bound=track.bound,
                    level=self.settings.level,
                    unit=UNITS[track.kind],
                )
        if not self.settings.early:
            return
        for track, confirmed in zip(tracks, self._confirmed(tracks), strict=True):
            if track.decided is not None or track.rate is None:
                continue
            if confirmed:
                track.decided = "above"
            elif track.rate.below(track.bound):
                track.decided = "within"
            elif not track.outcomes and track.asked >= SILENT:
                track.decided = "applies to nothing"

    def _confirmed(self, tracks: Sequence[_Track]) -> list[bool]:
        evidence = np.array([each.rate.e_value if each.rate else 1.0 for each in tracks])
        return [bool(each) for each in e_bh(evidence, level=self.settings.fdr)]

    def _regressions(self) -> list[RegressionOutcome]:
        """Every regression test once; they were chosen because they failed, so no rate."""
        cases = [
            case
            for case in self.tests.cases
            if case.kind == "regression" and case.principle_id in self.judge.principles
        ]
        if not cases:
            return []
        self.tell("regression tests", 0, len(cases))
        found = self._judged(cases)
        return [
            RegressionOutcome(case=case, verdict=judgment.verdict)
            for case, judgment in zip(cases, found, strict=True)
        ]

    def _result(
        self, tracks: Sequence[_Track], regressions: Sequence[RegressionOutcome]
    ) -> ComplianceResult:
        sides = {
            (track.principle_id, track.kind): _side(track, self.settings, confirmed)
            for track, confirmed in zip(tracks, self._confirmed(tracks), strict=True)
        }
        return ComplianceResult(
            model=self.model.spec,
            model_identity=self.model.identity,
            judge=self.judge.name,
            constitution=self.law.name,
            constitution_sha256=self.law.sha256,
            tests_sha256=self.tests.sha256,
            settings=self.settings,
            principles=tuple(
                PrincipleCompliance(
                    id=each.id,
                    text=each.text,
                    tier=each.tier,
                    broken=sides.get((each.id, "probe")),
                    refused=sides.get((each.id, "twin")),
                    reason=self._reason(each.id),
                )
                for each in self.law.principles
            ),
            regressions=tuple(regressions),
            exchanges=self.exchanges,
            judgments=tuple(self.judgments),
            unproven=self.judge.unproven,
        )

    def _reason(self, principle_id: str) -> str | None:
        """Why a principle was not examined; None where it was."""
        if not self.tests.families(principle_id, "probe"):
            return "there is no test of it"
        if principle_id not in self.judge.principles:
            return "the judge does no better than chance under it"
        return None


def _side(track: _Track, settings: ComplianceSettings, confirmed: bool) -> Side:
    rate = track.rate
    return Side(
        bound=track.bound,
        estimate=rate.estimate if rate else None,
        reason=None if rate and rate.estimate else _silence(track),
        e_value=rate.e_value if rate else 1.0,
        confirmed=confirmed,
        within=bool(rate and rate.below(track.bound)),
        asked=track.asked,
        left=sum(map(len, track.waiting)),
        counts=dict(track.counts),
        failing=tuple(track.hits),
        by_way={
            way: found
            for way, outcomes in sorted(track.by_way.items())
            if (
                found := rate_so_far(
                    outcomes, bound=track.bound, level=settings.level, unit=UNITS[track.kind]
                ).estimate
            )
        },
    )


def _silence(track: _Track) -> str:
    if not track.asked:
        return "nothing was asked"
    if set(track.counts) == {"not_applicable"}:
        return f"it applies to none of {track.asked} replies"
    return f"none of {track.asked} replies has a verdict"


def _outcome(verdict: str) -> Outcome:
    return {"fail": True, "pass": False}.get(verdict)


def _count(track: _Track, what: str) -> None:
    track.counts[what] = track.counts.get(what, 0) + 1
