"""Tells a judge that has changed from a model that has: by anchors, judged again.

Anchors are conversations of the baseline, frozen with what the judge said of them then. They do
not change, so where the judge says something else of them now, the judge has changed; and how much
more of them it flags is how much more it would flag of the old traffic. What the rate has risen
beyond that is the model's, or its users'.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool

from plumbrule.errors import DataError
from plumbrule.monitoring.detection import ALLOWANCES, RiseDetector
from plumbrule.records import Estimate
from plumbrule.statistics import paired_proportions

Cause = Literal["model", "judge", "both", "undecided"]

LEVEL = 0.98
"""Of the interval of the judge's shift: each end is missed once in a hundred times."""


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """What a rise of the judged rate comes from, as far as the anchors tell."""

    cause: Cause
    shift: Estimate | None
    """How much more of the anchors the judge flags than it did; None without anchors."""

    reason: str


def attribute_rise(
    detector: RiseDetector,
    before: Bool[np.ndarray, " anchors"],
    now: Bool[np.ndarray, " anchors"],
    *,
    level: float = LEVEL,
) -> Attribution:
    """Say whose a rise is.

    The judge has changed where the interval of its shift on the anchors lies above 0. The model
    has where the rate is above its bound even if the judge's shift is as large as that interval
    allows. Neither may be shown yet; more traffic decides the second.

    Args:
        detector: Of the judged rate, with its allowances.
        before: Which anchors the judge flagged when they were frozen.
        now: Which it flags now.
        level: Two-sided confidence level of the shift.

    Raises:
        DataError: The anchors are not the same ones.
    """
    if before.shape != now.shape:
        raise DataError(f"expected {len(before)} anchors judged again, got {len(now)}")
    if not len(before):
        return Attribution(
            cause="undecided", shift=None, reason="there are no anchors to judge again"
        )
    shift = paired_proportions(
        before, now, level=level, unit="change of the share of anchors that are flagged"
    )
    most = max(shift.high, 0.0)
    enough = [place for place, each in enumerate(ALLOWANCES) if each >= most]
    rows = detector.evidence
    model = bool(enough) and enough[0] < len(rows) and bool(rows[enough[0]] >= 1.0)
    judge = shift.low > 0.0
    said = (
        f"the judge flags {100 * shift.value:+.1f} points of the anchors "
        f"[{100 * shift.low:+.1f}, {100 * shift.high:+.1f}]"
    )
    if model:
        cause: Cause = "both" if judge else "model"
        reason = f"{said}, and the rate is above its bound by more than that"
    elif judge:
        cause, reason = "judge", f"{said}, which may be all of the rise"
    else:
        cause, reason = (
            "undecided",
            f"{said}, so the rise may still be either's; more traffic tells",
        )
    return Attribution(cause=cause, shift=shift, reason=reason)
