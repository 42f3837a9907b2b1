"""Iterated distillation and amplification, with checks of known answer and a rule that stops it."""

from plumbrule.oversight.amplification.climbing import climb
from plumbrule.oversight.amplification.ladder import Distill, Distilled, Ladder, Lesson, Student
from plumbrule.oversight.amplification.overseer import Amplified, Overseer, amplify
from plumbrule.oversight.amplification.planted import (
    Check,
    Planted,
    make_check,
    plant,
    student_wrong,
    teacher_wrong,
)
from plumbrule.oversight.amplification.records import Climb, ClimbSettings, Labels, Round
from plumbrule.oversight.amplification.stopping import (
    ErrorBudget,
    Stop,
    decide,
    node_error,
    predict,
    tree_error,
    tree_nodes,
)
from plumbrule.oversight.amplification.voting import (
    VoteErrors,
    effective_votes,
    majority_error,
    plurality,
    vote_errors,
    voted_error,
)

__all__ = [
    "Amplified",
    "Check",
    "Climb",
    "ClimbSettings",
    "Distill",
    "Distilled",
    "ErrorBudget",
    "Labels",
    "Ladder",
    "Lesson",
    "Overseer",
    "Planted",
    "Round",
    "Stop",
    "Student",
    "VoteErrors",
    "amplify",
    "climb",
    "decide",
    "effective_votes",
    "majority_error",
    "make_check",
    "node_error",
    "plant",
    "plurality",
    "predict",
    "student_wrong",
    "teacher_wrong",
    "tree_error",
    "tree_nodes",
    "vote_errors",
    "voted_error",
]
