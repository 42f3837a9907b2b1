"""Complete runs, one function each; a variant is a `dataclasses.replace` of another."""

from plumbrule.recipes.village import (
    Recipe,
    village,
    village_oracle,
    village_pairs,
    village_requests,
)

__all__ = ["Recipe", "village", "village_oracle", "village_pairs", "village_requests"]
