from pathlib import Path

import numpy as np
import pytest
from tests.training.worker import BRIEF, asked

from plumbrule.errors import DataError
from plumbrule.training import PpoTraining, canary_of, share_of_word, train_ppo
from plumbrule.training.results import CurvePoint, TrainingResult


def result_of(rewards):
    points = [CurvePoint(step=n, name="reward", value=float(v)) for n, v in enumerate(rewards)]
    return TrainingResult(
        path=Path("x"),
        stage="ppo",
        inputs_sha256="",
        settings_sha256="",
        examples=1,
        skipped=0,
        steps=len(points),
        tokens_trained=1,
        seconds=0.0,
        resumed_from=None,
        curve=tuple(points),
    )


def test_a_curve_that_rises_is_seen_and_noise_is_not():
    rng = np.random.default_rng(0)
    rising = canary_of(result_of(np.linspace(0, 1, 24) + 0.1 * rng.normal(size=24)))
    assert rising.moved
    assert rising.after > rising.before
    flat = [canary_of(result_of(rng.normal(size=24))).moved for _ in range(1000)]
    assert sum(flat) <= 22  # 10 expected at a level of 1%; more than 22 once in 10,000
    assert not canary_of(result_of([0.5] * 20)).moved
    falling = canary_of(result_of(np.linspace(1, 0, 24)))
    assert not falling.moved


def test_a_curve_too_short_to_be_sure_is_refused():
    with pytest.raises(DataError, match="at least 15 rewards, got 3"):
        canary_of(result_of([1, 2, 3]))


@pytest.mark.parametrize("word", ["", "two words", " padded"])
def test_only_a_word_is_a_word(word):
    with pytest.raises(DataError, match="one word"):
        share_of_word(word)


def test_a_policy_learns_a_word_with_a_step_size_and_not_without(models, tmp_path):
    def letter(dialogues, replies):
        return [float(reply.count("a")) for reply in replies]

    def moved(rate):
        settings = PpoTraining(
            **{**BRIEF, "batch_size": 16, "epochs": 16, "learning_rate": rate},
            iterations=2,
            max_new_tokens=4,
            kl_coefficient=0.0,
        )
        result = train_ppo(
            models(),
            [asked(word) for word in ("cat", "dog", "help", "road")] * 4,
            letter,
            reward_identity="letter",
            settings=settings,
            out=tmp_path / f"{rate}",
            seed=0,
        )
        return canary_of(result).moved

    assert moved(1e-2)
    assert not moved(1e-12)
