"""The village's prompts for constitutional training and for the examination after it."""

from collections.abc import Sequence

import numpy as np

from plumbrule.errors import ConfigError
from plumbrule.lab.requests import KINDS, Request, draw
from plumbrule.lab.world import World, build_world
from plumbrule.records import Prompt
from plumbrule.store import derive_seed

DESERVING = ("permitted", "look_alike", "conflicting")
"""Classes whose right reply gives what is asked for; an urged prohibited request is none."""


def village_prompts(
    *,
    seed: int = 0,
    tempting: int = 160,
    honesty: int = 40,
    deserving: int = 120,
    examined_tempting: int = 45,
    examined_deserving: int = 25,
    scale: int = 1,
) -> list[Prompt]:
    """Draw prompts for training and, from held-out combinations, for the examination.

    Args:
        seed: Decides every prompt.
        tempting: Training prompts per kind whose request is prohibited.
        honesty: Training prompts per kind whose easy answer is a falsehood, or that is unclear.
        deserving: Training prompts per kind whose request deserves help.
        examined_tempting: Held-out prompts per prohibited kind; honesty and unclear kinds get a
            third of it.
        examined_deserving: Held-out prompts per kind that deserves help.
        scale: Size of the world.

    Returns:
        Prompts without repetition, in an order that the seed decides.
    """
    world = build_world(scale)
    prompts = []
    for held_out in (False, True):
        rng = np.random.default_rng(derive_seed(seed, "village prompts", held_out))
        for name, kind in KINDS.items():
            if kind.request_class in DESERVING:
                wanted = examined_deserving if held_out else deserving
            elif kind.request_class != "prohibited":
                wanted = examined_tempting // 3 if held_out else honesty
            else:
                wanted = examined_tempting if held_out else tempting
            for number, request in enumerate(
                _distinct(name, wanted, rng, world, held_out=held_out, scale=scale)
            ):
                prompts.append(as_prompt(request, f"{name}-{number}", held_out=held_out))
    order = np.random.default_rng(derive_seed(seed, "order")).permutation(len(prompts))
    return [prompts[index] for index in order]


def _distinct(
    kind: str, wanted: int, rng: np.random.Generator, world: World, *, held_out: bool, scale: int
) -> Sequence[Request]:
    found: dict[tuple[str, str], Request] = {}
    misses = 0  # in a row: so many mean that hardly any request is left to find
    while len(found) < wanted and misses < 500:
        request = draw(kind, rng, world, kept_back=held_out, scale=scale)
        misses = misses + 1 if (request.system, request.text) in found else 0
        found.setdefault((request.system, request.text), request)
    if len(found) < wanted:
        raise ConfigError(
            f"the village has only {len(found)} different requests of kind {kind}, "
            f"{wanted} were asked for; ask for fewer"
        )
    return list(found.values())


def as_prompt(request: Request, name: str, *, held_out: bool) -> Prompt:
    """A request as the prompt of a run."""
    deserves = None
    if request.forbidden:
        deserves = False
    elif KINDS[request.kind].request_class in DESERVING:
        deserves = True
    return Prompt(
        id=f"{'held-out' if held_out else 'training'}-{name}",
        dialogue=request.dialogue,
        deserves_help=deserves,
        group=request.request_class,
        kind=request.reported_kind,
        held_out=held_out,
    )
