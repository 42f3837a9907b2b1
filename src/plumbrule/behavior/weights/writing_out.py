"""Which tokens a change of weights pushes, read off the directions it writes into the stream.

A module that writes into the residual stream adds its output to what the last layer's norm and the
unembedding turn into logits. The directions that its change writes can be read through the same
two, before the tuned model has run once. What later layers make of them is left out.

Axes: V vocabulary, D width of the residual stream, K directions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor, nn

from plumbrule.behavior.weights.changes import WeightChanges
from plumbrule.behavior.weights.model_parts import layer_list
from plumbrule.behavior.weights.reading_in import Reading, find_readers
from plumbrule.behavior.weights.stream_writers import writers
from plumbrule.errors import DataError
from plumbrule.models import LocalModel
from plumbrule.records import strict

_LEVEL = 0.05
"""Chance that random directions make anything stand out, over all tokens and directions."""


@strict
@dataclass(frozen=True, kw_only=True)
class Push:
    """One token and how strongly a direction points at it."""

    token: int
    text: str

    score: float
    """Cosine with the token's unembedding times the root of the width: for a random direction
    about normal, with standard deviation 1."""


@strict
@dataclass(frozen=True, kw_only=True)
class Writing:
    """What one direction of one change writes."""

    tensor: str

    direction: int
    """0 for the strongest."""

    strength: float
    """Its singular value."""

    raised: tuple[Push, ...]
    lowered: tuple[Push, ...]

    oriented: bool
    """Whether the sign is known from what the prompts give the module. Where not, raised and
    lowered may be exchanged."""

    stands_out: bool
    """Its largest score is larger than 5% of sets of as many random directions reach."""


def writing_out(
    base: LocalModel,
    changes: WeightChanges,
    *,
    reading: Reading | None = None,
    top: int = 10,
    directions: int = 4,
) -> tuple[Writing, ...]:
    """Say which tokens the changed modules push, the clearest first.

    Args:
        base: The model before the change; left as it was, also after an error.
        changes: What `compare_weights` or `compare_folders` found.
        reading: What prompts give to these modules, which decides the signs.
        top: Tokens to name each way.
        directions: Most directions to look at of each module, the strongest first.

    Returns:
        One entry a direction; those that stand out come first, the strongest push before others.
        Empty where no changed module writes into the residual stream.

    Raises:
        DataError: The model has no unembedding of the width of its stream, or nothing changed that
            could be listened to.
    """
    table = _unembedding(base.module)
    written = _directions(base, changes, directions)
    total = sum(pushed.shape[1] for pushed, _ in written.values())
    limit = _limit(table.shape[1], table.shape[0] * max(1, total))
    found = []
    for tensor, (pushed, strengths) in written.items():
        scores = (table @ pushed) * table.shape[1] ** 0.5
        for index, strength in enumerate(strengths):
            sign = _sign(reading, tensor, index)
            found.append(
                _writing(
                    base.tokenizer, tensor, index, strength, scores[:, index], sign, top, limit
                )
            )
    return tuple(sorted(found, key=_clearest, reverse=True))


def _directions(
    base: LocalModel, changes: WeightChanges, most: int
) -> Mapping[str, tuple[Float[Tensor, "D K"], list[float]]]:
    """Unit directions that each changed writer adds to the stream, and their strengths."""
    width = int(base.module.get_input_embeddings().weight.shape[1])
    parts = dict(base.module.named_modules(remove_duplicate=False))
    owners: dict[str, tuple[str, Tensor, Tensor]] = {}
    for reader in find_readers(base.module, changes)[0]:
        part, found = parts[reader.module], changes.directions[reader.tensor]
        if isinstance(part, nn.Embedding):
            continue
        written = found.left if isinstance(part, nn.Linear) else found.right
        if written.shape[0] == width:
            owners[reader.module] = (reader.tensor, written, found.values)
    return {
        owners[name][0]: (owners[name][1][:, :most], owners[name][2][:most].tolist())
        for name in writers(base.module, list(owners))
    }


def _unembedding(module: Any) -> Float[Tensor, "V D"]:
    """What a move of the stream does to each logit: rows of length 1, what all share taken off.

    The last norm's scale is applied; its division by the length of the stream is the same for
    all tokens. A shift of all logits alike changes no probability.
    """
    head = module.get_output_embeddings()
    weight = getattr(head, "weight", None)
    width = int(module.get_input_embeddings().weight.shape[1])
    if weight is None or weight.ndim != 2 or weight.shape[1] != width:
        raise DataError(
            "expected an unembedding as wide as the residual stream, this model has none; what its "
            "modules write cannot be read off as tokens"
        )
    table = weight.detach().float().cpu()
    table = (table - table.mean(dim=0)) * _final_scale(module, width)
    unit: Tensor = table / torch.linalg.vector_norm(table, dim=1, keepdim=True).clamp(min=1e-12)
    return unit


def _final_scale(module: Any, width: int) -> Tensor:
    """Scale of the norm before the unembedding: the last vector of the stream's width."""
    prefix = layer_list(module)[0] + "."
    head = module.get_output_embeddings()
    scale = torch.ones(width)
    for name, part in module.named_modules():
        weight = getattr(part, "weight", None)
        outside = not name.startswith(prefix) and part is not head
        if outside and isinstance(weight, Tensor) and weight.shape == (width,):
            # Some families store the scale less 1; what a vector of ones comes out as tells.
            with torch.no_grad():
                signs = torch.ones(1, 1, width, dtype=weight.dtype, device=weight.device)
                signs[..., 1::2] = -1
                # Half the difference of both signs leaves a bias out.
                scale = ((part(signs) - part(-signs)) / 2 * signs).float().cpu().reshape(-1)
    return scale


def _limit(width: int, tries: int) -> float:
    """Score that the largest of so many random ones exceeds with probability `_LEVEL`."""
    # The squared cosine with a random direction is beta distributed with these two parameters.
    share = stats.beta.isf(_LEVEL / tries, 0.5, (width - 1) / 2)
    return float(np.sqrt(share * width))


def _sign(reading: Reading | None, tensor: str, index: int) -> float | None:
    if reading is None or tensor not in reading.projections:
        return None
    return -1.0 if reading.projections[tensor][index] < 0 else 1.0


def _writing(
    tokenizer: Any,
    tensor: str,
    index: int,
    strength: float,
    scores: Float[Tensor, " V"],
    sign: float | None,
    top: int,
    limit: float,
) -> Writing:
    turned = scores * (sign or 1.0)
    count = min(top, len(turned))
    raised, lowered = turned.topk(count).indices, (-turned).topk(count).indices
    return Writing(
        tensor=tensor,
        direction=index,
        strength=strength,
        raised=_pushes(tokenizer, turned, raised),
        lowered=_pushes(tokenizer, turned, lowered),
        oriented=sign is not None,
        stands_out=bool(scores.abs().max() > limit),
    )


def _pushes(tokenizer: Any, scores: Tensor, tokens: Tensor) -> tuple[Push, ...]:
    known = len(tokenizer)
    return tuple(
        Push(token=token, text=tokenizer.decode([token]), score=float(scores[token]))
        for token in tokens.tolist()
        if token < known
    )


def _clearest(one: Writing) -> tuple[bool, float]:
    return one.stands_out, max((abs(push.score) for push in (*one.raised, *one.lowered)), default=0)
