"""Constitution, training, examination, report: a sequence of named steps."""

from plumbrule.loop.align import RunOutcome, align, plan
from plumbrule.loop.config import (
    RECIPES,
    Gates,
    RunConfig,
    make_config,
    read_config,
    recipe_fields,
    to_mapping,
)
from plumbrule.loop.plan import RunPlan
from plumbrule.loop.sizes import settle_adapters

__all__ = [
    "RECIPES",
    "Gates",
    "RunConfig",
    "RunOutcome",
    "RunPlan",
    "align",
    "make_config",
    "plan",
    "read_config",
    "recipe_fields",
    "settle_adapters",
    "to_mapping",
]
