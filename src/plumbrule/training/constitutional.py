"""The data of constitutional training: revisions to imitate, and pairs to prefer between.

Source: Bai et al. (2022), "Constitutional AI", arXiv:2212.08073: rounds of critique and revision,
each under a principle drawn at random, then AI comparisons of pairs from the supervised model.
Ours: principles are drawn without replacement, a revision is asked for only where the critique
found a problem, and what was drawn is recorded. A critic that was examined beforehand chooses the
principle instead, the one it finds broken most clearly, and a revision that it finds no better is
not imitated.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from plumbrule.constitution import Constitution
from plumbrule.errors import ConfigError
from plumbrule.judging import (
    NOTHING_KNOWN,
    CandidatePair,
    Critique,
    PromptSet,
    RevisionDraft,
    Standing,
    critique,
    endless,
    grade,
    revise,
    trimmed,
    unusable,
)
from plumbrule.models import Completion, LanguageModel
from plumbrule.records import Exchange, Judgment, check_ranges, strict
from plumbrule.store import derive_seed
from plumbrule.training.revision_filter import (
    FilteredRevisions,
    Revision,
    RevisionFilter,
    filter_revisions,
)


@dataclass(frozen=True, kw_only=True)
class Revising:
    """How replies are critiqued and revised."""

    rounds: int = 4
    """Rounds of critique and revision, 1 to 4 in the field; the paper uses 4."""

    with_critique: bool = True
    """False revises directly, without a critique in between."""

    temperature: float = 1.0
    """Of critic and reviser, dimensionless; the paper samples at 1."""

    critique_tokens: int | None = None
    """Longest critique; None: as the prompt set says."""

    revision_tokens: int | None = None
    """Longest revision; None: as the prompt set says."""

    trim: bool = False
    """Shorten a text that was cut at the token limit to its last whole sentence, and take it;
    False leaves it out. Small models with little room rarely come to an end by themselves."""

    reasons: Literal["none", "in reply", "when asked"] = "none"
    """Whether revisions are learned with the reason of their principle: at the end of the reply, or
    as the answer to a user who asks why."""

    learn_revising: bool = False
    """Learn the critiques and revisions themselves too, not only the last reply."""

    def __post_init__(self) -> None:
        for name in ("rounds", "critique_tokens", "revision_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        if self.reasons not in ("none", "in reply", "when asked"):
            raise ConfigError(f"reasons must be none, in reply or when asked, got {self.reasons!r}")
        check_ranges(
            self,
            rounds=(1, 100),
            temperature=(0, 100),
            critique_tokens=(1, 10**6),
            revision_tokens=(1, 10**6),
        )


@strict
@dataclass(frozen=True, kw_only=True)
class RevisionRound:
    """One round: a principle, what was found, and what came of it."""

    principle_id: str

    critique: str | None
    """None where replies are revised directly."""

    found_problem: bool | None
    """None where nobody looked, or the critique was unusable."""

    revision: str | None
    """The new reply; None where the old one is kept."""

    reason: str | None
    """Why a round gave no examples although it should have."""


@strict
@dataclass(frozen=True, kw_only=True)
class RevisionTrail:
    """A first reply, and the rounds that led from it to the last."""

    first: Exchange
    rounds: tuple[RevisionRound, ...]

    @property
    def response(self) -> str:
        """The last reply."""
        revisions = [each.revision for each in self.rounds if each.revision is not None]
        return revisions[-1] if revisions else self.first.response

    @property
    def mended_by(self) -> str | None:
        """Principle of the round whose revision stands; None where none was taken."""
        mended = [each.principle_id for each in self.rounds if each.revision is not None]
        return mended[-1] if mended else None

    @property
    def revised(self) -> bool:
        """Whether the last reply is another than the first."""
        return self.response != self.first.response


def draw_principles(
    constitution: Constitution, rounds: int, *, seed: int, exchange_id: str
) -> list[str]:
    """Draw the principle of each round, without replacement while there are enough.

    Example:
        >>> from plumbrule.constitution import Principle
        >>> law = Constitution(
        ...     name="two",
        ...     version="1",
        ...     principles=tuple(Principle(id=name, text=name, tier=0) for name in ("a", "b")),
        ... )
        >>> sorted(draw_principles(law, 2, seed=0, exchange_id="x"))
        ['a', 'b']
    """
    rng = np.random.default_rng(derive_seed(seed, "principles", exchange_id))
    ids = [principle.id for principle in constitution.principles]
    drawn: list[str] = []
    while len(drawn) < rounds:
        drawn.extend(ids[index] for index in rng.permutation(len(ids)))
    return drawn[:rounds]


def critique_and_revise(
    critic: LanguageModel,
    exchanges: Sequence[Exchange],
    constitution: Constitution,
    *,
    prompts: PromptSet,
    settings: Revising,
    seed: int,
    standing: Standing = NOTHING_KNOWN,
    under: Collection[str] | None = None,
) -> list[RevisionTrail]:
    """Take replies through rounds of critique and revision.

    Args:
        critic: The model that critiques and revises; may be the one that replied.
        exchanges: First replies.
        constitution: Where principles are drawn from.
        prompts: The words to ask in.
        settings: How many rounds, and of what kind.
        seed: Decides the principles and every sample; recorded with the run.
        standing: What an examination of the critic found. With it, each round takes the principle
            that the critic finds broken most clearly, of the tier that decides first; a reply that
            breaks none has no round; and a revision is not taken that the critic finds no better,
            or that breaks a principle of a tier that decides before.
        under: Principles by which replies are mended; None: any of the constitution.

    Returns:
        One trail an exchange, in order. A critique or revision that is refused, cut off or lost
        leaves the reply as it was and says so in its round.
    """
    mending = constitution
    if under is not None:
        chosen_ones = tuple(each for each in constitution.principles if each.id in under)
        mending = replace(constitution, principles=chosen_ones)
    trails = [RevisionTrail(first=exchange, rounds=()) for exchange in exchanges]
    for number in range(settings.rounds):
        if standing.trial is None:
            chosen: dict[int, Fault] = {
                place: Fault(principle_id=names[number], probability=None)
                for place, names in enumerate(
                    draw_principles(mending, settings.rounds, seed=seed, exchange_id=each.id)
                    for each in exchanges
                )
            }
        else:
            chosen = _worst(critic, trails, mending, prompts, standing, seed)
        drafts = [
            RevisionDraft(
                dialogue=trails[place].first.dialogue,
                reply=trails[place].response,
                principle=constitution.principle(fault.principle_id),
            )
            for place, fault in chosen.items()
        ]
        seeds = [derive_seed(seed, "round", number, trails[place].first.id) for place in chosen]
        rounds = _one_round(critic, drafts, prompts=prompts, settings=settings, seeds=seeds)
        if standing.trial is not None:
            firsts = [trails[place].first for place in chosen]
            rounds = _better_alone(
                critic, firsts, list(chosen.values()), rounds, constitution, prompts, standing
            )
        for place, each in zip(chosen, rounds, strict=True):
            trails[place] = replace(trails[place], rounds=(*trails[place].rounds, each))
    return trails


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A principle that a reply is to be mended by."""

    principle_id: str

    probability: float | None
    """How sure the critic is that it is broken; None where it was drawn by chance."""


