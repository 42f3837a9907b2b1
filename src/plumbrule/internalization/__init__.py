"""Is a principle held or only shown: the battery, its witnesses, and the verdict per principle."""

from plumbrule.internalization.battery import Battery, Surrounding, battery_of
from plumbrule.internalization.finding import find_verdicts, read_verdicts
from plumbrule.internalization.known_errors import KnownError, known_errors
from plumbrule.internalization.records import (
    ArmResult,
    PrincipleVerdict,
    Subject,
    VerdictLabel,
    VerdictReport,
    Witness,
)
from plumbrule.internalization.settings import VerdictSettings

__all__ = [
    "ArmResult",
    "Battery",
    "KnownError",
    "PrincipleVerdict",
    "Subject",
    "Surrounding",
    "VerdictLabel",
    "VerdictReport",
    "VerdictSettings",
    "Witness",
    "battery_of",
    "find_verdicts",
    "known_errors",
    "read_verdicts",
]
