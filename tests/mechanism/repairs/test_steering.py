import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism import (
    Ablation,
    HeadSuppression,
    Steering,
    SteeringCondition,
    capture,
    find_sites,
    intervening,
    which_fire,
)
from plumbrule.mechanism.repairs.steering import Intervention, span
from plumbrule.models import Sampling, open_model
from plumbrule.records import Message

ROWS = [[5, 9, 12, 7, 30, 44], [8, 1, 3, 90]]
WORDS = [(Message("user", "What is the job of Ada?"),), (Message("user", "How do I make a cup?"),)]


@pytest.fixture(
    scope="module",
    params=["LlamaForCausalLM", "GPT2LMHeadModel", "Gemma2ForCausalLM", "MixtralForCausalLM"],
)
def module(request):
    return build(request.param).module


@pytest.fixture(scope="module")
def sites(module):
    return find_sites(module)


@pytest.fixture(scope="module")
def model():
    return open_model("lab:small", device="cpu")


def some_direction(width, seed=0):
    return np.random.default_rng(seed).normal(size=width)


def logits(module):
    with torch.no_grad():
        return module(input_ids=torch.tensor([ROWS[0]]), use_cache=False)["logits"]


def hooks_of(module):
    return [(len(part._forward_hooks), len(part._forward_pre_hooks)) for part in module.modules()]


def test_steering_adds_what_it_says_and_nothing_else(module, sites):
    direction = some_direction(sites.width)
    before = capture(module, sites, ROWS, ["1.out"]).values["1.out"]

    with intervening(module, Steering(site="1.out", direction=direction, strength=3.0)):
        # Read a layer later: what stands at the site itself is read before or after the change.
        after = capture(module, sites, ROWS, ["2.in"]).values["2.in"]

    for one, other in zip(before, after, strict=True):
        added = torch.tensor(3 * direction / np.linalg.norm(direction)).to(one)
        assert torch.allclose(other, one + added, atol=1e-4)


def test_an_ablated_direction_is_nowhere_in_the_stream(module, sites):
    basis = np.stack([some_direction(sites.width, seed) for seed in (1, 2)])
    names = sites.named("in")[1:] + sites.named("out")

    plain = capture(module, sites, ROWS, names)
    with intervening(module, Ablation(directions=basis)):
        found = capture(module, sites, ROWS, names)

    for name in names:
        for row, before in zip(found.values[name], plain.values[name], strict=True):
            assert float((row.double() @ torch.tensor(span(basis)).T).abs().max()) < 1e-4
            assert float((before.double() @ torch.tensor(span(basis)).T).abs().max()) > 1e-2


def test_ablation_sets_the_stream_to_a_center_along_the_directions(module, sites):
    direction, center = some_direction(sites.width, 3), some_direction(sites.width, 4)

    with intervening(module, Ablation(directions=direction, center=center)):
        found = capture(module, sites, ROWS, ["3.in"]).values["3.in"]

    unit = span(direction)[0]
    for row in found:
        values = (row.double() @ torch.tensor(unit)).numpy()
        assert np.allclose(values, center @ unit, atol=1e-3)


def test_a_condition_lets_steering_act_at_those_tokens_alone(module, sites):
    direction = some_direction(sites.width, 5)
    here = torch.cat(list(capture(module, sites, ROWS, ["0.out"]).values["0.out"]))
    values = (here.double() @ torch.tensor(span(direction)[0])).numpy()
    threshold = float(np.median(values))
    condition = SteeringCondition(site="0.out", direction=direction, threshold=threshold)

    before = torch.cat(list(capture(module, sites, ROWS, ["1.in"]).values["1.in"]))
    steering = Steering(site="1.in", direction=direction, strength=2.0, condition=condition)
    with intervening(module, steering):
        # A second look at the same site comes after the first.
        after = torch.cat(list(capture(module, sites, ROWS, ["1.in"]).values["1.in"]))

    moved = (after - before).abs().max(-1).values.numpy() > 1e-6
    assert moved.any()
    assert not moved.all()
    assert np.array_equal(moved, values >= threshold)