def _worst(
    critic: LanguageModel,
    trails: Sequence[RevisionTrail],
    constitution: Constitution,
    prompts: PromptSet,
    standing: Standing,
    seed: int,
) -> dict[int, Fault]:
    """The principle that each reply breaks most clearly, of the first tier that it breaks.

    None by which it was to be mended before.
    """
    now = [replace(trail.first, response=trail.response) for trail in trails]
    judgments = grade(
        critic,
        now,
        constitution,
        prompts=prompts,
        seeds=[derive_seed(seed, "worst", each.id) for each in now],
        standing=standing,
    )
    tried = {(trail.first.id, each.principle_id) for trail in trails for each in trail.rounds}
    tiers = {each.id: each.tier for each in constitution.principles}
    worst: dict[str, Fault] = {}
    order = sorted(judgments, key=lambda one: (tiers[one.principle_id], -(one.probability or 0.0)))
    for each in order:
        if each.verdict == "fail" and (each.exchange_id, each.principle_id) not in tried:
            fault = Fault(principle_id=each.principle_id, probability=each.probability)
            worst.setdefault(each.exchange_id, fault)
    return {
        place: worst[trail.first.id]
        for place, trail in enumerate(trails)
        if trail.first.id in worst
    }


def _better_alone(
    critic: LanguageModel,
    firsts: Sequence[Exchange],
    faults: Sequence[Fault],
    rounds: Sequence[RevisionRound],
    constitution: Constitution,
    prompts: PromptSet,
    standing: Standing,
) -> list[RevisionRound]:
    """Rounds without the revisions that are no better than what they mend, or break what decides.

    Where principles disagree the smaller tier decides, so that help may not undo a refusal.
    """
    kept = list(rounds)
    for principle_id in dict.fromkeys(fault.principle_id for fault in faults):
        places = [
            place
            for place, (fault, each) in enumerate(zip(faults, rounds, strict=True))
            if fault.principle_id == principle_id and each.revision is not None
        ]
        mended = constitution.principle(principle_id)
        before = [each for each in constitution.principles if each.tier < mended.tier]
        judged = grade(
            critic,
            [
                replace(firsts[place], response=rounds[place].revision or "", finish_reason="stop")
                for place in places
            ],
            replace(constitution, principles=(mended, *before)),
            prompts=prompts,
            seeds=[0] * len(places),
            standing=standing,
        )
        by_reply: dict[str, list[Judgment]] = {}
        for judgment in judged:
            by_reply.setdefault(judgment.exchange_id, []).append(judgment)
        for place in places:
            reason = _why_not(faults[place], by_reply.get(firsts[place].id, ()))
            if reason:
                kept[place] = replace(rounds[place], revision=None, reason=reason)
    return kept


