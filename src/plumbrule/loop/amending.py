"""A finished run and an amended constitution in; the amended model and what the change did out.

Only what the amendment touches is asked again (`relabeling`); the model goes on from the run's last
one for one pass over what was mended and preferred anew; and every other principle is held against
itself before (`regressions`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from plumbrule.compliance import Oracle, OracleJudgment
from plumbrule.constitution import ConstitutionDiff, diff, dump_constitution, load_constitution
from plumbrule.data import refuse_overlap
from plumbrule.errors import DataError, ModelError
from plumbrule.judging import endless, load_prompts
from plumbrule.loop.align import (
    CONSTITUTION,
    PROMPTS,
    RunOutcome,
    end_run,
    open_models,
    split,
    try_once,
)
from plumbrule.loop.amendable import AS_USUAL, AmendableRun, Amending
from plumbrule.loop.amending_content import Relabeled, amendment_content
from plumbrule.loop.config import RunConfig
from plumbrule.loop.regressions import turned_by_amendment
from plumbrule.loop.relabeling import (
    AmendedQuestions,
    RelabeledPair,
    amended_questions,
    relabel_examined,
    relabel_preferences,
)
from plumbrule.loop.sifting import imitable
from plumbrule.loop.steps import (
    Examined,
    Jury,
    RunModels,
    TrainedStages,
    draw_candidates,
    draw_prompts,
    examine,
    manner_sorter,
    note_training,
    prefer,
    reply,
    revise_replies,
)
from plumbrule.loop.trials import earlier_trials, try_jury
from plumbrule.loop.ways import progress_of, reinforce, reopen, train_reward
from plumbrule.loop.workspace import FinishedRun, RunWorkspace, open_workspace
from plumbrule.models import LocalModel, fitting_threads
from plumbrule.records import Exchange, MannerJudgment, Preference, Prompt, to_json, to_jsonl
from plumbrule.store import Tell, derive_seed, fingerprint, silent, write_atomic
from plumbrule.training import (
    TrainingResult,
    examples_to_imitate,
    more_to_imitate,
    train_supervised,
)


@dataclass(frozen=True, kw_only=True)
class EarlierRun:
    """What a finished run left that an amendment goes on from."""

    jury: Jury
    final: LocalModel
    examined: Examined
    candidates: Sequence[Exchange]
    preferences: Sequence[Preference]
    records: FinishedRun
    prompts: Sequence[Prompt]
    """Those that its critic and judge were asked about."""


def amend(
    earlier: AmendableRun,
    constitution: Path | str,
    *,
    prompts: Sequence[Prompt],
    amended_prompts: Sequence[Prompt] | None = None,
    out: Path,
    oracle: Oracle | None = None,
    settings: Amending = AS_USUAL,
    command: str = "plumbrule amend",
    tell: Tell = silent,
) -> RunOutcome:
    """Bring a trained model in line with an amended constitution.

    Args:
        earlier: The finished run; nothing in its folder is changed.
        constitution: The amended constitution.
        prompts: Those of the run.
        amended_prompts: Those to train and examine with now; None: the same. A constitution's own
            probes and twins may have changed with it.
        out: Folder of the amendment; one that was interrupted goes on.
        oracle: Answer key of the amended constitution, where truth is known.
        settings: How it is learned and tested.
        command: What the user typed, for the report.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    law = load_constitution(constitution)
    changes = diff(earlier.constitution, law)
    _check_amended(changes, constitution)
    new_prompts = prompts if amended_prompts is None else amended_prompts
    _check_prompts(earlier, prompts)
    refuse_overlap(new_prompts)
    config = _config(earlier, constitution, settings, same=list(prompts) == list(new_prompts))
    training, held_out = split(new_prompts, config)
    models = open_models(config, out)
    try_once(models)
    words = load_prompts(config.judging_prompts)
    jury = Jury(constitution=law, prompts=words, critic=models.critic, judge=models.judge)
    named = {
        "constitution": law.sha256,
        "amends": fingerprint([to_json(earlier.config), dict(earlier.named)]),
        "amending": fingerprint(to_json(settings)),
        "judging_prompts": words.sha256,
        "prompts": fingerprint([to_json(prompt) for prompt in new_prompts]),
        "model": models.model.identity,
        "critic": models.critic.identity,
        "judge": models.judge.identity,
    }
    with (
        fitting_threads(*models.named().values()),
        open_workspace(out, config, named=named, tell=tell) as run,
    ):
        write_atomic(out / CONSTITUTION, dump_constitution(law))
        write_atomic(out / PROMPTS, to_jsonl(new_prompts))
        old = _earlier(earlier, models, prompts)
        jury = try_jury(
            run,
            jury,
            [*training, *held_out],
            earlier=earlier_trials(old.records, old.jury, old.prompts),
        )
        asked = {
            name: amended_questions(
                old.jury.constitution,
                law,
                standing_before=getattr(old.jury, f"{name}_standing"),
                standing_after=getattr(jury, f"{name}_standing"),
                changes=changes,
            )
            for name in ("critic", "judge")
        }
        touched = _touched(changes, asked["critic"], jury)
        relabeled = _relabel(run, jury, asked, old, models, held_out, oracle)
        trained, final = _learn(
            run, models, jury, training, touched, relabeled.pairs, old, settings
        )
        after = examine(run, "final", final, jury, held_out, oracle)
        content = amendment_content(
            run, earlier, changes, asked, relabeled, trained, after,
            jury=jury, models=models, held_out=held_out, settings=settings, command=command,
        )  # fmt: skip
        return end_run(run, content)


