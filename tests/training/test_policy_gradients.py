"""The arithmetic of PPO against slow, independent forms of it, known answers and differences."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbrule.training.policy_gradients import (
    advantages_of,
    clipped_policy_loss,
    clipped_value_loss,
    explained_variance,
    masked_mean,
    next_coefficient,
    token_rewards,
    whiten,
)


def same(found, expected):
    # float64, a handful of operations
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def drawn(seed, rows=3, columns=5):
    """Random rows whose tokens begin and end at different columns."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, columns, rows)
    ends = [int(rng.integers(start + 1, columns + 1)) for start in starts]
    mask = torch.zeros(rows, columns, dtype=torch.bool)
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        mask[row, start:end] = True
    numbers = [torch.from_numpy(rng.normal(size=(rows, columns))) for _ in range(3)]
    return mask, *numbers


def slow_advantages(rewards, values, discount, decay):
    """The definition: a sum over all later errors, of one reply as a plain list."""
    after = [*values[1:], 0.0]
    errors = [r + discount * v - w for r, v, w in zip(rewards, after, values, strict=True)]
    return [
        sum((discount * decay) ** (later - at) * errors[later] for later in range(at, len(errors)))
        for at in range(len(errors))
    ]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), discount=st.floats(0.1, 1), decay=st.floats(0, 1))
def test_advantages_are_the_sum_of_all_later_errors_of_their_own_row(seed, discount, decay):
    mask, rewards, values, _ = drawn(seed)
    found = advantages_of(rewards, values, mask, discount=discount, decay=decay)
    for row in range(len(mask)):
        own = mask[row]
        expected = slow_advantages(
            rewards[row][own].tolist(), values[row][own].tolist(), discount, decay
        )
        assert found.advantages[row][own].tolist() == pytest.approx(expected)
        assert not found.advantages[row][~own].any()
        assert not found.returns[row][~own].any()
    same(found.returns[mask], (found.advantages + values)[mask])


def test_the_ends_of_the_scale_of_decay_are_known():
    mask = torch.ones(1, 3, dtype=torch.bool)
    rewards, values = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.5, 0.25, 0.75]])
    all_of_it = advantages_of(rewards, values, mask, discount=1.0, decay=1.0)
    one_step = advantages_of(rewards, values, mask, discount=1.0, decay=0.0)
    assert all_of_it.returns.tolist() == [[1.0, 1.0, 1.0]]
    assert one_step.advantages.tolist() == [[-0.25, 0.5, 0.25]]


def test_values_that_foresee_everything_leave_no_advantage():
    mask, rewards, _, _ = drawn(3)
    rewards = torch.where(mask, rewards, 0)
    values = rewards.flip(1).cumsum(1).flip(1)
    found = advantages_of(rewards, values, mask, discount=1.0, decay=0.95)
    assert found.advantages.abs().max() < 1e-12


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_stands_where_there_is_no_token_changes_nothing(seed):
    mask, one, two, three = drawn(seed)
    noise = torch.where(mask, 0, 1e30)

    def everything(a, b, c):
        policy = clipped_policy_loss(a, b, c, mask, clip=0.2)
        value = clipped_value_loss(a, b, c, mask, clip=0.2)
        gained = advantages_of(a, b, mask, discount=0.9, decay=0.9)
        scores = token_rewards(torch.ones(len(mask)).double(), a, b, mask, coefficient=0.1)
        return [
            policy.losses,
            value.losses,
            gained.advantages,
            gained.returns,
            scores,
            whiten(a, mask),
            masked_mean(a, mask),
        ]

    for plain, noisy in zip(
        everything(one, two, three),
        everything(one + noise, two - noise, three + noise),
        strict=True,
    ):
        same(noisy, plain)


def slow_policy_loss(log_prob, drawn_at, advantage, clip):
    ratio = math.exp(log_prob - drawn_at)
    bounded = min(max(ratio, 1 - clip), 1 + clip)
    return -min(ratio * advantage, bounded * advantage)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), clip=st.floats(0.01, 0.9))
def test_the_clipped_losses_are_those_of_the_papers_token_by_token(seed, clip):
    mask, log_probs, old, gains = drawn(seed)
    found = clipped_policy_loss(log_probs, old, gains, mask, clip=clip).losses
    values = clipped_value_loss(log_probs, old, gains, mask, clip=clip).losses
    for row, column in mask.nonzero().tolist():
        a, b, c = (float(each[row, column]) for each in (log_probs, old, gains))
        assert float(found[row, column]) == pytest.approx(slow_policy_loss(a, b, c, clip))
        near = b + min(max(a - b, -clip), clip)
        expected = 0.5 * max((a - c) ** 2, (near - c) ** 2)
        assert float(values[row, column]) == pytest.approx(expected)


