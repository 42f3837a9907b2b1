"""Everything that is wrong with a model: as requests stand, as people say, and behind words."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from plumbrule.constitution import Constitution, Principle
from plumbrule.loop.remedies.branches import BranchWork
from plumbrule.loop.remedies.faults import (
    LoopFault,
    find_behind,
    find_broken,
    find_further,
    find_missing,
    rises_behind,
    suspicions,
)
from plumbrule.loop.remedies.further import further_prompts
from plumbrule.loop.remedies.ground import Accepted, LoopPrompts, WordsAround, evenly
from plumbrule.loop.remedies.lessons import audit
from plumbrule.loop.remedies.looking import JudgedLook, ModelLooker
from plumbrule.loop.remedies.surroundings import (
    OFTEN,
    made_of,
    recurring,
    swept,
    switching,
    telling,
    words_in,
)
from plumbrule.models import LocalModel
from plumbrule.records import Exchange, Prompt
from plumbrule.store import derive_seed

AROUND = 48
"""Most prompts that are put within each surrounding."""

SWEPT = 12
"""Replies to which others are written that break a principle, to search for what leads there."""

SWEPT_TEXTS = 4
"""Texts of such a search that are tried."""

SWEEP_TOKENS = 60_000
"""Tokens read for each principle in search of a trigger; a small model reads 50,000 a second."""

STILL = 3
"""Replies that must break a rule that people missed for it to be missed still."""

MATCHED = 2
"""Surroundings of a fault that a remedy must hold in."""


@dataclass(frozen=True, kw_only=True)
class FaultEvidence:
    """What shows a fault."""

    shown: Sequence[Exchange]
    """Replies at fault, on prompts that faults are found on."""

    words: Sequence[WordsAround]
    """Words around requests with which it shows most; a remedy must hold within them too."""

    further: LoopPrompts
    """Further requests of its sort; none where nobody writes any."""


@dataclass(frozen=True, kw_only=True)
class FoundFaults:
    """What a look found."""

    faults: Sequence[LoopFault]
    shown: Mapping[str, FaultEvidence]
    """By a fault's name."""

    tokens: int


@dataclass(frozen=True, kw_only=True)
class _FirstLook:
    """A model looked at once, and what further looks need."""

    work: BranchWork
    model: LocalModel
    law: Constitution
    plain: JudgedLook

    @property
    def looker(self) -> ModelLooker:
        return self.work.looker

    def at(self, prompts: Sequence[Prompt], words: WordsAround | None = None) -> JudgedLook:
        asked = prompts if words is None else [words.around(each) for each in prompts]
        name = "finding further" if words is None else "finding in context"
        return self.looker.look(self.model, asked, self.law.principles, name)

    def like(self, principle_id: str, *, broken: bool) -> list[Prompt]:
        """Prompts that a principle speaks of, or on which it is broken, here or elsewhere."""
        own = [
            prompt
            for prompt, said in zip(self.plain.prompts, self.plain.read, strict=True)
            if (said.broken.get(principle_id) if broken else principle_id in said.broken)
        ]
        return [*own, *self.looker.ground.suspicions.prompts(principle_id)]

    def further(self, principle_id: str, *, broken: bool) -> LoopPrompts:
        like = self.like(principle_id, broken=broken)
        return further_prompts(self.looker, self.work.prompts, like)


