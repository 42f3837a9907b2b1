"""Models with a planted change of known truth, to judge on them what finds changes."""

from plumbrule.lab.organisms.building import build, cached, truth
from plumbrule.lab.organisms.pool import OBSERVED, pool, request_of
from plumbrule.lab.organisms.truths import KINDS, METHODS, UNPLANTABLE, Organism, Truth

__all__ = [
    "KINDS",
    "METHODS",
    "OBSERVED",
    "UNPLANTABLE",
    "Organism",
    "Truth",
    "build",
    "cached",
    "pool",
    "request_of",
    "truth",
]
