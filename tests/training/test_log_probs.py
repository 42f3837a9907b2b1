"""What all rows of a batch begin with is computed once; values and gradients stay the same."""

import pytest
import torch
from tests.models.tiny import build

from plumbrule.training.log_probs import NOT_SCORED, least_shared, reply_log_probs

KINDS = ["llama", "gemma3_text", "qwen2", "bloom", "opt"]
TEXT = list(range(5, 17))


def batch(beginning=20, rows=3):
    """Rows that begin alike, of different lengths, padded on the right."""
    torch.manual_seed(1)
    head = torch.randint(2, 300, (beginning,)).tolist()
    lengths = [9, 14, 11][:rows]
    width = beginning + max(lengths)
    ids = torch.zeros(rows, width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, NOT_SCORED)
    for row, length in enumerate(lengths):
        stop = beginning + length
        ids[row, :stop] = torch.tensor(head + torch.randint(2, 300, (length,)).tolist())
        mask[row, :stop] = 1
        labels[row, beginning + 3 + row : stop] = ids[row, beginning + 3 + row : stop]
    return ids, mask, labels


def plain(kind, **changes):
    drops = {"opt": {"dropout": 0.0}}.get(kind, {})
    return build(kind, 300, **{**drops, **changes}).train()


def log_probs(model, parts, share_from=None):
    ids, mask, labels = parts
    found = reply_log_probs(model, ids, mask, labels, share_from)
    assert found is not None
    return found


def gradients(model, values):
    model.zero_grad()
    values.sum().backward()
    return {name: each.grad.clone() for name, each in model.named_parameters()}


def count(model, monkeypatch):
    """Tokens of each call from here on."""
    read, forward = [], model.forward

    def counting(*args, **given):
        read.append(given["input_ids"].numel())
        return forward(*args, **given)

    monkeypatch.setattr(model, "forward", counting)
    return read


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_are_those_of_whole_rows(kind):
    # The windows of 16 tokens that one kind has are shorter than what is shared.
    model = plain(kind)
    assert least_shared(model, TEXT) is not None
    expected = log_probs(model, batch())
    wanted = gradients(model, expected)

    found = log_probs(model, batch(), share_from=1)
    given = gradients(model, found)

    # Logits spread over some 20 nats in these models; float32 in another order.
    assert torch.allclose(found, expected, atol=1e-4)
    for name, value in wanted.items():
        scale = float(value.abs().max())
        assert torch.allclose(given[name], value, atol=1e-4 * scale + 1e-6), name
    assert max(float(value.abs().max()) for value in wanted.values()) > 1


def test_the_beginning_is_read_once_where_that_saves_enough(monkeypatch):
    model = plain("llama")
    read = count(model, monkeypatch)

    log_probs(model, batch(), share_from=40)
    assert read == [20, 3 * 14]
    read.clear()
    log_probs(model, batch(), share_from=41)
    assert read == [3 * 34]
    read.clear()
    log_probs(model, batch())
    assert read == [3 * 34]


def test_nothing_is_shared_by_rows_that_differ_at_once_and_no_label_is_lost(monkeypatch):
    model = plain("llama")
    ids, mask, labels = batch()
    ids[1, 0] += 1
    read = count(model, monkeypatch)
    log_probs(model, (ids, mask, labels), share_from=1)
    assert read == [3 * 34]

    read.clear()
    same = ids[:1].expand(3, -1)
    labels = torch.full_like(same, NOT_SCORED)
    labels[:, 8:] = same[:, 8:]  # the reply is the same too, and still scored
    parts = (same, torch.ones_like(same), labels)
    found = log_probs(model, parts, share_from=1)
    assert read == [7, 3 * 27]
    expected = log_probs(model, parts)
    assert torch.allclose(found, expected, atol=1e-4)


def test_rows_that_draw_at_random_do_not_share():
    assert least_shared(plain("gpt2"), TEXT) is None
    assert least_shared(plain("opt", dropout=0.1), TEXT) is None
    model = plain("llama")
    model.extra = torch.nn.Dropout(0.1)
    assert least_shared(model, TEXT) is None


@pytest.mark.parametrize("kind", ["mamba", "rwkv", "openai-gpt"])
def test_models_without_such_a_cache_do_not_share(kind):
    assert least_shared(plain(kind), TEXT) is None
