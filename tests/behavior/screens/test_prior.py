import numpy as np
import pytest

from plumbrule.behavior.screens.prior import CLUES, Past, Prior, learn, rank, shipped
from plumbrule.errors import DataError


def past(rng, *, telling, asked=80):
    """A comparison of 400 prompts in which one screen sees what moves and the others see noise."""
    moved = rng.random(400) < 0.1
    scores = {name: rng.random(400) for name in CLUES}
    scores[telling] = moved + 0.1 * rng.random(400)
    rows = rng.permutation(400)[:asked].tolist()
    return Past(scores=scores, movement={row: float(moved[row]) for row in rows})


@pytest.mark.parametrize("telling", CLUES)
def test_the_screen_that_was_right_is_believed(telling):
    rng = np.random.default_rng(0)
    learned = learn([past(rng, telling=telling) for _ in range(6)])

    assert max(learned.weights, key=learned.weights.__getitem__) == telling
    assert learned.weights[telling] > 2 * sum(
        weight for name, weight in learned.weights.items() if name != telling
    )
    assert (learned.comparisons, learned.prompts) == (6, 480)


def test_a_screen_that_ranks_backwards_is_left_out():
    rng = np.random.default_rng(1)
    finished = past(rng, telling="weights")
    turned = Past(
        scores={**finished.scores, "weights": -finished.scores["weights"]},
        movement=finished.movement,
    )

    assert learn([turned]).weights["weights"] < 0.05


def test_what_was_asked_decides_and_the_rest_only_ranks():
    scores = {name: np.arange(10.0) for name in CLUES}
    all_of_it = Past(scores=scores, movement={9: 1.0, 0: 0.0})

    assert learn([all_of_it]).prompts == 2


def test_prompts_are_ranked_by_the_screens_that_looked():
    prior = Prior(weights={"weights": 1.0, "divergence": 0.0}, comparisons=1, prompts=1)
    scores = {"weights": np.array([1.0, 3.0, 2.0])}

    assert np.argsort(-rank(prior, scores)).tolist() == [1, 2, 0]
    assert rank(prior, {"divergence": np.array([1.0, 2.0])}).tolist() == [0.0, 0.0]


def test_without_a_past_nothing_is_learned():
    with pytest.raises(DataError, match="finished comparisons"):
        learn([])


def test_the_package_ships_one_and_says_what_it_was_learned_from():
    prior = shipped()

    assert prior is not None
    assert set(prior.weights) == set(CLUES)
    assert prior.comparisons >= 60
    assert any(prior.weights.values())
    assert all(weight >= 0 for weight in prior.weights.values())
