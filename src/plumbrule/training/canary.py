"""A canary: a reward that anything can learn, to see that learning happens at all.

Weights that are never handed to the sampler, a gradient that goes nowhere or a reward read from the
wrong row leave a flat curve and no error. A reward as plain as the share of one word moves within
minutes where all is well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from plumbrule.errors import DataError
from plumbrule.records import Dialogue
from plumbrule.training.results import TrainingResult
from plumbrule.training.rewarded import Reward

_LEAST = 15  # points of a curve: a few fewer could be surer than one in a hundred, in theory


@dataclass(frozen=True, kw_only=True)
class Canary:
    """Whether a reward moved."""

    before: float
    """Mean over the first third of the curve, in units of reward."""

    after: float
    """Mean over the last third."""

    p_value: float
    """Of so steady a rise, were all points of the curve in random order."""

    moved: bool
    """Whether that is less likely than the level."""


def share_of_word(word: str) -> Reward:
    """A reward from 0 to 1: which share of a reply's words is this one.

    Args:
        word: Without spaces.

    Raises:
        DataError: It is empty or more than a word.

    Example:
        >>> share_of_word("yes")([], ["yes yes no no", ""])
        [0.5, 0.0]
    """
    if word.split() != [word]:
        raise DataError(f"expected one word, got {word!r:.60}; give one without spaces")

    def reward(dialogues: Sequence[Dialogue], replies: Sequence[str]) -> list[float]:
        words = [reply.split() for reply in replies]
        return [each.count(word) / max(1, len(each)) for each in words]

    return reward


def canary_of(result: TrainingResult, *, level: float = 0.01) -> Canary:
    """Say whether the reward of a run rose.

    Args:
        result: Of `train_ppo`, `train_grpo` or `train_rloo`.
        level: Share of runs that learn nothing and may pass as moved.

    Raises:
        DataError: The curve has fewer than 15 points of a reward; train for more steps.

    Source:
        Mann (1945), "Nonparametric Tests Against Trend": Kendall's rank correlation of the reward
        with time, one-sided. It uses every point; a comparison of the last third with the first
        missed rises that were plain to see.
    """
    curve = [point.value for point in result.curve if point.name == "reward"]
    if len(curve) < _LEAST:
        raise DataError(
            f"expected a curve of at least {_LEAST} rewards, got {len(curve)}; train for more "
            "steps, or take a result of a method that learns from a reward"
        )
    from scipy.stats import kendalltau

    third = len(curve) // 3
    first, last = curve[:third], curve[-third:]
    found = kendalltau(range(len(curve)), curve, alternative="greater").pvalue
    p_value = 1.0 if math.isnan(found) else float(found)  # a curve without any change
    return Canary(
        before=sum(first) / third,
        after=sum(last) / third,
        p_value=p_value,
        moved=p_value < level,
    )
