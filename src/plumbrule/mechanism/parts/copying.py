"""Heads that copy: what a head attends to, it makes the model say.

Two looks that need not agree. In the weights: the whole way from a token through the head's value
and output to the logits is one matrix over the vocabulary, and where its eigenvalues are positive
the head raises tokens like those it reads. In use: how high the token that the head looks at most
is among all tokens that its output raises.

Axes: B sequences, T tokens, H heads, E width of a head, V vocabulary, N tokens sampled, D width.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError
from plumbrule.mechanism.capturing import read
from plumbrule.mechanism.hooks import Reached, watching
from plumbrule.mechanism.parts.heads import attention_patterns
from plumbrule.mechanism.parts.projections import linear_values, projection_of
from plumbrule.mechanism.sites import Site, Sites
from plumbrule.mechanism.tracing import trace
from plumbrule.models.modules import evaluation_mode
from plumbrule.records import Estimate, strict
from plumbrule.statistics import e_bh, paired_difference, paired_e_value
from plumbrule.store import derive_seed

MOST_TOKENS = 4096
"""Tokens that go into the eigenvalues and into comparisons; of a larger vocabulary a sample."""


@strict
@dataclass(frozen=True, kw_only=True)
class HeadCopying:
    """One head, held against copying."""

    layer: int
    head: int

    positive_share: float | None
    """Sum of the eigenvalues of the head's way from tokens to logits over the sum of their sizes:
    1 where it raises what it reads, -1 where it lowers it, about 0 for random weights."""

    reason: str | None
    """Why there is no such share; None where there is one."""

    advantage: Estimate
    """How much higher than the middle of the vocabulary the token that the head looks at most is
    raised by its output, as a share of the vocabulary, from -0.5 to 0.5; per sequence."""

    e_value: float
    confirmed: bool
    """Whether it is among the heads claimed to copy."""


def find_copying(
    module: Any,
    sites: Sites,
    *,
    seed: int,
    sequences: int = 64,
    length: int = 20,
    level: float = 0.05,
    minimum_advantage: float = 0.15,
) -> tuple[HeadCopying, ...]:
    """Score every head for copying what it attends to.

    Only the head's own way to the logits counts, through the last norm's scale: what later layers
    make of its output does not. Layers whose heads are not known are left out.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        seed: Of the random tokens, which come twice as in `find_heads`.
        sequences: Sequences; each is one independent look.
        length: Tokens of a sequence before it is repeated.
        level: Largest expected share of false claims among the heads claimed to copy.
        minimum_advantage: Least advantage that counts, as a share of the vocabulary.

    Returns:
        Every head, those confirmed first and then by advantage.

    Raises:
        ConfigError: A number is none that can be used, or no layer's heads are known.
        DataError: The model has no unembedding as wide as its stream.
        ModelError: The model does not give its attention out.

    Source:
        Elhage et al. (2021), "A mathematical framework for transformer circuits", for the
        eigenvalues of the full OV circuit; Olsson et al. (2022), arXiv 2209.11895, for copying in
        use. Reading values off single tokens, and the test over heads, are ours.
    """
    if sequences < 2 or length < 3:
        raise ConfigError(
            f"length must be at least 3 and sequences at least 2, got {length} and {sequences}"
        )
    layers = [number for number in range(len(sites.layers)) if f"{number}.heads" in sites.names]
    if not layers:
        raise ConfigError(
            f"{sites.family}: no layer's heads are known: {dict(sites.missing).get('0.heads')}"
        )
    outward = _Outward(module, sites, layers, seed=seed)
    shares = _positive_shares(module, sites, layers, outward)
    looks = _looks(module, sites, layers, outward, seed=seed, shape=(sequences, length))
    e_values = np.array(
        [
            paired_e_value(
                np.full_like(look, 0.5),
                look,
                minimum_effect=minimum_advantage,
                alternative="increase",
            )
            for look in looks.values()
        ]
    )
    found = [
        HeadCopying(
            layer=number,
            head=head,
            positive_share=shares[number, head][0],
            reason=shares[number, head][1],
            advantage=paired_difference(
                np.full_like(look, 0.5), look, level=1 - level, unit="share of the vocabulary"
            ),
            e_value=float(e_value),
            confirmed=bool(sure),
        )
        for ((number, head), look), e_value, sure in zip(
            looks.items(), e_values, e_bh(e_values, level=level), strict=True
        )
    ]
    return tuple(sorted(found, key=lambda each: (not each.confirmed, -each.advantage.value)))


class _Outward:
    """Each head's way to the logits of some tokens, one head at a time.

    All heads at once would be as many tables as wide as the vocabulary: 20 GB for a model of 270
    million parameters with a large one.
    """

    def __init__(self, module: Any, sites: Sites, layers: list[int], *, seed: int) -> None:
        from plumbrule.models.unembedding import unembedding

        self.heads = [
            (number, head)
            for number in layers
            for head in range(sites[f"{number}.heads"].heads or 1)
        ]
        self._counts = {number: sites[f"{number}.heads"].heads or 1 for number in layers}
        seen = trace(module)
        self._projections = {
            number: projection_of(module, sites, number, seen=seen) for number in layers
        }
        self._table = unembedding(module, sites.layers[0].path.rpartition(".")[0])
        rng = np.random.default_rng(derive_seed(seed, "copying", "tokens"))
        rows = min(sites.vocabulary, module.get_input_embeddings().weight.shape[0])
        self.chosen = rng.permutation(rows)[:MOST_TOKENS]

    def count(self, number: int) -> int:
        """Heads of a layer."""
        return self._counts[number]

    def written(self, number: int, head: int) -> Float[Any, "E D"]:
        """What a head writes for each number that it gives."""
        return self._projections[number].head(head, self.count(number))

    def sampled(self, number: int, head: int) -> Float[Any, "E N"]:
        """What each number that a head gives does to the tokens sampled."""
        return self.written(number, head) @ self._sample.T

    def onto(self, wrote: Float[Any, "B T D"], tokens: Any) -> Float[Any, "B T"]:
        """What is written does to one token each."""
        return (wrote * self._table[tokens]).sum(-1)

    @cached_property
    def _sample(self) -> Float[Any, "N D"]:
        return self._table[self.chosen]


def _positive_shares(
    module: Any,
    sites: Sites,
    layers: list[int],
    outward: _Outward,
) -> dict[tuple[int, int], tuple[float | None, str | None]]:
    """Share of positive eigenvalues of each head's way from tokens to logits, or why not."""
    import torch

    ids = torch.tensor(outward.chosen, device=next(module.parameters()).device)[:, None]
    # Token by token: with nothing else to attend to, what a head gives is the token's value.
    values = _values(module, sites, layers, ids)
    straight = linear_values(module, sites, layers)
    found: dict[tuple[int, int], tuple[float | None, str | None]] = {}
    for number, head in outward.heads:
        if not straight[number]:
            found[number, head] = (
                None,
                f"what the heads of layer {number} give for a single token is not linear in what "
                "attention reads, so that they have no matrix from tokens to logits",
            )
            continue
        value = values[number].reshape(len(ids), outward.count(number), -1)[:, head].double()
        # What all tokens share, such as a bias or a position, belongs to no token.
        value = value - value.mean(0)
        # The eigenvalues of the large matrix are those of the small one, and zeros.
        eigenvalues = torch.linalg.eigvals(outward.sampled(number, head).double() @ value)
        size = float(eigenvalues.abs().sum())
        if size == 0.0:
            found[number, head] = (None, "the head writes nothing that tells tokens apart")
        else:
            found[number, head] = (float(eigenvalues.real.sum()) / size, None)
    return found


