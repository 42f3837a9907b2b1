"""What the methods share that learn from a reward on replies of the model's own."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plumbrule.errors import DataError
from plumbrule.records import Dialogue
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.settings import GroupTraining, PolicyTraining

if TYPE_CHECKING:  # torch takes seconds to import, and `plumbrule --help` must not wait for it
    from plumbrule.training.loading import LoadedModel
    from plumbrule.training.running import Batches

Reward = Callable[[Sequence[Dialogue], Sequence[str]], list[float]]
"""Scores replies, one number each, higher is better. The same replies must get the same scores."""


@dataclass(frozen=True, kw_only=True)
class RewardedPrompts:
    """What a trainer that draws replies is built from."""

    start: "LoadedModel"
    prompts: list[list[int]]

    score: Callable[[Sequence[int], Sequence[Sequence[int]]], list[float]]
    """Rewards of replies, from the numbers of their prompts and the replies' tokens."""

    batches: "Batches"
    """Of prompts."""

    space: TrainingWorkspace


def batches_of_prompts(settings: PolicyTraining, lengths: Sequence[int], seed: int) -> "Batches":
    """Cut the run up by prompts; the last batch is filled up from the front."""
    from plumbrule.training.running import Batches
    from plumbrule.training.tokenized_data import order

    group = settings.replies_per_prompt if isinstance(settings, GroupTraining) else 1
    each = min(settings.batch_size // group, len(lengths))
    numbers = order(
        lengths,
        epochs=settings.epochs,
        batch_size=each,
        seed=seed,
        group=settings.group_by_length,
    )
    numbers += numbers[: -len(numbers) % each]
    return Batches(
        order=numbers,
        batch_size=each,
        micro_batch_size=each,
        steps_each=settings.steps_each(each),
    )


def spoken(reply: Sequence[int], stops: frozenset[int]) -> Sequence[int]:
    """A reply without the token that ends it."""
    return reply[:-1] if reply and reply[-1] in stops else reply


def checked(rewards: Sequence[float], replies: int) -> list[float]:
    """The rewards, once it is sure that there is a number for each reply.

    Raises:
        DataError: There is not.
    """
    values = [float(value) for value in rewards]
    if len(values) != replies or not all(math.isfinite(value) for value in values):
        raise DataError(
            f"expected one finite reward a reply, {replies} of them, got {values[:8]}"
            f"{' …' if len(values) > 8 else ''}; correct the reward function"
        )
    return values
