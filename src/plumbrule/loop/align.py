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
from plumbrule.internalization import Subject
from plumbrule.judging import load_prompts, read_certificate
from plumbrule.ledger import record_files
from plumbrule.loop.certified import check_certificate
from plumbrule.loop.config import RunConfig
from plumbrule.loop.content import report_content
from plumbrule.loop.feedback import read_feedback
from plumbrule.loop.held_out import examine_held_out
from plumbrule.loop.plan import RunPlan, make_plan
from plumbrule.loop.side_effects import side_effects
from plumbrule.loop.sizes import check_memory, check_template, settle_adapters
from plumbrule.loop.steps import Jury, RunModels, draw_prompts, examine
from plumbrule.loop.trials import try_jury
from plumbrule.loop.verdicts import conclude, subjects_of_run
from plumbrule.loop.ways import train
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
from plumbrule.records import Prompt, to_json, to_jsonl
from plumbrule.report import write_page
from plumbrule.store import (
    Fan,
    Tell,
    file_sha256,
    fingerprint,
    one_after_another,
    silent,
    write_atomic,
)

CONSTITUTION = "constitution.yaml"
"""What a run was trained on, in its own folder."""

PROMPTS = "prompts.jsonl"
"""All prompts of a run with what is known of them, without which its rates are not made again."""


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
    subjects: Callable[[], Sequence[Subject]] | None = None,
    command: str = "plumbrule run",
    tell: Tell = silent,
    planned: Callable[[RunPlan], None] | None = None,
    fan: Fan = one_after_another,
) -> RunOutcome:
    """Train a model on a constitution, on people's labels or on both, and report what changed.

    Args:
        config: All that decides the run.
        prompts: Prompts for training and, marked as held out, for the examination.
        out: Folder of the run; one that was interrupted goes on.
        oracle: Answer key, where truth is known.
        subjects: Gives the principles of the verdict at the end, with who reads the replies; None:
            those that have prompts, read by the run's judge. Asked only where `config.verdict` is.
        command: What the user typed, for the report.
        tell: Told of progress.
        planned: Given what the run will take, before it starts; None: nothing is measured.
        fan: Who does the shards of stages, such as `scaling.ray_workers`; the records are the same.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    config, _ = settle_adapters(config)
    training, held_out = split(prompts, config)
    models, jury = _opened(config, out)
    people = read_feedback(config, held_out, models.model)
    try_once(models)
    if planned is not None:
        planned(make_plan(config, models, jury, training, held_out, people))
    constitution = jury.constitution
    judged = _judged(config, held_out, jury, subjects)
    named = {
        "constitution": constitution.sha256,
        "judging_prompts": jury.prompts.sha256,
        "prompts": fingerprint([to_json(prompt) for prompt in prompts]),
        "model": models.model.identity,
        "critic": models.critic.identity,
        "judge": models.judge.identity,
        **people.named,
    }
    models.model.check_lengths(
        [prompt.dialogue for prompt in prompts], config.sampling.max_new_tokens
    )
    with (
        fitting_threads(*models.named().values()),
        open_workspace(out, config, named=named, tell=tell, fan=fan) as run,
    ):
        # The file that was named may say something else by the time anybody asks.
        write_atomic(out / CONSTITUTION, dump_constitution(constitution))
        write_atomic(out / PROMPTS, to_jsonl(prompts))
        jury = try_jury(run, jury, [*training, *held_out])
        check_certificate(jury, out)
        before = examine(run, "before", models.model, jury, held_out, oracle)
        trained, supervised, final = train(run, models, jury, training, people)
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
        verdicts = None
        if config.verdict is not None:
            verdicts = conclude(
                run, final, judged, base=models.model, settings=config.verdict, command=command
            )
        content = report_content(
            run,
            stages,
            prompts=held_out,
            constitution=constitution,
            models=models.named(),
            trained=trained,
            people=people,
            jury=jury,
            held_out_judge=held_out_judge,
            command=command,
        )
        if compared is not None:
            content["comparison"] = compared
        if verdicts is not None:
            content["summary"] = [*verdicts.pop("summary"), *content["summary"]]
            content["verdicts"] = verdicts
        return end_run(run, content)


def _judged(
    config: RunConfig,
    held_out: Sequence[Prompt],
    jury: Jury,
    subjects: Callable[[], Sequence[Subject]] | None,
) -> Sequence[Subject]:
    """Principles of the verdict at the end, found before any work; none where it is not asked."""
    if config.verdict is None:
        return ()
    if subjects is not None:
        return subjects()
    return subjects_of_run(jury.constitution, held_out, jury.judge, jury.prompts, config.seed)


def end_run(run: RunWorkspace, content: Mapping[str, Any]) -> RunOutcome:
    """Write a run's report, and enter its end and its files into the ledger."""
    out = run.folder
    write_page("run", content, out / "report")
    run.ledger.record(
        "run/end", "run", {"gates_passed": content["gates_passed"], "model": named_weights(out)}
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
    people = read_feedback(config, held_out, models.model)
    return make_plan(config, models, jury, training, held_out, people)


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
        critic_teaches=config.recipe != "rlhf",
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
        DataError: One side is empty, or a prompt is on both.
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
    # Where people alone teach, nobody is asked but the judge.
    critic = handle(
        (config.judge if config.recipe == "rlhf" else config.critic)
        or config.critic
        or config.model
    )
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


def named_weights(out: Path) -> dict[str, str]:
    """Hash of each file of final weights."""
    return {
        path.name: file_sha256(path)
        for path in sorted((out / "models" / "final").glob("*.safetensors"))
    }
