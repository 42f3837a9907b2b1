"""The steps of constitutional training, each a stage that can be killed and gone on with."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from plumbrule.compliance import Oracle, OracleJudgment
from plumbrule.constitution import Constitution
from plumbrule.judging import (
    NOTHING_KNOWN,
    CandidatePair,
    JudgeCertificate,
    PromptSet,
    Standing,
    compare,
    compare_by_grades,
    grade,
    sort_by_manner,
    sort_by_phrases,
    trimmed,
)
from plumbrule.loop.workspace import RunWorkspace, Staging
from plumbrule.models import LanguageModel, LocalModel
from plumbrule.records import (
    Exchange,
    Judgment,
    MannerJudgment,
    Preference,
    Prompt,
    strict,
    to_json,
)
from plumbrule.store import derive_seed, fingerprint
from plumbrule.training import (
    FilteredRevisions,
    PreferencePair,
    RevisionTrail,
    RewardModel,
    TrainingResult,
    critique_and_revise,
    pairs_to_compare,
)


@dataclass(frozen=True, kw_only=True)
class RunModels:
    """The models of a run; one handle serves several parts where they are the same model."""

    model: LocalModel
    folder: Path
    critic: LanguageModel
    judge: LanguageModel
    held_out_judge: LanguageModel | None = None

    def named(self) -> dict[str, LanguageModel]:
        """All of them by their part."""
        held_out = {"held_out_judge": self.held_out_judge} if self.held_out_judge else {}
        return {"model": self.model, "critic": self.critic, "judge": self.judge, **held_out}


@dataclass(frozen=True, kw_only=True)
class TrainedStages:
    """What training left behind, for the report."""

    trails: Sequence[RevisionTrail]
    preferences: Sequence[Preference]
    results: Mapping[str, TrainingResult]

    sifted: FilteredRevisions | None = None
    """Which of the revisions were imitated; None: every one."""

    notes: Sequence[str] = ()
    """What a reader must know of how labels came together."""

    @property
    def imitated(self) -> int:
        """Revisions that were learned from."""
        if self.sifted is None:
            return sum(trail.revised for trail in self.trails)
        return len(self.sifted.kept)


@strict
@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A reply and what the reward model thinks of it."""

    exchange: Exchange
    reward: float
    """In logits: only differences mean anything."""


@dataclass(frozen=True, kw_only=True)
class Jury:
    """Who judges, by which constitution, in which words."""

    constitution: Constitution
    prompts: PromptSet
    critic: LanguageModel
    judge: LanguageModel

    critic_teaches: bool = True
    """Whether the critic's words are learned from; where people alone teach, they are not."""

    critic_standing: Standing = NOTHING_KNOWN
    """What an examination of the critic found."""

    judge_standing: Standing = NOTHING_KNOWN
    """What an examination of the judge found."""

    certificate: JudgeCertificate | None = None
    """How the judge errs on labeled replies, where it is known; only the report reads it."""

    @property
    def untaught(self) -> frozenset[str]:
        """Principles under which the critic does no better than chance, so that it teaches none."""
        trial = self.critic_standing.trial
        if trial is None or not self.critic_teaches:
            return frozenset()
        return frozenset(each.principle_id for each in trial.abilities if each.works is False)

    def inputs(self, who: LanguageModel, standing: Standing = NOTHING_KNOWN) -> dict[str, Any]:
        """What decides a judgment of `who`, who was found to stand as given."""
        inputs: dict[str, Any] = {
            "constitution": self.constitution.sha256,
            "prompts": self.prompts.sha256,
            "who": who.identity,
        }
        if standing.trial is not None:
            scopes = [to_json(each) for each in (standing.scopes or {}).values()]
            known = [to_json(standing.trial), [to_json(e) for e in standing.conditions], scopes]
            inputs["standing"] = fingerprint(known)
        return inputs


def reply(
    run: Staging,
    name: str,
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    copies: int = 1,
    temperature: float | None = None,
    trim: bool = False,
) -> list[Exchange]:
    """Draw replies to prompts; with several copies, those of one prompt are grouped.

    Args:
        run: The run.
        name: Of the stage.
        model: Who replies.
        prompts: What to reply to.
        copies: Replies a prompt.
        temperature: In place of the configuration's, dimensionless.
        trim: Shorten replies that were cut off to their last whole sentence, to train on them.
    """
    sampling = run.config.sampling
    if temperature is not None:
        sampling = replace(sampling, temperature=temperature)
    asked = [prompt for prompt in prompts for _ in range(copies)]

    def work(shard: Sequence[Prompt], seed: int) -> list[Exchange]:
        seeds = [derive_seed(seed, prompt.id, index) for index, prompt in enumerate(shard)]
        completions = model.sample(
            [prompt.dialogue for prompt in shard], sampling=sampling, seeds=seeds
        )
        if trim:
            completions = [trimmed(each) for each in completions]
        return [
            Exchange(
                id=prompt.id,
                dialogue=prompt.dialogue,
                response=completion.text,
                model=model.identity,
                sampling=asdict(sampling),
                seed=own,
                finish_reason=completion.finish_reason,
            )
            for prompt, completion, own in zip(shard, completions, seeds, strict=True)
        ]

    inputs = {"model": model.identity, "sampling": asdict(sampling), "copies": copies}
    if trim:
        inputs["trim"] = True
    return run.stage(name, asked, work, kind=Exchange, inputs=inputs, models=[model])


