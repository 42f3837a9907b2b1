import copy

import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, ModelError
from plumbrule.mechanism import Edge, edges_of, find_sites, parsed_edges
from plumbrule.mechanism.circuits.edge_patching import writes

FAMILIES = (
    "GPT2LMHeadModel",
    "GPTNeoXForCausalLM",
    "LlamaForCausalLM",
    "Qwen3ForCausalLM",
    "Gemma2ForCausalLM",
    "Olmo2ForCausalLM",
    "MixtralForCausalLM",
    "GraniteForCausalLM",
    "OPTForCausalLM",
    "CohereForCausalLM",
)
"""One projection for queries, keys and values in blocks or head by head, shared keys, norms over
each head and over all heads, norms behind sublayers, parallel sublayers, experts, scaled residuals,
MLPs that read all tokens in one line."""

SHARED = {"Gemma2ForCausalLM": 2, "MixtralForCausalLM": 2}
"""Query heads that share a key, where they do."""

PARALLEL = ("GPTNeoXForCausalLM", "CohereForCausalLM")
IDS = torch.tensor([[5, 9, 12, 7, 30, 44], [5, 9, 80, 7, 31, 44]])


@pytest.fixture(scope="module", params=FAMILIES)
def module(request):
    return build(request.param).module


@pytest.fixture(scope="module")
def sites(module):
    return find_sites(module)


@pytest.fixture(scope="module")
def graph(module, sites):
    return edges_of(module, sites)


def test_every_family_is_split_into_heads(graph):
    groups = 4 // SHARED.get(graph.family, 1)
    readers = [reader.name for reader in graph.readers]

    assert graph.notes == ()
    assert [writer.name for writer in graph.writers] == [
        "embed",
        *(
            name
            for layer in range(4)
            for name in [*(f"{layer}.heads.{head}" for head in range(4)), f"{layer}.mlp"]
        ),
    ]
    assert readers == [
        *(
            name
            for layer in range(4)
            for name in [
                *(f"{layer}.q.{head}" for head in range(4)),
                *(f"{layer}.{role}.{head}" for role in "kv" for head in range(groups)),
                f"{layer}.mlp.in",
            ]
        ),
        "final",
    ]


def test_edges_go_forward_and_a_parallel_mlp_does_not_read_its_layer_s_heads(graph):
    edges = {str(edge) for edge in graph.edges}

    assert len(edges) == len(graph.edges) == graph.allowed.sum()
    assert {"embed -> 0.q.0", "embed -> final", "3.mlp -> final", "0.heads.3 -> 1.k.1"} <= edges
    assert not {"1.heads.0 -> 1.q.0", "1.mlp -> 1.mlp.in", "2.mlp -> 1.q.0"} & edges
    assert ("1.heads.2 -> 1.mlp.in" in edges) == (graph.family not in PARALLEL)


def test_what_writers_write_adds_up_to_the_stream(module, sites, graph):
    """Up to a constant, such as a projection's bias, which is the same for every prompt."""
    held = []
    handle = module.get_submodule(sites.layers[-1].path).register_forward_hook(
        lambda part, given, out: held.append(out[0] if isinstance(out, tuple) else out)
    )
    with torch.no_grad():
        found = writes(module, sites, graph, IDS).double().sum(1)
    handle.remove()

    left = held[0].double() - found

    # A tenth of a thousandth of the stream: it is summed in single precision.
    assert float((left - left[:1, :1]).abs().max()) < 1e-4 * float(held[0].abs().max())


def test_the_numbers_of_a_projection_are_the_right_ones():
    def columns(name, reader):
        module = build(name).module
        graph = edges_of(module, find_sites(module))
        found = next(each for each in graph.readers if each.name == reader)
        return found.parts, list(found.columns)

    assert columns("LlamaForCausalLM", "1.k.2") == (
        ("model.layers.1.self_attn.k_proj",),
        list(range(32, 48)),
    )
    # All queries, then all keys, then all values.
    assert columns("GPT2LMHeadModel", "0.k.1") == (
        ("transformer.h.0.attn.c_attn",),
        list(range(64 + 16, 64 + 32)),
    )
    # Head by head, each with its query, key and value.
    assert columns("GPTNeoXForCausalLM", "2.v.3") == (
        ("gpt_neox.layers.2.attention.query_key_value",),
        list(range(3 * 48 + 32, 3 * 48 + 48)),
    )
    # Behind a norm over all heads, which mixes them.
    assert columns("Olmo2ForCausalLM", "3.q.0") == (
        ("model.layers.3.self_attn.q_proj", "model.layers.3.self_attn.q_norm"),
        list(range(16)),
    )
    assert columns("Olmo2ForCausalLM", "3.v.0")[0] == ("model.layers.3.self_attn.v_proj",)


