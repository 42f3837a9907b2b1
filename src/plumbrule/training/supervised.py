"""Supervised training: learn to reply as the examples do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError
from plumbrule.records import Exchange, to_json
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.monitors import Monitor, check_held_out
from plumbrule.training.results import TrainingProgress, TrainingResult
from plumbrule.training.settings import SupervisedTraining
from plumbrule.training.stage import TrainingJob, carry_out, conclude
from plumbrule.training.weighting import weighed, weights_by_token


def train_supervised(
    model: Path,
    examples: Sequence[Exchange],
    *,
    settings: SupervisedTraining,
    out: Path,
    seed: int,
    weights: Sequence[float] | None = None,
    progress: TrainingProgress | None = None,
    monitor: Monitor | None = None,
) -> TrainingResult:
    """Train a model to give the examples' replies.

    The loss is the mean negative log-likelihood of the replies' tokens, the end of the turn
    included; the dialogue before it is read but not learned. Each token counts by its example's
    weight, which is 1 on average over all tokens; examples that weigh 0 are left out.

    Args:
        model: Folder of the starting model, or of a PEFT adapter on one.
        examples: Dialogues and the replies to learn. Who gave them makes no difference.
        settings: How to train.
        out: Folder of the trained model; absent, or finished by the same call before.
        seed: Decides the order of the examples and all that is drawn at random.
        weights: What each example counts for beside the others, 0 or more; None: all the same.
        progress: Told at each point of the curve.
        monitor: Watches replies to held-out prompts on the way; where it stops training, the best
            model so far is the result, and `TrainingResult.monitored` says why.

    Returns:
        Where the model is, and how training went.

    Raises:
        DataError: There is no example, or one is too long, cannot be replied to, or has a weight
            below 0; or all weigh 0; or a prompt of the monitor is trained on.
        ConfigError: Training diverged (the last checkpoint is kept), or an adapter does not fit
            the settings.
        ModelError: The starting folder cannot be trained.
        OutputError: `out` holds something else.
        StorageError: The disk is full; the same call goes on from the last checkpoint.
    """
    if not examples:
        raise DataError("expected at least one example to learn from, got none")
    given = len(examples)
    examples, counts = weighed(examples, weights)
    data: list[Any] = [[to_json(example.dialogue), example.response] for example in examples]
    if len(set(counts)) > 1:
        data.append(counts)
    check_held_out(monitor, [example.dialogue for example in examples])
    job = TrainingJob(
        model=model,
        out=out,
        settings=settings,
        seed=seed,
        examples=len(examples),
        skipped=given - len(examples),
        progress=progress,
        monitor=monitor,
    )

    def work(space: TrainingWorkspace) -> TrainingResult:
        from plumbrule.training.loading import load_for_training
        from plumbrule.training.running import batches_of
        from plumbrule.training.trl import supervised_trainer

        start = load_for_training(model, settings, space)
        encoded = start.encode(examples, [each.response for each in examples], settings)
        lengths = [len(example) for example in encoded]
        batches = batches_of(settings, lengths, seed=seed)
        by_token = weights_by_token(counts, [len(example.reply) for example in encoded])
        trainer = supervised_trainer(
            start, encoded, settings, batches, space, weights=by_token, seed=seed
        )
        return conclude(job, space, start, trainer, batches, lengths=lengths)

    return carry_out(job, data, work)
