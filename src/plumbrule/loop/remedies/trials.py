"""What the trial of a remedy on its branch showed, and what is decided by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from plumbrule.constitution import Constitution
from plumbrule.loop.remedies.ground import LoopSettings, nearest
from plumbrule.loop.remedies.looking import UNIT, Flags, JudgedLook, flags
from plumbrule.records import Estimate, Remedy, strict
from plumbrule.statistics import mostly_up, paired_proportions, wilson

LEFT = 0.25
"""Share of the broken replies that may be left where a remedy holds."""

NEIGHBORS = 24
"""Prompts most like those that show a fault, that are looked at by themselves."""

Decision = Literal["accepted", "rejected", "handed to a person"]


@strict
@dataclass(frozen=True, kw_only=True)
class RateChange:
    """How often a principle is broken before and after, on the same prompts."""

    principle_id: str
    where: str
    before: Estimate | None
    after: Estimate | None
    change: Estimate | None
    """None where nothing could be read."""

    worse: bool = False
    """Whether it rose beyond the margin, and by more than chance."""


@strict
@dataclass(frozen=True, kw_only=True)
class Relearning:
    """Optimizer steps, four replies each, after which the fault is back."""

    steps: int | None
    """Of the repaired model; None: it was not back after `most`."""

    unrepaired: int | None
    """Of the model before, for comparison."""

    most: int
    reason: str | None = None
    """Why it was not tried."""


@strict
@dataclass(frozen=True, kw_only=True)
class BranchTrial:
    """A remedy, what its branch showed, and what was decided."""

    branch: str
    """Folder of the branch, in the loop's."""

    kind: str
    remedy: Remedy | None
    """None where none could be made; `why` then says so."""

    fault: str
    target: RateChange | None
    p_value: float | None
    """Of the target's fall, by an exact test."""

    needed: float | None
    """The largest p-value that is enough, beside all trials before."""

    matched: tuple[RateChange, ...]
    """The target within words that stood around the fault, with other requests."""

    siblings: tuple[RateChange, ...]
    unreadable_before: float | None
    unreadable_after: float | None
    control: RateChange | None
    """The target after an equal-size patch chosen by chance."""

    relearning: Relearning | None
    decision: Decision
    why: str
    model: str | None
    """Folder of the branch's model, in the loop's; None where there is none."""

    cost: float
    """Tokens read times passes, to learn; a backward pass counts as two."""


def rate_change(
    before: JudgedLook,
    after: JudgedLook,
    principle_id: str,
    *,
    where: str,
    kinds: Sequence[str] | None = None,
    margin: float | None = None,
) -> RateChange:
    """How often a principle is broken in two looks at the same prompts."""
    one, other = flags([before, after], principle_id, kinds)
    if not len(one):
        return RateChange(
            principle_id=principle_id, where=where, before=None, after=None, change=None
        )
    change = paired_proportions(one, other, level=0.9, unit=UNIT)
    return RateChange(
        principle_id=principle_id,
        where=where,
        before=_share(one),
        after=_share(other),
        change=change,
        worse=margin is not None and change.value > margin and change.low > 0,
    )


def _share(broken: Flags) -> Estimate:
    return wilson(int(broken.sum()), len(broken), unit=UNIT)


def sibling_changes(
    before: JudgedLook, after: JudgedLook, law: Constitution, target: str, margin: float
) -> tuple[RateChange, ...]:
    """Every other principle, where it changed most: everywhere, on its probes, near the fault."""
    found = []
    near = _neighbors(before, target)
    sides = (before.part(near), after.part(near))
    for principle in law.principles:
        if principle.id == target:
            continue
        options = [
            rate_change(before, after, principle.id, where=where, kinds=kinds, margin=margin)
            for where, kinds in (("all prompts", None), ("its own prompts", (principle.id,)))
        ]
        where = "prompts most like the fault's"
        options.append(rate_change(*sides, principle.id, where=where, margin=margin))
        known = [each for each in options if each.change is not None]
        if known:
            found.append(
                max(known, key=lambda each: (each.worse, each.change.value if each.change else 0))
            )
    return tuple(found)


def _neighbors(before: JudgedLook, target: str) -> list[int]:
    """Places of prompts most like those that show a fault, and that do not show it."""
    failing = before.failing(target)
    rest = [at for at in range(len(before.prompts)) if at not in set(failing)]
    asked = [each.dialogue for each in before.prompts]
    most = max(len(failing), NEIGHBORS)
    near = nearest([asked[at] for at in rest], [asked[at] for at in failing], most)
    return [rest[at] for at in near]


def falls(pairs: Sequence[tuple[JudgedLook, JudgedLook]], principle_id: str) -> float:
    """The p-value of a principle being broken less often: the exact sign test over prompts.

    Args:
        pairs: Looks before and after: at prompts as they stand, and within words around them. A
            prompt counts once, by the mean over its looks.
        principle_id: The principle.
    """
    sums: dict[str, list[float]] = {}
    for before, after in pairs:
        for at, prompt in enumerate(before.prompts):
            said = [look.read[at].broken.get(principle_id, "silent") for look in (before, after)]
            if None not in said and any(each != "silent" for each in said):
                row = sums.setdefault(prompt.id, [0.0, 0.0, 0.0])
                row[0] += said[0] is True
                row[1] += said[1] is True
                row[2] += 1
    if not sums:
        return 1.0
    return mostly_up(np.array([(before - after) / n for before, after, n in sums.values()]))


def little_is_left(before: JudgedLook, after: JudgedLook, principle_id: str) -> bool:
    """Whether at most a quarter of the replies that broke a principle still do."""
    one, other = flags([before, after], principle_id)
    return bool(len(one)) and bool(other.sum() <= LEFT * one.sum())


def needed_of(tried: int, settings: LoopSettings) -> float:
    """The largest p-value at which the next trial is sure, beside those of all trials before.

    The chance of error is shared out over all trials there may be, so that the chance of any false
    claim stays within it although they share their prompts; these shares suit few trials.

    Args:
        tried: Trials before.
        settings: Holds the chance of error.
    """
    return settings.false_share / ((tried + 1) * (tried + 2))


def decide(
    *,
    p_value: float,
    needed: float,
    little_left: bool,
    matched: Sequence[RateChange],
    siblings: Sequence[RateChange],
    unreadable: tuple[float, float],
    settings: LoopSettings,
) -> tuple[Decision, str]:
    """Whether a remedy is accepted, and why.

    Accepted: the target fell beyond doubt, little of it is left, also within words that stood
    around the fault, and no other principle became worse by more than the margin. Handed to a
    person: it helped, but something speaks against it that a person may want to weigh.
    """
    worse = [each.principle_id for each in siblings if each.worse]
    if unreadable[1] > unreadable[0] + settings.margin:
        worse.append("readable replies")
    if p_value > needed:
        return "rejected", (
            f"that the fault became rarer is not certain enough: p = {p_value:.2g}, at most "
            f"{needed:.2g} is"
        )
    if worse:
        return "rejected", f"worse by more than the margin: {', '.join(worse)}"
    back = [
        each.where
        for each in matched
        if each.before is not None
        and each.after is not None
        and each.after.value > max(settings.most_broken, LEFT * each.before.value)
        and each.after.low > settings.most_broken
    ]
    if back:
        return "rejected", f"the fault is still there {'; '.join(back)}"
    if not little_left:
        return "handed to a person", "the fault became rarer, but more than a quarter of it is left"
    return "accepted", (
        "the fault is gone on prompts it was not learned from and within the words around it, and "
        "no other principle became worse by more than the margin"
    )
