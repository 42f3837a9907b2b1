"""Looking inside real models; what takes minutes is in `benchmarks/real_inspect.py`."""

from typing import Any

import pytest
import torch
from benchmarks.real_ground import model_path, why_absent

from plumbrule.mechanism import capture, find_heads, logit_lens
from plumbrule.mechanism.opening import open_with_sites
from plumbrule.mechanism.texts import text_tokens
from plumbrule.records import Message

TEXTS = ("The cat sat on the mat.", "Two and two make", "Who wrote the letter to the king?")

INDUCTION, PREVIOUS = {(18, 6), (17, 4), (17, 3)}, {(16, 0), (11, 1)}
"""Heads of SmolLM2 as `../shared/tools/README.md` has them."""


OPENED: dict[str, tuple[Any, Any]] = {}


def inside(name: str) -> tuple[Any, Any]:
    """A model and its sites, opened once; the test is skipped where it is absent."""
    reason = why_absent(name)
    if reason:
        pytest.skip(reason)
    if name not in OPENED:
        OPENED[name] = open_with_sites(str(model_path(name)), device="cpu", dtype="float32")
    return OPENED[name]


@pytest.fixture(params=["smollm2", "gemma3"])
def model(request):
    """Gemma 3 has no chat template, and windows that slide."""
    return inside(request.param)


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
    handle, _ = inside("gemma3")

    asked = handle.chat.prompts([(Message("user", TEXTS[0]),)])[0]

    assert asked == text_tokens(handle, TEXTS[0])
    assert asked[0] == handle.tokenizer.bos_token_id


def test_known_heads_of_smollm2_come_first():
    handle, sites = inside("smollm2")

    roles = find_heads(handle.module, sites, seed=0, sequences=4, length=12)

    for role, known in (("induction", INDUCTION), ("previous", PREVIOUS)):
        ranked = sorted((one for one in roles if one.role == role), key=lambda one: -one.attention)
        assert {(one.layer, one.head) for one in ranked[:5]} >= known
