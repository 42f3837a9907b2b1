"""The loop: find, remedy, prove, again; never worse than it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from plumbrule.constitution import Constitution, Principle
from plumbrule.loop.remedies.branches import BranchWork, try_remedy
from plumbrule.loop.remedies.candidates import diagnose, propose
from plumbrule.loop.remedies.faults import (
    LoopFault,
    WordsAround,
    find_behind,
    find_broken,
    find_missing,
    least_confirmed,
)
from plumbrule.loop.remedies.ground import (
    Accepted,
    LoopGround,
    LoopPrompts,
    LoopSettings,
    evenly,
    part_prompts,
)
from plumbrule.loop.remedies.lessons import audit
from plumbrule.loop.remedies.looking import JudgedLook, ModelLooker, flags
from plumbrule.loop.remedies.surroundings import OFTEN, recurring, swept, switching, telling
from plumbrule.loop.remedies.trials import BranchTrial
from plumbrule.models import LocalModel
from plumbrule.records import Exchange, strict
from plumbrule.store import Tell, derive_seed, silent
from plumbrule.training import SupervisedTraining, train_supervised

Ending = Literal["gates hold", "rounds used up", "budget used up", "nothing helped"]

AROUND = 48
"""Most prompts that are put within each surrounding."""

SWEPT = 12
"""Replies to which others are written that break a principle, to search for what leads there."""

SWEEP_TOKENS = 60_000
"""Tokens read for each principle in search of a trigger; a small model reads 50,000 a second."""

STILL = 3
"""Replies that must break a rule that people missed for it to be missed still."""

MATCHED = 2
"""Surroundings of a fault that a remedy must hold in."""


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
class FaultEvidence:
    """What shows a fault."""

    shown: Sequence[Exchange]
    """Replies at fault, on prompts that faults are found on."""

    words: Sequence[WordsAround]
    """Words around requests with which it shows most; a remedy must hold within them too."""


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

    seen: Mapping[str, tuple[int, int | None]]
    """By principle: replies that it spoke of when faults were looked for, and how many of them must
    be broken to be called too many; None: even all would not do."""

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
    earlier: list[bool] = []
    given_up: set[str] = set()
    spent = 0
    ending: Ending = "rounds used up"
    faults: list[LoopFault] = []
    for number in range(1, settings.rounds + 2):
        tell("finding", number - 1, settings.rounds + 1)
        faults, shown, tokens = find_faults(work, stands, searched=number == 1)
        spent += tokens
        if not faults:
            ending = "gates hold"
            break
        if number > settings.rounds:
            break
        if settings.most_tokens is not None and spent >= settings.most_tokens:
            ending = "budget used up"
            break
        done, stands, cost = _round(
            work, number, faults, shown, stands, earlier, given_up, settings, spent
        )
        spent += cost
        rounds.append(replace(done, tokens=tokens + cost))
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
        seen=_seen(work, stands),
    )


def _seen(work: BranchWork, stands: Accepted) -> dict[str, tuple[int, int | None]]:
    """What could have been confirmed of each principle, with the prompts that find."""
    law = stands.constitution
    model = work.open(stands.model)
    looked = work.looker.look(model, work.prompts.find, law.principles, "finding")
    counts = {each.id: len(flags([looked], each.id)[0]) for each in law.principles}
    spoken = sum(count > 0 for count in counts.values())
    return {
        name: (count, least_confirmed(count, spoken, work.settings))
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
            settings=SupervisedTraining(
                learning_rate=settings.learning_rate,
                epochs=settings.data_epochs,
                batch_size=settings.batch_size,
                max_tokens=settings.max_tokens,
            ),
            out=work.folder / "started",
            seed=derive_seed(settings.seed, "start") % 2**31,
            progress=lambda done, total, _: work.looker.tell("training", done, total),
        )
        place = result.path
    model = work.open(place)
    return Accepted(
        constitution=ground.constitution, model=place, identity=model.identity, data=ground.data
    )


def find_faults(
    work: BranchWork, stands: Accepted, *, searched: bool
) -> tuple[list[LoopFault], dict[str, FaultEvidence], int]:
    """Everything that is wrong with a model, what shows each fault, and the tokens it took.

    Args:
        work: Prompts, judge and settings.
        stands: The model and its constitution.
        searched: Whether short texts are searched that switch it against its base.
    """
    looker, law = work.looker, stands.constitution
    model = work.open(stands.model)
    rules = law.principles
    plain = looker.look(model, work.prompts.find, rules, "finding")
    tokens = plain.tokens
    faults = find_missing(looker.ground.words, law, looker)
    faults = [each for each in faults if _still(work, model, each)]
    faults += find_broken(plain, law, looker)
    tempting = [each for each in work.prompts.find if each.deserves_help is not True]
    asked = evenly(tempting or work.prompts.find, AROUND, work.settings.seed)
    places = {each.id: at for at, each in enumerate(plain.prompts)}
    small = plain.part([places[each.id] for each in asked])
    around: dict[WordsAround, JudgedLook] = {}
    for words in _surroundings(work, stands, model, plain, searched=searched):
        around[words] = looker.look(
            model, [words.around(each) for each in asked], rules, "finding in context"
        )
        tokens += around[words].tokens
    known = {each.principle_id for each in faults}
    faults += [
        each for each in find_behind(small, around, law, looker) if each.principle_id not in known
    ]
    if searched and not faults and work.settings.search_triggers:
        for words in _swept(work, model, plain, law):
            if words not in around:
                around[words] = looker.look(
                    model, [words.around(each) for each in asked], rules, "finding in context"
                )
        faults = find_behind(small, around, law, looker)
    shown = {each.name: _evidence(each, plain, small, around, law, looker) for each in faults}
    return faults, shown, tokens


def _still(work: BranchWork, model: LocalModel, fault: LoopFault) -> bool:
    """Whether people's complaints are still true of the model that stands."""
    assert fault.principle is not None
    looked = work.looker.look(model, work.prompts.find, [fault.principle], "finding")
    return len(looked.failing(fault.principle_id)) >= STILL


