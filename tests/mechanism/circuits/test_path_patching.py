import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.mechanism import (
    Edge,
    PromptPair,
    edges_of,
    find_sites,
    patch_edges,
    patched,
    run_with,
)
from plumbrule.mechanism.capturing import read
from plumbrule.mechanism.circuits.edge_patching import writes
from plumbrule.mechanism.circuits.path_patching import run_tables
from plumbrule.mechanism.hooks import last_logits

FAMILIES = (
    "GPT2LMHeadModel",
    "GPTNeoXForCausalLM",
    "LlamaForCausalLM",
    "Gemma2ForCausalLM",
    "Olmo2ForCausalLM",
    "MixtralForCausalLM",
)
PAIRS = (
    PromptPair(clean=(5, 9, 12, 7, 30, 44), corrupted=(5, 9, 80, 7, 31, 44), right=17, wrong=23),
    PromptPair(clean=(6, 8, 40, 2), corrupted=(66, 8, 41, 2), right=50, wrong=3),
)
EXACT = 2e-6
"""Rounding of single precision in logits of about 1."""


@pytest.fixture(scope="module", params=FAMILIES)
def module(request):
    return build(request.param).module


@pytest.fixture(scope="module")
def sites(module):
    return find_sites(module)


@pytest.fixture(scope="module")
def graph(module, sites):
    return edges_of(module, sites)


@pytest.fixture(scope="module")
def llama():
    module = build("LlamaForCausalLM").module
    sites = find_sites(module)
    return module, sites, edges_of(module, sites)


def run(model, function, *given, **named):
    """A function of a module, its sites and its graph, on a model."""
    return function(*model, *given, **named)


def own(module, tokens, pair):
    with torch.no_grad():
        logits = last_logits(module, torch.tensor([tokens]))[0]
    return float(logits[pair.right] - logits[pair.wrong])


def into(graph, *readers):
    return [edge for edge in graph.edges if edge.reader in readers]


def test_with_nothing_corrupted_the_model_is_its_own_to_the_bit(module, sites, graph):
    for pair in PAIRS:
        found = run_with(module, sites, graph, [pair], [()])

        assert found[0, 0] == own(module, pair.clean, pair)


def test_with_everything_corrupted_it_answers_the_corrupted_prompt(module, sites, graph):
    found = run_with(module, sites, graph, PAIRS, [graph.edges])[:, 0]
    into_final = run_with(module, sites, graph, PAIRS, [into(graph, "final")])[:, 0]

    expected = [own(module, pair.corrupted, pair) for pair in PAIRS]
    assert np.allclose(found, expected, atol=EXACT)
    assert np.allclose(into_final, expected, atol=EXACT)


