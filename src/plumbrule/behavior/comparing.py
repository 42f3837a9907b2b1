"""Two models in, their differences out: gates, looks, hypotheses, tests, layers, certificate."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plumbrule.behavior.certifying import Certificate, certify, same_models
from plumbrule.behavior.hypotheses import Hypothesis, numbered
from plumbrule.behavior.looking import Looker
from plumbrule.behavior.noise import Noise, measure_noise
from plumbrule.behavior.pair import Draft, Pair, PairedReply
from plumbrule.behavior.pool import Pool
from plumbrule.behavior.properties import Property
from plumbrule.behavior.proposing import as_hypotheses
from plumbrule.behavior.recording import Recorder
from plumbrule.behavior.results import Comparison, Looked
from plumbrule.behavior.settings import CompareSettings
from plumbrule.behavior.subgroups import SelectorTable, Subgroup
from plumbrule.behavior.topics import embed, find_topics
from plumbrule.behavior.validation import PATIENT, HypothesisVerdict, Score, ScoredPair, race
from plumbrule.errors import DataError, ModelError
from plumbrule.models import LanguageModel, LocalModel, fitting_threads, model_folder
from plumbrule.records import Prompt
from plumbrule.store import Tell, derive_seed, silent

if TYPE_CHECKING:
    from plumbrule.behavior.lineage import Lineage
    from plumbrule.behavior.localization import Effect, Localization
    from plumbrule.behavior.reasoning import JudgeProposal, Reasoned


CLEAR = 8.0
"""Nats from which a proposal from a few replies by chance stands beside an explorer's."""

SMALL = 20_000_000
"""Parameters up to which the layers behind a finding are searched unless the user asks for it."""

READ = 8
"""Surprising replies that a report shows."""

SUSPECTS = 4
"""Inserted texts that are tried out further."""


