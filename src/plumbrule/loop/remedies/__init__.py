"""Findings answered: where they come from, what may help, the trial on a branch, the loop."""

from plumbrule.loop.remedies.closing import (
    FaultAnswered,
    LoopResult,
    LoopRound,
    close_loop,
)
from plumbrule.loop.remedies.faults import LoopFault, WordsAround
from plumbrule.loop.remedies.ground import (
    Accepted,
    LoopGround,
    LoopPrompts,
    LoopSettings,
    PersonsWord,
    PrincipleJudge,
    ReplyWriter,
    RequestWriter,
    part_prompts,
)
from plumbrule.loop.remedies.trials import BranchTrial, RateChange, Relearning

__all__ = [
    "Accepted",
    "BranchTrial",
    "FaultAnswered",
    "LoopFault",
    "LoopGround",
    "LoopPrompts",
    "LoopResult",
    "LoopRound",
    "LoopSettings",
    "PersonsWord",
    "PrincipleJudge",
    "RateChange",
    "Relearning",
    "ReplyWriter",
    "RequestWriter",
    "WordsAround",
    "close_loop",
    "part_prompts",
]
