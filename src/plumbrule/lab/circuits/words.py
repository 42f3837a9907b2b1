"""Tokens of the tasks, and what they write to the stream and read from it."""

from collections.abc import Mapping, Sequence

import numpy as np

from plumbrule.lab.circuits.blueprint import (
    STRENGTH,
    Head,
    Match,
    Move,
    Offset,
    Vector,
    flag,
    one_hot,
)

Rows = dict[str, dict[str, Vector]]
"""By token and subspace."""

START = "start"
"""The token that is first in each prompt."""

GAIN = 8.0
"""Logits that a whole answer is worth."""

SINK = Match(query="one", key="start", strength=STRENGTH / 2)
"""Where a head looks that finds no match: to the start, where nothing stands to be moved."""


def named(kind: str, count: int) -> tuple[str, ...]:
    """Names of a class of tokens.

    Example:
        >>> named("word", 3)
        ('word 0', 'word 1', 'word 2')
    """
    return tuple(f"{kind} {at}" for at in range(count))


def coded(tokens: Sequence[str], subspace: str) -> Rows:
    """Each token a direction of its own."""
    size = len(tokens)
    return {token: {subspace: one_hot(at, size)} for at, token in enumerate(tokens)}


def flagged(tokens: Sequence[str], subspace: str) -> Rows:
    """All tokens one direction."""
    return {token: {subspace: flag()} for token in tokens}


def answering(tokens: Sequence[str], subspace: str = "answer") -> Rows:
    """Each token's logit read from a direction of its own."""
    size = len(tokens)
    return {token: {subspace: one_hot(at, size, GAIN)} for at, token in enumerate(tokens)}


def merged(*several: Mapping[str, Mapping[str, Vector]]) -> Rows:
    """Rows side by side; a token may be in several."""
    found: Rows = {}
    for rows in several:
        for token, vectors in rows.items():
            found.setdefault(token, {}).update(vectors)
    return found


def table(targets: Sequence[int], size: int) -> np.ndarray:
    """A matrix that sends each direction to one of `size` others.

    Example:
        >>> table([1, 0, 1], 2).tolist()
        [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    found: np.ndarray = np.eye(size)[list(targets)]
    return found


def scattered(
    rng: np.random.Generator, size: int, things: Mapping[int, str], rest: Sequence[str]
) -> tuple[str, ...]:
    """A prompt with some tokens at given positions and others, drawn anew, everywhere else."""
    drawn = [rest[at] for at in rng.integers(len(rest), size=size)]
    return tuple(things.get(at, token) for at, token in enumerate(drawn))


def looking_back(name: str, *, source: str, target: str) -> Head:
    """A head of layer 0 that copies the previous position's token to each position."""
    return Head(
        name=name,
        layer=0,
        looks=(Offset(back=1),),
        moves=(Move(source=source, target=target),),
    )
