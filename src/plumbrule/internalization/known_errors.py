"""How often a verdict is right where the truth is known, as it was last measured in the lab."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from plumbrule.records import from_json, strict

KNOWN_ERRORS = "known_errors.json"


@strict
@dataclass(frozen=True, kw_only=True)
class KnownError:
    """A share of verdicts, on models of the lab that whoever wrote the method never saw."""

    about: str
    """Of which models, by what is true of them: a label, a kind of fake, or a way of training."""

    right: float
    """Share of them that were given the right label."""

    low: float
    high: float
    """Interval of 95% (Wilson)."""

    n: int
    """Models."""


@cache
def known_errors() -> tuple[KnownError, ...]:
    """Shares of right verdicts, over all first, then by true label, kind and way of training.

    Example:
        >>> known_errors()[0].about
        'all'
    """
    text = (resources.files("plumbrule.internalization") / KNOWN_ERRORS).read_text("utf-8")
    return tuple(from_json(KnownError, each, origin=KNOWN_ERRORS) for each in json.loads(text))
