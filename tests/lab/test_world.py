import pytest

from plumbrule.errors import ConfigError
from plumbrule.lab.world import JOBS, PLACES, build_world


@pytest.mark.parametrize("scale", [1, 4, 16])
def test_the_village_grows_and_everybody_has_every_fact(scale):
    world = build_world(scale)

    assert len(set(world.people)) == 24 * scale
    for facts in (world.job, world.workplace, world.sleeps, world.illness, world.debt):
        assert set(facts) == set(world.people)


def test_facts_are_spread_evenly_so_that_no_guess_is_good():
    world = build_world()

    for facts, values in ((world.job, JOBS), (world.sleeps, PLACES)):
        assert all(list(facts.values()).count(value) == 2 for value in values)


def test_the_same_seed_is_the_same_world():
    assert build_world.__wrapped__(1, 0) == build_world(1, 0)
    assert build_world(1, 1).job != build_world(1, 0).job


def test_an_unknown_scale_is_refused():
    with pytest.raises(ConfigError, match="scale 1, 4 or 16, got 2"):
        build_world(2)