@pytest.mark.parametrize("loss", [clipped_policy_loss, clipped_value_loss])
@pytest.mark.parametrize("seed", range(4))
def test_gradients_are_those_of_finite_differences(loss, seed):
    mask, log_probs, old, gains = drawn(seed)
    log_probs = log_probs.requires_grad_()
    loss(log_probs, old, gains, mask, clip=0.3).losses.sum().backward()
    step = 1e-6
    assert log_probs.grad is not None
    for row, column in mask.nonzero().tolist():
        moved = torch.zeros_like(old)
        moved[row, column] = step
        up, down = (
            loss(log_probs.detach() + sign * moved, old, gains, mask, clip=0.3).losses.sum()
            for sign in (1, -1)
        )
        expected = float(up - down) / (2 * step)
        assert float(log_probs.grad[row, column]) == pytest.approx(expected, abs=1e-6)


def test_a_token_is_left_alone_once_it_has_gone_far_enough_and_not_when_it_must_come_back():
    mask = torch.ones(1, 4, dtype=torch.bool)
    ratios, gains = torch.tensor([[1.5, 0.5, 1.5, 0.5]]), torch.tensor([[1.0, -1.0, -1.0, 1.0]])
    log_probs = ratios.log().requires_grad_()
    found = clipped_policy_loss(log_probs, torch.zeros(1, 4), gains, mask, clip=0.2)
    found.losses.sum().backward()
    assert log_probs.grad is not None
    assert found.clipped.tolist() == [[True, True, False, False]]
    assert [value != 0 for value in log_probs.grad[0].tolist()] == [False, False, True, True]


def test_at_drawing_the_gradient_is_that_of_the_plain_policy_gradient():
    mask, log_probs, _, gains = drawn(7)
    moving = log_probs.clone().requires_grad_()
    clipped_policy_loss(moving, log_probs, gains, mask, clip=0.2).losses.sum().backward()
    assert moving.grad is not None
    same(moving.grad, torch.where(mask, -gains, 0))


def test_the_score_comes_at_the_last_token_and_the_penalty_at_each():
    mask = torch.tensor([[True, True, False], [False, True, True]])
    log_probs = torch.tensor([[-1.0, -2.0, 9.0], [9.0, -1.0, -1.0]])
    reference = torch.tensor([[-2.0, -2.0, 5.0], [5.0, -1.0, -3.0]])
    found = token_rewards(torch.tensor([10.0, 20.0]), log_probs, reference, mask, coefficient=0.5)
    assert found.tolist() == [[-0.5, 10.0, 0.0], [0.0, 0.0, 19.0]]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(-9, 9), scale=st.floats(0.01, 100))
def test_whitened_numbers_do_not_know_their_unit(seed, shift, scale):
    mask, values, *_ = drawn(seed)
    if mask.sum() < 2:
        return
    found = whiten(values, mask)
    kept = found[mask]
    assert float(kept.mean()) == pytest.approx(0, abs=1e-9)
    assert float(kept.std(correction=0)) == pytest.approx(1)
    torch.testing.assert_close(whiten(values * scale + shift, mask), found, rtol=1e-6, atol=1e-8)
    scaled = whiten(values, mask, shift=False)[mask]
    assert torch.equal(scaled.sign(), values[mask].sign())


def test_equal_numbers_have_no_scale():
    mask = torch.ones(2, 3, dtype=torch.bool)
    same = torch.full((2, 3), 0.1)  # not exact in binary, so that rounding leaves a spread
    assert whiten(same, mask).abs().max() < 1e-6
    assert torch.equal(whiten(same, mask, shift=False), same)


def test_the_coefficient_is_steered_to_its_target_and_no_faster_than_it_may():
    assert next_coefficient(1.0, divergence=6.0, target=6.0) == 1.0
    assert next_coefficient(1.0, divergence=600.0, target=6.0) == pytest.approx(1.02)
    assert next_coefficient(1.0, divergence=0.0, target=6.0) == pytest.approx(0.98)
    assert next_coefficient(1.0, divergence=6.6, target=6.0) == pytest.approx(1.01)
    assert next_coefficient(0.3, divergence=600.0, target=None) == 0.3
    # A model whose divergence falls as the penalty rises comes to the target from both sides.
    for coefficient in (0.01, 10.0):
        for _ in range(2000):
            coefficient = next_coefficient(coefficient, divergence=3 / coefficient, target=6.0)
        assert 3 / coefficient == pytest.approx(6.0, rel=0.05)


def test_explained_variance_is_one_zero_or_unknown():
    mask = torch.ones(1, 4, dtype=torch.bool)
    returns = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert explained_variance(returns + 7, returns, mask) == pytest.approx(1.0)
    assert explained_variance(torch.zeros(1, 4), returns, mask) == pytest.approx(0.0)
    assert explained_variance(returns, torch.ones(1, 4), mask) is None
