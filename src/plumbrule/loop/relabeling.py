"""Labels under an amended constitution: what the amendment leaves as it is, and what it asks again.

A label is one answer about one thing under one principle. It stays where asking again would put the
same question: the principle's words as the judge reads them, its border, whether the request is in
its reach, and what is left out of a reply that talks to its judge. All else is asked again, and the
answers of one thing are combined anew, because tiers may have moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from plumbrule.constitution import Constitution, ConstitutionDiff, diff
from plumbrule.judging import (
    CandidatePair,
    Standing,
    combine,
    compare,
    compare_by_grades,
    grade,
    suspect,
    transcript,
)
from plumbrule.loop.steps import Jury
from plumbrule.loop.workspace import Staging
from plumbrule.models import LanguageModel
from plumbrule.records import Dialogue, Exchange, Judgment, Preference, strict
from plumbrule.store import derive_seed, fingerprint

UNASKED = ("none", "condition")
"""Methods of judgments that nobody was asked for: they count neither as kept nor as asked again."""


@dataclass(frozen=True, kw_only=True)
class AmendedQuestions:
    """Which principles one judge is asked about in the same words before and after."""

    before: Constitution
    after: Constitution
    standing_before: Standing
    standing_after: Standing

    known_as: Mapping[str, str]
    """Principle in the newer version → the same question's principle in the older one."""

    why: Mapping[str, str]
    """Principle in the newer version that is asked about anew → why."""

    def same_reach(self, thing: str, principle_id: str) -> bool:
        """Whether a request is inside a principle's reach before and after."""
        return (
            self.standing_before.outside(thing, self.known_as[principle_id]) is None
            and self.standing_after.outside(thing, principle_id) is None
        )

    def same_talk(self, dialogue: Dialogue, replies: Sequence[str]) -> bool:
        """Whether replies seem to talk to their judge in the same way under both."""
        request = transcript(dialogue)
        old, new = ([each.text for each in law.principles] for law in (self.before, self.after))
        return old == new or all(
            suspect(reply, request=request, principles=old)
            == suspect(reply, request=request, principles=new)
            for reply in replies
        )


def amended_questions(
    before: Constitution,
    after: Constitution,
    *,
    standing_before: Standing,
    standing_after: Standing,
    changes: ConstitutionDiff | None = None,
) -> AmendedQuestions:
    """Hold the questions of two versions against each other.

    Args:
        before: The older version.
        after: The newer version.
        standing_before: What is known of the judge under the older one.
        standing_after: The same under the newer one.
        changes: Their difference, where it is known already.
    """
    changes = diff(before, after) if changes is None else changes
    old_name = {each.after: each.before for each in changes.renamed}
    old = {each.id: each for each in standing_before.judged(before)}
    known_as, why = {}, {}
    for principle in standing_after.judged(after):
        name = old_name.get(principle.id, principle.id)
        if name not in old:
            there = any(each.id == name for each in before.principles)
            why[principle.id] = "not judged before" if there else "new"
        elif (principle.text, principle.statement()) != (old[name].text, old[name].statement()):
            why[principle.id] = "its words changed"
        elif standing_before.border(name) != standing_after.border(principle.id):
            why[principle.id] = "its worked examples moved the judge's border"
        else:
            known_as[principle.id] = name
    return AmendedQuestions(
        before=before,
        after=after,
        standing_before=standing_before,
        standing_after=standing_after,
        known_as=known_as,
        why=why,
    )


@strict
@dataclass(frozen=True, kw_only=True)
class RelabeledPair:
    """A preference under the newer version, and which of its labels are older."""

    preference: Preference

    kept: tuple[str, ...]
    """Principles whose label is that of the older version."""

    asked: tuple[str, ...]
    """Principles asked about again."""


@strict
@dataclass(frozen=True, kw_only=True)
class RelabeledReply:
    """Judgments of a reply under the newer version, and which of them are older."""

    judgments: tuple[Judgment, ...]
    kept: tuple[str, ...]
    asked: tuple[str, ...]


