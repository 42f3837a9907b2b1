"""A remedy tried on a branch: a folder of its own, with the accepted model left as it is."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from plumbrule.constitution import Constitution
from plumbrule.errors import DataError, ModelError
from plumbrule.loop.remedies.candidates import CHECK, SPARES, RemedyCandidate
from plumbrule.loop.remedies.faults import LoopFault
from plumbrule.loop.remedies.ground import Accepted, LoopPrompts, LoopSettings, WordsAround
from plumbrule.loop.remedies.lessons import RemedyLessons, make_lessons
from plumbrule.loop.remedies.looking import JudgedLook, ModelLooker
from plumbrule.loop.remedies.ranking import likeness
from plumbrule.loop.remedies.trials import (
    BranchTrial,
    RateChange,
    Relearning,
    decide,
    falls,
    little_is_left,
    needed_of,
    rate_change,
    sibling_changes,
)
from plumbrule.mechanism.repairs.durability import fault_log_probs, steps_to_relearn
from plumbrule.mechanism.repairs.fitting import fit_repair
from plumbrule.mechanism.repairs.repair_settings import RepairSettings
from plumbrule.mechanism.repairs.replies import DrawnReply
from plumbrule.mechanism.repairs.weight_edits import (
    BEFORE,
    apply_edit,
    load_edit,
    save_edit,
    save_repaired,
)
from plumbrule.models import LocalModel, open_model
from plumbrule.records import (
    DataPatch,
    Exchange,
    Intervention,
    Prompt,
    Remedy,
    from_json,
    to_json,
)
from plumbrule.store import canonical, derive_seed, write_atomic
from plumbrule.training import train_supervised

BACKWARD = 3
"""Passes that a token of training costs: forward once, backward twice."""

LEAST_LESSONS = 8


@dataclass(frozen=True, kw_only=True)
class BranchWork:
    """What all branches of a loop share."""

    looker: ModelLooker
    prompts: LoopPrompts
    folder: Path

    @property
    def settings(self) -> LoopSettings:
        """The loop's."""
        return self.looker.settings

    def open(self, folder: Path) -> LocalModel:
        """A model of the loop, its weights at hand."""
        model = open_model(str(folder), device=self.looker.ground.device)
        if not isinstance(model, LocalModel):
            raise ModelError(f"expected a model whose weights are at hand, {folder} is an endpoint")
        return model


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A branch's model, and what it took."""

    remedy: Remedy | None
    model: Path | None
    cost: float
    data: Sequence[Exchange]
    control: Path | None = None
    lessons: RemedyLessons | None = None
    effort: int = 1
    why: str = ""


def try_remedy(
    work: BranchWork,
    branch: str,
    candidate: RemedyCandidate,
    fault: LoopFault,
    accepted: Accepted,
    *,
    before: JudgedLook,
    around: Mapping[WordsAround, JudgedLook],
    shown: Sequence[Exchange],
    earlier: int,
) -> tuple[BranchTrial, Accepted | None]:
    """Try a remedy on a branch and judge it.

    Args:
        work: Folders, prompts, who judges.
        branch: Name of the folder.
        candidate: The remedy.
        fault: What it answers.
        accepted: Where the loop stands; its model is left as it is.
        before: The accepted model on the prompts that prove.
        around: The same on some of them within words that stood around the fault.
        shown: Replies that show the fault, on prompts that find.
        earlier: How many trials there were before.

    Returns:
        What came of it, and where the loop stands if it is accepted.

    Raises:
        DataError: The accepted model is not the one any more that the loop accepted.
    """
    base = work.open(accepted.model)
    if base.identity != accepted.identity:
        raise DataError(
            f"expected the model that {accepted.model} held when this loop looked at it, it is "
            "another now: a remedy would be judged on one and made for the other. Put the old one "
            "back, or begin a new --out"
        )
    place = work.folder / "branches" / branch
    make = _intervened if candidate.kind == "intervention" else _taught
    made = make(work, place, candidate, fault, accepted, base, shown, tuple(around))
    if made.model is None:
        return _not_made(work, branch, candidate, fault, made), None
    model = work.open(made.model)
    law = candidate.law
    after = work.looker.look(model, work.prompts.prove, law.principles, "proof")
    first = _read_again(work, before, law)
    name = fault.principle_id
    matched = []
    judged, pairs = (first, after), [(first, after)]
    for words, look in around.items():
        changed = work.looker.look(model, look.prompts, law.principles, "proof in context")
        held = _read_again(work, look, law)
        matched.append(rate_change(held, changed, name, where=str(words)))
        pairs.append((held, changed))
        if fault.surrounding == words:
            judged = (held, changed)
    if fault.surrounding is not None:
        pairs = [judged]
    p_value = falls(pairs, name)
    siblings = sibling_changes(first, after, law, name, work.settings.margin)
    needed = needed_of(earlier, work.settings)
    decision, why = decide(
        p_value=p_value,
        needed=needed,
        little_left=little_is_left(*judged, name),
        matched=matched,
        siblings=siblings,
        unreadable=(first.unreadable, after.unreadable),
        settings=work.settings,
    )
    control = relearned = None
    if decision == "accepted":
        control = _control(work, made, accepted.model, fault, judged[0], law)
        relearned = _relearned(work, base, model, fault, shown)
    trial = BranchTrial(
        branch=f"branches/{branch}",
        kind=candidate.kind,
        remedy=made.remedy,
        fault=fault.name,
        target=rate_change(*judged, name, where=fault.finding.where),
        p_value=p_value,
        needed=needed,
        matched=tuple(matched),
        siblings=siblings,
        unreadable_before=first.unreadable,
        unreadable_after=after.unreadable,
        control=control,
        relearning=relearned,
        decision=decision,
        why=why,
        model=str(made.model.relative_to(work.folder)),
        cost=made.cost,
    )
    write_atomic(place / "trial.json", canonical(to_json(trial)) + "\n")
    stands = Accepted(constitution=law, model=made.model, identity=model.identity, data=made.data)
    return trial, stands if decision == "accepted" else None


