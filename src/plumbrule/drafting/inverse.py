"""A constitution found again from preferences, and how many others explain them as well.

Principles are proposed from one part of the pairs, voted on by a second, and measured on a third
that decided nothing. Axes: N pairs, M rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from jaxtyping import Float
from scipy import stats

from plumbrule.constitution import Constitution, Principle
from plumbrule.constitution.schema import slug
from plumbrule.drafting.candidates import (
    Face,
    Library,
    PreferenceJudge,
    PreferenceRule,
    ReplyProperty,
    make_library,
    pair_key,
)
from plumbrule.drafting.pairs import LabeledPair, PairSet
from plumbrule.drafting.views import linked
from plumbrule.drafting.wordings import Embed, text_vectors
from plumbrule.errors import ConfigError, DataError
from plumbrule.records import Estimate
from plumbrule.statistics import mcnemar_exact, wilson
from plumbrule.statistics.checks import check_level
from plumbrule.store import Progress, derive_seed, fingerprint, silent

SHARES = (0.5, 0.3, 0.2)
"""Of the pairs, to propose from, to vote on, and to measure on."""

MOST_PRINCIPLES = 12
"""Of a constitution; a set should be small enough to be read."""

FEWEST_PAIRS = 40
"""Pairs below which nothing is looked for."""

FALSE_PHRASES = 0.2
"""Expected share of phrases in a set that pull by chance (Benjamini-Hochberg)."""

IDLE = 0.15
"""Chance of its pull above which a phrase leaves a set."""

LIKENESS = 4.0
"""How much more easily a phrase joins a set that is worded as it is: the log of the weight of its
p-value goes by this times the cosine."""

RIDGE = 2.0
"""Inverse variance of what a single phrase weighs beforehand, in log-odds."""

PHRASE_COST = 0.5
"""Nats that each phrase of a set has to make up for beside."""

TIES = 0.01
"""By how much a heavier vote counts for more where votes count alike: it decides ties."""

PROPOSED = 20
"""Rules that are put to the vote at most."""

STRICT = 0.5
"""Share of the log of the number of rules of its kind that a rule must gain before it is put to the
vote: the gamma of an extended information criterion."""

PRICE = 1.0
"""Nats that it must gain besides, as in AIC; stricter is the vote."""

ALTERNATIVES = 24
"""Rules that are tried in the place of each principle, the likeliest first."""

TRIED = 400
"""Constitutions that are tried where all cannot be."""

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


@dataclass(frozen=True, kw_only=True)
class OtherConstitutions:
    """How far the labels leave open which constitution is behind them."""

    by_place: tuple[int, ...]
    """Of each principle, the other rules that can stand in its place, the rest unchanged."""

    smaller: int
    """Constitutions of some of the principles, not all, that do as well."""

    considered: int
    """Constitutions that have in each place the principle or one that can stand there, the found
    one left out."""

    as_well: int
    """Of these, how many do as well: counted where all were tried, else estimated."""

    share: Estimate | None
    """The share that does as well, with its interval; None where none was to be tried."""

    counted: bool
    """Whether all were tried."""


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
        rows = [self.library.votes(each.rule, pairs) for each in self.principles]
        return np.array(rows).reshape(len(rows), len(pairs))


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
    progress: Progress = silent,
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
        progress: Told after each principle that was found.

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
    library = make_library(learn, properties, seed=seed, embed=embed)
    if judge is not None:
        library = _with_judge(library, judge, learn, [*learn, *vote, *measure])
    grid = _Ballots.of(library, learn)
    rules = _selected(grid, library, learn, max(most, PROPOSED), progress)
    kept, unsure = _confirmed(rules, library, learn, vote, 1 - level)
    kept, unsure = kept[:most], [*unsure, *(rule for rule, _ in kept[most:])]
    if kept:
        both = [*learn, *vote]
        grid, learn = _Ballots.of(library, both), both  # what is measured on stays untouched
        rules = [rule for rule, _ in kept]
        votes = _table(rules, library, both)
        for _ in range(2):
            rules, votes = _regrown(rules, votes, grid, library, both, confirmed=True)
        p_values = {id(rule): p for rule, (_, p) in zip(rules, kept, strict=True)}
        useful = _without_idle(rules, votes, _labels(both), np.log(len(both)) / 2)
        unsure += [rule for rule in rules if id(rule) not in {id(each) for each in useful}]
        kept = [(rule, p_values[id(rule)]) for rule in useful]
    return _drafted(kept, unsure, grid, library, (learn, vote, measure), given, name, level, seed)


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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ballots:
    """Every face under every condition, on the pairs that principles are proposed from."""

    shown: Float[np.ndarray, "N F"]
    holds: Float[np.ndarray, "N C"]
    single: Float[np.ndarray, "N phrases"]
    """Which reply has each single phrase."""

    cost: Float[np.ndarray, "F C"]
    """Log of the number of rules of the kind, which each has to make up for."""

    @classmethod
    def of(cls, library: Library, pairs: Sequence[LabeledPair]) -> "_Ballots":
        faces, conditions = library.faces, library.conditions
        shown, single = library.table(pairs)
        topics = library.topics.of(pairs)
        holds = np.array(
            [
                topics[each.topics] == each.topic
                if each.kind == "topic"
                else library.holds(each, pairs)
                for each in conditions
            ],
            dtype=np.float64,
        ).T
        kinds = np.array([face.kind for face in faces])
        by_face = np.log([max(1, int((kinds == kind).sum())) for kind in kinds])
        always = np.array([each.kind == "always" for each in conditions])
        by_condition = np.where(always, 0.0, np.log(max(2, len(conditions))))
        return cls(
            shown=shown.astype(np.float64),
            holds=holds,
            single=single.astype(np.float64),
            cost=by_face[:, None] + by_condition[None, :] + np.log(2),
        )

    def scores(
        self, residual: Float[np.ndarray, " N"], spread: Float[np.ndarray, " N"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score of each face under each condition, in standard errors, and its information."""
        gain = (self.shown * residual[:, None]).T @ self.holds
        information = (self.shown**2 * spread[:, None]).T @ self.holds
        return gain / np.sqrt(np.maximum(information, 1e-9)), information


