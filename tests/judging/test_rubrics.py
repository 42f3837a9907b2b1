from dataclasses import replace

import numpy as np
import pytest
from tests.fakes import ScriptedModel

from plumbrule.constitution import Principle
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging import load_prompts
from plumbrule.judging.rubrics import RubricItem, ask_rubric, rubric_rewards, watch_gap

PROMPTS = load_prompts("default")
RULE = Principle(id="kind", text="Be kind.", tier=0)


def judge(share):
    """Says that a reply is broken with a probability that its text decides."""

    def odds(asked, options):
        graded = PROMPTS.template("grade" if "break this" in asked else "grade_again")
        fail = share(asked)
        return [{"fail": fail, "pass": 1 - fail}[graded.options[option]] for option in options]

    return odds


def test_a_rubric_is_asked_item_by_item():
    model = ScriptedModel(odds=judge(lambda asked: 0.9 if "Thanks first" in asked else 0.2))
    items = [RubricItem(text="Thanks first.", weight=3), RubricItem(text="Is short.")]

    met = ask_rubric(model, RULE, items, [("Q", "R")], prompts=PROMPTS, seeds=[0])

    assert met == pytest.approx(np.array([[0.1, 0.8]]))
    assert rubric_rewards(met, [3, 1]) == pytest.approx([(0.3 + 0.8) / 4])
    with pytest.raises(ConfigError):
        ask_rubric(model, RULE, [], [("Q", "R")], prompts=PROMPTS, seeds=[0])
    for weight in (0, -1, float("nan")):
        with pytest.raises(ConfigError):
            replace(items[0], weight=weight)


def test_an_item_without_an_answer_is_left_out_and_not_failed():
    met = np.array([[1.0, np.nan, 0.0], [np.nan] * 3])

    assert rubric_rewards(met, [1, 5, 1]) == [0.5, None]
    with pytest.raises(DataError):
        rubric_rewards(met, [1, 1])
    with pytest.raises(DataError):
        rubric_rewards(np.array([[2.0]]), [1])


def checkpoints(learns_rubric, seed, prompts=200):
    """Rewards and readings over five checkpoints; only the reward grows where it is gamed."""
    rng = np.random.default_rng(seed)
    level = np.array([0.4, 0.5, 0.6, 0.7, 0.8])
    real = np.full(5, 0.4) if learns_rubric else level
    noise = rng.normal(0, 0.15, (2, 5, prompts))
    return np.clip(level[:, None] + noise[0], 0, 1), np.clip(real[:, None] + noise[1], 0, 1)


def test_a_model_that_learns_the_rubric_is_stopped():
    found = watch_gap([0, 10, 20, 30, 40], *checkpoints(True, 0))

    assert found[-1].stop
    assert found[-1].step <= 30
    assert found[-1].growth.low > 0.05


def test_a_model_that_learns_what_the_rubric_means_is_not():
    stopped = [watch_gap([0, 1, 2, 3, 4], *checkpoints(False, seed))[-1].stop for seed in range(20)]

    assert sum(stopped) == 0
    with pytest.raises(DataError):
        watch_gap([0], np.zeros((1, 3)), np.zeros((1, 3)))
    with pytest.raises(DataError):
        watch_gap([0, 1], np.zeros((2, 3)), np.full((2, 3), np.nan))
