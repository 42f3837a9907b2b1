"""Inside one model: where things happen, what is there, and what changes when it is changed."""

from plumbrule.mechanism.attribution import attribute
from plumbrule.mechanism.capturing import Captured, capture, capture_into
from plumbrule.mechanism.heads import HeadRole, attention_patterns, find_heads
from plumbrule.mechanism.hooks import patched, watching
from plumbrule.mechanism.lens import logit_lens
from plumbrule.mechanism.patching import Cell, Patched, cells_of, logit_difference, patch
from plumbrule.mechanism.sites import Layer, Site, Sites, find_sites

__all__ = [
    "Captured",
    "Cell",
    "HeadRole",
    "Layer",
    "Patched",
    "Site",
    "Sites",
    "attention_patterns",
    "attribute",
    "capture",
    "capture_into",
    "cells_of",
    "find_heads",
    "find_sites",
    "logit_difference",
    "logit_lens",
    "patch",
    "patched",
    "watching",
]
