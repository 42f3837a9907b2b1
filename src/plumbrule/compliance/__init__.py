"""Does a model keep each principle: examination, rates, and what changed."""

from plumbrule.compliance.examination import Oracle, OracleJudgment
from plumbrule.compliance.summary import (
    MEASURES,
    count,
    judge_quality,
    judged_manner,
    prohibited_violation,
    rate,
    true_manner,
    violation_rate,
)

__all__ = [
    "MEASURES",
    "Oracle",
    "OracleJudgment",
    "count",
    "judge_quality",
    "judged_manner",
    "prohibited_violation",
    "rate",
    "true_manner",
    "violation_rate",
]
