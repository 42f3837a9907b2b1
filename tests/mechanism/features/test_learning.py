"""A step against automatic differentiation over dense tables, and torch's own Adam."""

from dataclasses import replace

import pytest
import torch

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.features.dictionaries import Origin, Reading
from plumbrule.mechanism.features.learning import Learner, _jump
from plumbrule.mechanism.features.settings import DictionarySettings

SETTINGS = DictionarySettings(
    kind="topk", latents=64, active=4, tokens=64 * 1000, batch=64, dead_after=1.0
)
ORIGIN = Origin(reading=Reading(site="0.out"))


def activations(rows=64, width=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator)
    return torch.randn(rows, width, generator=generator) @ mixing + 3.0


def codes_of(settings, before):
    if settings.kind == "topk":
        values, places = before.relu().topk(settings.active, dim=1)
        return torch.zeros_like(before).scatter(1, places, values)
    if settings.kind == "relu":
        return before.relu()
    least = before.flatten().topk(settings.active * len(before)).values.min()
    return torch.where((before >= least) & (before > 0), before, 0.0)


class Dense:
    """The same training written plainly."""

    def __init__(self, learner, settings):
        self.settings = settings
        self.weights = {
            name: torch.nn.Parameter(value.clone()) for name, value in learner.weights.items()
        }
        self.optimizer = torch.optim.Adam(
            self.weights.values(),
            lr=1.0,
            betas=(settings.momentum, settings.second_decay),
            eps=1e-8,
        )

    def step(self, inputs, targets, rate):
        weights = self.weights
        codes = codes_of(self.settings, inputs @ weights["encoder"].mT + weights["encoder_bias"])
        loss = torch.zeros(())
        for end in self.settings.ends:
            written = codes[:, :end] @ weights["decoder"][:end] + weights["decoder_bias"]
            loss = loss + (written - targets).square().mean() / len(self.settings.ends)
        if self.settings.kind == "relu":
            loss = loss + self.settings.sparsity * codes.sum(1).mean() / targets.shape[1]
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        decoder = weights["decoder"]
        with torch.no_grad():
            assert decoder.grad is not None
            decoder.grad -= (decoder.grad * decoder).sum(1, keepdim=True) * decoder
            self.optimizer.step()
            decoder.div_(decoder.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("kind", ["topk", "batch_topk", "matryoshka", "relu"])
def test_steps_are_those_of_dense_gradients_and_plain_adam(kind, momentum):
    settings = replace(SETTINGS, kind=kind, momentum=momentum)
    inputs, targets = activations(), activations(width=9, seed=1)
    learner = Learner(settings, inputs, targets)
    plain = Dense(learner, settings)

    for number in range(6):
        some, wanted = activations(seed=2 + number), activations(width=9, seed=20 + number)
        plain.step(learner._scaled(some, 0), learner._scaled(wanted, 1), learner._rate())
        learner.step(some, wanted)

    for name, value in learner.weights.items():
        # A few units in the last place of sums over 64 rows; Adam divides by small roots.
        assert torch.allclose(value, plain.weights[name], atol=2e-5), name


@pytest.mark.parametrize("kind", ["relu", "topk", "batch_topk", "jumprelu", "matryoshka"])
def test_every_kind_learns_directions_that_are_there(kind):
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(24, 16, generator=generator))
    on = torch.rand(20_000, 24, generator=generator) < 0.08
    data = (on * (1 + 0.2 * torch.randn(on.shape, generator=generator))) @ directions
    settings = DictionarySettings(
        kind=kind, latents=32, active=2, tokens=30_000, batch=128, learning_rate=2e-2, sparsity=2.0
    )
    learner = Learner(settings, data[:4096], data[:4096])

    for number in range(settings.steps):
        part = data[(number * 128) % 19_000 :][:128]
        learner.step(part, part)

    found = learner.dictionary(ORIGIN)
    cosines = directions @ found.decoder.mT
    assert cosines.max(1).values.mean() > 0.85
    missing = (found.reconstruct(data[:4096]) - data[:4096]).square().sum()
    assert missing < 0.45 * (data[:4096] - data[:4096].mean(0)).square().sum()