def _fit(
    votes: Float[np.ndarray, "N M"],
    labels: Float[np.ndarray, " N"],
    ridge: Float[np.ndarray, " M"] | float = 0.1,
) -> tuple[Float[np.ndarray, " M"], float]:
    """Weights of a logistic model without an intercept, and its log-likelihood."""
    weights = np.zeros(votes.shape[1])
    held = np.broadcast_to(np.asarray(ridge, dtype=np.float64), weights.shape)
    for _ in range(30):
        odds = np.clip(votes @ weights, -30, 30)
        predicted = 1 / (1 + np.exp(-odds))
        slope = votes.T @ (labels - predicted) - held * weights
        spread = predicted * (1 - predicted)
        curve = (votes * spread[:, None]).T @ votes + np.diag(held)
        step = np.linalg.solve(curve, slope)
        weights = weights + np.clip(step, -2, 2)
        if np.abs(step).max(initial=0) < 1e-8:
            break
    odds = np.clip(votes @ weights, -30, 30)
    return weights, float((labels * odds - np.logaddexp(0, odds)).sum())


def _labels(pairs: Sequence[LabeledPair]) -> Float[np.ndarray, " N"]:
    return np.array([pair.probability for pair in pairs], dtype=np.float64)


def _selected(
    grid: _Ballots,
    library: Library,
    pairs: Sequence[LabeledPair],
    most: int,
    progress: Progress,
) -> list[PreferenceRule]:
    """Add the rule that pays most for itself, until none does; then drop what no longer does."""
    labels = _labels(pairs)
    rules: list[PreferenceRule] = []
    votes = np.zeros((len(pairs), 0))
    weights, likelihood = _fit(votes, labels)
    while len(rules) < most:
        odds = np.clip(votes @ weights, -30, 30)
        predicted = 1 / (1 + np.exp(-odds))
        residual, spread = labels - predicted, predicted * (1 - predicted)
        z, information = grid.scores(residual, spread)
        worth = np.where(information >= 1.0, z**2 / 2 - STRICT * grid.cost, -np.inf) - PRICE
        tried: list[tuple[PreferenceRule, float]] = []
        for flat in np.argsort(-worth, axis=None, kind="stable")[:6].tolist():
            face, condition = np.unravel_index(flat, worth.shape)
            if worth[face, condition] > -2 * PRICE:
                rule = PreferenceRule(
                    face=library.faces[face],
                    direction=1 if z[face, condition] > 0 else -1,
                    condition=library.conditions[condition],
                )
                tried.append((rule, float(grid.cost[face, condition])))
        tried += _sets(rules, votes, grid, library, labels)
        best: tuple[float, PreferenceRule, np.ndarray] | None = None
        for rule, cost in tried:
            own = library.votes(rule, pairs)
            _, together = _fit(np.column_stack([votes, own]), labels)
            gain = together - likelihood - STRICT * cost - PRICE
            if best is None or gain > best[0] + 1e-9:
                best = gain, rule, own
        if best is None or best[0] <= 0:
            break
        rules.append(best[1])
        votes = np.column_stack([votes, best[2]])
        weights, likelihood = _fit(votes, labels)
        progress(len(rules), most)
    rules, votes = _regrown(rules, votes, grid, library, pairs)
    rules, votes = _parted(rules, votes, grid, library, pairs)
    rules = _united(rules)
    votes = _table(rules, library, pairs)
    rules, votes = _regrown(rules, votes, grid, library, pairs)
    return _without_idle(rules, votes, labels, PRICE)


