import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.mechanism import find_sites
from plumbrule.mechanism.patching import PatchCell, cells_of, logit_difference, patch

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
        (PatchCell(site="9.out"), "expected a site"),
        (PatchCell(site="1.out", position=6), "expected a position among 6 tokens, got 6"),
        (PatchCell(site="1.heads", head=4), "expected a head of 1.heads, which has 4, got 4"),
        (PatchCell(site="1.out", head=0), "which has none"),
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


@pytest.fixture
def llama():
    return build("LlamaForCausalLM").module


@pytest.mark.parametrize(
    ("clean", "corrupted", "says"),
    [
        ([0, 0, 12, 7], [5, 9, 80, 7], "the clean one is padded with token 0 on the left"),
        ([5, 9, 12, 7], [5, 9, 0, 0], "the corrupted one is padded with token 0 on the right"),
        ([5, 9, 12, 160], [5, 9, 80, 7], "from 0 to 159 in the clean prompt, got 160"),
        ([5, 9, 12, 7], [5, 9, 80, -1], "in the corrupted prompt, got -1"),
        ([5, 9, 12, 7], [5, 9, "x", 7], "expected tokens in the corrupted prompt, got 'x'"),
        ([5, 9, 12, 7], [5, 9, 80.0, 7], "expected tokens in the corrupted prompt, got 80.0"),
        ([], [], "got 0 and 0"),
    ],
)
def test_prompts_that_are_padded_or_hold_no_tokens_are_refused(llama, clean, corrupted, says):
    sites = find_sites(llama)

    with pytest.raises(DataError) as caught:
        patch(llama, sites, clean, corrupted, cells_of(sites, ["out"]), METRIC)

    assert says in str(caught.value)


def test_a_single_padding_token_may_begin_a_text(llama):
    sites = find_sites(llama)

    found = patch(llama, sites, [0, 5, 12], [0, 5, 80], cells_of(sites, ["out"])[:1], METRIC)

    assert found.recovered[0] == pytest.approx(1.0, abs=1e-4)


def test_activations_that_are_no_numbers_are_refused(llama):
    sites = find_sites(llama)
    with torch.no_grad():
        llama.model.layers[2].mlp.down_proj.weight[0, 0] = float("nan")

    with pytest.raises(DataError, match=r"expected numbers at 2\.mlp, got NaN or inf"):
        patch(llama, sites, CLEAN, CORRUPTED, cells_of(sites, ["mlp"]), METRIC)
    # Behind the sites that are exchanged only the metric shows it.
    with pytest.raises(DataError, match="expected numbers from the metric, got NaN or inf"):
        patch(llama, sites, CLEAN, CORRUPTED, [PatchCell(site="1.out")], METRIC)


def test_too_large_a_batch_is_halved_until_it_fits(llama):
    sites, rows = find_sites(llama), []
    cells = cells_of(sites, ["out", "mlp"], positions=range(6))
    expected = patch(llama, sites, CLEAN, CORRUPTED, cells, METRIC)

    def narrow(part, given, keywords):
        rows.append(len(keywords["input_ids"]))
        if rows[-1] > 2:
            raise torch.OutOfMemoryError("no room")

    handle = llama.register_forward_pre_hook(narrow, with_kwargs=True)
    found = patch(llama, sites, CLEAN, CORRUPTED, cells, METRIC)
    handle.remove()

    assert max(rows) > 2
    assert np.allclose(found.values, expected.values, atol=1e-6)


def test_a_pass_for_which_there_is_no_room_is_refused_and_leaves_nothing_behind(llama):
    sites = find_sites(llama)
    hooks = [len(part._forward_hooks) for part in llama.modules()]
    calls = []

    def full(part, given):
        calls.append(1)
        if len(calls) > 2:
            raise torch.OutOfMemoryError("no room")

    handle = llama.model.norm.register_forward_pre_hook(full)
    with pytest.raises(ModelError, match="a single prompt does not fit into memory"):
        patch(llama, sites, CLEAN, CORRUPTED, cells_of(sites, ["out"]), METRIC)
    handle.remove()

    assert [len(part._forward_hooks) for part in llama.modules()] == hooks
    assert not [name for name, part in llama.named_modules() if "forward" in vars(part)]


def test_half_precision_is_patched_as_well(llama):
    sites = find_sites(llama)
    cells = [*cells_of(sites, ["out"]), *cells_of(sites, ["heads"], by_head=True)]
    half = copy.deepcopy(llama).to(torch.bfloat16)

    found = patch(half, find_sites(half), CLEAN, CORRUPTED, cells, METRIC)

    expected = patch(llama, sites, CLEAN, CORRUPTED, cells, METRIC)
    # Three digits of logits below 1.
    assert np.allclose(found.values, expected.values, atol=0.02)
    assert np.allclose(found.values[:4], found.clean, atol=0.01)


def test_a_model_spread_over_devices_is_refused(llama):
    sites = find_sites(llama)
    llama.model.layers[1].to("meta")

    with pytest.raises(ModelError, match=r"expected a model on one device.*without a device map"):
        patch(llama, sites, CLEAN, CORRUPTED, cells_of(sites, ["out"]), METRIC)


@dataclass
class Record:
    hidden: torch.Tensor
    more: str


@pytest.mark.parametrize("wrap", [lambda x: (x, None), lambda x: Record(hidden=x, more="kept")])
def test_modules_that_give_tuples_or_records_are_exchanged_in_their_first_tensor(llama, wrap):
    sites = find_sites(llama)
    cells = cells_of(sites, ["mlp"], positions=[5])
    expected = patch(llama, sites, CLEAN, CORRUPTED, cells, METRIC)

    class Wrapped(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return wrap(self.inner(x))

    class Unwrapped(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.wrapped = Wrapped(inner)

        def forward(self, x):
            given = self.wrapped(x)
            return given[0] if isinstance(given, tuple) else given.hidden

    for layer in llama.model.layers:
        layer.mlp = Unwrapped(layer.mlp)
    inner = [
        each
        if each.name not in sites.named("mlp")
        else type(each)(name=each.name, path=f"{each.path}.wrapped", side="out")
        for each in sites.sites
    ]
    wrapped = type(sites)(**{**vars(sites), "sites": tuple(inner)})
    found = patch(llama, wrapped, CLEAN, CORRUPTED, cells, METRIC)

    assert np.allclose(found.values, expected.values, atol=1e-6)
    assert np.ptp(found.values) > 0
