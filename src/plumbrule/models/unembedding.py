"""What a move of the residual stream does to each next token, as one table.

Axes: V vocabulary, D width of the residual stream.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from plumbrule.errors import DataError
from plumbrule.records import strict

Decode = Callable[[int], str]
"""Turns a token into its text."""


@strict
@dataclass(frozen=True, kw_only=True)
class TokenScore:
    """One token and how strongly something points at it."""

    token: int
    text: str
    score: float
    """Cosine times the root of the width: for a random direction about normal, with standard
    deviation 1."""


def unembedding(module: Any, layers: str) -> Float[Any, "V D"]:
    """What a move of the stream does to each logit, less what it does to all of them.

    The last norm's scale is applied; its division by the length of the stream is the same for
    all tokens. A shift of all logits alike changes no probability.

    Args:
        module: A causal language model; left as it was.
        layers: Name of its list of layers: norms in there are not the last one.

    Raises:
        DataError: It has no unembedding as wide as its stream.
    """
    import torch

    head = module.get_output_embeddings()
    weight = getattr(head, "weight", None)
    width = int(module.get_input_embeddings().weight.shape[1])
    if weight is None or weight.ndim != 2 or weight.shape[1] != width:
        raise DataError(
            "expected an unembedding as wide as the residual stream, this model has none; what its "
            "modules write cannot be read off as tokens"
        )
    table = weight.detach().float().cpu()
    centered: Any = table - table.mean(dim=0)
    last = None
    for name, part in module.named_modules():
        scale = getattr(part, "weight", None)
        outside = not name.startswith(f"{layers}.") and part is not head
        if outside and isinstance(scale, torch.Tensor) and scale.shape == (width,):
            last = part
    return centered if last is None else centered * norm_scale(last, width)


def norm_scale(part: Any, width: int) -> Float[Any, " D"]:
    """What a norm multiplies each number by, beside its division by the length of them all."""
    import torch

    weight = part.weight
    # Some families store the scale less 1; what a vector of ones comes out as tells.
    with torch.no_grad():
        signs = torch.ones(1, 1, width, dtype=weight.dtype, device=weight.device)
        signs[..., 1::2] = -1
        # Half the difference of both signs leaves a bias out.
        return ((part(signs) - part(-signs)) / 2 * signs).float().cpu().reshape(-1)


def unit_rows(table: Float[Any, "V D"]) -> Float[Any, "V D"]:
    """Rows of length 1; a row of zeros stays one."""
    import torch

    unit: Any = table / torch.linalg.vector_norm(table, dim=1, keepdim=True).clamp(min=1e-12)
    return unit


def chance_score(width: int, tries: int, *, level: float = 0.05) -> float:
    """Score that the largest of so many random ones exceeds with probability `level`.

    Example:
        >>> chance_score(64, 1000) < chance_score(64, 1_000_000)
        True
    """
    # The squared cosine with a random direction is beta distributed with these two parameters.
    share = stats.beta.isf(level / tries, 0.5, (width - 1) / 2)
    return float(np.sqrt(share * width))


def most_and_least(
    scores: Float[Any, " V"], top: int, decode: Decode, *, known: int | None = None
) -> tuple[tuple[TokenScore, ...], tuple[TokenScore, ...]]:
    """Tokens with the largest and with the smallest scores, the most extreme first.

    Args:
        scores: One per token.
        top: How many each way.
        decode: Gives a token's text.
        known: Tokens that the tokenizer knows; a table may have more rows.
    """
    count = min(top, len(scores))

    def named(tokens: Sequence[int]) -> tuple[TokenScore, ...]:
        return tuple(
            TokenScore(token=token, text=decode(token), score=float(scores[token]))
            for token in tokens
            if known is None or token < known
        )

    return (
        named(scores.topk(count).indices.tolist()),
        named((-scores).topk(count).indices.tolist()),
    )
