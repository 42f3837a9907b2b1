import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.training.conftest import weights
from tests.training.worker import BRIEF, LORA, asked, preference, preferences, train

from plumbrule.errors import DataError, ModelError
from plumbrule.models import open_model
from plumbrule.training.preference_losses import preference_loss
from plumbrule.training.reward_model import RewardModel, train_reward_model
from plumbrule.training.settings import RewardTraining

SCORES = st.floats(-8, 8)
SETTINGS = RewardTraining(**{**BRIEF, "epochs": 40, "batch_size": 6, "schedule": "constant"})


@given(first=SCORES, second=SCORES, probability=st.floats(0, 1))
def test_the_loss_and_its_gradient_are_the_formulas(first, second, probability):
    a = torch.tensor([first], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([second], dtype=torch.float64, requires_grad=True)
    loss = preference_loss(a, b, torch.tensor([probability], dtype=torch.float64))
    loss.sum().backward()
    prefers = 1 / (1 + math.exp(second - first))
    expected = -probability * math.log(prefers) - (1 - probability) * math.log1p(-prefers)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.item() == pytest.approx(prefers - probability, abs=1e-9)
    assert b.grad.item() == pytest.approx(probability - prefers, abs=1e-9)


def test_a_hard_label_is_bradley_terry():
    a, b = torch.tensor([0.3, -1.0]), torch.tensor([0.1, 2.0])
    hard = preference_loss(a, b, torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(
        hard, -torch.nn.functional.logsigmoid((a - b) * torch.tensor([1, -1]))
    )


def planted(soft):
    """Three kinds of pairs whose truth is known, in both orders."""
    rates = {"cat": 0.9, "dog": 0.6, "road": 0.2}
    found = []
    for word, rate in rates.items():
        label = rate if soft else float(rate > 0.5)
        found.append(preference(f"{word}1", asked(word), "yes", "no", label))
        found.append(preference(f"{word}2", asked(word), "no", "yes", 1 - label))
    return rates, found


def prefers(result, word):
    first, second = RewardModel.open(result.path).score([asked(word)] * 2, ["yes", "no"])
    return 1 / (1 + math.exp(second - first))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_soft_labels_are_recovered_as_they_were_planted(models, tmp_path, kind):
    rates, labeled = planted(soft=True)
    result = train_reward_model(
        models(kind, width=32),
        labeled,
        settings=replace(SETTINGS, epochs=80),
        out=tmp_path / "out",
        seed=0,
        held_out=labeled,
    )
    for word, rate in rates.items():
        assert prefers(result, word) == pytest.approx(rate, abs=0.05)
    # No model does better than the labels' own entropy.
    entropy = [-p * math.log(p) - (1 - p) * math.log(1 - p) for p in rates.values()]
    assert result.held_out is not None
    assert result.held_out.loss == pytest.approx(sum(entropy) / 3, abs=0.02)
    assert result.held_out.loss >= sum(entropy) / 3 - 1e-4
    assert result.held_out.accuracy == 1.0


def test_hard_labels_forget_how_sure_the_labeler_was(models, tmp_path):
    _, labeled = planted(soft=False)
    result = train_reward_model(
        models("llama", width=32),
        labeled,
        settings=replace(SETTINGS, epochs=80),
        out=tmp_path / "out",
        seed=0,
    )
    assert prefers(result, "dog") > 0.9
    assert prefers(result, "road") < 0.1
    assert result.held_out is None


def test_preferences_without_a_probability_are_left_out_and_counted(models, tmp_path):
    undecided = [preference(f"u{n}", asked("x"), "a", "b", None) for n in range(3)]
    settings = RewardTraining(**BRIEF)
    mixed, pure = (
        train_reward_model(
            models(), given_, settings=settings, out=tmp_path / name, seed=0, held_out=undecided
        )
        for name, given_ in (
            ("mixed", [undecided[0], *preferences(5), *undecided[1:]]),
            ("pure", preferences(5)),
        )
    )
    assert (mixed.skipped, mixed.examples) == (3, 5)
    assert (pure.skipped, pure.examples) == (0, 5)
    assert weights(mixed.path) == weights(pure.path)
    assert mixed.held_out is None
    with pytest.raises(DataError, match="got 3 without"):
        train_reward_model(models(), undecided, settings=settings, out=tmp_path / "none", seed=0)


def test_a_label_of_zero_is_a_label(models, tmp_path):
    both = [preference("no", asked("x"), "a", "b", 0.0), preference("yes", asked("y"), "a", "b", 1)]
    result = train_reward_model(
        models(), both, settings=RewardTraining(**BRIEF), out=tmp_path / "out", seed=0
    )
    assert (result.examples, result.skipped) == (2, 0)


def test_held_out_labels_that_lean_nowhere_have_no_accuracy(models, tmp_path):
    even = [preference("even", asked("x"), "a", "b", 0.5)]
    result = train_reward_model(
        models(),
        preferences(4),
        settings=RewardTraining(**BRIEF),
        out=tmp_path / "out",
        seed=0,
        held_out=even,
    )
    assert result.held_out is not None
    assert (result.held_out.pairs, result.held_out.decided) == (1, 0)
    assert result.held_out.accuracy is None


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_label_that_is_no_probability_is_refused_by_name(models, tmp_path, value):
    with pytest.raises(DataError, match="between 0 and 1, preference 'odd'"):
        train_reward_model(
            models(),
            [preference("odd", asked("x"), "a", "b", value)],
            settings=RewardTraining(**BRIEF),
            out=tmp_path / "out",
            seed=0,
        )


def test_a_score_does_not_depend_on_its_neighbors(models, tmp_path):
    result = train("reward_model", models(), tmp_path / "out")
    scorer = RewardModel.open(result.path)
    dialogues = [asked("cat")] * 3 + [asked("the blue dog runs")]
    replies = ["yes", "a much longer reply about the river", "no", "yes"]
    together = scorer.score(dialogues, replies)
    alone = [scorer.score([d], [r])[0] for d, r in zip(dialogues, replies, strict=True)]
    assert together == pytest.approx(alone, abs=1e-5)
    assert len({round(score, 6) for score in together}) == 4
    assert scorer.score([], []) == []
    with pytest.raises(DataError, match="one reply a dialogue"):
        scorer.score(dialogues, replies[:2])


def test_an_adapter_scores_like_the_model_it_was_measured_as(models, tmp_path):
    held_out = preferences(6, 1)
    result = train_reward_model(
        models(),
        preferences(12),
        settings=RewardTraining(**{**BRIEF, "epochs": 8, "learning_rate": 0.05, "lora": LORA}),
        out=tmp_path / "out",
        seed=0,
        held_out=held_out,
    )
    scorer = RewardModel.open(result.path)
    dialogues = [one.dialogue for one in held_out]
    first = scorer.score(dialogues, [one.first for one in held_out])
    second = scorer.score(dialogues, [one.second for one in held_out])
    labels = torch.tensor([one.probability for one in held_out])
    losses = preference_loss(torch.tensor(first), torch.tensor(second), labels)
    assert result.held_out is not None
    assert losses.mean().item() == pytest.approx(result.held_out.loss, abs=1e-4)


def test_a_reward_model_starts_from_an_adapter_merged_or_going_on(models, tmp_path):
    policy = train("supervised", models(), tmp_path / "policy", lora=LORA)
    for lora, file in ((None, "model.safetensors"), (LORA, "adapter_model.safetensors")):
        result = train("reward_model", policy.path, tmp_path / file, lora=lora)
        assert file in weights(result.path)
        assert len(RewardModel.open(result.path).score([asked("x")], ["y"])) == 1


def test_reward_models_have_an_identity_and_others_are_refused(models, tmp_path):
    one, same, other = (
        train("reward_model", models(), tmp_path / f"{name}", seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    identities = [RewardModel.open(result.path).identity for result in (one, same, other)]
    assert identities[0] == identities[1] != identities[2]
    with pytest.raises(ModelError, match="expected a reward model"):
        RewardModel.open(models())
    with pytest.raises(ModelError):
        open_model(str(one.path))
