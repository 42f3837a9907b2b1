"""A pair that weighs 2 teaches as two of it do, and one that weighs 0 as none."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.training.conftest import weights
from tests.training.worker import BRIEF, exchanges, pairs, preferences

from plumbrule.errors import DataError
from plumbrule.training.dpo import pairs_of, train_dpo
from plumbrule.training.log_probs import reply_log_probs
from plumbrule.training.reward_model import train_reward_model
from plumbrule.training.settings import DpoTraining, RewardTraining, SupervisedTraining
from plumbrule.training.supervised import train_supervised
from plumbrule.training.weighting import relative_weights


def imitate(model, data, **given):
    """Supervised training on examples with their weights beside them."""
    examples, counts = zip(*data, strict=True)
    return train_supervised(model, examples, weights=counts, **given)


STAGES: dict[str, Any] = {
    "dpo": (train_dpo, DpoTraining, pairs),
    "reward_model": (train_reward_model, RewardTraining, preferences),
    "supervised": (imitate, SupervisedTraining, exchanges),
}


def trained(stage, model, out, weights, **settings):
    """One small training on pairs of which each has a weight; None stands for the pair twice."""
    train, kind, make = STAGES[stage]
    data = []
    for pair, weight in zip(make(len(weights)), weights, strict=True):
        count = 1.0 if weight is None else weight
        again = replace(pair, id=f"{pair.id} again")
        if stage == "supervised":
            data += [(pair, count), *[(again, 1.0)] * (weight is None)]
        else:
            data += [replace(pair, weight=count), *[again] * (weight is None)]
    whole = {**BRIEF, "epochs": 1, "batch_size": 16, "gradient_clip": 1e6, **settings}
    return train(model, data, settings=kind(**whole), out=out, seed=3)


def gradient(result):
    """Length of the first gradient, and of the first batch its loss."""
    found: dict[str, float] = {}
    for point in result.curve:
        found.setdefault(point.name, point.value)
    return found["grad_norm"], found["loss"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_weight_of_two_is_the_pair_twice(models, tmp_path, stage):
    double = trained(stage, models(), tmp_path / "double", [2, 1, 1, 2, 1])
    twice = trained(stage, models(), tmp_path / "twice", [None, 1, 1, None, 1])
    plain = trained(stage, models(), tmp_path / "plain", [1, 1, 1, 1, 1])

    assert gradient(double) == pytest.approx(gradient(twice), rel=1e-5)
    assert gradient(double) != pytest.approx(gradient(plain), rel=1e-3)


@pytest.mark.parametrize("stage", ["dpo", "supervised"])
def test_where_the_loss_is_trls_a_weight_counts_as_well(models, tmp_path, monkeypatch, stage):
    def too_large(*given, **more):
        return None if torch.is_grad_enabled() else reply_log_probs(*given, **more)

    ours = trained(stage, models(), tmp_path / "ours", [3, 1, 0.5])
    monkeypatch.setattr("plumbrule.training.trl.reply_log_probs", too_large)
    theirs = trained(stage, models(), tmp_path / "theirs", [3, 1, 0.5])
    plain = trained(stage, models(), tmp_path / "plain", [1, 1, 1])

    assert gradient(theirs) == pytest.approx(gradient(ours), rel=1e-4)
    assert gradient(theirs) != pytest.approx(gradient(plain), rel=1e-3)


@pytest.mark.parametrize("stage", STAGES)
def test_a_weight_of_zero_is_as_if_the_pair_were_not_there(models, tmp_path, stage):
    none = trained(stage, models(), tmp_path / "none", [1, 1, 1, 1, 0], epochs=2, batch_size=2)
    gone = trained(stage, models(), tmp_path / "gone", [1, 1, 1, 1], epochs=2, batch_size=2)

    assert weights(none.path) == weights(gone.path)
    assert (none.examples, none.skipped) == (4, 1)


@pytest.mark.parametrize("stage", STAGES)
def test_only_what_weights_are_beside_one_another_counts(models, tmp_path, stage):
    small = {"epochs": 2, "batch_size": 2, "micro_batch_size": 1}
    ones = trained(stage, models(), tmp_path / "ones", [1] * 4, **small)
    threes = trained(stage, models(), tmp_path / "threes", [3] * 4, **small)
    uneven = trained(stage, models(), tmp_path / "uneven", [3, 1, 3, 1], **small)

    assert weights(ones.path) == weights(threes.path)
    assert ones.inputs_sha256 == threes.inputs_sha256
    assert weights(uneven.path) != weights(ones.path)
    assert uneven.inputs_sha256 != ones.inputs_sha256


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, -1], "weights that are 0 or more, [a-z]+ '.1' has -1"),
        ([1, float("nan")], "'.1' has nan"),
        ([1, float("inf")], "'.1' has inf"),
        ([0, 0], "all 2 have the weight 0"),
    ],
)
def test_weights_that_are_none_are_refused(models, tmp_path, stage, given, message):
    with pytest.raises(DataError, match=message):
        trained(stage, models(), tmp_path / "out", given)

    assert not (tmp_path / "out").exists()


def test_no_pairs_have_no_weights():
    assert relative_weights([], []) == []


def test_a_preferences_weight_goes_with_its_pair():
    decided = [replace(each, weight=0.3, probability=0.9) for each in preferences(2)]

    assert [pair.weight for pair in pairs_of(decided)] == [0.3, 0.3]


def test_an_example_without_a_weight_of_its_own_is_refused(models, tmp_path):
    settings = SupervisedTraining(**BRIEF)
    with pytest.raises(DataError, match="one weight an example, got 2 for 3"):
        train_supervised(
            models(), exchanges(3), weights=[1, 1], settings=settings, out=tmp_path / "o", seed=0
        )


def test_equal_weights_give_the_bytes_of_no_weights(models, tmp_path):
    given: dict[str, Any] = {"settings": SupervisedTraining(**BRIEF), "seed": 0}
    none = train_supervised(models(), exchanges(6), out=tmp_path / "none", **given)
    same = train_supervised(
        models(), exchanges(6), weights=[0.3] * 6, out=tmp_path / "same", **given
    )

    assert weights(none.path) == weights(same.path)
    assert none.inputs_sha256 == same.inputs_sha256
