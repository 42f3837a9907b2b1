import numpy as np
import pytest
from tests.fakes import ScriptedModel

from plumbrule.behavior.noise import measure_noise
from plumbrule.behavior.pair import Pair
from plumbrule.behavior.recording import Recorder
from plumbrule.errors import ModelError
from plumbrule.lab.organisms.pool import pool
from plumbrule.models import Sampling, open_model

PROMPTS = pool(per_kind=1)[:16]


def recording(base, tuned):
    pair = Pair(base=base, tuned=tuned, sampling=Sampling(max_new_tokens=16))
    return Recorder(pair=pair, seed=0, folder=None, identity="")


def scripted(says, **changes):
    return recording(
        ScriptedModel(answer=says, **changes), ScriptedModel(answer=says, identity="other")
    )


@pytest.fixture(scope="module")
def pico():
    return open_model("lab:pico", dtype="float32", device="cpu")


def test_weights_at_hand_move_by_rounding_alone(pico):
    noise = measure_noise(recording(pico, pico), PROMPTS)

    # Log-probabilities of float32 in another batch shape agree to about 1e-5.
    assert 0.0 <= noise.floor < 1e-3
    assert noise.largest < 1e-2
    assert noise.replies == len(PROMPTS)


def test_the_floor_is_the_bases_alone(pico):
    other = open_model("lab:nano", dtype="float32", device="cpu")

    assert measure_noise(recording(pico, other), PROMPTS) == measure_noise(
        recording(pico, pico), PROMPTS
    )


def test_what_measuring_costs_is_counted(pico):
    local, remote = recording(pico, pico), scripted(lambda asked: "Hello.")

    measure_noise(local, PROMPTS)
    measure_noise(remote, PROMPTS)

    assert local.pair.texts == len(PROMPTS)
    assert remote.pair.texts == len(remote.pair.base.asked) == 3 * len(PROMPTS)


def test_an_endpoint_that_repeats_itself_has_no_noise():
    noise = measure_noise(scripted(lambda asked: "Hello."), PROMPTS)

    assert (noise.floor, noise.largest) == (0.0, 0.0)


def test_the_floor_of_an_endpoint_is_the_movement_that_its_twin_would_show():
    rng = np.random.default_rng(0)

    def noisy(asked):
        return " ".join(rng.choice(["oak", "elm", "ash", "fir", "yew"], 4))

    many = [prompt for prompt in PROMPTS for _ in range(20)]
    recorder = scripted(noisy)

    noise = measure_noise(recorder, many)

    moved = np.mean([one.movement for one in recorder.pair.ask(many, range(len(many)))])
    assert moved > 0.02
    # Two standard errors were added, and both means are of 320 draws: 3 of their difference.
    assert moved <= noise.floor + 0.02
    assert noise.floor == pytest.approx(moved, abs=0.08)


def test_an_endpoint_that_answers_nothing_has_no_floor_but_an_error():
    with pytest.raises(ModelError, match="gave none to 16 prompts"):
        measure_noise(scripted(lambda asked: "500", finish_reason="errored"), PROMPTS)
