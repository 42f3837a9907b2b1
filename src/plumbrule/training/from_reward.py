"""Learn from a reward on replies of the model's own: GRPO, RLOO and PPO."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict, Unpack

from plumbrule.errors import DataError
from plumbrule.records import Dialogue, to_json
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.monitors import Monitor, check_held_out
from plumbrule.training.results import TrainingProgress, TrainingResult
from plumbrule.training.rewarded import Reward, RewardedPrompts, batches_of_prompts, checked, spoken
from plumbrule.training.settings import GroupTraining, PolicyTraining, PpoTraining
from plumbrule.training.stage import TrainingJob, carry_out, conclude


class RewardArguments(TypedDict):
    """What every method that learns from a reward takes by name; see `learn_from_reward`."""

    reward_identity: str
    settings: PolicyTraining
    out: Path
    seed: int
    progress: NotRequired[TrainingProgress | None]
    monitor: NotRequired[Monitor | None]


def train_grpo(
    model: Path, dialogues: Sequence[Dialogue], reward: Reward, **given: Unpack[RewardArguments]
) -> TrainingResult:
    """Group-relative policy optimization, with `GrpoTraining`; see `learn_from_reward`.

    To each dialogue a group of replies is drawn; each is made likelier or less likely by how far
    its reward is from the group's mean, in standard deviations of the group.

    Source:
        Shao et al. (2024), arXiv:2402.03300, section 4.1.
    """
    return learn_from_reward(model, dialogues, reward, **given)


def train_rloo(
    model: Path, dialogues: Sequence[Dialogue], reward: Reward, **given: Unpack[RewardArguments]
) -> TrainingResult:
    """REINFORCE leave-one-out, with `RlooTraining`; see `learn_from_reward`.

    To each dialogue a group of replies is drawn; each is made likelier or less likely by how far
    its reward is from the mean of the others in its group. The reward is first lessened by `beta`
    for each nat that the reply is likelier than under the starting model. A reply counts as one
    whole: the importance ratio that is clipped is that of all its tokens together.

    Source:
        Ahmadian et al. (2024), arXiv:2402.14740: the leave-one-out baseline. The clipping is
        TRL's and has an effect only where `iterations` is above 1.
    """
    return learn_from_reward(model, dialogues, reward, **given)


def train_ppo(
    model: Path, dialogues: Sequence[Dialogue], reward: Reward, **given: Unpack[RewardArguments]
) -> TrainingResult:
    """Proximal policy optimization, with `PpoTraining`; see `learn_from_reward`.

    To each dialogue one reply is drawn. Its reward, less a penalty for each nat that a token is
    likelier than under the starting model, is compared with what a value head expected, and each
    token is made likelier or less likely by how much better or worse it went. A few passes are
    made over each batch of replies; a token whose probability has moved by more than `clip` is
    left alone. The value head is discarded at the end. Dropout is off, in drawing and in training.

    Source:
        Schulman et al. (2017), arXiv:1707.06347, with the penalty of Ziegler et al. (2019),
        arXiv:1909.08593; `policy_gradients.py` names the equations.
    """
    return learn_from_reward(model, dialogues, reward, **given)


def learn_from_reward(
    model: Path,
    dialogues: Sequence[Dialogue],
    reward: Reward,
    *,
    reward_identity: str,
    settings: PolicyTraining,
    out: Path,
    seed: int,
    progress: TrainingProgress | None = None,
    monitor: Monitor | None = None,
) -> TrainingResult:
    """Train a model toward replies that a reward scores higher, by the method of the settings.

    Args:
        model: Folder of the starting model, or of a PEFT adapter on one: also the reference.
        dialogues: What to reply to, each ending with the user.
        reward: Scores a batch of replies.
        reward_identity: What the reward is, e.g. the hash of a reward model: part of what
            decides the weights, since a function cannot be hashed.
        settings: How to train; their class chooses the method.
        out: Folder of the trained model; absent, or finished by the same call before.
        seed: Decides the order of the dialogues and all that is drawn at random.
        progress: Told at each point of the curve.
        monitor: Watches replies to held-out prompts on the way; where it stops training, the best
            model so far is the result, and `TrainingResult.monitored` says why. A monitor without
            a proxy takes `reward`.

    Returns:
        Where the model is, and how training went.

    Raises:
        DataError: There is no dialogue, one is too long, or the reward is not one finite number
            a reply. Or a prompt of the monitor is trained on.
        ConfigError: Training diverged, replies and model have come apart (`most_ratio`,
            `most_drift`), or an adapter does not fit the settings. The last checkpoint is kept.
        ModelError: The starting folder cannot be trained.
        OutputError: `out` holds something else.
        StorageError: The disk is full; the same call goes on from the last checkpoint.
    """
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
