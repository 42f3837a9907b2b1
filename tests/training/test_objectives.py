"""Each formula against an independent computation, its gradient against finite differences."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from plumbrule.errors import ConfigError
from plumbrule.training.objectives import (
    combined_objective,
    critique_revise_loss,
    direct_preference_loss,
    preference_probability,
    reinforcement_loss,
)


def numbers(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).requires_grad_()


def test_only_the_tokens_of_a_revision_are_learned():
    log_probs = numbers(3, 5)
    revised = torch.tensor([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1], [0, 0, 0, 0, 1]]).bool()

    loss = critique_revise_loss(log_probs, revised)
    by_hand = [
        -sum(p for p, is_new in zip(row, new, strict=True) if is_new)
        for row, new in zip(log_probs.tolist(), revised.tolist(), strict=True)
    ]

    assert loss.item() == pytest.approx(sum(by_hand) / 3)
    (gradient,) = torch.autograd.grad(loss, log_probs)
    assert torch.equal(gradient != 0, revised)
    assert gradcheck(lambda given: critique_revise_loss(given, revised), log_probs)


def test_the_revisions_loss_is_what_a_model_gives_to_the_revision_after_all_before_it():
    # Over four words, the chance of each next one; the text is condition (2 words), revision (2).
    logits = numbers(4, 4)
    text = [1, 3, 0, 2]
    shares = np.exp(logits.detach().numpy())
    shares /= shares.sum(1, keepdims=True)
    log_probs = torch.log_softmax(logits, 1)[range(4), text][None]

    loss = critique_revise_loss(log_probs, torch.tensor([[False, False, True, True]]))

    assert loss.item() == pytest.approx(-math.log(shares[2, 0] * shares[3, 2]))


def test_an_exchange_without_a_revision_is_refused():
    with pytest.raises(ConfigError, match="one has none"):
        critique_revise_loss(numbers(2, 3), torch.tensor([[True, True, True], [False] * 3]))


def test_preferences_are_the_odds_of_rewards():
    first, second = numbers(50), numbers(50, seed=1)

    found = preference_probability(first, second)
    odds = np.exp(first.detach().numpy()) / np.exp(second.detach().numpy())

    assert found.detach().numpy() == pytest.approx(odds / (1 + odds))
    assert (found + preference_probability(second, first)).tolist() == pytest.approx([1.0] * 50)
    assert gradcheck(preference_probability, (first, second))


def test_the_gradient_of_reinforcement_is_that_of_the_expected_reward():
    # Three replies, all of them drawn as often as they are likely: the expectation is exact.
    logits, rewards = numbers(3), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    reference = torch.log_softmax(numbers(3, seed=5), 0).detach()
    beta, draws = 0.3, 200_000

    def expected(given):
        shares = torch.softmax(given, 0)
        paid = rewards - beta * (torch.log_softmax(given, 0) - reference)
        return (shares * paid).sum()

    # Finite differences of the expectation itself.
    step, exact = 1e-5, []
    for place in range(3):
        shift = torch.zeros(3, dtype=torch.float64)
        shift[place] = step
        with torch.no_grad():
            exact.append((expected(logits + shift) - expected(logits - shift)).item() / (2 * step))

    drawn = torch.from_numpy(
        np.random.default_rng(0).choice(3, size=draws, p=torch.softmax(logits, 0).detach().numpy())
    )
    loss = reinforcement_loss(
        torch.log_softmax(logits, 0)[drawn],
        rewards[drawn],
        reference=reference[drawn],
        beta=beta,
    )
    (gradient,) = torch.autograd.grad(loss, logits)

    # Each draw's contribution is at most about 3, so 200,000 of them are within 0.02.
    assert (-gradient).tolist() == pytest.approx(exact, abs=0.02)


def test_equal_rewards_teach_nothing():
    log_probs = numbers(6)
    (gradient,) = torch.autograd.grad(
        reinforcement_loss(log_probs, torch.full((6,), 2.0, dtype=torch.float64)), log_probs
    )
    assert gradient.abs().max() == 0


@pytest.mark.parametrize("given", [{"beta": 0.1}, {}])
def test_reinforcement_that_makes_no_sense_is_refused(given):
    rewards = torch.zeros(2 if given else 1, dtype=torch.float64)
    with pytest.raises(ConfigError, match=r"reference|at least 2"):
        reinforcement_loss(numbers(len(rewards)), rewards, **given)


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_the_combined_objective_has_the_gradient_of_its_finite_differences(weight):
    rewards = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)

    def objective(given):
        log_probs = torch.log_softmax(given, 0)
        return combined_objective(-log_probs[0], reinforcement_loss(log_probs, rewards), weight)

    logits = numbers(3)
    assert gradcheck(objective, logits)
    parts = (
        -torch.log_softmax(logits, 0)[0],
        reinforcement_loss(torch.log_softmax(logits, 0), rewards),
    )
    assert objective(logits).item() == pytest.approx(parts[0].item() + weight * parts[1].item())


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(ConfigError, match="at least 0 and finite"):
        combined_objective(torch.tensor(1.0), torch.tensor(1.0), weight)
    with pytest.raises(ConfigError, match="at least 0 and finite"):
        dpo(numbers(4, 2), weight)


def dpo(log_probs, weight, tokens=True):
    reference = torch.tensor([[-1.0, -1.5], [-2.0, -0.5], [-1.0, -1.0], [-0.3, -2.0]]).double()
    return direct_preference_loss(
        *log_probs.T,
        reference_chosen=reference[:, 0],
        reference_rejected=reference[:, 1],
        beta=0.2,
        chosen_tokens=torch.tensor([3.0, 5.0, 2.0, 4.0]) if tokens else None,
        language_weight=weight,
    )


@pytest.mark.parametrize("weight", [0.0, 1.0, 0.3])
def test_dpo_with_a_language_term_is_that_of_its_parts(weight):
    log_probs = numbers(4, 2)
    plain = log_probs.detach().numpy()
    reference = np.array([[-1.0, -1.5], [-2.0, -0.5], [-1.0, -1.0], [-0.3, -2.0]])
    margins = 0.2 * ((plain[:, 0] - reference[:, 0]) - (plain[:, 1] - reference[:, 1]))
    expected = np.log1p(np.exp(-margins)).mean() - weight * plain[:, 0].sum() / 14

    assert dpo(log_probs, weight).item() == pytest.approx(expected)
    assert gradcheck(lambda given: dpo(given, weight), log_probs)


def test_a_language_term_needs_the_numbers_of_tokens():
    with pytest.raises(ConfigError, match="number of tokens"):
        dpo(numbers(4, 2), 1.0, tokens=False)


def test_dpo_alone_may_lower_the_chosen_reply_and_the_language_term_forbids_it():
    low = torch.tensor([[-5.0, -50.0]] * 4, dtype=torch.float64, requires_grad=True)
    (plain,) = torch.autograd.grad(dpo(low, 0.0), low)
    (held,) = torch.autograd.grad(dpo(low, 1.0), low)
    assert plain[:, 0].abs().max() < 1e-3  # satisfied, however unlikely the chosen one is
    assert (held[:, 0] < -0.05).all()