def _check_amended(changes: ConstitutionDiff, constitution: Path | str) -> None:
    """Refuse a version that asks nothing else than the one before."""
    unread = {"source", "reason", "probes", "twins", "name", "version", "description", "tiers"}
    spoken = [each for each in changes.changed if each.field not in unread]
    if not (changes.added or changes.removed or changes.moved or spoken):
        what = "says the same" if changes.same else "changes no word that a judge reads"
        raise DataError(
            f"expected an amended constitution, {constitution} {what}: no label and no priority "
            "would be another, and the run's model stays as it is. `plumbrule constitution diff` "
            "shows the difference"
        )


def _check_prompts(earlier: AmendableRun, prompts: Sequence[Prompt]) -> None:
    if fingerprint([to_json(prompt) for prompt in prompts]) != earlier.named.get("prompts"):
        raise DataError(
            f"expected the prompts that {earlier.folder} was run with, those in "
            f"{earlier.config.prompts} are others now; put the old ones back to amend the run, or "
            "start a new run with `plumbrule run`"
        )


def _config(
    earlier: AmendableRun, constitution: Path | str, settings: Amending, *, same: bool
) -> RunConfig:
    """The run's configuration as the amendment's: from its last model, with the same critic."""
    old = earlier.config
    epochs = settings.epochs
    return replace(
        old,
        name=f"Amended: {old.name}"[:200],
        model=str(earlier.folder / "models" / "final"),
        critic=old.critic or old.model,
        judge=old.judge or old.critic or old.model,
        held_out_judge=None,
        certificate=None,
        constitution=str(constitution),
        supervised=replace(old.supervised, epochs=epochs),
        dpo=replace(old.dpo, epochs=epochs),
        grpo=replace(old.grpo, epochs=epochs),
        comparison=None,
        examine_between=False,
        # With other prompts another part would be drawn, and none of the old judgments would serve.
        most_judged=old.most_judged if same else None,
        gates=replace(old.gates, most_violations=None, worse_principles=False, most_broken=None),
    )


def _earlier(earlier: AmendableRun, models: RunModels, prompts: Sequence[Prompt]) -> EarlierRun:
    """Read what the run left: its examination, its candidates and its labels."""
    config = earlier.config
    records = FinishedRun(folder=earlier.folder, config=config)
    training, held_out = split(prompts, config)
    jury = try_jury(
        records,
        Jury(
            constitution=earlier.constitution,
            prompts=load_prompts(config.judging_prompts),
            critic=models.critic,
            judge=models.judge,
        ),
        [*training, *held_out],
    )
    # Without the answer key, which is read again: the amended constitution has its own.
    examined = examine(records, "final", models.model, jury, held_out, None)
    supervised = reopen(earlier.folder / "models" / "supervised", config)
    candidates = draw_candidates(records, supervised, training)
    return EarlierRun(
        jury=jury,
        final=models.model,
        examined=examined,
        candidates=candidates,
        preferences=prefer(records, jury, candidates),
        records=records,
        prompts=[*training, *held_out],
    )


def _touched(changes: ConstitutionDiff, questions: AmendedQuestions, jury: Jury) -> tuple[str, ...]:
    """Principles by which replies are mended anew.

    Raises:
        ModelError: The critic can judge none of the principles that were amended.
    """
    touched = tuple(questions.why)
    wanted = {each.principle_id for each in changes.changed if each.principle_id is not None}
    wanted |= {each.id for each in changes.added}
    unable = sorted(wanted & jury.untaught)
    if unable and not touched:
        raise ModelError(
            f"expected a critic that can judge what was amended, {jury.critic.spec} does no better "
            f"than chance under {', '.join(unable)}, so that nothing would be learned. Give the "
            "run another --critic, or the principle more worked examples"
        )
    return touched


