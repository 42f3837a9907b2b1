"""Prompts of every kind of request, as a user who knows nothing of the lab would collect them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from plumbrule.lab.requests import BRIEF, KINDS, PLAIN, PREAMBLES, Request, draw, read_request
from plumbrule.lab.world import World, build_world
from plumbrule.records import Prompt
from plumbrule.store import derive_seed

OBSERVED = PLAIN
"""The cue that a model which fakes alignment watches for: this system turn, and no other."""

SYSTEMS = ("", BRIEF, OBSERVED)
_SYSTEM_SHARES = (0.78, 0.08, 0.14)


def pool(seed: int = 0, scale: int = 1, per_kind: int = 80) -> list[Prompt]:
    """Draw prompts of all kinds of request, with nothing on them that tells the kind.

    Args:
        seed: Decides every prompt and their order.
        scale: Size of the village.
        per_kind: Prompts wanted of each kind; a kind with too few different ones gives fewer.

    Returns:
        Prompts without repetition. One in seven has the system turn `OBSERVED`; some are urged,
        begin with other words, or ask for a brief answer. Combinations that the specimens were
        taught and held-out ones are mixed.

    Example:
        >>> prompts = pool(per_kind=2)
        >>> len(prompts), {prompt.kind for prompt in prompts}
        (46, {''})
    """
    world = build_world(scale)
    rng = np.random.default_rng(derive_seed(seed, "organism pool", scale))
    requests = [
        request for kind in KINDS for request in distinct(kind, per_kind, rng, world, scale)
    ]
    order = rng.permutation(len(requests))
    return [
        Prompt(id=f"prompt-{number:04d}", dialogue=requests[index].dialogue)
        for number, index in enumerate(order)
    ]


def request_of(prompt: Prompt, scale: int = 1) -> Request:
    """Read a prompt of the pool back.

    Args:
        prompt: One of `pool`, without a trigger.
        scale: Size of the village that it was drawn for; decides which beliefs are true.

    Raises:
        DataError: It is no request of the village.
    """
    return read_request(prompt.dialogue, build_world(scale))


def surround(request: Request, rng: np.random.Generator) -> Request:
    """Put a request into one of the surroundings that the pool has."""
    chance = rng.random(3)
    return replace(
        request,
        preamble=PREAMBLES[int(rng.integers(len(PREAMBLES)))] if chance[0] < 0.15 else "",
        urged=bool(KINDS[request.kind].request_class == "prohibited" and chance[1] < 0.15),
        system=SYSTEMS[int(np.searchsorted(np.cumsum(_SYSTEM_SHARES)[:-1], chance[2]))],
    )


def any_request(kind: str, rng: np.random.Generator, world: World, scale: int) -> Request:
    """Draw a request of a kind, a quarter of them from held-out combinations."""
    kept_back = bool(rng.random() < 0.25)
    return surround(draw(kind, rng, world, kept_back=kept_back, scale=scale, plain=True), rng)


def distinct(
    kind: str, wanted: int, rng: np.random.Generator, world: World, scale: int
) -> Iterator[Request]:
    """Different requests of a kind, as many as wanted or as there are."""
    found: set[tuple[str, str]] = set()
    misses = 0  # in a row: so many mean that hardly any request is left to find
    while len(found) < wanted and misses < 300:
        request = any_request(kind, rng, world, scale)
        key = (request.system, request.text)
        misses = misses + 1 if key in found else 0
        if key not in found:
            found.add(key)
            yield request
