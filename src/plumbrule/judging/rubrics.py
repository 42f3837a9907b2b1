"""A principle as yes/no items, and what comes of training on them.

Small judges tell single things more surely than a whole rule. What is rewarded item by item may be
learned item by item, so a judge who does not know the items reads the same replies: where the
reward grows and its reading does not, training stops.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from plumbrule.constitution import Principle
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging.prompts import PromptSet
from plumbrule.judging.trial import ask_grades, log_odds
from plumbrule.models import LanguageModel
from plumbrule.records import Estimate
from plumbrule.statistics import betting_interval


@dataclass(frozen=True, kw_only=True)
class RubricItem:
    """One thing that can be said of a reply with yes or no."""

    text: str
    """What a good reply does, one thing alone: "says where the number comes from"."""

    weight: float = 1.0
    """How much it counts beside the others, above 0."""

    def __post_init__(self) -> None:
        if not self.text.strip() or not 0 < self.weight < math.inf:
            raise ConfigError(
                f"a rubric's item needs a text and a weight above 0, got {self.text!r} and "
                f"{self.weight}; put a fault as what a good reply does not do"
            )


def ask_rubric(
    model: LanguageModel,
    principle: Principle,
    items: Sequence[RubricItem],
    replies: Sequence[tuple[str, str]],
    *,
    prompts: PromptSet,
    seeds: Sequence[int],
) -> Float[np.ndarray, "replies rubric"]:
    """Ask about each item of a principle by itself, as a principle of its own.

    Args:
        model: The judge.
        principle: What the items spell out.
        items: At least one.
        replies: Request and reply.
        prompts: The words to ask in.
        seeds: One per reply.

    Returns:
        Probability that each reply does what each item says; NaN where no answer came.
    """
    if not items:
        raise ConfigError(f"the rubric of `{principle.id}` needs at least one item, got none")
    single = [replace(principle, text=item.text) for item in items]
    options = prompts.template("grade").options
    asked = [(each, request, reply) for request, reply in replies for each in single]
    choices = ask_grades(
        model, asked, prompts=prompts, seeds=[seed for seed in seeds for _ in items]
    )
    odds = [log_odds(choice, options, "pass", "fail") for choice in choices]
    met = [math.nan if each is None else float(expit(each)) for each in odds]
    return np.asarray(met).reshape(len(replies), len(items))


def rubric_rewards(
    met: Float[np.ndarray, "replies rubric"], weights: Sequence[float]
) -> list[float | None]:
    """How much of its rubric each reply meets: the weighted mean of its items.

    Args:
        met: From 0 to 1, or NaN where nobody said; such an item is left out of that reply's mean.
        weights: One per item, above 0.

    Returns:
        From 0 to 1, one per reply; None where no item was answered.

    Raises:
        DataError: The weights do not fit, or something lies outside its range.

    Source:
        Gunjal et al. (2025), "Rubrics as Rewards", arXiv:2507.17746: r = sum w c / sum w.

    Example:
        >>> rubric_rewards(np.array([[1.0, 0.0], [np.nan, np.nan]]), [3, 1])
        [0.75, None]
    """
    given, weight = np.asarray(met, float), np.asarray(weights, float)
    if given.ndim != 2 or weight.shape != given.shape[1:] or not (weight > 0).all():
        raise DataError(
            f"expected one weight above 0 for each of the {given.shape[-1]} items, got {weights}"
        )
    if not (np.isnan(given) | ((given >= 0) & (given <= 1))).all():
        raise DataError("an item is met from 0 to 1, or NaN where nobody said; got others")
    heard = np.isfinite(given) * weight
    total = heard.sum(axis=1)
    got = (np.nan_to_num(given) * heard).sum(axis=1)
    return [
        float(one / two) if two > 0 else None
        for one, two in zip(got.tolist(), total.tolist(), strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class RubricGap:
    """How far the rubric's judge has run ahead of one who does not know the rubric."""

    step: int

    growth: Estimate
    """Growth of (rubric - reference) since the first checkpoint, in reward points."""

    stop: bool
    """Whether it is confirmed to be more than the tolerance."""


def watch_gap(
    steps: Sequence[int],
    proxy: Float[np.ndarray, "checkpoints prompts"],
    reference: Float[np.ndarray, "checkpoints prompts"],
    *,
    tolerance: float = 0.05,
    level: float = 0.95,
) -> list[RubricGap]:
    """See whether a model learns the rubric in place of what the rubric stands for.

    A judge without the rubric reads the same replies at each checkpoint. Where the reward grows
    and its reading does not, what is learned is the rubric: training stops there.

    Args:
        steps: Of the checkpoints, the first one before training.
        proxy: Reward by the rubric, 0 to 1, of the reply to each prompt.
        reference: What the held-out judge gives the same replies, 0 to 1.
        tolerance: Growth of the gap that is put up with, in reward points; ours.
        level: That no checkpoint is stopped at for nothing, over all of them together.

    Returns:
        One entry per checkpoint after the first, up to the one that says stop.

    Raises:
        DataError: Fewer than two checkpoints, shapes that do not fit, values outside 0 to 1.

    Source:
        The gap of arXiv:2605.12474, with betting intervals over all looks; the rule is ours.
    """
    one, two = np.asarray(proxy, float), np.asarray(reference, float)
    if one.shape != two.shape or one.ndim != 2 or len(steps) != len(one) or len(one) < 2:
        raise DataError(
            "expected rewards and readings of the same checkpoints and prompts, at least two "
            f"checkpoints; got shapes {one.shape}, {two.shape} and {len(steps)} steps"
        )
    if not ((np.stack([one, two]) >= 0) & (np.stack([one, two]) <= 1)).all():
        raise DataError("rewards and readings must lie between 0 and 1; leave out what has none")
    looks = len(one) - 1
    gap = one - two
    found = []
    for at in range(1, len(one)):
        growth = betting_interval(
            np.clip(gap[at] - gap[0], -2.0, 2.0),
            low_bound=-2.0,
            high_bound=2.0,
            level=1 - (1 - level) / looks,
            unit="reward points",
        )
        found.append(RubricGap(step=steps[at], growth=growth, stop=growth.low > tolerance))
        if found[-1].stop:
            break
    return found
