"""Replies sorted into clusters of like ones, and which clusters gain or lose from base to tuned.

What two models are asked about decides most of what they say, so clusters follow topics. A gain is
therefore counted prompt by prompt: a prompt's own share of tuned replies in a cluster minus its
share of base replies there. Whatever the topics, that is 0 on average where the models are alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from plumbrule.behavior.pair import PairedReply
from plumbrule.behavior.properties import contrast_replies
from plumbrule.behavior.subgroups import words_of
from plumbrule.errors import ConfigError, DataError
from plumbrule.store import derive_seed

Embed = Callable[[Sequence[str]], np.ndarray]
"""Takes different texts, gives a row of numbers each; near rows mean like texts."""

DIMENSIONS = 64
"""Numbers by which a text is described."""

MOST_TERMS = 20_000
"""Words and pairs of words that are counted."""

FEW = 4_000
"""Different texts up to which k-means looks at all of them in every step."""

STANDS_OUT = 3.0
"""Standard errors by which a cluster must have gained or lost to be put into words."""

READ = 80
"""Pairs of replies read to put one cluster into words."""

MOST_NAMED = 6
"""Clusters that are put into words."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Like replies, and what became of their share."""

    number: int
    base: float
    """Share of the base's replies, prompts weighed alike, from 0 to 1."""

    tuned: float
    """The same of the tuned model's."""

    strength: float
    """Tuned minus base in standard errors over the prompts; orders suspicions, proves nothing."""

    phrases: tuple[str, ...] = ()
    """What the tuned model says more or less where a reply enters or leaves, the clearest first;
    empty for clusters that do not stand out."""

    @property
    def gain(self) -> float:
        """Share gained from base to tuned, negative for a loss."""
        return self.tuned - self.base


@dataclass(frozen=True, kw_only=True, eq=False)
class Clustering:
    """Both models' replies in clusters. Axes: N pairs."""

    base: Int[np.ndarray, " N"]
    """Cluster of the base's reply; -1 for a pair in which a model gave none."""

    tuned: Int[np.ndarray, " N"]
    """Cluster of the tuned model's reply; -1 as for the base."""

    clusters: tuple[Cluster, ...]
    """By number."""

    @property
    def moved(self) -> Float[np.ndarray, " N"]:
        """1 where a pair's replies lie in different clusters, else 0."""
        return np.asarray(self.base != self.tuned, dtype=np.float64)

    @property
    def strongest(self) -> tuple[Cluster, ...]:
        """The clusters that gained or lost most clearly, the clearest first."""
        stand = [one for one in self.clusters if abs(one.strength) >= STANDS_OUT]
        return tuple(sorted(stand, key=lambda one: (-abs(one.strength), one.number))[:MOST_NAMED])

    @property
    def phrases(self) -> tuple[str, ...]:
        """What is said more or less in the clusters that stand out."""
        return tuple(dict.fromkeys(text for one in self.strongest for text in one.phrases))

    @property
    def note(self) -> str:
        """What was seen, in a sentence."""
        told = f"{len(self.clusters)} clusters; {int(self.moved.sum())} of {len(self.base)} pairs"
        clear = self.strongest
        if not clear:
            return f"{told} lie apart, no cluster gains or loses clearly"
        gains = ", ".join(
            f"{one.gain:+.3f}" + (f" ({', '.join(map(repr, one.phrases))})" if one.phrases else "")
            for one in clear
        )
        return f"{told} lie apart; the clearest gains and losses in share: {gains}"


def cluster_replies(
    pairs: Sequence[PairedReply], *, clusters: int, seed: int, embed: Embed | None = None
) -> Clustering:
    """Say which kinds of replies the tuned model gives more or less often than the base.

    Args:
        pairs: Both models' replies; a prompt may stand there several times.
        clusters: Clusters wanted; fewer where there are fewer different replies.
        seed: Of the embedding and of k-means.
        embed: Describes texts by numbers; None: words and pairs of words, see `embed_texts`.

    Raises:
        ConfigError: No cluster is wanted.
        DataError: No pair has both replies, or `embed` gives no finite row a text.
    """
    rows = [row for row, pair in enumerate(pairs) if pair.usable]
    if not rows:
        raise DataError(
            f"expected pairs of replies to cluster, none of {len(pairs)} has both replies"
        )
    texts = [pairs[row].base for row in rows] + [pairs[row].tuned for row in rows]
    labels = cluster_texts(texts, clusters=clusters, seed=seed, embed=embed)
    base = np.full(len(pairs), -1)
    tuned = base.copy()
    base[rows], tuned[rows] = labels[: len(rows)], labels[len(rows) :]
    found = Clustering(base=base, tuned=tuned, clusters=())
    _, prompts = np.unique([pair.prompt_id for pair in pairs], return_inverse=True)
    named = [
        Cluster(number=number, base=before, tuned=after, strength=strength)
        for number, (before, after, strength) in enumerate(
            _matched(found, prompts, int(labels.max()) + 1)
        )
    ]
    for one in Clustering(base=base, tuned=tuned, clusters=tuple(named)).strongest:
        phrases = _phrases(pairs, found, one.number, seed)
        named[one.number] = Cluster(
            number=one.number,
            base=one.base,
            tuned=one.tuned,
            strength=one.strength,
            phrases=phrases,
        )
    return Clustering(base=base, tuned=tuned, clusters=tuple(named))


