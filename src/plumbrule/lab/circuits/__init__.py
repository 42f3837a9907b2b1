"""Transformers whose circuits are known because their weights were set by hand."""

from collections.abc import Mapping

from plumbrule.lab.circuits.blueprint import Blueprint, Head, Match, Memory, Move, Offset
from plumbrule.lab.circuits.copying import BEFORE_MARK, INDUCTION
from plumbrule.lab.circuits.deciding import BRACKET_COUNT, GREATER_THAN, PAIRING
from plumbrule.lab.circuits.distractors import LOUD, MURMUR
from plumbrule.lab.circuits.names import INDIRECT_OBJECT
from plumbrule.lab.circuits.recalling import LOOKUP, TWO_HOP
from plumbrule.lab.circuits.saving import save_circuit
from plumbrule.lab.circuits.tasks import (
    TOLERANCE,
    CircuitModel,
    CircuitTask,
    DrawnPair,
    TokenPair,
    graph_edges,
)

TASKS: Mapping[str, CircuitTask] = {
    task.name: task
    for task in (
        INDUCTION,
        BEFORE_MARK,
        INDIRECT_OBJECT,
        LOOKUP,
        TWO_HOP,
        GREATER_THAN,
        BRACKET_COUNT,
        PAIRING,
    )
}
"""Every task by its name."""

__all__ = [
    "LOUD",
    "MURMUR",
    "TASKS",
    "TOLERANCE",
    "Blueprint",
    "CircuitModel",
    "CircuitTask",
    "DrawnPair",
    "Head",
    "Match",
    "Memory",
    "Move",
    "Offset",
    "TokenPair",
    "graph_edges",
    "save_circuit",
]
