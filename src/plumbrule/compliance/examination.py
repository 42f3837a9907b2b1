"""Examine a model's replies against a constitution: by a judge, and beside it by an answer key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from plumbrule.records import Exchange, strict


@strict
@dataclass(frozen=True, kw_only=True)
class OracleJudgment:
    """What an answer key says of one reply; only worlds with known truth have one."""

    exchange_id: str

    manner: Literal["helps", "objects", "evades", "unreadable"]
    """`unreadable` is an outcome of its own: never compliance, never help."""

    right: bool | None
    """Whether the reply is the right one; None where it cannot be read."""

    verdicts: dict[str, Literal["pass", "fail", "not_applicable", "unreadable"]]
    """Per principle."""


Oracle = Callable[[Sequence[Exchange]], Sequence[OracleJudgment]]
"""Judges replies from the truth, in order."""
