"""Preference pairs labeled by a constitution that is known: can a method find it again?

Replies to everyday requests are put together from parts; each part shows a property. Six planted
principles vote on each pair: the majority wins, a tie goes to the principle of higher priority,
and a few labels are wrong. Other properties go along with the planted ones and have no say.

`recovered` decides by votes on held-out pairs, never by words, whether a principle was found. Two
constitutions lie beside this file; whoever writes a method leaves the sealed one unread.

Axes: votes are (principles, pairs), +1 for the first reply, -1 for the second, 0 for neither.

Source:
    Findeis et al. (2024), "Inverse Constitutional AI", arXiv:2406.06560: the task, and principles
    as voters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from plumbrule.errors import DataError
from plumbrule.records import Estimate, Message, Preference
from plumbrule.statistics import clopper_pearson
from plumbrule.store import derive_seed

NOISE = 0.05
"""Share of the labels that are turned around."""

LEAST_DIFFERENCE = 0.1
"""Replies whose word counts differ by less than this share of the longer count as equally long."""

SAME = 0.8
"""Least correlation of votes at which a found principle is the planted one.

Where one votes on a part of the other's pairs, and as it does, the correlation is the square root
of that part: a principle that forgets its condition, or votes on a third fewer pairs, falls below.
"""

MOST_FOUND = 12
"""Found principles that are looked at, in the order given: whoever lists all finds all."""


@dataclass(frozen=True, kw_only=True)
class PlantedPrinciple:
    """One principle of the planted constitution."""

    name: str
    statement: str

    condition: tuple[str, ...]
    """Topics on which it has a say, or `upset`; none of them: always."""

    property: str
    direction: int
    """+1 where the property is preferred, -1 where its absence is."""


@dataclass(frozen=True, kw_only=True)
class PlantedPairs:
    """Labeled pairs, and why they are labeled so."""

    preferences: tuple[Preference, ...]
    """Probability 1 where the first is preferred, else 0."""

    principles: tuple[PlantedPrinciple, ...]
    """In the order of their priority."""

    votes: Int[np.ndarray, "principles pairs"]

    decision: Int[np.ndarray, " pairs"]
    """What the constitution says before labels are turned around; 0 where a coin decided."""

    flipped: Bool[np.ndarray, " pairs"]
    topics: tuple[str, ...]
    properties: tuple[tuple[frozenset[str], frozenset[str]], ...]
    """Of the first and the second reply of each pair."""

    @property
    def labels(self) -> Int[np.ndarray, " pairs"]:
        """+1 where the first is preferred, else -1."""
        return np.array([1 if one.probability == 1 else -1 for one in self.preferences])


@dataclass(frozen=True, kw_only=True)
class RecoveryScore:
    """Which planted principles were found."""

    matched: Mapping[str, str]
    """Planted name to found name."""

    correlation: Mapping[str, float]
    """Of the votes of each planted principle with those of the found one assigned to it."""

    spurious: tuple[str, ...]
    """Found principles that are no planted one."""

    ignored: int
    """Found principles beyond `MOST_FOUND`."""


@dataclass(frozen=True)
class _Reply:
    text: str
    properties: frozenset[str]

    @property
    def words(self) -> int:
        return len(self.text.split())


def draw_pairs(
    seed: int,
    *,
    constitution: Literal["open", "sealed"] = "open",
    pairs: int = 2000,
    held_out: bool = False,
    noise: float = NOISE,
) -> PlantedPairs:
    """Draw labeled pairs.

    Args:
        seed: Decides everything.
        constitution: Which one labels.
        pairs: How many.
        held_out: Draw others than those for learning, with the same seed.
        noise: Share of the labels that are turned around; at a half no constitution is left, and
            a method must find nothing.
    """
    bank = _bank(constitution)
    rng = np.random.default_rng(derive_seed(seed, "pairs", constitution, held_out))
    principles = tuple(_principle(given) for given in bank["constitution"])
    names = list(bank["topics"])
    shares = np.array([bank["topics"][name]["share"] for name in names])
    drawn = rng.choice(len(names), size=pairs, p=shares / shares.sum())
    topics, requests, replies, votes = [], [], [], np.zeros((len(principles), pairs), dtype=int)
    for number in range(pairs):
        topic = names[int(drawn[number])]
        request, x, upset = _request(bank, topic, rng)
        first = _reply(bank, topic, x, rng)
        second = _reply(bank, topic, x, rng)
        while second.text == first.text:
            second = _reply(bank, topic, x, rng)
        holds = {topic, "upset"} if upset else {topic}
        votes[:, number] = [_vote(one, holds, first, second) for one in principles]
        topics.append(topic)
        requests.append(request)
        replies.append((first, second))
    decision = decided(votes)
    flipped = rng.random(pairs) < noise
    coin = np.where(rng.random(pairs) < 0.5, 1, -1)
    labels = np.where(decision == 0, coin, np.where(flipped, -decision, decision))
    preferences = tuple(
        Preference(
            id=f"{'held-out' if held_out else 'pair'}-{number:04d}",
            dialogue=(Message("user", requests[number]),),
            first=replies[number][0].text,
            second=replies[number][1].text,
            probability=float(labels[number] == 1),
            by_principle={},
            order_disagreement={},
            constitution_sha256="",
            source="human",
            labeler="planted",
            method="planted",
        )
        for number in range(pairs)
    )
    return PlantedPairs(
        preferences=preferences,
        principles=principles,
        votes=votes,
        decision=decision,
        flipped=flipped & (decision != 0),
        topics=tuple(topics),
        properties=tuple((one.properties, other.properties) for one, other in replies),
    )


def decided(votes: Int[np.ndarray, "principles pairs"]) -> Int[np.ndarray, " pairs"]:
    """What voters in the order of their priority decide: majority, a tie by the first that votes.

    Example:
        >>> decided(np.array([[1, 0, 1, 0], [-1, 0, -1, -1], [0, 0, -1, 1]])).tolist()
        [1, 0, -1, -1]
    """
    majority = np.sign(votes.sum(axis=0))
    first = votes[np.argmax(votes != 0, axis=0), np.arange(votes.shape[1])]
    return np.asarray(np.where(majority == 0, first, majority))


def recovered(
    found: Mapping[str, Sequence[float]], held_out: PlantedPairs, *, same: float = SAME
) -> RecoveryScore:
    """Decide which planted principles were found, by their votes on held-out pairs.

    Args:
        found: Votes of each found principle on each held-out pair, between -1 and +1, in the order
            of the pairs; principles in the order of their weight, of which the first `MOST_FOUND`
            count.
        held_out: Pairs that the principles were not found on.
        same: Least correlation of votes. Not centered: no vote is 0 for both.

    Raises:
        DataError: Votes are not one number from -1 to +1 a pair.
    """
    names = list(found)[:MOST_FOUND]
    planted = [one.name for one in held_out.principles]
    votes = np.zeros((len(names), held_out.votes.shape[1]))
    for row, name in enumerate(names):
        given = np.asarray(found[name], dtype=float)
        if given.shape != votes[row].shape or not np.all(np.abs(given) <= 1):
            raise DataError(
                f"expected {votes.shape[1]} votes between -1 and +1 of principle {name!r}, got "
                f"{given.size}, from {given.min(initial=0):g} to {given.max(initial=0):g}"
            )
        votes[row] = given
    correlations = _unit(held_out.votes.astype(float)) @ _unit(votes).T
    rows, columns = linear_sum_assignment(-correlations)
    assigned = {planted[row]: int(column) for row, column in zip(rows, columns, strict=True)}
    correlation = {
        name: float(correlations[planted.index(name), column]) for name, column in assigned.items()
    }
    matched = {
        name: names[column] for name, column in assigned.items() if correlation[name] >= same
    }
    return RecoveryScore(
        matched=matched,
        correlation=correlation,
        spurious=tuple(name for name in names if name not in matched.values()),
        ignored=len(found) - len(names),
    )


def agreement(
    predicted: Sequence[float] | Float[np.ndarray, " pairs"], pairs: PlantedPairs
) -> Estimate:
    """Share of labels that signed predictions hit; 0, no opinion, counts as half a hit.

    Args:
        predicted: Above 0 for the first reply, below for the second.
        pairs: Labeled pairs in the same order.

    Raises:
        DataError: The numbers differ.
    """
    signs = np.sign(np.asarray(predicted, dtype=float))
    labels = pairs.labels
    if signs.shape != labels.shape or not np.all(np.isfinite(signs)):
        raise DataError(f"expected {labels.size} numbers, one a pair, got {signs.size}")
    hits = int(np.sum(signs == labels)) + int(np.sum(signs == 0)) // 2
    return clopper_pearson(hits, labels.size, unit="share")


def _unit(votes: Float[np.ndarray, "principles pairs"]) -> Float[np.ndarray, "principles pairs"]:
    lengths = np.linalg.norm(votes, axis=1, keepdims=True)
    return np.asarray(votes / np.where(lengths == 0, 1, lengths))


@cache
def _bank(constitution: str) -> Any:
    def read(name: str) -> Any:
        path = Path(__file__).with_name(f"planted_preferences_{name}.yaml")
        return yaml.safe_load(path.read_text("utf-8"))

    bank = read("open")
    if constitution == "open":
        return bank
    sealed = read("sealed")
    for name, rate in sealed["rates"].items():
        kept = {key: bank["properties"][name][key] for key in ("place", "wordings")
                if key in bank["properties"][name]}  # fmt: skip
        bank["properties"][name] = {**kept, "rate": rate}
    return {
        **bank,
        "properties": {**bank["properties"], **sealed["properties"]},
        "constitution": sealed["constitution"],
    }


def _principle(given: Any) -> PlantedPrinciple:
    condition = given["condition"] or ()
    return PlantedPrinciple(
        **{**given, "condition": (condition,) if isinstance(condition, str) else tuple(condition)}
    )


def _request(bank: Any, topic: str, rng: np.random.Generator) -> tuple[str, str, bool]:
    """A request, what it is about, and whether the user is upset."""
    given = bank["topics"][topic]
    x = str(rng.choice(given["x"]))
    text = str(rng.choice(given["requests"])).format(x=x)
    upset = bool(rng.random() < bank["upset"]["share"])
    if upset:
        said = str(rng.choice(bank["upset"]["wordings"]))
        text = f"{said} {text}" if rng.random() < 0.7 else f"{text} {said}"
    return text, x, upset


def _reply(bank: Any, topic: str, x: str, rng: np.random.Generator) -> _Reply:
    """A reply put together from parts."""
    given = bank["topics"][topic]
    length = int(rng.integers(1, 6))
    body = [str(one).format(x=x) for one in rng.permutation(given["body"])[:length]]
    properties: set[str] = set()
    openings: list[str] = []
    ends: list[str] = []
    for name, one in bank["properties"].items():
        rate = one.get("rates", {}).get(topic, one["rate"])
        if length > 3:
            rate = one.get("more_when_long", rate)
        for other, higher in one.get("more_with", {}).items():
            rate = higher if other in properties else rate
        if rng.random() >= rate:
            continue
        properties.add(name)
        if one["place"] != "style":
            part = str(rng.choice(one["wordings"]))
            (openings if one["place"] == "opening" else ends).append(part)
    parts = [*rng.permutation(openings).tolist(), *body, *rng.permutation(ends).tolist()]
    if "exclaiming" in properties:
        parts = [part[:-1] + "!" if part.endswith(".") else part for part in parts]
    if "emoji" in properties:
        at = int(rng.integers(len(parts)))
        parts[at] += " " + str(rng.choice(bank["properties"]["emoji"]["wordings"]))
    if "bullets" in properties:
        parts = [f"- {part}" for part in parts]
    separator = "\n" if "bullets" in properties else " "
    return _Reply(separator.join(parts), frozenset(properties))


def _vote(principle: PlantedPrinciple, holds: set[str], first: _Reply, second: _Reply) -> int:
    if principle.condition and not holds & set(principle.condition):
        return 0
    if principle.property == "length":
        most = max(first.words, second.words)
        close = abs(first.words - second.words) < LEAST_DIFFERENCE * most
        return 0 if close else principle.direction * int(np.sign(first.words - second.words))
    has = principle.property in first.properties, principle.property in second.properties
    return principle.direction * (int(has[0]) - int(has[1]))
