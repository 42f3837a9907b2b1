"""Inside one model: where things happen, what is there, and what changes when it is changed."""

from plumbrule.mechanism.capturing import Captured, capture, capture_into
from plumbrule.mechanism.hooks import patched, watching
from plumbrule.mechanism.sites import Layer, Site, Sites, find_sites

__all__ = [
    "Captured",
    "Layer",
    "Site",
    "Sites",
    "capture",
    "capture_into",
    "find_sites",
    "patched",
    "watching",
]
