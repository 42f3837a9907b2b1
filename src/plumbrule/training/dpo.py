"""Direct preference optimization: learn from pairs which reply to prefer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError
from plumbrule.records import Dialogue, Preference, strict, to_json
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.monitors import Monitor, check_held_out
from plumbrule.training.results import TrainingProgress, TrainingResult
from plumbrule.training.settings import DpoTraining
from plumbrule.training.stage import TrainingJob, carry_out, conclude
from plumbrule.training.weighting import weighed


@strict
@dataclass(frozen=True, kw_only=True)
class PreferencePair:
    """Two replies to one dialogue, the better one first."""

    id: str
    dialogue: Dialogue
    chosen: str
    rejected: str

    weight: float = 1.0
    """What the pair counts for, beside the others' weights; 0: nothing."""

    probability: float = 1.0
    """How sure it is that the first one is better; 1 pulls forever, less until it is reached."""


def pairs_of(
    preferences: Sequence[Preference], *, margin: float = 0.0, soft: bool = False
) -> list[PreferencePair]:
    """The pairs that preferences decide, the likelier reply as the chosen one.

    Args:
        preferences: Labeled with a probability, or undecided.
        margin: Least distance of the probability from one half; at it or below, or without a
            probability, or where both replies are the same, a preference makes no pair.
        soft: Hand the probability on to the pair, rather than take the likelier reply for sure.

    Example:
        >>> from plumbrule.records import Message
        >>> def label(name: str, probability: float) -> Preference:
        ...     return Preference(
        ...         id=name, dialogue=(Message("user", "Hello."),), first="Hi.", second="Go.",
        ...         probability=probability, by_principle={}, order_disagreement={},
        ...         constitution_sha256="", source="rule", labeler="example", method="example",
        ...     )
        >>> [(pair.id, pair.chosen) for pair in pairs_of([label("a", 0.5), label("b", 0.1)])]
        [('b', 'Go.')]
    """
    pairs = []
    for preference in preferences:
        likely = preference.probability
        if likely is None or abs(likely - 0.5) <= margin or preference.first == preference.second:
            continue
        replies = (preference.first, preference.second)
        chosen, rejected = replies if likely > 0.5 else replies[::-1]
        pairs.append(
            PreferencePair(
                id=preference.id,
                dialogue=preference.dialogue,
                chosen=chosen,
                rejected=rejected,
                weight=preference.weight,
                probability=max(likely, 1 - likely) if soft else 1.0,
            )
        )
    return pairs


def train_dpo(
    model: Path,
    pairs: Sequence[PreferencePair],
    *,
    settings: DpoTraining,
    out: Path,
    seed: int,
    progress: TrainingProgress | None = None,
    monitor: Monitor | None = None,
) -> TrainingResult:
    """Train a model to prefer the chosen replies, held near the model it starts from.

    The loss is -log sigmoid(beta * (chosen - rejected)), each term the log-probability of a reply
    less that under the starting model, which is computed once before training begins. A pair of
    probability p counts as such a pair by p, and as one with its replies exchanged by 1 - p. The
    loss is multiplied by the pair's weight, which is 1 on average; pairs that weigh 0 are left
    out.

    Args:
        model: Folder of the starting model, or of a PEFT adapter on one: also the reference.
        pairs: Chosen and rejected replies; `pairs_of` makes them from preferences.
        settings: How to train.
        out: Folder of the trained model; absent, or finished by the same call before.
        seed: Decides the order of the pairs and all that is drawn at random.
        progress: Told at each point of the curve.
        monitor: Watches replies to held-out prompts on the way; where it stops training, the best
            model so far is the result, and `TrainingResult.monitored` says why.

    Returns:
        Where the model is, and how training went.

    Raises:
        DataError: There is no pair, or one is too long, has the same reply twice, cannot be
            replied to, or has a weight below 0 or a probability that is none; or all weigh 0.
            Or a prompt of the monitor is trained on.
        ConfigError: Training diverged (the last checkpoint is kept), or an adapter does not fit
            the settings.
        ModelError: The starting folder cannot be trained.
        OutputError: `out` holds something else.
        StorageError: The disk is full; the same call goes on from the last checkpoint.

    Source:
        Rafailov et al. (2023), arXiv:2305.18290, equation 7. Mitchell (2023), "A note on DPO with
        noisy preferences and relationship to IPO", equation 3: the loss with a probability, there
        one for all pairs.
    """
    if not pairs:
        raise DataError("expected at least one pair to learn from, got none")
    for pair in pairs:
        if pair.chosen == pair.rejected:
            raise DataError(
                f"expected two replies that differ, pair {pair.id!r} has the same one twice and "
                "teaches nothing; leave it out"
            )
        if not 0 <= pair.probability <= 1:
            raise DataError(
                f"expected a probability between 0 and 1, pair {pair.id!r} has "
                f"{pair.probability}; correct it or leave the pair out"
            )
    given = len(pairs)
    pairs, weights = weighed(pairs, [pair.weight for pair in pairs], what="pair")
    data: list[Any] = [[to_json(pair.dialogue), pair.chosen, pair.rejected] for pair in pairs]
    if set(weights) != {1.0}:
        data.append(weights)
    probabilities = [pair.probability for pair in pairs]
    if set(probabilities) != {1.0}:
        data.append({"probabilities": probabilities})
    check_held_out(monitor, [pair.dialogue for pair in pairs])
    job = TrainingJob(
        model=model,
        out=out,
        settings=settings,
        seed=seed,
        examples=len(pairs),
        skipped=given - len(pairs),
        progress=progress,
        monitor=monitor,
    )

    def work(space: TrainingWorkspace) -> TrainingResult:
        from plumbrule.training.loading import load_for_training
        from plumbrule.training.running import batches_of
        from plumbrule.training.trl import dpo_trainer

        start = load_for_training(model, settings, space)
        chosen = start.encode(pairs, [pair.chosen for pair in pairs], settings)
        rejected = start.encode(pairs, [pair.rejected for pair in pairs], settings)
        longest = [max(len(a), len(b)) for a, b in zip(chosen, rejected, strict=True)]
        batches = batches_of(settings, longest, seed=seed)
        trainer = dpo_trainer(
            start,
            chosen,
            rejected,
            settings,
            batches,
            space,
            weights=weights,
            probabilities=probabilities,
            seed=seed,
        )
        both = [len(a) + len(b) for a, b in zip(chosen, rejected, strict=True)]
        return conclude(job, space, start, trainer, batches, lengths=both)

    return carry_out(job, data, work)
