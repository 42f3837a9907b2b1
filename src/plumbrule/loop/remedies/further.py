"""Further requests, written where those that were given are too few to tell."""

from collections.abc import Sequence

from plumbrule.loop.remedies.ground import LoopPrompts, evenly, families_of
from plumbrule.loop.remedies.looking import ModelLooker
from plumbrule.records import Prompt
from plumbrule.store import derive_seed

LIKE = 24
"""Most requests whose sort is asked for."""

SPARE = 1.5
"""Times as many as are wanted that are asked for: some come twice, or were given already."""


def further_prompts(
    looker: ModelLooker, prompts: LoopPrompts, like: Sequence[Prompt]
) -> LoopPrompts:
    """Further requests of the sort of some, parted as the given ones are.

    None of them was given or trained on, and no paraphrase family both finds and proves, whether
    given or written.

    Args:
        looker: Asks whoever writes requests.
        prompts: Those that were given.
        like: Requests of the wanted sort.
    """
    wanted = looker.settings.most_further // 3
    like = evenly(like, LIKE, looker.settings.seed)
    new = _unknown(looker, prompts, like, 3 * wanted)
    sides: dict[str, list[Prompt]] = {"find": [], "prove": [], "teach": []}
    for prompt, side in zip(new, _sides(new, prompts, looker.settings.seed), strict=True):
        sides[side].append(prompt)
    return LoopPrompts(**{name: own[:wanted] for name, own in sides.items()})


def further_proofs(
    looker: ModelLooker, prompts: LoopPrompts, like: Sequence[Prompt], most: int
) -> list[Prompt]:
    """Further requests of the sort of some that no fault was found on and nothing learned from.

    Args:
        looker: Asks whoever writes requests.
        prompts: Those that were given.
        like: Requests of the wanted sort.
        most: How many are wanted.
    """
    like = evenly(like, LIKE, looker.settings.seed)
    new = _unknown(looker, prompts, like, 3 * most)
    found = [
        prompt
        for prompt, side in zip(new, _sides(new, prompts, looker.settings.seed), strict=True)
        if side == "prove"
    ]
    return found[:most]


def joined(prompts: LoopPrompts, more: LoopPrompts) -> LoopPrompts:
    """Given and further prompts together."""
    return LoopPrompts(
        teach=[*prompts.teach, *more.teach],
        find=[*prompts.find, *more.find],
        prove=[*prompts.prove, *more.prove],
    )


def _unknown(
    looker: ModelLooker, prompts: LoopPrompts, like: Sequence[Prompt], wanted: int
) -> list[Prompt]:
    """Requests that are neither given nor training examples."""
    if not like or not wanted:
        return []
    written = looker.ask(like, -(-round(SPARE * wanted) // len(like)))
    known = {each.dialogue for each in [*prompts.find, *prompts.prove, *prompts.teach]}
    known |= {each.dialogue for each in looker.ground.data}
    new = [each for each in written if each.dialogue not in known]
    return looker.ground.suspicions.free_of(new)


def _sides(new: Sequence[Prompt], prompts: LoopPrompts, seed: int) -> list[str]:
    """What each new request is for: what its family is for already, or by the family's name."""
    given = [
        *((each, "find") for each in prompts.find),
        *((each, "prove") for each in prompts.prove),
        *((each, "teach") for each in prompts.teach),
    ]
    families = families_of([*(each for each, _ in given), *new])
    known = dict(zip(families, (side for _, side in given), strict=False))
    names = ("find", "prove", "teach")
    return [
        known.get(family) or names[derive_seed(seed, "further", family) % 3]
        for family in families[len(given) :]
    ]
