"""Train a model: supervised, from preferences, or from a reward."""

from plumbrule.training.canary import Canary, canary_of, share_of_word
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
from plumbrule.training.documents import Document, spec_documents, train_documents
from plumbrule.training.dpo import PreferencePair, pairs_of, train_dpo
from plumbrule.training.exchanges import more_to_imitate, revising_exchanges, with_reasons
from plumbrule.training.from_reward import learn_from_reward, train_grpo, train_ppo, train_rloo
from plumbrule.training.kto import RatedReply, rated_of, train_kto
from plumbrule.training.monitors import (
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
from plumbrule.training.rewarded import Reward
from plumbrule.training.settings import (
    DocumentTraining,
    DpoTraining,
    GrpoTraining,
    KtoTraining,
    LoraSettings,
    PpoTraining,
    RewardTraining,
    RlooTraining,
    SupervisedTraining,
)
from plumbrule.training.supervised import train_supervised

__all__ = [
    "Canary",
    "CollapseBounds",
    "Confirmation",
    "CurvePoint",
    "Document",
    "DocumentTraining",
    "DpoTraining",
    "EarlyStop",
    "FilteredRevisions",
    "GrpoTraining",
    "HeldOut",
    "KtoTraining",
    "LoraSettings",
    "Monitor",
    "MonitorCheck",
    "MonitorSettings",
    "Monitored",
    "PpoTraining",
    "PreferencePair",
    "RatedReply",
    "ReplyMeasures",
    "Revising",
    "Revision",
    "RevisionFilter",
    "RevisionRound",
    "RevisionTrail",
    "Reward",
    "RewardModel",
    "RewardTraining",
    "RlooTraining",
    "SupervisedTraining",
    "TrainingResult",
    "canary_of",
    "critique_and_revise",
    "examples_to_imitate",
    "filter_revisions",
    "learn_from_reward",
    "more_to_imitate",
    "pairs_of",
    "pairs_to_compare",
    "rated_of",
    "revising_exchanges",
    "share_of_word",
    "sift_revisions",
    "spec_documents",
    "train_documents",
    "train_dpo",
    "train_grpo",
    "train_kto",
    "train_ppo",
    "train_reward_model",
    "train_rloo",
    "train_supervised",
    "with_reasons",
]
