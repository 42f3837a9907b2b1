"""Inside one model: where things happen, what is there, and what changes when it is changed."""

from plumbrule.mechanism.attribution import attribute, attribute_pairs
from plumbrule.mechanism.capturing import Captured, capture, capture_into
from plumbrule.mechanism.checkpoints import Course, over_training, phase_changes
from plumbrule.mechanism.circuits.drawing import draw_circuit
from plumbrule.mechanism.circuits.edge_attribution import attribute_edges
from plumbrule.mechanism.circuits.edge_claims import EdgeClaim
from plumbrule.mechanism.circuits.edges import edges_of
from plumbrule.mechanism.circuits.faithfulness import Curve, faithfulness_curve, faithfulness_of
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
from plumbrule.mechanism.parts.heads import HeadRole, attention_patterns, find_heads
from plumbrule.mechanism.parts.memories import KeyValueMemory, TopActivation, read_memories
from plumbrule.mechanism.patching import PatchCell, Patched, cells_of, logit_difference, patch
from plumbrule.mechanism.repairs.baked import ablation_edit, head_edit
from plumbrule.mechanism.repairs.durability import rounded, steps_to_relearn
from plumbrule.mechanism.repairs.facts import fact_edit, keys_at, values_for
from plumbrule.mechanism.repairs.fitting import FittedRepair, RepairCost, RepairSettings, fit_repair
from plumbrule.mechanism.repairs.receipts import (
    Receipt,
    ReceiptPart,
    ReceiptSettings,
    RepairPrompts,
    measure_receipt,
    neutral_kl,
)
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
    "FittedRepair",
    "Graph",
    "HeadCopying",
    "HeadRole",
    "HeadSuppression",
    "KeyValueMemory",
    "Layer",
    "MatrixDirections",
    "PatchCell",
    "Patched",
    "PromptPair",
    "Receipt",
    "ReceiptPart",
    "ReceiptSettings",
    "RepairCost",
    "RepairPrompts",
    "RepairRun",
    "RepairSettings",
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
    "capture",
    "capture_into",
    "cells_of",
    "concept_ablated",
    "draw_circuit",
    "edges_of",
    "edited",
    "fact_edit",
    "faithfulness_curve",
    "faithfulness_of",
    "find_circuit",
    "find_copying",
    "find_heads",
    "find_sites",
    "fit_repair",
    "head_edit",
    "intervening",
    "keys_at",
    "logit_difference",
    "logit_lens",
    "measure_receipt",
    "neutral_kl",
    "over_training",
    "parsed_edges",
    "patch",
    "patch_edges",
    "patched",
    "phase_changes",
    "plain_ablation",
    "prune",
    "read_memories",
    "receipt_text",
    "repair",
    "report_circuit",
    "reverted",
    "rounded",
    "run_with",
    "save_repaired",
    "steps_to_relearn",
    "task_file",
    "tasks",
    "values_for",
    "watching",
    "weight_directions",
    "which_fire",
]
