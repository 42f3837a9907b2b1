"""Group-relative policy optimization: learn from a reward on the model's own replies."""

from collections.abc import Sequence
from pathlib import Path

from plumbrule.records import Dialogue
from plumbrule.training.from_reward import learn_from_reward
from plumbrule.training.monitors import Monitor
from plumbrule.training.results import TrainingProgress, TrainingResult
from plumbrule.training.rewarded import Reward
from plumbrule.training.settings import GrpoTraining


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
        DataError: There is no dialogue, one is too long, or the reward is not one finite number
            a reply. Or a prompt of the monitor is trained on.
        ConfigError: Training diverged, replies and model have come apart (`most_ratio`,
            `most_drift`), or an adapter does not fit the settings. The last checkpoint is kept.
        ModelError: The starting folder cannot be trained.
        OutputError: `out` holds something else.
        StorageError: The disk is full; the same call goes on from the last checkpoint.

    Source:
        Shao et al. (2024), arXiv:2402.03300, section 4.1.
    """
    return learn_from_reward(
        model,
        dialogues,
        reward,
        reward_identity=reward_identity,
        settings=settings,
        out=out,
        seed=seed,
        progress=progress,
        monitor=monitor,
    )
