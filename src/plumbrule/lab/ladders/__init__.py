"""Ladders: questions whose answer at twice the depth follows from answers at the depth below.

Each context is a list of facts drawn anew; each question about it has a depth, and an answer that
an oracle computes by plain iteration. What makes a ladder is `combine`: how somebody who knows the
rule, and not the answer, puts answers at one depth together into an answer at twice that depth.
"""

from collections.abc import Mapping

from plumbrule.lab.ladders.arithmetic import NestedArithmetic
from plumbrule.lab.ladders.assignments import AssignmentChain
from plumbrule.lab.ladders.drawing import Ask, Relabelled
from plumbrule.lab.ladders.friends import FriendChain
from plumbrule.lab.ladders.permutation import PermutationPowering
from plumbrule.lab.ladders.union_find import UnionFind

Task = PermutationPowering | AssignmentChain | UnionFind | NestedArithmetic | FriendChain

LADDERS: Mapping[str, Task] = {
    "permutation": PermutationPowering(),
    "assignments": AssignmentChain(),
    "union-find": UnionFind(),
    "arithmetic": NestedArithmetic(),
    "friends": FriendChain(),
}
"""One of each at its usual size, by the name it is asked for with."""

__all__ = [
    "LADDERS",
    "Ask",
    "AssignmentChain",
    "FriendChain",
    "NestedArithmetic",
    "PermutationPowering",
    "Relabelled",
    "Task",
    "UnionFind",
]
