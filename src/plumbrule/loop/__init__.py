"""Constitution, training, examination, report: a sequence of named steps."""

from plumbrule.loop.align import Outcome, align
from plumbrule.loop.config import Gates, RunConfig, make_config, read_config, to_mapping

__all__ = [
    "Gates",
    "Outcome",
    "RunConfig",
    "align",
    "make_config",
    "read_config",
    "to_mapping",
]
