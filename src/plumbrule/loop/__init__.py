"""Constitution, training, examination, report: a sequence of named steps."""

from plumbrule.loop.align import RunOutcome, align, plan
from plumbrule.loop.config import Gates, RunConfig, make_config, read_config, to_mapping
from plumbrule.loop.plan import RunPlan
from plumbrule.loop.sizes import settle_adapters

__all__ = [
    "Gates",
    "RunConfig",
    "RunOutcome",
    "RunPlan",
    "align",
    "make_config",
    "plan",
    "read_config",
    "settle_adapters",
    "to_mapping",
]
