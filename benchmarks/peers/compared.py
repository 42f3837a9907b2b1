"""What is compared: jobs that several tools can do, and the prompts they are given."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmarks.peers.models import VOCABULARY

TOKENS, PAIRS, GOOD, BAD = 16, 8, 17, 23
"""Tokens of a prompt, pairs attributed at once, and the two answers."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One job, done by both."""

    measure: str
    ours: str
    theirs: str
    given: Literal["ids", "pair", "pairs", "many pairs"]
    times: int
    """How often in each turn; the least counts."""

    at_least: float | None = None
    """How many times faster than TransformerLens ours must be."""

    scores: Literal["equal", "alike"] | None = None
    """Whether what both give must be the same, or is only correlated; None: numbers too many to
    say so in one."""


COMPARED = (
    Compared(
        measure="capture, all our sites against the full cache",
        ours="capture_all",
        theirs="capture_all",
        given="ids",
        times=5,
        at_least=1.4,
    ),
    Compared(
        measure="capture, the same sites",
        ours="capture_all",
        theirs="capture_same",
        given="ids",
        times=5,
    ),
    Compared(
        measure="capture, the stream behind each layer",
        ours="capture_stream",
        theirs="capture_stream",
        given="ids",
        times=5,
    ),
    Compared(
        measure="patching, stream, layers x positions",
        ours="patch_stream",
        theirs="patch_stream",
        given="pair",
        times=1,
        at_least=4.0,
        scores="equal",
    ),
    Compared(
        measure="patching, heads",
        ours="patch_heads",
        theirs="patch_heads",
        given="pair",
        times=1,
        at_least=4.0,
        scores="equal",
    ),
    Compared(
        measure="attribution to nodes, one pair",
        ours="nodes",
        theirs="nodes",
        given="pairs",
        times=3,
        at_least=3.0,
        scores="equal",
    ),
    Compared(
        measure=f"attribution to nodes, {PAIRS} pairs",
        ours="nodes",
        theirs="nodes",
        given="many pairs",
        times=1,
        at_least=3.0,
        scores="equal",
    ),
    Compared(
        measure="attribution to edges, one pair",
        ours="edges",
        theirs="edges",
        given="pairs",
        times=1,
        scores="alike",
    ),
)


def given(*, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Arguments by what a job is given: prompts that differ in two tokens.

    Args:
        seed: Of the tokens.
    """
    generator = np.random.default_rng(seed)
    clean = generator.integers(1, VOCABULARY, (PAIRS, TOKENS))
    corrupted = clean.copy()
    for at in (TOKENS // 4, TOKENS // 2):
        corrupted[:, at] = generator.integers(1, VOCABULARY, PAIRS)
    answers = {"good": GOOD, "bad": BAD}

    def pairs(count: int) -> dict[str, Any]:
        return {"clean": clean[:count].tolist(), "corrupted": corrupted[:count].tolist(), **answers}

    return {
        "ids": {"ids": clean[0].tolist()},
        "pair": {"clean": clean[0].tolist(), "corrupted": corrupted[0].tolist(), **answers},
        "pairs": pairs(1),
        "many pairs": pairs(PAIRS),
    }
