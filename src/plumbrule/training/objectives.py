"""The formulas of constitutional training as the field writes them: pure functions of numbers.

The trainers do not call these: they compute the same numbers from tokens, in batches and in set
order. Here each formula stands by itself, to be read, tested and built from.

Axes: R replies or pairs, C tokens of the longest reply.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from plumbrule.errors import ConfigError


def critique_revise_loss(
    log_probs: Float[Tensor, "R C"], revised: Bool[Tensor, "R C"]
) -> Float[Tensor, ""]:
    """-log p(revision | critique, original, principle), mean over exchanges.

    An exchange is one text: the principle, the request, the original reply, its critique and the
    revision. The formula is a weighting of that text's tokens: 1 for those of the revision, the
    token that ends it included, and 0 for all that it is conditioned on.

    Args:
        log_probs: Of each token given those before it, in nats.
        revised: Which tokens are the revision's.

    Returns:
        Nats per exchange.

    Raises:
        ConfigError: An exchange has no token of a revision, so that it teaches nothing.

    Source:
        Bai et al. (2022), "Constitutional AI", arXiv:2212.08073, section 3, where the critique is
        dropped before learning; that the exchange itself may be learned from is ours to offer, see
        `Revising.learn_revising`.

    Example:
        >>> given = torch.tensor([[-1.0, -2.0, -3.0]])
        >>> critique_revise_loss(given, torch.tensor([[False, True, True]])).item()
        5.0
    """
    if not bool(revised.any(1).all()):
        raise ConfigError(
            "expected a token of a revision in every exchange, one has none; leave it out"
        )
    return -log_probs.masked_fill(~revised, 0.0).sum(1).mean()


def preference_probability(
    first: Float[Tensor, " R"], second: Float[Tensor, " R"]
) -> Float[Tensor, " R"]:
    """P(first > second) = sigmoid(r_first - r_second), from rewards in logits.

    Source:
        Bradley & Terry (1952): the form; Christiano et al. (2017), arXiv:1706.03741, equation 1:
        rewards as its strengths.

    Example:
        >>> preference_probability(torch.tensor([2.0]), torch.tensor([2.0])).item()
        0.5
    """
    return torch.sigmoid(first - second)


def reinforcement_loss(
    log_probs: Float[Tensor, " R"],
    rewards: Float[Tensor, " R"],
    *,
    reference: Float[Tensor, " R"] | None = None,
    beta: float = 0.0,
) -> Float[Tensor, ""]:
    """A loss whose gradient is that of -E[reward - beta * log(p / p_reference)] on drawn replies.

    Each reply's log-probability is weighted by how far its penalized reward is from the mean of the
    others' (leave-one-out), which leaves the gradient's expectation as it is and lowers its spread.

    Args:
        log_probs: Of each drawn reply under the model, in nats; carries the gradient.
        rewards: Of each reply, in logits, for example of a preference model trained on AI labels.
        reference: The replies' log-probabilities under the model it is held to; None: not held.
        beta: Price of a nat of divergence, in units of reward.

    Raises:
        ConfigError: There are fewer than two replies, or a price without a reference.

    Source:
        Williams (1992): the score-function gradient; Kool et al. (2019) and Ahmadian et al. (2024),
        arXiv:2402.14740: the leave-one-out mean. The penalty is that of Stiennon et al. (2020),
        arXiv:2009.01325.
    """
    count = len(rewards)
    if count < 2:
        raise ConfigError(f"expected at least 2 replies to compare with one another, got {count}")
    if beta and reference is None:
        raise ConfigError(f"expected a reference to pay {beta} a nat for, got none")
    paid = rewards
    if reference is not None:
        paid = rewards - beta * (log_probs.detach() - reference)
    others = (paid.sum() - paid) / (count - 1)
    return -((paid - others) * log_probs).mean()


def combined_objective(
    language: Float[Tensor, ""], reinforcement: Float[Tensor, ""], weight: float
) -> Float[Tensor, ""]:
    """L = L_LM + weight * L_RL: language modeling and reinforcement learned together.

    Args:
        language: Mean negative log-likelihood of text that is to stay likely, in nats per token.
        reinforcement: `reinforcement_loss`, or any loss on preferences.
        weight: What the second counts for beside the first, 0 or more.

    Raises:
        ConfigError: The weight is negative or no finite number.

    Source:
        Ouyang et al. (2022), arXiv:2203.02155, equation 2, with the roles named the other way
        round: there the language term carries the weight (PPO-ptx).

    Example:
        >>> combined_objective(torch.tensor(2.0), torch.tensor(3.0), 0.5).item()
        3.5
    """
    if not 0 <= weight < float("inf"):
        raise ConfigError(f"weight must be at least 0 and finite, got {weight}")
    return language + weight * reinforcement


def direct_preference_loss(
    chosen: Float[Tensor, " R"],
    rejected: Float[Tensor, " R"],
    *,
    reference_chosen: Float[Tensor, " R"],
    reference_rejected: Float[Tensor, " R"],
    beta: float,
    chosen_tokens: Float[Tensor, " R"] | None = None,
    language_weight: float = 0.0,
) -> Float[Tensor, ""]:
    """DPO's loss on pairs, and beside it the negative log-likelihood of the chosen replies.

    DPO alone may make a chosen reply less likely, as long as the rejected one falls further; the
    language term forbids that.

    Args:
        chosen: Log-probability of each chosen reply under the model, in nats.
        rejected: Of each rejected one.
        reference_chosen: Of the chosen ones under the starting model.
        reference_rejected: Of the rejected ones under it.
        beta: Pull toward the starting model, dimensionless.
        chosen_tokens: Tokens of each chosen reply, needed for the language term.
        language_weight: What the language term counts for, in units of DPO's loss per nat a token.

    Raises:
        ConfigError: A language weight without the numbers of tokens, or a negative one.

    Source:
        Rafailov et al. (2023), arXiv:2305.18290, equation 7; the language term as in Pang et al.
        (2024), "Iterative Reasoning Preference Optimization", arXiv:2404.19733, equation 1, with
        the mean over all tokens of the batch, as TRL's `sft` loss takes it.
    """
    margins = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))
    loss = -F.logsigmoid(margins).mean()
    if not language_weight:
        return loss
    if chosen_tokens is None:
        raise ConfigError("expected the number of tokens of each chosen reply, got none")
    if not 0 < language_weight < float("inf"):
        raise ConfigError(f"language_weight must be at least 0 and finite, got {language_weight}")
    return loss + language_weight * -chosen.sum() / chosen_tokens.sum()