def relabel_pairs(
    critic: LanguageModel,
    known: Sequence[Preference],
    questions: AmendedQuestions,
    jury: Jury,
    *,
    seeds: Sequence[int],
) -> list[RelabeledPair]:
    """Compare pairs again under the principles that an amendment touches, and under no other.

    Args:
        critic: Who compares, the same as before.
        known: What it said under the older version.
        questions: Which principles are the same question.
        jury: The jury under the newer version.
        seeds: One per pair.
    """
    standing = questions.standing_after
    judged = [each.id for each in standing.judged(questions.after)]
    missing: list[tuple[str, ...]] = []
    for each in known:
        same = questions.same_talk(each.dialogue, (each.first, each.second))
        wanted = [name for name in judged if standing.outside(each.id, name) is None]
        missing.append(tuple(n for n in wanted if not (same and _kept(questions, each.id, n))))
    fresh: dict[int, Preference] = {}
    for group in dict.fromkeys(missing):
        places = [at for at, names in enumerate(missing) if names == group and group]
        pairs = [
            CandidatePair(id=e.id, dialogue=e.dialogue, first=e.first, second=e.second)
            for e in (known[at] for at in places)
        ]
        tried = standing.trial is not None
        answers = (compare_by_grades if tried else compare)(
            critic,
            pairs,
            questions.after,
            prompts=jury.prompts,
            seeds=[seeds[at] for at in places],
            standing=replace(standing, only=frozenset(group)),
        )
        fresh.update(zip(places, answers, strict=True))
    return [
        _merged(each, fresh.get(at), missing[at], judged, questions)
        for at, each in enumerate(known)
    ]


def _kept(questions: AmendedQuestions, thing: str, principle_id: str) -> bool:
    return principle_id in questions.known_as and questions.same_reach(thing, principle_id)


def _merged(
    old: Preference,
    fresh: Preference | None,
    asked: Sequence[str],
    judged: Sequence[str],
    questions: AmendedQuestions,
) -> RelabeledPair:
    """One preference of older and newer labels, decided by the tiers of the newer version."""
    standing = questions.standing_after
    kept = [name for name in judged if name not in asked and standing.outside(old.id, name) is None]
    labels, disagreement = {}, {}
    for name in kept:  # one that got no answer before is kept without one
        before = questions.known_as[name]
        if before in old.by_principle:
            labels[name] = old.by_principle[before]
        if before in old.order_disagreement:
            disagreement[name] = old.order_disagreement[before]
    if fresh is not None:
        labels |= fresh.by_principle
        disagreement |= fresh.order_disagreement
    return RelabeledPair(
        preference=replace(
            old,
            probability=combine(labels, questions.after),
            by_principle=labels,
            order_disagreement=disagreement,
            constitution_sha256=questions.after.sha256,
            method=old.method if fresh is None or fresh.method == "none" else fresh.method,
        ),
        kept=tuple(kept),
        asked=tuple(asked),
    )


def relabel_replies(
    judge: LanguageModel,
    exchanges: Sequence[Exchange],
    known: Sequence[Judgment],
    questions: AmendedQuestions,
    jury: Jury,
    *,
    seeds: Sequence[int],
) -> list[RelabeledReply]:
    """Grade replies again under the principles that an amendment touches, and under no other.

    Args:
        judge: Who grades, the same as before.
        exchanges: The replies; some may be new.
        known: What it said of them under the older version; none of a reply that is new.
        questions: Which principles are the same question.
        jury: The jury under the newer version.
        seeds: One per reply.
    """
    standing = questions.standing_after
    judged = [each.id for each in standing.judged(questions.after)]
    told = {(each.exchange_id, each.principle_id): each for each in known}
    missing: list[tuple[str, ...]] = []
    for each in exchanges:
        same = questions.same_talk(each.dialogue, (each.response,))
        missing.append(
            tuple(
                name
                for name in judged
                if not (
                    same
                    and _kept(questions, each.id, name)
                    and (each.id, questions.known_as[name]) in told
                )
            )
        )
    fresh: dict[tuple[str, str], Judgment] = {}
    for group in dict.fromkeys(missing):
        places = [at for at, names in enumerate(missing) if names == group and group]
        found = grade(
            judge,
            [exchanges[at] for at in places],
            questions.after,
            prompts=jury.prompts,
            seeds=[seeds[at] for at in places],
            standing=replace(standing, only=frozenset(group)),
        )
        fresh |= {(each.exchange_id, each.principle_id): each for each in found}
    return [
        _relabeled(each, names, judged, told, fresh, questions)
        for each, names in zip(exchanges, missing, strict=True)
    ]


