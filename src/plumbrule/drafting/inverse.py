"""A constitution found again from preferences, and how many others explain them as well.

Principles are proposed from one part of the pairs, voted on by a second, and measured on a third
that decided nothing. Axes: N pairs, M rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float
from scipy import stats

from plumbrule.constitution import Constitution, Principle
from plumbrule.drafting.alternatives import (
    OtherConstitutions,
    Yardstick,
    count_others,
    hits,
    instead,
)
from plumbrule.drafting.ballots import Ballots, cast, chances, fit, labels_of
from plumbrule.drafting.candidates import (
    Face,
    Library,
    PreferenceJudge,
    PreferenceRule,
    ReplyProperty,
    pair_key,
)
from plumbrule.drafting.gathering import make_library
from plumbrule.drafting.pairs import LabeledPair, PairSet
from plumbrule.drafting.principles import distinct, rule_id, word
from plumbrule.drafting.selecting import PROPOSED, regrown, select_rules, without_idle
from plumbrule.drafting.views import linked
from plumbrule.drafting.wordings import Embed, text_vectors
from plumbrule.errors import ConfigError, DataError
from plumbrule.records import Estimate
from plumbrule.statistics import wilson
from plumbrule.statistics.checks import check_level
from plumbrule.store import Tell, derive_seed, fingerprint, silent

SHARES = (0.5, 0.3, 0.2)
"""Of the pairs, to propose from, to vote on, and to measure on."""

MOST_PRINCIPLES = 12
"""Of a constitution; a set should be small enough to be read."""

FEWEST_PAIRS = 40
"""Pairs below which nothing is looked for."""

TIES = 0.01
"""By how much a heavier vote counts for more where votes count alike: it decides ties."""

VOTED_AT_ONCE = 16
"""Pairs that a judge votes on before progress is told."""

SAME_WORDS = 0.5
"""Distance up to which two principles that a model wrote are one."""


@dataclass(frozen=True, kw_only=True)
class InversePrinciple:
    """One principle that explains labels."""

    principle_id: str
    text: str
    rule: PreferenceRule
    weight: float
    """Log-odds by which its vote moves the prediction, beside the others."""

    right: int
    """Pairs of those voted on where it has a say and names the preferred reply."""

    wrong: int
    p_value: float
    """Of its vote on those pairs beside the other principles, one-sided."""

    agreement: Estimate
    """Of its own votes with the labels where it has a say, on pairs it was not proposed from."""

    said_on: float
    """Share of pairs on which it has a say."""

    alternatives: tuple[str, ...]
    """Other rules that do as well in its place, in words, the likeliest first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InverseDraft:
    """What the labels say."""

    constitution: Constitution | None
    """None where no principle was confirmed; `reason` then says why."""

    reason: str | None
    principles: tuple[InversePrinciple, ...]
    """By the place in which they decide."""

    unconfirmed: tuple[str, ...]
    """Rules that were proposed but that the vote did not confirm, in words."""

    agreement: Estimate | None
    """Of the constitution's predictions with the labels on pairs that decided nothing."""

    longer_wins: Estimate
    """The same of the rule that the longer reply is preferred."""

    always_first: Estimate
    """The same of the rule that the first reply is preferred."""

    others: OtherConstitutions | None
    proposed_from: int
    voted_on: int
    measured_on: int
    candidates: int
    """Rules that were looked at."""

    pairs: PairSet
    library: Library

    def predict(self, pairs: Sequence[LabeledPair]) -> Float[np.ndarray, " N"]:
        """Log-odds that the first reply is preferred; 0 where no principle has a say."""
        total = np.zeros(len(pairs))
        for each in self.principles:
            total += each.weight * self.library.votes(each.rule, pairs)
        return total

    def votes(self, pairs: Sequence[LabeledPair]) -> Float[np.ndarray, "M N"]:
        """What each principle says of each pair: 1 for the first, -1 for the second, 0 neither."""
        return cast([each.rule for each in self.principles], self.library, pairs).T


