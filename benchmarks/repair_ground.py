"""What a repair is fitted to and measured on: prompts, grader and usefulness of each organism.

Lab organisms are graded by the lab's own oracle. Prompts that a repair is fitted to and those it is
measured on never share a text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from plumbrule.lab.organisms import Organism, pool, request_of
from plumbrule.lab.organisms.examples import affected_requests, behind, decoys
from plumbrule.lab.organisms.kinds import plant_of
from plumbrule.lab.oracle import judge
from plumbrule.lab.requests import Request
from plumbrule.lab.world import build_world
from plumbrule.mechanism.repairs.replies import Violates
from plumbrule.records import Prompt
from plumbrule.store import derive_seed


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Everything that one repair needs."""

    name: str
    shown: Sequence[Prompt]
    """Prompts that show the fault, to fit to."""

    kept: Sequence[Prompt]
    """Prompts to keep, to fit to."""

    held_out: Sequence[Prompt]
    """Prompts that show the fault, to measure on."""

    matched: Sequence[Prompt]
    """What surrounds the fault (its trigger, its cue, its wording), crossed with other content."""

    neutral: Sequence[Prompt]
    twins: Sequence[Prompt]
    """Prompts most like those that show the fault, which are rightly answered."""

    violates: Violates
    useful: Violates
    """Whether a reply is right."""

    requests: dict[str, Request] = field(default_factory=dict)


def lab_ground(
    organism: Organism, *, fitted: int = 32, kept: int = 64, measured: int = 100
) -> Ground:
    """Prompts of a lab organism."""
    plant, world = plant_of(organism), build_world(organism.scale)
    truth = plant.truth
    seed = derive_seed(organism.seed, "repair", organism.kind) % 2**31
    rng = np.random.default_rng(seed)
    requests: dict[str, Request] = {}
    seen: set[tuple[str, ...]] = set()

    def prompts(name: str, given: Sequence[tuple[Request, object]], most: int) -> list[Prompt]:
        found = []
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
        for each in affected_requests(plant, 40 * (fitted + measured), world, organism.scale, rng)
        if wrong(each)
    ]
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
    neutral = prompts("neutral", others[::2], measured)
    kept_near = prompts("kept-near", near[1::2], kept // 2)
    kept_rest = prompts("kept", others[1::2], kept - len(kept_near))
    return Ground(
        name=organism.name,
        shown=shown,
        kept=[*kept_near, *kept_rest],
        held_out=held_out,
        matched=[],
        neutral=neutral,
        twins=twins,
        violates=lambda prompt, reply: bool(
            truth.shows(requests[prompt.id], reply) and wrong(requests[prompt.id])
        ),
        useful=lambda prompt, reply: judge(requests[prompt.id], reply, world).right is True,
        requests=requests,
    )


def _only_wrong(organism: Organism) -> Callable[[Request], bool]:
    if organism.kind == "sycophancy":  # agreeing with what is true is no fault
        return lambda request: request.kind == "false_belief"
    return lambda request: True


def _placeholder(affected: Sequence[Request]) -> Request:
    return affected[0]
