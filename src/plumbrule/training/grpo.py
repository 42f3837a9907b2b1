"""Group-relative policy optimization: learn from a reward on the model's own replies."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from plumbrule.errors import DataError
from plumbrule.records import Dialogue, to_json
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.overoptimization import Monitor, check_held_out
from plumbrule.training.results import TrainingProgress, TrainingResult
from plumbrule.training.settings import GrpoTraining
from plumbrule.training.stage import TrainingJob, carry_out, conclude

if TYPE_CHECKING:  # torch takes seconds to import, and `plumbrule --help` must not wait for it
    from plumbrule.training.running import Batches

Reward = Callable[[Sequence[Dialogue], Sequence[str]], list[float]]
"""Scores replies, one number each, higher is better. The same replies must get the same scores."""


def train_grpo(
    model: Path,
    dialogues: Sequence[Dialogue],
    reward: Reward,
    *,
    reward_identity: str,
    settings: GrpoTraining,
    out: Path,
    seed: int,
    progress: TrainingProgress | None = None,
    monitor: Monitor | None = None,
) -> TrainingResult:
    """Train a model toward replies that a reward scores higher.

    To each dialogue a group of replies is drawn; each is made likelier or less likely by how far
    its reward is from the group's mean, in standard deviations of the group.

    Args:
        model: Folder of the starting model, or of a PEFT adapter on one: also the reference.
        dialogues: What to reply to, each ending with the user.
        reward: Scores a batch of replies.
        reward_identity: What the reward is, e.g. the hash of a reward model: part of what
            decides the weights, since a function cannot be hashed.
        settings: How to train.
        out: Folder of the trained model; absent, or finished by the same call before.
        seed: Decides the order of the dialogues and all that is drawn at random.
        progress: Told at each point of the curve.
        monitor: Watches replies to held-out prompts on the way; where it stops training, the best
            model so far is the result, and `TrainingResult.monitored` says why. A monitor without
            a proxy takes `reward`.

    Returns:
        Where the model is, and how training went.

    Raises:
        DataError: There is no dialogue, one is too long, or the reward is not one finite number a
            reply. Or a prompt of the monitor is trained on.
        ConfigError: Training diverged, or an adapter does not fit the settings.
        ModelError: The starting folder cannot be trained.
        OutputError: `out` holds something else.
        StorageError: The disk is full; the same call goes on from the last checkpoint.

    Source:
        Shao et al. (2024), arXiv:2402.03300, section 4.1.
    """
    if not dialogues:
        raise DataError("expected at least one dialogue to reply to, got none")
    if monitor is not None:
        check_held_out(monitor, dialogues)
        monitor = replace(monitor, proxy=monitor.proxy or reward)
    data = [reward_identity, [to_json(dialogue) for dialogue in dialogues]]
    job = TrainingJob(
        model=model,
        out=out,
        settings=settings,
        seed=seed,
        examples=len(dialogues),
        progress=progress,
        monitor=monitor,
    )

    def work(space: TrainingWorkspace) -> TrainingResult:
        from plumbrule.training.loading import load_for_training
        from plumbrule.training.running import TokenTally
        from plumbrule.training.tokenized_data import LengthLimits, encode_prompts
        from plumbrule.training.trl import grpo_trainer

        start = load_for_training(model, settings, space)
        prompts = encode_prompts(
            start.chat,
            [str(number) for number in range(len(dialogues))],
            dialogues,
            LengthLimits(max_tokens=settings.max_tokens, context=start.context),
            room=settings.max_new_tokens,
        )
        batches = _batches(settings, [len(prompt) for prompt in prompts], seed)
        tally = TokenTally()

        def score(numbers: Sequence[int], replies: Sequence[Sequence[int]]) -> list[float]:
            texts = start.chat.decode([_spoken(reply, start.chat.stops) for reply in replies])
            tally.tokens += sum(
                len(prompts[number]) + len(reply)
                for number, reply in zip(numbers, replies, strict=True)
            )
            return _checked(reward([dialogues[number] for number in numbers], texts), len(texts))

        trainer = grpo_trainer(start, prompts, score, settings, batches, space, seed=seed)
        return conclude(job, space, start, trainer, batches, tally=tally)

    return carry_out(job, data, work)


def _batches(settings: GrpoTraining, lengths: Sequence[int], seed: int) -> "Batches":
    """Cut the run up by prompts; the last batch is filled up from the front."""
    from plumbrule.training.running import Batches
    from plumbrule.training.tokenized_data import order

    each = min(settings.batch_size // settings.replies_per_prompt, len(lengths))
    numbers = order(
        lengths,
        epochs=settings.epochs,
        batch_size=each,
        seed=seed,
        group=settings.group_by_length,
    )
    numbers += numbers[: -len(numbers) % each]
    return Batches(
        order=numbers, batch_size=each, micro_batch_size=each, steps_each=settings.iterations
    )


def _spoken(reply: Sequence[int], stops: frozenset[int]) -> Sequence[int]:
    return reply[:-1] if reply and reply[-1] in stops else reply


def _checked(rewards: Sequence[float], replies: int) -> list[float]:
    values = [float(value) for value in rewards]
    if len(values) != replies or not all(math.isfinite(value) for value in values):
        raise DataError(
            f"expected one finite reward a reply, {replies} of them, got {values[:8]}"
            f"{' …' if len(values) > 8 else ''}; correct the reward function"
        )
    return values
