"""Inside one model: where things happen, what is there, and what changes when it is changed."""

from plumbrule.mechanism.attribution import attribute
from plumbrule.mechanism.capturing import Captured, capture, capture_into
from plumbrule.mechanism.hooks import patched, watching
from plumbrule.mechanism.patching import Cell, Patched, cells_of, logit_difference, patch
from plumbrule.mechanism.sites import Layer, Site, Sites, find_sites

__all__ = [
    "Captured",
    "Cell",
    "Layer",
    "Patched",
    "Site",
    "Sites",
    "attribute",
    "capture",
    "capture_into",
    "cells_of",
    "find_sites",
    "logit_difference",
    "patch",
    "patched",
    "watching",
]
