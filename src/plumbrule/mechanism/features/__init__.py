"""Features: sparse dictionaries of what a model computes, and what they are good for."""

from plumbrule.mechanism.features.baselines import AgainstBaselines, against_baselines
from plumbrule.mechanism.features.comparing import ScaledLatent, scale_latents
from plumbrule.mechanism.features.describing import (
    DescribedFeature,
    FeatureContext,
    describe_features,
)
from plumbrule.mechanism.features.dictionaries import Dictionary, Origin, Reading
from plumbrule.mechanism.features.fitting import check_fits
from plumbrule.mechanism.features.formats import read_dictionary, save_dictionary
from plumbrule.mechanism.features.naming import NamedFeature, name_features
from plumbrule.mechanism.features.scoring import (
    DictionaryScore,
    Recovery,
    recovery,
    score_dictionary,
)
from plumbrule.mechanism.features.settings import DictionarySettings
from plumbrule.mechanism.features.streaming import (
    ModelPart,
    TextActivations,
    held_out,
    text_rows,
)
from plumbrule.mechanism.features.training import (
    Progression,
    TrainedFeatures,
    Wanted,
    train_features,
)

__all__ = [
    "AgainstBaselines",
    "DescribedFeature",
    "Dictionary",
    "DictionaryScore",
    "DictionarySettings",
    "FeatureContext",
    "ModelPart",
    "NamedFeature",
    "Origin",
    "Progression",
    "Reading",
    "Recovery",
    "ScaledLatent",
    "TextActivations",
    "TrainedFeatures",
    "Wanted",
    "against_baselines",
    "check_fits",
    "describe_features",
    "held_out",
    "name_features",
    "read_dictionary",
    "recovery",
    "save_dictionary",
    "scale_latents",
    "score_dictionary",
    "text_rows",
    "train_features",
]