def _without_idle(
    rules: Sequence[PreferenceRule],
    votes: Float[np.ndarray, "N M"],
    labels: Float[np.ndarray, " N"],
    price: float,
) -> list[PreferenceRule]:
    """Drop rules that were right by themselves and are idle beside others; the heaviest first."""
    made, table = list(rules), votes
    weights, likelihood = _fit(table, labels)
    while len(made) > 1:
        without = [_fit(np.delete(table, at, 1), labels)[1] for at in range(len(made))]
        idle = int(np.argmax(without))
        if likelihood - without[idle] > price and weights[idle] > 0:
            break
        del made[idle]
        table = np.delete(table, idle, 1)
        weights, likelihood = _fit(table, labels)
    return [made[at] for at in np.argsort(-weights, kind="stable").tolist()]


def _of_one_effect(
    rule: PreferenceRule,
    library: Library,
    place: np.ndarray,
    z: Float[np.ndarray, " phrases"],
    information: Float[np.ndarray, " phrases"],
) -> frozenset[str]:
    """Phrases that are likelier to pull as a confirmed set does than not at all."""
    inside = np.array([library.phrases[row] in rule.face.phrases for row in place])
    if not inside.any():
        return rule.face.phrases
    gain = rule.direction * z[place] * np.sqrt(information[place])
    weight = information[place]
    effect = max(0.0, float(gain[inside].sum() / weight[inside].sum()))
    likelier = effect * gain - effect**2 * weight / 2 > 0
    # Of what is no whole sentence, or belongs to a subject, nothing is known here: it stays.
    known = {library.phrases[row] for row in place.tolist()}
    return frozenset(library.phrases[row] for row in place[likelier].tolist()) | (
        rule.face.phrases - known
    )


def _weighted(
    library: Library,
    face: Face,
    place: np.ndarray,
    p_values: np.ndarray,
) -> np.ndarray:
    """P-values divided by weights of mean 1: phrases worded like a set join it more easily."""
    at = [row for row, phrase in enumerate(library.phrases) if phrase in face.phrases]
    center = library.vectors[at].mean(0) if at else np.zeros(library.vectors.shape[1])
    length = float(np.linalg.norm(center))
    near = library.vectors[place] @ center / (length or 1.0)
    weights = np.exp(LIKENESS * near)
    new = ~np.isin(place, at)  # the set's own are like it in any case
    weights = np.where(new, weights / weights[new].mean(), 1.0) if new.any() else 1.0 + 0 * near
    return np.asarray(np.minimum(p_values / weights, 1.0))


def _united(rules: Sequence[PreferenceRule]) -> list[PreferenceRule]:
    """Sets of phrases with one direction, one condition and one place in replies are one set."""
    found: dict[object, PreferenceRule] = {}
    for number, rule in enumerate(rules):
        face = rule.face
        joins = face.kind == "phrases" and rule.condition.kind != "always"
        key = (rule.direction, rule.condition, face.opening) if joins else number
        if key in found:
            both = found[key].face.phrases | face.phrases
            rule = replace(rule, face=replace(face, phrases=both))
        found[key] = rule
    return list(found.values())


