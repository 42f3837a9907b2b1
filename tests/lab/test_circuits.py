import dataclasses
import functools

import numpy as np
import pytest
import torch
from tests.lab.edge_oracle import logits_of
from transformers import AutoModelForCausalLM

from plumbrule.errors import ConfigError
from plumbrule.lab.circuits import TASKS, Head, graph_edges
from plumbrule.lab.circuits.copying import INDUCTION
from plumbrule.lab.circuits.framing import CONSTANT
from plumbrule.lab.circuits.tasks import Need
from plumbrule.mechanism import find_sites

BUILDS = [(name, family) for name, task in TASKS.items() for family in task.families]
IDS = [f"{name}-{family}" for name, family in BUILDS]


@functools.cache
def built(name, family):
    return TASKS[name].build(3, family=family)


@pytest.mark.parametrize(("name", "family"), BUILDS, ids=IDS)
def test_pairs_are_of_one_length_and_differ(name, family):
    task = TASKS[name]
    for pair in built(name, family).pairs(50, seed=1):
        assert len(pair.clean) == len(pair.corrupted) == task.blueprint.length
        assert pair.clean != pair.corrupted
        assert pair.right != pair.wrong


@pytest.mark.parametrize(("name", "family"), BUILDS, ids=IDS)
def test_a_saved_model_comes_back_and_all_its_sites_are_found(name, family, tmp_path):
    model = built(name, family)
    rows = [pair.clean for pair in model.pairs(4, seed=0)]

    model.module.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    sites = find_sites(again)

    assert np.array_equal(logits_of(again, rows), logits_of(model.module, rows))
    assert not sites.missing
    assert all(layer.additive and layer.mlp and layer.mixer for layer in sites.layers)
    assert [sites[f"{at}.heads"].heads for at in range(len(sites.layers))] == [4] * len(
        sites.layers
    )


def test_a_seed_decides_everything_and_uses_no_draw_of_others():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()

    one, same, other = (INDUCTION.build(seed) for seed in (1, 1, 2))

    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [model.module.state_dict() for model in (one, same, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["lm_head.weight"], weights[2]["lm_head.weight"])
    assert one.vocabulary == same.vocabulary != other.vocabulary
    assert one.pairs(5, seed=0) == same.pairs(5, seed=0)
    assert one.pairs(5, seed=0) != one.pairs(5, seed=1)


def test_heads_stand_in_other_places_from_seed_to_seed():
    edges = {TASKS["lookup"].build(seed).edges for seed in range(6)}

    assert len(edges) > 3


@pytest.mark.parametrize(("name", "family"), BUILDS, ids=IDS)
def test_norms_are_a_fixed_scale_to_one_in_a_thousand(name, family):
    model = built(name, family)
    rows = torch.tensor([pair.clean for pair in model.pairs(50, seed=0)])

    with torch.no_grad():
        # Of the last, transformers gives what is behind the norm.
        states = model.module(rows, output_hidden_states=True).hidden_states[:-1]

    for state in states:
        assert state.mean(-1).abs().max() < 1e-3
        assert (state.norm(dim=-1) / CONSTANT - 1).abs().max() < 1e-3


def test_the_tasks_between_them_need_every_kind_of_edge():
    kinds: dict[str, str] = {}
    for task in TASKS.values():
        model = task.build(0)
        found = {kind for edge in model.edges if (kind := kind_of(edge))}
        assert set(task.needs) == found, task.name
        kinds |= dict.fromkeys(found, task.name)

    assert set(kinds) == set(Need.__args__)  # type: ignore[attr-defined]
    assert len(TASKS) >= 6
    assert {task.blueprint.layers for task in TASKS.values()} == {2, 3}


def kind_of(edge):
    """What a task says that it needs, read from an edge."""
    writer, reader = edge
    port = reader.split(".")[1] if "." in reader else reader
    source = "head" if ".heads." in writer else "MLP" if writer.endswith(".mlp") else "embedding"
    names = {"q": "query", "k": "key", "v": "value", "mlp": "MLP"}
    if reader == "final":
        return "embedding to answer" if source == "embedding" else None
    if source == "embedding" and port != "mlp":
        return None
    return f"{names[port]} from {source}"


def test_a_graph_holds_every_writer_before_every_reader():
    edges = graph_edges(layers=2, heads=4, groups=2)

    # By hand: 8 readers of attention and the MLP a layer; writers before them.
    assert len(edges) == len(set(edges)) == 8 * 1 + 5 + 8 * 6 + 10 + 11
    assert ("0.heads.3", "0.mlp.in") in edges
    assert ("0.mlp", "1.v.1") in edges
    assert ("0.mlp", "0.mlp.in") not in edges
    assert ("0.heads.0", "0.q.1") not in edges
    assert ("1.mlp", "final") in edges


def test_of_a_model_without_circuit_right_is_as_good_as_wrong():
    model = INDUCTION.build(0, planted=False)
    pairs = model.pairs(400, seed=0)
    rows = np.arange(len(pairs))
    logits = logits_of(model.module, [pair.clean for pair in pairs])
    right, wrong = ([getattr(pair, end) for pair in pairs] for end in ("right", "wrong"))

    better = logits[rows, right] > logits[rows, wrong]

    assert model.edges == ()
    assert model.nodes == {}
    # Four standard errors around a half.
    assert abs(better.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(pairs))
    # Not because it says the same of everything.
    assert np.abs(logits[rows, right] - logits[rows, wrong]).mean() > 0.5


def test_what_needs_learned_positions_is_refused_as_llama():
    with pytest.raises(ConfigError, match=r"indirect_object can be built as gpt2, got 'llama'"):
        TASKS["indirect_object"].build(0, family="llama")


def test_an_edge_of_an_unknown_part_is_refused():
    plan = INDUCTION.blueprint

    with pytest.raises(ConfigError, match="got copier"):
        dataclasses.replace(plan, circuit=(("copier", "final"),))


def test_two_heads_of_one_layer_share_no_keys():
    for seed in range(8):
        nodes = TASKS["lookup"].build(seed, family="llama").nodes
        one, other = (int(nodes[name].split(".")[2]) for name in ("previous", "asked"))
        assert one // 2 != other // 2


def test_more_heads_than_fit_are_refused():
    head = Head(name="more", layer=0, looks=(), moves=())
    plan = dataclasses.replace(
        INDUCTION.blueprint,
        heads=tuple(dataclasses.replace(head, name=f"more {at}") for at in range(5)),
        circuit=(),
    )

    with pytest.raises(ConfigError, match="expected at most 4 heads in layer 0, got 5"):
        dataclasses.replace(INDUCTION, blueprint=plan).build(0)


def test_numbers_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="murmur must be from 0 to 1"):
        INDUCTION.build(0, murmur=-0.1)
    with pytest.raises(ConfigError, match="at least one pair to draw, got 0"):
        built("induction", "gpt2").pairs(0, seed=0)
