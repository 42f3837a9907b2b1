"""Train a language model on a written constitution, then show what really changed.

`import plumbrule as pr` is the tool: `pr.open_model`, `pr.compare`, `pr.align`, `pr.comply`,
`pr.red_team`, `pr.review`. What lies behind them is imported when it is first asked for, because
torch and its like take seconds.
"""

from typing import TYPE_CHECKING, Any

from plumbrule.version import __version__ as __version__

__all__ = [
    "Aligned",
    "Attacked",
    "Compared",
    "Complied",
    "FoundCircuit",
    "Model",
    "Reviewed",
    "align",
    "as_prompts",
    "close_loop",
    "compare",
    "comply",
    "open_model",
    "red_team",
    "remedy",
    "review",
    "serve",
]

if TYPE_CHECKING:
    from plumbrule.api import (
        align,
        as_prompts,
        close_loop,
        compare,
        comply,
        red_team,
        remedy,
        review,
        serve,
    )
    from plumbrule.opened_model import Model, open_model
    from plumbrule.results import Aligned, Attacked, Compared, Complied, FoundCircuit, Reviewed


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'plumbrule' has no attribute {name!r}")
    from plumbrule import api

    value = globals()[name] = getattr(api, name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
