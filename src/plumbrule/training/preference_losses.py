"""Losses on what somebody preferred, as functions of tensors and nothing else."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def preference_loss(
    first: Float[Tensor, " pairs"],
    second: Float[Tensor, " pairs"],
    probability: Float[Tensor, " pairs"],
) -> Float[Tensor, " pairs"]:
    """Cross-entropy of the model's preference against the label's, in nats.

    -[p log s + (1 - p) log(1 - s)] with s = sigmoid(first - second), so that its gradient with
    regard to `first` is s - p. A hard label is p = 1 or p = 0. The two numbers are a reward
    model's scores, or in DPO beta times the replies' log-probabilities above the reference's.

    Example:
        >>> zero = torch.zeros(1)
        >>> round(preference_loss(zero, zero, torch.tensor([0.8])).item(), 4)
        0.6931
    """
    return F.binary_cross_entropy_with_logits(first - second, probability, reduction="none")


def judged_loss(
    ratios: Float[Tensor, " replies"],
    desirable: Bool[Tensor, " replies"],
    divergence: Float[Tensor, ""],
    *,
    beta: float,
) -> Float[Tensor, " replies"]:
    """KTO's loss of single replies: 1 - sigmoid of how much better than expected each came to be.

    Args:
        ratios: Log-probability of each reply less that under the reference, in nats.
        desirable: Whether it is to become likelier; otherwise less likely.
        divergence: Of the model from the reference, in nats, at least 0 and without a gradient:
            what a reply is expected to gain by itself.
        beta: Pull toward the reference.

    Source:
        Ethayarajh et al. (2024), arXiv:2402.01306, equation 7 without the two kinds' weights.

    Example:
        >>> zero = torch.zeros(())
        >>> judged_loss(torch.zeros(1), torch.tensor([True]), zero, beta=0.1).tolist()
        [0.5]
    """
    gain = beta * (ratios - divergence)
    return torch.sigmoid(torch.where(desirable, -gain, gain))
