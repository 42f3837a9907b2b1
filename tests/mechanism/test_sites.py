import copy

import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, ModelError
from plumbrule.mechanism import find_sites, patched, watching
from plumbrule.mechanism.tracing import ROWS, TOKENS, tokens, trace

FAMILIES = (
    "LlamaForCausalLM",
    "GPT2LMHeadModel",
    "GPTNeoXForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "Phi3ForCausalLM",
    "Olmo2ForCausalLM",
    "MixtralForCausalLM",
    "GraniteForCausalLM",
    "BloomForCausalLM",
    "OPTForCausalLM",
    "CohereForCausalLM",
)
"""Grouped-query attention, norms behind sublayers, parallel sublayers, tied embeddings, mixtures of
experts, scaled residuals, sublayers that add the residual themselves."""


@pytest.fixture(scope="module", params=FAMILIES)
def module(request):
    tiny = build(request.param)
    assert tiny.module is not None, tiny.reason
    return tiny.module


@pytest.fixture(scope="module")
def llama():
    return build("LlamaForCausalLM").module


def values_at(module, sites):
    """What stood at each site of the pass that sites are found by."""
    seen = trace(module)
    values = {}
    for site in sites.sites:
        call = seen.at(site.path)
        assert call is not None
        values[site.name] = call.taken if site.side == "in" else call.given
    return values, seen


def hooks_of(module):
    """How many hooks each part has: transformers leaves some of its own at the first pass."""
    return [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()]


def test_every_layer_has_all_its_sites(module):
    sites = find_sites(module)

    assert len(sites.layers) == 4
    for kind in ("in", "attn", "heads", "mlp", "out"):
        assert sites.named(kind) == tuple(f"{number}.{kind}" for number in range(4))
    assert sites.names[0] == "embed"
    assert sites.names[-1] == "final"
    assert sites.missing == ()


def test_what_is_read_is_what_the_model_itself_says(module):
    sites = find_sites(module)
    values, seen = values_at(module, sites)

    states = seen.hidden_states
    for number in range(4):
        assert torch.equal(values[f"{number}.in"], states[number])
        assert torch.equal(values[f"{number}.out"], values.get(f"{number + 1}.in", values["3.out"]))
    assert torch.equal(values["embed"], states[0])


def test_what_sublayers_write_adds_up_to_what_the_layer_adds(module):
    sites = find_sites(module)
    values, _ = values_at(module, sites)

    for number in range(4):
        written = sum(
            sites[name].scale * values[name].reshape(values[f"{number}.in"].shape)
            for name in (f"{number}.attn", f"{number}.mlp")
        )
        added = values[f"{number}.out"] - values[f"{number}.in"]
        assert torch.allclose(written, added, atol=1e-4 * float(added.abs().max()))


def test_attention_mixes_tokens_and_the_mlp_does_not(module):
    """A change of the first token reaches the last one through what attention writes alone."""
    sites = find_sites(module)
    values, seen = values_at(module, sites)
    changed = values["0.in"].clone()
    changed[:, 0] = 3 * changed[:, 0].flip(-1)  # no shift, which a norm would take away
    moved = {}

    def compare(name):
        def look(value):
            change = (value.reshape(changed.shape) - values[name].reshape(changed.shape)).abs()
            moved[name] = float(change[:, -1].max())

        return look

    exchange = {sites["0.in"]: lambda _: changed}
    # Without what attention writes, the last token's MLP sees nothing of the first token.
    held = {sites["0.attn"]: lambda _: values["0.attn"]}
    with torch.no_grad(), watching(module, {**exchange, sites["0.attn"]: compare("0.attn")}):
        module(input_ids=seen.ids, use_cache=False)
    with torch.no_grad(), watching(module, {**exchange, **held, sites["0.mlp"]: compare("0.mlp")}):
        module(input_ids=seen.ids, use_cache=False)

    # Experts that read other tokens beside it round it otherwise.
    assert moved["0.mlp"] < 1e-3 * moved["0.attn"]


def test_the_heads_are_read_side_by_side_before_the_projection(llama):
    sites = find_sites(llama)
    values, _ = values_at(llama, sites)
    layer = llama.model.layers[2].self_attn

    site = sites["2.heads"]
    heads = values["2.heads"].reshape(ROWS, TOKENS, site.heads, -1)
    weights = layer.o_proj.weight.reshape(64, site.heads, -1)
    summed = torch.einsum("bthe,dhe->btd", heads, weights)

    assert site.heads == llama.config.num_attention_heads
    assert torch.allclose(summed, values["2.attn"], atol=1e-5)