def _read_again(work: BranchWork, look: JudgedLook, law: Constitution) -> JudgedLook:
    """The same replies, judged by another constitution."""
    return replace(look, read=work.looker.judge(look.exchanges, law.principles))


def _not_made(
    work: BranchWork, branch: str, candidate: RemedyCandidate, fault: LoopFault, made: _Made
) -> BranchTrial:
    return BranchTrial(
        branch=f"branches/{branch}",
        kind=candidate.kind,
        remedy=made.remedy,
        fault=fault.name,
        target=None,
        p_value=None,
        needed=None,
        matched=(),
        siblings=(),
        unreadable_before=None,
        unreadable_after=None,
        control=None,
        relearning=None,
        decision="rejected",
        why=made.why,
        model=None,
        cost=made.cost,
    )


def _taught(
    work: BranchWork,
    place: Path,
    candidate: RemedyCandidate,
    fault: LoopFault,
    accepted: Accepted,
    base: LocalModel,
    shown: Sequence[Exchange],
    around: Sequence[WordsAround],
) -> _Made:
    """Mended replies and sound ones are learned by the accepted model."""
    law = candidate.law
    ranks = None
    if accepted.data and shown:
        ranks = likeness(base, shown, accepted.data, work.folder / "ranks")
    lessons = make_lessons(
        fault,
        law,
        accepted,
        base,
        work.prompts.teach,
        work.looker,
        around=fault.words,
        ranks=ranks,
    )
    if len(lessons.mended) < LEAST_LESSONS:
        return _Made(
            remedy=None,
            model=None,
            cost=0.0,
            data=accepted.data,
            why=f"{len(lessons.mended)} replies could be written that keep every principle, "
            f"{LEAST_LESSONS} are needed to learn from",
        )
    trained, cost = _train(work, place / "model", accepted.model, lessons, candidate.effort)
    data = lessons.changed(accepted.data)
    if candidate.amendment is not None:
        remedy: Remedy = replace(candidate.amendment, cost=cost)
        return _Made(
            remedy=remedy,
            model=trained,
            cost=cost,
            data=data,
            lessons=lessons,
            effort=candidate.effort,
        )
    remedy = DataPatch(
        fixes=fault.finding.claim,
        check=CHECK,
        spares=SPARES,
        examples=tuple(lessons.patched),
        ranked_by="cosine of an example's activation in the middle layer with the difference of "
        "means between replies at fault and sound ones"
        if ranks is not None
        else "not ranked",
        control=f"{len(lessons.mended)} sound replies, taken from those that are replayed",
        reason=fault.why,
        cost=cost,
    )
    return _Made(
        remedy=remedy, model=trained, cost=cost, data=data, lessons=lessons, effort=candidate.effort
    )


def _train(
    work: BranchWork, folder: Path, start: Path, lessons: RemedyLessons, effort: int
) -> tuple[Path, float]:
    settings = work.settings
    rows = [*lessons.mended, *lessons.replay]
    enough = math.ceil(settings.least_steps * settings.batch_size / len(rows))
    result = train_supervised(
        start,
        rows,
        settings=settings.training(effort * max(settings.epochs, enough)),
        out=folder,
        seed=derive_seed(settings.seed, "branch", folder.parent.name) % 2**31,
        progress=lambda done, total, _: work.looker.tell("training a branch", done, total),
    )
    return result.path, float(BACKWARD * result.tokens_trained)


