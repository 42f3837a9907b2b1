"""From matrices over named coordinates to a model of transformers."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from plumbrule.lab.circuits import gpt2, llama
from plumbrule.lab.circuits.assembling import Assembled
from plumbrule.lab.circuits.framing import HEADS

Family = Literal["gpt2", "llama"]

SHARED: Mapping[Family, int] = {"gpt2": 1, "llama": llama.SHARED}
"""Query heads that share a key-value head."""

GROUPS: Mapping[Family, int] = {family: HEADS // shared for family, shared in SHARED.items()}
"""Key-value heads a layer."""


def build_module(parts: Assembled, family: Family, *, length: int, rng: np.random.Generator) -> Any:
    """A model of transformers with the weights given.

    Args:
        parts: Weights over named coordinates.
        family: Architecture.
        length: Tokens that it can read.
        rng: Of the directions that the coordinates get.
    """
    import torch

    write = {"gpt2": gpt2.gpt2_module, "llama": llama.llama_module}[family]
    # A model begins with random weights of its own, which must not use up the caller's draws.
    with torch.random.fork_rng(devices=[]):
        return write(parts, length, rng)
