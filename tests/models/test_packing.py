"""Packed copies of weights change the time that a product takes and nothing else."""

import pytest
import torch
from torch import nn

from plumbrule.models import packing
from plumbrule.models.packing import LEAST_TOKENS, give_back, packed


def model(bias=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(256, 300, bias=bias), nn.ReLU(), nn.Linear(300, 700, bias=bias))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 256), (70, 256), (3, 5, 256), (2, 1, 256)])
def test_products_are_the_same_up_to_rounding(bias, shape):
    module, rows = model(bias), torch.randn(shape)
    with torch.inference_mode():
        plain = module(rows)
        with packed(module, tokens=LEAST_TOKENS):
            assert all("forward" in vars(layer) for layer in (module[0], module[2]))
            found = module(rows)
            sliced = module(rows.expand(2, *shape)[..., :256])

    assert found.shape == plain.shape
    assert torch.allclose(found, plain, atol=1e-5)
    assert torch.allclose(sliced[1], plain, atol=1e-5)


def test_nothing_is_left_behind_also_after_an_error():
    module = model()
    with pytest.raises(KeyError), packed(module, tokens=LEAST_TOKENS):
        raise KeyError

    assert not any("forward" in vars(part) for part in module.modules())


def test_weights_changed_between_calls_are_the_ones_used():
    module, rows = model(), torch.randn(4, 256)
    with torch.no_grad(), packed(module, tokens=LEAST_TOKENS):
        module(rows)
    module[2].weight.data.mul_(2)

    with torch.no_grad(), packed(module, tokens=LEAST_TOKENS):
        found = module(rows)

    assert torch.allclose(found, module(rows), atol=1e-5)


def test_hooks_still_run():
    module, seen = model(), []
    module[0].register_forward_hook(lambda *given: seen.append(given[2].shape))

    with torch.no_grad(), packed(module, tokens=LEAST_TOKENS):
        module(torch.randn(4, 256))

    assert seen == [(4, 300)]


def test_what_is_not_plain_stays_as_it_is():
    class Own(nn.Linear):
        pass

    def given(rows):
        return rows

    module = nn.ModuleList(
        [nn.Linear(8, 8), nn.Linear(256, 256).double(), Own(256, 256), nn.Linear(256, 256)]
    )
    module[3].forward = given

    with packed(module, tokens=LEAST_TOKENS):
        assert [vars(part).get("forward") for part in module] == [None, None, None, given]
    assert module[3].forward is given


def test_few_tokens_and_little_memory_keep_layers_as_they_are(monkeypatch):
    module = model()
    with packed(module, tokens=LEAST_TOKENS - 1):
        assert not any("forward" in vars(part) for part in module)
    monkeypatch.setattr(packing, "MOST_BYTES", module[2].weight.nbytes)

    with packed(module, tokens=LEAST_TOKENS):
        assert [("forward" in vars(part)) for part in module] == [False, False, True]


def test_a_torch_without_these_products_is_used_as_it_is(monkeypatch):
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    module = model()

    with packed(module, tokens=LEAST_TOKENS):
        assert not any("forward" in vars(part) for part in module)


def test_memory_is_given_back_after_copies_and_only_then(monkeypatch):
    given = []
    monkeypatch.setattr("plumbrule.models.packing.give_back", lambda: given.append(1))
    model = torch.nn.Sequential(torch.nn.Linear(256, 512))

    with packed(model, tokens=1):
        assert given == []
    assert given == []
    with packed(model, tokens=10**6):
        copied = "forward" in vars(model[0])
    assert given == ([1] if copied else [])


def test_giving_memory_back_asks_for_nothing_that_is_not_there(monkeypatch):
    give_back()
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    give_back()