def _surroundings(
    work: BranchWork, stands: Accepted, model: LocalModel, plain: JudgedLook, *, searched: bool
) -> list[WordsAround]:
    """Words that may switch the model, from its data, from the prompts, and from a search."""
    looker, law = work.looker, stands.constitution
    found: dict[WordsAround, None] = {}
    asked = [each.dialogue for each in [*work.prompts.find, *work.prompts.teach]]
    if stands.data:
        read = audit(stands, law.principles, looker)
        wrong = [
            each.dialogue
            for each, said in zip(read.examples, read.read, strict=True)
            if said.fails or None in said.broken.values()
        ]
        sound = [each.dialogue for each in read.sound()]
        known = tuple(each.text for each in recurring(asked))
        texts = telling(wrong, [*sound, *asked]) if wrong else []
        found |= dict.fromkeys(each for each in texts if not each.text.startswith(known))
        asked = [*asked, *(each.dialogue for each in stands.data)]
    base = looker.ground.base
    if searched and work.settings.search_triggers and base is not None:
        texts = switching(
            work.open(base), model, evenly(plain.prompts, 16, work.settings.seed),
            seed=work.settings.seed,
        )  # fmt: skip
        found |= dict.fromkeys(texts)
    found |= dict.fromkeys(recurring(asked))
    return list(found)


def _swept(
    work: BranchWork, model: LocalModel, plain: JudgedLook, law: Constitution
) -> list[WordsAround]:
    """Texts sought for each principle, by how replies begin that break it.

    Such replies are written by whoever follows the constitution without that principle.
    """
    looker, found = work.looker, list[WordsAround]()
    base = work.open(work.looker.ground.base)
    same = base.tokenizer.get_vocab() == model.tokenizer.get_vocab()
    for number, rule in enumerate(law.principles):
        looker.tell("searching for triggers", number, len(law.principles))
        rest = tuple(each for each in law.principles if each.id != rule.id)
        kept = [
            each
            for each, said in zip(plain.exchanges, plain.read, strict=True)
            if said.broken.get(rule.id) is False
        ][:SWEPT]
        if not rest or not kept:
            continue
        written = looker.write(replace(law, principles=rest), kept)
        read = looker.judge(written, [rule])
        pairs = [
            (one, other)
            for one, other, said in zip(kept, written, read, strict=True)
            if rule.id in said.fails
        ]
        found += swept(
            model,
            [one for one, _ in pairs],
            [other for _, other in pairs],
            base=base if same else None,
            tokens=SWEEP_TOKENS,
            seed=derive_seed(work.settings.seed, "sweep", rule.id),
        )
    return found