def _intervened(
    work: BranchWork,
    place: Path,
    candidate: RemedyCandidate,
    fault: LoopFault,
    accepted: Accepted,
    base: LocalModel,
    shown: Sequence[Exchange],
    around: Sequence[WordsAround],
) -> _Made:
    """A few matrices are changed until replies at fault are unlikely."""
    del shown, around
    law = candidate.law
    own = work.looker
    asked = work.prompts.teach
    if fault.surrounding is not None:
        asked = [fault.surrounding.around(each) for each in asked]
    looked = own.look(base, asked[:400], law.principles, "replies to fit to")
    wrong = [looked.prompts[at] for at in looked.failing(fault.principle_id)][:32]
    kept = [
        each
        for each, said in zip(looked.prompts, looked.read, strict=True)
        if not said.fails and None not in said.broken.values()
    ]
    if fault.surrounding is not None:
        kept = list(work.prompts.teach)
    chosen = np.random.default_rng(derive_seed(work.settings.seed, "kept")).permutation(len(kept))
    kept = [kept[at] for at in chosen[:48].tolist()]
    if len(wrong) < LEAST_LESSONS or not kept:
        why = f"{len(wrong)} replies at fault to fit to, {LEAST_LESSONS} are needed"
        return _Made(remedy=None, model=None, cost=0.0, data=accepted.data, why=why)
    principle = law.principle(fault.principle_id)

    def violates(prompt: Prompt, reply: str) -> bool | None:
        exchange = Exchange(id=prompt.id, dialogue=prompt.dialogue, response=reply, model="fitted")
        (said,) = own.ground.judge([exchange], [principle])
        return said.get(principle.id, False)

    settings = RepairSettings(sampling=work.settings.sampling)
    path, folder = place / "edit.safetensors", place / "model"
    if not (place / "remedy.json").exists():
        fit = fit_repair(
            base,
            wrong,
            kept,
            violates,
            settings=settings,
            seed=work.settings.seed,
            progress=partial(own.tell, "fitting an intervention"),
        )
        if fit.reason is not None:
            cost = fit.cost.total
            return _Made(remedy=None, model=None, cost=cost, data=accepted.data, why=fit.reason)
        place.mkdir(parents=True, exist_ok=True)
        save_edit(fit.edit, path)
        shutil.rmtree(folder, ignore_errors=True)
        applied = apply_edit(base, load_edit(path))
        try:
            repaired = base.identity
            save_repaired(base, applied, folder)
        finally:
            applied.revert()
        remedy = Intervention(
            fixes=fault.finding.claim,
            check=CHECK,
            spares=SPARES,
            method="fitted",
            sites=fit.sites,
            model=base.identity,
            repaired=repaired,
            settings=to_json(settings),
            seed=work.settings.seed,
            cost=fit.cost.total,
            reverts_with=BEFORE,
        )
        write_atomic(place / "remedy.json", canonical(to_json(remedy)) + "\n")
    said = json.loads((place / "remedy.json").read_text(encoding="utf-8"))
    remedy = from_json(Intervention, said, origin=str(place / "remedy.json"))
    return _Made(remedy=remedy, model=folder, cost=remedy.cost, data=accepted.data)


def _control(
    work: BranchWork,
    made: _Made,
    start: Path,
    fault: LoopFault,
    before: JudgedLook,
    law: Constitution,
) -> RateChange | None:
    """The target after an equal-size patch chosen by chance, where a patch was learned."""
    if not isinstance(made.remedy, DataPatch) or made.lessons is None or made.model is None:
        return None
    rest = list(made.lessons.replay)
    order = np.random.default_rng(derive_seed(work.settings.seed, "control")).permutation(len(rest))
    chosen = [rest[at] for at in order[: len(made.lessons.mended)].tolist()]
    if len(chosen) < LEAST_LESSONS:
        return None
    lessons = replace(made.lessons, mended=chosen)
    trained, _ = _train(work, made.model.parent / "control", start, lessons, made.effort)
    model = work.open(trained)
    spoken = [at for at, each in enumerate(before.read) if fault.principle_id in each.broken]
    before = before.part(spoken)
    looked = work.looker.look(model, before.prompts, law.principles, "control")
    return rate_change(before, looked, fault.principle_id, where="after the patch by chance")


def _relearned(
    work: BranchWork,
    base: LocalModel,
    model: LocalModel,
    fault: LoopFault,
    shown: Sequence[Exchange],
) -> Relearning | None:
    """How quickly the fault comes back when the model is trained on it again."""
    most = work.settings.relearn_steps
    if not most:
        return None
    replies = _drawn(base, list(shown)[:24])
    if len(replies) < 2 * LEAST_LESSONS:
        reason = f"{len(replies)} replies at fault, {2 * LEAST_LESSONS} are needed"
        return Relearning(steps=None, unrepaired=None, most=most, reason=reason)
    lessons, held_out = replies[: len(replies) // 2], replies[len(replies) // 2 :]
    weights = [[1.0] * len(each.reply) for each in held_out]
    likely = fault_log_probs(base, held_out, weights)
    steps = [
        steps_to_relearn(
            each,
            lessons,
            held_out,
            weights,
            likely=likely,
            most=most,
            learning_rate=1e-4,
            seed=work.settings.seed,
        )
        for each in (model, base)
    ]
    return Relearning(steps=steps[0], unrepaired=steps[1], most=most)


def _drawn(model: LocalModel, shown: Sequence[Exchange]) -> list[DrawnReply]:
    rows = model.chat.with_replies(
        [each.dialogue for each in shown], [each.response for each in shown]
    )
    end = model.chat.end if model.chat.end is not None else model.tokenizer.eos_token_id
    return [
        DrawnReply(
            prompt=Prompt(id=each.id, dialogue=each.dialogue),
            before=tuple(before),
            reply=(*reply, int(end)),
            text=each.response,
            violates=True,
        )
        for each, (before, reply) in zip(shown, rows, strict=True)
    ]
