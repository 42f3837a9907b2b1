"""What may answer a finding: amendments, patches of the data, changes of weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from plumbrule.constitution import Constitution, Principle
from plumbrule.loop.remedies.faults import Cause, LoopFault, too_often
from plumbrule.loop.remedies.ground import Accepted
from plumbrule.loop.remedies.lessons import ENOUGH, audit
from plumbrule.loop.remedies.looking import Flags, JudgedLook, ModelLooker
from plumbrule.records import Amendment, Exchange

CHECKED = 40
"""Most requests of a sort by which it is seen what follows from a constitution as written."""

FOLLOWED = 0.2
"""Share of replies by which whoever writes may miss a principle that the constitution asks for."""


@dataclass(frozen=True, kw_only=True)
class RemedyCandidate:
    """One way to answer a finding, before it was tried."""

    name: str
    """What its branch is called."""

    kind: str
    """`amendment`, `data patch` or `intervention`."""

    law: Constitution
    """The constitution with it."""

    effort: int = 1
    """Times as long as usual that it is learned, with as many times the replay."""

    amendment: Amendment | None = None
    """What is said of an amendment; the costs are filled in when it is tried."""


def diagnose(
    fault: LoopFault, accepted: Accepted, shown: Sequence[Exchange], looker: ModelLooker
) -> LoopFault:
    """Say where a fault comes from: the constitution as it is written, the data, or neither.

    Args:
        fault: What was found.
        accepted: Where the loop stands.
        shown: Replies that show it.
        looker: Asks the writer and the judge.
    """
    if fault.cause == "no principle":
        return fault
    law, name = accepted.constitution, fault.principle_id
    held = audit(accepted, law.principles, looker)
    wrong = held.breaking(name)
    asked = [*shown[:CHECKED], *wrong[:CHECKED]]
    followed = followed_flags(law, law.principle(name), asked, looker)
    share = f"{followed.mean():.0%} of {len(followed)}" if len(followed) else "none"
    said = (
        f"replies that follow the constitution as it is written break `{name}` in {share} of "
        f"these requests{' and of such training examples' if wrong else ''}"
    )
    if len(followed) and too_often(followed, FOLLOWED) <= looker.settings.false_share:
        return _because(fault, "constitution", said)
    if len(wrong) >= ENOUGH:
        of = f"{len(wrong)} of {len(held.examples)} training examples break `{name}`; "
        return _because(fault, "data", of + said)
    return _because(fault, "not learned", said)


def _because(fault: LoopFault, cause: Cause, why: str) -> LoopFault:
    return replace(fault, cause=cause, why=why)


def followed_flags(
    law: Constitution, principle: Principle, shown: Sequence[Exchange], looker: ModelLooker
) -> Flags:
    """Whether replies that follow a constitution as it is written break a principle.

    Requests to which nobody can write a reply, or one that cannot be read, are left out.
    """
    replies = [each for each in looker.write(law, shown) if each.finish_reason == "stop"]
    said = [each.broken.get(principle.id, False) for each in looker.judge(replies, [principle])]
    return np.array([each for each in said if each is not None], dtype=bool)


def propose(
    fault: LoopFault,
    accepted: Accepted,
    shown: Sequence[Exchange],
    looked: JudgedLook,
    looker: ModelLooker,
) -> list[RemedyCandidate]:
    """What may answer a finding, in the order in which it is tried: at its cause first.

    Args:
        fault: With its cause.
        accepted: Where the loop stands.
        shown: Replies that show it.
        looked: The model on the prompts that faults are found on.
        looker: Asks the writer and the judge.
    """
    law = accepted.constitution
    found: list[RemedyCandidate] = []
    if fault.cause in ("no principle", "constitution"):
        found += _amended(fault, law, shown, looked, looker)
    else:
        found.append(RemedyCandidate(name="data-patch", kind="data patch", law=law))
    longer = [replace(each, name=f"{each.name}-longer", effort=2) for each in found[:1]]
    if looker.settings.interventions and fault.cause not in ("no principle", "constitution"):
        found.append(RemedyCandidate(name="intervention", kind="intervention", law=law))
    return [*found, *longer][: looker.settings.most_tried]


def _amended(
    fault: LoopFault,
    law: Constitution,
    shown: Sequence[Exchange],
    looked: JudgedLook,
    looker: ModelLooker,
) -> list[RemedyCandidate]:
    """Amendments under which whoever follows the constitution no longer shows the fault.

    Nor may they break another principle on other requests. Those that change least come first.
    """
    found: list[RemedyCandidate] = []
    name = fault.principle_id
    rule = fault.principle or law.principle(name)
    before = followed_flags(law, rule, shown[:CHECKED], looker)
    for new, amendment in _drafts(fault, law, looker):
        after = followed_flags(new, new.principle(name), shown[:CHECKED], looker)
        if not len(after) or after.mean() > before.mean() / 2 or after.mean() > FOLLOWED:
            continue
        if _spares(law, new, looked, looker):
            found.append(
                RemedyCandidate(
                    name=f"amendment-{len(found) + 1}",
                    kind="amendment",
                    law=new,
                    amendment=amendment,
                )
            )
    return found


def _spares(law: Constitution, new: Constitution, looked: JudgedLook, looker: ModelLooker) -> bool:
    """Whether following the new constitution breaks no other principle more often.

    Asked of requests where nothing was wrong.
    """
    sound = [
        each
        for each, said in zip(looked.exchanges, looked.read, strict=True)
        if not said.fails and None not in said.broken.values()
    ][: 2 * CHECKED]
    sides = [
        looker.judge(looker.write(each, sound), law.principles) if sound else []
        for each in (law, new)
    ]
    for principle in law.principles:
        one, other = ([principle.id in each.fails for each in side] for side in sides)
        if sum(other) > sum(one) + looker.settings.margin * len(one):
            return False
    return True


def _drafts(
    fault: LoopFault, law: Constitution, looker: ModelLooker
) -> list[tuple[Constitution, Amendment]]:
    name = fault.principle_id
    if fault.principle is not None:
        after = fault.principle
        new = replace(law, principles=(*law.principles, after))
        return [(new, _amendment(fault, law, new, "new principle", "", after.statement()))]
    own = law.principle(name)
    found: list[tuple[Constitution, Amendment]] = []
    smallest = min(each.tier for each in law.principles)
    for tier in sorted(
        {each.tier for each in law.principles if each.tier < own.tier}, reverse=True
    ):
        new = _with(law, replace(own, tier=tier))
        words = (f"{name}: tier {own.tier}", f"{name}: tier {tier}")
        found.append((new, _amendment(fault, law, new, "tier", *words)))
    for other in law.principles:
        # What stands beside or above it may have to stand below it.
        if other.id != name and smallest <= other.tier <= own.tier:
            new = _with(law, replace(other, tier=own.tier + 1))
            words = (f"{other.id}: tier {other.tier}", f"{other.id}: tier {own.tier + 1}")
            found.append((new, _amendment(fault, law, new, "tier", *words)))
    for rule in looker.ground.library:
        if rule.id == name and rule.statement() != own.statement():
            kind = "wording" if rule.text != own.text else "condition"
            new = _with(law, replace(rule, tier=own.tier))
            found.append(
                (new, _amendment(fault, law, new, kind, own.statement(), rule.statement()))
            )
    return found


def _with(law: Constitution, principle: Principle) -> Constitution:
    return replace(
        law,
        principles=tuple(principle if each.id == principle.id else each for each in law.principles),
    )


def _amendment(
    fault: LoopFault,
    law: Constitution,
    new: Constitution,
    kind: str,
    before: str,
    after: str,
) -> Amendment:
    return Amendment(
        fixes=fault.finding.claim,
        check=CHECK,
        spares=SPARES,
        kind=kind,  # type: ignore[arg-type]
        principle_id=fault.principle_id,
        before=before,
        after=after,
        reason=fault.why,
        constitution=law.sha256,
        amended=new.sha256,
        cost=0.0,
    )


CHECK = (
    "the judge, on held-out prompts that nothing was found on or learned from, as they stand and "
    "within words that stood around the fault"
)
SPARES = "how often every other principle is broken, beyond the margin; help where it is due"
