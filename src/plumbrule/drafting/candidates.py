"""What could explain a preference: something a reply shows, on requests of some kind.

A rule is a readable property of replies or a set of phrases, a direction, and a condition on the
request or none. It votes on a pair for the reply that shows more, and says nothing where both show
as much. Axes: N pairs, F faces (what a reply may show), C conditions.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int8

from plumbrule.drafting.pairs import LabeledPair, texts_of
from plumbrule.drafting.wordings import Embed, text_vectors
from plumbrule.store import derive_seed, fingerprint

CLOSE = 0.1
"""Share of the larger score within which two replies are taken to show as much."""

LEAST_SHOWN = 8
"""Replies that a phrase must stand in, or 1 in 200 if that is more."""

MOST_PHRASES = 1200
"""Phrases that are looked at: whole sentences first, then what tells chosen from rejected best,
whichever way. What counts on some requests alone need not tell them apart on all."""

MOST_ASKED = 120
"""Phrases of requests that are looked at, the commonest first."""

LONGEST_PHRASE = 3
"""Words of a phrase that is no whole sentence."""

TOPICS = (6, 10, 16)
"""Numbers of topics that requests are sorted into, each one a condition."""

BOUND = 0.7
"""Share of a phrase's replies on one topic, or to requests with one word, from which it belongs to
that subject."""

FAR = 0.85
"""Distance (1 - cosine) up to which phrases are put together for what they say."""

SURE = 0.2
"""Least vote of a judge that counts, from 0 to 1: 0.6 against 0.4 in probability."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")


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
"""Takes principles and pairs, gives a row a principle: above 0 for the first reply, below for the
second, from -1 to 1."""


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
    """Whether the phrases stand near the beginning of replies more often than not."""


@dataclass(frozen=True, kw_only=True)
class RequestCondition:
    """On which requests a rule has a say."""

    kind: Literal["always", "mentions", "topic"]
    phrases: frozenset[str] = frozenset()
    """Any of these in the request, or the words by which a topic is named."""

    topics: int = 0
    """Number of topics that requests were sorted into."""

    topic: int = 0
    """Which of them."""


ALWAYS = RequestCondition(kind="always")


@dataclass(frozen=True, kw_only=True)
class PreferenceRule:
    """One candidate for a principle."""

    face: Face
    direction: int
    """1 where more is preferred, -1 where less is."""

    condition: RequestCondition = ALWAYS


@lru_cache(maxsize=65536)
def parts_of(text: str) -> frozenset[str]:
    """Sentences of a text and its runs of up to three words, in small letters without marks.

    Example:
        >>> sorted(parts_of("Boil it. Stir!"))
        ['boil', 'boil it', 'it', 'stir']
    """
    found = set(sentences_of(text))
    for sentence in sentences_of(text):
        words = sentence.split()
        found |= {
            " ".join(words[at : at + length])
            for length in range(1, LONGEST_PHRASE + 1)
            for at in range(len(words) - length + 1)
        }
    return frozenset(found)


@lru_cache(maxsize=65536)
def sentences_of(text: str) -> tuple[str, ...]:
    """Sentences of a text, in order, in small letters without marks."""
    found = (
        " ".join(word.lower().replace("\u2019", "'") for word in _WORD.findall(part))
        for part in _SENTENCE.split(text)
    )
    return tuple(each for each in found if each)


class RequestTopics:
    """Sorts pairs by what is asked and by what both replies speak of; fixed once it was made."""

    def __init__(self, pairs: Sequence[LabeledPair], *, seed: int) -> None:
        from sklearn.cluster import KMeans
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import Normalizer

        self._sorters: dict[int, tuple[Any, Any, Any]] = {}
        self._names: dict[int, list[frozenset[str]]] = {}
        self._known: dict[LabeledPair, tuple[int, ...]] = {}
        state = derive_seed(seed, "topics") % 2**32
        texts = [_spoken(pair) for pair in pairs]
        terms = TfidfVectorizer(
            sublinear_tf=True,
            min_df=2,
            max_df=0.5,
            stop_words="english",
            token_pattern=r"[^\W\d_]{3,}",
        )
        try:
            table = terms.fit_transform(texts)
        except ValueError:  # hardly any words
            return
        size = min(40, min(table.shape) - 1)
        if size < 2:
            return
        reduce = make_pipeline(TruncatedSVD(size, random_state=state), Normalizer())
        points = reduce.fit_transform(table)
        for count in TOPICS:
            if count * 4 > len(pairs):
                break
            sorter = KMeans(count, n_init=3, random_state=state).fit(points)
            self._sorters[count] = (terms, reduce, sorter)
            self._names[count] = _named(pairs, sorter.labels_, count)

    @property
    def conditions(self) -> list[RequestCondition]:
        """One for each topic."""
        return [
            RequestCondition(kind="topic", topics=count, topic=topic, phrases=names[topic])
            for count, names in self._names.items()
            for topic in range(count)
        ]

    def of(self, pairs: Sequence[LabeledPair]) -> dict[int, np.ndarray]:
        """Topic of each pair, for each number of topics."""
        new = list(dict.fromkeys(pair for pair in pairs if pair not in self._known))
        if new and self._sorters:
            texts = [_spoken(pair) for pair in new]
            sorted_by = [
                sorter.predict(reduce.transform(terms.transform(texts))).tolist()
                for terms, reduce, sorter in self._sorters.values()
            ]
            self._known |= dict(zip(new, zip(*sorted_by, strict=True), strict=True))
        return {
            count: np.array([self._known[pair][at] for pair in pairs], dtype=np.int64)
            for at, count in enumerate(self._sorters)
        }


