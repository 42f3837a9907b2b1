"""Constitution and model in; aligned model and honest report out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from plumbrule.compliance import Oracle
from plumbrule.constitution import dump_constitution, load_constitution
from plumbrule.data import refuse_overlap
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.folders import paid_answers
from plumbrule.judging import load_prompts, read_certificate
from plumbrule.ledger import record_files
from plumbrule.loop.certified import check_certificate
from plumbrule.loop.config import RunConfig
from plumbrule.loop.content import report_content
from plumbrule.loop.held_out import examine_held_out
from plumbrule.loop.plan import RunPlan, make_plan
from plumbrule.loop.side_effects import side_effects
from plumbrule.loop.sizes import check_memory, check_template, settle_adapters
from plumbrule.loop.steps import (
    Jury,
    RunModels,
    TrainedStages,
    best_and_worst,
    draw_prompts,
    examine,
    note_training,
    prefer,
    reply,
    revise_replies,
    reward,
)
from plumbrule.loop.trials import try_jury
from plumbrule.loop.workspace import RunWorkspace, open_workspace
from plumbrule.models import (
    EndpointSettings,
    LanguageModel,
    LocalModel,
    fitting_threads,
    model_folder,
    open_model,
    probe,
)
from plumbrule.records import Dialogue, Exchange, Preference, Prompt, to_json
from plumbrule.report import write_report
from plumbrule.store import Tell, derive_seed, file_sha256, fingerprint, silent, write_atomic
from plumbrule.training import (
    RewardModel,
    TrainingResult,
    examples_to_imitate,
    more_to_imitate,
    train_dpo,
    train_grpo,
    train_reward_model,
    train_supervised,
)

CONSTITUTION = "constitution.yaml"
"""What a run was trained on, in its own folder."""

HELD_OUT_PREFERENCES = 0.1
"""Share of preferences on which the reward model is measured and not trained."""


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """What a run ended with."""

    model: Path
    report: Path
    content: Mapping[str, Any]
    """What `report.json` holds."""

    @property
    def gates_passed(self) -> bool:
        """Whether every gate held."""
        return bool(self.content["gates_passed"])


def align(
    config: RunConfig,
    *,
    prompts: Sequence[Prompt],
    out: Path,
    oracle: Oracle | None = None,
    command: str = "plumbrule run",
    tell: Tell = silent,
    planned: Callable[[RunPlan], None] | None = None,
) -> RunOutcome:
    """Train a model on a constitution and report what changed.

    Args:
        config: All that decides the run.
        prompts: Prompts for training and, marked as held out, for the examination.
        out: Folder of the run; one that was interrupted goes on.
        oracle: Answer key, where truth is known.
        command: What the user typed, for the report.
        tell: Told of progress.
        planned: Given what the run will take, before it starts; None: nothing is measured.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    config, _ = settle_adapters(config)
    training, held_out = split(prompts, config)
    models, jury = _opened(config, out)
    try_once(models)
    if planned is not None:
        planned(make_plan(config, models, jury, training, held_out))
    constitution = jury.constitution
    named = {
        "constitution": constitution.sha256,
        "judging_prompts": jury.prompts.sha256,
        "prompts": fingerprint([to_json(prompt) for prompt in prompts]),
        "model": models.model.identity,
        "critic": models.critic.identity,
        "judge": models.judge.identity,
    }
    models.model.check_lengths(
        [prompt.dialogue for prompt in prompts], config.sampling.max_new_tokens
    )
    with (
        fitting_threads(*models.named().values()),
        open_workspace(out, config, named=named, tell=tell) as run,
    ):
        # The file that was named may say something else by the time anybody asks.
        write_atomic(out / CONSTITUTION, dump_constitution(constitution))
        jury = try_jury(run, jury, [*training, *held_out])
        check_certificate(jury, out)
        before = examine(run, "before", models.model, jury, held_out, oracle)
        trained, supervised, final = train(run, models, jury, training)
        stages = [
            before,
            *(
                [examine(run, "supervised", supervised, jury, held_out, oracle)]
                if supervised is not None
                else []
            ),
            examine(run, "final", final, jury, held_out, oracle),
        ]
        held_out_judge = None
        if models.held_out_judge is not None:
            held_out_judge = examine_held_out(run, models.held_out_judge, jury, stages, held_out)
        compared = None
        if config.comparison is not None:
            compared = side_effects(
                run, models.model, final, prompts, settings=config.comparison, command=command
            )
        content = report_content(
            run,
            stages,
            prompts=held_out,
            constitution=constitution,
            models=models.named(),
            trained=trained,
            jury=jury,
            held_out_judge=held_out_judge,
            command=command,
        )
        if compared is not None:
            content["comparison"] = compared
        write_report(content, out / "report")
        run.ledger.record(
            "run/end",
            "run",
            {"gates_passed": content["gates_passed"], "model": named_weights(out)},
        )
        record_files(run.ledger, out)
    return RunOutcome(model=out / "models" / "final", report=out / "report", content=content)


