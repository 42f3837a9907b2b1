"""The frame that all training stages share: from a folder and data to a folder, once."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbrule.errors import ConfigError, ModelError
from plumbrule.store import fingerprint
from plumbrule.training.checkpoints import (
    Inputs,
    TrainingWorkspace,
    finished,
    following,
    inputs_of,
    workspace,
)
from plumbrule.training.monitors import Monitor, identity_of
from plumbrule.training.processes import Processes, processes
from plumbrule.training.results import HeldOut, TrainingProgress, TrainingResult
from plumbrule.training.settings import TrainingSettings

if TYPE_CHECKING:  # torch takes seconds to import, and `plumbrule --help` must not wait for it
    from plumbrule.training.loading import LoadedModel
    from plumbrule.training.monitor import MonitorSession
    from plumbrule.training.running import Batches, TokenTally


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One training run, as the user asked for it."""

    model: Path
    out: Path
    settings: TrainingSettings
    seed: int
    examples: int
    skipped: int = 0
    progress: TrainingProgress | None = None
    monitor: Monitor | None = None


def carry_out(
    job: TrainingJob, data: object, work: Callable[[TrainingWorkspace], TrainingResult]
) -> TrainingResult:
    """Do a job, unless it is done.

    Args:
        job: What was asked for.
        data: All that is trained on, as JSON holds it.
        work: Trains in the workspace, from where it stopped, and finishes it.

    Raises:
        ModelError: The starting folder is no model that can be trained.
        OutputError: The output folder belongs to something else.
        StorageError: The disk did not take a checkpoint or the result.
        ConfigError: Memory does not even hold one example; short of that, fewer are taken at
            once, from the last checkpoint on, and `progress` is told their number.
    """
    _check_folder(job.model)
    team = processes()
    _check_team(job, team)
    if job.monitor is not None:
        data = [data, identity_of(job.monitor)]
    inputs = inputs_of(job.model, job.settings, seed=job.seed, data=data)
    done = finished(job.out, inputs)
    team.wait()  # before the first of several writes what another would find
    if done is not None:
        if team.first:
            _tidy(job, inputs)
        return done
    from plumbrule.training.loading import check_model
    from plumbrule.training.reproducibility import reproducibly
    from plumbrule.training.running import circumstances

    check_model(job.model)
    own = (
        workspace(job.out, inputs, circumstances=circumstances(team))
        if team.first
        else following(job.out, inputs)
    )
    with own as space:
        team.wait()
        while True:
            try:
                with reproducibly(job.seed):
                    return work(space)
            except Exception as error:
                if team.several:  # the others have not run out of memory, and would wait
                    raise
                space = replace(space, most_at_once=_fewer(job, space, error))


def conclude(
    job: TrainingJob,
    space: TrainingWorkspace,
    start: "LoadedModel",
    trainer: Any,
    batches: "Batches",
    *,
    lengths: Sequence[int] | None = None,
    tally: "TokenTally | None" = None,
    held_out: Callable[[Any], HeldOut] | None = None,
) -> TrainingResult:
    """Train, save, and make the result the output.

    Args:
        job: What was asked for.
        space: Where to work.
        start: What training starts from.
        trainer: Ready to train.
        batches: Its examples, cut up.
        lengths: Tokens of each example, where known.
        tally: Counts them on the way, where not.
        held_out: Measures the trained model on what it has not seen.
    """
    from plumbrule.training.loading import save_final
    from plumbrule.training.running import run_trainer, writing

    team = processes()
    session = _session(job, start, trainer) if job.monitor is not None else None
    progress = job.progress if team.first else None
    trained = run_trainer(
        trainer, job.settings, batches, space, progress, tally=tally, monitor=session
    )
    if not team.first:
        team.wait()
        done = finished(job.out, space.inputs)
        assert done is not None
        return done
    measured = held_out(trainer.model) if held_out else None
    with writing(space.folder):
        final = save_final(start, trainer.model, space)
    result = space.finish(
        final,
        TrainingResult(
            path=job.out,
            stage=job.settings.stage(),
            inputs_sha256=space.inputs.sha256,
            settings_sha256=fingerprint(asdict(job.settings)),
            examples=job.examples,
            skipped=job.skipped,
            steps=trained.steps,
            tokens_trained=_tokens(lengths, batches, trained.steps, tally),
            seconds=trained.seconds,
            resumed_from=trained.resumed_from,
            curve=trained.curve,
            held_out=measured,
            monitored=session.result() if session else None,
        ),
    )
    team.wait()
    return result


def _session(job: TrainingJob, start: "LoadedModel", trainer: Any) -> "MonitorSession":
    """The job's monitor on the model that its trainer trains."""
    from plumbrule.training.monitor import MonitorSession

    assert job.monitor is not None
    return MonitorSession(
        job.monitor,
        trainer.model,
        start.chat.tokenizer,
        seed=job.seed,
        room=getattr(job.settings, "max_new_tokens", None),
        progress=job.progress,
    )


def _tokens(
    lengths: Sequence[int] | None, batches: "Batches", steps: int, tally: "TokenTally | None"
) -> int:
    """Tokens trained on in so many steps."""
    if lengths is None:
        return tally.tokens if tally else 0
    seen = batches.order[: steps * batches.batch_size]
    return sum(lengths[number] for number in seen)


def _fewer(job: TrainingJob, space: TrainingWorkspace, error: Exception) -> int:
    """Examples at once to try next, where an attempt ran out of memory; else the error again."""
    from plumbrule.training.running import MemoryShort, fewer_at_once, out_of_memory

    settings = job.settings
    told: tuple[int, int] | None
    if isinstance(error, MemoryShort):
        rows, told = error.rows, error.told
    elif out_of_memory(error):  # before the first step
        micro = settings.micro_batch_size or settings.batch_size
        rows, told = space.most_at_once or min(micro, job.examples), None
    else:
        raise error
    fewer = fewer_at_once(error, rows, least=2 if settings.stage() == "kto" else 1)
    if job.progress and told:
        job.progress(*told, {"micro_batch_size": float(fewer)})
    return fewer


def _check_team(job: TrainingJob, team: Processes) -> None:
    """Refuse what several processes cannot do together.

    Raises:
        ConfigError: The stage, the batch or a monitor.
    """
    if not team.several:
        return
    batch = min(job.settings.batch_size, job.examples)
    if job.settings.stage() != "supervised" or job.monitor is not None:
        raise ConfigError(
            f"expected supervised training without a monitor from {team.count} processes, got "
            f"{job.settings.stage()}; start it without `accelerate launch`"
        )
    if batch % team.count:
        raise ConfigError(
            f"expected a batch that {team.count} processes can share alike, got {batch} examples; "
            "set batch_size to a multiple"
        )


def _check_folder(model: Path) -> None:
    if not any((model / name).exists() for name in ("config.json", "adapter_config.json")):
        raise ModelError(
            f"expected the folder of a model or an adapter, {model} holds neither config.json nor "
            "adapter_config.json; give the folder that save_pretrained wrote"
        )


def _tidy(job: TrainingJob, inputs: Inputs) -> None:
    """Delete what a crash right after the end left behind."""
    if (job.out.parent / f"{job.out.name}.partial").exists():
        with workspace(job.out, inputs, circumstances=None) as space:
            space.discard()
