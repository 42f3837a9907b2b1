import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism import find_sites
from plumbrule.mechanism.patching import Cell, cells_of, logit_difference, patch

CLEAN, CORRUPTED = [5, 9, 12, 7, 30, 44], [5, 9, 80, 7, 30, 44]
METRIC = logit_difference(17, 23)
FAMILIES = ("LlamaForCausalLM", "GPT2LMHeadModel", "Gemma2ForCausalLM", "MixtralForCausalLM")


@pytest.fixture(scope="module", params=FAMILIES)
def module(request):
    return build(request.param).module


@pytest.fixture(scope="module")
def sites(module):
    return find_sites(module)


def own_hooks(module, sites, cell):
    """The metric with one cell exchanged: a whole pass with a hook written by hand."""
    part, site = dict(module.named_modules())[sites[cell.site].path], sites[cell.site]
    kept = {}

    def spot(tensor):
        width = tensor.shape[-1] // (site.heads or 1)
        columns = slice(None)
        if cell.head is not None:
            columns = slice(cell.head * width, (cell.head + 1) * width)
        return (0, slice(None) if cell.position is None else cell.position, columns)

    def keep(tensor):
        kept["clean"] = tensor.clone()

    def put(tensor):
        tensor = tensor.clone()
        tensor[spot(tensor)] = kept["clean"][spot(tensor)]
        return tensor

    def hooked(act):
        if site.side == "in":

            def before(_, arguments, keywords):
                name = "hidden_states"
                tensor = arguments[0] if arguments else keywords[name]
                new = act(tensor)
                if new is None:
                    return None
                if arguments:
                    return (new, *arguments[1:]), keywords
                return arguments, {**keywords, name: new}

            return part.register_forward_pre_hook(before, with_kwargs=True)

        def after(_, arguments, given):
            new = act(given[0] if isinstance(given, tuple) else given)
            if new is None:
                return None
            return (new, *given[1:]) if isinstance(given, tuple) else new

        return part.register_forward_hook(after)

    with torch.no_grad():
        for act, tokens in ((keep, CLEAN), (put, CORRUPTED)):
            handle = hooked(act)
            logits = module(input_ids=torch.tensor([tokens]), use_cache=False)["logits"]
            handle.remove()
    return float(METRIC(logits[:, -1])[0])


def test_every_cell_is_what_a_whole_pass_with_a_hook_gives(module, sites):
    cells = [
        *cells_of(sites, ["in", "attn", "mlp", "out"], positions=[2, 5]),
        *cells_of(sites, ["heads"], positions=[5], by_head=True),
        *cells_of(sites, ["heads", "out"]),
    ]

    found = patch(module, sites, CLEAN, CORRUPTED, cells, METRIC)

    expected = [own_hooks(module, sites, cell) for cell in cells]
    assert np.allclose(found.values, expected, atol=1e-6)
    assert np.ptp(expected) > 0


def test_the_whole_residual_stream_brings_everything_back(module, sites):
    found = patch(module, sites, CLEAN, CORRUPTED, cells_of(sites, ["out"]), METRIC)

    assert found.clean != found.corrupted
    assert np.allclose(found.recovered, 1.0, atol=1e-4)


def test_a_position_before_the_change_brings_nothing(module, sites):
    """The prompts part at the third token, and nothing before it can know."""
    cells = cells_of(sites, ["in", "attn", "heads", "mlp", "out"], positions=[0, 1])

    found = patch(module, sites, CLEAN, CORRUPTED, cells, METRIC)

    assert np.allclose(found.values, found.corrupted, atol=1e-6)


def test_the_same_prompt_twice_changes_nothing(module, sites):
    cells = cells_of(sites, ["in", "attn", "heads", "mlp", "out"], positions=range(6))

    found = patch(module, sites, CLEAN, CLEAN, cells, METRIC)

    assert np.allclose(found.values, found.clean, atol=1e-6)
    with pytest.raises(DataError, match=r"the metric is .* on the clean and on the corrupted"):
        _ = found.recovered


def test_the_model_is_left_as_it_was(module, sites):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    hooks = [len(part._forward_hooks) for part in module.modules()]
    with torch.no_grad():
        logits = module(input_ids=torch.tensor([CLEAN]))["logits"]

    patch(module, sites, CLEAN, CORRUPTED, cells_of(sites, ["out"]), METRIC)
    with pytest.raises(ZeroDivisionError):
        patch(module, sites, CLEAN, CORRUPTED, cells_of(sites, ["out"]), lambda _: 1 / 0)

    assert [len(part._forward_hooks) for part in module.modules()] == hooks
    assert not [name for name, part in module.named_modules() if "forward" in vars(part)]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with torch.no_grad():
        assert torch.equal(module(input_ids=torch.tensor([CLEAN]))["logits"], logits)


def test_another_library_s_forward_comes_back(module, sites):
    layer = dict(module.named_modules())[sites.layers[0].path]
    own = layer.forward
    layer.forward = lambda *given, **named: own(*given, **named)
    wrapped = layer.forward

    patch(module, sites, CLEAN, CORRUPTED, cells_of(sites, ["out"]), METRIC)

    assert layer.forward is wrapped
    del layer.forward


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        (Cell(site="9.out"), "expected a site"),
        (Cell(site="1.out", position=6), "expected a position among 6 tokens, got 6"),
        (Cell(site="1.heads", head=4), "expected a head of 1.heads, which has 4, got 4"),
        (Cell(site="1.out", head=0), "which has none"),
    ],
)
def test_a_cell_that_does_not_exist_is_refused(module, sites, cell, says):
    with pytest.raises(ConfigError, match=says):
        patch(module, sites, CLEAN, CORRUPTED, [cell], METRIC)


def test_prompts_of_different_lengths_and_no_cells_are_refused(module, sites):
    with pytest.raises(DataError, match="as many tokens"):
        patch(module, sites, CLEAN, CORRUPTED[:-1], cells_of(sites, ["out"]), METRIC)
    with pytest.raises(DataError, match="expected cells"):
        patch(module, sites, CLEAN, CORRUPTED, [], METRIC)