def _spoken(pair: LabeledPair) -> str:
    """What a pair is about: what is asked, and twice of it, since replies are longer."""
    return f"{pair.request}\n{pair.request}\n{pair.first}\n{pair.second}"


def _named(pairs: Sequence[LabeledPair], labels: np.ndarray, count: int) -> list[frozenset[str]]:
    """Words of requests that set each topic apart."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = [
        {word for word in parts_of(pair.request) if " " not in word and len(word) > 2}
        - ENGLISH_STOP_WORDS
        for pair in pairs
    ]
    total = Counter(word for each in words for word in each)
    names = []
    for topic in range(count):
        rows = np.flatnonzero(labels == topic).tolist()
        here = Counter(word for row in rows for word in words[row])
        ranked = sorted(
            (word for word in here if here[word] >= 2),
            key=lambda word: (-(here[word] ** 2) / total[word], word),
        )
        names.append(frozenset(ranked[:6]))
    return names


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
    """Which stand near the beginning of replies more often than not."""

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


def make_library(
    pairs: Sequence[LabeledPair],
    properties: Sequence[ReplyProperty],
    *,
    seed: int,
    embed: Embed | None = None,
) -> Library:
    """Gather what could explain the labels of some pairs.

    Args:
        pairs: Pairs that principles are proposed from.
        properties: Readable properties of replies.
        seed: Of the sorting into topics.
        embed: A sentence encoder, by which phrases of like meaning are put together; words and
            letters without one.
    """
    found = _phrases(pairs)
    phrases, openings = list(found.texts), found.openings
    vectors = text_vectors(phrases, embed) if phrases else np.zeros((0, 1))
    faces = [Face(kind="property", name=each.name) for each in properties]
    faces += [
        Face(
            kind="phrases",
            name="",
            phrases=frozenset(phrases[at] for at in rows),
            opening=bool(openings[rows].mean() > 0.5),
        )
        for rows in _branches(vectors)
    ]
    topics = RequestTopics(pairs, seed=seed)
    asked = _asked(pairs)
    asked_vectors = text_vectors(asked, embed) if asked else np.zeros((0, 1))
    conditions = [ALWAYS, *topics.conditions]
    conditions += [
        RequestCondition(kind="mentions", phrases=frozenset(asked[at] for at in rows))
        for rows in _branches(asked_vectors)
    ]
    asides = _asides(pairs, asked, topics)
    if len(asides) > 1:
        conditions.append(RequestCondition(kind="mentions", phrases=frozenset(asides)))
    return Library(
        properties=tuple(properties),
        faces=tuple(faces),
        conditions=tuple(conditions),
        topics=topics,
        phrases=tuple(phrases),
        vectors=vectors,
        openings=openings,
        own=found.own,
        free=_free(pairs, phrases, topics, asked),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Phrases:
    texts: tuple[str, ...]
    openings: np.ndarray
    own: np.ndarray


def _idle(part: str) -> bool:
    """Whether a phrase consists of words that say nothing by themselves."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return len(part.split()) <= LONGEST_PHRASE and ENGLISH_STOP_WORDS.issuperset(part.split())


