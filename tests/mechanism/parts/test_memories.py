import copy

import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.mechanism import find_sites, read_memories
from plumbrule.mechanism.parts.projections import projection_of
from plumbrule.mechanism.tracing import trace

ROWS = [[5, 9, 12, 7], [30, 44, 8], [8, 8, 44, 3, 11, 17], [77, 60]]


def small(name):
    tiny = build(name)
    assert tiny.module is not None, tiny.reason
    return tiny.module


@pytest.fixture(scope="module")
def llama():
    return small("LlamaForCausalLM")


def planted(llama, *, reads=44, writes=101, neuron=13):
    """One neuron of layer 2 written by hand: active at one token, it raises another."""
    module = copy.deepcopy(llama)
    with torch.no_grad():
        for layer in module.model.layers:  # the stream is little but the embedding
            layer.self_attn.o_proj.weight.mul_(1e-2)
            layer.mlp.down_proj.weight.mul_(1e-2)
        mlp = module.model.layers[2].mlp
        direction = module.model.embed_tokens.weight[reads]
        direction = direction / direction.norm()
        mlp.gate_proj.weight[neuron] = 20 * direction
        mlp.up_proj.weight[neuron] = 20 * direction
        pushed = module.lm_head.weight[writes] - module.lm_head.weight.mean(0)
        mlp.down_proj.weight[:, neuron] = pushed / module.model.norm.weight
    return module


def test_a_neuron_written_by_hand_is_read(llama):
    module = planted(llama)

    first, *others = read_memories(module, find_sites(module), 2, rows=ROWS, top=3)

    assert first.neuron == 13
    assert first.stands_out
    assert first.raised[0].token == 101
    assert first.raised[0].score == pytest.approx(8.0, rel=0.02)  # the root of the width
    assert first.writes_positive
    assert {(each.row, each.position) for each in first.reads[:2]} == {(1, 1), (2, 2)}
    assert [each.token for each in first.reads[:2]] == [44, 44]
    assert not any(each.stands_out for each in others)


def test_in_a_model_as_it_was_drawn_hardly_a_neuron_stands_out():
    """At 5% a layer over 16 layers."""
    claimed = 0
    for seed in range(2):
        for name in ("LlamaForCausalLM", "GPTNeoXForCausalLM"):
            module = build(name, seed=seed).module
            sites = find_sites(module)
            for layer in range(4):
                claimed += any(each.stands_out for each in read_memories(module, sites, layer))

    assert claimed <= 3


@pytest.mark.parametrize(
    ("family", "path"),
    [
        ("LlamaForCausalLM", "mlp.down_proj"),
        ("GPT2LMHeadModel", "mlp.c_proj"),
        ("GPTNeoXForCausalLM", "mlp.dense_4h_to_h"),
        ("Gemma2ForCausalLM", "mlp.down_proj"),
        ("BloomForCausalLM", "mlp.dense_4h_to_h"),
        ("OPTForCausalLM", "fc2"),
    ],
)
def test_activations_and_rows_are_those_of_the_last_matrix(family, path):
    """Rows against what the module gives for one active neuron; activations against a hook."""
    module = small(family)
    sites = find_sites(module)
    held = []

    found = read_memories(module, sites, 1, rows=ROWS, neurons=[7], top=4)[0]
    projection = projection_of(module, sites, 1, "mlp")
    part = module.get_submodule(projection.path)
    handle = part.register_forward_pre_hook(lambda _, given: held.append(given[0]))
    with torch.no_grad():
        for row in ROWS:
            module(input_ids=torch.tensor([row]))
        handle.remove()
        taken = held[0].shape[-1]
        one = torch.zeros(2, taken)
        one[0, 7] = 1.0
        given = part(one)

    assert projection.path.endswith(path)
    written = (given[0] - given[1]) * projection.scale
    assert torch.allclose(projection.rows[7], written, atol=1e-6)
    own = [value.reshape(-1, taken)[:, 7] for value in held]
    by_row = {each.row: each for each in found.reads}
    for number, values in enumerate(own):
        at = int(values.abs().argmax())
        assert by_row[number].position == at
        assert by_row[number].activation == pytest.approx(float(values[at]), abs=1e-5)
    assert [abs(each.activation) for each in found.reads] == sorted(
        (abs(each.activation) for each in found.reads), reverse=True
    )


def test_a_norm_behind_the_mlp_scales_what_a_neuron_writes():
    module = small("Gemma2ForCausalLM")
    with torch.no_grad():
        module.model.layers[1].post_feedforward_layernorm.weight.uniform_(-0.5, 2.0)
    scale = 1 + module.model.layers[1].post_feedforward_layernorm.weight

    found = projection_of(module, find_sites(module), 1, "mlp")

    weight = module.model.layers[1].mlp.down_proj.weight
    assert torch.allclose(found.rows, weight.T * scale, atol=1e-4)


def test_a_mixture_of_experts_is_refused_with_the_reason():
    module = small("MixtralForCausalLM")

    with pytest.raises(ModelError, match="where experts are chosen for each token"):
        read_memories(module, find_sites(module), 0)


def test_without_texts_nothing_is_said_to_be_read(llama):
    found = read_memories(llama, find_sites(llama), 0, neurons=[3, 1])

    assert [each.neuron for each in found] == [3, 1]
    assert all(each.reads == () and each.writes_positive is None for each in found)


def test_the_model_is_left_as_it_was_also_after_an_error(llama):
    sites, before = find_sites(llama), copy.deepcopy(llama.state_dict())
    hooks = sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in llama.modules())

    read_memories(llama, sites, 1, rows=ROWS)
    with pytest.raises(IndexError):
        read_memories(llama, sites, 1, rows=[[5, 100_000]])

    after = sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in llama.modules())
    assert after == hooks
    assert all(torch.equal(value, before[name]) for name, value in llama.state_dict().items())
    assert trace(llama).logits is not None


@pytest.mark.parametrize(
    ("layer", "given", "error", "says"),
    [
        (9, {}, ConfigError, "expected a layer of LlamaForCausalLM from 0 to 3, got 9"),
        (0, {"neurons": [96]}, ConfigError, "expected neurons from 0 to 95, got 96"),
        (0, {"neurons": []}, ConfigError, "got none"),
        (0, {"top": 0}, ConfigError, "top must be at least 1"),
        (0, {"rows": [[1], []]}, DataError, "got an empty one"),
    ],
)
def test_wrong_input_is_refused(llama, layer, given, error, says):
    with pytest.raises(error, match=says):
        read_memories(llama, find_sites(llama), layer, **given)
