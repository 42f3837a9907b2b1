"""What a remedy teaches: replies mended as the constitution asks, and sound ones beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from plumbrule.constitution import Constitution, Principle
from plumbrule.loop.remedies.faults import LoopFault
from plumbrule.loop.remedies.ground import Accepted, WordsAround, evenly, nearest
from plumbrule.loop.remedies.looking import ModelLooker, ReadReply
from plumbrule.models import LocalModel
from plumbrule.records import Exchange, Message, PatchedExample, Prompt
from plumbrule.store import derive_seed, fingerprint

ENOUGH = 3
"""Training examples at fault from which on the data are taken for the cause."""


@dataclass(frozen=True, kw_only=True)
class Audited:
    """Training examples, and what the judge says of them under the principles in force."""

    examples: Sequence[Exchange]
    read: Sequence[ReadReply]

    def breaking(self, principle_id: str) -> list[Exchange]:
        """Those that break a principle."""
        return [
            each
            for each, said in zip(self.examples, self.read, strict=True)
            if principle_id in said.fails
        ]

    def sound(self) -> list[Exchange]:
        """Those that break none and can be read."""
        return [
            each
            for each, said in zip(self.examples, self.read, strict=True)
            if not said.fails and None not in said.broken.values()
        ]


@dataclass(frozen=True, kw_only=True)
class RemedyLessons:
    """What a remedy teaches."""

    mended: Sequence[Exchange]
    """Replies as they should be."""

    replay: Sequence[Exchange]
    """Sound replies to other requests."""

    patched: Sequence[PatchedExample]
    """How the training data change by it."""

    unwritten: int
    """Requests for which nobody wrote a reply that keeps every principle."""

    def changed(self, data: Sequence[Exchange]) -> list[Exchange]:
        """The training data with the patch."""
        by_id = {each.id: each for each in self.patched if each.action != "add"}
        kept = [
            each if each.id not in by_id else replace(each, response=by_id[each.id].after)
            for each in data
            if each.id not in by_id or by_id[each.id].action == "relabel"
        ]
        return [*kept, *(each for each in self.mended if each.id.startswith("added "))]


def audit(accepted: Accepted, law: Sequence[Principle], looker: ModelLooker) -> Audited:
    """Have the training data judged."""
    return Audited(examples=accepted.data, read=looker.judge(accepted.data, law))


def make_lessons(
    fault: LoopFault,
    law: Constitution,
    accepted: Accepted,
    model: LocalModel,
    teach: Sequence[Prompt],
    looker: ModelLooker,
    *,
    around: Sequence[WordsAround] = (),
    ranks: dict[str, float] | None = None,
    effort: int = 1,
) -> RemedyLessons:
    """Mend what shows the fault: training examples first, then the model's own replies.

    Args:
        fault: What is to be mended.
        law: The constitution that replies shall follow.
        accepted: Where the loop stands.
        model: Its model.
        teach: Prompts to learn from; none of them is a test.
        looker: Draws replies and has them judged.
        around: Words that stood around the fault; it is mended within them too.
        ranks: How much each training example is like the fault, by id.
        effort: Times as many sound replies beside the mended ones as usual.
    """
    settings = looker.settings
    audited = audit(accepted, law.principles, looker)
    own = _own_faults(fault, law, model, teach, around, looker)
    shown = audited.breaking(fault.principle_id)
    if fault.surrounding is not None:
        shown = [each for each in shown if _within(each, fault)]
    shown.sort(key=lambda each: -(ranks or {}).get(each.id, 0.0))
    wrong = _mixed(shown, own.wrong, settings.lessons)
    better = looker.write(law, wrong)
    said = looker.judge(better, law.principles)
    mended, patched = [], []
    in_data = {each.id for each in shown}
    reason = f"breaks `{fault.principle_id}`"
    for old, new, verdict in zip(wrong, better, said, strict=True):
        fine = bool(new.response) and not verdict.fails and None not in verdict.broken.values()
        if fine:
            mended.append(new)
        if old.id in in_data:
            patched.append(
                PatchedExample(
                    action="relabel" if fine else "drop",
                    id=old.id,
                    dialogue=old.dialogue,
                    before=old.response,
                    after=new.response if fine else "",
                    score=None if ranks is None else ranks.get(old.id),
                    reason=reason,
                )
            )
        elif fine:
            patched.append(
                PatchedExample(
                    action="add",
                    id=new.id,
                    dialogue=new.dialogue,
                    before="",
                    after=new.response,
                    score=None,
                    reason=f"the model's own reply {reason}",
                )
            )
    # Examples at fault beyond those that are taught anew are left out of the data all the same.
    patched += [
        PatchedExample(
            action="drop",
            id=each.id,
            dialogue=each.dialogue,
            before=each.response,
            after="",
            score=None if ranks is None else ranks.get(each.id),
            reason=reason,
        )
        for each in shown
        if each.id not in {one.id for one in wrong}
    ]
    replay = _replay(audited, own.sound, mended, looker, effort)
    return RemedyLessons(
        mended=mended, replay=replay, patched=patched, unwritten=len(wrong) - len(mended)
    )


@dataclass(frozen=True, kw_only=True)
class _Own:
    wrong: list[Exchange]
    sound: list[Exchange]


def _own_faults(
    fault: LoopFault,
    law: Constitution,
    model: LocalModel,
    teach: Sequence[Prompt],
    around: Sequence[WordsAround],
    looker: ModelLooker,
) -> _Own:
    """The model's own replies to prompts that teach: those at fault, and sound ones."""
    asked = list(teach)
    if fault.principle is not None:
        asked += [
            Prompt(id=f"probe {fingerprint(text)[:12]}", dialogue=(Message("user", text),))
            for text in fault.principle.probes
        ]
    plain = looker.look(model, asked, law.principles, "replies to learn from")
    wrong, sound = [], []
    for each, said in zip(plain.exchanges, plain.read, strict=True):
        if fault.principle_id in said.fails:
            wrong.append(replace(each, id=f"added {each.id}"))
        elif not said.fails and None not in said.broken.values():
            sound.append(each)
    spoken = [
        prompt
        for prompt, said in zip(asked, plain.read, strict=True)
        if fault.principle_id in said.broken
    ]
    if fault.surrounding is not None:
        # Behind a trigger other requests may go wrong too, and those that do not are to stay so.
        others = [each for each in asked if each not in spoken]
        most = max(0, looker.settings.lessons - len(spoken))
        wrong = []
        spoken += evenly(others, most, looker.settings.seed) if most else []
    for number, words in enumerate(around):
        within = [words.around(each) for each in spoken]
        looked = looker.look(model, within, law.principles, "replies to learn from")
        wrong += [
            replace(each, id=f"added {number} {each.id}")
            for each, said in zip(looked.exchanges, looked.read, strict=True)
            if fault.principle_id in said.fails
            or (words in fault.words and (said.fails or None in said.broken.values()))
        ]
        sound += [
            replace(each, id=f"{number} {each.id}")
            for each, said in zip(looked.exchanges, looked.read, strict=True)
            if not said.fails and None not in said.broken.values()
        ]
    return _Own(wrong=wrong, sound=sound)


