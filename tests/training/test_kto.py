from dataclasses import replace

import pytest
import torch
from tests.training.conftest import weights
from tests.training.worker import BRIEF, LORA, asked, preference, rated, train

from plumbrule.errors import ConfigError, DataError
from plumbrule.models import open_model
from plumbrule.training import KtoTraining, RatedReply, rated_of, train_kto
from plumbrule.training.preference_losses import judged_loss
from plumbrule.training.trl import _strangers


def learn(model, out, replies, **changes):
    settings = KtoTraining(**{**BRIEF, "epochs": 4, **changes})
    return train_kto(model, replies, settings=settings, out=out, seed=3)


@pytest.mark.parametrize("lora", [None, LORA])
def test_desirable_replies_become_likelier_and_the_others_less_likely(models, tmp_path, lora):
    result = train("kto", models(), tmp_path / "out", epochs=8, lora=lora, schedule="constant")
    before, after = open_model(str(models())), open_model(str(result.path))
    gains: dict[bool, list[float]] = {True: [], False: []}
    for one in rated(16):
        was, now = (model.score([one.dialogue], [one.reply])[0] for model in (before, after))
        gains[one.desirable].append(now.log_prob - was.log_prob)
    assert sum(gains[True]) / 8 > sum(gains[False]) / 8 + 0.5
    margins = [point.value for point in result.curve if point.name == "rewards/margins"]
    assert margins[-1] > margins[0]


def test_the_gradient_of_the_loss_is_that_of_finite_differences():
    ratios = torch.tensor([0.3, -2.0, 1.5, 0.0], dtype=torch.float64, requires_grad=True)
    good, apart = torch.tensor([True, True, False, False]), torch.tensor(0.4).double()

    def loss(at):
        return judged_loss(at, good, apart, beta=0.7).sum()

    loss(ratios).backward()
    assert ratios.grad is not None
    for place in range(4):
        step = torch.zeros(4, dtype=torch.float64)
        step[place] = 1e-6
        difference = loss(ratios.detach() + step) - loss(ratios.detach() - step)
        assert float(ratios.grad[place]) == pytest.approx(float(difference) / 2e-6, abs=1e-8)
    assert (ratios.grad[:2] < 0).all()
    assert (ratios.grad[2:] > 0).all()


def test_divergence_is_measured_on_replies_to_other_dialogues():
    assert _strangers([4, 5, 6, 7], 2) == [(4, 5), (5, 4), (6, 7), (7, 6)]
    assert _strangers([4, 5, 6], 2) == [(4, 5), (5, 4), (6, 5)]  # one left over


def test_only_what_weights_are_beside_one_another_counts_and_none_is_as_if_absent(models, tmp_path):
    plain = learn(models(), tmp_path / "plain", rated(8))
    doubled = [replace(one, weight=2.0) for one in rated(8)]
    assert weights(learn(models(), tmp_path / "doubled", doubled).path) == weights(plain.path)
    extra = RatedReply(id="x", dialogue=asked("x"), reply="y", desirable=True, weight=0.0)
    more = learn(models(), tmp_path / "more", [*rated(8), extra])
    assert more.skipped == 1
    assert weights(more.path) == weights(plain.path)
    heavy = [replace(one, weight=1.0 + one.desirable) for one in rated(8)]
    assert weights(learn(models(), tmp_path / "heavy", heavy).path) != weights(plain.path)


def test_both_replies_of_a_decided_preference_are_rated():
    labels = [
        preference("a", asked("x"), "one", "two", 0.2),
        preference("b", asked("x"), "", "c", None),
    ]
    same = preference("same", asked("x"), "one", "one", 0.9)
    found = rated_of([*labels, same])
    assert [(one.id, one.reply, one.desirable) for one in found] == [
        ("a/first", "one", False),
        ("a/second", "two", True),
    ]
    assert rated_of(labels, margin=0.4) == []


def test_bad_replies_are_refused_by_name(models, tmp_path):
    both = [replace(rated(2)[0], id="no", desirable=False), *rated(2)]
    for replies, message in (
        (both, "'no' and 'p0/True' call the same"),
        (rated(1), "at least two replies"),
        ([], "at least two replies"),
        ([replace(one, weight=-1.0) for one in rated(4)], "weights that are 0 or more"),
    ):
        with pytest.raises(DataError, match=message):
            learn(models(), tmp_path / "out", replies)


@pytest.mark.parametrize(
    ("name", "value"),
    [("beta", 0.0), ("desirable_weight", 0.0), ("undesirable_weight", -1.0), ("batch_size", 1)],
)
def test_a_setting_out_of_range_is_named(name, value):
    with pytest.raises(ConfigError, match=name):
        KtoTraining(**{name: value})
