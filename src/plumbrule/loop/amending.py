"""A finished run and an amended constitution in; the amended model and what the change did out.

Only what the amendment touches is asked again (`relabeling`); the model goes on from the run's last
one for one pass over what was mended and preferred anew; and every other principle is held against
itself before (`regressions`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from plumbrule.compliance import Oracle, OracleJudgment
from plumbrule.constitution import (
    Constitution,
    ConstitutionDiff,
    diff,
    dump_constitution,
    load_constitution,
)
from plumbrule.data import refuse_overlap
from plumbrule.errors import ConstitutionError, DataError, ModelError, OutputError
from plumbrule.folders import locked
from plumbrule.judging import endless, load_prompts, sort_by_manner, sort_by_phrases
from plumbrule.ledger import read_entries, record_files
from plumbrule.loop.align import (
    CONSTITUTION,
    PROMPTS,
    RunOutcome,
    named_weights,
    open_models,
    split,
    try_once,
)
from plumbrule.loop.config import RunConfig, read_config
from plumbrule.loop.content import report_content
from plumbrule.loop.notes import failing_principles
from plumbrule.loop.regressions import (
    PrincipleRegression,
    find_regressions,
    regression_gates,
    turned_by_amendment,
)
from plumbrule.loop.relabeling import (
    AmendedQuestions,
    LabelReuse,
    RelabeledPair,
    RelabeledReply,
    amended_questions,
    relabel_examined,
    relabel_preferences,
    reuse_of,
)
from plumbrule.loop.steps import (
    Examined,
    Jury,
    RunModels,
    TrainedStages,
    draw_prompts,
    examine,
    note_training,
    prefer,
    reply,
    revise_replies,
)
from plumbrule.loop.trials import earlier_trials, try_jury
from plumbrule.loop.verifying import verify_files
from plumbrule.loop.ways import progress_of, reinforce, reopen, train_reward
from plumbrule.loop.workspace import FinishedRun, RunWorkspace, open_workspace
from plumbrule.models import LocalModel, fitting_threads
from plumbrule.records import (
    Exchange,
    MannerJudgment,
    Preference,
    Prompt,
    check_ranges,
    strict,
    to_json,
    to_jsonl,
)
from plumbrule.report import write_report
from plumbrule.store import Tell, derive_seed, fingerprint, silent, write_atomic
from plumbrule.training import (
    TrainingResult,
    examples_to_imitate,
    more_to_imitate,
    train_supervised,
)

MOST_BROKEN = 0.25
"""Share of replies, at the lower end, in which an amended principle may still be broken where the
run's own gates name none."""


@strict
@dataclass(frozen=True, kw_only=True)
class Amending:
    """How an amendment is learned and tested."""

    epochs: int = 1
    """Passes over what was mended and preferred anew."""

    replay: float = 15.0
    """The model's own replies that needed no mending, for each one that was mended: they hold what
    it does elsewhere. In the village 3 were too few: help was lost."""

    margin: float = 0.05
    """Rise of the share of replies that break another principle, that is borne."""

    def __post_init__(self) -> None:
        check_ranges(self, epochs=(1, 10**5), replay=(0, 10**6), margin=(0, 1))


@dataclass(frozen=True, kw_only=True)
class AmendableRun:
    """A finished run, opened to amend its constitution."""

    folder: Path
    config: RunConfig
    constitution: Constitution
    """What it was trained on."""

    named: Mapping[str, str]
    """Hashes of what its configuration names."""


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


def open_finished(folder: Path, *, before: Path | str | None = None) -> AmendableRun:
    """Open a finished run, to amend its constitution.

    Args:
        folder: The run's.
        before: The constitution it was trained on, where its folder does not hold it.

    Raises:
        OutputError: A process is at work in it, or it has not ended.
        DataError: Its files are not what its ledger recorded.
        ConstitutionError: What it was trained on is not at hand.
    """
    if not (folder / "run.json").is_file():
        raise OutputError(
            f"expected the folder of a run that has ended, {folder} holds no run.json; give the "
            "--out of `plumbrule run`"
        )
    with locked(
        folder / "run.lock",
        busy=f"a run is going on in {folder}: its constitution cannot be amended under it. Wait "
        "until it has ended, then give the same command",
    ):
        try:
            bound = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            named = {str(name): str(each) for name, each in bound["named"].items()}
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise OutputError(
                f"{folder / 'run.json'} is damaged, so nobody can tell what {folder} holds"
            ) from error
        if not any(
            entry.kind == "run" and "gates_passed" in entry.payload
            for entry in read_entries(folder / "ledger.db")
        ):
            raise OutputError(
                f"expected a run that has ended, the one in {folder} has not: a constitution is "
                "amended between runs, not under one. Finish it first: `plumbrule run --recipe "
                f"{folder / 'config.yaml'} --out {folder}`, with the constitution it was begun "
                f"with ({folder / CONSTITUTION}); then give this command again"
            )
    problems, _ = verify_files(folder)
    if problems:
        raise DataError(
            f"expected the files that {folder} was left with, {len(problems)} are not: "
            f"{'; '.join(problems[:3])}. Labels are taken over only from what was recorded; "
            f"`plumbrule ledger verify {folder}` lists all"
        )
    config = read_config(folder / "config.yaml", {})
    return AmendableRun(
        folder=folder,
        config=config,
        constitution=_trained_on(folder, config, named["constitution"], before),
        named=named,
    )


