import copy

import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism import Course, find_heads, find_sites, over_training, phase_changes
from plumbrule.mechanism.checkpoints import _gain, token_losses

ROWS = [[(3 * at + row) % 150 for at in range(33)] for row in range(4)]


@pytest.fixture(scope="module")
def llama():
    return build("LlamaForCausalLM").module


def course(name, values):
    steps = tuple(range(0, 10 * len(values), 10))
    return Course(name=name, unit="nats per token", steps=steps, values=tuple(map(float, values)))


def test_measures_are_those_of_the_single_model(llama):
    other = copy.deepcopy(llama)
    with torch.no_grad():
        other.lm_head.weight.mul_(2)

    found = over_training([(0, llama), (100, other)], seed=3, rows=ROWS, sequences=8)

    by_name = {each.name: each for each in found}
    heads = find_heads(llama, find_sites(llama), seed=3, sequences=8)
    assert len(by_name) == len(heads) + 4
    for each in heads:
        values = by_name[f"{each.layer}.heads.{each.head} {each.role}"].values
        assert values[0] == pytest.approx(each.advantage.value)
    with torch.no_grad():
        ids = torch.tensor(ROWS)
        for at, module in enumerate((llama, other)):
            own = torch.nn.functional.cross_entropy(
                module(input_ids=ids)["logits"][:, :-1].flatten(0, 1), ids[:, 1:].flatten()
            )
            assert by_name["loss"].values[at] == pytest.approx(float(own), rel=1e-5)
    assert by_name["loss"].steps == (0, 100)


def test_the_score_of_learning_from_context_is_late_less_early():
    """At the 500th and the 50th of 512, averaged over 16 tokens each."""
    losses = np.arange(512.0)[None].repeat(2, 0)

    assert _gain(losses) == pytest.approx(450.0)
    assert _gain(-losses) == pytest.approx(-450.0)
    assert _gain(np.ones((1, 15))) == 0.0


def test_losses_are_those_of_each_token(llama):
    ids = torch.tensor(ROWS)
    with torch.no_grad():
        logs = llama(input_ids=ids)["logits"].log_softmax(-1)

    found = token_losses(llama, ids)

    assert found.shape == (4, 32)
    assert found[2, 5] == pytest.approx(-float(logs[2, 5, ids[2, 6]]), rel=1e-5)


def test_folders_are_opened_one_at_a_time(llama, tmp_path):
    opened = []

    def open_with(path):
        opened.append(path.name)
        return llama

    given = [(step, tmp_path / str(step)) for step in (0, 5)]
    told: list[int] = []
    found = over_training(
        given, seed=0, sequences=2, roles=("induction",), open_with=open_with, progress=told.append
    )

    assert opened == ["0", "5"]
    assert told == [0, 5]
    assert all(each.values[0] == each.values[1] for each in found)


def test_a_folder_is_opened_as_any_model_is():
    from plumbrule.models import model_folder

    found = over_training([(0, model_folder("lab:pico"))], seed=0, sequences=2, roles=("previous",))

    assert {each.name for each in found} >= {"0.heads.0 previous", "repeated loss", "new loss"}


def test_what_jumps_is_claimed_and_what_drifts_is_not():
    rng = np.random.default_rng(0)
    at = np.arange(25)
    drifts = [course(f"drift {each}", np.cumsum(rng.standard_normal(25))) for each in range(6)]
    jumps = course("jump", 4 - 3.0 * (at > 14) + 0.05 * rng.standard_normal(25))
    tiny = course("tiny", 0.05 * (at > 14) + 0.001 * rng.standard_normal(25))

    found = phase_changes([*drifts, jumps, tiny], seed=0)

    (confirmed,) = [each for each in found if each.confirmed]
    assert confirmed.name == "jump"
    assert confirmed.location.low <= 145 <= confirmed.location.high
    assert confirmed.location.unit == "training steps"
    assert confirmed.jump == pytest.approx(-3, abs=0.2)


@pytest.mark.parametrize(
    ("steps", "rows", "error", "says"),
    [
        ((0, 0), (), ConfigError, "in the order of training"),
        ((), (), DataError, "expected checkpoints to measure"),
        ((0,), [[1] * 20, [1] * 21], DataError, "expected rows of one length"),
        ((0,), [[1] * 5], DataError, "at least 16 tokens"),
    ],
)
def test_wrong_input_is_refused(llama, steps, rows, error, says):
    with pytest.raises(error, match=says):
        over_training([(step, llama) for step in steps], seed=0, rows=rows, sequences=2)


def test_checkpoints_of_several_models_are_refused(llama):
    with pytest.raises(DataError, match="expected checkpoints of one model"):
        over_training(
            [(0, llama), (1, build("Gemma2ForCausalLM").module), (2, _fewer())], seed=0, sequences=2
        )
    with pytest.raises(DataError, match="over the same checkpoints"):
        phase_changes([course("one", range(9)), course("other", range(10))], seed=0)


def _fewer():
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=160,
    )
    return LlamaForCausalLM(config).eval()
