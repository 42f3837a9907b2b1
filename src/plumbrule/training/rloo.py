"""REINFORCE leave-one-out: learn from a reward, each reply beside the mean of the others."""

from collections.abc import Sequence
from pathlib import Path

from plumbrule.records import Dialogue
from plumbrule.training.from_reward import learn_from_reward
from plumbrule.training.monitors import Monitor
from plumbrule.training.results import TrainingProgress, TrainingResult
from plumbrule.training.rewarded import Reward
from plumbrule.training.settings import RlooTraining


def train_rloo(
    model: Path,
    dialogues: Sequence[Dialogue],
    reward: Reward,
    *,
    reward_identity: str,
    settings: RlooTraining,
    out: Path,
    seed: int,
    progress: TrainingProgress | None = None,
    monitor: Monitor | None = None,
) -> TrainingResult:
    """Train a model toward replies that a reward scores higher.

    To each dialogue a group of replies is drawn; each is made likelier or less likely by how far
    its reward is from the mean of the others in its group. The reward is first lessened by `beta`
    for each nat that the reply is likelier than under the starting model. A reply counts as one
    whole: the importance ratio that is clipped is that of all its tokens together.

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
        Ahmadian et al. (2024), arXiv:2402.14740: the leave-one-out baseline. The clipping is
        TRL's and has an effect only where `iterations` is above 1.
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