def shares_by_prompt(
    labels: Int[np.ndarray, " N"], prompts: Int[np.ndarray, " N"], clusters: int
) -> Float[np.ndarray, "P K"]:
    """Share of each prompt's replies in each cluster; 0 in all for a prompt without a reply.

    Args:
        labels: Cluster of each reply, -1 for none.
        prompts: Row of each reply's prompt.
        clusters: How many there are.
    """
    shares = np.zeros((int(prompts.max()) + 1, clusters))
    usable = labels >= 0
    np.add.at(shares, (prompts[usable], labels[usable]), 1.0)
    return np.asarray(shares / np.maximum(shares.sum(1, keepdims=True), 1.0))


def cluster_texts(
    texts: Sequence[str], *, clusters: int, seed: int, embed: Embed | None = None
) -> Int[np.ndarray, " N"]:
    """Sort texts into clusters of like ones; texts with the same words always lie together.

    Args:
        texts: Any texts.
        clusters: Clusters wanted; fewer where there are fewer different texts.
        seed: Of the embedding and of k-means.
        embed: Describes texts by numbers; None: `embed_texts`.

    Raises:
        ConfigError: No cluster is wanted.
        DataError: There is no text, or `embed` gives no finite row a text.
    """
    if clusters < 1:
        raise ConfigError(f"expected at least 1 cluster, got {clusters}")
    if not texts:
        raise DataError("expected texts to cluster, got none")
    numbers: dict[str, int] = {}
    told = [
        numbers.setdefault(text if embed else " ".join(words_of(text)), len(numbers))
        for text in texts
    ]
    points = (
        _checked(embed(list(numbers)), len(numbers))
        if embed
        else embed_texts(list(numbers), seed=seed)
    )
    # Points that are equal to the eye would leave k-means with empty clusters.
    distinct, which = np.unique(points.round(6), axis=0, return_inverse=True)
    whose = which.reshape(-1)[told]
    weights = np.bincount(whose, minlength=len(distinct)).astype(np.float64)
    return _k_means(distinct, weights, min(clusters, len(distinct)), seed)[whose]


def embed_texts(texts: Sequence[str], *, seed: int) -> Float[np.ndarray, "N D"]:
    """Describe texts by their words and pairs of words: rows of length 1, or 0 without any word.

    Counts enter by their logarithm, rare terms weigh more, and the `DIMENSIONS` directions along
    which the texts differ most are kept.

    Args:
        texts: Different texts.
        seed: Of the decomposition.

    Source:
        Deerwester et al. (1990), "Indexing by latent semantic analysis", on TF-IDF weights.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(words_of(text) for text in texts):
        return np.zeros((len(texts), 1))
    terms = TfidfVectorizer(
        tokenizer=words_of,
        token_pattern=None,
        lowercase=False,
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=MOST_TERMS,
    ).fit_transform(texts)
    if min(terms.shape) <= DIMENSIONS:
        return np.asarray(terms.toarray(), dtype=np.float64)
    reduced = TruncatedSVD(DIMENSIONS, n_iter=3, random_state=seed % 2**32).fit_transform(terms)
    lengths = np.linalg.norm(reduced, axis=1, keepdims=True)
    return np.asarray(reduced / np.where(lengths > 0, lengths, 1.0))


def _checked(points: np.ndarray, count: int) -> Float[np.ndarray, "N D"]:
    floats = np.asarray(points, dtype=np.float64)
    if floats.ndim != 2 or len(floats) != count or not np.isfinite(floats).all():
        raise DataError(
            f"expected {count} rows of finite numbers from the embedding, got an array of shape "
            f"{floats.shape}; `embed` takes texts and gives one row a text"
        )
    return floats


def _k_means(
    points: Float[np.ndarray, "N D"], weights: Float[np.ndarray, " N"], clusters: int, seed: int
) -> Int[np.ndarray, " N"]:
    from sklearn.cluster import KMeans, MiniBatchKMeans

    if clusters == len(points):
        return np.arange(len(points))
    state = derive_seed(seed, "k-means") % 2**32
    model = (
        KMeans(clusters, n_init=3, random_state=state)
        if len(points) <= FEW
        else MiniBatchKMeans(clusters, n_init=3, batch_size=4096, random_state=state)
    )
    labels = model.fit(points, sample_weight=weights).labels_
    # Mini-batches may leave a cluster empty: numbers must have no gap.
    return np.unique(labels, return_inverse=True)[1].astype(np.int64).reshape(-1)


def _matched(
    found: Clustering, prompts: Int[np.ndarray, " N"], clusters: int
) -> list[tuple[float, float, float]]:
    """Base's share, tuned's share and the strength of the gain, by cluster."""
    before = shares_by_prompt(found.base, prompts, clusters)
    after = shares_by_prompt(found.tuned, prompts, clusters)
    asked = before.any(1)
    gains = (after - before)[asked]
    # A pseudo-count keeps one lucky prompt from an infinite strength.
    errors = np.sqrt((gains.var(0) + 0.25 / len(gains)) / len(gains))
    return list(
        zip(
            before[asked].mean(0).tolist(),
            after[asked].mean(0).tolist(),
            (gains.mean(0) / errors).tolist(),
            strict=True,
        )
    )


def _phrases(
    pairs: Sequence[PairedReply], found: Clustering, number: int, seed: int
) -> tuple[str, ...]:
    """What is said more or less where replies enter or leave a cluster."""
    crossing = np.flatnonzero((found.base == number) != (found.tuned == number))
    rng = np.random.default_rng(derive_seed(seed, "phrases", number))
    some = [pairs[row] for row in rng.permutation(crossing)[:READ].tolist()]
    shifts = contrast_replies([pair.base for pair in some], [pair.tuned for pair in some])
    return tuple(shift.property.text for shift in shifts if shift.property.text)