def test_all_edges_into_a_part_make_it_do_what_it_does_on_the_corrupted_prompt(
    module, sites, graph
):
    pair = PAIRS[0]
    names = ["2.attn", "2.mlp", "2.heads"]
    there = read(module, [sites[name] for name in names], torch.tensor([pair.corrupted]))
    here = read(module, [sites["2.heads"]], torch.tensor([pair.clean]))["2.heads"]
    attention = [
        reader.name
        for reader in graph.readers
        if reader.name.startswith("2.") and reader.name != "2.mlp.in"
    ]
    groups = sum(name.startswith("2.k") for name in attention)
    some = list(range(4 // groups, 2 * (4 // groups)))
    second = [*(f"2.q.{head}" for head in some), "2.k.1", "2.v.1"]
    width = here.shape[-1] // 4
    own_heads = slice(some[0] * width, (some[-1] + 1) * width)
    exchanged = here.clone()
    exchanged[..., own_heads] = there["2.heads"][..., own_heads]

    found = run_with(
        module,
        sites,
        graph,
        [pair],
        [into(graph, *attention), into(graph, "2.mlp.in"), into(graph, *second)],
    )[0]

    expected = []
    for name, value in (
        ("2.attn", there["2.attn"]),
        ("2.mlp", there["2.mlp"]),
        ("2.heads", exchanged),
    ):
        with patched(module, sites, {name: value}):
            expected.append(own(module, pair.clean, pair))
    assert np.allclose(found, expected, atol=EXACT)
    assert np.ptp([*expected, own(module, pair.clean, pair)]) > 100 * EXACT


def test_an_edge_into_the_answer_moves_the_last_stream_alone(module, sites, graph):
    pair = PAIRS[0]
    with torch.no_grad():
        here, there = (
            writes(module, sites, graph, torch.tensor([tokens]))
            for tokens in (pair.clean, pair.corrupted)
        )
    last = sites.layers[-1].path
    edges = into(graph, "final")

    found = patch_edges(module, sites, graph, [pair], edges)[0]

    expected = []
    for number in range(len(edges)):
        moved = (there - here)[:, number]

        def add(part, given, out, moved=moved):
            return (out[0] + moved, *out[1:]) if isinstance(out, tuple) else out + moved

        handle = module.get_submodule(last).register_forward_hook(add)
        expected.append(own(module, pair.clean, pair))
        handle.remove()
    assert np.allclose(found + own(module, pair.clean, pair), expected, atol=EXACT)


def by_hand(module, pair, edge, graph, sites):
    """One edge of a Llama corrupted, in a pass written out for it."""
    config, body = module.config, module.model
    heads, groups, width = 4, config.num_key_value_heads, config.head_dim
    with torch.no_grad():
        there = writes(module, sites, graph, torch.tensor([pair.corrupted]))[0]
        names = [writer.name for writer in graph.writers]
        wrote, ids = {}, torch.tensor([pair.clean])
        stream = wrote["embed"] = body.embed_tokens(ids)[0]
        cosine, sine = body.rotary_emb(stream[None], torch.arange(len(pair.clean))[None])

        def reading(reader):
            if edge.reader != reader:
                return stream
            return stream - wrote[edge.writer] + there[names.index(edge.writer)]

        def turned(x):
            half = torch.cat([-x[:, width // 2 :], x[:, : width // 2]], 1)
            return x * cosine[0] + half * sine[0]

        ahead = torch.full((len(stream),) * 2, float("-inf")).triu(1)
        for number, layer in enumerate(body.layers):
            part, mixed = layer.self_attn, []

            def project(matrix, role, head, layer=layer, number=number):
                x = layer.input_layernorm(reading(f"{number}.{role}.{head}"))
                return x @ matrix.weight[head * width : (head + 1) * width].T

            for head in range(heads):
                group = head * groups // heads
                query = turned(project(part.q_proj, "q", head))
                key = turned(project(part.k_proj, "k", group))
                scores = (query @ key.T / width**0.5 + ahead).softmax(-1)
                value = scores @ project(part.v_proj, "v", group)
                mixed.append(value @ part.o_proj.weight[:, head * width : (head + 1) * width].T)
            for head, value in enumerate(mixed):
                wrote[f"{number}.heads.{head}"] = value
                stream = stream + value
            value = layer.mlp(layer.post_attention_layernorm(reading(f"{number}.mlp.in")))
            wrote[f"{number}.mlp"] = value
            stream = stream + value
        logits = module.lm_head(body.norm(reading("final")))[-1]
    return float(logits[pair.right] - logits[pair.wrong])


def test_single_edges_are_what_a_pass_written_by_hand_gives():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    module = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=97,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            initializer_range=0.3,
        )
    ).eval()
    sites = find_sites(module)
    graph = edges_of(module, sites)
    pair = PromptPair(clean=(5, 9, 12, 7, 30), corrupted=(5, 9, 80, 7, 31), right=17, wrong=23)
    edges = graph.edges[::5]

    found = patch_edges(module, sites, graph, [pair], edges)[0] + own(module, pair.clean, pair)

    expected = [by_hand(module, pair, edge, graph, sites) for edge in edges]
    assert np.allclose(found, expected, atol=2e-5)
    assert np.ptp(expected) > 0.1


def test_sets_pairs_and_batches_do_not_touch_each_other(llama, monkeypatch):
    module, sites, graph = llama
    rng = np.random.default_rng(0)
    tables = graph.allowed & (rng.random((3, *graph.allowed.shape)) < 0.3)

    together = run_tables(module, sites, graph, PAIRS, tables)
    monkeypatch.setattr("plumbrule.mechanism.circuits.path_patching.BATCH_TOKENS", 1)
    monkeypatch.setattr("plumbrule.mechanism.circuits.path_patching.HELD", 1)
    alone = run_tables(module, sites, graph, PAIRS, tables)

    assert np.allclose(together, alone, atol=EXACT)
    assert np.ptp(together[0]) > 0


def test_the_same_prompt_twice_moves_nothing(module, sites, graph):
    same = [PromptPair(clean=(5, 9, 12), corrupted=(5, 9, 12), right=1, wrong=2)]

    assert np.allclose(patch_edges(module, sites, graph, same, graph.edges[::9]), 0, atol=EXACT)


def test_what_cannot_be_run_is_refused_by_the_pair(llama):
    for pairs, says in (
        ([], "expected pairs of prompts, got none"),
        (
            [PAIRS[0], PromptPair(clean=(1, 2), corrupted=(1,), right=1, wrong=2)],
            "pair 1: .*as many",
        ),
        ([PromptPair(clean=(1, 2), corrupted=(1, 999), right=1, wrong=2)], "pair 0: .*got 999"),
        ([PromptPair(clean=(1, 2), corrupted=(1, 3), right=-1, wrong=2)], "in answers, got -1"),
    ):
        with pytest.raises(DataError, match=says):
            run(llama, run_with, pairs, [()])
    with pytest.raises(DataError, match="expected edges to corrupt"):
        run(llama, patch_edges, PAIRS, [])
    with pytest.raises(DataError, match="expected sets of edges"):
        run(llama, run_tables, PAIRS, np.zeros((0, *llama[2].allowed.shape), dtype=bool))
    with pytest.raises(ConfigError, match=r"there is no 7\.mlp"):
        run(llama, run_with, PAIRS, [[Edge(writer="7.mlp", reader="final")]])


def test_a_metric_that_is_no_number_is_refused_and_the_model_left_as_it_was(llama):
    module = llama[0]
    hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()]

    with pytest.raises(DataError, match="expected numbers from the metric"):
        run(llama, run_with, PAIRS, [llama[2].edges], lambda logits, pairs: logits[:, 0] * np.nan)
    with pytest.raises(ZeroDivisionError):
        run(llama, run_with, PAIRS, [llama[2].edges], lambda logits, pairs: 1 / 0)

    now = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()]
    assert now == hooks
    assert not [name for name, part in module.named_modules() if "forward" in vars(part)]


def test_damaged_weights_are_said_to_be(llama):
    module, sites, graph = build("LlamaForCausalLM").module, llama[1], llama[2]
    with torch.no_grad():
        module.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")

    with pytest.raises(DataError, match="expected numbers in the residual stream"):
        run_with(module, sites, graph, PAIRS, [()])


def test_too_large_a_batch_is_halved_until_it_fits(llama):
    module, _, graph = llama
    expected = run(llama, patch_edges, PAIRS, graph.edges[:30])
    rows = []

    def narrow(part, given, keywords):
        rows.append(len(keywords["input_ids"]))
        if rows[-1] > 3:
            raise torch.OutOfMemoryError("no room")

    handle = module.register_forward_pre_hook(narrow, with_kwargs=True)
    found = run(llama, patch_edges, PAIRS, graph.edges[:30])
    handle.remove()

    assert max(rows) > 3
    assert np.allclose(found, expected, atol=EXACT)


def test_a_model_for_which_there_is_no_room_is_refused(llama):
    def full(part, given):
        raise torch.OutOfMemoryError("no room")

    handle = llama[0].model.layers[0].register_forward_pre_hook(full)
    with pytest.raises(ModelError, match="a single prompt does not fit into memory"):
        run(llama, run_with, PAIRS, [()])
    handle.remove()


def test_progress_is_told_batch_by_batch(llama, monkeypatch):
    monkeypatch.setattr("plumbrule.mechanism.circuits.path_patching.BATCH_TOKENS", 16)
    graph, told = llama[2], []

    run(llama, patch_edges, PAIRS, graph.edges[:30], progress=lambda *far: told.append(far))

    assert len(told) > 5
    assert told == sorted(told)
    assert told[-1] == (30, 30)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
def test_edges_of_any_number_are_corrupted_as_one_by_one_in_a_plain_sum(llama, share, monkeypatch):
    module, sites, graph = llama
    rng = np.random.default_rng(0)
    tables = graph.allowed & (rng.random((3, *graph.allowed.shape)) < share)
    found = run_tables(module, sites, graph, PAIRS, tables)
    monkeypatch.setattr("plumbrule.mechanism.circuits.edge_patching.GATHERED", 0)  # always gathers

    assert np.allclose(found, run_tables(module, sites, graph, PAIRS, tables), atol=EXACT)