def _values(module: Any, sites: Sites, layers: list[int], ids: Any) -> dict[int, Any]:
    """What the heads of each layer give for single tokens as they are embedded: (N, H E).

    Each layer is given the embeddings instead of what the layers before it made of them.
    """
    import torch

    held: dict[str, Any] = {}
    values: dict[int, Any] = {}

    def embedded(value: Any) -> Any:
        return held.setdefault("embed", value)

    def keep(number: int) -> Any:
        def look(value: Any) -> None:
            values[number] = value.detach().reshape(len(ids), -1).float().cpu()
            if len(values) == len(layers):
                raise Reached

        return look

    looks: dict[Site, Any] = {sites["embed"]: embedded}
    looks |= {sites[f"{number}.in"]: lambda _: held["embed"] for number in layers if number}
    looks |= {sites[f"{number}.heads"]: keep(number) for number in layers}
    with evaluation_mode(module), torch.no_grad(), watching(module, looks), suppress(Reached):
        module(input_ids=ids, use_cache=False)
    return values


def _looks(
    module: Any,
    sites: Sites,
    layers: list[int],
    outward: _Outward,
    *,
    seed: int,
    shape: tuple[int, int],
) -> dict[tuple[int, int], Float[np.ndarray, " B"]]:
    """For each head and sequence, where the token it looks at most is in what it raises."""
    import torch

    rng = np.random.default_rng(derive_seed(seed, "copying"))
    once = rng.integers(min(10, sites.vocabulary // 2), sites.vocabulary, size=shape)
    ids = torch.tensor(
        np.concatenate([once, once], axis=1), device=next(module.parameters()).device
    )
    patterns = attention_patterns(module, sites, ids)
    values = read(module, [sites[f"{number}.heads"] for number in layers], ids)
    later = slice(shape[1], None)
    found = {}
    for number, head in outward.heads:
        given = values[f"{number}.heads"].reshape(*ids.shape, outward.count(number), -1)
        source = torch.tensor(patterns[number][:, head, later].argmax(-1))
        attended = ids.cpu().gather(1, source)
        own = given[:, later, head].float().cpu()
        mine = outward.onto(own @ outward.written(number, head), attended)
        table = outward.sampled(number, head)
        found[number, head] = np.array(
            [_share_below(row @ table, at) for row, at in zip(own, mine, strict=True)]
        )
    return found


def _share_below(logits: Float[Any, "T N"], own: Float[Any, " T"]) -> float:
    """Mean share of the tokens sampled that are below the one looked at; ties count half."""
    # A token is a tie with itself, whichever way its sum was taken.
    near = 1e-5 * logits.abs().amax(1, keepdim=True)
    below = (logits < own[:, None] - near).float().mean(1)
    same = ((logits - own[:, None]).abs() <= near).float().mean(1)
    return float((below + same / 2).mean().clamp(0.0, 1.0))