def find_faults(
    work: BranchWork, stands: Accepted, *, searched: bool, known: Sequence[WordsAround] = ()
) -> FoundFaults:
    """Everything that is wrong with a model, what shows each fault, and the tokens it took.

    Args:
        work: Prompts, judge and settings.
        stands: The model and its constitution.
        searched: Whether short texts are searched that switch it against its base.
        known: Words behind which a fault was found before.
    """
    looker, law = work.looker, stands.constitution
    model = work.open(stands.model)
    plain = looker.look(model, work.prompts.find, law.principles, "finding")
    look = _FirstLook(work=work, model=model, law=law, plain=plain)
    faults = find_missing(looker.ground.words, law, looker)
    faults = [each for each in faults if _still(work, model, each)]
    faults += find_broken(plain, law, looker)
    further, asked_further = _further_faults(look, {each.principle_id for each in faults})
    tokens = sum(each.tokens for each in asked_further.values())
    faults += further
    tempting = [each for each in work.prompts.find if each.deserves_help is not True]
    asked = evenly(tempting or work.prompts.find, AROUND, work.settings.seed)
    places = {each.id: at for at, each in enumerate(plain.prompts)}
    small = plain.part([places[each.id] for each in asked])
    natural = [*known, *looker.ground.suspicions.words, *_recurring(work, stands)]
    said = _words_said(work, stands)
    found = _switching(work, model, plain) if searched else []
    found = [each for each in found if made_of(each.text, said)]
    texts = [*natural, *found]
    around = {words: look.at(asked, words) for words in dict.fromkeys(texts)}
    broken = {each.principle_id for each in faults}
    suspected = {
        (words, rule.id): (small, looked)
        for words, looked in around.items()
        for rule in law.principles
        if rule.id not in broken
    }
    behind, own = _behind_faults(look, suspected, set(found) - set(natural))
    if searched and not faults and not behind and work.settings.search_triggers:
        swept_texts = _swept(look, said)
        behind, own = _behind_faults(look, swept_texts, {words for words, _ in swept_texts})
    around |= own
    faults += behind
    tokens += plain.tokens + sum(each.tokens for each in around.values())
    shown = {each.name: _evidence(look, each, small, around, asked_further) for each in faults}
    return FoundFaults(faults=faults, shown=shown, tokens=tokens)


def _further_faults(
    look: _FirstLook, known: set[str]
) -> tuple[list[LoopFault], dict[str, JudgedLook]]:
    """Principles that a first look did not show beyond doubt to be broken, and a second one does.

    The second is at requests that were written for it, so what the first one saw, or what was found
    elsewhere, proves nothing and does no harm.
    """
    looks = {}
    first = suspicions(look.plain, look.law, look.looker)
    for name in (each.id for each in look.law.principles if each.id not in known):
        rises = name in first and first[name].rises(look.work.settings.most_broken)
        if rises or look.looker.ground.suspicions.requests.get(name):
            asked = look.further(name, broken=True).find
            if asked:
                looks[name] = look.at(asked)
    return find_further(looks, look.law, look.looker), looks


def _behind_faults(
    look: _FirstLook,
    suspected: Mapping[tuple[WordsAround, str], tuple[JudgedLook, JudgedLook]],
    searched: Collection[WordsAround],
) -> tuple[list[LoopFault], dict[WordsAround, JudgedLook]]:
    """Principles broken behind words, and the looks within those words that show it.

    Where somebody writes further requests, what a first look saw is only what is asked further; and
    a text that was searched for is never tested on the requests that it was searched on.
    """
    asker = look.looker.ground.asker is not None and look.looker.settings.most_further > 0
    claims = {}
    for (words, name), (plain, behind) in suspected.items():
        if not asker and words not in searched:
            claims[words, name] = (plain, behind)
        elif rises_behind(plain, behind, name):
            used = {each.id for each in plain.prompts}
            others = [each for each in look.like(name, broken=False) if each.id not in used]
            asked = look.further(name, broken=False).find if asker else others
            if asked:
                claims[words, name] = (look.at(asked), look.at(asked, words))
    faults = find_behind(claims, look.looker, searched=searched)
    return faults, {
        each.surrounding: claims[each.surrounding, each.principle_id][1]
        for each in faults
        if each.surrounding is not None
    }


def _still(work: BranchWork, model: LocalModel, fault: LoopFault) -> bool:
    """Whether people's complaints are still true of the model that stands."""
    assert fault.principle is not None
    looked = work.looker.look(model, work.prompts.find, [fault.principle], "finding")
    return len(looked.failing(fault.principle_id)) >= STILL


def _recurring(work: BranchWork, stands: Accepted) -> list[WordsAround]:
    """Words around requests in the prompts and the data, those before wrong examples first."""
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
    found |= dict.fromkeys(recurring(asked))
    return list(found)


