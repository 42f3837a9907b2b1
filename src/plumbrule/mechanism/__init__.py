"""Inside one model: where things happen, what is there, and what changes when it is changed."""

from plumbrule.mechanism.attribution import attribute, attribute_pairs
from plumbrule.mechanism.capturing import Captured, capture, capture_into
from plumbrule.mechanism.checkpoints import Course, over_training, phase_changes
from plumbrule.mechanism.circuits.drawing import draw_circuit
from plumbrule.mechanism.circuits.edge_attribution import attribute_edges
from plumbrule.mechanism.circuits.edge_claims import EdgeClaim
from plumbrule.mechanism.circuits.edges import edges_of
from plumbrule.mechanism.circuits.faithfulness import Curve, Faithfulness, faithfulness_curve
from plumbrule.mechanism.circuits.finding import Circuit, find_circuit
from plumbrule.mechanism.circuits.graph import Edge, Graph, parsed_edges
from plumbrule.mechanism.circuits.path_patching import (
    answer_ahead,
    answer_difference,
    patch_edges,
    run_with,
)
from plumbrule.mechanism.circuits.pruning import prune
from plumbrule.mechanism.circuits.reporting import CircuitReport, report_circuit
from plumbrule.mechanism.circuits.tasks import PromptPair, task_file, tasks
from plumbrule.mechanism.hooks import patched, watching
from plumbrule.mechanism.lens import logit_lens
from plumbrule.mechanism.parts.copying import HeadCopying, find_copying
from plumbrule.mechanism.parts.directions import Direction, MatrixDirections, weight_directions
from plumbrule.mechanism.parts.heads import HeadRole, attention_patterns, find_heads, head_scores
from plumbrule.mechanism.parts.memories import KeyValueMemory, TopActivation, read_memories
from plumbrule.mechanism.patching import PatchCell, Patched, cells_of, logit_difference, patch
from plumbrule.mechanism.probe_controls import (
    Selectivity,
    bag_of_words,
    cue_words,
    increment,
    selectivity,
    without_words,
)
from plumbrule.mechanism.probes import (
    LinearProbe,
    ProbeResult,
    ShiftResult,
    cross_validated,
    fit_probe,
    grouped_auroc,
    pooled,
    under_shift,
)
from plumbrule.mechanism.recurrence import (
    FeatureMatch,
    HeadMatch,
    by_word,
    match_features,
    match_heads,
)
from plumbrule.mechanism.repairs.baked import ablation_edit, head_edit
from plumbrule.mechanism.repairs.divergence import neutral_kl
from plumbrule.mechanism.repairs.durability import rounded, steps_to_relearn
from plumbrule.mechanism.repairs.facts import fact_edit, keys_at, values_for
from plumbrule.mechanism.repairs.fitting import FittedRepair, fit_repair
from plumbrule.mechanism.repairs.measuring import measure_receipt
from plumbrule.mechanism.repairs.receipts import (
    Receipt,
    ReceiptPart,
    ReceiptSettings,
    RepairPrompts,
)
from plumbrule.mechanism.repairs.repair_settings import RepairCost, RepairSettings
from plumbrule.mechanism.repairs.repairing import RepairRun, plain_ablation, receipt_text, repair
from plumbrule.mechanism.repairs.replies import Violates
from plumbrule.mechanism.repairs.steering import (
    Ablation,
    HeadSuppression,
    Steering,
    SteeringCondition,
    concept_ablated,
    intervening,
    which_fire,
)
from plumbrule.mechanism.repairs.weight_edits import (
    AppliedEdit,
    WeightChange,
    WeightEdit,
    apply_edit,
    edited,
    reverted,
    save_repaired,
)
from plumbrule.mechanism.site_search import find_sites
from plumbrule.mechanism.sites import Layer, Site, Sites

__all__ = [
    "Ablation",
    "AppliedEdit",
    "Captured",
    "Circuit",
    "CircuitReport",
    "Course",
    "Curve",
    "Direction",
    "Edge",
    "EdgeClaim",
    "Faithfulness",
    "FeatureMatch",
    "FittedRepair",
    "Graph",
    "HeadCopying",
    "HeadMatch",
    "HeadRole",
    "HeadSuppression",
    "KeyValueMemory",
    "Layer",
    "LinearProbe",
    "MatrixDirections",
    "PatchCell",
    "Patched",
    "ProbeResult",
    "PromptPair",
    "Receipt",
    "ReceiptPart",
    "ReceiptSettings",
    "RepairCost",
    "RepairPrompts",
    "RepairRun",
    "RepairSettings",
    "Selectivity",
    "ShiftResult",
    "Site",
    "Sites",
    "Steering",
    "SteeringCondition",
    "TopActivation",
    "Violates",
    "WeightChange",
    "WeightEdit",
    "ablation_edit",
    "answer_ahead",
    "answer_difference",
    "apply_edit",
    "attention_patterns",
    "attribute",
    "attribute_edges",
    "attribute_pairs",
    "bag_of_words",
    "by_word",
    "capture",
    "capture_into",
    "cells_of",
    "concept_ablated",
    "cross_validated",
    "cue_words",
    "draw_circuit",
    "edges_of",
    "edited",
    "fact_edit",
    "faithfulness_curve",
    "find_circuit",
    "find_copying",
    "find_heads",
    "find_sites",
    "fit_probe",
    "fit_repair",
    "grouped_auroc",
    "head_edit",
    "head_scores",
    "increment",
    "intervening",
    "keys_at",
    "logit_difference",
    "logit_lens",
    "match_features",
    "match_heads",
    "measure_receipt",
    "neutral_kl",
    "over_training",
    "parsed_edges",
    "patch",
    "patch_edges",
    "patched",
    "phase_changes",
    "plain_ablation",
    "pooled",
    "prune",
    "read_memories",
    "receipt_text",
    "repair",
    "report_circuit",
    "reverted",
    "rounded",
    "run_with",
    "save_repaired",
    "selectivity",
    "steps_to_relearn",
    "task_file",
    "tasks",
    "under_shift",
    "values_for",
    "watching",
    "weight_directions",
    "which_fire",
    "without_words",
]
