import numpy as np
from benchmarks.superposition import SuperpositionRecipe, superposition


def test_made_activations_are_what_they_are_said_to_be():
    recipe = SuperpositionRecipe(noise=0.0)
    found = superposition(recipe, 4000, seed=3)
    again = superposition(recipe, 4000, seed=3)

    assert found.activations.shape == (4000, 64)
    assert np.array_equal(found.activations, again.activations)
    assert np.allclose(np.linalg.norm(found.directions, axis=1), 1.0)
    # About 8 on average; parts of a whole that stand alone are taken off.
    assert 7.0 < found.active < 8.5


def test_another_seed_has_other_features():
    recipe = SuperpositionRecipe(features=64, width=16, families=8, active=2.0)
    one, other = (superposition(recipe, 100, seed=seed) for seed in (0, 1))

    assert not np.allclose(one.directions, other.directions)
