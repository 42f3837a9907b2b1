"""A task with a known circuit, the models built for it, and the prompts it is measured on.

A pair of prompts is made so that everything the circuit reads differs between the two, and what it
does not read often does too: a circuit's every edge then carries something, and so do many others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from plumbrule.errors import ConfigError
from plumbrule.lab.circuits.assembling import assemble
from plumbrule.lab.circuits.blueprint import NOISE, Blueprint
from plumbrule.lab.circuits.building import GROUPS, SHARED, Family, build_module
from plumbrule.lab.circuits.distractors import MURMUR, NOISE_SIZE
from plumbrule.lab.circuits.framing import HEADS
from plumbrule.records import strict
from plumbrule.store import derive_seed

Edge = tuple[str, str]
"""A writer and a reader of the residual stream, such as `("0.heads.3", "1.k.3")`."""

Need = Literal[
    "query from head",
    "key from head",
    "value from head",
    "value from MLP",
    "MLP from head",
    "MLP from embedding",
    "embedding to answer",
]
"""Kinds of edge that a circuit has besides plain ones."""

TOLERANCE = 0.05
"""Share of the metric's difference between the prompts of a pair, both averaged over pairs without
their signs, above which an edge, or a set of edges, matters. What moves less is no part of a
circuit: the distractors' murmur, what norms couple, rounding."""


@strict
@dataclass(frozen=True, kw_only=True)
class DrawnPair:
    """Two prompts in the names of a task's tokens."""

    clean: tuple[str, ...]
    corrupted: tuple[str, ...]
    right: str
    """What comes after the clean prompt."""

    wrong: str
    """What comes after the corrupted one, or what is wrong after the clean one if nothing is."""


@strict
@dataclass(frozen=True, kw_only=True)
class TokenPair:
    """Two prompts of as many tokens."""

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    right: int
    wrong: int


@dataclass(frozen=True, kw_only=True)
class CircuitTask:
    """What models are built for."""

    name: str
    description: str
    """What is asked, in one sentence."""

    computation: str
    """How the circuit answers, step by step."""

    needs: tuple[Need, ...]
    blueprint: Blueprint
    draw: Callable[[np.random.Generator], DrawnPair]

    @property
    def families(self) -> tuple[Family, ...]:
        """Architectures that it can be built in."""
        return ("gpt2",) if self.blueprint.avoids else ("gpt2", "llama")

    def build(
        self,
        seed: int,
        *,
        family: Family = "gpt2",
        planted: bool = True,
        murmur: float = MURMUR,
    ) -> "CircuitModel":
        """Build a model with this task's circuit.

        Args:
            seed: Of token numbers, directions, places of heads, and distractors.
            family: Architecture; with `llama`, two query heads share keys and values.
            planted: False leaves the circuit out: all is distractors, and answers are read from
                what they write. Nothing then favors right over wrong, which are thrown for.
            murmur: How much distractors write to what answers are read from, as a share of what
                they write elsewhere. Up to `LOUD` each edge outside the circuit stays below the
                tolerance.

        Raises:
            ConfigError: The task cannot be built in this family, or the murmur is no share.

        Source:
            Weights set from a description as in Lindner et al. (2023), "Tracr", arXiv 2301.05062;
            attention heads as in Elhage et al. (2021), "A mathematical framework for transformer
            circuits". Norms, random directions and distractors are ours.
        """
        if family not in self.families:
            raise ConfigError(
                f"{self.name} can be built as {', '.join(self.families)}, got {family!r}: a head "
                "keeps away from its own position, which needs learned positions"
            )
        if not 0.0 <= murmur <= 1.0:
            raise ConfigError(f"murmur must be from 0 to 1, got {murmur}; {MURMUR} is usual")
        rng = np.random.default_rng(derive_seed(seed, "circuit", self.name, family, planted))
        plan = self.blueprint if planted else _without_circuit(self.blueprint, rng)
        order = rng.permutation(len(plan.vocabulary))
        plan = replace(plan, vocabulary=tuple(plan.vocabulary[at] for at in order))
        parts = assemble(plan, heads=HEADS, shared=SHARED[family], murmur=murmur, rng=rng)
        return CircuitModel(
            task=self,
            family=family,
            seed=seed,
            planted=planted,
            module=build_module(parts, family, length=plan.length, rng=rng),
            vocabulary=plan.vocabulary,
            nodes=parts.nodes,
            edges=parts.edges,
        )


def _without_circuit(plan: Blueprint, rng: np.random.Generator) -> Blueprint:
    """The same sizes with nothing computed on purpose."""
    readout = {token: {NOISE: rng.normal(size=NOISE_SIZE)} for token in plan.unembedding}
    return replace(plan, heads=(), memories=(), circuit=(), unembedding=readout)


@dataclass(frozen=True, kw_only=True)
class CircuitModel:
    """A model whose circuit is known, because its weights were set."""

    task: CircuitTask
    family: Family
    seed: int
    planted: bool
    module: Any
    """A model of transformers."""

    vocabulary: tuple[str, ...]
    """What each token is called."""

    nodes: Mapping[str, str]
    """Where the task's heads and memories are: `previous` is `0.heads.3`, say."""

    edges: tuple[Edge, ...]
    """The circuit; empty where none was planted."""

    @cached_property
    def graph(self) -> tuple[Edge, ...]:
        """All edges that there are, in the order in which a pass reaches their readers."""
        return graph_edges(
            layers=self.task.blueprint.layers, heads=HEADS, groups=GROUPS[self.family]
        )

    def pairs(self, count: int, *, seed: int) -> tuple[TokenPair, ...]:
        """Draw pairs of prompts, all of one length.

        Args:
            count: How many.
            seed: Of the prompts alone; the model's own does not enter.

        Raises:
            ConfigError: Less than one pair is asked for.
        """
        if count < 1:
            raise ConfigError(f"expected at least one pair to draw, got {count}")
        rng = np.random.default_rng(derive_seed(seed, "pairs", self.task.name))
        numbers = {token: at for at, token in enumerate(self.vocabulary)}
        found = []
        for _ in range(count):
            drawn = self.task.draw(rng)
            answers = [numbers[drawn.right], numbers[drawn.wrong]]
            if not self.planted and rng.random() < 0.5:
                answers.reverse()
            found.append(
                TokenPair(
                    clean=tuple(numbers[token] for token in drawn.clean),
                    corrupted=tuple(numbers[token] for token in drawn.corrupted),
                    right=answers[0],
                    wrong=answers[1],
                )
            )
        return tuple(found)


def graph_edges(*, layers: int, heads: int, groups: int) -> tuple[Edge, ...]:
    """All edges of a model whose MLPs read what the attention of their layer writes.

    Args:
        layers: How many.
        heads: Query heads a layer.
        groups: Key-value heads a layer.

    Example:
        >>> graph_edges(layers=1, heads=1, groups=1)[:4]
        (('embed', '0.q.0'), ('embed', '0.k.0'), ('embed', '0.v.0'), ('embed', '0.mlp.in'))
    """
    writers, found = ["embed"], []
    for layer in range(layers):
        readers = [f"{layer}.q.{head}" for head in range(heads)]
        readers += [f"{layer}.{port}.{group}" for port in "kv" for group in range(groups)]
        found += [(writer, reader) for reader in readers for writer in writers]
        writers += [f"{layer}.heads.{head}" for head in range(heads)]
        found += [(writer, f"{layer}.mlp.in") for writer in writers]
        writers.append(f"{layer}.mlp")
    return (*found, *((writer, "final") for writer in writers))
