"""Two models in, their differences out: gates, screens, hypotheses, tests, layers, certificate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plumbrule.behavior.certifying import Certificate, certify, same_models
from plumbrule.behavior.exploring import Explored, Explorer
from plumbrule.behavior.hypotheses import Hypothesis
from plumbrule.behavior.noise import Noise, measure_noise
from plumbrule.behavior.pair import Draft, Pair, PairedReply, Spent
from plumbrule.behavior.places import MarkTable, Place, find_regions
from plumbrule.behavior.pool import Pool
from plumbrule.behavior.properties import Property
from plumbrule.behavior.recording import Recorder, Tell
from plumbrule.behavior.screens.built_in import cannot_scan, chosen, scanned
from plumbrule.behavior.screens.screening import Sighting, View
from plumbrule.behavior.settings import CompareSettings
from plumbrule.behavior.validation import Score, Trial, Verdict, race
from plumbrule.errors import DataError, ModelError
from plumbrule.models import LanguageModel, LocalModel
from plumbrule.records import Prompt
from plumbrule.store import derive_seed

if TYPE_CHECKING:
    from plumbrule.behavior.lineage import Lineage
    from plumbrule.behavior.localization import Effect, Localization
    from plumbrule.behavior.screens.reasoning import Proposal, Reasoned


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that a comparison found, before it is written down."""

    settings: CompareSettings
    pool: Pool
    verdicts: Sequence[Verdict]
    """Of all hypotheses tested, confirmed or not."""

    trials: Sequence[Trial]
    certificate: Certificate
    drafts: Sequence[Draft]
    """Replies behind the certificate."""

    lineage: "Lineage | None"
    noise: Noise | None
    sightings: Mapping[str, Sighting]
    explored: Explored | None
    """None where both models are the same."""

    looked_at: Sequence[Prompt]
    """Prompts that the screens saw; `explored` counts its rows by these."""

    localizations: Mapping[str, "Localization"]
    """By hypothesis: which layers carry the change."""

    unlocalized: Mapping[str, str]
    """By hypothesis: why no layer can be named."""

    costs: Mapping[str, Spent]
    texts: int
    identical: bool

    @property
    def findings(self) -> list[Verdict]:
        """The hypotheses that stand, the largest effect first."""
        stand = [each for each in self.verdicts if each.confirmed]
        return sorted(stand, key=lambda each: -abs(each.estimate.value if each.estimate else 0.0))