def _parted(
    rules: Sequence[PreferenceRule],
    votes: Float[np.ndarray, "N M"],
    grid: _Ballots,
    library: Library,
    pairs: Sequence[LabeledPair],
) -> tuple[list[PreferenceRule], Float[np.ndarray, "N M"]]:
    """Part sets that were taken to hold always from phrases that hold on some requests alone.

    What is wanted on one topic and something else that is wanted on another look, in the mean over
    all requests, like one set of phrases that are liked a little everywhere.
    """
    labels = _labels(pairs)
    made, table = list(rules), votes.copy()
    price = STRICT * np.log(max(2, len(library.conditions))) + PRICE
    at = {phrase: row for row, phrase in enumerate(library.phrases)}
    place = 0
    while place < len(made) and len(made) < 2 * PROPOSED:
        rule = made[place]
        if rule.face.kind != "phrases" or rule.condition.kind != "always":
            place += 1
            continue
        rest = np.delete(table, place, 1)
        others = [other for where, other in enumerate(made) if where != place]
        z, information = _pulls(others, rest, grid, library, labels, grid.holds)
        gain = rule.direction * z * np.sqrt(np.maximum(information, 1e-9))
        everywhere = [each.kind for each in library.conditions].index("always")
        best: tuple[float, list[PreferenceRule], np.ndarray] | None = None
        _, likelihood = _fit(table, labels)
        rows = np.array([at[phrase] for phrase in sorted(rule.face.phrases) if phrase in at])
        for column, condition in enumerate(library.conditions):
            if condition.kind == "always":
                continue
            out = gain[rows, everywhere] - gain[rows, column]
            left = information[rows, everywhere] - information[rows, column]
            outside = out / np.sqrt(np.maximum(left, 1.0))
            inside = rule.direction * z[rows, column]
            bound = rows[(inside > 1.0) & (inside > outside)]
            if not len(bound):
                continue
            own = frozenset(library.phrases[row] for row in bound.tolist())
            parts = [
                replace(rule, face=replace(rule.face, phrases=own), condition=condition),
                replace(rule, face=replace(rule.face, phrases=rule.face.phrases - own)),
            ]
            parts = [part for part in parts if part.face.phrases]
            cast = np.array([library.votes(part, pairs) for part in parts]).T
            _, parted = _fit(np.column_stack([rest, cast]), labels)
            won = parted - likelihood - price
            if won > 0 and (best is None or won > best[0]):
                best = won, parts, cast
        if best is None:
            place += 1
            continue
        made[place : place + 1] = best[1][::-1]  # what still holds always is looked at again
        table = np.column_stack([table[:, :place], best[2][:, ::-1], table[:, place + 1 :]])
    return made, table


def _regrown(
    rules: Sequence[PreferenceRule],
    votes: Float[np.ndarray, "N M"],
    grid: _Ballots,
    library: Library,
    pairs: Sequence[LabeledPair],
    *,
    confirmed: bool = False,
) -> tuple[list[PreferenceRule], Float[np.ndarray, "N M"]]:
    """Look for further phrases of each set once the other rules explain what is theirs.

    Where a set was confirmed, most phrases of its place that are in no other set and pull its way
    are of it; and rules with its condition may speak of the same thing, so they do not count.
    """
    labels = _labels(pairs)
    made, table = list(rules), votes.copy()
    for at, rule in enumerate(made):
        if rule.face.kind != "phrases":
            continue
        apart = [
            place
            for place, other in enumerate(made)
            if place != at
            and not (
                confirmed
                and (other.condition, other.direction) == (rule.condition, rule.direction)
                and rule.condition.kind != "always"
            )
        ]
        rest, others = table[:, apart], [made[place] for place in apart]
        holds = library.holds(rule.condition, pairs).astype(np.float64)[:, None]
        z, information = (one[:, 0] for one in _pulls(others, rest, grid, library, labels, holds))
        taken = frozenset[str]().union(
            *(other.face.phrases for place, other in enumerate(made) if place != at)
        )
        untaken = np.array(
            [each not in taken or each in rule.face.phrases for each in library.phrases], dtype=bool
        )
        place = np.flatnonzero(
            library.own
            & library.free
            & untaken
            & (library.openings == rule.face.opening)
            & (information >= 1.0)
        )
        if not len(place):
            continue
        if confirmed:
            chosen = _of_one_effect(rule, library, place, z, information)
            if chosen:
                made[at] = replace(rule, face=replace(rule.face, phrases=chosen))
                table[:, at] = library.votes(made[at], pairs)
            continue
        p_values = stats.norm.sf(rule.direction * z[place])
        p_values = _weighted(library, rule.face, place, p_values)
        adjusted = stats.false_discovery_control(p_values, method="bh")
        kept = place[adjusted <= FALSE_PHRASES]
        # What joined while others' work was not yet explained leaves where it stands idle.
        idle = {library.phrases[row] for row in place[p_values > IDLE].tolist()}
        left = {library.phrases[row] for row in kept.tolist()} | (rule.face.phrases - idle)
        if not left:
            continue
        made[at] = replace(rule, face=replace(rule.face, phrases=frozenset(left)))
        table[:, at] = library.votes(made[at], pairs)
    return made, table


