import copy
import math

import numpy as np
import pytest
import torch

from plumbrule.behavior.screens.scanning import scan
from plumbrule.errors import ModelError
from plumbrule.lab.organisms.pool import pool
from plumbrule.models import LocalModel, open_model

PROMPTS = pool(per_kind=2)[:20]


@pytest.fixture(scope="module")
def nano():
    return open_model("lab:nano", dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def texts(nano):
    return nano.chat.prompts([prompt.dialogue for prompt in PROMPTS])


def edited(model, change):
    module = copy.deepcopy(model.module)
    module.lm_head.weight = torch.nn.Parameter(module.lm_head.weight.detach().clone())
    with torch.no_grad():
        change(module)
    return LocalModel(module, model.tokenizer)


@pytest.fixture(scope="module")
def tuned(nano):
    """One more word likely where a reply begins, and a little of everything else."""

    def change(module):
        generator = torch.Generator().manual_seed(0)
        for parameter in module.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))

    return edited(nano, change)


def alone(model, text):
    with torch.inference_mode():
        out = model.module(input_ids=torch.tensor([text]), output_hidden_states=True)
    states = torch.stack([layer[0, -1] for layer in out["hidden_states"]])
    return out["logits"][0, -1].double().numpy(), states.double().numpy()


def test_a_model_does_not_part_from_itself(nano, texts):
    seen = scan(nano, nano, texts)

    assert not seen.first_token.any()
    assert not seen.divergence.any()
    assert not seen.shift.any()
    assert seen.raised == ((),) * len(texts)


def test_numbers_are_those_of_each_prompt_alone_in_double_precision(nano, tuned, texts):
    seen = scan(nano, tuned, texts)

    for row, text in enumerate(texts):
        (before, states), (after, moved) = alone(nano, text), alone(tuned, text)
        p, q = (np.exp(one - np.logaddexp.reduce(one)) for one in (before, after))
        assert seen.first_token[row] == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-4)
        assert seen.divergence[row] == pytest.approx((p * np.log(p / q)).sum(), abs=1e-4)
        shift = np.linalg.norm(moved - states, axis=1) / np.linalg.norm(states, axis=1)
        assert seen.shift[row] == pytest.approx(shift.max(), abs=1e-4)


def test_the_order_and_the_neighbors_of_prompts_do_not_matter(nano, tuned, texts):
    whole, part = scan(nano, tuned, texts), scan(nano, tuned, texts[::-1][:7])

    # Another batch shape rounds differently in the last bits of float32.
    assert part.divergence == pytest.approx(whole.divergence[::-1][:7], abs=1e-5)
    assert part.raised == whole.raised[::-1][:7]


def test_a_word_made_likely_is_raised_everywhere(nano, texts):
    (token,) = nano.tokenizer(" oak", add_special_tokens=False)["input_ids"]

    def change(module):
        module.lm_head.bias = torch.nn.Parameter(torch.zeros(len(module.lm_head.weight)))
        module.lm_head.bias[token] = 40.0

    seen = scan(nano, edited(nano, change), texts)

    assert all(token == raised[0] for raised in seen.raised)
    assert seen.first_token.min() > 0.5
    assert not seen.shift.any()


def test_scans_one_after_the_other_are_one_scan(nano, tuned, texts):
    whole = scan(nano, tuned, texts)

    joined = scan(nano, tuned, texts[:8]).followed_by(scan(nano, tuned, texts[8:]))

    assert joined.first_token == pytest.approx(whole.first_token, abs=1e-5)
    assert joined.shift == pytest.approx(whole.shift, abs=1e-5)
    assert joined.raised == whole.raised


def test_what_is_read_is_counted_and_nothing_is_written(nano, tuned, texts):
    before = copy.copy(nano.usage)

    scan(nano, tuned, texts)

    assert nano.usage.tokens_scored - before.tokens_scored == sum(map(len, texts))
    assert nano.usage.tokens_generated == before.tokens_generated


def test_a_scan_leaves_both_models_as_they_were(nano, tuned, texts):
    before = [alone(model, texts[0])[0] for model in (nano, tuned)]

    scan(nano, tuned, texts)

    after = [alone(model, texts[0])[0] for model in (nano, tuned)]
    assert np.array_equal(before, after)


def test_no_prompts_are_no_numbers(nano):
    seen = scan(nano, nano, [])

    assert len(seen.first_token) == len(seen.divergence) == len(seen.shift) == 0
    assert seen.raised == ()


def test_damaged_weights_are_named(nano, texts):
    def damage(module):
        module.get_input_embeddings().weight[texts[0][-4]] = math.nan

    with pytest.raises(ModelError, match="got NaN"):
        scan(nano, edited(nano, damage), texts)