def compare_models(
    base: LanguageModel,
    tuned: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    settings: CompareSettings | None = None,
    judge: LanguageModel | None = None,
    folder: Path | None = None,
    identity: str = "",
    tell: Tell = lambda part, done, total: None,
) -> Comparison:
    """Find what differs between two models' replies, with an error guarantee.

    Args:
        base: The model before.
        tuned: The model after.
        prompts: What the models are used for; the claims are about these.
        settings: How to compare.
        judge: A model that proposes hypotheses and judges what cannot be counted; None: built-in
            hypotheses alone.
        folder: Where records are kept, so that an interrupted comparison goes on; None: nowhere.
        identity: Hash of all that decides the comparison; part of each record's name.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    settings = settings or CompareSettings()
    for model in (base, tuned):
        if isinstance(model, LocalModel):
            model.check_lengths(
                [prompt.dialogue for prompt in prompts], settings.sampling.max_new_tokens
            )
    pair = Pair(base=base, tuned=tuned, sampling=settings.sampling)
    pool = Pool.of(prompts, seed=settings.seed)
    recorder = Recorder(
        pair=pair, seed=settings.seed, folder=folder, identity=identity or pool.sha256, tell=tell
    )
    if pair.identical and settings.shortcut:
        return _same(settings, pool)
    work = _Work(recorder=recorder, pool=pool, settings=settings, judge=judge)
    lineage = work.lineage()
    noise = work.noise()
    explored = None
    if settings.method == "guided":
        work.look()
        explored = work.explore(noise.floor)
        verdicts, trials = work.test([*explored.hypotheses, *work.reason(explored)])
    else:
        verdicts, trials = work.everything()
    drafts, certificate = work.certify(explored, verdicts)
    return Comparison(
        settings=settings,
        pool=pool,
        verdicts=verdicts,
        trials=trials,
        certificate=certificate,
        drafts=drafts,
        lineage=lineage,
        noise=noise,
        sightings=work.sightings,
        explored=explored,
        looked_at=work.prompts,
        localizations=work.localize(verdicts, trials),
        unlocalized=work.unlocalized,
        costs=recorder.costs,
        texts=pair.texts,
        identical=False,
    )


ZOOMED = 8
"""Places by each scan of which more prompts are looked at, where there are too many to scan all."""


@dataclass(kw_only=True)
class _Work:
    """The steps of one comparison, and what they hand on."""

    recorder: Recorder
    pool: Pool
    settings: CompareSettings
    judge: LanguageModel | None
    prompts: Sequence[Prompt] = ()
    sightings: dict[str, Sighting] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
    unlocalized: dict[str, str] = field(default_factory=dict)

    @property
    def pair(self) -> Pair:
        return self.recorder.pair

    def lineage(self) -> "Lineage | None":
        """Whether the weights are parent and child; None where an endpoint hides them."""
        if self.pair.local is None:
            return None
        from plumbrule.behavior.lineage import lineage
        from plumbrule.behavior.weights.changes import compare_weights

        with self.recorder.part("lineage"):
            base, tuned = self.pair.local
            self.shared["weights"] = compare_weights(base, tuned, seed=self.settings.seed)
            return lineage(base, tuned, changes=self.shared["weights"])

    def noise(self) -> Noise:
        """How far the base moves from itself through the same pipeline."""
        with self.recorder.part("noise floor"):
            return measure_noise(self.recorder, self._sample(self.pool.explore, 16, "noise"))

    def look(self) -> None:
        """Let every screen look at the prompts."""
        with self.recorder.part("zooming in"):
            self.prompts = self._zoom()
            self.table = MarkTable.of(self.prompts)
        screens = chosen(self.settings.screens)
        for done, screen in enumerate(screens):
            self.recorder.tell("screens", done, len(screens))
            view = View(
                pair=self.pair,
                prompts=self.prompts,
                table=self.table,
                most_texts=self.settings.screen_texts,
                seed=derive_seed(self.settings.seed, screen.name),
                seen=dict(self.sightings),
                shared=self.shared,
            )
            with self.recorder.part(screen.name):
                self.sightings[screen.name] = screen(view)
        self.recorder.tell("screens", len(screens), len(screens))

    def _zoom(self) -> list[Prompt]:
        """Prompts to look at: all, or some that say every word and more of where models part.

        The cost of looking grows with the number of words, not with the number of prompts.
        """
        pool, most = self.pool, self.settings.scanned
        rows = pool.covering(most, seed=self.settings.seed)
        prompts = [pool.explore[row] for row in rows]
        if len(rows) == len(pool.explore):
            return prompts
        view = View(
            pair=self.pair,
            prompts=prompts,
            table=MarkTable.of(prompts),
            most_texts=0,
            seed=self.settings.seed,
            shared=self.shared,
        )
        if cannot_scan(view):
            return prompts
        seen = scanned(view)
        regions = [
            region.place
            for scores in (seen.shift, np.sqrt(seen.divergence))
            for region in find_regions(view.table, scores, most=ZOOMED, least_contrast=2.0)
        ]
        more = [row for row in pool.exploring(regions) if row not in set(rows)]
        rng = np.random.default_rng(derive_seed(self.settings.seed, "zoom"))
        chosen = sorted(int(row) for row in rng.permutation(np.array(more, dtype=int))[: most // 4])
        return [*prompts, *(pool.explore[row] for row in chosen)]

    def explore(self, floor: float) -> Explored:
        """Spend texts where the screens point, and fix the hypotheses."""
        explorer = Explorer(
            self.recorder,
            self.prompts,
            self.table,
            floor=floor,
            settings=self.settings.exploring,
            # What is suspected is worth nothing without the texts to test it.
            most_texts=self.pair.texts + self._left() // 2,
        )
        return explorer.explore(self.sightings)

    def test(self, hypotheses: Sequence[Hypothesis]) -> tuple[list[Verdict], list[Trial]]:
        """Test the hypotheses on prompts that nothing has looked at."""
        members = {place: self.pool.confirming(place) for place in {h.place for h in hypotheses}}

        def draw(place: Place, before: int, count: int) -> list[PairedReply] | None:
            if not members[place]:
                return None
            count = min(count, self._left() // 2)
            seeds = [
                derive_seed(self.settings.seed, "test", str(place), before + index)
                for index in range(count)
            ]
            # Drawn with replacement: each pair has the mean of the whole place, whatever came
            # before, which is what a bet on it needs.
            asked = [
                self.pool.confirm[members[place][seed % len(members[place])]] for seed in seeds
            ]
            self.recorder.tell("tests", before + count, self.settings.most_pairs)
            return self.recorder.pairs("tests", [place.enter(each) for each in asked], seeds)

        with self.recorder.part("tests"):
            return race(hypotheses, draw, self._score(), settings=self.settings.racing)

    def everything(self) -> tuple[list[Verdict], list[Trial]]:
        """The known workflow: generate the budget's texts, cluster them, test what differs."""
        from plumbrule.behavior.exhaustive import exhaustive

        found = exhaustive(
            self.recorder, self.pool, settings=self.settings, texts=self.settings.budget
        )
        self.prompts = self.pool.explore
        return list(found.verdicts), list(found.trials)

    def reason(self, explored: Explored) -> list[Hypothesis]:
        """What a judge proposes from the evidence, as further members of the family."""
        if self.judge is None:
            return []
        from plumbrule.behavior.screens.reasoning import Evidence, reason_about

        furthest = sorted(explored.movement.items(), key=lambda item: -item[1])
        phrases = {phrase for seen in self.sightings.values() for phrase in seen.phrases}
        evidence = Evidence(
            prompts=tuple((self.prompts[row].dialogue, moved) for row, moved in furthest),
            pairs=explored.pairs,
            phrases=tuple(sorted(phrases)),
        )
        with self.recorder.part("reasoning"):
            before = self.judge.usage.tokens_generated
            found = reason_about(
                self.judge, evidence, seed=derive_seed(self.settings.seed, "reasoning")
            )
            spent = self.recorder.costs["reasoning"]
            spent.tokens_generated += self.judge.usage.tokens_generated - before
            spent.calls += found.calls
            standing = self._standing(found)
        unusable = "; ".join(f"{step}: {why}" for step, why in found.unusable.items())
        refuted = len(found.proposals) - len(standing)
        self.sightings["reasoning"] = Sighting(
            note=f"{len(standing)} hypotheses kept, {len(found.dropped)} taken back, {refuted} not "
            f"borne out by the {len(found.prompts)} prompts that the judge wrote to tell, "
            f"{found.unread} lines not read" + (f"; no answer to {unusable}" if unusable else "")
        )
        return [
            Hypothesis(
                id=str(number),
                place=proposal.place,
                property=Property(kind="judged", text=proposal.what),
                direction="increase",
                screens=("reasoning",),
            )
            for number, proposal in enumerate(standing, len(explored.hypotheses) + 1)
        ]

    def _standing(self, found: "Reasoned") -> list["Proposal"]:
        """The proposals but for those that the judge's own prompts, asked of both, speak against.

        Nothing is concluded from them: prompts that were written to show a change show it best.
        """
        from plumbrule.behavior.screens.reasoning import blinded_judge

        assert self.judge is not None
        prompts = [
            Prompt(id=f"judge-{number}", dialogue=dialogue)
            for number, dialogue in enumerate(found.prompts[: self._left() // 4], 1)
        ]
        seeds = [derive_seed(self.settings.seed, "judge's prompt", one.id) for one in prompts]
        pairs = self.recorder.pairs("reasoning", prompts, seeds)
        standing = []
        for proposal in found.proposals:
            there = [
                pair
                for pair, prompt in zip(pairs, prompts, strict=True)
                if pair.usable and proposal.place.holds(prompt)
            ]
            judged = blinded_judge(
                self.judge,
                str(proposal.place),
                proposal.what,
                there,
                seed=derive_seed(self.settings.seed, "judge's prompts"),
            )
            self.recorder.costs["reasoning"].calls += judged.calls
            if not there or sum(tuned - base for base, tuned in judged.scores) > 0:
                standing.append(proposal)
        return standing

    def _score(self) -> Score:
        def score(
            hypothesis: Hypothesis, pairs: Sequence[PairedReply]
        ) -> Sequence[tuple[float, float]]:
            wanted = hypothesis.property
            if wanted.kind != "judged":
                return [(wanted.score(pair.base), wanted.score(pair.tuned)) for pair in pairs]
            from plumbrule.behavior.screens.reasoning import blinded_judge

            assert self.judge is not None
            # The worst case for the claim where the judge declines: nothing is passed over.
            return blinded_judge(
                self.judge,
                str(hypothesis.place),
                wanted.text,
                pairs,
                seed=self.settings.seed,
                missing="against",
            ).scores

        return score

    def certify(
        self, explored: Explored | None, verdicts: Sequence[Verdict]
    ) -> tuple[list[Draft], Certificate]:
        """Bound what was not found."""
        with self.recorder.part("certificate"):
            drafts: list[Draft] = []
            reason = self._unbounded()
            if reason is None:
                left = max(0, self.settings.budget - self.pair.texts)
                count = min(self.settings.certificate, left)
                seeds = [derive_seed(self.settings.seed, "certificate", i) for i in range(count)]
                drafts = self.recorder.drafts(
                    "certificate",
                    [self.pool.confirm[seed % len(self.pool.confirm)] for seed in seeds],
                    seeds,
                )
            certificate = certify(
                drafts,
                population=len(self.pool.confirm),
                settings=self.settings.racing,
                looked_at=len(explored.movement) if explored else len(self.prompts),
                family=len(verdicts),
                named=[each.hypothesis.place for each in verdicts if each.confirmed],
                reason=reason,
                seed=self.settings.seed,
            )
        return drafts, certificate

    def localize(
        self, verdicts: Sequence[Verdict], trials: Sequence[Trial]
    ) -> dict[str, "Localization"]:
        """Which layers carry each change that stands, where the weights are at hand."""
        if self.pair.local is None or not self.pair.same_tokens or not self.settings.localize:
            return {}
        from plumbrule.behavior.localization import localize

        base, tuned = self.pair.local
        found = {}
        with self.recorder.part("localization"):
            for verdict in [each for each in verdicts if each.confirmed]:
                pairs = _telling(verdict, trials)
                try:
                    found[verdict.hypothesis.id] = localize(base, tuned, _leaning(pairs))
                except (DataError, ModelError) as error:
                    self.unlocalized[verdict.hypothesis.id] = str(error)
        return found

    def _left(self) -> int:
        """Texts that the budget leaves beside those kept back for the certificate."""
        kept_back = self.settings.certificate if self._unbounded() is None else 0
        return max(0, self.settings.budget - self.pair.texts - kept_back)

    def _unbounded(self) -> str | None:
        """Why the distance between the models' replies cannot be bounded; None where it can."""
        sampling = self.settings.sampling
        if self.pair.local is None:
            return (
                "the distance between two models' replies is bounded by weighing them under "
                "both, which an endpoint cannot do"
            )
        if not self.pair.same_tokens:
            return (
                "the models read texts as different tokens, so how likely each was to write a "
                "reply is known only nearly"
            )
        if (sampling.temperature, sampling.top_p) != (1.0, 1.0):
            return "replies were drawn at another temperature or top_p than 1, and are weighed at 1"
        return None

    def _sample(self, prompts: Sequence[Prompt], count: int, name: str) -> list[Prompt]:
        order = np.random.default_rng(derive_seed(self.settings.seed, name))
        return [prompts[index] for index in order.permutation(len(prompts))[:count].tolist()]


def _telling(verdict: Verdict, trials: Sequence[Trial]) -> list[PairedReply]:
    """A few pairs that show a change, each prompt once."""
    sign = 1 if verdict.hypothesis.direction == "increase" else -1
    seen: dict[str, PairedReply] = {}
    for trial in trials:
        moved = sign * (trial.tuned_score - trial.base_score) > 0
        if trial.hypothesis_id == verdict.hypothesis.id and trial.pair.usable and moved:
            seen.setdefault(trial.pair.prompt_id, trial.pair)
    return list(seen.values())[:TOLD]


TOLD = 12
"""Pairs on which a change is followed through the layers."""


def _leaning(pairs: Sequence[PairedReply]) -> "Effect":
    """How much more a model leans to the tuned model's replies than to the base's, in nats."""
    dialogues = [pair.dialogue for pair in pairs]

    def effect(model: LocalModel) -> float:
        if not pairs:
            raise DataError("no pair of replies shows the change")
        tuned = model.score(dialogues, [pair.tuned for pair in pairs], end_of_turn=True)
        base = model.score(dialogues, [pair.base for pair in pairs], end_of_turn=True)
        return sum(
            one.log_prob - other.log_prob for one, other in zip(tuned, base, strict=True)
        ) / len(pairs)

    return effect


def _same(settings: CompareSettings, pool: Pool) -> Comparison:
    """The comparison of a model with itself: nothing can differ, and nothing needs to be drawn."""
    return Comparison(
        settings=settings,
        pool=pool,
        verdicts=(),
        trials=(),
        certificate=same_models(len(pool.confirm)),
        drafts=(),
        lineage=None,
        noise=None,
        sightings={},
        explored=None,
        looked_at=(),
        localizations={},
        unlocalized={},
        costs={},
        texts=0,
        identical=True,
    )
