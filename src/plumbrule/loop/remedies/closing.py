"""The loop: find, remedy, prove, again; never worse than it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from plumbrule.constitution import Constitution
from plumbrule.loop.remedies.branches import BranchWork, try_remedy
from plumbrule.loop.remedies.candidates import diagnose, propose
from plumbrule.loop.remedies.discovery import AROUND, FoundFaults, find_faults, judged_by
from plumbrule.loop.remedies.faults import LoopFault, least_confirmed
from plumbrule.loop.remedies.further import further_proofs, joined
from plumbrule.loop.remedies.ground import (
    Accepted,
    LoopGround,
    LoopPrompts,
    LoopSettings,
    LoopSuspicions,
    WordsAround,
    evenly,
    part_prompts,
)
from plumbrule.loop.remedies.looking import JudgedLook, ModelLooker, flags
from plumbrule.loop.remedies.trials import BranchTrial
from plumbrule.models import LocalModel
from plumbrule.records import Prompt, strict
from plumbrule.store import Tell, derive_seed, silent
from plumbrule.training import train_supervised

Ending = Literal["gates hold", "rounds used up", "budget used up", "nothing helped"]

SIBLINGS = 24
"""Further requests by which each principle is watched while a remedy for another is tried."""


@strict
@dataclass(frozen=True, kw_only=True)
class FaultAnswered:
    """A finding, and what was tried in answer to it."""

    fault: LoopFault
    trials: tuple[BranchTrial, ...]
    examples: tuple[tuple[str, str], ...]
    """A few requests and the replies at fault."""


@strict
@dataclass(frozen=True, kw_only=True)
class LoopRound:
    """One round: what was found, what was tried, what was accepted."""

    number: int
    found: tuple[LoopFault, ...]
    answered: tuple[FaultAnswered, ...]
    accepted: str | None
    """Branch of the remedy that was accepted; None: none was."""

    tokens: int
    """Read and written in this round, training counted by its passes."""


@dataclass(frozen=True, kw_only=True)
class LoopResult:
    """How a loop ended."""

    rounds: tuple[LoopRound, ...]
    left: tuple[LoopFault, ...]
    """What is still wrong with the model that stands."""

    started: Accepted
    stands: Accepted
    ending: Ending
    prompts: LoopPrompts

    suspicions: LoopSuspicions
    """What was looked at first."""

    asked_further: bool
    """Whether somebody wrote further requests."""

    seen: Mapping[str, tuple[int, int | None]]
    """By principle: replies that it spoke of when faults were looked for, and how many of them must
    be broken to be called too many, or, where further requests are written, for these to be asked;
    None: even all would not do."""

    @property
    def gates_hold(self) -> bool:
        """Whether nothing is left that was found."""
        return not self.left

    @property
    def accepted(self) -> list[BranchTrial]:
        """Remedies that were accepted, in order."""
        return [
            trial
            for each in self.rounds
            for answered in each.answered
            for trial in answered.trials
            if trial.decision == "accepted"
        ]


def close_loop(
    ground: LoopGround, settings: LoopSettings, folder: Path, *, tell: Tell = silent
) -> LoopResult:
    """Find what is wrong with a model, try remedies, keep what proves itself, and again.

    Args:
        ground: Model, constitution, data, prompts, judge and writer.
        settings: How far to go.
        folder: Keeps all that was drawn, judged and trained; the same call goes on there.
        tell: Told of progress.

    Returns:
        Every round, and where the loop stands.

    Raises:
        DataError: There are too few prompts, or the model changed under the loop.
        PlumbruleError: A part outside failed; the same call goes on.
    """
    looker = ModelLooker(ground=ground, settings=settings, folder=folder / "work", tell=tell)
    prompts = part_prompts(ground.prompts, settings)
    work = BranchWork(looker=looker, prompts=prompts, folder=folder)
    stands = started = _begin(work)
    rounds: list[LoopRound] = []
    tried = 0
    given_up: set[str] = set()
    spent = 0
    ending: Ending = "rounds used up"
    faults: list[LoopFault] = []
    known: list[WordsAround] = []
    for number in range(1, settings.rounds + 2):
        tell("finding", number - 1, settings.rounds + 1)
        found = find_faults(work, stands, searched=number == 1, known=known)
        faults = list(found.faults)
        known = [*known, *(words for each in faults for words in each.words)]
        spent += found.tokens
        if not faults:
            ending = "gates hold"
            break
        if number > settings.rounds:
            break
        if settings.most_tokens is not None and spent >= settings.most_tokens:
            ending = "budget used up"
            break
        done, stands, cost = _round(work, number, found, stands, tried, given_up, settings, spent)
        spent += cost
        tried += sum(
            trial.p_value is not None for answered in done.answered for trial in answered.trials
        )
        rounds.append(replace(done, tokens=found.tokens + cost))
        if done.accepted is None:
            ending = "nothing helped"
            break
    tell("finding", settings.rounds + 1, settings.rounds + 1)
    return LoopResult(
        rounds=tuple(rounds),
        left=tuple(faults),
        started=started,
        stands=stands,
        ending=ending,
        prompts=prompts,
        suspicions=ground.suspicions,
        asked_further=_asks(looker),
        seen=_seen(work, stands),
    )


def _asks(looker: ModelLooker) -> bool:
    return looker.ground.asker is not None and looker.settings.most_further > 0


def _seen(work: BranchWork, stands: Accepted) -> dict[str, tuple[int, int | None]]:
    """What could have been confirmed of each principle, with the prompts that find."""
    law = stands.constitution
    model = work.open(stands.model)
    looked = work.looker.look(model, work.prompts.find, law.principles, "finding")
    counts = {each.id: len(flags([looked], each.id)[0]) for each in law.principles}
    spoken = sum(count > 0 for count in counts.values())
    further = _asks(work.looker)
    return {
        name: (count, least_confirmed(count, spoken, work.settings, further=further))
        for name, count in counts.items()
    }


def _begin(work: BranchWork) -> Accepted:
    """The model that the loop starts from: the given one, or the base trained on the data."""
    ground, settings = work.looker.ground, work.settings
    place = ground.model
    if place is None:
        result = train_supervised(
            ground.base,
            ground.data,
            settings=settings.training(settings.data_epochs),
            out=work.folder / "started",
            seed=derive_seed(settings.seed, "start") % 2**31,
            progress=lambda done, total, _: work.looker.tell("training", done, total),
        )
        place = result.path
    model = work.open(place)
    return Accepted(
        constitution=ground.constitution, model=place, identity=model.identity, data=ground.data
    )


def _round(
    work: BranchWork,
    number: int,
    found: FoundFaults,
    stands: Accepted,
    tried: int,
    given_up: set[str],
    settings: LoopSettings,
    spent: int,
) -> tuple[LoopRound, Accepted, int]:
    """Answer findings in turn until a remedy is accepted."""
    looker = work.looker
    model = work.open(stands.model)
    law: Constitution = stands.constitution
    siblings = _siblings(work, model, law) if set(found.shown) - given_up else []
    plain = looker.look(model, work.prompts.find, law.principles, "finding")
    cost = 0
    answered: list[FaultAnswered] = []
    accepted: str | None = None
    for fault in found.faults:
        if fault.name in given_up:
            continue
        own, words = found.shown[fault.name].shown, found.shown[fault.name].words
        prompts = joined(work.prompts, found.shown[fault.name].further)
        prompts = replace(prompts, prove=_unseen([*prompts.prove, *siblings], prompts))
        wider = replace(work, prompts=prompts)
        before = looker.look(model, prompts.prove, law.principles, "proof")
        cost += before.tokens
        fault = diagnose(fault, stands, own, looker)
        read = before
        if fault.principle is not None:
            read = judged_by(before, [*law.principles, fault.principle], looker)
        around = _matched(wider, model, fault, words, read, law)
        trials: list[BranchTrial] = []
        for candidate in propose(fault, stands, own, plain, looker):
            if settings.most_tokens is not None and spent + cost >= settings.most_tokens:
                break
            trial, new = try_remedy(
                wider,
                f"{number}-{len(answered) + 1}-{candidate.name}",
                candidate,
                fault,
                stands,
                before=before,
                around=around,
                shown=own,
                earlier=tried,
            )
            trials.append(trial)
            cost += round(trial.cost)
            tried += trial.p_value is not None
            if new is not None:
                stands, accepted = new, trial.branch
                break
        answered.append(
            FaultAnswered(
                fault=fault,
                trials=tuple(trials),
                examples=tuple((e.dialogue[-1].content, e.response) for e in own[:3]),
            )
        )
        if accepted is not None:
            break
        given_up.add(fault.name)
    done = LoopRound(
        number=number,
        found=tuple(found.faults),
        answered=tuple(answered),
        accepted=accepted,
        tokens=0,
    )
    return done, stands, cost


def _siblings(work: BranchWork, model: LocalModel, law: Constitution) -> list[Prompt]:
    """Further requests of every principle, by which it is seen whether a remedy worsens it."""
    before = work.looker.look(model, work.prompts.prove, law.principles, "proof")
    found: list[Prompt] = []
    for rule in law.principles:
        like = [
            prompt
            for prompt, said in zip(before.prompts, before.read, strict=True)
            if rule.id in said.broken
        ]
        found += further_proofs(work.looker, work.prompts, like, SIBLINGS)
    return found


def _unseen(proofs: Sequence[Prompt], prompts: LoopPrompts) -> list[Prompt]:
    """Each request once, and none that something is found on or learned from."""
    seen = {each.dialogue for each in [*prompts.find, *prompts.teach]}
    once = {each.dialogue: each for each in proofs if each.dialogue not in seen}
    return list(once.values())


def _matched(
    work: BranchWork,
    model: LocalModel,
    fault: LoopFault,
    words: Sequence[WordsAround],
    before: JudgedLook,
    law: Constitution,
) -> dict[WordsAround, JudgedLook]:
    """The model within words that stood around the fault, on prompts that prove.

    Those that the principle speaks of, and others: what is asked otherwise may bring it back.
    """
    spoken = {
        each.id
        for each, said in zip(before.prompts, before.read, strict=True)
        if fault.principle_id in said.broken
    }
    own = [each for each in work.prompts.prove if each.id in spoken]
    rest = [each for each in work.prompts.prove if each.id not in spoken]
    seed = work.settings.seed
    asked = [*evenly(own, 2 * AROUND, seed), *evenly(rest, AROUND, seed)]
    return {
        each: work.looker.look(
            model, [each.around(one) for one in asked], law.principles, "proof in context"
        )
        for each in words
    }
