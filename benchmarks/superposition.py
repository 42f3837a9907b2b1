"""Activations made of known features, more of them than dimensions: truth to measure against.

Each token is a sum of a few of F unit vectors in D dimensions. How often a feature is on falls off
as a power of its rank, as words do; features come in families that tend to be on together, and one
family in two has a member that is on only where its first one is. Nothing here depends on how any
dictionary is trained. Axes: N tokens, F features, D width.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class SuperpositionRecipe:
    """All that decides the data besides the seed."""

    features: int = 512
    width: int = 64
    active: float = 8.0
    """Features on a token, on average."""

    families: int = 64
    exponent: float = 0.8
    """Of the fall of frequency with rank."""

    together: float = 6.0
    """How many times likelier a feature is where its family is on, which is one token in twelve."""

    spread: float = 0.3
    """Standard deviation of a feature's strength around 1."""

    noise: float = 0.02
    """Standard deviation of what is added to each dimension."""


@dataclass(frozen=True, kw_only=True)
class Superposition:
    """Tokens and what they are made of."""

    activations: Any
    """(N, D), 32-bit."""

    directions: Any
    """(F, D), unit vectors."""

    active: float
    """Features on a token, as drawn."""


def superposition(recipe: SuperpositionRecipe, tokens: int, *, seed: int) -> Superposition:
    """Draw features and tokens.

    Args:
        recipe: What they are like.
        tokens: N.
        seed: Decides all.
    """
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(recipe.features, recipe.width))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rates = 1 / (np.arange(recipe.features) + 10) ** recipe.exponent
    rates = rng.permutation(rates)
    members = recipe.features // recipe.families
    often = 1 / 12
    lift = often * recipe.together + (1 - often)
    rates *= recipe.active / rates.sum() / lift
    activations = np.empty((tokens, recipe.width), dtype=np.float32)
    total = 0
    for start in range(0, tokens, 8192):
        count = min(8192, tokens - start)
        family = rng.random((count, recipe.families)) < often
        chance = np.where(np.repeat(family, members, axis=1), rates * recipe.together, rates)
        on = rng.random((count, recipe.features)) < np.minimum(chance, 0.5)
        # A part of a whole: the second member of every other family needs the first.
        first, second = np.arange(0, recipe.features, 2 * members), 1
        on[:, first + second] &= on[:, first]
        strength = np.abs(rng.normal(1.0, recipe.spread, size=on.shape)) * on
        noise = rng.normal(0.0, recipe.noise, size=(count, recipe.width))
        activations[start : start + count] = strength @ directions + noise
        total += int(on.sum())
    return Superposition(activations=activations, directions=directions, active=total / tokens)
