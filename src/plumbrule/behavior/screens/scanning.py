"""Two forward passes over prompts, and where they part: nothing is generated.

Axes: R rows (prompts of a batch), T tokens, D width, V vocabulary, L layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.models import LocalModel

MOST_TOKENS = 8192
"""Tokens in a batch, padding included."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What both models make of each prompt, just before they would reply. Axes: P prompts."""

    first_token: Float[np.ndarray, " P"]
    """Total variation distance between the two distributions of the reply's first token, 0 to 1."""

    divergence: Float[np.ndarray, " P"]
    """Kullback-Leibler divergence of the same, base from tuned, in nats."""

    shift: Float[np.ndarray, " P"]
    """How far the last position's residual stream moved, as a share of its length; the largest
    over the layers."""

    raised: tuple[tuple[int, ...], ...]
    """Tokens that the tuned model likes more as the first of its reply, by prompt."""

    def followed_by(self, other: "Scan") -> "Scan":
        """This scan and one of further prompts, one after the other."""
        return Scan(
            first_token=np.concatenate([self.first_token, other.first_token]),
            divergence=np.concatenate([self.divergence, other.divergence]),
            shift=np.concatenate([self.shift, other.shift]),
            raised=(*self.raised, *other.raised),
        )


def scan(base: LocalModel, tuned: LocalModel, texts: Sequence[Sequence[int]]) -> Scan:
    """Run both models over prompts as tokens.

    Args:
        base: The base model.
        tuned: The tuned one, with the same tokens.
        texts: Prompts up to where the reply begins.
    """
    import torch

    from plumbrule.models.drawing import check_numbers

    count = len(texts)
    found = {name: np.zeros(count) for name in ("first_token", "divergence", "shift")}
    raised: list[tuple[int, ...]] = [()] * count
    order = sorted(range(count), key=lambda item: -len(texts[item]))
    start = 0
    with torch.inference_mode():
        while start < count:
            width = len(texts[order[start]])
            batch = order[start : start + max(1, MOST_TOKENS // width)]
            start += len(batch)
            rows = [texts[item] for item in batch]
            before, states = _forward(base, rows)
            after, moved = _forward(tuned, rows)
            base.usage.tokens_scored += sum(map(len, rows))
            tuned.usage.tokens_scored += sum(map(len, rows))
            # Rows beyond the smaller vocabulary are padding: the tokenizer has no token for them.
            size = min(before.shape[-1], after.shape[-1])
            one = check_numbers(before[:, :size]).log_softmax(-1)
            other = check_numbers(after[:, :size]).log_softmax(-1)
            p, q = one.exp(), other.exp()
            found["first_token"][batch] = ((p - q).clamp(min=0).sum(-1)).double().cpu().numpy()
            found["divergence"][batch] = (
                (p * (one - other)).sum(-1).clamp(min=0).double().cpu().numpy()
            )
            relative = (moved - states).norm(dim=-1) / states.norm(dim=-1).clamp(min=1e-9)
            found["shift"][batch] = relative.amax(0).double().cpu().numpy()
            gains = (q - p).topk(min(4, q.shape[-1]), dim=-1)
            for place, item in enumerate(batch):
                raised[item] = tuple(
                    int(token)
                    for token, gain in zip(
                        gains.indices[place].tolist(), gains.values[place].tolist(), strict=True
                    )
                    if gain > 0.02
                )
    return Scan(raised=tuple(raised), **found)


def _forward(model: LocalModel, rows: Sequence[Sequence[int]]) -> Any:
    """Logits after the last token, and the residual stream there at each layer: (R V), (L R D)."""
    import torch

    device = next(model.module.parameters()).device
    width = max(map(len, rows))
    # Padded on the right: what follows a token cannot reach it in a causal model.
    ids = torch.tensor([[*row, *[row[-1]] * (width - len(row))] for row in rows], device=device)
    last = torch.tensor([len(row) - 1 for row in rows], device=device)
    out = model.module(input_ids=ids, use_cache=False, output_hidden_states=True)
    here = torch.arange(len(rows), device=device)
    logits = out["logits"][here, last].float()
    states = torch.stack([layer[here, last].float() for layer in out["hidden_states"]])
    return logits, states