def compare_models(
    base: LanguageModel,
    tuned: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    settings: CompareSettings | None = None,
    judge: LanguageModel | None = None,
    encoder: Path | None = None,
    folder: Path | None = None,
    identity: str = "",
    tell: Tell = silent,
) -> Comparison:
    """Find what differs between two models' replies, with an error guarantee.

    Args:
        base: The model before.
        tuned: The model after.
        prompts: What the models are used for; the claims are about these.
        settings: How to compare.
        judge: A model that proposes hypotheses and judges what cannot be counted; None: built-in
            hypotheses alone.
        encoder: Folder of a sentence encoder that says what prompts are about; None: the base
            model's own states.
        folder: Where records are kept, so that an interrupted comparison goes on; None: nowhere.
        identity: Hash of all that decides the comparison; part of each record's name.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    settings = settings or CompareSettings()
    with fitting_threads(base, tuned, *([] if judge is None else [judge])):
        for model in (base, tuned):
            if isinstance(model, LocalModel):
                model.check_lengths(
                    [prompt.dialogue for prompt in prompts], settings.sampling.max_new_tokens
                )
        pair = Pair(base=base, tuned=tuned, sampling=settings.sampling)
        pool = Pool.of(prompts, seed=settings.seed)
        recorder = Recorder(
            pair=pair,
            seed=settings.seed,
            folder=folder,
            identity=identity or pool.sha256,
            tell=tell,
        )
        if pair.identical and settings.shortcut:
            return _same(settings, pool)
        work = _Work(recorder=recorder, pool=pool, settings=settings, judge=judge, encoder=encoder)
        lineage = work.lineage()
        noise = work.noise()
        looked = None
        if settings.method == "exhaustive":
            verdicts, trials = work.everything()
        else:
            looked = work.look(noise.floor)
            verdicts, trials = work.test([*looked.hypotheses, *work.reason(looked)])
        drafts, certificate = work.certify(looked, verdicts)
        return Comparison(
            settings=settings,
            pool=work.pool,
            verdicts=verdicts,
            trials=trials,
            certificate=certificate,
            drafts=drafts,
            lineage=lineage,
            noise=noise,
            looked=looked,
            notes=work.notes,
            localizations=work.localize(verdicts, trials),
            unlocalized=work.unlocalized,
            costs=recorder.costs,
            texts=pair.texts,
            identical=False,
        )


ONE_AT_A_TIME = "it needs both models in memory, and they take turns"
"""Why something is not done where memory is short."""


@dataclass(kw_only=True)
class _Work:
    """The steps of one comparison, and what they hand on."""

    recorder: Recorder
    pool: Pool
    settings: CompareSettings
    judge: LanguageModel | None
    encoder: Path | None = None
    sharp: bool = False
    """Whether most replies are as likely as before."""

    notes: dict[str, str] = field(default_factory=dict)
    unlocalized: dict[str, str] = field(default_factory=dict)

    @property
    def pair(self) -> Pair:
        return self.recorder.pair

    def lineage(self) -> "Lineage | None":
        """Whether the weights are parent and child; None where an endpoint hides them."""
        if self.pair.local is None:
            return None
        from plumbrule.behavior.lineage import lineage
        from plumbrule.behavior.weights.changes import compare_folders, compare_weights

        with self.recorder.part("lineage"):
            base, tuned = self.pair.local
            seed = self.settings.seed
            if self.pair.takes_turns:
                folders = [model_folder(one.spec) for one in (base, tuned)]
                return lineage(base, tuned, changes=compare_folders(*folders, seed=seed))
            return lineage(base, tuned, changes=compare_weights(base, tuned, seed=seed))

    def noise(self) -> Noise:
        """How far the base moves from itself through the same pipeline."""
        with self.recorder.part("noise floor"):
            # Each prompt is answered three times; a small budget is for other things, too.
            count = max(1, min(16, self.settings.budget // 6))
            return measure_noise(self.recorder, self._sample(self.pool.explore, count, "noise"))

    def look(self, floor: float) -> Looked:
        """Look at replies, by chance and where it seems to matter, and fix the hypotheses.

        Args:
            floor: Movement that identical models would show.
        """
        settings, guided = self.settings.looking, self.settings.method == "guided"
        rows = self.pool.covering(self.settings.scanned, seed=self.settings.seed)
        looker = Looker(
            recorder=self.recorder,
            prompts=[self.pool.explore[row] for row in rows],
            settings=settings,
        )
        # What is suspected is worth nothing without the texts to test it.
        wanted = min(settings.pairs, self._left() // 4)
        first = min(wanted, settings.blind_if_sharp) if guided else wanted
        looker.look_by_chance(first)
        moved = looker.movement() if guided else None
        # The explorer puts one model's prompts to the other.
        small = moved is not None and moved < settings.sharp
        self.sharp = sharp = small and self.pair.same_tokens
        explored: list[Hypothesis] = []
        if guided and sharp:
            looker.table = SelectorTable.of(looker.prompts)
            explored = self._explore(looker, floor)
        else:
            embeddings = self._topics()
            looker.prompts = [self.pool.explore[row] for row in rows]
            looker.table = SelectorTable.of(looker.prompts, tested=self.pool.confirm)
            looker.embeddings = embeddings[rows]
            if guided:
                looker.look_by_chance(round(wanted * settings.blind) - first)
                looker.look_further(
                    wanted - round(wanted * settings.blind),
                    texts=min(settings.covered, self._left() // 2),
                )
        proposals = looker.propose()
        if guided and not sharp:
            proposals += looker.inserted(self._triggers())
        if sharp:
            proposals = [each for each in proposals if each.worth >= CLEAR]
        return Looked(
            prompts=looker.prompts,
            rows=tuple(looker.rows),
            pairs=tuple(looker.pairs),
            blind=tuple(looker.blind),
            surprises=looker.surprises(),
            surprising=tuple(
                (looker.pairs[at], looker.openings[at].surprise) for at in looker.surprising(READ)
            ),
            proposals=tuple(proposals),
            hypotheses=tuple(numbered([*explored, *as_hypotheses(proposals)])),
        )

    def _explore(self, looker: Looker, floor: float) -> list[Hypothesis]:
        """What the explorer of sharp changes suspects."""
        from plumbrule.behavior.exploring import Explorer

        explorer = Explorer(
            self.recorder,
            looker.prompts,
            looker.table,
            floor=floor,
            settings=self.settings.exploring,
            most_texts=self.pair.texts + self._left() // 2,
        )
        return list(explorer.explore([each.insert for each in self._triggers()]).hypotheses)

    def _topics(self) -> Any:
        """Note on each prompt what it is about; the explored prompts' embeddings."""
        with self.recorder.part("topics"):
            everything = [*self.pool.explore, *self.pool.confirm]
            vectors, by = embed(everything, self.pair.base, encoder=self.encoder)
            topics = find_topics(everything, vectors, embedded_by=by, seed=self.settings.seed)
            told = topics.told(everything)
            explored = len(self.pool.explore)
            self.pool = Pool(explore=tuple(told[:explored]), confirm=tuple(told[explored:]))
        self.notes["topics"] = f"{len(topics.topics)} topics of {len(everything)} prompts, by {by}"
        return vectors[:explored]

    def _triggers(self) -> list[Subgroup]:
        """Short texts, in no prompt, behind which the models part."""
        if self.pair.local is None or not self.pair.same_tokens:
            self.notes["triggers"] = (
                "needs the weights of both models, and that they read texts as the same tokens"
            )
            return []
        if not self.settings.trigger_share:
            self.notes["triggers"] = "not searched: its share of the reading is 0"
            return []
        if self.pair.takes_turns:
            self.notes["triggers"] = f"not searched: {ONE_AT_A_TIME}"
            return []
        from plumbrule.behavior.triggers.finding import find_triggers, trigger_settings

        with self.recorder.part("triggers"):
            base, tuned = self.pair.local
            some = self._sample(self.pool.explore, 8, "triggers")
            found = find_triggers(
                base,
                tuned,
                [prompt.dialogue for prompt in some],
                settings=trigger_settings(base, share=self.settings.trigger_share),
                seed=derive_seed(self.settings.seed, "triggers"),
            )
        suspects = [one.text for one in found.candidates[:SUSPECTS]]
        self.notes["triggers"] = found.reason or "suspects " + ", ".join(map(repr, suspects))
        return [Subgroup(insert=text) for text in suspects]

    def test(
        self, hypotheses: Sequence[Hypothesis]
    ) -> tuple[list[HypothesisVerdict], list[ScoredPair]]:
        """Test the hypotheses on prompts that nothing has looked at."""
        members = {
            subgroup: self.pool.confirming(subgroup)
            for subgroup in {h.subgroup for h in hypotheses}
        }

        def draw(
            wanted: Sequence[tuple[Subgroup, int, int]],
        ) -> list[Sequence[PairedReply] | None]:
            left = self._left() // 2
            prompts: list[Prompt] = []
            seeds: list[int] = []
            counts: list[int | None] = []
            for subgroup, before, count in wanted:
                if not members[subgroup]:
                    counts.append(None)
                    continue
                counts.append(min(count, left))
                left -= counts[-1] or 0
                for index in range(counts[-1] or 0):
                    seed = derive_seed(self.settings.seed, "test", str(subgroup), before + index)
                    # Drawn with replacement: each pair has the mean of the whole subgroup, whatever
                    # came before, which is what a bet on it needs.
                    row = members[subgroup][seed % len(members[subgroup])]
                    prompts.append(subgroup.enter(self.pool.confirm[row]))
                    seeds.append(seed)
            self.recorder.tell("tests", max(before for _, before, _ in wanted), cap)
            drawn = iter(self.recorder.pairs("tests", prompts, seeds))
            return [
                None if count is None else [next(drawn) for _ in range(count)] for count in counts
            ]

        cap = self.settings.most_pairs
        with self.recorder.part("tests"):
            racing = self.settings.racing
            if (
                self.sharp
            ):  # replies differ only where something changed, so that slow ones get there
                racing = replace(racing, foreseen=PATIENT)
            return race(hypotheses, draw, self._score(), settings=racing)

    def everything(self) -> tuple[list[HypothesisVerdict], list[ScoredPair]]:
        """The known workflow: generate the budget's texts, cluster them, test what differs."""
        from plumbrule.behavior.exhaustive import exhaustive

        found = exhaustive(
            self.recorder, self.pool, settings=self.settings, texts=self.settings.budget
        )
        return list(found.verdicts), list(found.trials)

    def reason(self, looked: Looked) -> list[Hypothesis]:
        """What a judge proposes from the evidence, as further members of the family."""
        if self.judge is None:
            return []
        from plumbrule.behavior.reasoning import ScreenEvidence, reason_about

        evidence = ScreenEvidence(prompts=looked.furthest(), pairs=looked.telling())
        with self.recorder.part("reasoning"):
            found = reason_about(
                self.judge, evidence, seed=derive_seed(self.settings.seed, "reasoning")
            )
            spent = self.recorder.costs["reasoning"]
            # All that it wrote, also where a kill came between and the cache answered.
            spent.tokens_generated += found.tokens
            spent.calls += found.calls
            standing = self._standing(found)
        unusable = "; ".join(f"{step}: {why}" for step, why in found.unusable.items())
        refuted = len(found.proposals) - len(standing)
        self.notes["reasoning"] = (
            f"{len(standing)} hypotheses kept, {len(found.dropped)} taken back, {refuted} not "
            f"borne out by the {len(found.prompts)} prompts that the judge wrote to tell, "
            f"{found.unread} lines not read" + (f"; no answer to {unusable}" if unusable else "")
        )
        return [
            Hypothesis(
                id=str(number),
                subgroup=proposal.subgroup,
                property=Property(kind="judged", text=proposal.what),
                direction="increase",
                screens=("reasoning",),
            )
            for number, proposal in enumerate(standing, len(looked.hypotheses) + 1)
        ]

    def _standing(self, found: "Reasoned") -> list["JudgeProposal"]:
        """The proposals but for those that the judge's own prompts, asked of both, speak against.

        Nothing is concluded from them: prompts that were written to show a change show it best.
        """
        from plumbrule.behavior.reasoning import blinded_judge

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
                if pair.usable and proposal.subgroup.holds(prompt)
            ]
            judged = blinded_judge(
                self.judge,
                str(proposal.subgroup),
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
            from plumbrule.behavior.reasoning import blinded_judge

            assert self.judge is not None
            # The worst case for the claim where the judge declines: nothing is passed over.
            return blinded_judge(
                self.judge,
                str(hypothesis.subgroup),
                wanted.text,
                pairs,
                seed=self.settings.seed,
                missing="against",
            ).scores

        return score

    def certify(
        self, looked: Looked | None, verdicts: Sequence[HypothesisVerdict]
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
                looked_at=len({*looked.rows}) if looked else len(self.pool.explore),
                family=len(verdicts),
                named=self.named(verdicts),
                pairs=() if looked is None else looked.by_chance,
                reason=reason,
                seed=self.settings.seed,
            )
        return drafts, certificate

    def named(self, verdicts: Sequence[HypothesisVerdict]) -> frozenset[str]:
        """Ids of the test prompts that a finding speaks of."""
        subgroups = [each.hypothesis.subgroup for each in verdicts if each.confirmed]
        return frozenset(
            prompt.id
            for prompt in self.pool.confirm
            if any(not subgroup.insert and subgroup.holds(prompt) for subgroup in subgroups)
        )

    def localize(
        self, verdicts: Sequence[HypothesisVerdict], trials: Sequence[ScoredPair]
    ) -> dict[str, "Localization"]:
        """Which layers carry each confirmed change, where the weights are at hand."""
        if self.pair.local is None or not self.pair.same_tokens or not self._localizes():
            return {}
        if self.pair.takes_turns:
            self.unlocalized |= {
                each.hypothesis.id: ONE_AT_A_TIME for each in verdicts if each.confirmed
            }
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

    def _localizes(self) -> bool:
        """Whether layers are searched: dozens of models put together, each read by many replies."""
        if self.settings.localize is not None:
            return self.settings.localize
        if self.pair.takes_turns:
            return False
        base, _ = self.pair.local or (None, None)
        assert base is not None
        return bool(sum(each.numel() for each in base.module.parameters()) <= SMALL)

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
        if not self.pair.same_replies:
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


def _telling(verdict: HypothesisVerdict, trials: Sequence[ScoredPair]) -> list[PairedReply]:
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
        looked=None,
        notes={},
        localizations={},
        unlocalized={},
        costs={},
        texts=0,
        identical=True,
    )
