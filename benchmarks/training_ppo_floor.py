"""What a batch of PPO takes in the trainer, beside its own passes timed alone.

Both in seconds of CPU on one thread, in alternation, so that what else the machine does hits both
alike. The passes are those the method cannot do without: drawing, log-probabilities and values of
the replies, the reference's, and forward and backward of each step's replies.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers.trainer_callback import PrinterCallback

from benchmarks.training_ppo import MODEL, SETTINGS, dialogues_of, oracle_reward
from plumbrule.models import model_folder
from plumbrule.models.modules import evaluation_mode
from plumbrule.training.checkpoints import TrainingWorkspace, inputs_of
from plumbrule.training.loading import load_for_training
from plumbrule.training.ppo_trainer import PpoTrainer, Rollout, ppo_trainer
from plumbrule.training.reproducibility import reproducibly
from plumbrule.training.rewarded import RewardedPrompts, batches_of_prompts, spoken

_STEPS = 4  # batches a repetition


@dataclass(frozen=True, kw_only=True)
class Shares:
    """One value a repetition."""

    shares: list[float]
    replies: list[float]


def shares(repetitions: int) -> Shares:
    """Time of the passes alone over that of the trainer, and the trainer's replies a second."""
    torch.set_num_threads(1)
    found, replies = [], []
    for seed in range(repetitions + 1):
        with tempfile.TemporaryDirectory() as folder, reproducibly(seed):
            trainer = _trainer(Path(folder), seed)
            started = time.process_time()
            trainer.train()
            whole = time.process_time() - started
            alone = sum(_alone(trainer, batch) for batch in range(_STEPS))
        if seed:  # the first one warms up
            found.append(alone / whole)
            replies.append(_STEPS * trainer.given.batches.batch_size / whole)
    return Shares(shares=found, replies=replies)


def _trainer(folder: Path, seed: int) -> PpoTrainer:
    settings = replace(SETTINGS["ppo"], learning_rate=1e-4)
    dialogues, _ = dialogues_of("ppo", _STEPS * settings.batch_size * 8, seed)
    model = model_folder(MODEL)
    space = TrainingWorkspace(
        out=folder / "out",
        folder=folder / "out.partial",
        inputs=inputs_of(model, settings, seed=seed, data=[]),
    )
    start = load_for_training(model, settings, space)
    prompts = start.chat.prompts(dialogues)

    def score(numbers: Sequence[int], replies: Sequence[Sequence[int]]) -> list[float]:
        texts = start.chat.decode([spoken(reply, start.chat.stops) for reply in replies])
        return oracle_reward([dialogues[number] for number in numbers], texts)

    batches = batches_of_prompts(settings, [len(prompt) for prompt in prompts], seed)
    given = RewardedPrompts(start=start, prompts=prompts, score=score, batches=batches, space=space)
    trainer = ppo_trainer(given, settings, seed=seed)
    trainer.remove_callback(PrinterCallback)
    return trainer


def _alone(trainer: PpoTrainer, batch: int) -> float:
    """The passes of one batch, each by itself."""
    size = trainer.given.batches.batch_size
    numbers = list(trainer.given.batches.order[batch * size : (batch + 1) * size])
    rollout = trainer.roll_out(numbers, batch)
    started = time.process_time()
    with torch.no_grad(), evaluation_mode(trainer.model):
        trainer.draw([trainer.given.prompts[number] for number in numbers], batch)
        trainer.read_all(rollout.examples, rollout.mask)
        with trainer.starting.in_place():
            trainer.read_all(rollout.examples, rollout.mask)
    for _ in range(trainer.settings.iterations):
        for part in range(trainer.settings.minibatches):
            _forward_backward(trainer, rollout, range(part, size, trainer.settings.minibatches))
    return time.process_time() - started


def _forward_backward(trainer: PpoTrainer, rollout: Rollout, rows: Sequence[int]) -> None:
    with evaluation_mode(trainer.model):
        for part in trainer.parts(rollout.examples, rows):
            examples = [rollout.examples[row] for row in part]
            log_probs, values = trainer.read(examples, rollout.mask[part])
            total: torch.Tensor = log_probs.sum() + values.sum()
            total.backward()  # type: ignore[no-untyped-call]