def test_a_suppressed_head_gives_out_nothing(module, sites):
    with intervening(module, HeadSuppression(site="1.heads", head=2)):
        found = capture(module, sites, ROWS, ["1.heads"]).values["1.heads"]

    heads = sites["1.heads"].heads
    for row in found:
        parts = row.reshape(len(row), heads, -1)
        assert not parts[:, 2].any()
        assert parts[:, 1].any()


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(module, sites, fails):
    before, hooks = logits(module), hooks_of(module)
    change: list[Intervention] = [
        Steering(site="1.out", direction=some_direction(sites.width), strength=50.0),
        Ablation(directions=some_direction(sites.width, 1)),
        HeadSuppression(site="0.heads", head=0),
    ]

    try:
        with intervening(module, change):
            assert not torch.allclose(logits(module), before)
            if fails:
                raise RuntimeError("inside")
    except RuntimeError:
        assert fails

    assert hooks_of(module) == hooks
    assert torch.equal(logits(module), before)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: Steering(site="9.out", direction=d, strength=1), "expected a site"),
        (lambda d: Steering(site="1.heads", direction=d, strength=1), "residual stream"),
        (lambda d: Steering(site="1.out", direction=d[:-1], strength=1), "another model's"),
        (lambda d: Steering(site="1.out", direction=0 * d, strength=1), "points somewhere"),
        (lambda d: Steering(site="1.out", direction=d, strength=float("nan")), "strength"),
        (lambda d: Ablation(directions=0 * d), "zero"),
        (lambda d: Ablation(directions=d, sites=("77.mlp",)), "expected a site"),
        (lambda d: HeadSuppression(site="1.heads", head=99), "expected a head"),
        (lambda d: HeadSuppression(site="1.out", head=0), "which has none"),
        (
            lambda d: Steering(
                site="0.out",
                direction=d,
                strength=1,
                condition=SteeringCondition(site="2.out", direction=d, threshold=0),
            ),
            "comes later",
        ),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_changes(module, sites, change, says):
    hooks, before = hooks_of(module), logits(module)
    good = Steering(site="1.out", direction=some_direction(sites.width), strength=1)

    with (
        pytest.raises(ConfigError, match=says),
        intervening(module, [good, change(some_direction(sites.width))]),
    ):
        pass

    assert hooks_of(module) == hooks
    assert torch.equal(logits(module), before)


def test_a_steered_model_is_sampled_and_scored_alike_in_any_company(model):
    direction = some_direction(find_sites(model.module).width, 7)
    here = capture(model.module, find_sites(model.module), model.chat.prompts(WORDS), ["0.out"])
    values = torch.cat(list(here.values["0.out"])).double() @ torch.tensor(span(direction)[0])
    condition = SteeringCondition(
        site="0.out", direction=direction, threshold=float(values.median())
    )
    steering = Steering(site="1.out", direction=direction, strength=8.0, condition=condition)
    draw = {"sampling": Sampling(temperature=0, max_new_tokens=12)}

    plain = model.sample(WORDS, seeds=[0, 0], **draw)
    with intervening(model, steering):
        together = model.sample(WORDS, seeds=[0, 0], **draw)
        alone = [model.sample([one], seeds=[0], **draw)[0] for one in WORDS]
        scored = model.score(WORDS, [each.text for each in plain])
        whole = [
            model.module(input_ids=torch.tensor([[*prompt, *reply]]))["logits"][0]
            .detach()
            .log_softmax(-1)
            for prompt, reply in model.chat.with_replies(WORDS, [each.text for each in plain])
        ]

    assert [each.text for each in together] == [each.text for each in alone]
    assert [each.text for each in together] != [each.text for each in plain]
    assert model.sample(WORDS, seeds=[0, 0], **draw) == plain
    pairs = model.chat.with_replies(WORDS, [each.text for each in plain])
    for one, table, (prompt, reply) in zip(scored, whole, pairs, strict=True):
        places = range(len(prompt) - 1, len(prompt) + len(reply) - 1)
        expected = sum(float(table[at, token]) for at, token in zip(places, reply, strict=True))
        assert one.log_prob == pytest.approx(expected, abs=1e-3)


def test_an_intervened_model_is_another_one_for_as_long_as_it_lasts(model):
    before = model.identity
    direction = some_direction(find_sites(model.module).width)

    with intervening(model, Steering(site="1.out", direction=direction, strength=1.0)):
        one = model.identity
    with intervening(model, Steering(site="1.out", direction=direction, strength=2.0)):
        other = model.identity

    assert len({before, one, other}) == 3
    assert model.identity == before


def test_a_condition_can_be_asked_of_whole_prompts(model):
    rows = model.chat.prompts(WORDS)
    sites = find_sites(model.module)
    found = capture(model.module, sites, rows, ["1.out"], positions="last").stacked("1.out")
    apart = (found[0] - found[1]).double().numpy()
    middle = float(found.double().mean(0).numpy() @ (apart / np.linalg.norm(apart)))

    above = SteeringCondition(site="1.out", direction=apart, threshold=middle)
    below = SteeringCondition(site="1.out", direction=apart, threshold=middle, below=True)

    assert which_fire(model, above, rows) == [True, False]
    assert which_fire(model, below, rows) == [False, True]
    with pytest.raises(DataError):
        which_fire(model, above, [])