def _phrases(pairs: Sequence[LabeledPair]) -> _Phrases:
    """Phrases that tell chosen from rejected, whole sentences before their own words."""
    replies = texts_of(pairs)
    least = max(LEAST_SHOWN, len(replies) // 200)
    counts = Counter(part for text in replies for part in parts_of(text))
    whole = Counter(part for text in replies for part in set(sentences_of(text)))
    common = {part for part, count in counts.items() if least <= count <= len(replies) // 2}
    sentences = {part for part in common if whole[part] >= max(least, 0.8 * counts[part])}
    inside: Counter[str] = Counter()
    homes: Counter[str] = Counter()
    for sentence in sentences:
        for run in parts_of(sentence) - {sentence}:
            inside[run] += counts[sentence]
            homes[run] += 1
    # What stands hardly anywhere but in one such sentence would only repeat it.
    own = {part for part in common if part in sentences or inside[part] < 0.5 * counts[part]}
    kept = sorted(part for part in common if (part in own or homes[part] > 1) and not _idle(part))
    weight = {part: 0.0 for part in kept}
    seen = {part: 0 for part in kept}
    wanted = frozenset(kept)
    for pair in pairs:
        one, other = parts_of(pair.first) & wanted, parts_of(pair.second) & wanted
        lean = 2 * pair.probability - 1
        for part in one ^ other:
            weight[part] += lean if part in one else -lean
            seen[part] += 1
    strong = sorted(
        kept,
        key=lambda part: (
            part not in sentences,
            -abs(weight[part]) / max(1, seen[part]) ** 0.5,
            part,
        ),
    )
    chosen = sorted(part for part in strong[:MOST_PHRASES] if seen[part] >= LEAST_SHOWN // 2)
    at = {part: row for row, part in enumerate(chosen)}
    opens = np.zeros(len(chosen))
    total = np.zeros(len(chosen))
    for text in replies:
        first = frozenset().union(*(parts_of(each) for each in sentences_of(text)[:2]))
        for part in parts_of(text) & at.keys():
            total[at[part]] += 1
            opens[at[part]] += part in first
    return _Phrases(
        texts=tuple(chosen),
        openings=np.asarray(opens > 0.6 * total),
        own=np.array([part in own for part in chosen], dtype=bool),
    )


def _asked(pairs: Sequence[LabeledPair]) -> list[str]:
    """Phrases of requests: whole sentences that come again, and words that say something."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts = Counter(part for pair in pairs for part in parts_of(pair.request))
    whole = Counter(part for pair in pairs for part in set(sentences_of(pair.request)))
    least = max(LEAST_SHOWN, len(pairs) // 100)
    sentences = {part for part, count in whole.items() if count >= least and " " in part}
    inside = Counter({run: counts[part] for part in sentences for run in parts_of(part) - {part}})
    words = {
        part
        for part, count in counts.items()
        if count >= least
        and inside[part] < 0.5 * count
        and " " not in part
        and len(part) > 2
        and part not in ENGLISH_STOP_WORDS
    }
    ranked = sorted(sentences | words, key=lambda part: (-counts[part], part))
    return sorted(ranked[:MOST_ASKED])


def _asides(pairs: Sequence[LabeledPair], asked: Sequence[str], topics: RequestTopics) -> list[str]:
    """Sentences that come with requests on every topic, and so are about something else."""
    from scipy.stats import chi2_contingency

    sorted_by = topics.of(pairs)
    if not sorted_by:
        return []
    count = min(sorted_by, key=lambda one: abs(one - 10))
    total = np.bincount(sorted_by[count], minlength=count)
    found = []
    for phrase in asked:
        if " " not in phrase:
            continue
        rows = [at for at, pair in enumerate(pairs) if phrase in parts_of(pair.request)]
        here = np.bincount(sorted_by[count][rows], minlength=count)
        table = np.array([here, total - here])[:, total > 0]
        if here.sum() and (here < total).any() and chi2_contingency(table).pvalue > 0.001:
            found.append(phrase)
    return found


def _free(
    pairs: Sequence[LabeledPair],
    phrases: Sequence[str],
    topics: RequestTopics,
    asked: Sequence[str],
) -> Bool[np.ndarray, " phrases"]:
    """Which phrases are said on many topics, and to requests that share no word."""
    at = {phrase: row for row, phrase in enumerate(phrases)}
    words = [word for word in asked if " " not in word]
    mentions = np.array([[word in parts_of(pair.request) for word in words] for pair in pairs])
    mentions = mentions.reshape(len(pairs), len(words))
    subjects = mentions[:, mentions.mean(0) <= 0.5].astype(np.float64)
    sorted_by = topics.of(pairs)
    if sorted_by:
        count = min(sorted_by, key=lambda one: abs(one - 10))
        subjects = np.column_stack([np.eye(count)[sorted_by[count]], subjects])
    if not subjects.shape[1]:
        return np.ones(len(phrases), dtype=bool)
    said = np.zeros((len(phrases), len(pairs)))
    for row, pair in enumerate(pairs):
        for text in (pair.first, pair.second):
            said[[at[part] for part in parts_of(text) & at.keys()], row] += 1
    share = (said @ subjects).max(1) / np.maximum(said.sum(1), 1)
    return np.asarray(share < BOUND)


def _branches(vectors: Float[np.ndarray, "phrases D"]) -> list[list[int]]:
    """Each phrase by itself, and each branch of the tree into which alike ones are merged."""
    count = len(vectors)
    single = [[row] for row in range(count)]
    if count < 2:
        return single
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    distance = np.clip(1 - vectors @ vectors.T, 0, 2)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    members = list(single)
    for left, right, _, _ in tree:
        members.append(sorted(members[int(left)] + members[int(right)]))
    kept = [
        rows
        for rows, near in zip(members[count:], tree[:, 2].tolist(), strict=True)
        if near < FAR and len(rows) <= max(2, count // 2)
    ]
    return single + kept
