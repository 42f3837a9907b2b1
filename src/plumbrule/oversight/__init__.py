"""Judge what is too big for one judge: a tree of checks, and a trail that can be verified."""

from plumbrule.oversight.asking import ask
from plumbrule.oversight.cases import Case, Person, Reliability, ReviewBudget, Rule, Specialist
from plumbrule.oversight.debating import ChoiceJudge, ModelJudge, measured_reliability
from plumbrule.oversight.gains import (
    Gap,
    Tax,
    TaxTrial,
    alignment_tax,
    gap_recovered,
    performance_gap,
    trial_of,
)
from plumbrule.oversight.hostile import InstructionWatch
from plumbrule.oversight.plans import Decompose, Parts
from plumbrule.oversight.records import (
    Decision,
    Node,
    Opinion,
    Outcome,
    Quote,
    Report,
    ReviewCost,
    Span,
    Task,
)
from plumbrule.oversight.rewarding import Panel, PartReward, Reward, Work, reward_works
from plumbrule.oversight.running import (
    Review,
    accept,
    answer_questions,
    overrule,
    review,
    send_back,
)
from plumbrule.oversight.verdicts import (
    Contribution,
    Coverage,
    ReviewVerdict,
    State,
    Step,
    aggregate,
)
from plumbrule.oversight.verifying import ReviewVerification, Tampering, verify_review
from plumbrule.oversight.whole_reader import WholeReader
from plumbrule.oversight.wording import Wording

__all__ = [
    "Case",
    "ChoiceJudge",
    "Contribution",
    "Coverage",
    "Decision",
    "Decompose",
    "Gap",
    "InstructionWatch",
    "ModelJudge",
    "Node",
    "Opinion",
    "Outcome",
    "Panel",
    "PartReward",
    "Parts",
    "Person",
    "Quote",
    "Reliability",
    "Report",
    "Review",
    "ReviewBudget",
    "ReviewCost",
    "ReviewVerdict",
    "ReviewVerification",
    "Reward",
    "Rule",
    "Span",
    "Specialist",
    "State",
    "Step",
    "Tampering",
    "Task",
    "Tax",
    "TaxTrial",
    "WholeReader",
    "Wording",
    "Work",
    "accept",
    "aggregate",
    "alignment_tax",
    "answer_questions",
    "ask",
    "gap_recovered",
    "measured_reliability",
    "overrule",
    "performance_gap",
    "review",
    "reward_works",
    "send_back",
    "trial_of",
    "verify_review",
]