def plan(config: RunConfig, *, prompts: Sequence[Prompt], out: Path) -> RunPlan:
    """Say what a run will take, and start nothing.

    Args:
        config: All that decides the run.
        prompts: As for `align`.
        out: Folder that the run would have; nothing is written there.

    Raises:
        PlumbruleError: The input is wrong, as `align` would find.
    """
    config, _ = settle_adapters(config)
    training, held_out = split(prompts, config)
    models, jury = _opened(config, out)
    models.model.check_lengths(
        [prompt.dialogue for prompt in prompts], config.sampling.max_new_tokens
    )
    return make_plan(config, models, jury, training, held_out)


def _opened(config: RunConfig, out: Path) -> tuple[RunModels, Jury]:
    """Constitution, prompt set, certificate and models, each as the configuration names it."""
    constitution = load_constitution(config.constitution)
    words = load_prompts(config.judging_prompts)
    certificate = None
    if config.certificate is not None:
        certificate = read_certificate(Path(config.certificate))
    check_memory(config)
    models = open_models(config, out)
    _check_held_out(models)
    if certificate is not None:
        # By which borders the judge is read is known only once it was examined.
        certificate.check_fits(models.judge.identity, words.sha256, constitution, standing=None)
    jury = Jury(
        constitution=constitution,
        prompts=words,
        critic=models.critic,
        judge=models.judge,
        certificate=certificate,
    )
    return models, jury


def _check_held_out(models: RunModels) -> None:
    """Refuse a held-out judge that takes another part.

    Raises:
        ConfigError: It does.
    """
    parts = models.named()
    held_out = parts.pop("held_out_judge", None)
    same = [name for name, each in parts.items() if held_out and each.identity == held_out.identity]
    if held_out and same:
        raise ConfigError(
            f"expected a held-out judge that takes no other part, got {held_out.spec}, which is "
            f"the {' and the '.join(same)} too; give another --held-out-judge or none"
        )


def split(prompts: Sequence[Prompt], config: RunConfig) -> tuple[list[Prompt], list[Prompt]]:
    """Prompts for training, cut to the configured number, and those of the examination.

    Raises:
        DataError: One side is empty, or a prompt stands on both.
    """
    refuse_overlap(prompts)
    training = [prompt for prompt in prompts if not prompt.held_out]
    held_out = [prompt for prompt in prompts if prompt.held_out]
    for name, side in (("for training", training), ("held out for the examination", held_out)):
        if not side:
            raise DataError(
                f"expected prompts {name}, got none among {len(prompts)}; add some, or mark lines "
                "with `held_out`"
            )
    return draw_prompts(training, config.most_prompts, config.seed, "prompts"), held_out


def open_models(config: RunConfig, out: Path) -> RunModels:
    """Open the models of a run, each once."""
    opened: dict[str, LanguageModel] = {}

    def handle(spec: str) -> LanguageModel:
        if spec not in opened:
            check_template(spec)
            opened[spec] = open_model(
                spec,
                dtype=config.dtype,
                device=config.device,
                trust_remote_code=config.trust_remote_code,
                cache=paid_answers(out),
                endpoint=EndpointSettings(
                    price_per_million_input=config.price_per_million_input,
                    price_per_million_output=config.price_per_million_output,
                    max_dollars=config.most_dollars,
                    thinking_tokens=config.thinking_tokens,
                    reasoning_effort=config.reasoning_effort,
                    choose_samples=config.choose_samples,
                ),
            )
        return opened[spec]

    model = handle(config.model)
    if not isinstance(model, LocalModel):
        raise DataError(
            f"expected a model whose weights are at hand, to train them; {config.model} is an "
            "endpoint. An endpoint can be --critic and --judge."
        )
    critic = handle(config.critic or config.model)
    return RunModels(
        model=model,
        folder=model_folder(config.model),
        critic=critic,
        judge=handle(config.judge or config.critic or config.model),
        held_out_judge=None if config.held_out_judge is None else handle(config.held_out_judge),
    )


def try_once(models: RunModels) -> None:
    """Ask critic and judge once and write the model's configuration once, before any work.

    Raises:
        AccessError: An endpoint takes no request of ours.
        OutsideError: It does not answer.
        ModelError: The model's configuration cannot be written, as every stage will have to.
    """
    with TemporaryDirectory() as folder:
        try:
            models.model.module.config.save_pretrained(folder)
            models.model.tokenizer.save_pretrained(folder)
        except Exception as error:  # the library raises what its checks raise
            raise ModelError(
                f"expected a model whose configuration can be written again, {models.folder} has "
                f"one that cannot: {error}. Correct config.json or tokenizer_config.json there."
            ) from error
    probe(*[each for name, each in models.named().items() if name != "model"])


