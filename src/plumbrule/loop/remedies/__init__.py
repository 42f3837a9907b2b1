"""Findings answered: where they come from, what may help, the trial on a branch, the loop."""

from plumbrule.loop.remedies.closing import (
    FaultAnswered,
    LoopResult,
    LoopRound,
    close_loop,
)
from plumbrule.loop.remedies.faults import LoopFault
from plumbrule.loop.remedies.ground import (
    Accepted,
    LoopGround,
    LoopPrompts,
    LoopSettings,
    LoopSuspicions,
    PersonsWord,
    PrincipleJudge,
    ReplyWriter,
    RequestWriter,
    WordsAround,
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
    "LoopSuspicions",
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