def draft_inverse(
    given: PairSet,
    properties: Sequence[ReplyProperty],
    *,
    name: str = "inverse",
    seed: int = 0,
    level: float = 0.95,
    most: int = MOST_PRINCIPLES,
    embed: Embed | None = None,
    judge: PreferenceJudge | None = None,
    tell: Tell = silent,
) -> InverseDraft:
    """Find principles that explain labels.

    Args:
        given: Labeled pairs.
        properties: Readable properties of replies that a principle may be about.
        name: What the constitution is called.
        seed: Of the division of the pairs, of topics, and of the constitutions that are tried.
        level: Of intervals; 1 - `level` is the expected share of false ones among the confirmed.
        most: Principles at most.
        embed: A sentence encoder, by which phrases of like meaning are put together.
        judge: Proposes principles in words, and votes under them on every pair.
        tell: Told of progress: what the judge proposed and voted on, principles that were found.

    Returns:
        What was confirmed, each set of phrases then filled up by what the first two parts of the
        pairs show together; its agreement on the third part, which decided nothing; and how many
        others do as well.

    Raises:
        ConfigError: A setting is out of range.
        DataError: There are too few pairs, or the judge gave something else than votes.

    Source:
        Findeis et al. (2024), "Inverse Constitutional AI", arXiv:2406.06560, for the task, and for
        principles that vote on pairs. Forward selection counts what is looked at, as the extended
        information criterion of Chen & Chen (2008) does: a rule with a condition costs more.
        Confirmed are the one-sided score tests that Benjamini & Hochberg (1995) keep; the weights
        of phrases that join a set are those of Genovese, Roeder & Wasserman (2006), "False
        discovery control with p-value weighting". The count of other constitutions is ours.
    """
    check_level(level)
    if not 1 <= most <= 50:
        raise ConfigError(f"principles at most must be between 1 and 50, got {most}")
    if len(given.pairs) < FEWEST_PAIRS:
        raise DataError(
            f"expected at least {FEWEST_PAIRS} labeled pairs, got {len(given.pairs)}: fewer say "
            "nothing that would hold on others"
        )
    learn, vote, measure = _divided(given.pairs, seed)
    tell("gathering what could explain", 0, 1)
    library = make_library(learn, properties, seed=seed, embed=embed)
    if judge is not None:
        library = _with_judge(library, judge, learn, [*learn, *vote, *measure], tell)
    grid = Ballots.of(library, learn)
    rules = select_rules(grid, max(most, PROPOSED), partial(tell, "finding principles"))
    tell("confirming and measuring", 0, 1)
    kept, unsure = _confirmed(rules, grid, vote, 1 - level)
    kept, unsure = kept[:most], [*unsure, *(rule for rule, _ in kept[most:])]
    if kept:
        grid = Ballots.of(library, [*learn, *vote])  # what is measured on stays untouched
        rules = [rule for rule, _ in kept]
        votes = grid.votes(rules)
        for _ in range(2):
            rules, votes = regrown(rules, votes, grid, confirmed=True)
        p_values = {id(rule): p for rule, (_, p) in zip(rules, kept, strict=True)}
        useful = without_idle(rules, votes, grid.labels, np.log(len(grid.pairs)) / 2)
        unsure += [rule for rule in rules if id(rule) not in {id(each) for each in useful}]
        kept = [(rule, p_values[id(rule)]) for rule in useful]
    return _drafted(kept, unsure, grid, vote, measure, given, name, level, seed)


def _divided(
    pairs: Sequence[LabeledPair], seed: int
) -> tuple[list[LabeledPair], list[LabeledPair], list[LabeledPair]]:
    """Three parts; pairs of one dialogue stay together, so that no part has seen another's."""
    asked: dict[str, list[LabeledPair]] = {}
    for pair in pairs:
        key = fingerprint([[turn.role, turn.content] for turn in pair.dialogue])
        asked.setdefault(key, []).append(pair)
    order = np.random.default_rng(derive_seed(seed, "parts")).permutation(len(asked))
    groups = list(asked.values())
    parts: tuple[list[LabeledPair], ...] = ([], [], [])
    ends = np.cumsum(SHARES) * len(pairs)
    done = 0
    for at in order.tolist():
        parts[int(np.searchsorted(ends[:2], done, side="right"))].extend(groups[at])
        done += len(groups[at])
    return parts[0], parts[1], parts[2]


