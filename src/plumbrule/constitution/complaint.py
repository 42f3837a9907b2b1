"""One complaint about a constitution, and the list of all there can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from plumbrule.constitution.schema import Principle
from plumbrule.records import strict

Severity = Literal["error", "warning"]

LINT_CODES: Mapping[str, Severity] = {
    "duplicate-id": "error",
    "empty-text": "error",
    "contradiction": "error",
    "impossible-condition": "error",
    "unreachable": "error",
    "probe-is-twin": "error",
    "overlap": "warning",
    "condition-excepted": "warning",
    "idle-exception": "warning",
    "always-applies": "warning",
    "shared-probe-twin": "warning",
    "repeated-test": "warning",
    "no-probes": "warning",
    "no-twins": "warning",
    "no-source": "warning",
    "long-text": "warning",
    "too-few": "warning",
    "too-many": "warning",
    "tier-gap": "warning",
    "tier-names": "warning",
}
"""Every complaint there is. Labels made under an error would mean nothing; a warning is advice."""


@strict
@dataclass(frozen=True, kw_only=True)
class Complaint:
    """One thing to look at, and a way out."""

    code: str
    """Name of the rule, one of `LINT_CODES`."""

    severity: Severity
    """`error`: labels made under it would mean nothing. `warning`: advice."""

    principle_ids: tuple[str, ...]
    """The principles it is about; none where it is about the whole."""

    message: str
    """What is wrong."""

    fix: str
    """What to do about it."""


def complain(code: str, about: Sequence[Principle | str], message: str, fix: str) -> Complaint:
    """File a complaint with the severity its code has."""
    return Complaint(
        code=code,
        severity=LINT_CODES[code],
        principle_ids=tuple(each if isinstance(each, str) else each.id for each in about),
        message=message,
        fix=fix,
    )
