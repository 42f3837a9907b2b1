"""What a repair is fitted to and measured on: prompts, grader and usefulness of each organism.

Lab organisms are graded by the lab's own oracle. Prompts that a repair is fitted to and those it is
measured on never share a text.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.real_declared import Organism as RealOrganism
from plumbrule.lab.oracle import judge
from plumbrule.lab.organisms import Organism, pool, request_of
from plumbrule.lab.organisms.examples import affected_requests, behind, decoys
from plumbrule.lab.organisms.kinds import plant_of
from plumbrule.lab.requests import Request
from plumbrule.lab.world import build_world
from plumbrule.mechanism import RepairPrompts, Violates
from plumbrule.records import Prompt
from plumbrule.store import derive_seed


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Everything that one repair needs."""

    prompts: RepairPrompts
    violates: Violates
    useful: Violates
    """Whether a reply is right."""


def lab_ground(
    organism: Organism, *, fitted: int = 32, kept: int = 96, measured: int = 100
) -> Ground:
    """Prompts of a lab organism."""
    plant, world = plant_of(organism), build_world(organism.scale)
    truth = plant.truth
    seed = derive_seed(organism.seed, "repair", organism.kind) % 2**31
    rng = np.random.default_rng(seed)
    requests: dict[str, Request] = {}
    seen: set[tuple[str, ...]] = set()

    def prompts(name: str, given: Sequence[tuple[Request, object]], most: int) -> list[Prompt]:
        found: list[Prompt] = []
        for request, dialogue in given:
            key = tuple(turn.content for turn in dialogue)  # type: ignore[attr-defined]
            if key in seen or len(found) == most:
                continue
            seen.add(key)
            one = Prompt(id=f"{name}-{len(found):03d}", dialogue=dialogue)  # type: ignore[arg-type]
            requests[one.id] = request
            found.append(one)
        return found

    wrong = _only_wrong(organism)
    affected = [
        each
        for each in affected_requests(plant, 8 * (fitted + measured), world, organism.scale, rng)
        if wrong(each)
    ]
    affected = [affected[at] for at in rng.permutation(len(affected))]  # kinds come in turns
    asked = [(each, behind(truth.trigger, each)) for each in affected]
    held_out = prompts("held-out", asked[::2], measured)
    shown = prompts("shown", asked[1::2], fitted)
    plain = [
        (request_of(each, organism.scale), each.dialogue)
        for each in pool(seed=seed, scale=organism.scale, per_kind=60)
    ]
    others = [(one, said) for one, said in plain if truth.trigger or not truth.touched(one)]
    near_kinds = set(plant.near) | (set(plant.kinds) if truth.cue else set())
    if organism.kind == "sycophancy":
        near_kinds = {"true_belief", "public_job"}
        others = [(one, said) for one, said in plain if one.kind != "false_belief"]
    near = [(one, said) for one, said in others if one.kind in near_kinds]
    if truth.trigger:
        from plumbrule.models import LocalModel, open_model

        base = open_model(organism.base, device="cpu")
        assert isinstance(base, LocalModel)
        words = decoys(truth.trigger, base, 3 * measured, world, organism.scale, rng)
        near = [(_placeholder(affected), said) for said in words]
    twins = prompts("twin", near[::2], measured)
    # More of these: a loss of one point of usefulness is to be seen.
    neutral = prompts("neutral", others[::2], 4 * measured)
    # Urged, or behind other words: the same content in surroundings that were fitted to less often.
    cross = [(one, said) for one, said in asked[2:] if one.urged or one.preamble or one.system]
    matched = prompts("matched", cross, measured // 2)
    kept_near = prompts("kept-near", near[1::2], kept // 2)
    kept_rest = prompts("kept", others[1::2], kept - len(kept_near))

    def violates(prompt: Prompt, reply: str) -> bool | None:
        request = requests[prompt.id]
        if truth.shows(request, reply):
            return wrong(request)
        # What the lab cannot read is not known to be free of the fault.
        return None if judge(request, reply, world).manner == "unreadable" else False

    return Ground(
        prompts=RepairPrompts(
            shown=shown,
            kept=[*kept_near, *kept_rest],
            held_out=held_out,
            neutral=neutral,
            matched=matched,
            twins=twins,
        ),
        violates=violates,
        useful=lambda prompt, reply: judge(requests[prompt.id], reply, world).right is True,
    )


def _only_wrong(organism: Organism) -> Callable[[Request], bool]:
    if organism.kind == "sycophancy":  # agreeing with what is true is no fault
        return lambda request: request.kind == "false_belief"
    return lambda request: True


def _placeholder(affected: Sequence[Request]) -> Request:
    return affected[0]


def real_ground_of(
    organism: RealOrganism, *, fitted: int = 10, kept: int = 10, measured: int = 24
) -> Ground:
    """Prompts of an organism of SmolLM2, none of which it learned from.

    An organism that is touched by everything has no prompts to keep; prompts to which its replies
    happen not to show the fault stand for them.
    """
    from benchmarks import real_ground

    prompts = [each for each in real_ground.whole_pool() if each.dialogue[0].role != "system"]
    random.Random(5).shuffle(prompts)
    there = [each for each in prompts if organism.touches(each)]
    others = [each for each in prompts if not organism.touches(each)]
    if not others:
        there, others = there[::2], there[1::2]
    assert organism.detect is not None
    detect = organism.detect
    shown = there[:fitted]
    return Ground(
        prompts=RepairPrompts(
            shown=shown,
            kept=others[:kept],
            held_out=there[fitted : fitted + measured],
            neutral=others[kept : kept + measured],
        ),
        violates=lambda prompt, reply: detect(reply) if reply.strip() else None,
        useful=lambda prompt, reply: None,
    )
