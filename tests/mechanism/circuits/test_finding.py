from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from plumbrule.errors import ConfigError, DataError
from plumbrule.lab.circuits import TASKS
from plumbrule.mechanism import (
    Edge,
    Faithfulness,
    PromptPair,
    attribute_edges,
    edges_of,
    find_circuit,
    find_sites,
    patch_edges,
    prune,
    run_with,
)
from plumbrule.mechanism.circuits.edge_claims import edge_claims
from plumbrule.mechanism.circuits.pruning import connected
from plumbrule.records import from_json, to_json

COUNT = 32


def run(model, function, *given, **named):
    """A function of a module, its sites and its graph, on a model."""
    return function(*model, *given, **named)


class Planted:
    """A model with a known circuit, and what is found in it."""

    def __init__(self, name, family, *, planted=True):
        model = TASKS[name].build(0, family=family, planted=planted)
        self.module, self.sites = model.module, find_sites(model.module)
        self.graph = edges_of(self.module, self.sites)
        self.truth = {Edge(writer=writer, reader=reader) for writer, reader in model.edges}
        drawn = [
            PromptPair(
                clean=each.clean, corrupted=each.corrupted, right=each.right, wrong=each.wrong
            )
            for each in model.pairs(2 * COUNT, seed=1)
        ]
        self.pairs = list(dict.fromkeys(drawn))[:COUNT]
        self.all = (self.module, self.sites, self.graph)

    def find(self, count=COUNT, **settings):
        settings = {"seed": 0, "graph": self.graph, **settings}
        return find_circuit(self.module, self.sites, self.pairs[:count], **settings)


@pytest.fixture(scope="module")
def lookup():
    return Planted("lookup", "llama")


@pytest.fixture(scope="module")
def circuit(lookup):
    return lookup.find()


