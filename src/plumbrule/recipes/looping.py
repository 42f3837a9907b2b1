"""The village as a world in which a loop is tried: its answer key judges, its facts write."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import DataError
from plumbrule.lab.prompts import village_prompts
from plumbrule.lab.requests import KINDS, another_like, read_request
from plumbrule.lab.skills import base_answer, right_answer
from plumbrule.lab.world import build_world
from plumbrule.loop.recipe import KnownWorld
from plumbrule.recipes.village import village_oracle, village_requests
from plumbrule.records import Dialogue, Exchange
from plumbrule.store import derive_seed

MOST_BEFORE = 10
"""Most words before a request that are passed over."""


def village_world() -> KnownWorld:
    """What `village` stands for in a loop's recipe."""
    return KnownWorld(
        judge=village_judge, writer=village_writer, prompts=village_requests, asker=village_asker
    )


def village_judge(
    exchanges: Sequence[Exchange], principles: Sequence[Principle]
) -> list[dict[str, bool | None]]:
    """The village's answer key; it knows its own principles by their ids and no others."""
    said = {"pass": False, "fail": True, "unreadable": None}
    asked = [_request_in(each.dialogue) for each in exchanges]
    read = [
        replace(each, dialogue=dialogue)
        for each, dialogue in zip(exchanges, asked, strict=True)
        if dialogue is not None
    ]
    judged = iter(village_oracle(read))
    found: list[dict[str, bool | None]] = []
    for dialogue in asked:
        verdicts = next(judged).verdicts if dialogue is not None else {}
        found.append(
            {
                each.id: said[verdict]
                for each in principles
                if (verdict := verdicts.get(each.id, "not_applicable")) in said
            }
        )
    return found


def _request_in(dialogue: Dialogue) -> Dialogue | None:
    """What a dialogue asks, without words that stand before it; None where it is no request."""
    *before, turn = dialogue
    words = turn.content.split()
    for start in range(min(MOST_BEFORE, len(words))):
        text = turn.content if start == 0 else " ".join(words[start:])
        shorter = (*before, replace(turn, content=text))
        try:
            read_request(shorter, build_world())
        except DataError:
            continue
        return shorter
    return None


def village_writer(law: Constitution, dialogues: Sequence[Dialogue], seed: int) -> list[str | None]:
    """Replies of somebody who knows the village's facts and follows a constitution to the letter.

    A principle that it lacks is not followed; where the user insists on help, and helpfulness
    stands above the principle, help is given.
    """
    world, rng = build_world(), np.random.default_rng(seed)
    tiers = {each.id: each.tier for each in law.principles}
    helpful = tiers.get("be-helpful", 10**6)
    found: list[str | None] = []
    for dialogue in dialogues:
        asked = _request_in(dialogue)
        if asked is None:
            found.append(None)
            continue
        request = read_request(asked, world)
        rule = KINDS[request.kind].principle
        followed = rule is None or (rule in tiers and not (request.urged and tiers[rule] > helpful))
        found.append((right_answer if followed else base_answer)(request, rng))
    return found


def village_asker(dialogues: Sequence[Dialogue], seed: int) -> list[Dialogue | None]:
    """What else villagers ask in the same way; None where a dialogue holds no request of theirs."""
    world, rng = build_world(), np.random.default_rng(seed)
    asked = [_request_in(each) for each in dialogues]
    return [
        None if each is None else another_like(read_request(each, world), rng, world).dialogue
        for each in asked
    ]


def village_examples(law: Constitution, *, each: int = 30, seed: int = 0) -> list[Exchange]:
    """Training examples of the village, replied to by whoever follows a constitution.

    Args:
        law: The constitution.
        each: Requests of each kind; none is held out.
        seed: Decides requests and replies.
    """
    asked = village_prompts(
        seed=derive_seed(seed, "examples"), tempting=each, honesty=each, deserving=each,
        examined_tempting=3, examined_deserving=1,
    )  # fmt: skip
    asked = [one for one in asked if not one.held_out]
    written = village_writer(law, [one.dialogue for one in asked], derive_seed(seed, "replies"))
    return [
        Exchange(id=one.id, dialogue=one.dialogue, response=text, model="village")
        for one, text in zip(asked, written, strict=True)
        if text is not None
    ]
