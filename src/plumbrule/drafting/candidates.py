"""What could explain a preference: something a reply shows, on requests of some kind.

A rule is a readable property of replies or a set of phrases, a direction, and a condition on the
request or none. It votes on a pair for the reply that shows more, and says nothing where both show
as much. Axes: N pairs, F faces (what a reply may show), C conditions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int8

from plumbrule.drafting.pairs import LabeledPair
from plumbrule.drafting.requests import ALWAYS, RequestCondition, RequestTopics
from plumbrule.drafting.wordings import parts_of
from plumbrule.store import fingerprint

CLOSE = 0.1
"""Share of the larger score within which two replies are taken to show as much."""

SURE = 0.2
"""Least vote of a judge that counts, from 0 to 1: 0.6 against 0.4 in probability."""


@dataclass(frozen=True, kw_only=True)
class ReplyProperty:
    """Something readable that a reply shows more or less of."""

    name: str

    more: str
    """The principle where more of it is preferred, such as "Prefer the longer reply."."""

    less: str
    """The principle where less of it is preferred."""

    score: Callable[[str], float]
    """How much of it a reply shows, 0 or more."""


ProposePrinciples = Callable[[Sequence[LabeledPair]], Sequence[str]]
"""Takes pairs, gives principles in words that might explain their labels."""

VotePrinciples = Callable[[Sequence[str], Sequence[LabeledPair]], np.ndarray]
"""Takes principles and pairs, gives one row per principle: above 0 for the first reply, below
for the second, from -1 to 1."""


@dataclass(frozen=True, kw_only=True)
class PreferenceJudge:
    """A model that proposes principles in words and votes under them."""

    propose: ProposePrinciples
    vote: VotePrinciples


def pair_key(pair: LabeledPair) -> str:
    """What names a pair for whoever votes on it: all that it is shown."""
    return fingerprint([[turn.content for turn in pair.dialogue], pair.first, pair.second])


@dataclass(frozen=True, kw_only=True)
class Face:
    """What a reply may show: a property, or any of some phrases."""

    kind: Literal["property", "phrases", "judged"]
    name: str
    """Of the property; of a principle that a judge votes on, its words."""

    phrases: frozenset[str] = frozenset()
    """In small letters, words alone."""

    opening: bool = False
    """Whether the phrases are near the beginning of replies more often than not."""


@dataclass(frozen=True, kw_only=True)
class PreferenceRule:
    """One candidate for a principle."""

    face: Face
    direction: int
    """1 where more is preferred, -1 where less is."""

    condition: RequestCondition = ALWAYS


@dataclass(frozen=True, kw_only=True, eq=False)
class Library:
    """All faces and conditions that are looked at; fixed by the pairs that principles are from."""

    properties: tuple[ReplyProperty, ...]
    faces: tuple[Face, ...]
    conditions: tuple[RequestCondition, ...]
    topics: RequestTopics
    phrases: tuple[str, ...]
    """Single phrases, for faces that are put together of them."""

    vectors: Float[np.ndarray, "phrases D"]
    openings: Bool[np.ndarray, " phrases"]
    """Which are near the beginning of replies more often than not."""

    own: Bool[np.ndarray, " phrases"]
    """Which are whole sentences, or stand by themselves rather than within one of those."""

    free: Bool[np.ndarray, " phrases"]
    """Which are said on many topics, and so belong to no subject: only these join to sets."""

    judged: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """A judge's votes under principles in words, by the pair's fingerprint."""

    judge: PreferenceJudge | None = None
    """Who votes on pairs that it has not seen."""

    seen: dict[tuple[Face | RequestCondition, int], tuple[Sequence[LabeledPair], np.ndarray]] = (
        field(default_factory=dict, repr=False)
    )
    """What was looked at already."""

    def shown(self, face: Face, pairs: Sequence[LabeledPair]) -> Int8[np.ndarray, " N"]:
        """1 where the first reply shows more, -1 where the second does, else 0."""
        if face.kind == "judged":
            return self._judged(face.name, pairs)
        if face.kind == "property":
            chosen = next(each for each in self.properties if each.name == face.name)
            one, other = (
                np.array([chosen.score(getattr(pair, side)) for pair in pairs], dtype=np.float64)
                for side in ("first", "second")
            )
            apart = np.abs(one - other) >= CLOSE * np.maximum(one, other)
            return np.asarray(np.sign(one - other) * apart, dtype=np.int8)
        first, second = (
            np.array(
                [not face.phrases.isdisjoint(parts_of(getattr(pair, side))) for pair in pairs]
            ).astype(np.int8)
            for side in ("first", "second")
        )
        return np.asarray(first - second, dtype=np.int8)

    def table(self, pairs: Sequence[LabeledPair]) -> tuple[np.ndarray, np.ndarray]:
        """What every face and every single phrase shows of each pair: (N, F) and (N, phrases)."""
        at = {phrase: column for column, phrase in enumerate(self.phrases)}
        has = np.zeros((2, len(pairs), len(self.phrases)), dtype=bool)
        for row, pair in enumerate(pairs):
            for side, text in enumerate((pair.first, pair.second)):
                columns = [at[part] for part in parts_of(text) if part in at]
                has[side, row, columns] = True
        single = has[0].astype(np.int8) - has[1].astype(np.int8)
        shown = np.zeros((len(pairs), len(self.faces)), dtype=np.int8)
        for column, face in enumerate(self.faces):
            if face.kind != "phrases":
                shown[:, column] = self.shown(face, pairs)
                continue
            places = [at[phrase] for phrase in face.phrases]
            one, other = (has[side][:, places].any(1).astype(np.int8) for side in (0, 1))
            shown[:, column] = one - other
        return shown, single

    def _judged(self, text: str, pairs: Sequence[LabeledPair]) -> Int8[np.ndarray, " N"]:
        known = self.judged.get(text, {})
        keys = [pair_key(pair) for pair in pairs]
        missing = [at for at, key in enumerate(keys) if key not in known]
        found = {key: known[key] for key in keys if key in known}
        if missing and self.judge is not None:
            asked = self.judge.vote([text], [pairs[at] for at in missing])
            cast = np.asarray(asked, dtype=np.float64)
            found |= {keys[at]: float(cast[0, row]) for row, at in enumerate(missing)}
        votes = np.array([found.get(key, 0.0) for key in keys])
        return np.asarray(np.sign(votes) * (np.abs(votes) >= SURE), dtype=np.int8)

    def holds(
        self, condition: RequestCondition, pairs: Sequence[LabeledPair]
    ) -> Bool[np.ndarray, " N"]:
        """Where a condition holds."""
        if condition.kind == "always":
            return np.ones(len(pairs), dtype=bool)
        if condition.kind == "mentions":
            return np.array(
                [not condition.phrases.isdisjoint(parts_of(pair.request)) for pair in pairs],
                dtype=bool,
            )
        return np.asarray(self.topics.of(pairs)[condition.topics] == condition.topic)

    def votes(self, rule: PreferenceRule, pairs: Sequence[LabeledPair]) -> Float[np.ndarray, " N"]:
        """What a rule says of each pair: 1 for the first, -1 for the second, 0 for neither."""
        shown = self._once(rule.face, pairs).astype(np.float64)
        return np.asarray(rule.direction * shown * self._once(rule.condition, pairs))

    def _once(self, part: Face | RequestCondition, pairs: Sequence[LabeledPair]) -> np.ndarray:
        """What a face or a condition says of pairs, looked at once for as long as they are held."""
        key = part, id(pairs)
        if key not in self.seen:
            found = self.shown(part, pairs) if isinstance(part, Face) else self.holds(part, pairs)
            self.seen[key] = pairs, found  # with the pairs, so that their id is not given away
        return self.seen[key][1]
