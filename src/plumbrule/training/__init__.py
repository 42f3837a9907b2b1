"""Train a model: supervised, from preferences, or from a reward."""

from plumbrule.training.constitutional import (
    Revising,
    RevisionRound,
    RevisionTrail,
    critique_and_revise,
    examples_to_imitate,
    pairs_to_compare,
)
from plumbrule.training.dpo import PreferencePair, pairs_of, train_dpo
from plumbrule.training.exchanges import more_to_imitate, revising_exchanges, with_reasons
from plumbrule.training.grpo import train_grpo
from plumbrule.training.results import CurvePoint, HeldOut, TrainingResult
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
    "CurvePoint",
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
    "more_to_imitate",
    "pairs_of",
    "pairs_to_compare",
    "revising_exchanges",
    "train_dpo",
    "train_grpo",
    "train_reward_model",
    "train_supervised",
    "with_reasons",
]
