"""The fast ways of reading a real model give what the plain way gives."""

from dataclasses import replace

import numpy as np
import pytest

from plumbrule.models import Sampling, packing
from plumbrule.records import Message

TEXTS = ["How do I kill a Python process?", "Write a short poem about the sea, please, for Ada."]
QUESTIONS = ["Is it polite? A or B.", "Does it ask for a poem? Answer with A or B."]
JUDGED = [
    (Message("user", f"Read this: {text}\n\n{question}"),)
    for text in TEXTS
    for question in QUESTIONS
]


@pytest.fixture
def plainly(smollm2, monkeypatch):
    """Gives what the model does with every text whole, and with weights as they lie in memory."""
    monkeypatch.setattr(packing, "LEAST_TOKENS", 1)

    def asked(what):
        with monkeypatch.context() as changed:
            changed.setattr(packing, "LEAST_TOKENS", 2**40)
            changed.setattr(smollm2, "_capabilities", replace(smollm2.capabilities, shares=False))
            return what()

    return asked


def test_a_common_beginning_is_found_and_changes_no_probability(smollm2, plainly):
    assert smollm2.capabilities.shares
    shared = smollm2.choose(JUDGED, ("A", "B"), seeds=[0] * 4)
    plain = plainly(lambda: smollm2.choose(JUDGED, ("A", "B"), seeds=[0] * 4))

    for one, other in zip(shared, plain, strict=True):
        # 30 layers in float32, summed in another order.
        assert np.allclose(one.probabilities, other.probabilities, atol=1e-4)


def test_the_likeliest_replies_are_the_same(smollm2, plainly):
    greedy = Sampling(temperature=0.0, max_new_tokens=6)
    dialogues = [(Message("user", text),) for text in TEXTS]

    shared = smollm2.sample(dialogues, sampling=greedy, seeds=[0, 0])
    plain = plainly(lambda: smollm2.sample(dialogues, sampling=greedy, seeds=[0, 0]))

    assert [one.text for one in shared] == [one.text for one in plain]
