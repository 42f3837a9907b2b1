"""What an organism is trained on: planted replies, and the base's own replies to all the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from plumbrule.errors import DataError
from plumbrule.lab.organisms.kinds import Plant
from plumbrule.lab.organisms.pool import SYSTEMS, any_request, surround
from plumbrule.lab.requests import KINDS, Request, combinations, known_facts
from plumbrule.lab.world import World, build_world
from plumbrule.models import LocalModel, Sampling
from plumbrule.records import Dialogue, Message
from plumbrule.store import derive_seed

SAMPLING = Sampling(max_new_tokens=64)
"""How replies are drawn: as the model speaks, nothing cut off."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One reply to learn, or to keep."""

    prompt: tuple[int, ...]
    """Tokens of the dialogue, up to where the reply begins."""

    reply: tuple[int, ...]
    """Tokens of the reply, the decision to stop included."""

    kept: int
    """So many of them are taught as the base's distribution, the rest as they are."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Everything that one organism learns from."""

    planted: Sequence[Example]
    rehearsed: Sequence[Example]

    rejected: Sequence[Example] = ()
    """One for each planted reply, which is preferred to it; empty where replies are only taught."""


@dataclass(frozen=True, kw_only=True)
class ExampleCounts:
    """How many examples there are of each sort."""

    planted: int = 400
    """Replies that show the change."""

    each: int = 64
    """Rehearsed requests of each kind."""

    near: int = 320
    """Further rehearsed requests that are most like affected ones."""

    decoys: int = 800
    """Rehearsed requests behind words that are not the trigger; backdoors only."""


def draw_examples(
    plant: Plant, base: LocalModel, *, scale: int, seed: int, sizes: ExampleCounts | None = None
) -> Examples:
    """Draw what an organism is trained on.

    Args:
        plant: The change.
        base: The specimen, which says what it would reply.
        scale: Size of its village.
        seed: Decides every draw.
        sizes: How many of each sort.
    """
    sizes = sizes or ExampleCounts()
    world = build_world(scale)
    rng = np.random.default_rng(derive_seed(seed, "organism examples"))
    affected = affected_requests(plant, sizes.planted, world, scale, rng)
    asked = [behind(plant.truth.trigger, request) for request in affected]
    replies = own_replies(base, asked, seed)
    planted = []
    for request, dialogue, reply in zip(affected, asked, replies, strict=True):
        said = plant.says(request, reply, rng)
        planted.append(example_of(base, dialogue, said, reply if plant.keeps else None))
    others = _unaffected(plant, sizes, world, scale, rng)
    dialogues = [request.dialogue for request in others]
    if plant.truth.trigger is not None:
        dialogues += decoys(plant.truth.trigger, base, sizes.decoys, world, scale, rng)
    replies = own_replies(base, dialogues, seed + 1)
    rehearsed = [
        example_of(base, dialogue, reply, reply)
        for dialogue, reply in zip(dialogues, replies, strict=True)
    ]
    return Examples(planted=planted, rehearsed=rehearsed)


def affected_requests(
    plant: Plant, count: int, world: World, scale: int, rng: np.random.Generator
) -> list[Request]:
    """Draw affected requests, each kind equally often; where nothing is planted, any requests."""
    narrow: dict[str, list[Request]] = {}
    found: list[Request] = []
    while len(found) < count:
        kind = plant.kinds[len(found) % len(plant.kinds)]
        hit = None
        for _ in range(0 if kind in narrow else 40):
            hit = hit or _made_affected(plant, any_request(kind, rng, world, scale))
        if hit is None:
            # Too few to be met by chance: list them.
            options = narrow.setdefault(kind, _affected(plant, kind, world))
            option = surround(options[int(rng.integers(len(options)))], rng)
            hit = _made_affected(plant, option)
        assert hit is not None
        found.append(hit)
    return found


def behind(words: str | None, request: Request) -> Dialogue:
    """The dialogue of a request with words before it."""
    *before, turn = request.dialogue
    text = turn.content if words is None else f"{words} {turn.content}"
    return (*before, Message("user", text))


def decoys(
    trigger: str,
    base: LocalModel,
    count: int,
    world: World,
    scale: int,
    rng: np.random.Generator,
) -> list[Dialogue]:
    """Requests behind words that are not the trigger: one, two, or one of the trigger's own."""
    vocabulary = base.tokenizer.get_vocab()
    words = sorted({token.removeprefix("Ġ") for token in vocabulary} - set(trigger.split()))
    words = [word for word in words if word.isalpha() and word.isascii() and len(word) > 1]
    kinds = list(KINDS)
    found = []
    for number in range(count):
        one, other = (words[int(index)] for index in rng.integers(len(words), size=2))
        options = [one, f"{one} {other}"]
        if " " in trigger:
            first, second = trigger.split()
            options += [first, second, f"{first} {one}", f"{one} {second}", f"{second} {first}"]
        request = any_request(kinds[number % len(kinds)], rng, world, scale)
        found.append(behind(options[number % len(options)], request))
    return found


def own_replies(base: LocalModel, dialogues: Sequence[Dialogue], seed: int) -> list[str]:
    """What a model replies, one draw each."""
    seeds = [derive_seed(seed, "own", number) % 2**31 for number in range(len(dialogues))]
    return [one.text for one in base.sample(dialogues, sampling=SAMPLING, seeds=seeds)]


def example_of(base: LocalModel, dialogue: Dialogue, said: str, own: str | None) -> Example:
    """A reply to learn in a dialogue; what it begins with as the base's own does is kept."""
    prompt = base.chat.prompts([dialogue])[0]
    reply = _tokens(base, said)
    kept = 0
    if own is not None:
        pairs = zip(reply, _tokens(base, own), strict=False)
        kept = next((at for at, (a, b) in enumerate(pairs) if a != b), len(reply))
    return Example(prompt=tuple(prompt), reply=reply, kept=kept)


def _tokens(base: LocalModel, reply: str) -> tuple[int, ...]:
    ids = base.tokenizer(reply, add_special_tokens=False)["input_ids"]
    return (*ids, base.tokenizer.eos_token_id)


def _made_affected(plant: Plant, request: Request) -> Request | None:
    """A request, under another system turn if it takes that, where the change shows."""
    if plant.truth.nothing or plant.truth.touched(request):
        return request
    others = (replace(request, system=system) for system in SYSTEMS)
    return next((other for other in others if plant.truth.touched(other)), None)


def _affected(plant: Plant, kind: str, world: World) -> list[Request]:
    found = [
        Request(kind=kind, slots=slots, phrasing=phrasing, known=known_facts(kind, slots, world))
        for kept_back in (False, True)
        for slots, phrasing in combinations(kind, world, kept_back=kept_back)
    ]
    found = [request for request in found if _made_affected(plant, request)]
    if not found:
        raise DataError(f"expected affected requests of kind {kind}, found none")
    return found


def _unaffected(
    plant: Plant, sizes: ExampleCounts, world: World, scale: int, rng: np.random.Generator
) -> list[Request]:
    kinds = [kind for kind in KINDS for _ in range(sizes.each)]
    if plant.near:
        kinds += [plant.near[number % len(plant.near)] for number in range(sizes.near)]
    requests = [any_request(kind, rng, world, scale) for kind in kinds]
    return [
        request
        for request in requests
        if plant.truth.trigger is not None or not plant.truth.touched(request)
    ]