def test_dead_weights_hide_nothing():
    module = build("LlamaForCausalLM").module
    expected = edges_of(module, find_sites(module))
    with torch.no_grad():
        for layer in module.model.layers:
            layer.self_attn.q_proj.weight.zero_()
            layer.self_attn.k_proj.weight[16:].zero_()
            layer.self_attn.v_proj.weight[:16].zero_()

    found = edges_of(module, find_sites(module))

    assert found.readers == expected.readers
    assert found.edges == expected.edges


def test_half_precision_gives_the_same_graph():
    module = build("Qwen3ForCausalLM").module
    expected = edges_of(module, find_sites(module))
    half = copy.deepcopy(module).to(torch.bfloat16)

    found = edges_of(half, find_sites(half))

    assert found.readers == expected.readers
    assert found.writers == expected.writers


def test_an_adapter_s_projections_are_read_whole():
    from peft import LoraConfig, inject_adapter_in_model

    module = build("LlamaForCausalLM").module
    expected = edges_of(module, find_sites(module)).edges
    tuned = inject_adapter_in_model(
        LoraConfig(target_modules=["q_proj", "o_proj"], init_lora_weights=False), module
    )

    graph = edges_of(tuned, find_sites(tuned))

    assert graph.edges == expected
    assert graph.notes == ()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("DeepseekV3ForCausalLM", "keys and values are made of the same numbers"),
        ("MambaForCausalLM", "its heads are not known"),
    ],
)
def test_attention_that_cannot_be_split_reads_as_one_and_says_why(name, says):
    module = build(name).module
    graph = edges_of(module, find_sites(module))

    assert says in dict(graph.notes)["0.attn.in"]
    assert "0.attn.in" in [reader.name for reader in graph.readers]


def test_a_layer_that_does_not_add_up_is_refused():
    module = build("BertLMHeadModel").module

    with pytest.raises(ModelError, match="BertLMHeadModel: what the parts of layer 0 give out"):
        edges_of(module, find_sites(module))


def test_a_hidden_reader_is_found_out():
    """Its MLP also takes the stream by a way that no module shows."""
    module = build("LlamaForCausalLM").module
    sites, layer = find_sites(module), module.model.layers[1]
    held = []
    layer.register_forward_pre_hook(lambda part, given: held.append(given[0]))
    layer.mlp.register_forward_hook(lambda part, given, out: out + held.pop())

    with pytest.raises(ModelError, match="something reads the stream that is not known"):
        edges_of(module, sites)


def test_the_model_is_left_as_it_was(module, sites):
    before = copy.deepcopy(module.state_dict())
    hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()]
    with torch.no_grad():
        logits = module(input_ids=IDS)["logits"]

    edges_of(module, sites)

    now = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()]
    assert now == hooks
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(one.grad is None for one in module.parameters())
    with torch.no_grad():
        assert torch.equal(module(input_ids=IDS)["logits"], logits)


def test_an_edge_that_does_not_exist_is_refused(graph):
    for text, says in (
        ("9.mlp -> final", "there is no 9.mlp"),
        ("embed -> 1.k.9", "there is no 1.k.9"),
        ("3.mlp -> 1.q.0", "goes backwards"),
    ):
        with pytest.raises(ConfigError, match=says):
            graph.mask(parsed_edges([text]))
    with pytest.raises(ConfigError, match="expected an edge such as"):
        parsed_edges(["embed final"])


def test_a_mask_marks_its_edges_alone(graph):
    edges = [graph.edges[3], graph.edges[-1]]

    table = graph.mask(edges)

    assert table.sum() == 2
    assert all(str(edge) == f"{edge.writer} -> {edge.reader}" for edge in edges)
    assert np.array_equal(graph.mask(graph.edges), graph.allowed)
    assert parsed_edges([str(edge) for edge in edges]) == tuple(edges)
    assert Edge(writer="embed", reader="final") in graph.edges
