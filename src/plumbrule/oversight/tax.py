"""The alignment tax: what a review cost, and what it bought against less oversight."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plumbrule.errors import DataError
from plumbrule.oversight.records import COSTS, Cost, Outcome, Report, total
from plumbrule.oversight.running import Review
from plumbrule.records import Estimate, strict
from plumbrule.statistics import paired_proportions, wilson


@strict
@dataclass(frozen=True, kw_only=True)
class Trial:
    """One piece of work whose truth is known, judged with and without oversight."""

    id: str
    sound: bool
    """The truth."""

    reviewed: Outcome
    """What the review came to."""

    review_cost: Cost
    direct: Outcome
    """What one direct judgment came to."""

    direct_cost: Cost


@strict
@dataclass(frozen=True, kw_only=True)
class Tax:
    """What oversight cost and bought on work of known truth.

    An outcome that is neither pass nor fail is not a right answer. How many there were stands in
    `undecided`, and the bounds say what accuracy would be if all of those were wrong or right.
    """

    trials: int
    review_cost: Cost
    """Of all reviews together."""

    direct_cost: Cost
    per_review: dict[str, float]
    """Mean extra cost of a review over a direct judgment, by kind of cost."""

    reviewed: Estimate
    """Accuracy of the reviews, undecided ones counted as wrong."""

    reviewed_best: float
    """The same with undecided ones counted as right."""

    direct: Estimate
    unseen: Estimate
    """Accuracy of passing everything without a look."""

    over_none: Estimate
    """Accuracy gained over no oversight, paired."""

    over_direct: Estimate
    """Accuracy gained over one direct judgment, paired."""

    undecided: int
    undecided_direct: int
    per_right_answer: dict[str, float] | None
    """Extra cost for each right answer more than direct judgment gives, by kind of cost."""

    reason: str | None
    """Why there is no such price; None where there is one."""


def trial_of(done: Review, direct: Report, *, id: str, sound: bool) -> Trial:
    """What a review and a direct judgment of the same work came to, beside its truth.

    Args:
        done: The review.
        direct: The report of one specialist that judged the work whole.
        id: Of the work.
        sound: Whether it is.
    """
    return Trial(
        id=id,
        sound=sound,
        reviewed=done.verdict.outcome,
        review_cost=done.verdict.cost,
        direct=direct.verdict,
        direct_cost=direct.cost,
    )


def alignment_tax(trials: Sequence[Trial], *, level: float = 0.95) -> Tax:
    """Compare reviews with passing everything and with one direct judgment, on the same work.

    Args:
        trials: Work of known truth; both flawed and sound work should be among it.
        level: Two-sided confidence level of each interval.

    Returns:
        Costs, accuracies with Wilson's interval, and paired differences with Tango's.

    Raises:
        DataError: No trials, or two of the same id.
        ConfigError: `level` is not strictly between 0 and 1.
    """
    if not trials or len({trial.id for trial in trials}) < len(trials):
        raise DataError(
            f"a tax takes trials, each of its own id; got {len(trials)} with "
            f"{len({trial.id for trial in trials})} ids"
        )
    reviewed = np.array([_right(trial.reviewed, trial.sound) for trial in trials])
    direct = np.array([_right(trial.direct, trial.sound) for trial in trials])
    unseen = np.array([trial.sound for trial in trials])
    unit = "right answers per piece of work"
    undecided = sum(trial.reviewed not in ("pass", "fail") for trial in trials)
    cost, plain = total([each.review_cost for each in trials]), total(
        [each.direct_cost for each in trials]
    )  # fmt: skip
    extra = {each.name: getattr(cost, each.name) - getattr(plain, each.name) for each in COSTS}
    gained = int(reviewed.sum()) - int(direct.sum())
    return Tax(
        trials=len(trials),
        review_cost=cost,
        direct_cost=plain,
        per_review={name: value / len(trials) for name, value in extra.items()},
        reviewed=wilson(int(reviewed.sum()), len(trials), level=level, unit=unit),
        reviewed_best=(int(reviewed.sum()) + undecided) / len(trials),
        direct=wilson(int(direct.sum()), len(trials), level=level, unit=unit),
        unseen=wilson(int(unseen.sum()), len(trials), level=level, unit=unit),
        over_none=paired_proportions(unseen, reviewed, level=level, unit=unit),
        over_direct=paired_proportions(direct, reviewed, level=level, unit=unit),
        undecided=undecided,
        undecided_direct=sum(trial.direct not in ("pass", "fail") for trial in trials),
        per_right_answer=(
            {name: value / gained for name, value in extra.items()} if gained > 0 else None
        ),
        reason=None if gained > 0 else "reviews gave no more right answers than direct judgment",
    )


def _right(outcome: Outcome, sound: bool) -> bool:
    return outcome == ("pass" if sound else "fail")