def _relabel(
    run: RunWorkspace,
    jury: Jury,
    asked: Mapping[str, AmendedQuestions],
    old: EarlierRun,
    models: RunModels,
    held_out: Sequence[Prompt],
    oracle: Oracle | None,
) -> Relabeled:
    pairs = relabel_preferences(run, "compare", jury, asked["critic"], old.preferences)
    known = {each.id: each for each in old.examined.exchanges}
    same = {
        each.id
        for each in held_out
        if each.id in known and known[each.id].dialogue == each.dialogue
    }
    fresh = reply(
        run,
        "examination/before/new_replies",
        models.model,
        [each for each in held_out if each.id not in same],
    )
    replies = {**{name: known[name] for name in same}, **{each.id: each for each in fresh}}
    exchanges = [replies[each.id] for each in held_out]
    chosen = draw_prompts(held_out, run.config.most_judged, run.config.seed, "judged")
    judged = [replies[each.id] for each in chosen]
    told = [each for each in old.examined.judgments if each.exchange_id in same]
    relabeled = relabel_examined(
        run, "examination/before/judgments", jury, asked["judge"], judged, told
    )
    sorted_before = {e.exchange_id: e for e in old.examined.manners if e.exchange_id in same}
    new_manners = run.stage(
        "examination/before/new_manners",
        [each for each in judged if each.id not in sorted_before],
        manner_sorter(run, jury),
        kind=MannerJudgment,
        inputs={"manners": run.config.manners, **jury.inputs(jury.judge)},
        models=[jury.judge],
    )
    sorted_before |= {each.exchange_id: each for each in new_manners}
    truth = None
    if oracle is not None:
        truth = run.stage(
            "examination/before/oracle",
            exchanges,
            lambda shard, _: oracle(shard),
            kind=OracleJudgment,
            inputs={"oracle": "village", "constitution": jury.constitution.sha256},
        )
    judgments = [judgment for each in relabeled for judgment in each.judgments]
    questions = asked["judge"]
    new_name = {each.before: each.after for each in diff(questions.before, questions.after).renamed}
    turned = turned_by_amendment(
        {(e.exchange_id, new_name.get(e.principle_id, e.principle_id)): e.verdict for e in told},
        {(e.exchange_id, e.principle_id): e.verdict for e in judgments},
        list(questions.why),
    )
    return Relabeled(
        pairs=pairs,
        replies=relabeled,
        before=Examined(
            stage="before",
            exchanges=exchanges,
            judgments=judgments,
            manners=[sorted_before[each.id] for each in judged],
            truth=truth,
        ),
        turned=turned,
    )


def _learn(
    run: RunWorkspace,
    models: RunModels,
    jury: Jury,
    training: Sequence[Prompt],
    touched: Sequence[str],
    pairs: Sequence[RelabeledPair],
    old: EarlierRun,
    settings: Amending,
) -> tuple[TrainedStages, LocalModel]:
    """One pass over replies mended under what was amended, and over preferences recombined."""
    config, start = run.config, models.folder
    results: dict[str, TrainingResult] = {}
    trails, sifted = [], None
    if touched:
        # Any request may be one that the amended words speak of, whatever its prompt says of help.
        drafts = reply(run, "draft", models.model, training, trim=config.revising.trim)
        trails = revise_replies(run, jury, drafts, under=touched)
        sifted = imitable(run, trails)
        learned = sum(trail.revised for trail in trails) if sifted is None else len(sifted.kept)
        kept = _replayed(trails, round(settings.replay * learned), config.seed)
        if learned:
            results["supervised"] = train_supervised(
                start,
                more_to_imitate(
                    examples_to_imitate(trails, kept, sifted=sifted),
                    trails,
                    jury.constitution,
                    prompts=jury.prompts,
                    settings=config.revising,
                ),
                settings=config.supervised,
                out=run.folder / "models" / "supervised",
                seed=config.seed,
                progress=progress_of(run, "train/supervised"),
            )
            start = results["supervised"].path
            note_training(run, "train/supervised", results["supervised"], folder=start)
    preferences = [each.preference for each in pairs]
    results["reward"] = train_reward(run, start, preferences)
    compared = draw_prompts(list(training), config.most_compared, config.seed, "compared")
    begun = results.get("supervised", replace(results["reward"], path=start))
    results["final"] = reinforce(
        run, {"supervised": begun, "reward": results["reward"]}, old.candidates, compared
    )
    trained = TrainedStages(trails=trails, sifted=sifted, preferences=preferences, results=results)
    return trained, reopen(results["final"].path, config)


def _replayed(trails: Sequence[Any], most: int, seed: int) -> list[Exchange]:
    """Some of the model's own replies that no amended principle found fault with."""
    sound = [
        trail.first
        for trail in trails
        if not trail.revised
        and not any(each.found_problem for each in trail.rounds)
        and trail.first.finish_reason == "stop"
        and trail.first.response.strip()
        and not endless(trail.first.response)
    ]
    chosen = np.random.default_rng(derive_seed(seed, "replay")).permutation(len(sound))[:most]
    return [sound[at] for at in sorted(chosen)]
