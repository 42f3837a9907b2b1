"""How every trainer is run: in a set order, with checkpoints that survive a crash."""

import errno
import gc
import logging
import math
import shutil
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size
from safetensors import SafetensorError
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from plumbrule.errors import ConfigError, ModelError
from plumbrule.store import storage_errors
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.drift import DRIFT, RATIO_MAX, RATIO_MEAN, refuse_drift
from plumbrule.training.loading import half
from plumbrule.training.monitor import MonitorSession
from plumbrule.training.processes import Processes, processes
from plumbrule.training.reproducibility import on_cuda
from plumbrule.training.results import CurvePoint, TrainingProgress
from plumbrule.training.settings import TrainingSettings
from plumbrule.training.tokenized_data import order

_POINTS = 200
"""Points of a curve, about; shorter runs have one per step."""

_FIRST_CHECKPOINT_SECONDS = 20.0
_CHECKPOINT_COST = 20.0  # seconds of training per second of writing checkpoints
_NO_ROOM = 2**20  # bytes; a disk with less is full for a model
_LARGE = 500_000_000  # parameters from which on activations are recomputed
_SHOWN = 8  # examples of a batch that a message names
_NO_SHARES = "probability tensor contains"  # how torch refuses to draw from NaN
_log = logging.getLogger(__name__)
_MEASURED = {
    RATIO_MEAN,
    RATIO_MAX,
    DRIFT,
    "policy_loss",
    "value_loss",
    "clipped_share",
    "kl_coefficient",
    "explained_variance",
    "loss",
    "learning_rate",
    "grad_norm",
    "entropy",
    "mean_token_accuracy",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "reward",
    "reward_std",
    "frac_reward_zero_std",
    "kl",
    "completions/mean_length",
    "completions/clipped_ratio",
}


@dataclass(frozen=True, kw_only=True)
class Batches:
    """How a run's list of examples is cut up."""

    order: Sequence[int]
    """Example numbers, from first to last."""

    batch_size: int
    """Examples per optimizer step."""

    micro_batch_size: int
    """Examples in memory at once."""

    steps_each: int = 1
    """Optimizer steps that one batch serves."""

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return math.ceil(len(self.order) / self.batch_size) * self.steps_each


def batches_of(settings: TrainingSettings, lengths: Sequence[int], *, seed: int) -> Batches:
    """Put a run's examples in order and cut them up; with few of them an epoch is one batch."""
    batch = min(settings.batch_size, len(lengths))
    return Batches(
        order=order(
            lengths,
            epochs=settings.epochs,
            batch_size=batch,
            seed=seed,
            group=settings.group_by_length,
        ),
        batch_size=batch,
        micro_batch_size=at_once(batch, settings.micro_batch_size or batch),
    )


def at_once(batch: int, micro: int, most: int | None = None) -> int:
    """Examples in memory at once: a divisor of the batch, no more than asked for or than fits."""
    micro = min(micro, batch, most or batch)
    while batch % micro:
        micro -= 1
    return micro


def arguments(
    settings: TrainingSettings,
    batches: Batches,
    space: TrainingWorkspace,
    module: Any,
    *,
    seed: int,
) -> dict[str, Any]:
    """What every trainer's configuration is given.

    The whole run is one epoch of the trainer's: the order is ours, see `tokenized_data.order`.
    """
    large = sum(parameter.numel() for parameter in module.parameters()) >= _LARGE
    recompute = settings.gradient_checkpointing
    team = processes()
    share = batches.batch_size // team.count
    micro = at_once(share, batches.micro_batch_size, space.most_at_once)
    return {
        "output_dir": str(space.steps),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": share // micro,
        "num_train_epochs": 1,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule
        if settings.schedule != "constant"
        else "constant_with_warmup",
        "warmup_steps": round(settings.warmup_share * batches.steps),
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.gradient_clip,
        "optim": "adamw_torch_fused",
        "bf16": half(settings),
        "gradient_checkpointing": large if recompute is None else recompute,
        "logging_strategy": "steps",
        "logging_steps": log_every(settings, batches),
        "logging_nan_inf_filter": False,
        "save_strategy": "no",  # `Watch` asks for checkpoints
        "report_to": settings.report_to,
        "seed": seed % 2**32,
        "use_cpu": not on_cuda(),
        "disable_tqdm": True,
        "log_level": "error",
        "log_level_replica": "error",
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": on_cuda(),
        "average_tokens_across_devices": team.several,
        "ddp_find_unused_parameters": False if team.several else None,
        "remove_unused_columns": False,
    }


