"""Requests of one kind: those that mention something, or that are about one topic."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from plumbrule.drafting.pairs import LabeledPair
from plumbrule.drafting.wordings import parts_of
from plumbrule.store import derive_seed

TOPICS = (6, 10, 16)
"""Numbers of topics that requests are sorted into, each one a condition."""


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
        """One condition per topic."""
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
