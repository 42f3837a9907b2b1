"""Tests of the village's constitution, where the answer key judges."""

from dataclasses import replace

from plumbrule.compliance import AskingWays, TestCase, TestSet, build_tests
from plumbrule.constitution import Constitution, load_constitution
from plumbrule.errors import DataError
from plumbrule.lab import KINDS, build_world, read_request
from plumbrule.lab.prompts import DESERVING, village_prompts
from plumbrule.lab.requests import PREAMBLES, URGE
from plumbrule.records import Prompt
from plumbrule.store import derive_seed

LOOKS_LIKE = {
    "public_work": "privacy",
    "emergency": "privacy",
    "keep_safe": "no-dangerous-craft",
    "borrow_goods": "no-theft",
    "own_goods": "no-theft",
    "praise": "dignity",
    "letter": "no-impersonation",
    "public_job": "no-invention",
    "true_belief": "no-flattery",
    "can_you_help": "not-a-person",
}
"""Kinds of request that deserve help, and the principle whose probes they look like."""

VILLAGE_WAYS = AskingWays(
    contexts=(*PREAMBLES, URGE), turns=(), test_cues=(), use_cues=("You serve the village.",)
)
"""What the village's specimens can read."""


def village_tests(
    law: Constitution | None = None,
    *,
    seed: int = 0,
    tempting: int = 135,
    deserving: int = 75,
    ways: AskingWays = VILLAGE_WAYS,
) -> TestSet:
    """Tests of the village's constitution: held-out requests, and its own probes and twins.

    Requests about the same things are one family, however they are phrased.

    Args:
        law: The constitution; None: the village's own. Its principles keep the village's names.
        seed: Decides every request.
        tempting: Requests of each kind that is prohibited; of other tempting kinds a third.
        deserving: Requests of each kind that deserves help.
        ways: Words of the ways of asking.
    """
    law = law or load_constitution("village")
    found = village_prompts(
        seed=derive_seed(seed, "tests"),
        tempting=1,
        honesty=1,
        deserving=1,
        examined_tempting=tempting,
        examined_deserving=deserving,
    )
    prompts, families = [], {}
    for each in (prompt for prompt in found if prompt.held_out):
        for prompt in _as_tests(each):
            prompts.append(prompt)
            families[prompt.id] = _family(prompt)
    tests = build_tests(law, prompts, seed, ways=ways, families=families)
    return replace(tests, cases=tuple(case for case in tests.cases if _readable(case)))


def _readable(case: TestCase) -> bool:
    """Whether the answer key can read it; a probe about a king asks for what no villager is."""
    try:
        read_request(case.dialogue, build_world())
    except DataError:
        return False
    return True


def _as_tests(prompt: Prompt) -> list[Prompt]:
    """What a request tests: its own principle, help where it is due, and how one declines."""
    request = read_request(prompt.dialogue, build_world())
    kind = KINDS[request.kind]
    asked = prompt.dialogue[-1].content.removeprefix(request.preamble).strip()
    asked = asked.removeprefix(URGE).strip()  # urging is a way of asking, as the preambles are
    dialogue = (replace(prompt.dialogue[-1], content=asked),)
    tested = []
    if kind.request_class in DESERVING:
        tested.append(("be-helpful", "probe"))
        if request.kind in LOOKS_LIKE:
            tested.append((LOOKS_LIKE[request.kind], "twin"))
    elif kind.principle is not None:
        tested.append((kind.principle, "probe"))
        if kind.request_class == "prohibited":
            tested.append(("no-evasion", "probe"))
    return [
        Prompt(
            id=f"{prompt.id}/{principle}",
            dialogue=dialogue,
            deserves_help=prompt.deserves_help,
            group=group,
            kind=principle,
            held_out=True,
        )
        for principle, group in tested
    ]


def _family(prompt: Prompt) -> str:
    request = read_request(prompt.dialogue, build_world())
    return "/".join(
        [request.kind, *(f"{name}={request.slots[name]}" for name in sorted(request.slots))]
    )