def log_every(settings: TrainingSettings, batches: Batches) -> int:
    """Optimizer steps a point of the curve stands for."""
    apart = max(1, batches.steps // _POINTS)
    return min(apart, settings.checkpoint_every or apart)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say what a user needs to hear where the disk does not take what a library writes.

    Raises:
        StorageError: The disk is full, or refuses the files.
    """
    with storage_errors(path):
        try:
            yield
        except (RuntimeError, SafetensorError) as error:
            # Both libraries hide the system's error number, so look how full the disk is.
            if shutil.disk_usage(path if path.exists() else path.parent).free < _NO_ROOM:
                raise OSError(errno.ENOSPC, "no space left on the device") from error
            raise


class Discreet(Trainer):  # type: ignore[misc]
    """A trainer that writes nothing but its state, and tells nobody what it does."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.since_log: list[tuple[int, torch.Tensor]] = []
        super().__init__(*given, **named)

    def training_step(self, *given: Any, **named: Any) -> torch.Tensor:
        """Train on what is in memory, and remember its loss until it has been looked at."""
        loss: torch.Tensor = super().training_step(*given, **named)
        self.since_log.append((self.state.global_step + 1, loss.detach()))
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with writing(Path(self.args.output_dir)):
            super()._save_checkpoint(model, trial)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # A checkpoint needs no tokenizer, which may take longer to write than a small model.
        kept: Any = self.processing_class
        self.processing_class: Any = None
        try:
            super()._save(output_dir, state_dict)
        finally:
            self.processing_class = kept

    def create_model_card(self, *given: Any, **named: Any) -> None:
        """Write none."""

    def _send_telemetry(self) -> None:
        """Send none."""


class OrderedTrainer(Discreet):
    """A trainer that takes examples in the order it is told."""

    order: Sequence[int] = ()

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return list(self.order)


@dataclass
class TokenTally:
    """Tokens trained on so far, where they are not known in advance."""

    tokens: int = 0


class Watch(TrainerCallback):  # type: ignore[misc]
    """Says how far a run is, asks for checkpoints, seals them, and stops a run that diverged."""

    def __init__(
        self,
        settings: TrainingSettings,
        batches: Batches,
        space: TrainingWorkspace,
        *,
        before: float,
        at: int,
        tally: TokenTally,
        progress: TrainingProgress | None,
        since_log: list[tuple[int, torch.Tensor]],
        monitor: MonitorSession | None = None,
        team: Processes | None = None,
    ) -> None:
        self._since_log, self._monitor = since_log, monitor
        self._team = team or Processes()
        self._settings, self._batches, self._space = settings, batches, space
        self._before, self._tally, self._progress = before, tally, progress
        self._log_every = log_every(settings, batches)
        self._last_step = at
        self._started = self._last_time = time.monotonic()
        self._asked = 0.0
        self._cost = 0.0

    @property
    def seconds(self) -> float:
        """Wall-clock time, that before a crash included."""
        return self._before + time.monotonic() - self._started

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Ask for a checkpoint where one is due."""
        step = state.global_step
        # Only where the curve has a point and no batch is half used, so that nothing is lost.
        # Nor where a monitor stops: the same decision is soon made again from the one before.
        if control.should_training_stop:
            return
        if step < state.max_steps and not step % self._log_every:
            due = not step % self._batches.steps_each and self._due(step)
            control.should_save = self._team.agreed(due)  # each has a clock of its own
            self._asked = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **given: Any) -> None:
        """Pass on what was measured; stop where it is no number any more."""
        measured = _measured(logs or {})
        if "loss" not in measured:
            return
        bad = [name for name in ("loss", "grad_norm") if not _finite(measured.get(name))]
        if bad:
            raise self.diverged(bad[0], measured[bad[0]], state.global_step)
        refuse_drift(
            self._settings, measured, step=state.global_step, kept=self._space.last_sealed()
        )
        self._since_log.clear()
        if self._progress:
            self._progress(state.global_step, state.max_steps, measured)

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Seal what the trainer wrote."""
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if self._monitor is not None:
            with writing(path):
                self._monitor.write(path)
        self._team.wait()  # each has its own random state to write
        if self._team.first:
            self._space.seal(
                path, step=state.global_step, seconds=self.seconds, tokens=self._tally.tokens
            )
        self._team.wait()
        self._last_step, self._last_time = state.global_step, time.monotonic()
        self._cost = self._last_time - self._asked

    def diverged(self, name: str, value: float, step: int) -> ConfigError:
        """What to say where a number is none: which step and examples, and what is left."""
        for at, loss in self._since_log:
            if not bool(loss.isfinite()):
                name, value, step = "loss", float(loss), at
                break
        size = self._batches.batch_size
        number = (max(step, 1) - 1) // self._batches.steps_each
        batch = [str(each) for each in self._batches.order[number * size : (number + 1) * size]]
        examples = ", ".join(batch[:_SHOWN]) + (" …" if len(batch) > _SHOWN else "")
        last, folder = self._space.last_sealed(), self._space.folder
        kept = (
            f"the state before it is kept in {last}; for a run with other settings delete "
            f"{folder} or choose another output folder"
            if last
            else "nothing was kept, because no checkpoint had been written yet"
        )
        return ConfigError(
            f"expected finite numbers, {name} is {value} at step {step}, batch {number + 1} "
            f"(examples {examples}, counted from 0): training diverged. Lower learning_rate, now "
            f"{self._settings.learning_rate}, or look at these examples; {kept}"
        )

    def _due(self, step: int) -> bool:
        every = self._settings.checkpoint_every
        if every is not None:
            return step - self._last_step >= every
        waited = time.monotonic() - self._last_time
        return waited >= max(_FIRST_CHECKPOINT_SECONDS, _CHECKPOINT_COST * self._cost)


@dataclass(frozen=True, kw_only=True)
class TrainerResult:
    """What is known once a trainer is done."""

    steps: int
    seconds: float
    resumed_from: int | None
    curve: tuple[CurvePoint, ...]


def run_trainer(
    trainer: Any,
    settings: TrainingSettings,
    batches: Batches,
    space: TrainingWorkspace,
    progress: TrainingProgress | None,
    *,
    tally: TokenTally | None = None,
    monitor: MonitorSession | None = None,
) -> TrainerResult:
    """Train from the start or from the last complete checkpoint.

    Where a monitor stopped it, the trainer's model has the weights that it kept.

    Raises:
        ConfigError: The loss is no number any more, or replies and model have come apart; the
            last checkpoint is kept.
        MemoryShort: So many examples at once do not fit; see `fewer_at_once`.
    """
    team = processes()
    last = team.agreed(space.last_checkpoint() if team.first else None)
    tally = tally or TokenTally()
    tally.tokens = last.tokens if last else 0
    watch = Watch(
        settings,
        batches,
        space,
        before=last.seconds if last else 0.0,
        at=last.step if last else 0,
        tally=tally,
        progress=progress,
        since_log=trainer.since_log,
        monitor=monitor,
        team=team,
    )
    trainer.order = batches.order
    trainer.remove_callback(PrinterCallback)
    if monitor is not None:
        if last:
            monitor.restore(last.path)
        trainer.add_callback(monitor)  # before what asks for checkpoints, see there
    trainer.add_callback(watch)
    try:
        trainer.train(resume_from_checkpoint=str(last.path) if last else None)
    except (RuntimeError, ModelError) as error:
        step = trainer.state.global_step
        if out_of_memory(error):
            told = (step, trainer.state.max_steps)
            at_least = trainer.args.per_device_train_batch_size
            raise MemoryShort(getattr(trainer, "rows_at_once", at_least), told) from error
        if isinstance(error, ModelError) or _NO_SHARES in str(error):
            raise watch.diverged("a probability", math.nan, step + 1) from error
        raise
    if monitor is not None:
        monitor.keep_best()
    return TrainerResult(
        steps=trainer.state.global_step,
        seconds=watch.seconds,
        resumed_from=last.step if last else None,
        curve=tuple(_curve(trainer.state.log_history)),
    )


class MemoryShort(Exception):
    """Memory ran out with so many examples at once, after so many steps of all."""

    def __init__(self, rows: int, told: tuple[int, int]) -> None:
        super().__init__(rows, told)
        self.rows, self.told = rows, told


def out_of_memory(error: BaseException) -> bool:
    """Whether a library says that memory ran out, and not something else."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, Exception) and should_reduce_batch_size(error)
    )


def fewer_at_once(error: BaseException, rows: int, *, least: int = 1) -> int:
    """Half as many examples at once, with what the failed attempt held given back.

    Args:
        error: What stopped the attempt.
        rows: Examples that it had at once.
        least: Fewest that the method can work with.

    Raises:
        ConfigError: There are no fewer.
    """
    each: BaseException | None = error
    while each is not None:  # their frames hold the tensors
        traceback.clear_frames(each.__traceback__)
        each = each.__cause__ or each.__context__
    gc.collect()
    if on_cuda():
        torch.cuda.empty_cache()
    if rows <= least:
        raise ConfigError(
            f"expected {least} example{'s' * (least > 1)} at once to fit into memory, it ran out; "
            "lower max_tokens, set gradient_checkpointing=True, or train an adapter (lora)"
        )
    fewer = max(least, rows // 2)
    _log.warning(
        "memory ran out with %d examples at once; going on with %d, in the same batches",
        rows,
        fewer,
    )
    return fewer


def _finite(value: float | None) -> bool:
    return value is None or math.isfinite(value)


def _curve(history: Sequence[dict[str, Any]]) -> Iterator[CurvePoint]:
    for entry in history:
        measured = _measured(entry)
        if "loss" in measured:
            for name, value in sorted(measured.items()):  # as read back from a checkpoint
                if math.isfinite(value):
                    yield CurvePoint(step=int(entry["step"]), name=name, value=value)


def _measured(logs: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in logs.items()
        if name in _MEASURED and isinstance(value, int | float)
    }


def circumstances(team: Processes) -> dict[str, Any]:
    """What the last bits of a result depend on, besides its inputs."""
    return {
        **({"processes": team.count} if team.several else {}),
        "device": torch.cuda.get_device_name() if on_cuda() else "cpu",
        "threads": torch.get_num_threads(),
    }
