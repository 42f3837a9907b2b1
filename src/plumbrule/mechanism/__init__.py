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
from plumbrule.mechanism.probes import (
    LinearProbe,
    ProbeResult,
    Selectivity,
    ShiftResult,
    bag_of_words,
    cross_validated,
    cue_words,
    fit_probe,
    grouped_auroc,
    groups_needed,
    increment,
    pooled,
    selectivity,
    shuffled_p_value,
    under_shift,
    without_words,
)
from plumbrule.mechanism.site_search import find_sites
from plumbrule.mechanism.sites import Layer, Site, Sites

__all__ = [
    "Captured",
    "Circuit",
    "CircuitReport",
    "Course",
    "Curve",
    "Direction",
    "Edge",
    "EdgeClaim",
    "Graph",
    "HeadCopying",
    "HeadRole",
    "KeyValueMemory",
    "Layer",
    "LinearProbe",
    "MatrixDirections",
    "PatchCell",
    "Patched",
    "ProbeResult",
    "PromptPair",
    "Selectivity",
    "ShiftResult",
    "Site",
    "Sites",
    "TopActivation",
    "answer_ahead",
    "answer_difference",
    "attention_patterns",
    "attribute",
    "attribute_edges",
    "attribute_pairs",
    "bag_of_words",
    "capture",
    "capture_into",
    "cells_of",
    "cross_validated",
    "cue_words",
    "draw_circuit",
    "edges_of",
    "faithfulness_curve",
    "faithfulness_of",
    "find_circuit",
    "find_copying",
    "find_heads",
    "find_sites",
    "fit_probe",
    "grouped_auroc",
    "groups_needed",
    "increment",
    "logit_difference",
    "logit_lens",
    "over_training",
    "parsed_edges",
    "patch",
    "patch_edges",
    "patched",
    "phase_changes",
    "pooled",
    "prune",
    "read_memories",
    "report_circuit",
    "run_with",
    "selectivity",
    "shuffled_p_value",
    "task_file",
    "tasks",
    "under_shift",
    "watching",
    "weight_directions",
    "without_words",
]