def test_looking_leaves_the_model_as_it_was(module):
    trace(module)
    before, hooks = copy.deepcopy(module.state_dict()), hooks_of(module)
    module.train()
    module.get_input_embeddings().training = False
    flags = {name: part.training for name, part in module.named_modules()}

    find_sites(module)

    assert {name: part.training for name, part in module.named_modules()} == flags
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert hooks_of(module) == hooks
    module.eval()


def test_sites_are_the_same_in_half_precision(llama):
    half = copy.deepcopy(llama).to(torch.bfloat16)

    assert find_sites(half).names == find_sites(llama).names


def test_an_exchanged_activation_is_what_the_model_goes_on_with(llama):
    sites = find_sites(llama)
    seen = trace(llama)
    zeros = torch.zeros(ROWS, TOKENS, 64)

    with torch.no_grad(), patched(llama, sites, {"3.out": zeros}):
        logits = llama(input_ids=seen.ids)["logits"]
    with torch.no_grad():
        after = llama(input_ids=seen.ids)["logits"]

    assert torch.equal(logits, llama.lm_head(llama.model.norm(zeros)))
    assert torch.equal(after, seen.logits)


def test_an_error_inside_a_pass_leaves_no_hook_behind(llama):
    sites, hooks = find_sites(llama), hooks_of(llama)
    wrong, ids = torch.zeros(1, 1, 3), trace(llama).ids

    with pytest.raises(RuntimeError), patched(llama, sites, {"1.in": wrong}):
        llama(input_ids=ids)

    assert hooks_of(llama) == hooks


def test_a_site_that_does_not_exist_is_refused_with_the_closest(llama):
    sites = find_sites(llama)

    with pytest.raises(ConfigError, match=r"expected a site of LlamaForCausalLM, got '3\.att'.*3"):
        sites["3.att"]


def test_a_layer_that_is_norm_after_norm_says_why_it_has_no_writes():
    """The layer norms the sum: nothing is added to a residual stream."""
    sites = find_sites(build("BertLMHeadModel").module)

    assert sites.named("out") == ("0.out", "1.out", "2.out", "3.out")
    assert not sites.layers[0].additive
    with pytest.raises(ConfigError, match=r"has no site '1\.attn': what the layer's parts give"):
        sites["1.attn"]


def test_a_state_space_model_has_a_mixer_and_no_mlp():
    sites = find_sites(build("MambaForCausalLM").module)

    assert all(layer.mixer for layer in sites.layers)
    assert sites.named("mlp") == ()
    assert dict(sites.missing)["0.mlp"].startswith("the layer has no part")


def test_a_model_whose_layers_cannot_be_found_is_refused_by_name():
    """Its layers keep two streams side by side."""
    module = build("ReformerModelWithLMHead").module

    with pytest.raises(ModelError, match="ReformerModelWithLMHead: no list of layers that hand"):
        find_sites(module)


def test_a_model_that_says_other_hidden_states_than_it_has_is_refused(llama):
    module = copy.deepcopy(llama)
    own = module.forward

    def lying(*given, **named):
        out = own(*given, **named)
        if out.hidden_states is not None:
            out.hidden_states = tuple(2 * one for one in out.hidden_states)
        return out

    module.forward = lying
    with pytest.raises(ModelError, match=r"layer 0 .* is the hidden state 0"):
        find_sites(module)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_weights_that_give_no_numbers_are_said(llama, value):
    broken = copy.deepcopy(llama)
    with torch.no_grad():
        broken.model.layers[0].mlp.down_proj.weight[0, 0] = value
    with pytest.raises(ModelError, match="expected weights that give numbers"):
        find_sites(broken)


def test_a_model_on_two_devices_is_refused(llama):
    module = copy.deepcopy(llama)
    module.model.layers[1].to("meta")

    with pytest.raises(ModelError, match="expected a model on one device"):
        find_sites(module)


def test_the_tokens_read_are_inside_any_vocabulary():
    assert int(tokens(3, "cpu").max()) < 3
    assert int(tokens(50_000, "cpu").max()) < 50_000