def _pulls(
    rules: Sequence[PreferenceRule],
    votes: Float[np.ndarray, "N M"],
    grid: _Ballots,
    library: Library,
    labels: Float[np.ndarray, " N"],
    holds: Float[np.ndarray, "N C"],
) -> tuple[Float[np.ndarray, "phrases C"], Float[np.ndarray, "phrases C"]]:
    """How each phrase pulls under each condition beside all others, in standard errors.

    All phrases enter at once, held back by a ridge: replies that open with one thing do not open
    with another, so that each by itself would seem to pull the other way of its neighbors.
    """
    taken = frozenset[str]().union(*(rule.face.phrases for rule in rules))
    joint = library.own & library.free
    joint &= np.array([phrase not in taken for phrase in library.phrases], dtype=bool)
    columns = np.flatnonzero(joint)
    weights, _ = _fit(
        np.column_stack([votes, grid.single[:, columns]]),
        labels,
        np.array([0.1] * votes.shape[1] + [RIDGE] * len(columns)),
    )
    odds = np.column_stack([votes, grid.single[:, columns]]) @ weights
    predicted = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    own = np.zeros(len(library.phrases))
    own[columns] = weights[votes.shape[1] :]
    information = (grid.single**2 * (predicted * (1 - predicted))[:, None]).T @ holds
    gain = (grid.single * (labels - predicted)[:, None]).T @ holds + own[:, None] * information
    return gain / np.sqrt(np.maximum(information, 1e-9)), information


def _sets(
    rules: Sequence[PreferenceRule],
    votes: Float[np.ndarray, "N M"],
    grid: _Ballots,
    library: Library,
    labels: Float[np.ndarray, " N"],
    most: int = 6,
) -> list[tuple[PreferenceRule, float]]:
    """Sets of phrases that pull the same way under one condition and from one place in replies.

    Whatever they mean: wordings of one thing need not share a word. They are what a
    Benjamini-Hochberg procedure keeps among all phrases of that place, so that where nothing
    pulls, no set is made.
    """
    if not library.phrases:
        return []
    z, information = _pulls(rules, votes, grid, library, labels, grid.holds)
    gain = z * np.sqrt(np.maximum(information, 1e-9))
    taken = frozenset[str]().union(*(rule.face.phrases for rule in rules))
    untaken = np.array([phrase not in taken for phrase in library.phrases], dtype=bool)
    found: list[tuple[float, PreferenceRule, float]] = []
    for column, condition in enumerate(library.conditions):
        kind = 0.0 if condition.kind == "always" else np.log(max(2, len(library.conditions)))
        for opening in (True, False):
            place = np.flatnonzero(
                library.own
                & library.free
                & untaken
                & (library.openings == opening)
                & (information[:, column] >= 1.0)
            )
            for direction in (1, -1):
                p_values = stats.norm.sf(direction * z[place, column])
                if not len(place) or p_values.min() > FALSE_PHRASES:
                    continue
                kept = place[stats.false_discovery_control(p_values, method="bh") <= FALSE_PHRASES]
                if len(kept) < 2:
                    continue
                pooled = gain[kept, column].sum() ** 2 / information[kept, column].sum() / 2
                cost = float(kind + np.log(4) + PHRASE_COST * len(kept))
                phrases = frozenset(library.phrases[at] for at in kept.tolist())
                rule = PreferenceRule(
                    face=Face(kind="phrases", name="", phrases=phrases, opening=opening),
                    direction=direction,
                    condition=condition,
                )
                found.append((float(pooled - cost), rule, cost))
    found.sort(key=lambda each: -each[0])
    return [(rule, cost) for _, rule, cost in found[:most]]


