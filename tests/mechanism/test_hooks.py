import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.mechanism import find_sites
from plumbrule.mechanism.hooks import last_logits, layer_outputs, no_room, watching

IDS = torch.tensor([[5, 9, 12, 7, 30, 44], [8, 1, 3, 90, 2, 6]])


@pytest.fixture(
    scope="module",
    # Mpt says nothing of logits to keep.
    params=["LlamaForCausalLM", "GPT2LMHeadModel", "Gemma2ForCausalLM", "MptForCausalLM"],
)
def module(request):
    return build(request.param).module


def test_the_last_logits_are_those_of_a_whole_pass(module):
    with torch.no_grad():
        whole = module(input_ids=IDS, use_cache=False)["logits"]
        found = last_logits(module, IDS)

    assert found.shape == (2, whole.shape[-1])
    assert torch.allclose(found, whole[:, -1].float(), atol=1e-5)


def test_what_the_unembedding_reads_is_whole_where_it_is_watched(module):
    sites, seen = find_sites(module), []

    def keep(value):
        seen.append(value.shape)

    with torch.no_grad(), watching(module, {sites["final"]: keep}):
        last_logits(module, IDS, watched=["1.out", "final"])

    assert seen == [(2, 6, sites.width)]


def test_layers_outputs_come_whole_with_the_last_logits(module):
    sites = find_sites(module)
    paths = [layer.path for layer in sites.layers]

    with torch.no_grad():
        whole = module(input_ids=IDS, use_cache=False)["logits"]
        hooks = [len(part._forward_hooks) for part in module.modules()]
        found, logits = layer_outputs(module, paths, IDS)

    assert list(found) == paths
    assert torch.allclose(logits, whole[:, -1].float(), atol=1e-5)
    assert [len(part._forward_hooks) for part in module.modules()] == hooks


def test_running_out_of_memory_is_known_on_every_device():
    says = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 8 bytes"

    assert no_room(MemoryError())
    assert no_room(torch.OutOfMemoryError())
    assert no_room(RuntimeError(says))
    assert not no_room(RuntimeError("shapes do not fit"))
    assert not no_room(ValueError(says))
