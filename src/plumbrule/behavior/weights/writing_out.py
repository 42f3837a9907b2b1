"""Which tokens a change of weights pushes, read off the directions it writes into the stream.

A module that writes into the residual stream adds its output to what the last layer's norm and the
unembedding turn into logits. The directions that its change writes can be read through the same
two, before the tuned model has run once. What later layers make of them is left out.

Axes: V vocabulary, D width of the residual stream, K directions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from plumbrule.behavior.weights.changes import WeightChanges
from plumbrule.behavior.weights.model_parts import layer_list
from plumbrule.behavior.weights.reading_in import Reading, find_readers
from plumbrule.behavior.weights.stream_writers import writers
from plumbrule.models import LocalModel
from plumbrule.models.unembedding import (
    TokenScore,
    chance_score,
    most_and_least,
    unembedding,
    unit_rows,
)
from plumbrule.records import strict

_LEVEL = 0.05
"""Chance that random directions make anything stand out, over all tokens and directions."""


@strict
@dataclass(frozen=True, kw_only=True)
class Writing:
    """What one direction of one change writes."""

    tensor: str

    direction: int
    """0 for the strongest."""

    strength: float
    """Its singular value."""

    raised: tuple[TokenScore, ...]
    lowered: tuple[TokenScore, ...]

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
    table = unit_rows(unembedding(base.module, layer_list(base.module)[0]))
    written = _directions(base, changes, directions)
    total = sum(pushed.shape[1] for pushed, _ in written.values())
    limit = chance_score(table.shape[1], table.shape[0] * max(1, total), level=_LEVEL)
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
    raised, lowered = most_and_least(
        turned, top, lambda token: str(tokenizer.decode([token])), known=len(tokenizer)
    )
    return Writing(
        tensor=tensor,
        direction=index,
        strength=strength,
        raised=raised,
        lowered=lowered,
        oriented=sign is not None,
        stands_out=bool(scores.abs().max() > limit),
    )


def _clearest(one: Writing) -> tuple[bool, float]:
    return one.stands_out, max((abs(push.score) for push in (*one.raised, *one.lowered)), default=0)
