"""What a hand-set model computes, said in words that can be read: subspaces, heads, memories.

The residual stream is a sum of named subspaces, such as `token` or `previous`. A head looks where
what it reads from two subspaces matches, and moves what is in one subspace there into another
one here; a memory answers patterns with vectors. Nothing here knows of weights or model families.

Axes: K patterns of a memory, S size of a subspace.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError
from plumbrule.records import strict

ONE = "one"
"""The subspace that always holds the number 1: what does not depend on the tokens is read there."""

POSITION = "position"
"""The subspace of the position, one direction each; only some families have it."""

NOISE = "noise"
"""The subspace that distractors write to and read from, and nothing else reads."""

CHATTER = "chatter"
"""Two directions that distractors write to and the unembedding reads: the first moves all tokens
alike, the second only tokens that are no answers. Neither moves one answer against another."""

STRENGTH = 10.0
"""Usual lead of a match in attention, in nats: it leaves 0.7% to a sink at half of it, so that the
softmax is sharp and still has a slope."""

Vector = Float[np.ndarray, " S"]


@strict
@dataclass(frozen=True, kw_only=True)
class Match:
    """Looks where what is read here and what is read there are alike."""

    query: str
    """Subspace read where the head is."""

    key: str
    """Subspace read where it looks; of the same size."""

    strength: float = STRENGTH
    """Score of two equal unit vectors, in nats; below 0 it keeps away."""


@strict
@dataclass(frozen=True, kw_only=True)
class Offset:
    """Looks a fixed number of tokens back, whatever is there."""

    back: int
    strength: float = STRENGTH
    """Least lead over every other position, in nats; below 0 the position is avoided."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """Moves what is read where a head looks into a subspace where it is."""

    source: str
    target: str
    table: Float[np.ndarray, "S1 S2"] | None = None
    """What each direction of the source becomes in the target; None: itself."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """One attention head."""

    name: str
    layer: int
    looks: tuple[Match | Offset, ...]
    """Their scores add up; none looks at all positions alike."""

    moves: tuple[Move, ...]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Neurons of one MLP: each fires as far as what it reads is above its threshold."""

    name: str
    layer: int
    reads: Mapping[str, Float[np.ndarray, "K S"]]
    thresholds: Float[np.ndarray, " K"]
    writes: Mapping[str, Float[np.ndarray, "K S"]]


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """All that a model computes on purpose."""

    vocabulary: tuple[str, ...]
    layers: int
    length: int
    """Tokens of a prompt."""

    subspaces: Mapping[str, int]
    """Sizes; those of `ONE`, `POSITION`, `NOISE` and `CHATTER` are added when it is built."""

    embedding: Mapping[str, Mapping[str, Vector]]
    """By token and subspace, what the token writes there."""

    unembedding: Mapping[str, Mapping[str, Vector]]
    """By token and subspace, what its logit reads. Tokens listed here are the answers."""

    heads: tuple[Head, ...] = ()
    memories: tuple[Memory, ...] = ()
    circuit: tuple[tuple[str, str], ...] = ()
    """Edges that matter, by the names of heads and memories: `("previous", "induction.k")`."""

    @property
    def avoids(self) -> bool:
        """Whether a head keeps away from a position, which rotary embeddings cannot say sharply."""
        offsets = (look for head in self.heads for look in head.looks if isinstance(look, Offset))
        return any(look.strength < 0 for look in offsets)

    def __post_init__(self) -> None:
        named = {head.name for head in self.heads} | {each.name for each in self.memories}
        ends = {end.partition(".")[0] for edge in self.circuit for end in edge}
        if unknown := ends - named - {"embed", "final"}:
            raise ConfigError(
                f"expected edges between {', '.join(sorted(named))}, embed and final, got "
                f"{', '.join(sorted(unknown))}; name every end after a head or a memory"
            )


def one_hot(at: int, size: int, scale: float = 1.0) -> Vector:
    """A vector along one axis.

    Example:
        >>> one_hot(1, 3).tolist()
        [0.0, 1.0, 0.0]
    """
    found: np.ndarray = scale * np.eye(size)[at]
    return found


def flag(scale: float = 1.0) -> Vector:
    """What is written to a subspace of one direction."""
    return np.array([scale])