def draw_candidates(
    run: Staging, model: LanguageModel, prompts: Sequence[Prompt]
) -> list[Exchange]:
    """Several replies to each prompt, to be compared with one another."""
    config = run.config
    return reply(
        run,
        "candidates",
        model,
        draw_prompts(prompts, config.most_compared, config.seed, "compared"),
        copies=config.candidates,
        temperature=config.candidate_temperature,
        trim=config.revising.trim,
    )


def revise_replies(
    run: Staging,
    jury: Jury,
    exchanges: Sequence[Exchange],
    *,
    under: Collection[str] | None = None,
) -> list[RevisionTrail]:
    """Take replies through the rounds of critique and revision."""
    settings = run.config.revising

    def work(shard: Sequence[Exchange], seed: int) -> list[RevisionTrail]:
        return critique_and_revise(
            jury.critic,
            shard,
            jury.constitution,
            prompts=jury.prompts,
            settings=settings,
            seed=seed,
            standing=jury.critic_standing,
            under=under,
        )

    later = ("reasons", "learn_revising")  # what is learned from trails decides none of them
    decisive = {name: each for name, each in asdict(settings).items() if name not in later}
    inputs = {**jury.inputs(jury.critic, jury.critic_standing), "settings": decisive}
    if under is not None:
        inputs["under"] = sorted(under)
    return run.stage(
        "revise", exchanges, work, kind=RevisionTrail, inputs=inputs, models=[jury.critic]
    )


def prefer(run: Staging, jury: Jury, candidates: Sequence[Exchange]) -> list[Preference]:
    """Compare two replies to each prompt under every principle.

    A critic that was examined grades both, which is what it was examined in; another is asked
    which is better, in both orders.
    """
    copies = run.config.candidates
    groups = [candidates[start : start + copies] for start in range(0, len(candidates), copies)]
    return label_pairs(run, "compare", jury, pairs_to_compare(groups))


def label_pairs(
    run: Staging, name: str, jury: Jury, pairs: Sequence[CandidatePair]
) -> list[Preference]:
    """What the critic says of pairs of replies."""
    tried = jury.critic_standing.trial is not None

    def work(shard: Sequence[Any], seed: int) -> list[Preference]:
        seeds = [derive_seed(seed, pair.id) for pair in shard]
        return (compare_by_grades if tried else compare)(
            jury.critic,
            shard,
            jury.constitution,
            prompts=jury.prompts,
            seeds=seeds,
            standing=jury.critic_standing,
        )

    inputs = jury.inputs(jury.critic, jury.critic_standing)
    if tried:
        inputs["by"] = "grades"
    return run.stage(name, pairs, work, kind=Preference, inputs=inputs, models=[jury.critic])


def reward(
    run: Staging, name: str, trained: TrainingResult, exchanges: Sequence[Exchange]
) -> list[Candidate]:
    """Score replies by the reward model, which is in memory only meanwhile."""
    scorer = RewardModel.open(trained.path)

    def work(shard: Sequence[Exchange], seed: int) -> list[Candidate]:
        del seed
        scores = scorer.score(
            [exchange.dialogue for exchange in shard], [exchange.response for exchange in shard]
        )
        return [
            Candidate(exchange=exchange, reward=value)
            for exchange, value in zip(shard, scores, strict=True)
        ]

    return run.stage(
        name, exchanges, work, kind=Candidate, inputs={"reward_model": trained.inputs_sha256}
    )


def best_and_worst(
    candidates: Sequence[Candidate], copies: int, *, least_margin: float
) -> list[PreferencePair]:
    """The best and the worst reply to each prompt, where the reward model tells them apart.

    Args:
        candidates: Scored replies, those of one prompt together.
        copies: How many each prompt has.
        least_margin: Smallest difference of rewards, in logits, that is worth learning from.
    """
    pairs = []
    for start in range(0, len(candidates), copies):
        group = [
            each
            for each in candidates[start : start + copies]
            if each.exchange.finish_reason == "stop"
        ]
        if len(group) < 2:
            continue
        best = max(group, key=lambda each: each.reward)
        worst = min(group, key=lambda each: each.reward)
        # With a margin of 0 both may be the same words, which teach nothing.
        same = best.exchange.response == worst.exchange.response
        if best.reward - worst.reward >= least_margin and not same:
            pairs.append(
                PreferencePair(
                    id=best.exchange.id,
                    dialogue=best.exchange.dialogue,
                    chosen=best.exchange.response,
                    rejected=worst.exchange.response,
                )
            )
    return pairs


