"""Supervised training: learn to reply as the examples do."""

from collections.abc import Sequence
from pathlib import Path

from plumbrule.errors import DataError
from plumbrule.records import Exchange, to_json
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.results import TrainingProgress, TrainingResult
from plumbrule.training.settings import SupervisedTraining
from plumbrule.training.stage import TrainingJob, carry_out, conclude


def train_supervised(
    model: Path,
    examples: Sequence[Exchange],
    *,
    settings: SupervisedTraining,
    out: Path,
    seed: int,
    progress: TrainingProgress | None = None,
) -> TrainingResult:
    """Train a model to give the examples' replies.

    The loss is the mean negative log-likelihood of the replies' tokens, the end of the turn
    included; the dialogue before it is read but not learned.

    Args:
        model: Folder of the starting model, or of a PEFT adapter on one.
        examples: Dialogues and the replies to learn. Who gave them makes no difference.
        settings: How to train.
        out: Folder of the trained model; absent, or finished by the same call before.
        seed: Decides the order of the examples and all that is drawn at random.
        progress: Told at each point of the curve.

    Returns:
        Where the model is, and how training went.

    Raises:
        DataError: There is no example, or one is too long or cannot be replied to.
        ConfigError: Training diverged (the last checkpoint is kept), or an adapter does not fit
            the settings.
        ModelError: The starting folder cannot be trained.
        OutputError: `out` holds something else.
        StorageError: The disk is full; the same call goes on from the last checkpoint.
    """
    if not examples:
        raise DataError("expected at least one example to learn from, got none")
    data = [[to_json(example.dialogue), example.response] for example in examples]
    job = TrainingJob(
        model=model,
        out=out,
        settings=settings,
        seed=seed,
        examples=len(examples),
        progress=progress,
    )

    def work(space: TrainingWorkspace) -> TrainingResult:
        from plumbrule.training.loading import load_for_training
        from plumbrule.training.running import Batches, batches_of
        from plumbrule.training.tokenized_data import LengthLimits, encode, order
        from plumbrule.training.trl import supervised_trainer

        start = load_for_training(model, settings, space)
        encoded = encode(
            start.chat,
            [example.id for example in examples],
            [example.dialogue for example in examples],
            [example.response for example in examples],
            LengthLimits(max_tokens=settings.max_tokens, context=start.context),
        )
        lengths = [len(example) for example in encoded]
        batch, micro = batches_of(settings, len(encoded))
        batches = Batches(
            order=order(
                lengths,
                epochs=settings.epochs,
                batch_size=batch,
                seed=seed,
                group=settings.group_by_length,
            ),
            batch_size=batch,
            micro_batch_size=micro,
        )
        trainer = supervised_trainer(start, encoded, settings, batches, space, seed=seed)
        tokens = settings.epochs * sum(lengths)
        return conclude(job, space, start, trainer, batches, tokens=tokens)

    return carry_out(job, data, work)
