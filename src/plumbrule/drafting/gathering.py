"""What could explain the labels of some pairs, gathered from their texts.

Axes: N pairs, D dimensions of a phrase's vector.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.drafting.candidates import Face, Library, ReplyProperty
from plumbrule.drafting.pairs import LabeledPair, texts_of
from plumbrule.drafting.requests import ALWAYS, RequestCondition, RequestTopics
from plumbrule.drafting.wordings import LONGEST_PHRASE, Embed, parts_of, sentences_of, text_vectors

LEAST_SHOWN = 8
"""Replies that a phrase must be in, or 1 in 200 if that is more."""

MOST_PHRASES = 1200
"""Phrases that are looked at: whole sentences first, then what tells chosen from rejected best,
whichever way. What counts on some requests alone need not tell them apart on all."""

MOST_ASKED = 120
"""Phrases of requests that are looked at, the commonest first."""

BOUND = 0.7
"""Share of a phrase's replies on one topic, or to requests with one word, from which it belongs to
that subject."""

FAR = 0.85
"""Distance (1 - cosine) up to which phrases are put together for what they say."""


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
