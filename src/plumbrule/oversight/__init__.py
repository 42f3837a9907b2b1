"""Judge what is too big for one judge: a tree of checks, and a trail that can be verified."""

from plumbrule.oversight.aggregating import Contribution, State, aggregate
from plumbrule.oversight.asking import ask
from plumbrule.oversight.budget import Budget
from plumbrule.oversight.cases import Case, Person, Specialist
from plumbrule.oversight.debating import ModelJudge
from plumbrule.oversight.deciding import accept, overrule, send_back
from plumbrule.oversight.plans import Decompose, Parts
from plumbrule.oversight.records import (
    Cost,
    Decision,
    Node,
    Opinion,
    Outcome,
    Quote,
    Report,
    Span,
    Task,
)
from plumbrule.oversight.rules import Reliability, Rule
from plumbrule.oversight.running import Review, answer_questions, review
from plumbrule.oversight.tax import Tax, Trial, alignment_tax, trial_of
from plumbrule.oversight.verdicts import Coverage, Step, Verdict
from plumbrule.oversight.verifying import ReviewVerification, Tampering, verify_review
from plumbrule.oversight.watching import InstructionWatch

__all__ = [
    "Budget",
    "Case",
    "Contribution",
    "Cost",
    "Coverage",
    "Decision",
    "Decompose",
    "InstructionWatch",
    "ModelJudge",
    "Node",
    "Opinion",
    "Outcome",
    "Parts",
    "Person",
    "Quote",
    "Reliability",
    "Report",
    "Review",
    "ReviewVerification",
    "Rule",
    "Span",
    "Specialist",
    "State",
    "Step",
    "Tampering",
    "Task",
    "Tax",
    "Trial",
    "Verdict",
    "accept",
    "aggregate",
    "alignment_tax",
    "answer_questions",
    "ask",
    "overrule",
    "review",
    "send_back",
    "trial_of",
    "verify_review",
]
