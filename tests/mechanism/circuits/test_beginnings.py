import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.mechanism import PromptPair, attribute_edges, edges_of, find_sites, run_with
from plumbrule.mechanism.circuits import beginnings

FAMILIES = ("GPT2LMHeadModel", "LlamaForCausalLM", "Gemma2ForCausalLM", "MixtralForCausalLM")

BEGINS = (5, 9, 12, 7, 30, 44, 21)
PAIRS = (
    PromptPair(clean=(*BEGINS, 8, 3, 11), corrupted=(*BEGINS, 80, 3, 11), right=17, wrong=23),
    PromptPair(clean=(4, *BEGINS, 2), corrupted=(4, *BEGINS, 66), right=50, wrong=3),
)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_beginning_that_is_read_once_changes_no_number(family, monkeypatch):
    module = build(family).module
    sites = find_sites(module)
    graph = edges_of(module, sites)
    sets = [(), graph.edges, graph.edges[::3], [graph.edges[5]], [graph.edges[-1]]]
    with torch.no_grad():
        begun = beginnings.beginning(module, torch.tensor([pair.clean for pair in PAIRS[:1]]), 7)

    found = run_with(module, sites, graph, PAIRS, sets)
    scores = attribute_edges(module, sites, graph, PAIRS, steps=2)

    assert begun.length == 7
    monkeypatch.setattr(beginnings, "FEWEST", 99)
    assert np.allclose(found, run_with(module, sites, graph, PAIRS, sets), atol=2e-6)
    assert np.allclose(scores, attribute_edges(module, sites, graph, PAIRS, steps=2), atol=2e-6)
    assert np.ptp(found) > 1e-3


def test_what_both_prompts_have_in_common_ends_before_the_last_token():
    same = PromptPair(clean=BEGINS, corrupted=BEGINS, right=1, wrong=2)

    assert beginnings.shared(PAIRS[:1]) == 7
    assert beginnings.shared(PAIRS) == 7
    assert beginnings.shared([same]) == len(BEGINS) - 1


def test_a_model_without_keys_and_values_is_read_whole():
    module = build("MambaForCausalLM").module
    with torch.no_grad():
        begun = beginnings.beginning(module, torch.tensor([PAIRS[0].clean]), 7)

    assert begun == beginnings.NOTHING
    assert begun.given() == {}