def _confirmed(
    rules: Sequence[PreferenceRule],
    library: Library,
    learn: Sequence[LabeledPair],
    vote: Sequence[LabeledPair],
    false_share: float,
) -> tuple[list[tuple[PreferenceRule, float]], list[PreferenceRule]]:
    """Rules that held-out pairs vote for beside the others, with their p-values, and the rest."""
    if not rules or not vote:
        return [], list(rules)
    labels = _labels(vote)
    votes = _table(rules, library, learn)
    held = _table(rules, library, vote)
    p_values = np.ones(len(rules))
    for at in range(len(rules)):
        others = np.delete(votes, at, 1)
        weights, _ = _fit(others, _labels(learn))
        predicted = 1 / (1 + np.exp(-np.clip(np.delete(held, at, 1) @ weights, -30, 30)))
        spread = float((held[:, at] ** 2 * predicted * (1 - predicted)).sum())
        if spread > 0:
            score = float(held[:, at] @ (labels - predicted)) / spread**0.5
            p_values[at] = stats.norm.sf(score)
    adjusted = stats.false_discovery_control(p_values, method="bh")
    kept = [
        (rule, float(p))
        for rule, p, fine in zip(rules, p_values, adjusted <= false_share, strict=True)
        if fine
    ]
    names = {id(rule) for rule, _ in kept}
    return kept, [rule for rule in rules if id(rule) not in names]


def _table(
    rules: Sequence[PreferenceRule], library: Library, pairs: Sequence[LabeledPair]
) -> Float[np.ndarray, "N M"]:
    rows = [library.votes(rule, pairs) for rule in rules]
    return np.array(rows).reshape(len(rows), len(pairs)).T


