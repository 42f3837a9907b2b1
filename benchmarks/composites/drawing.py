"""Draws composite works with known flaws: wrong answers, or answers that are wrong together."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

import numpy as np

from benchmarks.composites.works import PATTERNS, Composite, Interaction, judge_composite
from plumbrule.errors import DataError
from plumbrule.lab.oracle import judge
from plumbrule.lab.requests import KINDS, Request, combinations, draw, known_facts
from plumbrule.lab.skills import right_answer, say, some_answer
from plumbrule.lab.text import REPLIES, SLOT
from plumbrule.lab.world import World, build_world

ASKED = (
    "private_sleep", "private_debt", "insult", "take_goods",
    "public_job", "public_work", "praise", "borrow_goods", "own_goods", "emergency",
)  # fmt: skip
"""Kinds of request in a composite: prohibited ones, and ones that sound like them and are not."""

Flaw = Literal["act", "astray", "fact"]
"""What is wrong with an answer: it does not what is due (declines without a reason, objects to what
is harmless, helps with what is not), it answers another request, or it misstates a fact or name."""

LONGEST_SEARCH = 1000
"""Draws after which a wrong answer or an interaction counts as impossible."""


def draw_composite(
    rng: np.random.Generator,
    world: World,
    *,
    parts: int = 6,
    wrong: int = 0,
    flaws: Sequence[Flaw] = ("act", "astray"),
    kinds: Sequence[str] = ASKED,
    planted: Interaction | None = None,
    beside: Interaction | None = None,
    kept_back: bool = False,
) -> Composite:
    """Draw a composite request with a reply of known flaws.

    Args:
        rng: Decides all.
        world: What is so.
        parts: Requests in it.
        wrong: Answers that are wrong.
        flaws: Ways in which they may be.
        kinds: Kinds of request to draw from, beside those of an interaction.
        planted: An interaction to plant among right answers.
        beside: Kinds of request of that interaction, about different people or things, so that
            nothing is wrong with them: what a look at the kinds alone mistakes for the flaw.
        kept_back: Draw from the requests that specimens have not seen.

    Raises:
        DataError: More flaws than parts, or both an interaction and its harmless twin.
    """
    if not 0 <= wrong <= parts or (planted and beside):
        raise DataError(
            f"expected 0 to {parts} wrong answers and an interaction or its harmless twin, got "
            f"{wrong}, {planted} and {beside}"
        )
    for _ in range(LONGEST_SEARCH):
        requests = _requests(
            rng,
            world,
            parts,
            kinds=kinds,
            pattern=planted or beside,
            together=planted is not None,
            kept_back=kept_back,
        )
        flawed = set(rng.choice(parts, size=wrong, replace=False).tolist())
        answers = [
            wrong_answer(request, rng, world, flaws=flaws)
            if index in flawed
            else right_answer(request, rng)
            for index, request in enumerate(requests)
        ]
        work = Composite(requests=tuple(requests), answers=tuple(answers))
        found = judge_composite(work.requests, work.reply, world)
        wanted = {planted} if planted else set()
        if found.interactions == wanted and found.parts.count(False) == wrong:
            return work
    raise DataError(
        f"no reply with {wrong} wrong answers of {parts} and {planted or 'no interaction'} came up "
        f"in {LONGEST_SEARCH} draws; ask for fewer flaws or more parts"
    )


def wrong_answer(
    request: Request,
    rng: np.random.Generator,
    world: World,
    *,
    flaws: Sequence[Flaw] = ("act", "astray"),
) -> str:
    """A readable answer that is wrong in one of a few ways, each equally often where it can be.

    Raises:
        DataError: None came up, which no kind of the village's causes.
    """
    for _ in range(LONGEST_SEARCH):
        flaw = flaws[int(rng.integers(len(flaws)))]
        if flaw == "act":
            answer = some_answer(request, rng)
        elif flaw == "astray":
            kind = ASKED[int(rng.integers(len(ASKED)))]
            answer = right_answer(draw(kind, rng, world, plain=True), rng)
        else:
            answer = _misstated(request, rng, world)
        if judge(request, answer, world).right is False:
            return answer
    raise DataError(f"no wrong answer to {request.text!r} came up in {LONGEST_SEARCH} draws")


def _misstated(request: Request, rng: np.random.Generator, world: World) -> str:
    """The act that is due, with one of its facts or names replaced."""
    act = KINDS[request.kind].right
    slots = {**request.slots, **request.known}
    said = sorted({name for form in REPLIES[act] for name in SLOT.findall(form.text)} & set(slots))
    if said:
        name = said[int(rng.integers(len(said)))]
        fillers = world.vocabulary()[name]
        slots[name] = fillers[int(rng.integers(len(fillers)))]
    return say(act, request, rng, known=slots)


def _requests(
    rng: np.random.Generator,
    world: World,
    parts: int,
    *,
    kinds: Sequence[str],
    pattern: Interaction | None,
    together: bool,
    kept_back: bool,
) -> list[Request]:
    """Requests of any kind in any order, those of a pattern among them."""
    drawn = list(PATTERNS[pattern]) if pattern else []
    if pattern == "break_in" and not together:
        drawn = [drawn[int(rng.integers(2))]] * 2  # one of both, twice
    drawn += rng.choice(list(kinds), size=max(0, parts - len(drawn))).tolist()
    requests = [_draw(kind, {}, rng, world, kept_back) for kind in drawn[:parts]]
    if pattern in ("dossier", "two_owners") and together:
        first = requests[0].slots
        shared = {name: first[name] for name in ("person", "good") if name in first}
        for index in range(1, min(parts, len(PATTERNS[pattern]))):
            requests[index] = _draw(drawn[index], shared, rng, world, kept_back)
    return [requests[index] for index in rng.permutation(parts)]


def _draw(
    kind: str, wanted: Mapping[str, str], rng: np.random.Generator, world: World, kept_back: bool
) -> Request:
    """A request of a kind about something given; about anything where there is no such request."""
    pool = _pool(kind, kept_back)
    fitting = [each for each in pool if wanted.items() <= each[0].items()] if wanted else pool
    slots, phrasing = (fitting or pool)[int(rng.integers(len(fitting or pool)))]
    return Request(kind=kind, slots=slots, phrasing=phrasing, known=known_facts(kind, slots, world))


@cache
def _pool(kind: str, kept_back: bool) -> tuple[tuple[dict[str, str], int], ...]:
    return tuple(combinations(kind, build_world(), kept_back=kept_back))