def train(
    run: RunWorkspace, models: RunModels, jury: Jury, prompts: Sequence[Prompt]
) -> tuple[TrainedStages, LocalModel | None, LocalModel]:
    """Supervised training on revisions, then training against a reward model.

    Returns:
        What was learned from; the model between the two, where it is to be examined, else None:
        no weights are held that nobody reads again; and the final model.
    """
    config = run.config
    tempting = [prompt for prompt in prompts if not prompt.deserves_help]
    deserving = [prompt for prompt in prompts if prompt.deserves_help]
    trim = config.revising.trim
    drafts = reply(run, "draft", models.model, tempting, trim=trim)
    trails = revise_replies(run, "revise", jury, drafts)
    helpful = reply(run, "helpful", models.model, deserving, trim=trim)
    examples = more_to_imitate(
        examples_to_imitate(trails, helpful),
        trails,
        jury.constitution,
        prompts=jury.prompts,
        settings=config.revising,
    )
    if not any(trail.revised for trail in trails):
        raise DataError(
            f"none of {len(trails)} replies was revised, so there is nothing to learn: the critic "
            "found no problem or gave no usable revision. Look at stages/revise, and try another "
            "--critic or prompts that tempt the model."
        )
    results = {}
    results["supervised"] = train_supervised(
        models.folder,
        examples,
        settings=config.supervised,
        out=run.folder / "models" / "supervised",
        seed=config.seed,
        progress=_progress(run, "train/supervised"),
    )
    note_training(run, "train/supervised", results["supervised"], folder=results["supervised"].path)
    supervised = _reopen(results["supervised"].path, config)
    compared = draw_prompts(list(prompts), config.most_compared, config.seed, "compared")
    drawn = reply(
        run,
        "candidates",
        supervised,
        compared,
        copies=config.candidates,
        temperature=config.candidate_temperature,
        trim=trim,
    )
    between = supervised if config.examine_between else None
    del supervised
    preferences = prefer(run, "compare", jury, drawn, copies=config.candidates)
    results["reward"] = _train_reward(run, results["supervised"].path, preferences)
    results["final"] = _reinforce(run, results, drawn, compared)
    trained = TrainedStages(trails=trails, preferences=preferences, results=results)
    return trained, between, _reopen(results["final"].path, config)


def _train_reward(
    run: RunWorkspace, start: Path, preferences: Sequence[Preference]
) -> TrainingResult:
    decided = [each for each in preferences if each.probability is not None]
    if not decided:
        raise DataError(
            f"none of {len(preferences)} pairs was decided by any principle, so there is no reward "
            "to learn. Look at stages/compare; try another --critic, more prompts or candidates."
        )
    kept = [
        each
        for each in decided
        if derive_seed(run.config.seed, "reward", each.id) % 1000 < 1000 * HELD_OUT_PREFERENCES
    ]
    kept_ids = {each.id for each in kept}
    result = train_reward_model(
        start,
        [each for each in decided if each.id not in kept_ids] or decided,
        settings=run.config.reward,
        out=run.folder / "models" / "reward",
        seed=run.config.seed,
        held_out=kept if len(kept) < len(decided) else (),
        progress=_progress(run, "train/reward"),
    )
    note_training(run, "train/reward", result, folder=result.path)
    return result


def _reinforce(
    run: RunWorkspace,
    results: Mapping[str, TrainingResult],
    drawn: Sequence[Exchange],
    prompts: Sequence[Prompt],
) -> TrainingResult:
    """DPO on the reward model's best and worst, or GRPO against it."""
    config, out = run.config, run.folder / "models" / "final"
    common: dict[str, Any] = {
        "out": out,
        "seed": config.seed,
        "progress": _progress(run, f"train/{config.method}"),
    }
    if config.method == "grpo":
        scorer = RewardModel.open(results["reward"].path)

        def rewards(dialogues: Sequence[Dialogue], replies: Sequence[str]) -> list[float]:
            return scorer.score(dialogues, replies)

        result = train_grpo(
            results["supervised"].path,
            [prompt.dialogue for prompt in prompts],
            rewards,
            reward_identity=results["reward"].inputs_sha256,
            settings=config.grpo,
            **common,
        )
    else:
        scored = reward(run, "rewards", results["reward"], drawn)
        pairs = best_and_worst(scored, config.candidates, least_margin=config.least_margin)
        if not pairs:
            raise DataError(
                "the reward model tells no two candidates apart by a margin worth learning from. "
                f"Look at stages/rewards; try more prompts or candidates, or a least_margin below "
                f"{config.least_margin}."
            )
        result = train_dpo(results["supervised"].path, pairs, settings=config.dpo, **common)
    note_training(run, f"train/{config.method}", result, folder=result.path)
    return result


def _reopen(folder: Path, config: RunConfig) -> LocalModel:
    model = open_model(str(folder), dtype=config.dtype, device=config.device)
    assert isinstance(model, LocalModel)
    return model


def _progress(run: RunWorkspace, name: str) -> Callable[[int, int, Mapping[str, float]], None]:
    return lambda done, total, _: run.tell(name, done, total)


def named_weights(out: Path) -> dict[str, str]:
    """Hash of each file of final weights."""
    return {
        path.name: file_sha256(path)
        for path in sorted((out / "models" / "final").glob("*.safetensors"))
    }
