"""How far a repair moved a model's distribution, in nats a token."""

from collections.abc import Sequence

import numpy as np

from plumbrule.mechanism.repairs.replies import DrawnReply
from plumbrule.mechanism.repairs.reply_batches import log_probs_of
from plumbrule.mechanism.repairs.weight_edits import WeightEdit, edited
from plumbrule.models import LocalModel
from plumbrule.records import Estimate


def neutral_kl(
    model: LocalModel, edit: WeightEdit, drawn: Sequence[DrawnReply], *, level: float = 0.95
) -> Estimate:
    """KL of the repaired model from the model, in nats a token, over whole replies.

    Exact over the vocabulary at each token of replies that the model before drew, a mean over each
    reply and then over replies; the interval is a bootstrap over replies.

    Args:
        model: Before the repair; left as it was.
        edit: The repair.
        drawn: Its replies.
        level: Confidence level.
    """
    from scipy.stats import bootstrap

    before = log_probs_of(model, drawn)
    with edited(model, edit):
        after = log_probs_of(model, drawn)
    values = np.array(
        [
            max(0.0, float((one.exp() * (one - other)).sum(-1).mean()))
            for one, other in zip(before, after, strict=True)
        ]
    )
    mean = float(values.mean())
    low = high = mean
    if len(values) > 1 and values.std() > 0:
        found = bootstrap(
            (values,), np.mean, confidence_level=level, method="percentile", rng=0
        ).confidence_interval
        low, high = min(mean, float(found.low)), max(mean, float(found.high))
    return Estimate(
        value=mean,
        low=low,
        high=high,
        level=level,
        n=len(values),
        unit="nats a token",
        method="bootstrap over replies",
    )
