"""Complete runs, one function each; a variant is a `dataclasses.replace` of another."""

from plumbrule.recipes.village import (
    Recipe,
    village,
    village_oracle,
    village_pairs,
    village_requests,
)
from plumbrule.recipes.ways import constitutional, hybrid, rlhf

__all__ = [
    "Recipe",
    "constitutional",
    "hybrid",
    "rlhf",
    "village",
    "village_oracle",
    "village_pairs",
    "village_requests",
]
