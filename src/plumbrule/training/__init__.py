"""Train a model: supervised, from preferences, or from a reward."""

from plumbrule.training.constitutional import (
    Revising,
    RevisionRound,
    RevisionTrail,
    critique_and_revise,
    examples_to_imitate,
    pairs_to_compare,
)
from plumbrule.training.documents import Document, spec_documents, train_documents
from plumbrule.training.dpo import PreferencePair, pairs_of, train_dpo
from plumbrule.training.grpo import train_grpo
from plumbrule.training.results import CurvePoint, HeldOut, TrainingResult
from plumbrule.training.reward_model import RewardModel, train_reward_model
from plumbrule.training.settings import (
    DocumentTraining,
    DpoTraining,
    GrpoTraining,
    LoraSettings,
    RewardTraining,
    SupervisedTraining,
)
from plumbrule.training.supervised import train_supervised

__all__ = [
    "CurvePoint",
    "Document",
    "DocumentTraining",
    "DpoTraining",
    "GrpoTraining",
    "HeldOut",
    "LoraSettings",
    "PreferencePair",
    "Revising",
    "RevisionRound",
    "RevisionTrail",
    "RewardModel",
    "RewardTraining",
    "SupervisedTraining",
    "TrainingResult",
    "critique_and_revise",
    "examples_to_imitate",
    "pairs_of",
    "pairs_to_compare",
    "spec_documents",
    "train_documents",
    "train_dpo",
    "train_grpo",
    "train_reward_model",
    "train_supervised",
]
