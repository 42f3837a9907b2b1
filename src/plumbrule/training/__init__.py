"""Train a model: supervised, from preferences, or from a reward."""

from plumbrule.training.collapse import CollapseBounds, ReplyMeasures
from plumbrule.training.constitutional import (
    Revising,
    RevisionRound,
    RevisionTrail,
    critique_and_revise,
    examples_to_imitate,
    pairs_to_compare,
    sift_revisions,
)
from plumbrule.training.dpo import PreferencePair, pairs_of, train_dpo
from plumbrule.training.grpo import train_grpo
from plumbrule.training.overoptimization import (
    Confirmation,
    EarlyStop,
    Monitor,
    MonitorCheck,
    Monitored,
    MonitorSettings,
)
from plumbrule.training.results import CurvePoint, HeldOut, TrainingResult
from plumbrule.training.revision_filter import (
    FilteredRevisions,
    Revision,
    RevisionFilter,
    filter_revisions,
)
from plumbrule.training.reward_model import RewardModel, train_reward_model
from plumbrule.training.settings import (
    DpoTraining,
    GrpoTraining,
    LoraSettings,
    RewardTraining,
    SupervisedTraining,
)
from plumbrule.training.supervised import train_supervised

__all__ = [
    "CollapseBounds",
    "Confirmation",
    "CurvePoint",
    "DpoTraining",
    "EarlyStop",
    "FilteredRevisions",
    "GrpoTraining",
    "HeldOut",
    "LoraSettings",
    "Monitor",
    "MonitorCheck",
    "MonitorSettings",
    "Monitored",
    "PreferencePair",
    "ReplyMeasures",
    "Revising",
    "Revision",
    "RevisionFilter",
    "RevisionRound",
    "RevisionTrail",
    "RewardModel",
    "RewardTraining",
    "SupervisedTraining",
    "TrainingResult",
    "critique_and_revise",
    "examples_to_imitate",
    "filter_revisions",
    "pairs_of",
    "pairs_to_compare",
    "sift_revisions",
    "train_dpo",
    "train_grpo",
    "train_reward_model",
    "train_supervised",
]