def _trained_on(
    folder: Path, config: RunConfig, sha256: str, before: Path | str | None
) -> Constitution:
    places: list[Path | str] = [folder / CONSTITUTION, config.constitution]
    if before is not None:
        places = [before]
    for place in places:
        try:
            found = load_constitution(place)
        except ConstitutionError:
            if before is not None:
                raise
            continue
        if found.sha256 == sha256:
            return found
    said = f"{before} is another" if before is not None else "it is not in its folder"
    raise ConstitutionError(
        f"expected the constitution that {folder} was trained on (sha256 {sha256[:12]}…), {said}; "
        "give the older file with --before"
    )


def amend(
    earlier: AmendableRun,
    constitution: Path | str,
    *,
    prompts: Sequence[Prompt],
    amended_prompts: Sequence[Prompt] | None = None,
    out: Path,
    oracle: Oracle | None = None,
    settings: Amending = Amending(),
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
        content = _content(
            run, earlier, changes, asked, relabeled, trained, after,
            jury=jury, models=models, held_out=held_out, settings=settings, command=command,
        )  # fmt: skip
        write_report(content, out / "report")
        run.ledger.record(
            "run/end",
            "run",
            {"gates_passed": content["gates_passed"], "model": named_weights(out)},
        )
        record_files(run.ledger, out)
    return RunOutcome(model=out / "models" / "final", report=out / "report", content=content)


def _check_amended(changes: ConstitutionDiff, constitution: Path | str) -> None:
    """Refuse a version that asks nothing else than the one before."""
    silent_fields = {
        "source",
        "reason",
        "probes",
        "twins",
        "name",
        "version",
        "description",
        "tiers",
    }
    spoken = [each for each in changes.changed if each.field not in silent_fields]
    if not (changes.added or changes.removed or changes.moved or spoken):
        what = "says the same" if changes.same else "changes no word that a judge reads"
        raise DataError(
            f"expected an amended constitution, {constitution} {what}: no label and no priority "
            "would be another, and the run's model stands as it is. `plumbrule constitution diff` "
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
    compared = draw_prompts(list(training), config.most_compared, config.seed, "compared")
    candidates = reply(
        records,
        "candidates",
        reopen(earlier.folder / "models" / "supervised", config),
        compared,
        copies=config.candidates,
        temperature=config.candidate_temperature,
        trim=config.revising.trim,
    )
    return EarlierRun(
        jury=jury,
        final=models.model,
        examined=examined,
        candidates=candidates,
        preferences=prefer(records, "compare", jury, candidates, copies=config.candidates),
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


@dataclass(frozen=True, kw_only=True)
class Relabeled:
    """Labels under the amended constitution."""

    pairs: Sequence[RelabeledPair]
    replies: Sequence[RelabeledReply]
    before: Examined
    """The model that is amended, examined by the amended constitution."""

    turned: Mapping[str, set[str]]
    """Replies that each amended principle forbids now and did not before, or the reverse."""

    @property
    def reuse(self) -> dict[str, LabelReuse]:
        """Labels kept and asked again, in preferences and examination."""
        return {"preferences": reuse_of(self.pairs), "examination": reuse_of(self.replies)}


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

    def manners(shard: Sequence[Exchange], seed: int) -> list[MannerJudgment]:
        if run.config.manners == "phrases":
            return sort_by_phrases(shard)
        seeds = [derive_seed(seed, each.id, "manner") for each in shard]
        return sort_by_manner(jury.judge, shard, prompts=jury.prompts, seeds=seeds)

    new_manners = run.stage(
        "examination/before/new_manners",
        [each for each in judged if each.id not in sorted_before],
        manners,
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
    trails = []
    if touched:
        # Any request may be one that the amended words speak of, whatever its prompt says of help.
        drafts = reply(run, "draft", models.model, training, trim=config.revising.trim)
        trails = revise_replies(run, "revise", jury, drafts, under=touched)
        kept = _replayed(trails, settings, config.seed)
        if any(trail.revised for trail in trails):
            results["supervised"] = train_supervised(
                start,
                more_to_imitate(
                    examples_to_imitate(trails, kept),
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
    trained = TrainedStages(trails=trails, preferences=preferences, results=results)
    return trained, reopen(results["final"].path, config)


def _replayed(trails: Sequence[Any], settings: Amending, seed: int) -> list[Exchange]:
    """Some of the model's own replies that no amended principle found fault with."""
    mended = sum(trail.revised for trail in trails)
    sound = [
        trail.first
        for trail in trails
        if not trail.revised
        and not any(each.found_problem for each in trail.rounds)
        and trail.first.finish_reason == "stop"
        and trail.first.response.strip()
        and not endless(trail.first.response)
    ]
    most = round(settings.replay * mended)
    chosen = np.random.default_rng(derive_seed(seed, "replay")).permutation(len(sound))[:most]
    return [sound[at] for at in sorted(chosen)]


def _content(
    run: RunWorkspace,
    earlier: AmendableRun,
    changes: ConstitutionDiff,
    asked: Mapping[str, AmendedQuestions],
    relabeled: Relabeled,
    trained: TrainedStages,
    after: Examined,
    *,
    jury: Jury,
    models: RunModels,
    held_out: Sequence[Prompt],
    settings: Amending,
    command: str,
) -> dict[str, Any]:
    """What the report holds: that of a run, and in front of it what the amendment did."""
    law, oracle = jury.constitution, after.truth is not None
    content = report_content(
        run,
        [relabeled.before, after],
        prompts=held_out,
        constitution=law,
        models=models.named(),
        trained=trained,
        jury=jury,
        command=command,
    )
    bound = earlier.config.gates.most_broken
    rows = find_regressions(
        relabeled.before,
        after,
        law,
        amended=sorted({*asked["critic"].why, *asked["judge"].why}),
        turned=relabeled.turned,
        margin=settings.margin,
        oracle=oracle,
    )
    gates = regression_gates(
        rows, margin=settings.margin, most_broken=MOST_BROKEN if bound is None else bound
    )
    failed = failing_principles([gate for gate in gates if gate["estimate"] is not None])
    gates = [*gates, *content["gates"]]
    reuse = relabeled.reuse
    section = {
        "run": str(earlier.folder),
        "before_sha256": changes.before_sha256,
        "after_sha256": changes.after_sha256,
        "changes": changes.describe().split("\n"),
        "asked_again": [
            {"principle_id": name, "why": why} for name, why in asked["critic"].why.items()
        ],
        "reuse": [
            {"name": name, "kept": each.kept, "asked": each.asked, "share": each.share}
            for name, each in reuse.items()
        ],
        "margin": settings.margin,
        "source": "oracle" if oracle else "judge",
        "principles": [to_json(row) for row in rows],
        "mended": sum(trail.revised for trail in trained.trails),
    }
    summary = [*failed, *_said(changes, section, rows), *content["summary"]]
    plain: dict[str, Any] = {
        **content,
        "gates": [_plain_gate(gate) for gate in gates],
        "gates_passed": all(gate["passed"] for gate in gates),
        "summary": summary,
        "amendment": section,
    }
    return plain


def _plain_gate(gate: Mapping[str, Any]) -> dict[str, Any]:
    estimate = gate["estimate"]
    plain = estimate is None or isinstance(estimate, dict)
    return {**gate, "estimate": estimate if plain else to_json(estimate)}


def _said(
    changes: ConstitutionDiff, section: Mapping[str, Any], rows: Sequence[PrincipleRegression]
) -> list[str]:
    """What was amended, what it took, and what came of it, in sentences."""
    again = [f"`{each['principle_id']}` ({each['why']})" for each in section["asked_again"]]
    kept = sum(each["kept"] for each in section["reuse"])
    asked = sum(each["asked"] for each in section["reuse"])
    lines = [
        f"{section['run']} was amended: "
        + (f"asked again under {', '.join(again)}" if again else "no principle was asked again")
        + f"; {len(changes.removed)} principles removed, {len(changes.moved)} moved between tiers.",
    ]
    if kept + asked:
        lines.append(
            f"{kept} of {kept + asked} labels ({kept / (kept + asked):.1%}) are those of the run; "
            f"{asked} were asked for again."
        )
    lines.append(
        f"{section['mended']} of the model's replies were mended under what was amended, and "
        "learned in one pass with the preferences recombined."
    )
    for row in rows:
        if row.amended and row.before and row.after:
            lines.append(
                f"`{row.principle_id}`, as it is worded now, was broken in {row.before.value:.1%} "
                f"of {row.before.n} replies it speaks of and is in {row.after.value:.1%} "
                f"[{row.after.low:.1%}, {row.after.high:.1%}]."
            )
    others = [row for row in rows if not row.amended]
    named = {
        verdict: [row.principle_id for row in others if row.verdict == verdict]
        for verdict in ("worse", "worse within the margin", "not shown", "not worse")
    }
    lines.append(
        f"Of {len(others)} other principles "
        + "; ".join(
            f"{len(names)} {verdict}" + (f" ({', '.join(names)})" if verdict != "not worse" else "")
            for verdict, names in named.items()
            if names
        )
        + f", at a margin of {section['margin'] * 100:.1f} points."
    )
    return lines
