"""Looking inside real models; what takes minutes is in `benchmarks/real_inspect.py`."""

import pytest
import torch
from benchmarks.real_ground import model_path, why_absent

from plumbrule.cli.inspect_model import opened, text_tokens
from plumbrule.mechanism import capture, find_heads, logit_lens

TEXTS = ("The cat sat on the mat.", "Two and two make", "Who wrote the letter to the king?")

INDUCTION, PREVIOUS = {(18, 6), (17, 4), (17, 3)}, {(16, 0), (11, 1)}
"""Heads of SmolLM2 as `../shared/tools/README.md` has them."""


@pytest.fixture(scope="module", params=["smollm2", "gemma3"])
def model(request):
    """A model and its sites; Gemma 3 has no chat template, and windows that slide."""
    reason = why_absent(request.param)
    if reason:
        pytest.skip(reason)
    return opened(str(model_path(request.param)), device="cpu", dtype="float32")


def test_a_text_in_a_batch_is_what_it_is_alone(model):
    handle, sites = model
    rows = [text_tokens(handle, text) for text in TEXTS]
    names = ["embed", "3.heads", *sites.named("out")]

    together = capture(handle.module, sites, rows, names)

    for at, row in enumerate(rows):
        alone = capture(handle.module, sites, [row], names)
        for name in names:
            one, other = together.values[name][at], alone.values[name][0]
            assert float((one - other).abs().max()) <= 1e-4 * float(other.abs().max())


def test_the_last_depth_of_the_lens_is_the_model_itself(model):
    handle, sites = model
    ids = torch.tensor([text_tokens(handle, TEXTS[0])])

    depths = logit_lens(handle.module, sites, ids)

    with torch.no_grad():
        own = handle.module(input_ids=ids, use_cache=False)["logits"][0, -1].log_softmax(-1)
    assert len(depths) == len(sites.layers) + 1
    assert torch.allclose(torch.tensor(depths[-1, 0]), own, atol=1e-3)


def test_a_model_without_a_chat_template_reads_plain_text():
    reason = why_absent("gemma3")
    if reason:
        pytest.skip(reason)
    handle, _ = opened(str(model_path("gemma3")), device="cpu", dtype="float32")
    from plumbrule.records import Message

    asked = handle.chat.prompts([(Message("user", TEXTS[0]),)])[0]

    assert asked == text_tokens(handle, TEXTS[0])
    assert asked[0] == handle.tokenizer.bos_token_id


def test_known_heads_of_smollm2_are_found():
    reason = why_absent("smollm2")
    if reason:
        pytest.skip(reason)
    handle, sites = opened(str(model_path("smollm2")), device="cpu", dtype="float32")

    roles = find_heads(handle.module, sites, seed=0, sequences=16, length=12)

    found = {
        role: {(one.layer, one.head) for one in roles if one.role == role and one.stands}
        for role in ("induction", "previous")
    }
    assert found["induction"] >= INDUCTION
    assert found["previous"] >= PREVIOUS
