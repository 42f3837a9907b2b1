"""The declared circuits, held against exact knock-outs by a forward pass of the tests' own."""

import functools
import itertools

import numpy as np
import pytest
from tests.lab.edge_oracle import PairOracle, logits_of

from plumbrule.lab.circuits import LOUD, TASKS, TOLERANCE

BUILDS = [(name, family) for name, task in TASKS.items() for family in task.families]
IDS = [f"{name}-{family}" for name, family in BUILDS]

CLEARLY = 4 * TOLERANCE
"""What each edge of a circuit moves at least: nothing is decided close to the tolerance."""

pytestmark = pytest.mark.parametrize(("name", "family"), BUILDS, ids=IDS)


@functools.cache
def known(name, family):
    """Llama under another seed, so that both are not the same draw."""
    return PairOracle(TASKS[name].build(len(family), family=family), count=10)


def test_the_oracle_is_the_model(name, family):
    found = known(name, family)

    _, logits = found.oracle.run(found.ids)

    # The model computes in single precision with a constant of 200 in its stream.
    assert np.abs(logits - logits_of(found.model.module, found.ids)).max() < 5e-3
    everything = found.metric(found.model.graph)
    assert np.abs(everything - found.corrupted).max() < 1e-9


def test_every_edge_of_the_circuit_matters_and_no_other(name, family):
    found = known(name, family)
    moved = {edge: found.moved([edge]) for edge in found.model.graph}

    matters = {edge for edge, share in moved.items() if share > TOLERANCE}

    assert matters == set(found.model.edges)
    assert min(moved[edge] for edge in matters) > CLEARLY
    assert max(share for edge, share in moved.items() if edge not in matters) < TOLERANCE / 2


def test_the_circuit_alone_answers_and_without_it_nothing_does(name, family):
    found = known(name, family)
    outside = [edge for edge in found.model.graph if edge not in found.model.edges]

    assert found.moved(outside) < TOLERANCE
    without = found.metric(found.model.edges)
    assert np.abs(without - found.corrupted).mean() / found.whole < TOLERANCE


def test_no_other_edge_brings_anything_of_the_answer_back(name, family):
    """The other direction: all is corrupted but one edge."""
    found = known(name, family)
    graph = found.model.graph
    for edge in [edge for edge in graph if edge not in found.model.edges][::3]:
        values = found.metric([each for each in graph if each != edge])
        assert np.abs(values - found.corrupted).mean() / found.whole < TOLERANCE, edge


def test_no_edge_of_the_circuit_can_be_spared_whatever_others_are(name, family):
    """Every set of its edges, all else corrupted too: there is one circuit and not several."""
    found = known(name, family)
    circuit = found.model.edges
    outside = tuple(edge for edge in found.model.graph if edge not in circuit)
    whole = found.metric(outside)
    for size in range(1, len(circuit) + 1):
        for cut in itertools.combinations(circuit, size):
            moved = np.abs(found.metric((*outside, *cut)) - whole).mean() / found.whole
            assert moved > CLEARLY, cut


def test_no_other_edge_matters_together_with_others_either(name, family):
    found = known(name, family)
    rng = np.random.default_rng(0)
    outside = [edge for edge in found.model.graph if edge not in found.model.edges]
    for _ in range(12):
        share = rng.uniform(0.1, 0.9)
        base = [edge for edge in found.model.graph if rng.random() < share]
        added = [edge for edge in outside if edge not in base and rng.random() < 0.5]

        assert found.moved(added, base) < TOLERANCE


def test_distractors_carry_as_much_as_the_circuit(name, family):
    found = known(name, family)
    wrote, _ = found.oracle.run(found.ids)
    inside = {writer for writer, _ in found.model.edges}

    changes = {
        writer: np.linalg.norm(found.wrote[writer] - wrote[writer], axis=-1).mean()
        for writer in wrote
        if writer != "embed"
    }

    heads = {writer: change for writer, change in changes.items() if ".heads." in writer}
    others = [change for writer, change in heads.items() if writer not in inside]
    circuit = [change for writer, change in heads.items() if writer in inside]
    assert np.median(others) > 0.5 * np.median(circuit)
    assert min(others) > 0.02


def test_louder_distractors_leave_each_edge_on_its_side(name, family):
    quiet = known(name, family)
    seed = quiet.model.seed
    found = PairOracle(TASKS[name].build(seed, family=family, murmur=LOUD), count=10)
    # Distractors are heard through the last edge; what leads to them moves less.
    last = [edge for edge in found.model.graph if edge[1] == "final"]

    moved = {edge: found.moved([edge]) for edge in (*found.model.edges, *last)}

    assert {edge for edge, share in moved.items() if share > TOLERANCE} == set(found.model.edges)
    others = [edge for edge in last if edge not in found.model.edges]
    assert max(moved[edge] for edge in others) > 2 * max(quiet.moved([edge]) for edge in others)