def _confirmed(
    rules: Sequence[PreferenceRule], grid: Ballots, vote: Sequence[LabeledPair], false_share: float
) -> tuple[list[tuple[PreferenceRule, float]], list[PreferenceRule]]:
    """Rules that held-out pairs vote for beside the others, with their p-values, and the rest."""
    if not rules or not vote:
        return [], list(rules)
    labels = labels_of(vote)
    votes = grid.votes(rules)
    held = cast(rules, grid.library, vote)
    p_values = np.ones(len(rules))
    for at in range(len(rules)):
        weights, _ = fit(np.delete(votes, at, 1), grid.labels)
        predicted = chances(np.delete(held, at, 1) @ weights)
        spread = float((held[:, at] ** 2 * predicted * (1 - predicted)).sum())
        if spread > 0:
            score = float(held[:, at] @ (labels - predicted)) / spread**0.5
            p_values[at] = stats.norm.sf(score)
    fine = stats.false_discovery_control(p_values, method="bh") <= false_share
    kept = [(rules[at], float(p_values[at])) for at in np.flatnonzero(fine).tolist()]
    return kept, [rules[at] for at in np.flatnonzero(~fine).tolist()]


def _drafted(
    kept: Sequence[tuple[PreferenceRule, float]],
    unsure: Sequence[PreferenceRule],
    grid: Ballots,
    vote: Sequence[LabeledPair],
    measure: Sequence[LabeledPair],
    given: PairSet,
    name: str,
    level: float,
    seed: int,
) -> InverseDraft:
    library = grid.library
    principles: list[InversePrinciple] = []
    others, agreement, constitution = None, None, None
    if kept:
        votes = grid.votes([rule for rule, _ in kept])
        weights, _ = fit(votes, grid.labels)
        order = np.argsort(-weights, kind="stable").tolist()
        kept, weights = [kept[at] for at in order], weights[order]
        rules = [rule for rule, _ in kept]
        weights = _alike_if_as_good(votes[:, order], weights, grid.pairs)
        right = hits(cast(rules, library, measure) @ weights, measure)
        agreement = _share_right(right, level)
        yardstick = Yardstick(pairs=measure, right=right, level=level)
        alternatives = [instead(at, rules, grid, yardstick) for at in range(len(rules))]
        others = count_others(rules, alternatives, grid, yardstick, seed)
        principles = _principles(kept, weights, alternatives, library, vote, measure, level)
        constitution = _constitution(principles, name, given, agreement)
    lengths = np.array([len(pair.first.split()) - len(pair.second.split()) for pair in measure])
    return InverseDraft(
        constitution=constitution,
        reason=None
        if principles
        else "no rule explains the labels well enough for held-out pairs to confirm it",
        principles=tuple(principles),
        unconfirmed=tuple(word(rule, library) for rule in unsure),
        agreement=agreement,
        longer_wins=_share_right(hits(lengths, measure), level),
        always_first=_share_right(hits(np.ones(len(measure)), measure), level),
        others=others,
        proposed_from=len(given.pairs) - len(vote) - len(measure),
        voted_on=len(vote),
        measured_on=len(measure),
        candidates=2 * grid.cost.size,
        pairs=given,
        library=library,
    )


def _alike_if_as_good(
    votes: Float[np.ndarray, "N M"], weights: Float[np.ndarray, " M"], pairs: Sequence[LabeledPair]
) -> Float[np.ndarray, " M"]:
    """Let each vote count alike, and the heavier decide ties, where that explains as many labels.

    Of two ways to put votes together that do as well, the one without weights is easier to follow.
    """
    ranks = np.arange(len(weights), 0, -1) / len(weights)
    alike = weights.mean() * (1 + TIES * ranks)
    if hits(votes @ alike, pairs).sum() >= hits(votes @ weights, pairs).sum():
        return np.asarray(alike)
    return weights


def _share_right(right: np.ndarray, level: float) -> Estimate:
    return wilson(int(right.sum()), len(right), level=level, unit="share of labels")


