"""Red teaming: attacks that are written, searched or brought, and where a model gives way."""

from plumbrule.compliance.attacks.attacking import RedTeamSettings, red_team
from plumbrule.compliance.attacks.brought import brought_families, read_attacks
from plumbrule.compliance.attacks.inspect_logs import read_eval_log, write_eval_log
from plumbrule.compliance.attacks.records import (
    Attack,
    AttackFamily,
    AttackOutcome,
    AttackRate,
    BroughtAttack,
    Hole,
    RedTeamResult,
)
from plumbrule.compliance.attacks.templates import AttackWording, template_families
from plumbrule.compliance.attacks.writing import written_families

__all__ = [
    "Attack",
    "AttackFamily",
    "AttackOutcome",
    "AttackRate",
    "AttackWording",
    "BroughtAttack",
    "Hole",
    "RedTeamResult",
    "RedTeamSettings",
    "brought_families",
    "read_attacks",
    "read_eval_log",
    "red_team",
    "template_families",
    "write_eval_log",
    "written_families",
]
