"""From a blueprint to matrices over its named coordinates: its parts, and distractors around them.

Axes: N named coordinates, C channels of a key, M channels of a value, K neurons, V tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plumbrule.errors import ConfigError
from plumbrule.lab.circuits.blueprint import (
    CHATTER,
    NOISE,
    ONE,
    POSITION,
    Blueprint,
    Head,
    Match,
    Memory,
    Offset,
)
from plumbrule.lab.circuits.coordinates import Coordinates, Matrix
from plumbrule.lab.circuits.distractors import (
    CHANNELS,
    NEURONS,
    NOISE_SIZE,
    READ_SIZE,
    WRITE_SIZE,
    Distractors,
)


@dataclass(frozen=True, kw_only=True)
class Asker:
    """What a query head has of its own."""

    query: Matrix
    """(N, C)."""

    output: Matrix
    """(M, N)."""

    offsets: tuple[Offset, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """A key-value head and the query heads that share it."""

    key: Matrix
    """(N, C)."""

    value: Matrix
    """(N, M)."""

    askers: tuple[Asker, ...]


@dataclass(frozen=True, kw_only=True)
class Assembled:
    """All weights, over the named coordinates."""

    places: Coordinates
    embedding: Matrix
    """(V, N)."""

    unembedding: Matrix
    """(V, N)."""

    groups: tuple[tuple[Group, ...], ...]
    """By layer."""

    mlps: tuple[tuple[Matrix, Matrix], ...]
    """By layer, what neurons read (N, K) and write (K, N)."""

    nodes: Mapping[str, str]
    """What heads and memories are called in the graph: `previous` is `0.heads.3`, say."""

    edges: tuple[tuple[str, str], ...]


def assemble(
    plan: Blueprint, *, heads: int, shared: int, murmur: float, rng: np.random.Generator
) -> Assembled:
    """Place a blueprint's parts at random, and fill the rest with distractors.

    Args:
        plan: What is computed on purpose.
        heads: Query heads a layer.
        shared: Query heads that share a key-value head; 1 where none do.
        murmur: How much distractors write to what answers are read from, as a share of the rest.
        rng: Decides on places and distractors.

    Raises:
        ConfigError: A layer has more heads than there are keys.
    """
    own = {ONE: 1, POSITION: plan.length, NOISE: NOISE_SIZE, CHATTER: 2}
    places = Coordinates(sizes={**own, **plan.subspaces})
    slots = {
        head.name: slot
        for layer in range(plan.layers)
        for head, slot in _slots(plan, layer, heads, shared, rng)
    }
    by_slot = {(head.layer, slots[head.name]): head for head in plan.heads}
    read = {name for rows in plan.unembedding.values() for name in rows} - {ONE, NOISE}
    draws = Distractors(places, tuple(sorted(read)), murmur, rng)
    layers = range(plan.layers)
    return Assembled(
        places=places,
        embedding=_table(plan, plan.embedding, places),
        unembedding=_unembedding(plan, places, rng),
        groups=tuple(
            tuple(
                _group(
                    [by_slot.get((layer, first + at)) for at in range(shared)],
                    places,
                    draws,
                )
                for first in range(0, heads, shared)
            )
            for layer in layers
        ),
        mlps=tuple(_mlp(plan, layer, places, draws) for layer in layers),
        nodes={head.name: f"{head.layer}.heads.{slots[head.name]}" for head in plan.heads}
        | {memory.name: f"{memory.layer}.mlp" for memory in plan.memories},
        edges=tuple(_edge(plan, edge, slots, shared) for edge in plan.circuit),
    )


def _slots(
    plan: Blueprint, layer: int, heads: int, shared: int, rng: np.random.Generator
) -> list[tuple[Head, int]]:
    """A place for each head of a layer; no two share keys and values."""
    wanted = [head for head in plan.heads if head.layer == layer]
    if len(wanted) > heads // shared:
        raise ConfigError(
            f"expected at most {heads // shared} heads in layer {layer}, got {len(wanted)}; put "
            "some into another layer"
        )
    groups = rng.permutation(heads // shared)[: len(wanted)]
    within = rng.integers(shared, size=len(wanted))
    return [
        (head, int(group * shared + at))
        for head, group, at in zip(wanted, groups, within, strict=True)
    ]


def _table(
    plan: Blueprint, rows: Mapping[str, Mapping[str, np.ndarray]], places: Coordinates
) -> Matrix:
    found = places.rows(len(plan.vocabulary))
    for row, token in enumerate(plan.vocabulary):
        for name, vector in rows.get(token, {}).items():
            found[row, places[name]] = vector
    return found


def _unembedding(plan: Blueprint, places: Coordinates, rng: np.random.Generator) -> Matrix:
    found = _table(plan, plan.unembedding, places)
    chatter = places[CHATTER].start
    found[:, chatter] = 1.0
    others = [row for row, token in enumerate(plan.vocabulary) if token not in plan.unembedding]
    found[others, chatter + 1] = rng.choice([-1.0, 1.0], size=len(others))
    return found


def _matching(looks: tuple[Match | Offset, ...], places: Coordinates) -> tuple[Matrix, Matrix]:
    """Query and key matrices whose products are the scores of all matches, in nats."""
    queries, keys = [places.columns(0)], [places.columns(0)]
    for look in looks:
        if isinstance(look, Offset):
            continue
        identity = np.eye(places.sizes[look.key])
        query, key = (places.columns(len(identity)) for _ in range(2))
        query[places[look.query]] = look.strength * identity
        key[places[look.key]] = identity
        queries.append(query)
        keys.append(key)
    return np.hstack(queries), np.hstack(keys)


def _moving(head: Head, places: Coordinates) -> tuple[Matrix, Matrix]:
    """Value and output matrices of a head."""
    values, outputs = [], []
    for move in head.moves:
        size = places.sizes[move.target]
        table = np.eye(size) if move.table is None else move.table
        value, output = places.columns(size), places.rows(size)
        value[places[move.source]] = table
        output[:, places[move.target]] = np.eye(size)
        values.append(value)
        outputs.append(output)
    return np.hstack(values), np.vstack(outputs)


def _group(members: list[Head | None], places: Coordinates, draws: Distractors) -> Group:
    """A key-value head: that of the circuit's head among its members, if there is one."""
    head = next((each for each in members if each is not None), None)
    if head is None:
        query, key = (draws.reading(CHANNELS, READ_SIZE) for _ in range(2))
        value, output = draws.reading(CHANNELS, READ_SIZE), draws.writing(CHANNELS, WRITE_SIZE)
        first = Asker(query=query, output=output)
    else:
        query, key = _matching(head.looks, places)
        value, output = _moving(head, places)
        offsets = tuple(look for look in head.looks if isinstance(look, Offset))
        first = Asker(query=query, output=output, offsets=offsets)
    at = 0 if head is None else members.index(head)
    askers = [
        first
        if each == at
        else Asker(
            query=draws.reading(key.shape[1], READ_SIZE),
            output=draws.writing(value.shape[1], WRITE_SIZE),
        )
        for each in range(len(members))
    ]
    return Group(key=key, value=value, askers=tuple(askers))


