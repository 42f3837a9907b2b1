"""Neurons as memories: what each reads in given texts, and which tokens it writes.

An MLP ends in a matrix: for each neuron one row, written into the residual stream as strongly as
the neuron is active. The texts that activate it are its key, the tokens that its row raises its
value. Neurons are what the last matrix takes in: behind the gate where there is one.

Axes: N neurons, D width of the residual stream, V vocabulary, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.capturing import read
from plumbrule.mechanism.parts.projections import projection_of
from plumbrule.mechanism.sites import Site, Sites
from plumbrule.models.unembedding import (
    Decode,
    TokenScore,
    chance_score,
    most_and_least,
    unembedding,
    unit_rows,
)
from plumbrule.records import strict

BATCH_ROWS = 32
"""Texts read at once."""

CLEAREST = 20
"""Neurons that are described where none are asked for."""


@strict
@dataclass(frozen=True, kw_only=True)
class TopActivation:
    """One place in the texts that activates a neuron."""

    row: int
    """Which text, from 0."""

    position: int
    """Which token of it, from 0."""

    token: int
    text: str
    activation: float
    """In the model's own unit; 0 is silent for most families."""


@strict
@dataclass(frozen=True, kw_only=True)
class KeyValueMemory:
    """One neuron."""

    layer: int
    neuron: int
    reads: tuple[TopActivation, ...]
    """Where it is most active, at most once a text; empty where no texts were given."""

    writes_positive: bool | None
    """Whether it is active with a positive sign where it is most active, so that it raises what is
    listed as raised; None without texts."""

    raised: tuple[TokenScore, ...]
    """Tokens that its row points to."""

    lowered: tuple[TokenScore, ...]
    """Tokens that its row points away from."""

    stands_out: bool
    """Whether its clearest token is clearer than 5% of sets of as many random rows reach, over all
    neurons of the layer and all tokens."""


def read_memories(
    module: Any,
    sites: Sites,
    layer: int,
    *,
    rows: Sequence[Sequence[int]] = (),
    neurons: Sequence[int] | None = None,
    top: int = 10,
    decode: Decode = str,
) -> tuple[KeyValueMemory, ...]:
    """Describe neurons of one layer.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        layer: Number of the layer.
        rows: Token ids of texts to look for activations in.
        neurons: Which to describe; None: the 20 whose rows point at tokens most clearly.
        top: Tokens and places to list for each.
        decode: Gives a token's text.

    Returns:
        One entry a neuron, in the order asked for, or the clearest first.

    Raises:
        ConfigError: There is no such layer or neuron, or the layer has no MLP.
        DataError: An empty text, or no unembedding as wide as the stream.
        ModelError: The MLP does not end in one matrix, as in a mixture of experts.

    Source:
        Geva et al. (2021), "Transformer feed-forward layers are key-value memories", arXiv
        2012.14913; Geva et al. (2022), arXiv 2203.14680, for reading rows as tokens. The bound
        for what stands out is ours.
    """
    if not 0 <= layer < len(sites.layers):
        raise ConfigError(
            f"expected a layer of {sites.family} from 0 to {len(sites.layers) - 1}, got {layer}"
        )
    if top < 1:
        raise ConfigError(f"top must be at least 1, got {top}")
    projection = projection_of(module, sites, layer, "mlp")
    table = unit_rows(unembedding(module, sites.layers[0].path.rpartition(".")[0]))
    written = unit_rows(projection.rows)
    limit = chance_score(sites.width, len(written) * len(table))
    chosen = _chosen(written, table, neurons)
    scores = (written[chosen] @ table.T) * sites.width**0.5
    readings = _readings(module, projection.path, rows, chosen, top, decode)
    found = []
    for neuron, score, reads in zip(chosen, scores, readings, strict=True):
        raised, lowered = most_and_least(score, top, decode)
        found.append(
            KeyValueMemory(
                layer=layer,
                neuron=neuron,
                reads=reads,
                writes_positive=reads[0].activation > 0 if reads else None,
                raised=raised,
                lowered=lowered,
                stands_out=float(score.abs().max()) > limit,
            )
        )
    return tuple(found)


def _chosen(written: Any, table: Any, neurons: Sequence[int] | None) -> list[int]:
    """The neurons asked for, or those whose rows point at tokens most clearly."""
    import torch

    count = len(written)
    if neurons is None:
        # A few rows at once: one at a time reads the whole table for each, all at once is as many
        # tables as there are neurons.
        clearest = torch.cat([(part @ table.T).abs().amax(1) for part in written.split(64)])
        found: list[int] = clearest.topk(min(CLEAREST, count)).indices.tolist()
        return found
    wrong = [neuron for neuron in neurons if not 0 <= neuron < count]
    if wrong or not neurons:
        raise ConfigError(
            f"expected neurons from 0 to {count - 1}, got {wrong[0] if wrong else 'none'}"
        )
    return list(neurons)


def _readings(
    module: Any,
    path: str,
    rows: Sequence[Sequence[int]],
    chosen: Sequence[int],
    top: int,
    decode: Decode,
) -> list[tuple[TopActivation, ...]]:
    """For each neuron the texts in which it is most active, each with its most active token."""
    if not rows:
        return [()] * len(chosen)
    strongest, places = _strongest(module, path, rows, chosen)
    found = []
    for column in range(len(chosen)):
        order = np.argsort(-np.abs(strongest[:, column]), kind="stable")[:top]
        found.append(
            tuple(
                TopActivation(
                    row=int(row),
                    position=int(places[row, column]),
                    token=int(rows[row][places[row, column]]),
                    text=decode(int(rows[row][places[row, column]])),
                    activation=float(strongest[row, column]),
                )
                for row in order
            )
        )
    return found


def _strongest(
    module: Any, path: str, rows: Sequence[Sequence[int]], chosen: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """For each text and neuron the activation that is farthest from zero, and where."""
    import torch

    if not all(rows):
        raise DataError("expected texts of at least one token, got an empty one; leave it out")
    site = Site(name="neurons", path=path, side="in")
    device = next(module.parameters()).device
    strongest = np.zeros((len(rows), len(chosen)))
    places = np.zeros((len(rows), len(chosen)), dtype=int)
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    for start in range(0, len(order), BATCH_ROWS):
        batch = order[start : start + BATCH_ROWS]
        width = max(len(rows[row]) for row in batch)
        # Padded on the right, where a causal model cannot see it.
        ids = [[*rows[row], *[rows[row][-1]] * (width - len(rows[row]))] for row in batch]
        values = read(module, [site], torch.tensor(ids, device=device))["neurons"]
        for row, value in zip(batch, values[..., list(chosen)].float().cpu(), strict=True):
            here = value[: len(rows[row])]
            at = here.abs().argmax(dim=0)
            strongest[row] = here.gather(0, at[None])[0].numpy()
            places[row] = at.numpy()
    return strongest, places