def _principles(
    kept: Sequence[tuple[PreferenceRule, float]],
    weights: Float[np.ndarray, " M"],
    alternatives: Sequence[Sequence[PreferenceRule]],
    library: Library,
    vote: Sequence[LabeledPair],
    measure: Sequence[LabeledPair],
    level: float,
) -> list[InversePrinciple]:
    made: list[InversePrinciple] = []
    held = [*vote, *measure]
    signs = np.where(labels_of(held) > 0.5, 1, -1)
    names = distinct([rule_id(rule) for rule, _ in kept])
    for at, (rule, p_value) in enumerate(kept):
        votes = library.votes(rule, held)
        says = votes != 0
        told = (np.sign(votes) == signs) & says
        right = int(told[: len(vote)].sum())
        made.append(
            InversePrinciple(
                principle_id=names[at],
                text=word(rule, library),
                rule=rule,
                weight=float(weights[at]),
                right=right,
                wrong=int(says[: len(vote)].sum()) - right,
                p_value=p_value,
                agreement=wilson(
                    int(told.sum()), max(1, int(says.sum())), level=level, unit="share of labels"
                ),
                said_on=float(says.mean()),
                alternatives=tuple(word(other, library) for other in alternatives[at]),
            )
        )
    return made


def tiers_of(weights: Sequence[float]) -> list[int]:
    """Tier of each principle, heaviest first: a new one where no lighter ones together outweigh.

    Example:
        >>> tiers_of([4.0, 1.2, 1.0, 0.9])
        [0, 1, 1, 2]
    """
    tiers, tier = [], 0
    for at in range(len(weights)):
        if at and weights[at - 1] > sum(weights[at:]):
            tier += 1
        tiers.append(tier)
    return tiers


def _constitution(
    principles: Sequence[InversePrinciple],
    name: str,
    given: PairSet,
    agreement: Estimate,
) -> Constitution:
    return Constitution(
        name=name,
        version="1",
        description=(
            f"Read off {len(given.pairs):,} labeled pairs of replies. It names the preferred reply "
            f"in {agreement.value:.1%} [{agreement.low:.1%}, {agreement.high:.1%}] of "
            f"{agreement.n:,} pairs that decided nothing. It says what explains the labels, not "
            "why people chose so; other constitutions explain them as well."
        ),
        principles=tuple(
            Principle(
                id=each.principle_id,
                text=each.text,
                tier=tier,
                source=(
                    f"Preferences: votes as labeled on {each.right:,} held-out pairs and against "
                    f"the label on {each.wrong:,} (p = {each.p_value:.2g} beside the others); has "
                    f"a say on {each.said_on:.0%} of pairs; weight {each.weight:.2f}."
                ),
            )
            for each, tier in zip(
                principles, tiers_of([each.weight for each in principles]), strict=True
            )
        ),
    )


def _with_judge(
    library: Library,
    judge: PreferenceJudge,
    learn: Sequence[LabeledPair],
    everything: Sequence[LabeledPair],
    tell: Tell,
) -> Library:
    """Add principles in words, one of each that say the same, with a judge's votes on all pairs."""
    tell("proposing principles", 0, 1)
    texts = [" ".join(str(each).split()) for each in judge.propose(learn)]
    texts = list(dict.fromkeys(each for each in texts if each))
    if not texts:
        return library
    vectors = text_vectors(texts)
    of = linked(np.clip(1 - vectors @ vectors.T, 0, 2), SAME_WORDS)
    chosen = [texts[int(np.flatnonzero(of == at)[0])] for at in range(int(of.max()) + 1)]
    parts = []
    for start in range(0, len(everything), VOTED_AT_ONCE):
        tell("voting on pairs", start, len(everything))
        some = everything[start : start + VOTED_AT_ONCE]
        part = np.asarray(judge.vote(chosen, some), dtype=np.float64)
        if part.shape != (len(chosen), len(some)) or not (np.abs(part) <= 1).all():
            raise DataError(
                f"expected {len(chosen)} x {len(some)} votes from -1 to 1 of the judge, got the "
                f"shape {part.shape}"
            )
        parts.append(part)
    votes = np.concatenate(parts, axis=1)
    tell("voting on pairs", len(everything), len(everything))
    keys = [pair_key(pair) for pair in everything]
    table = {
        text: dict(zip(keys, row.tolist(), strict=True))
        for text, row in zip(chosen, votes, strict=True)
    }
    faces = [Face(kind="judged", name=text) for text in chosen]
    return replace(library, faces=(*library.faces, *faces), judged=table, judge=judge, seen={})