def test_the_dictionary_takes_raw_activations():
    inputs, targets = activations(), activations(width=9, seed=1) * 40 - 7
    learner = Learner(SETTINGS, inputs, targets)
    learner.step(inputs, targets)

    found = learner.dictionary(ORIGIN)

    scaled = learner._scaled(inputs, 0)
    weights = learner.weights
    codes = codes_of(SETTINGS, scaled @ weights["encoder"].mT + weights["encoder_bias"])
    written = codes @ weights["decoder"] + weights["decoder_bias"]
    back = written / learner._scales[1] + learner._centers[1]
    assert torch.allclose(found.reconstruct(inputs), back, rtol=1e-4, atol=1e-3)
    assert torch.allclose(found.decoder.norm(dim=1), torch.ones(64), atol=1e-5)


def test_a_jump_has_the_slopes_of_its_paper():
    before = torch.tensor([[0.5, 1.04, 1.3]])
    threshold = torch.tensor([1.0, 1.0, 1.0], requires_grad=True)

    values, count = _jump(before, threshold)

    assert torch.allclose(values, torch.tensor([[0.0, 1.04, 1.3]]))
    assert count.sum().item() == 2.0
    # Within half a bandwidth of 0.2: minus threshold over bandwidth, and minus one over bandwidth.
    (slope,) = torch.autograd.grad(values.sum(), threshold, retain_graph=True)
    assert torch.allclose(slope, torch.tensor([0.0, -5.0, 0.0]))
    (slope,) = torch.autograd.grad(count.sum(), threshold)
    assert torch.allclose(slope, torch.tensor([0.0, -5.0, 0.0]))


def test_a_dead_latent_begins_anew_where_most_is_missing():
    settings = replace(SETTINGS, tokens=64 * 100, dead_after=0.05)
    inputs = activations()
    learner = Learner(settings, inputs, inputs)
    with torch.no_grad():
        learner.weights["encoder_bias"][:10] = -1e6
    before = learner.weights["decoder"][:10].clone()

    for number in range(30):
        some = activations(seed=number)
        learner.step(some, some)

    assert learner.weights["encoder_bias"][:10].abs().max() < 10.0
    assert not torch.allclose(before, learner.weights["decoder"][:10])
    assert torch.allclose(learner.weights["decoder"].norm(dim=1), torch.ones(64), atol=1e-5)


def test_activations_that_are_not_numbers_change_nothing():
    inputs = activations()
    learner = Learner(SETTINGS, inputs, inputs)
    learner.step(inputs, inputs)
    before = {name: value.clone() for name, value in learner.state().items()}
    damaged = inputs.clone()
    damaged[3, 4] = float("nan")

    with pytest.raises(DataError, match="lower learning rate"):
        learner.step(damaged, damaged)

    after = learner.state()
    assert all(torch.equal(before[name], after[name]) for name in before if name != "numbers")


def test_activations_that_do_not_vary_are_refused():
    with pytest.raises(DataError, match="vary"):
        Learner(SETTINGS, torch.ones(64, 12), torch.ones(64, 12))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "l0"}, "kind"),
        ({"active": 65}, "active"),
        ({"latents": 0}, "latents"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"learning_rate": float("nan")}, "learning rate"),
        ({"dead_after": 0.0}, "dead_after"),
        ({"kind": "matryoshka", "groups": (0.5, 0.25, 1.0)}, "ascending"),
    ],
)
def test_settings_out_of_range_are_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        replace(SETTINGS, **changes)


def test_tokens_far_larger_than_most_are_left_out():
    inputs = activations(rows=200)
    odd = torch.cat([inputs, torch.full((3, 12), 1e4)])
    learner, plain = Learner(SETTINGS, odd, odd), Learner(SETTINGS, inputs, inputs)

    assert learner.step(odd, odd).loss == pytest.approx(plain.step(inputs, inputs).loss, rel=1e-4)
    found = learner.dictionary(ORIGIN)
    assert found.ordinary(odd).tolist() == [True] * 200 + [False] * 3
    assert Learner(SETTINGS, odd, odd, bounded=False).dictionary(ORIGIN).origin.largest is None