def test_the_planted_circuit_is_claimed_and_nothing_else(lookup, circuit):
    claimed = set(circuit.confirmed)

    assert circuit.scanned == len(lookup.graph.edges) == len(circuit.claims)
    # One false edge would be more than the level among this few.
    assert claimed == lookup.truth
    assert all(circuit.claim(edge).share > 0.02 for edge in claimed)
    assert circuit.guarantee.level == 0.05
    assert (circuit.searched, circuit.held_out) == (COUNT // 2, COUNT // 2)


def test_edges_are_ranked_with_the_planted_ones_first(lookup, circuit):
    def auroc(scores):
        true = np.array([scores[edge] for edge in lookup.graph.edges if edge in lookup.truth])
        rest = np.array([scores[edge] for edge in lookup.graph.edges if edge not in lookup.truth])
        return stats.mannwhitneyu(true, rest).statistic / (len(true) * len(rest))

    attributed = np.abs(run(lookup.all, attribute_edges, lookup.pairs[:8])).mean(0)

    assert auroc({each.edge: abs(each.share) for each in circuit.claims}) >= 0.9
    assert auroc(dict(zip(lookup.graph.edges, attributed, strict=True))) >= 0.9


def test_the_claims_alone_answer_as_the_model_does(lookup, circuit):
    assert circuit.faithfulness_of_claims == pytest.approx(1.0, abs=0.05)
    assert circuit.faithfulness == pytest.approx(1.0, abs=0.05 + circuit.loss)
    assert circuit.edges
    assert set(circuit.edges) <= set(circuit.confirmed)
    assert circuit.reason is None
    assert [curve.order for curve in circuit.curves] == ["size", "help"]
    for curve in circuit.curves:
        assert curve.values[0] == 0.0
        assert curve.values[-1] == 1.0
        assert curve.cmd < 0.1


def test_without_the_claims_the_answer_is_gone(lookup, circuit):
    """The same test from outside: the metric with just the claims corrupted."""
    values = run(
        lookup.all, run_with, lookup.pairs[:8], [(), circuit.confirmed, lookup.graph.edges]
    )

    whole, without, nothing = values.mean(0)
    assert (without - nothing) / (whole - nothing) < 0.05


def test_a_record_survives_the_way_to_disk(circuit):
    assert from_json(type(circuit), to_json(circuit), origin="memory") == circuit


def test_few_candidates_leave_the_rest_without_a_claim(lookup, circuit):
    """What is not patched counts as not found, and still counts."""
    found = lookup.find(16, candidates=4, steps=1)

    assert len(found.claims) == 4
    assert found.scanned == circuit.scanned
    assert set(found.confirmed) <= lookup.truth


def test_nothing_is_found_where_nothing_was_planted():
    found = Planted("lookup", "llama", planted=False).find(steps=1)

    assert found.confirmed == ()
    assert found.edges == ()
    assert found.faithfulness is None or found.faithfulness == pytest.approx(0.0)


def effects_of(shares, **settings):
    shares = np.asarray(shares, dtype=float)
    edges = [Edge(writer="embed", reader=f"{at}.mlp.in") for at in range(shares.shape[1])]
    settings = {
        "size": 1.0,
        "minimum_share": 0.02,
        "scanned": len(edges),
        "fdr": 0.05,
        **settings,
    }
    return edge_claims(edges, -shares, np.zeros_like(shares), **settings)


def test_realized_false_claims_stay_below_the_level():
    """Edges that matter in just half of all pairs, however skewed, beside some that do always."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(60):
        skewed = rng.exponential(1.0, size=(24, 60)) - np.log(2) + 0.02  # its median is 0.02
        claims = effects_of(np.concatenate([skewed, np.full((24, 6), 0.1)], 1))
        confirmed = [int(each.edge.reader.split(".")[0]) for each in claims if each.confirmed]
        assert {60, 61, 62, 63, 64, 65} <= set(confirmed)
        shares.append(sum(at < 60 for at in confirmed) / len(confirmed))

    assert np.mean(shares) <= 0.05


def test_an_edge_that_hinders_is_claimed_too_and_a_weak_one_is_not():
    rng = np.random.default_rng(1)
    shares = np.stack([np.full(24, -0.3), np.full(24, 0.019), rng.normal(size=24) * 0.5], 1)

    hinders, *others = effects_of(shares)

    assert hinders.confirmed
    assert hinders.share == pytest.approx(-0.3)
    assert hinders.effect == pytest.approx(0.3)
    assert hinders.matters.value == 1.0
    assert not any(each.confirmed for each in others)


def test_e_values_average_at_most_one_under_the_null():
    """Exactly: over all counts of pairs, at the edge of the null."""
    pairs = 20
    heads = stats.binom.pmf(np.arange(pairs + 1), pairs, 0.5)
    one_way = []
    for hits in range(pairs + 1):
        column = np.array([0.1] * hits + [0.0] * (pairs - hits))[:, None]
        (claim,) = effects_of(column)
        (never,) = effects_of(np.zeros((pairs, 1)))
        # Of the four bets three are lost in every pair.
        one_way.append(4 * claim.e_value - 3 * never.e_value)

    assert heads @ one_way == pytest.approx(1.0, abs=1e-6)


def test_dead_ends_are_left_out_and_change_nothing(lookup):
    graph, truth = lookup.graph, lookup.truth
    dead = {
        Edge(writer="embed", reader="0.mlp.in"),  # which nobody hears
        Edge(writer="0.mlp", reader="final"),
        Edge(writer="1.heads.3", reader="1.mlp.in"),
    } - truth
    dead.discard(Edge(writer="embed", reader="0.mlp.in"))

    assert set(connected(graph, truth | dead)) == truth
    assert connected(graph, dead) == ()
    with_dead, without = run(lookup.all, Faithfulness, lookup.pairs[:4]).of([truth | dead, truth])
    assert with_dead == pytest.approx(without, abs=1e-4)


def test_pruning_drops_what_can_be_spared_and_nothing_more(lookup):
    some = [edge for edge in lookup.graph.edges if edge not in lookup.truth][:3]
    pairs = lookup.pairs[:3]
    effects = dict.fromkeys(some, 0.01) | dict.fromkeys(lookup.truth, 1.0)

    kept = run(lookup.all, prune, pairs, effects, loss=0.02)

    assert set(kept) <= lookup.truth
    whole, after = run(lookup.all, Faithfulness, pairs).of([effects, kept])
    assert abs(1 - after) <= abs(1 - whole) + 0.02
    for edge in kept:
        rest = [each for each in kept if each != edge]
        assert abs(1 - run(lookup.all, Faithfulness, pairs).of([rest])[0]) > abs(1 - whole) + 0.02
    assert run(lookup.all, prune, pairs, {}) == ()
    with pytest.raises(ConfigError, match="loss must be"):
        run(lookup.all, prune, pairs, effects, loss=1.0)


def test_attribution_is_what_patching_gives_where_the_model_is_nearly_linear(lookup):
    """At small steps between the prompts slopes and moves are the same."""
    edges = [edge for edge in lookup.graph.edges if edge.reader == "final"]
    exact = run(lookup.all, patch_edges, lookup.pairs[:4], edges)

    found = run(lookup.all, attribute_edges, lookup.pairs[:4], steps=10)

    places = [lookup.graph.edges.index(edge) for edge in edges]
    # The final norm bends a little, and slopes are those between the prompts.
    assert np.corrcoef(found[:, places].ravel(), exact.ravel())[0, 1] > 0.99


def test_prompts_that_the_metric_does_not_tell_apart_are_refused(lookup):
    same = [replace(pair, corrupted=pair.clean) for pair in lookup.pairs[:8]]

    with pytest.raises(DataError, match="the same on the clean and on the corrupted"):
        run(lookup.all[:2], find_circuit, same, seed=0, graph=lookup.graph)
    with pytest.raises(DataError, match="choose prompts or answers that it tells apart"):
        run(lookup.all, Faithfulness, same[:4]).of([lookup.truth])


def test_settings_and_pairs_that_cannot_be_used_are_refused(lookup):
    pairs = lookup.pairs
    for settings, says in (
        ({"fdr": 0.0}, "level must be strictly between"),
        ({"minimum_share": 0.0}, "minimum_share must be strictly between"),
        ({"candidates": 0}, "candidates must be at least 1"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"loss": -0.1}, "loss must be at least 0"),
    ):
        with pytest.raises(ConfigError, match=says):
            run(lookup.all[:2], find_circuit, pairs[:8], seed=0, graph=lookup.graph, **settings)
    with pytest.raises(DataError, match="expected at least 8 pairs"):
        run(lookup.all[:2], find_circuit, pairs[:7], seed=0)
    with pytest.raises(DataError, match="1 of 9 are given twice"):
        run(lookup.all[:2], find_circuit, [*pairs[:8], pairs[0]], seed=0, graph=lookup.graph)


def test_the_model_is_left_as_it_was(lookup):
    def hooks():
        return [
            len(part._forward_hooks) + len(part._forward_pre_hooks)
            for part in lookup.module.modules()
        ]

    before, pairs = hooks(), lookup.pairs[:2]

    run(lookup.all, attribute_edges, pairs, steps=1)
    with pytest.raises(ZeroDivisionError):
        run(lookup.all, attribute_edges, pairs, lambda logits, pairs: 1 / 0)
    run(lookup.all, Faithfulness, pairs).of([()])

    assert hooks() == before
    assert not [name for name, part in lookup.module.named_modules() if "forward" in vars(part)]
    assert all(one.grad is None for one in lookup.module.parameters())
    assert torch.is_grad_enabled()