DECIDED = frozenset({"pass", "fail", "not_applicable"})
"""Verdicts of whoever read a reply and said something of it."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A model's replies to the held-out prompts, and what was said of them."""

    stage: str
    exchanges: Sequence[Exchange]
    judgments: Sequence[Judgment]
    manners: Sequence[MannerJudgment]
    truth: Sequence[OracleJudgment] | None
    """None where there is no answer key."""

    def verdicts(self, principle_id: str, *, oracle: bool = False) -> dict[str, str]:
        """What the judge, or the answer key, says of each reply under a principle."""
        if oracle:
            return {each.exchange_id: each.verdicts[principle_id] for each in self.truth or ()}
        return {
            each.exchange_id: each.verdict
            for each in self.judgments
            if each.principle_id == principle_id
        }


def draw_prompts(prompts: Sequence[Prompt], most: int | None, seed: int, name: str) -> list[Prompt]:
    """As many prompts as wanted, drawn by the seed, in their old order; None: all."""
    if most is None or len(prompts) <= most:
        return list(prompts)
    chosen = np.random.default_rng(derive_seed(seed, name)).permutation(len(prompts))[:most]
    return [prompts[index] for index in sorted(chosen)]


def grade_replies(
    run: Staging, name: str, jury: Jury, exchanges: Sequence[Exchange]
) -> list[Judgment]:
    """Let the jury's judge grade replies under every principle."""

    def work(shard: Sequence[Exchange], seed: int) -> list[Judgment]:
        seeds = [derive_seed(seed, exchange.id) for exchange in shard]
        return grade(
            jury.judge,
            shard,
            jury.constitution,
            prompts=jury.prompts,
            seeds=seeds,
            standing=jury.judge_standing,
        )

    inputs = jury.inputs(jury.judge, jury.judge_standing)
    return run.stage(name, exchanges, work, kind=Judgment, inputs=inputs, models=[jury.judge])


def manner_sorter(
    run: Staging, jury: Jury
) -> Callable[[Sequence[Exchange], int], list[MannerJudgment]]:
    """What sorts replies by how they meet their request: phrases, or the jury's judge."""
    by_phrases = run.config.manners == "phrases"  # the run stays here, the work may go elsewhere

    def work(shard: Sequence[Exchange], seed: int) -> list[MannerJudgment]:
        if by_phrases:
            return sort_by_phrases(shard)
        seeds = [derive_seed(seed, exchange.id, "manner") for exchange in shard]
        return sort_by_manner(jury.judge, shard, prompts=jury.prompts, seeds=seeds)

    return work


def examine(
    run: Staging,
    stage: str,
    model: LanguageModel,
    jury: Jury,
    prompts: Sequence[Prompt],
    oracle: Oracle | None,
) -> Examined:
    """Let a model reply to the held-out prompts, and judge what it says."""
    folder = f"examination/{stage}"
    exchanges = reply(run, f"{folder}/replies", model, prompts)
    read = {
        each.id for each in draw_prompts(prompts, run.config.most_judged, run.config.seed, "judged")
    }
    judged = [each for each in exchanges if each.id in read]

    judgments = grade_replies(run, f"{folder}/judgments", jury, judged)
    by_phrases = run.config.manners == "phrases"
    sorted_ = run.stage(
        f"{folder}/manners",
        judged,
        manner_sorter(run, jury),
        kind=MannerJudgment,
        inputs={"manners": "phrases"} if by_phrases else jury.inputs(jury.judge),
        models=() if by_phrases else [jury.judge],
    )
    truth = None
    if oracle is not None:
        truth = run.stage(
            f"{folder}/oracle",
            exchanges,
            lambda shard, _: oracle(shard),
            kind=OracleJudgment,
            inputs={"oracle": "village"},
        )
    return Examined(
        stage=stage, exchanges=exchanges, judgments=judgments, manners=sorted_, truth=truth
    )


def note_training(run: RunWorkspace, name: str, result: TrainingResult, *, folder: Path) -> None:
    """Account for a training stage and enter it into the ledger."""
    run.account(
        name, items=result.examples, seconds=result.seconds, tokens_scored=result.tokens_trained
    )
    run.ledger.record(
        f"stage/{name}",
        "training",
        {
            "stage": name,
            "inputs_sha256": result.inputs_sha256,
            "settings_sha256": result.settings_sha256,
            "examples": result.examples,
            "skipped": result.skipped,
            "steps": result.steps,
            "model": str(folder.relative_to(run.folder)),
        },
    )
