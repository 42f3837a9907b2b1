"""Does a model keep each principle: tests, examination, rates, and what changed."""

from plumbrule.compliance.building import PLAINLY, AskingWays, build_tests
from plumbrule.compliance.cases import (
    TestCase,
    TestSet,
    read_tests,
    with_regressions,
    write_tests,
)
from plumbrule.compliance.deciding import above_bound, rate_so_far
from plumbrule.compliance.examination import Oracle, OracleJudgment
from plumbrule.compliance.examining import examine_compliance
from plumbrule.compliance.judges import (
    ReplyJudge,
    as_judge,
    key_judge,
    model_judge,
    readable_tests,
)
from plumbrule.compliance.outcomes import (
    ComplianceResult,
    PrincipleCompliance,
    RegressionOutcome,
    Side,
)
from plumbrule.compliance.planning import (
    CompliancePlan,
    PrinciplePlan,
    plan_compliance,
    plan_sentences,
)
from plumbrule.compliance.settings import ComplianceSettings
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
from plumbrule.compliance.writing import with_variants

__all__ = [
    "MEASURES",
    "PLAINLY",
    "AskingWays",
    "CompliancePlan",
    "ComplianceResult",
    "ComplianceSettings",
    "Oracle",
    "OracleJudgment",
    "PrincipleCompliance",
    "PrinciplePlan",
    "RegressionOutcome",
    "ReplyJudge",
    "Side",
    "TestCase",
    "TestSet",
    "above_bound",
    "as_judge",
    "build_tests",
    "count",
    "examine_compliance",
    "judge_quality",
    "judged_manner",
    "key_judge",
    "model_judge",
    "plan_compliance",
    "plan_sentences",
    "prohibited_violation",
    "rate",
    "rate_so_far",
    "read_tests",
    "readable_tests",
    "true_manner",
    "violation_rate",
    "with_regressions",
    "with_variants",
    "write_tests",
]