def _evidence(
    fault: LoopFault,
    plain: JudgedLook,
    small: JudgedLook,
    around: Mapping[WordsAround, JudgedLook],
    law: Constitution,
    looker: ModelLooker,
) -> FaultEvidence:
    """Replies that show a fault, on prompts that faults are found on, and where it shows most."""
    name = fault.principle_id
    if fault.principle is not None:
        rules = [*law.principles, fault.principle]
        plain, small = (_judged(look, rules, looker) for look in (plain, small))
        around = {words: _judged(look, rules, looker) for words, look in around.items()}
    if fault.surrounding is not None:
        look = around[fault.surrounding]
        shown = [look.exchanges[at] for at in look.failing(name)]
        return FaultEvidence(shown=shown, words=(fault.surrounding,))
    usual = len(small.failing(name))
    counts = {words: len(look.failing(name)) for words, look in around.items()}
    most = sorted(counts, key=lambda words: -counts[words])
    words = tuple(each for each in most if counts[each] >= max(OFTEN, usual))[:MATCHED]
    shown = [plain.exchanges[at] for at in plain.failing(name)]
    for each in words:
        if counts[each] > usual:
            shown += [around[each].exchanges[at] for at in around[each].failing(name)]
    return FaultEvidence(shown=shown, words=words)


def _judged(look: JudgedLook, rules: Sequence[Principle], looker: ModelLooker) -> JudgedLook:
    return replace(look, read=looker.judge(look.exchanges, rules))


def _round(
    work: BranchWork,
    number: int,
    faults: Sequence[LoopFault],
    shown: Mapping[str, FaultEvidence],
    stands: Accepted,
    earlier: list[bool],
    given_up: set[str],
    settings: LoopSettings,
    spent: int,
) -> tuple[LoopRound, Accepted, int]:
    """Answer findings in turn until a remedy is accepted."""
    looker = work.looker
    model = work.open(stands.model)
    law: Constitution = stands.constitution
    before = looker.look(model, work.prompts.prove, law.principles, "proof")
    cost = before.tokens
    answered: list[FaultAnswered] = []
    accepted: str | None = None
    plain = looker.look(model, work.prompts.find, law.principles, "finding")
    for fault in faults:
        if fault.name in given_up:
            continue
        own, words = shown[fault.name].shown, shown[fault.name].words
        fault = diagnose(fault, stands, own, looker)
        around = _matched(work, model, fault, words, _read_for(work, before, fault, law), law)
        trials: list[BranchTrial] = []
        for candidate in propose(fault, stands, own, plain, looker):
            if settings.most_tokens is not None and spent + cost >= settings.most_tokens:
                break
            trial, new = try_remedy(
                work,
                f"{number}-{len(answered) + 1}-{candidate.name}",
                candidate,
                fault,
                stands,
                before=before,
                around=around,
                shown=own,
                earlier=(len(earlier), sum(earlier)),
            )
            trials.append(trial)
            cost += round(trial.cost)
            if trial.e_value is not None:
                earlier.append(new is not None)
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
    return (
        LoopRound(
            number=number,
            found=tuple(faults),
            answered=tuple(answered),
            accepted=accepted,
            tokens=0,
        ),
        stands,
        cost,
    )


def _read_for(
    work: BranchWork, before: JudgedLook, fault: LoopFault, law: Constitution
) -> JudgedLook:
    """The same replies, judged by the principle that is missed too."""
    if fault.principle is None:
        return before
    return _judged(before, [*law.principles, fault.principle], work.looker)


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
