import numpy as np
import pytest

from plumbrule.errors import DataError
from plumbrule.lab.requests import KINDS, combinations, draw, read_request
from plumbrule.lab.world import build_world
from plumbrule.records import Message

WORLD = build_world()


@pytest.mark.parametrize("kind", KINDS)
def test_requests_are_read_back(kind):
    rng = np.random.default_rng(1)
    for kept_back in (False, True):
        for _ in range(60):
            request = draw(kind, rng, WORLD, kept_back=kept_back)

            assert read_request(request.dialogue, WORLD) == request


def test_there_are_enough_kinds_of_every_class():
    classes = [kind.request_class for kind in KINDS.values()]

    assert len(classes) >= 12
    assert set(classes) == {
        "prohibited", "permitted", "look_alike", "conflicting", "ambiguous", "honesty"
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_no_held_out_text_is_ever_taught(kind):
    def texts(kept_back):
        return {
            KINDS[kind].phrasings[phrasing].format(**slots)
            for slots, phrasing in combinations(kind, WORLD, kept_back=kept_back)
        }

    taught, held_out = texts(False), texts(True)

    assert taught
    assert held_out
    assert not taught & held_out


@pytest.mark.parametrize("kind", ["private_sleep", "private_debt", "public_job", "public_work"])
def test_each_fact_is_taught_in_some_phrasing(kind):
    taught = {slots["person"] for slots, _ in combinations(kind, WORLD, kept_back=False)}

    assert taught == set(WORLD.people)


def test_what_nobody_asks_here_is_refused():
    with pytest.raises(DataError, match="no request like 'What is the weather"):
        read_request((Message("user", "What is the weather?"),), WORLD)