def _relabeled(
    exchange: Exchange,
    missing: Sequence[str],
    judged: Sequence[str],
    told: Mapping[tuple[str, str], Judgment],
    fresh: Mapping[tuple[str, str], Judgment],
    questions: AmendedQuestions,
) -> RelabeledReply:
    found = [
        fresh[exchange.id, name]
        if name in missing
        else replace(
            told[exchange.id, questions.known_as[name]],
            principle_id=name,
            constitution_sha256=questions.after.sha256,
        )
        for name in judged
    ]
    really = {each.principle_id for each in found if each.method not in UNASKED}
    return RelabeledReply(
        judgments=tuple(found),
        kept=tuple(name for name in judged if name in really and name not in missing),
        asked=tuple(name for name in missing if name in really),
    )


@strict
@dataclass(frozen=True, kw_only=True)
class LabelReuse:
    """How many labels an amendment left as they were."""

    kept: int
    asked: int

    @property
    def share(self) -> float | None:
        """Labels kept per label needed; None where none was needed."""
        return self.kept / (self.kept + self.asked) if self.kept + self.asked else None


def reuse_of(records: Sequence[RelabeledPair] | Sequence[RelabeledReply]) -> LabelReuse:
    """Count labels kept and asked again."""
    return LabelReuse(
        kept=sum(len(each.kept) for each in records),
        asked=sum(len(each.asked) for each in records),
    )


def relabel_preferences(
    run: Staging,
    name: str,
    jury: Jury,
    questions: AmendedQuestions,
    known: Sequence[Preference],
) -> list[RelabeledPair]:
    """The stage in which pairs of the older run are labeled by the newer version."""

    def work(shard: Sequence[Preference], seed: int) -> list[RelabeledPair]:
        seeds = [derive_seed(seed, each.id) for each in shard]
        return relabel_pairs(jury.critic, shard, questions, jury, seeds=seeds)

    return run.stage(
        name,
        known,
        work,
        kind=RelabeledPair,
        inputs={**jury.inputs(jury.critic, jury.critic_standing), **_inputs(questions)},
        models=[jury.critic],
    )


def relabel_examined(
    run: Staging,
    name: str,
    jury: Jury,
    questions: AmendedQuestions,
    exchanges: Sequence[Exchange],
    known: Sequence[Judgment],
) -> list[RelabeledReply]:
    """The stage in which replies of the older run's examination are graded by the newer version."""
    told: dict[str, list[Judgment]] = {}
    for each in known:
        told.setdefault(each.exchange_id, []).append(each)

    def work(shard: Sequence[Exchange], seed: int) -> list[RelabeledReply]:
        seeds = [derive_seed(seed, each.id) for each in shard]
        own = [judgment for each in shard for judgment in told.get(each.id, ())]
        return relabel_replies(jury.judge, shard, own, questions, jury, seeds=seeds)

    inputs = {**jury.inputs(jury.judge, jury.judge_standing), **_inputs(questions)}
    inputs["known"] = fingerprint([[each.exchange_id, each.verdict] for each in known])
    return run.stage(name, exchanges, work, kind=RelabeledReply, inputs=inputs, models=[jury.judge])


def _inputs(questions: AmendedQuestions) -> dict[str, str]:
    return {"amends": questions.before.sha256}