def _mlp(
    plan: Blueprint, layer: int, places: Coordinates, draws: Distractors
) -> tuple[Matrix, Matrix]:
    reads = [draws.reading(NEURONS, READ_SIZE)]
    writes = [draws.writing(NEURONS, WRITE_SIZE / 2)]
    for memory in plan.memories:
        if memory.layer == layer:
            read, write = _recalling(memory, places)
            reads.append(read)
            writes.append(write)
    return np.hstack(reads), np.vstack(writes)


def _recalling(memory: Memory, places: Coordinates) -> tuple[Matrix, Matrix]:
    count = len(memory.thresholds)
    read, write = places.columns(count), places.rows(count)
    read[places[ONE]] = -memory.thresholds
    for name, patterns in memory.reads.items():
        read[places[name]] = patterns.T
    for name, vectors in memory.writes.items():
        write[:, places[name]] = vectors
    return read, write


def _edge(
    plan: Blueprint, edge: tuple[str, str], slots: Mapping[str, int], shared: int
) -> tuple[str, str]:
    """An edge by the names of the graph."""
    layers = {head.name: head.layer for head in plan.heads}
    layers |= {memory.name: memory.layer for memory in plan.memories}

    def node(end: str) -> str:
        name, _, port = end.partition(".")
        if name not in layers:
            return name
        if name not in slots:
            return f"{layers[name]}.mlp.in" if port else f"{layers[name]}.mlp"
        slot = slots[name] // shared if port in ("k", "v") else slots[name]
        return f"{layers[name]}.{port or 'heads'}.{slot}"

    return node(edge[0]), node(edge[1])
