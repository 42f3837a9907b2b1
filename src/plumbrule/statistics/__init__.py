"""Pure functions on arrays: how sure a number is, and which of many claims are confirmed."""

from plumbrule.statistics.change_points import ChangePoint, change_point, find_change_points
from plumbrule.statistics.exact import mostly_up, share_above
from plumbrule.statistics.intervals import clopper_pearson, wilson
from plumbrule.statistics.multiple import e_bh, holm
from plumbrule.statistics.online import (
    OnlineDecisions,
    addis,
    e_lond,
    lond,
    lord_plus_plus,
    monte_carlo_p_value,
    saffron,
)
from plumbrule.statistics.paired import (
    mcnemar_exact,
    paired_difference,
    paired_e_value,
    paired_proportions,
)
from plumbrule.statistics.prediction_powered import (
    CorrectedRate,
    LabelsNeeded,
    corrected_rate,
    inclusion_probabilities,
    labels_needed,
    prediction_powered_mean,
    unsureness,
    weighted_rate,
)
from plumbrule.statistics.ranks import auroc
from plumbrule.statistics.sequences import BettingSequence, betting_interval
from plumbrule.statistics.sizes import least_paired_difference, pairs_needed, replies_needed

__all__ = [
    "BettingSequence",
    "ChangePoint",
    "CorrectedRate",
    "LabelsNeeded",
    "OnlineDecisions",
    "addis",
    "auroc",
    "betting_interval",
    "change_point",
    "clopper_pearson",
    "corrected_rate",
    "e_bh",
    "e_lond",
    "find_change_points",
    "holm",
    "inclusion_probabilities",
    "labels_needed",
    "least_paired_difference",
    "lond",
    "lord_plus_plus",
    "mcnemar_exact",
    "monte_carlo_p_value",
    "mostly_up",
    "paired_difference",
    "paired_e_value",
    "paired_proportions",
    "pairs_needed",
    "prediction_powered_mean",
    "replies_needed",
    "saffron",
    "share_above",
    "unsureness",
    "weighted_rate",
    "wilson",
]