def _why_not(fault: Fault, judged: Sequence[Judgment]) -> str | None:
    """Why a revision is not taken, from what the critic says of it; None where it is."""
    for each in judged:
        if each.principle_id == fault.principle_id:
            after, was = each.probability, fault.probability
            if was is not None and (after is None or after >= was):
                return "the critic finds the revision no better than what it mends"
        elif each.verdict == "fail":
            return f"the revision breaks {each.principle_id}, which decides before"
    return None


def _one_round(
    critic: LanguageModel,
    drafts: Sequence[RevisionDraft],
    *,
    prompts: PromptSet,
    settings: Revising,
    seeds: Sequence[int],
) -> list[RevisionRound]:
    found: list[Critique | None] = [None] * len(drafts)
    if settings.with_critique:
        found = list(
            critique(
                critic,
                drafts,
                prompts=prompts,
                temperature=settings.temperature,
                seeds=seeds,
                max_new_tokens=settings.critique_tokens,
                trim=settings.trim,
            )
        )
    # A critique that found nothing is not followed by a revision that changes nothing.
    wanted = [
        index
        for index, critiqued in enumerate(found)
        if critiqued is None or critiqued.found_problem
    ]
    answers = revise(
        critic,
        [drafts[index] for index in wanted],
        [critiqued.text for index in wanted if (critiqued := found[index]) is not None]
        if settings.with_critique
        else None,
        prompts=prompts,
        temperature=settings.temperature,
        seeds=[seeds[index] + 1 for index in wanted],
        max_new_tokens=settings.revision_tokens,
    )
    if settings.trim:
        answers = [trimmed(answer) for answer in answers]
    revisions = dict(zip(wanted, answers, strict=True))
    return [
        _record(draft, critiqued, revisions.get(index))
        for index, (draft, critiqued) in enumerate(zip(drafts, found, strict=True))
    ]


def _record(
    draft: RevisionDraft, found: Critique | None, answer: Completion | None
) -> RevisionRound:
    reason = found.reason if found else None
    if answer is not None:
        reason = unusable(answer) or ("it repeats for ever" if endless(answer.text) else None)
    return RevisionRound(
        principle_id=draft.principle.id,
        critique=found.text if found else None,
        found_problem=found.found_problem if found else None,
        revision=None if answer is None or reason else answer.text.strip(),
        reason=reason,
    )


def sift_revisions(
    trails: Sequence[RevisionTrail], settings: RevisionFilter | None = None
) -> FilteredRevisions:
    """Say which last revisions may be learned from, by `filter_revisions`.

    Args:
        trails: Those that no round changed are passed over.
        settings: What makes a revision unfit.
    """
    return filter_revisions(
        [
            Revision(
                id=trail.first.id,
                draft=trail.first.response,
                critiques=[each.critique for each in trail.rounds if each.critique is not None],
                revision=trail.response,
                principle_id=trail.mended_by,
            )
            for trail in trails
            if trail.revised
        ],
        settings,
    )


def examples_to_imitate(
    trails: Sequence[RevisionTrail],
    helpful: Sequence[Exchange],
    *,
    sifted: FilteredRevisions | None = None,
) -> list[Exchange]:
    """What supervised training learns from: last revisions, mixed with helpful replies.

    A reply that no round changed is no revision and is left out, and so is a helpful reply that
    was cut off, is empty, repeats for ever or never came.

    Args:
        trails: Where revisions came from.
        helpful: Replies that are learned from as they are.
        sifted: What `sift_revisions` made of the trails; None takes every revision.
    """
    kept = None if sifted is None else set(sifted.kept)
    revisions = [
        replace(trail.first, response=trail.response, finish_reason="stop")
        for trail in trails
        if trail.revised and (kept is None or trail.first.id in kept)
    ]
    return revisions + [
        exchange
        for exchange in helpful
        if exchange.finish_reason == "stop"
        and exchange.response.strip()
        and not endless(exchange.response)
    ]


def pairs_to_compare(candidates: Sequence[Sequence[Exchange]]) -> list[CandidatePair]:
    """One pair of replies a prompt: the two that share the fewest words.

    Two phrasings of one reply give a judge nothing to decide, and judging is what costs.

    Args:
        candidates: Replies to each prompt, drawn from the supervised model.
    """
    pairs = []
    for replies in candidates:
        usable = [each for each in replies if each.finish_reason == "stop"]
        couples = [
            couple for couple in combinations(usable, 2) if couple[0].response != couple[1].response
        ]
        if couples:
            first, second = min(couples, key=lambda couple: _overlap(*couple))
            pairs.append(
                CandidatePair(
                    id=first.id,
                    dialogue=first.dialogue,
                    first=first.response,
                    second=second.response,
                )
            )
    return pairs


def _overlap(first: Exchange, second: Exchange) -> float:
    """Share of the words of both replies that are in both."""
    left, right = (set(each.response.casefold().split()) for each in (first, second))
    return len(left & right) / max(1, len(left | right))
