"""The data of constitutional training: revisions to imitate, and pairs to prefer between.

Source: Bai et al. (2022), "Constitutional AI", arXiv:2212.08073: rounds of critique and revision,
each under a principle drawn at random, then AI comparisons of pairs from the supervised model.
Ours: principles are drawn without replacement, a revision is asked for only where the critique
found a problem, and what was drawn is recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from plumbrule.constitution import Constitution
from plumbrule.errors import ConfigError
from plumbrule.judging import Critique, Draft, Pair, PromptSet, critique, revise, unusable
from plumbrule.models import Completion, LanguageModel
from plumbrule.records import Exchange, strict
from plumbrule.store import derive_seed


@dataclass(frozen=True, kw_only=True)
class Revising:
    """How replies are critiqued and revised."""

    rounds: int = 4
    """Rounds of critique and revision, 1 to 4 in the field; the paper uses 4."""

    with_critique: bool = True
    """False revises directly, without a critique in between."""

    temperature: float = 1.0
    """Of critic and reviser, dimensionless; the paper samples at 1."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds must be at least 1, got {self.rounds}")


@strict
@dataclass(frozen=True, kw_only=True)
class Round:
    """One round: a principle, what was found, and what came of it."""

    principle_id: str

    critique: str | None
    """None where replies are revised directly."""

    found_problem: bool | None
    """None where nobody looked, or the critique was unusable."""

    revision: str | None
    """The new reply; None where the old one stands."""

    reason: str | None
    """Why a round came to nothing that should have come to something."""


@strict
@dataclass(frozen=True, kw_only=True)
class Trail:
    """A first reply, and the rounds that led from it to the last."""

    first: Exchange
    rounds: tuple[Round, ...]

    @property
    def response(self) -> str:
        """The last reply."""
        revisions = [each.revision for each in self.rounds if each.revision is not None]
        return revisions[-1] if revisions else self.first.response

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
) -> list[Trail]:
    """Take replies through rounds of critique and revision.

    Args:
        critic: The model that critiques and revises; may be the one that replied.
        exchanges: First replies.
        constitution: Where principles are drawn from.
        prompts: The words to ask in.
        settings: How many rounds, and of what kind.
        seed: Decides the principles and every sample; recorded with the run.

    Returns:
        One trail an exchange, in order. A critique or revision that is refused, cut off or lost
        leaves the reply as it was and says so in its round.
    """
    trails = [Trail(first=exchange, rounds=()) for exchange in exchanges]
    drawn = [
        draw_principles(constitution, settings.rounds, seed=seed, exchange_id=exchange.id)
        for exchange in exchanges
    ]
    for number in range(settings.rounds):
        drafts = [
            Draft(
                dialogue=trail.first.dialogue,
                reply=trail.response,
                principle=constitution.principle(names[number]),
            )
            for trail, names in zip(trails, drawn, strict=True)
        ]
        seeds = [derive_seed(seed, "round", number, trail.first.id) for trail in trails]
        rounds = _one_round(critic, drafts, prompts=prompts, settings=settings, seeds=seeds)
        trails = [
            replace(trail, rounds=(*trail.rounds, each))
            for trail, each in zip(trails, rounds, strict=True)
        ]
    return trails


def _one_round(
    critic: LanguageModel,
    drafts: Sequence[Draft],
    *,
    prompts: PromptSet,
    settings: Revising,
    seeds: Sequence[int],
) -> list[Round]:
    found: list[Critique | None] = [None] * len(drafts)
    if settings.with_critique:
        found = list(
            critique(critic, drafts, prompts=prompts, temperature=settings.temperature, seeds=seeds)
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
    )
    revisions = dict(zip(wanted, answers, strict=True))
    return [
        _record(draft, critiqued, revisions.get(index))
        for index, (draft, critiqued) in enumerate(zip(drafts, found, strict=True))
    ]


def _record(draft: Draft, found: Critique | None, answer: Completion | None) -> Round:
    reason = found.reason if found else None
    if answer is not None:
        reason = unusable(answer)
    return Round(
        principle_id=draft.principle.id,
        critique=found.text if found else None,
        found_problem=found.found_problem if found else None,
        revision=None if answer is None or reason else answer.text.strip(),
        reason=reason,
    )


def examples_to_imitate(trails: Sequence[Trail], helpful: Sequence[Exchange]) -> list[Exchange]:
    """What supervised training learns from: last revisions, mixed with helpful replies.

    A reply that no round changed is no revision and is left out, and so is a helpful reply that
    was cut off or never came.
    """
    revisions = [
        replace(trail.first, response=trail.response, finish_reason="stop")
        for trail in trails
        if trail.revised
    ]
    return revisions + [exchange for exchange in helpful if exchange.finish_reason == "stop"]


def pairs_to_compare(candidates: Sequence[Sequence[Exchange]]) -> list[Pair]:
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
                Pair(
                    id=first.id,
                    dialogue=first.dialogue,
                    first=first.response,
                    second=second.response,
                )
            )
    return pairs


def _overlap(first: Exchange, second: Exchange) -> float:
    """Share of the words of both replies that stand in both."""
    left, right = (set(each.response.casefold().split()) for each in (first, second))
    return len(left & right) / max(1, len(left | right))
