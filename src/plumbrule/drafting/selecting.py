"""Rules that are put to the vote: those that together explain the pairs they are proposed from.

Axes: N pairs, M rules.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy import stats

from plumbrule.drafting.ballots import Ballots, Votes, fit
from plumbrule.drafting.candidates import Face, Library, PreferenceRule
from plumbrule.store import Progress

FALSE_PHRASES = 0.2
"""Expected share of phrases in a set that pull by chance (Benjamini-Hochberg)."""

IDLE = 0.15
"""Chance of its pull above which a phrase leaves a set."""

LIKENESS = 4.0
"""How much more easily a phrase joins a set that is worded as it is: the log of the weight of its
p-value goes by this times the cosine."""

PHRASE_COST = 0.5
"""Nats that each phrase of a set has to make up for beside."""

PROPOSED = 20
"""Rules that are put to the vote at most."""

STRICT = 0.5
"""Share of the log of the number of rules of its kind that a rule must gain before it is put to the
vote: the gamma of an extended information criterion."""

PRICE = 1.0
"""Nats that it must gain besides, as in AIC; stricter is the vote."""

MOST_SETS = 6
"""Sets of phrases that are tried at a time."""


def select_rules(grid: Ballots, most: int, progress: Progress) -> list[PreferenceRule]:
    """Add the rule that pays most for itself, until none does; then drop what no longer does."""
    rules: list[PreferenceRule] = []
    votes = np.zeros((len(grid.pairs), 0))
    likelihood = fit(votes, grid.labels)[1]
    while len(rules) < most:
        tried = [
            (rule, cost)
            for rule, worth, cost in grid.ranked(votes, strict=STRICT, price=PRICE, most=6)
            if worth > -2 * PRICE
        ]
        best: tuple[float, PreferenceRule, np.ndarray] | None = None
        for rule, cost in [*tried, *_sets(rules, votes, grid)]:
            own = grid.library.votes(rule, grid.pairs)
            _, together = fit(np.column_stack([votes, own]), grid.labels)
            gain = together - likelihood - STRICT * cost - PRICE
            if best is None or gain > best[0] + 1e-9:
                best = gain, rule, own
        if best is None or best[0] <= 0:
            break
        rules.append(best[1])
        votes = np.column_stack([votes, best[2]])
        likelihood = fit(votes, grid.labels)[1]
        progress(len(rules), most)
    rules, votes = regrown(rules, votes, grid)
    rules, votes = _parted(rules, votes, grid)
    rules = _united(rules)
    rules, votes = regrown(rules, grid.votes(rules), grid)
    return without_idle(rules, votes, grid.labels, PRICE)


def without_idle(
    rules: Sequence[PreferenceRule], votes: Votes, labels: Float[np.ndarray, " N"], price: float
) -> list[PreferenceRule]:
    """Drop rules that were right by themselves and are idle beside others; the heaviest first."""
    made, table = list(rules), votes
    weights, likelihood = fit(table, labels)
    while len(made) > 1:
        without = [fit(np.delete(table, at, 1), labels)[1] for at in range(len(made))]
        idle = int(np.argmax(without))
        if likelihood - without[idle] > price and weights[idle] > 0:
            break
        del made[idle]
        table = np.delete(table, idle, 1)
        weights, likelihood = fit(table, labels)
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
    known = _texts(library, place)
    return _texts(library, place[likelier]) | (rule.face.phrases - known)


def _texts(library: Library, rows: np.ndarray) -> frozenset[str]:
    return frozenset(library.phrases[row] for row in rows.tolist())


def _weighted(library: Library, face: Face, place: np.ndarray, p_values: np.ndarray) -> np.ndarray:
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
            rule = _with_phrases(rule, found[key].face.phrases | face.phrases)
        found[key] = rule
    return list(found.values())


def _with_phrases(rule: PreferenceRule, phrases: frozenset[str]) -> PreferenceRule:
    return replace(rule, face=replace(rule.face, phrases=phrases))


def _parted(
    rules: Sequence[PreferenceRule], votes: Votes, grid: Ballots
) -> tuple[list[PreferenceRule], Votes]:
    """Part sets that were taken to hold always from phrases that hold on some requests alone.

    What is wanted on one topic and something else that is wanted on another look, in the mean over
    all requests, like one set of phrases that are liked a little everywhere.
    """
    library, labels = grid.library, grid.labels
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
        z, information = grid.pulls([*made[:place], *made[place + 1 :]], rest)
        gain = rule.direction * z * np.sqrt(np.maximum(information, 1e-9))
        everywhere = [each.kind for each in library.conditions].index("always")
        best: tuple[float, list[PreferenceRule], np.ndarray] | None = None
        _, likelihood = fit(table, labels)
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
            own = _texts(library, bound)
            parts = [
                replace(_with_phrases(rule, own), condition=condition),
                _with_phrases(rule, rule.face.phrases - own),
            ]
            parts = [part for part in parts if part.face.phrases]
            cast = grid.votes(parts)
            _, parted = fit(np.column_stack([rest, cast]), labels)
            won = parted - likelihood - price
            if won > 0 and (best is None or won > best[0]):
                best = won, parts, cast
        if best is None:
            place += 1
            continue
        made[place : place + 1] = best[1][::-1]  # what still holds always is looked at again
        table = np.column_stack([table[:, :place], best[2][:, ::-1], table[:, place + 1 :]])
    return made, table


def regrown(
    rules: Sequence[PreferenceRule], votes: Votes, grid: Ballots, *, confirmed: bool = False
) -> tuple[list[PreferenceRule], Votes]:
    """Look for further phrases of each set once the other rules explain what is theirs.

    Where a set was confirmed, most phrases of its place that are in no other set and pull its way
    are of it; and rules with its condition may speak of the same thing, so they do not count.
    """
    library = grid.library
    made, table = list(rules), votes.copy()
    for at, rule in enumerate(made):
        if rule.face.kind != "phrases":
            continue
        others = [place for place in range(len(made)) if place != at]
        apart = [
            place
            for place in others
            if not confirmed
            or rule.condition.kind == "always"
            or (made[place].condition, made[place].direction) != (rule.condition, rule.direction)
        ]
        holds = library.holds(rule.condition, grid.pairs).astype(np.float64)[:, None]
        z, information = (
            one[:, 0]
            for one in grid.pulls([made[place] for place in apart], table[:, apart], holds)
        )
        untaken = grid.untaken([made[place] for place in others], but=rule.face)
        place = grid.joining(untaken, rule.face.opening, information)
        if not len(place):
            continue
        if confirmed:
            chosen = _of_one_effect(rule, library, place, z, information)
        else:
            p_values = stats.norm.sf(rule.direction * z[place])
            p_values = _weighted(library, rule.face, place, p_values)
            adjusted = stats.false_discovery_control(p_values, method="bh")
            # What joined while others' work was not yet explained leaves where it stands idle.
            idle = _texts(library, place[p_values > IDLE])
            kept = _texts(library, place[adjusted <= FALSE_PHRASES])
            chosen = kept | (rule.face.phrases - idle)
        if chosen:
            made[at] = _with_phrases(rule, chosen)
            table[:, at] = library.votes(made[at], grid.pairs)
    return made, table


def _sets(
    rules: Sequence[PreferenceRule], votes: Votes, grid: Ballots
) -> list[tuple[PreferenceRule, float]]:
    """Sets of phrases that pull the same way under one condition and from one place in replies.

    Whatever they mean: wordings of one thing need not share a word. They are what a
    Benjamini-Hochberg procedure keeps among all phrases of that place, so that where nothing
    pulls, no set is made.
    """
    library = grid.library
    if not library.phrases:
        return []
    z, information = grid.pulls(rules, votes)
    gain = z * np.sqrt(np.maximum(information, 1e-9))
    untaken = grid.untaken(rules)
    found: list[tuple[float, PreferenceRule, float]] = []
    for column, condition in enumerate(library.conditions):
        kind = 0.0 if condition.kind == "always" else np.log(max(2, len(library.conditions)))
        for opening in (True, False):
            place = grid.joining(untaken, opening, information[:, column])
            for direction in (1, -1):
                p_values = stats.norm.sf(direction * z[place, column])
                if not len(place) or p_values.min() > FALSE_PHRASES:
                    continue
                kept = place[stats.false_discovery_control(p_values, method="bh") <= FALSE_PHRASES]
                if len(kept) < 2:
                    continue
                pooled = gain[kept, column].sum() ** 2 / information[kept, column].sum() / 2
                cost = float(kind + np.log(4) + PHRASE_COST * len(kept))
                phrases = _texts(library, kept)
                rule = PreferenceRule(
                    face=Face(kind="phrases", name="", phrases=phrases, opening=opening),
                    direction=direction,
                    condition=condition,
                )
                found.append((float(pooled - cost), rule, cost))
    found.sort(key=lambda each: -each[0])
    return [(rule, cost) for _, rule, cost in found[:MOST_SETS]]