def _drafted(
    kept: Sequence[tuple[PreferenceRule, float]],
    unsure: Sequence[PreferenceRule],
    grid: _Ballots,
    library: Library,
    parts: tuple[Sequence[LabeledPair], Sequence[LabeledPair], Sequence[LabeledPair]],
    given: PairSet,
    name: str,
    level: float,
    seed: int,
) -> InverseDraft:
    learn, vote, measure = parts
    rules = [rule for rule, _ in kept]
    weights = np.zeros(0)
    principles: list[InversePrinciple] = []
    others, agreement = None, None
    if rules:
        votes = _table(rules, library, learn)
        weights, _ = _fit(votes, _labels(learn))
        order = np.argsort(-weights, kind="stable").tolist()
        rules, weights = [rules[at] for at in order], weights[order]
        weights = _alike_if_as_good(votes[:, order], weights, learn)
        p_values = [kept[at][1] for at in order]
        held = _table(rules, library, measure)
        right = _hits(held @ weights, measure)
        agreement = _share_right(right, level)
        instead = [
            _instead(at, rules, grid, library, learn, measure, right, level)
            for at in range(len(rules))
        ]
        others = _others(rules, instead, library, learn, measure, right, level, seed)
        principles = _principles(rules, weights, p_values, instead, library, vote, measure, level)
    lengths = np.array([len(pair.first.split()) - len(pair.second.split()) for pair in measure])
    return InverseDraft(
        constitution=_constitution(principles, name, given, agreement) if principles else None,
        reason=None
        if principles
        else "no rule explains the labels well enough for held-out pairs to confirm it",
        principles=tuple(principles),
        unconfirmed=tuple(word(rule, library) for rule in unsure),
        agreement=agreement,
        longer_wins=_share_right(_hits(lengths, measure), level),
        always_first=_share_right(_hits(np.ones(len(measure)), measure), level),
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
    if _hits(votes @ alike, pairs).sum() >= _hits(votes @ weights, pairs).sum():
        return np.asarray(alike)
    return weights


def _hits(odds: np.ndarray, pairs: Sequence[LabeledPair]) -> np.ndarray:
    """Where a prediction names the preferred reply; a coin that falls by the pair decides ties."""
    coin = np.array(
        [1 if int(fingerprint([pair.request, pair.first])[0], 16) < 8 else -1 for pair in pairs]
    )
    named = np.where(np.sign(odds) == 0, coin, np.sign(odds))
    return np.asarray(named == np.where(_labels(pairs) > 0.5, 1, -1))


def _share_right(right: np.ndarray, level: float) -> Estimate:
    return wilson(int(right.sum()), len(right), level=level, unit="share of labels")


def _as_well(right: np.ndarray, other: np.ndarray, level: float) -> bool:
    """Whether another constitution is better, or a paired test cannot tell the two apart."""
    return bool(other.sum() >= right.sum()) or (mcnemar_exact(right, other) > 1 - level)


def _instead(
    at: int,
    rules: Sequence[PreferenceRule],
    grid: _Ballots,
    library: Library,
    learn: Sequence[LabeledPair],
    measure: Sequence[LabeledPair],
    right: np.ndarray,
    level: float,
) -> list[PreferenceRule]:
    """Other rules that can stand in one principle's place, the rest unchanged."""
    rest = [rule for place, rule in enumerate(rules) if place != at]
    labels = _labels(learn)
    votes = _table(rest, library, learn)
    weights, _ = _fit(votes, labels)
    predicted = 1 / (1 + np.exp(-np.clip(votes @ weights, -30, 30)))
    z, information = grid.scores(labels - predicted, predicted * (1 - predicted))
    worth = np.where(information >= 1.0, z**2 / 2 - grid.cost, -np.inf)
    own = library.votes(rules[at], learn)
    held_rest = _table(rest, library, measure)
    found: list[PreferenceRule] = []
    seen = [own]
    for flat in np.argsort(-worth, axis=None, kind="stable")[: 4 * ALTERNATIVES].tolist():
        face, condition = np.unravel_index(flat, worth.shape)
        if worth[face, condition] <= 0 or len(found) == ALTERNATIVES:
            break
        rule = PreferenceRule(
            face=library.faces[face],
            direction=1 if z[face, condition] > 0 else -1,
            condition=library.conditions[condition],
        )
        cast = library.votes(rule, learn)
        if any(np.array_equal(cast, each) for each in seen):
            continue  # the same in other words
        seen.append(cast)
        fitted, _ = _fit(np.column_stack([votes, cast]), labels)
        odds = np.column_stack([held_rest, library.votes(rule, measure)]) @ fitted
        if _as_well(right, _hits(odds, measure), level):
            found.append(rule)
    return found


def _others(
    rules: Sequence[PreferenceRule],
    instead: Sequence[Sequence[PreferenceRule]],
    library: Library,
    learn: Sequence[LabeledPair],
    measure: Sequence[LabeledPair],
    right: np.ndarray,
    level: float,
    seed: int,
) -> OtherConstitutions:
    """Count, or estimate from some, the other constitutions that do as well."""
    labels = _labels(learn)
    choices = [[rule, *more] for rule, more in zip(rules, instead, strict=True)]
    votes = [[library.votes(rule, learn) for rule in each] for each in choices]
    held = [[library.votes(rule, measure) for rule in each] for each in choices]

    def does(picked: Sequence[int | None]) -> bool:
        places = [(at, one) for at, one in enumerate(picked) if one is not None]
        table = np.array([votes[at][one] for at, one in places]).T
        weights, _ = _fit(table, labels)
        odds = np.array([held[at][one] for at, one in places]).T @ weights
        return _as_well(right, _hits(odds, measure), level)

    smaller = 0
    if len(rules) <= 8:
        for picked in product((0, None), repeat=len(rules)):
            left = sum(one is not None for one in picked)
            smaller += 0 < left < len(rules) and does(picked)
    sizes = [len(each) for each in choices]
    considered = int(np.prod(sizes, dtype=object)) - 1
    if considered <= TRIED:
        tried = [each for each in product(*map(range, sizes)) if any(each)]
    else:
        rng = np.random.default_rng(derive_seed(seed, "other constitutions"))
        tried = []
        while len(tried) < TRIED:
            each = tuple(int(rng.integers(size)) for size in sizes)
            if any(each):
                tried.append(each)
    well = sum(map(does, tried))
    share = wilson(well, len(tried), level=level, unit="share of constitutions") if tried else None
    return OtherConstitutions(
        by_place=tuple(map(len, instead)),
        smaller=smaller,
        considered=considered,
        as_well=well if considered <= TRIED else round(considered * well / len(tried)),
        share=share,
        counted=considered <= TRIED,
    )


def _principles(
    rules: Sequence[PreferenceRule],
    weights: Float[np.ndarray, " M"],
    p_values: Sequence[float],
    instead: Sequence[Sequence[PreferenceRule]],
    library: Library,
    vote: Sequence[LabeledPair],
    measure: Sequence[LabeledPair],
    level: float,
) -> list[InversePrinciple]:
    made: list[InversePrinciple] = []
    taken: set[str] = set()
    held = [*vote, *measure]
    signs = np.where(_labels(held) > 0.5, 1, -1)
    for at, rule in enumerate(rules):
        cast = library.votes(rule, held)
        says = cast != 0
        hits = np.sign(cast) == signs
        on_vote = slice(0, len(vote))
        right = int((hits & says)[on_vote].sum())
        base = _id(rule, library)
        principle_id, number = base, 2
        while principle_id in taken:
            principle_id, number = f"{base}-{number}", number + 1
        taken.add(principle_id)
        made.append(
            InversePrinciple(
                principle_id=principle_id,
                text=word(rule, library),
                rule=rule,
                weight=float(weights[at]),
                right=right,
                wrong=int(says[on_vote].sum()) - right,
                p_value=p_values[at],
                agreement=wilson(
                    int((hits & says).sum()),
                    max(1, int(says.sum())),
                    level=level,
                    unit="share of labels",
                ),
                said_on=float(says.mean()),
                alternatives=tuple(word(other, library) for other in instead[at]),
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
    agreement: Estimate | None,
) -> Constitution:
    assert agreement is not None
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


SHOWN_PHRASES = 6
"""Phrases of a set that a principle quotes, the commonest first."""


def word(rule: PreferenceRule, library: Library) -> str:
    """A rule as a principle that a model can read; quoted phrases are the replies' own."""
    face = rule.face
    if face.kind == "property":
        chosen = next(each for each in library.properties if each.name == face.name)
        text = chosen.more if rule.direction > 0 else chosen.less
    elif face.kind == "judged":
        text = face.name if rule.direction > 0 else f"Prefer the reply that does not: {face.name}"
    else:
        verb = "says" if rule.direction > 0 else "does not say"
        text = f"Prefer the reply that {verb} {_quoted(sorted(face.phrases))}."
    if rule.condition.kind == "always":
        return text
    names = _quoted(sorted(rule.condition.phrases)) or f"topic {rule.condition.topic}"
    said = "mentions" if rule.condition.kind == "mentions" else "is about such things as"
    return f"When the request {said} {names}: {text[:1].lower()}{text[1:]}"


def _quoted(phrases: Sequence[str]) -> str:
    shown = [f"\u201c{each}\u201d" for each in phrases[:SHOWN_PHRASES]]
    if len(phrases) > SHOWN_PHRASES:
        shown.append(f"or one of {len(phrases) - SHOWN_PHRASES} like these")
        return ", ".join(shown)
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def _id(rule: PreferenceRule, library: Library) -> str:
    face = rule.face
    name = face.name if face.kind != "phrases" else " ".join(min(face.phrases, key=len).split()[:4])
    parts = ["more" if rule.direction > 0 else "less", *slug(name).split("-")[:5]]
    if rule.condition.kind != "always":
        about = sorted(rule.condition.phrases, key=len)[:1] or [str(rule.condition.topic)]
        parts += ["when", *slug(about[0]).split("-")[:3]]
    del library
    return "-".join(part for part in parts if part)


def _with_judge(
    library: Library,
    judge: PreferenceJudge,
    learn: Sequence[LabeledPair],
    everything: Sequence[LabeledPair],
) -> Library:
    """Add principles in words, one of each that say the same, with a judge's votes on all pairs."""
    texts = [" ".join(str(each).split()) for each in judge.propose(learn)]
    texts = list(dict.fromkeys(each for each in texts if each))
    if not texts:
        return library
    vectors = text_vectors(texts)
    of = linked(np.clip(1 - vectors @ vectors.T, 0, 2), SAME_WORDS)
    chosen = [texts[int(np.flatnonzero(of == at)[0])] for at in range(int(of.max()) + 1)]
    votes = np.asarray(judge.vote(chosen, everything), dtype=np.float64)
    if votes.shape != (len(chosen), len(everything)) or not (np.abs(votes) <= 1).all():
        raise DataError(
            f"expected {len(chosen)} x {len(everything)} votes from -1 to 1 of the judge, got the "
            f"shape {votes.shape}"
        )
    keys = [pair_key(pair) for pair in everything]
    table = {
        text: dict(zip(keys, row.tolist(), strict=True))
        for text, row in zip(chosen, votes, strict=True)
    }
    faces = [Face(kind="judged", name=text) for text in chosen]
    return replace(library, faces=(*library.faces, *faces), judged=table, judge=judge, seen={})
