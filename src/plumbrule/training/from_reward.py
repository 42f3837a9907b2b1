"""The frame of the methods that learn from a reward on replies of the model's own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError
from plumbrule.records import Dialogue, to_json
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.monitors import Monitor, check_held_out
from plumbrule.training.results import TrainingProgress, TrainingResult
from plumbrule.training.rewarded import Reward, RewardedPrompts, batches_of_prompts, checked, spoken
from plumbrule.training.settings import GroupTraining, PolicyTraining, PpoTraining
from plumbrule.training.stage import TrainingJob, carry_out, conclude


def learn_from_reward(
    model: Path,
    dialogues: Sequence[Dialogue],
    reward: Reward,
    *,
    reward_identity: str,
    settings: PolicyTraining,
    out: Path,
    seed: int,
    progress: TrainingProgress | None,
    monitor: Monitor | None,
) -> TrainingResult:
    """Encode the dialogues, build the trainer that the settings are for, and train."""
    if not dialogues:
        raise DataError("expected at least one dialogue to reply to, got none")
    check_held_out(monitor, dialogues)
    if monitor is not None:
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

        start = load_for_training(model, settings, space)
        prompts = encode_prompts(
            start.chat,
            [str(number) for number in range(len(dialogues))],
            dialogues,
            LengthLimits(max_tokens=settings.max_tokens, context=start.context),
            room=settings.max_new_tokens,
        )
        batches = batches_of_prompts(settings, [len(prompt) for prompt in prompts], seed)
        tally = TokenTally()

        def score(numbers: Sequence[int], replies: Sequence[Sequence[int]]) -> list[float]:
            texts = start.chat.decode([spoken(reply, start.chat.stops) for reply in replies])
            tally.tokens += sum(
                len(prompts[number]) + len(reply)
                for number, reply in zip(numbers, replies, strict=True)
            )
            return checked(reward([dialogues[number] for number in numbers], texts), len(texts))

        trainer = _trainer(
            RewardedPrompts(
                start=start, prompts=prompts, score=score, batches=batches, space=space
            ),
            settings,
            seed,
        )
        return conclude(job, space, start, trainer, batches, tally=tally)

    return carry_out(job, data, work)


def _trainer(given: RewardedPrompts, settings: PolicyTraining, seed: int) -> Any:
    if isinstance(settings, PpoTraining):
        from plumbrule.training.ppo_trainer import ppo_trainer

        return ppo_trainer(given, settings, seed=seed)
    from plumbrule.training.trl import group_trainer

    assert isinstance(settings, GroupTraining)
    return group_trainer(given, settings, seed=seed)