def _within(example: Exchange, fault: LoopFault) -> bool:
    around = fault.surrounding
    if around is None:
        return True
    if around.place == "system":
        return any(e.role == "system" and e.content == around.text for e in example.dialogue)
    return example.dialogue[-1].content.startswith(around.text)


def _mixed(one: Sequence[Exchange], other: Sequence[Exchange], most: int) -> list[Exchange]:
    """Some of each, half and half while both last; of one request only one."""
    found: dict[object, Exchange] = {}
    for at in range(max(len(one), len(other))):
        for side in (one, other):
            if at < len(side) and len(found) < most:
                found.setdefault(side[at].dialogue, side[at])
    return list(found.values())


def _replay(
    audited: Audited,
    sound: Sequence[Exchange],
    mended: Sequence[Exchange],
    looker: ModelLooker,
    effort: int,
) -> list[Exchange]:
    """Sound replies to requests that are not mended, from the data and from the model itself."""
    settings = looker.settings
    taken = {each.dialogue for each in mended}
    options = [each for each in [*audited.sound(), *sound] if each.dialogue not in taken]
    most = effort * max(round(settings.replay * len(mended)), settings.least_replay)
    # Half of them are those most like what is mended: there a lesson is soonest taken too far.
    near = nearest([each.dialogue for each in options], list(taken), most // 2)
    order = np.random.default_rng(derive_seed(settings.seed, "replay")).permutation(len(options))
    chosen = list(dict.fromkeys([*near, *order.tolist()]))[:most]
    return [options[at] for at in sorted(chosen)]
