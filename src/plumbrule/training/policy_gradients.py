"""The arithmetic of proximal policy optimization, as functions of tensors and nothing else.

Axes: R rows (replies), C columns (tokens). A row's own tokens are those where its mask is true;
they lie side by side, and columns before and behind them belong to longer or later replies.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_STEP = 0.1
_MOST_ERROR = 0.2


@dataclass(frozen=True, kw_only=True)
class Advantages:
    """What each token brought beyond what was expected."""

    advantages: Float[Tensor, "R C"]
    """In units of reward; 0 where a row has no token."""

    returns: Float[Tensor, "R C"]
    """What the value at each token should have been: advantage plus value."""


@dataclass(frozen=True, kw_only=True)
class ClippedLoss:
    """A clipped loss, token by token."""

    losses: Float[Tensor, "R C"]
    """0 where a row has no token."""

    clipped: Bool[Tensor, "R C"]
    """Where the clipped term is the one that counts, so that no gradient is left."""


def masked_mean(values: Float[Tensor, "R C"], mask: Bool[Tensor, "R C"]) -> Float[Tensor, ""]:
    """Mean over the tokens there are.

    Example:
        >>> masked_mean(torch.tensor([[1.0, 9.0]]), torch.tensor([[True, False]])).item()
        1.0
    """
    return torch.where(mask, values, 0).sum() / mask.sum()


def whiten(
    values: Float[Tensor, "R C"], mask: Bool[Tensor, "R C"], *, shift: bool = True
) -> Float[Tensor, "R C"]:
    """Scale to standard deviation 1 over the tokens there are, and shift to mean 0 if asked to.

    Values that are all the same have no scale: they become 0, or stay as they are without `shift`.

    Args:
        values: Numbers, one per token.
        mask: Which tokens there are.
        shift: Take the mean away; rewards keep theirs, since its sign says what is good.

    Example:
        >>> whiten(torch.tensor([[1.0, 3.0]]), torch.tensor([[True, True]])).tolist()
        [[-1.0, 1.0]]
    """
    mean = masked_mean(values, mask)
    spread = masked_mean((values - mean) ** 2, mask).sqrt()
    # Rounding leaves equal values a spread of some last bits, which is no scale.
    scale = torch.where(spread > 1e-6 * (1 + mean.abs()), spread, 1)
    moved = values - mean if shift else values
    return torch.where(mask, moved / scale, 0)


def token_rewards(
    scores: Float[Tensor, " R"],
    log_probs: Float[Tensor, "R C"],
    reference: Float[Tensor, "R C"],
    mask: Bool[Tensor, "R C"],
    *,
    coefficient: float,
) -> Float[Tensor, "R C"]:
    """Reward of each token: a penalty for leaving the reference, and the score at the last one.

    Args:
        scores: What each reply earned.
        log_probs: Of the tokens drawn, under the model that drew them, in nats.
        reference: The same under the starting model.
        mask: Which tokens there are; at least one per row.
        coefficient: Penalty per nat.

    Source:
        Ziegler et al. (2019), arXiv:1909.08593, section 2.1: R = r - beta log(pi / rho), spread
        over the tokens.
    """
    rewards = torch.where(mask, -coefficient * (log_probs - reference), 0)
    columns = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask, columns, -1).amax(1)
    return rewards.index_put(
        (torch.arange(len(scores), device=mask.device), last), scores, accumulate=True
    )


def advantages_of(
    rewards: Float[Tensor, "R C"],
    values: Float[Tensor, "R C"],
    mask: Bool[Tensor, "R C"],
    *,
    discount: float,
    decay: float,
) -> Advantages:
    """Generalized advantage estimates; a reply's end is the end, with nothing expected after it.

    With errors delta_t = r_t + discount V_(t+1) - V_t, the advantage is their sum from t on, each
    later one less by discount times decay.

    Args:
        rewards: Of each token.
        values: What was expected before each token, of this one and all later.
        mask: Which tokens there are.
        discount: What a reward one token later counts for.
        decay: Lambda: 0 trusts the values, 1 what came of it.

    Source:
        Schulman et al. (2016), arXiv:1506.02438, equation 16.
    """
    found = torch.zeros_like(values)
    ahead = torch.zeros_like(values[:, 0])
    expected = torch.zeros_like(values[:, 0])
    for column in reversed(range(values.shape[1])):
        here = mask[:, column]
        error = rewards[:, column] + discount * expected - values[:, column]
        ahead = torch.where(here, error + discount * decay * ahead, 0)
        expected = torch.where(here, values[:, column], 0)
        found[:, column] = ahead
    return Advantages(advantages=found, returns=torch.where(mask, found + values, 0))


def clipped_policy_loss(
    log_probs: Float[Tensor, "R C"],
    drawn: Float[Tensor, "R C"],
    advantages: Float[Tensor, "R C"],
    mask: Bool[Tensor, "R C"],
    *,
    clip: float,
) -> ClippedLoss:
    """The clipped surrogate: -min(ratio A, clip(ratio, 1 - clip, 1 + clip) A).

    Args:
        log_probs: Of the tokens drawn, under the model as it is now, in nats.
        drawn: The same at the time of drawing.
        advantages: Of each token.
        mask: Which tokens there are.
        clip: How far the ratio may go from 1.

    Source:
        Schulman et al. (2017), arXiv:1707.06347, equation 7.
    """
    # Padding has differences of whatever is there, whose exponential may overflow.
    ratio = torch.where(mask, log_probs - drawn, 0).exp()
    plain = ratio * advantages
    bounded = ratio.clamp(1 - clip, 1 + clip) * advantages
    return ClippedLoss(
        losses=torch.where(mask, -torch.minimum(plain, bounded), 0),
        clipped=mask & (bounded < plain),
    )


def clipped_value_loss(
    values: Float[Tensor, "R C"],
    drawn: Float[Tensor, "R C"],
    returns: Float[Tensor, "R C"],
    mask: Bool[Tensor, "R C"],
    *,
    clip: float,
) -> ClippedLoss:
    """Half the larger squared error of the value and of the value kept near what it was.

    Args:
        values: What is expected now.
        drawn: What was expected at the time of drawing.
        returns: What should have been expected.
        mask: Which tokens there are.
        clip: How far a value may go from what it was, in units of reward.

    Source:
        Not in the paper; in its authors' code, and in Huang et al. (2022), "The 37 Implementation
        Details of Proximal Policy Optimization", detail 9.
    """
    near = drawn + (values - drawn).clamp(-clip, clip)
    plain, bounded = (values - returns) ** 2, (near - returns) ** 2
    return ClippedLoss(
        losses=torch.where(mask, 0.5 * torch.maximum(plain, bounded), 0),
        clipped=mask & (bounded > plain),
    )


def next_coefficient(coefficient: float, *, divergence: float, target: float | None) -> float:
    """The penalty for the next batch, steered so that the divergence reaches its target.

    Args:
        coefficient: The one of this batch.
        divergence: Of the batch, in nats per reply.
        target: Where it should be; None leaves the coefficient as it is.

    Source:
        Ziegler et al. (2019), arXiv:1909.08593, section 2.2: proportional control of the
        logarithm, errors cut at a fifth, a tenth of them taken each batch.

    Example:
        >>> round(next_coefficient(0.05, divergence=12.0, target=6.0), 5)
        0.051
        >>> next_coefficient(0.05, divergence=12.0, target=None)
        0.05
    """
    if target is None:
        return coefficient
    error = min(max(divergence / target - 1, -_MOST_ERROR), _MOST_ERROR)
    return coefficient * (1 + _STEP * error)


def explained_variance(
    values: Float[Tensor, "R C"], returns: Float[Tensor, "R C"], mask: Bool[Tensor, "R C"]
) -> float | None:
    """Share of the returns' variance that the values foresaw; None where there is no variance.

    1: all of it; 0: no more than a constant would; below 0: less than that.
    """
    kept, found = returns[mask].double(), values[mask].double()
    variance = kept.var(correction=0)
    if not variance > 1e-12:
        return None
    return float(1 - (kept - found).var(correction=0) / variance)
