"""Critique, revise, compare and grade replies, over any model."""

from plumbrule.judging.comparison import CandidatePair, combine, compare, compare_by_grades
from plumbrule.judging.conditions import (
    ConditionAbility,
    ConditionAnswer,
    Scope,
    conclude_conditions,
    conditions_of,
    find_scopes,
    known_conditions,
    try_conditions,
)
from plumbrule.judging.conflicts import (
    ConflictRate,
    ConflictSurvey,
    PrincipleConflict,
    describe_conflicts,
    known_pairs,
    preferred,
    survey_conflicts,
)
from plumbrule.judging.grading import NOTHING_KNOWN, Standing, grade, sort_by_manner
from plumbrule.judging.guarding import Suspicion, suspect
from plumbrule.judging.phrases import declines, sort_by_phrases
from plumbrule.judging.prompts import PromptSet, load_prompts, transcript
from plumbrule.judging.revision import (
    Critique,
    RevisionDraft,
    critique,
    endless,
    revise,
    trimmed,
    unusable,
    whole_sentences,
)
from plumbrule.judging.trial import (
    Ability,
    JudgeTrial,
    TrialAnswer,
    conclude,
    known_replies,
    try_judge,
)

__all__ = [
    "NOTHING_KNOWN",
    "Ability",
    "CandidatePair",
    "ConditionAbility",
    "ConditionAnswer",
    "ConflictRate",
    "ConflictSurvey",
    "Critique",
    "JudgeTrial",
    "PrincipleConflict",
    "PromptSet",
    "RevisionDraft",
    "Scope",
    "Standing",
    "Suspicion",
    "TrialAnswer",
    "combine",
    "compare",
    "compare_by_grades",
    "conclude",
    "conclude_conditions",
    "conditions_of",
    "critique",
    "declines",
    "describe_conflicts",
    "endless",
    "find_scopes",
    "grade",
    "known_conditions",
    "known_pairs",
    "known_replies",
    "load_prompts",
    "preferred",
    "revise",
    "sort_by_manner",
    "sort_by_phrases",
    "survey_conflicts",
    "suspect",
    "transcript",
    "trimmed",
    "try_conditions",
    "try_judge",
    "unusable",
    "whole_sentences",
]