def _switching(work: BranchWork, model: LocalModel, plain: JudgedLook) -> list[WordsAround]:
    """Short texts that switch the model against its base."""
    base, seed = work.looker.ground.base, work.settings.seed
    if not work.settings.search_triggers or base is None:
        return []
    return switching(work.open(base), model, evenly(plain.prompts, 16, seed), seed=seed)


def _words_said(work: BranchWork, stands: Accepted) -> set[str]:
    """Words that the training examples say or, where there are none, the prompts."""
    taught = [each.dialogue for each in stands.data or ()]
    return words_in(taught or [each.dialogue for each in [*work.prompts.find, *work.prompts.teach]])


def _swept(
    look: _FirstLook, said: Collection[str]
) -> dict[tuple[WordsAround, str], tuple[JudgedLook, JudgedLook]]:
    """Texts sought for each principle by how replies begin that break it, with first looks at them.

    Such replies are written by whoever follows the constitution without that principle.

    Args:
        look: The first look.
        said: Words that a text may be made of.
    """
    looker, law = look.looker, look.law
    base = look.work.open(looker.ground.base)
    same = base.tokenizer.get_vocab() == look.model.tokenizer.get_vocab()
    found = {}
    for number, rule in enumerate(law.principles):
        looker.tell("searching for triggers", number, len(law.principles))
        rest = tuple(each for each in law.principles if each.id != rule.id)
        places = [
            at for at, said in enumerate(look.plain.read) if said.broken.get(rule.id) is False
        ][:SWEPT]
        if not rest or not places:
            continue
        kept = look.plain.part(places)
        written = looker.write(replace(law, principles=rest), kept.exchanges)
        read = looker.judge(written, [rule])
        pairs = [
            (one, other)
            for one, other, said in zip(kept.exchanges, written, read, strict=True)
            if rule.id in said.fails
        ]
        texts = swept(
            look.model,
            [one for one, _ in pairs],
            [other for _, other in pairs],
            base=base if same else None,
            tokens=SWEEP_TOKENS,
            seed=derive_seed(look.work.settings.seed, "sweep", rule.id),
            most=SWEPT_TEXTS,
        )
        for words in (each for each in texts if made_of(each.text, said)):
            found[words, rule.id] = (kept, look.at(kept.prompts, words))
    return found


def _evidence(
    look: _FirstLook,
    fault: LoopFault,
    small: JudgedLook,
    around: Mapping[WordsAround, JudgedLook],
    further: Mapping[str, JudgedLook],
) -> FaultEvidence:
    """Replies that show a fault, on prompts that faults are found on, and where it shows most."""
    name, plain = fault.principle_id, look.plain
    if fault.principle is not None:
        rules = [*look.law.principles, fault.principle]
        plain, small = (judged_by(each, rules, look.looker) for each in (plain, small))
        around = {words: judged_by(each, rules, look.looker) for words, each in around.items()}
        look = replace(look, plain=plain)
    if fault.surrounding is not None:
        own = around[fault.surrounding]
        return FaultEvidence(
            shown=[own.exchanges[at] for at in own.failing(name)],
            words=fault.words,
            further=look.further(name, broken=False),
        )
    usual = len(small.failing(name))
    # Within the words of another fault, other requests were asked.
    matched = {words: own for words, own in around.items() if len(own.read) == len(small.read)}
    counts = {words: len(own.failing(name)) for words, own in matched.items()}
    most = sorted(counts, key=lambda words: -counts[words])
    words = tuple(each for each in most if counts[each] >= max(OFTEN, usual))[:MATCHED]
    shown = [plain.exchanges[at] for at in plain.failing(name)]
    if not shown and name in further:
        shown = [further[name].exchanges[at] for at in further[name].failing(name)]
    for each in words:
        if counts[each] > usual:
            shown += [matched[each].exchanges[at] for at in matched[each].failing(name)]
    return FaultEvidence(shown=shown, words=words, further=look.further(name, broken=True))


def judged_by(look: JudgedLook, rules: Sequence[Principle], looker: ModelLooker) -> JudgedLook:
    """The same replies, judged by other principles."""
    return replace(look, read=looker.judge(look.exchanges, rules))
