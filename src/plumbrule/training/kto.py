"""Kahneman-Tversky optimization: learn from single replies that were called good or bad."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError
from plumbrule.records import Dialogue, Preference, strict, to_json
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.monitors import Monitor, check_held_out
from plumbrule.training.results import TrainingProgress, TrainingResult
from plumbrule.training.settings import KtoTraining
from plumbrule.training.stage import TrainingJob, carry_out, conclude
from plumbrule.training.weighting import weighed


@strict
@dataclass(frozen=True, kw_only=True)
class RatedReply:
    """One reply to a dialogue, and whether it is what one wants."""

    id: str
    dialogue: Dialogue
    reply: str
    desirable: bool

    weight: float = 1.0
    """What the reply counts for, beside the others' weights; 0: nothing."""


def rated_of(preferences: Sequence[Preference], *, margin: float = 0.0) -> list[RatedReply]:
    """Both replies of each preference that is decided: the likelier desirable, the other not.

    Args:
        preferences: Labeled with a probability, or undecided.
        margin: Least distance of the probability from one half; at it or below, or without a
            probability, or where both replies are the same, a preference makes none.

    Example:
        >>> from plumbrule.records import Message
        >>> label = Preference(
        ...     id="a", dialogue=(Message("user", "Hello."),), first="Hi.", second="Go.",
        ...     probability=0.1, by_principle={}, order_disagreement={},
        ...     constitution_sha256="", source="rule", labeler="example", method="example",
        ... )
        >>> [(rated.reply, rated.desirable) for rated in rated_of([label])]
        [('Hi.', False), ('Go.', True)]
    """
    rated = []
    for one in preferences:
        likely = one.probability
        if likely is None or abs(likely - 0.5) <= margin or one.first == one.second:
            continue
        for side, reply, better in (
            ("first", one.first, likely > 0.5),
            ("second", one.second, likely < 0.5),
        ):
            rated.append(
                RatedReply(
                    id=f"{one.id}/{side}",
                    dialogue=one.dialogue,
                    reply=reply,
                    desirable=better,
                    weight=one.weight,
                )
            )
    return rated


def train_kto(
    model: Path,
    replies: Sequence[RatedReply],
    *,
    settings: KtoTraining,
    out: Path,
    seed: int,
    progress: TrainingProgress | None = None,
    monitor: Monitor | None = None,
) -> TrainingResult:
    """Train a model toward replies called desirable and away from the others.

    No reply needs a counterpart. The loss of a desirable one is 1 - sigmoid(beta * (r - z)), of an
    undesirable one 1 - sigmoid(beta * (z - r)), where r is its log-probability less that under the
    starting model and z how far the model is from its start on replies to other dialogues of the
    batch. It is multiplied by the weight of its kind and by its own, which is 1 on average.

    Args:
        model: Folder of the starting model, or of a PEFT adapter on one: also the reference.
        replies: Replies and what they were called; `rated_of` makes them from preferences.
        settings: How to train.
        out: Folder of the trained model; absent, or finished by the same call before.
        seed: Decides the order of the replies and all that is drawn at random.
        progress: Told at each point of the curve.
        monitor: Watches replies to held-out prompts on the way; where it stops training, the best
            model so far is the result, and `TrainingResult.monitored` says why.

    Returns:
        Where the model is, and how training went.

    Raises:
        DataError: There are fewer than two replies, or one is too long, cannot be replied to, or
            has a weight below 0; or all weigh 0; or one reply to one dialogue is called both.
            Or a prompt of the monitor is trained on.
        ConfigError: Training diverged (the last checkpoint is kept), or an adapter does not fit
            the settings.
        ModelError: The starting folder cannot be trained.
        OutputError: `out` holds something else.
        StorageError: The disk is full; the same call goes on from the last checkpoint.

    Source:
        Ethayarajh et al. (2024), arXiv:2402.01306, equations 7 and 8.
    """
    _check_contradictions(replies)
    given = len(replies)
    replies, weights = weighed(replies, [one.weight for one in replies], what="pair")
    if len(replies) < 2:
        raise DataError(
            f"expected at least two replies that count, to learn from, got {len(replies)}: KTO "
            "measures one against replies to other dialogues; give more"
        )
    data: list[Any] = [[to_json(one.dialogue), one.reply, one.desirable] for one in replies]
    if set(weights) != {1.0}:
        data.append(weights)
    check_held_out(monitor, [one.dialogue for one in replies])
    job = TrainingJob(
        model=model,
        out=out,
        settings=settings,
        seed=seed,
        examples=len(replies),
        skipped=given - len(replies),
        progress=progress,
        monitor=monitor,
    )

    def work(space: TrainingWorkspace) -> TrainingResult:
        from plumbrule.training.loading import load_for_training
        from plumbrule.training.running import batches_of
        from plumbrule.training.trl import kto_trainer

        start = load_for_training(model, settings, space)
        encoded = start.encode(replies, [one.reply for one in replies], settings)
        lengths = [len(example) for example in encoded]
        batches = batches_of(settings, lengths, seed=seed)
        desirable = [one.desirable for one in replies]
        trainer = kto_trainer(
            start, encoded, desirable, settings, batches, space, weights=weights, seed=seed
        )
        return conclude(job, space, start, trainer, batches, lengths=lengths)

    return carry_out(job, data, work)


def _check_contradictions(replies: Sequence[RatedReply]) -> None:
    """Refuse one reply to one dialogue that is called both."""
    called: dict[tuple[Dialogue, str], RatedReply] = {}
    for one in replies:
        other = called.setdefault((one.dialogue, one.reply), one)
        if other.desirable != one.desirable:
            raise DataError(
                f"expected one opinion of a reply, {other.id!r} and {one.id!r} call the same "
                "reply to the same dialogue desirable and not; leave one of them out"
            )
