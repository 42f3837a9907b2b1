"""Constitution, training, examination, report: a sequence of named steps."""

from plumbrule.loop.align import Outcome, align, plan
from plumbrule.loop.config import Gates, RunConfig, make_config, read_config, to_mapping
from plumbrule.loop.plan import Plan
from plumbrule.loop.sizes import settle_adapters

__all__ = [
    "Gates",
    "Outcome",
    "Plan",
    "RunConfig",
    "align",
    "make_config",
    "plan",
    "read_config",
    "settle_adapters",
    "to_mapping",
]
