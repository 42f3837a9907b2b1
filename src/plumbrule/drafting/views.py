"""Statements sorted into views: what they say, and who agrees with them.

First statements in nearly the same words are put together; on these sets people cast enough votes
to show who votes with whom. Two sets are then merged for as long as one origin explains their words
and the votes of each group better than two, and a mixture puts each statement where it fits best.
Axes: P people, S statements, G opinion groups, V views.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Int8
from scipy.special import gammaln

from plumbrule.drafting.groups import SHUFFLES, OpinionGroups, find_groups
from plumbrule.drafting.wordings import Embed, content_stems, demands, text_vectors
from plumbrule.errors import ConfigError

NEAR = 0.65
"""Distance (1 - cosine) up to which sets of statements are taken for one wording."""

WORDS = 120.0
"""Words that the prior of a view weighs at most; more makes fewer and broader views."""

WORDS_SHARE = 0.06
"""Share of all words that are said which it weighs where they are few."""

LIKENESS = 20.0
"""Nats that a mean cosine of 1 adds for each statement of the smaller of two sets."""

VIEWS = 5.0
"""Concentration of the prior over partitions (a Chinese restaurant process); more, more views."""

OPPOSED = 0.5
"""Cosine from which a demand and its denial are kept apart, whoever agrees."""

ROUNDS = 30
"""Of the mixture; it settles in fewer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Views:
    """Which statements say the same, and who votes alike."""

    of: Int[np.ndarray, " S"]
    """View of each statement; -1 for one that is in none."""

    groups: OpinionGroups

    vectors: Float[np.ndarray, "S D"]
    """What the statements say; products are cosines."""


def find_views(
    texts: Sequence[str],
    votes: Int8[np.ndarray, "P S"],
    seen: Bool[np.ndarray, "P S"],
    *,
    seed: int,
    embed: Embed | None = None,
    words: float | None = None,
) -> Views:
    """Sort statements into views, and people into opinion groups.

    Args:
        texts: What the statements say.
        votes: 1 agrees, -1 disagrees, 0 passed or saw nothing; no rows where nobody voted.
        seen: Where a person voted.
        seed: Of the search for groups.
        embed: A sentence encoder; words and letters without one.
        words: Words that the prior of a view weighs; more makes fewer and broader views. None:
            `WORDS`, or `WORDS_SHARE` of all where that is less.

    Raises:
        ConfigError: `words` is not above 0.

    Source:
        Merging by marginal likelihood is Bayesian hierarchical clustering (Heller & Ghahramani
        2005), here with Dirichlet-multinomial words (Madsen et al. 2005, "Modeling word burstiness
        using the Dirichlet distribution") and votes; the mixture is that of Nigam et al. (2000),
        "Text classification from labeled and unlabeled documents using EM". That people are
        grouped by sets of statements rather than by single ones is ours: with few votes a person
        and many statements, single ones tell hardly any two people apart.
    """
    if words is not None and not 0 < words < float("inf"):
        raise ConfigError(f"words must be above 0 and finite, got {words}")
    vectors = text_vectors(texts, embed)
    wording = linked(_distances(texts, vectors), NEAR)
    # Words alone decide these sets: so the test of whether there are groups is exact.
    groups = _grouped(votes, seen, wording, seed, fine=True)
    of = _views(texts, vectors, votes, seen, wording, groups, words)
    if groups.count:
        again = _grouped(
            votes, seen, of, seed, shuffles=0
        )  # views have more votes each than wordings
        if again.count:
            groups = replace(again, p_value=groups.p_value)
            of = _views(texts, vectors, votes, seen, wording, groups, words)
    return Views(of=of, groups=groups, vectors=vectors)


def _grouped(
    votes: Int8[np.ndarray, "P S"],
    seen: Bool[np.ndarray, "P S"],
    of: Int[np.ndarray, " S"],
    seed: int,
    *,
    fine: bool = False,
    shuffles: int = SHUFFLES,
) -> OpinionGroups:
    pooled, voted = stances(votes, seen, of)
    return find_groups(pooled, voted, cast=seen.sum(1), seed=seed, fine=fine, shuffles=shuffles)


def _views(
    texts: Sequence[str],
    vectors: Float[np.ndarray, "S D"],
    votes: Int8[np.ndarray, "P S"],
    seen: Bool[np.ndarray, "P S"],
    wording: Int[np.ndarray, " S"],
    groups: OpinionGroups,
    words: float | None,
) -> Int[np.ndarray, " S"]:
    said, counts = _said(texts), _counts(votes, seen, groups)
    prior = min(WORDS, max(1.0, WORDS_SHARE * float(said.sum()))) if words is None else words
    return _mixed(said, counts, _merged(said, counts, vectors, wording, prior))


def _said(texts: Sequence[str]) -> Float[np.ndarray, "S W"]:
    """Which text has which content word, 0 or 1."""
    from sklearn.feature_extraction.text import CountVectorizer

    if not any(content_stems(text) for text in texts):
        return np.zeros((len(texts), 1))
    counter = CountVectorizer(
        tokenizer=content_stems, token_pattern=None, lowercase=False, binary=True
    )
    return np.asarray(counter.fit_transform(texts).toarray(), dtype=np.float64)


def _merged(
    said: Float[np.ndarray, "S W"],
    counts: Float[np.ndarray, "S G 3"],
    vectors: Float[np.ndarray, "S D"],
    wording: Int[np.ndarray, " S"],
    prior: float,
) -> Int[np.ndarray, " S"]:
    """Merge sets of statements for as long as one origin explains two better than two do."""
    sets = int(wording.max(initial=-1)) + 1
    if sets < 2 or not said.any():
        return wording
    member = np.eye(sets)[wording]
    size, words = member.sum(0), member.T @ said
    voted = np.einsum("sv,sgk->vgk", member, counts)
    centers = member.T @ vectors
    usual = prior * said.sum(0) / said.sum()

    def explained(words: np.ndarray, voted: np.ndarray) -> np.ndarray:
        """Log-likelihood of the words and votes of sets, each from one origin."""
        by_words = (gammaln(words + usual) - gammaln(usual)).sum(-1)
        by_words += gammaln(prior) - gammaln(words.sum(-1) + prior)
        # Most likely votes rather than their marginal: many views have the same supporters, so
        # that two sets have the same is no sign of one origin; only a difference speaks.
        share = (voted + 0.5) / (voted.sum(-1, keepdims=True) + 1.5)
        return np.asarray(by_words + (voted * np.log(share)).sum((-1, -2)))

    alone = explained(words, voted)

    def gains(at: int) -> np.ndarray:
        gain = explained(words + words[at], voted + voted[at]) - alone - alone[at]
        gain += voted.shape[1]  # half the degrees of freedom: nothing, where all vote alike
        gain += gammaln(size + size[at]) - gammaln(size) - gammaln(size[at]) - np.log(VIEWS)
        cosine = centers @ centers[at] / (size * size[at])
        gain += LIKENESS * cosine * np.minimum(size, size[at])
        gain[gone] = -np.inf
        gain[at] = -np.inf
        return np.asarray(gain)

    gone = np.zeros(sets, dtype=bool)
    of = np.arange(sets)
    table = np.array([gains(at) for at in range(sets)])
    while table.max() > 0:
        kept, other = map(int, np.unravel_index(table.argmax(), table.shape))
        for held in (size, words, voted, centers):
            held[kept] += held[other]
        alone[kept] = explained(words[kept], voted[kept])
        gone[other] = True
        of[of == other] = kept
        table[other, :] = table[:, other] = -np.inf
        table[kept, :] = table[:, kept] = gains(kept)
    return _in_order(of[wording])


def linked(distance: Float[np.ndarray, "S S"], limit: float) -> Int[np.ndarray, " S"]:
    """Sets by average linkage up to a distance, numbered by their first statement."""
    from sklearn.cluster import AgglomerativeClustering

    if len(distance) < 2:
        return np.zeros(len(distance), dtype=np.int64)
    found = AgglomerativeClustering(
        n_clusters=None, distance_threshold=limit, linkage="average", metric="precomputed"
    ).fit(distance)
    return _in_order(found.labels_)


def stances(
    votes: Int8[np.ndarray, "P S"], seen: Bool[np.ndarray, "P S"], of: Int[np.ndarray, " S"]
) -> tuple[Float[np.ndarray, "P V"], Bool[np.ndarray, "P V"]]:
    """Each person's mean vote on each set of statements, and where they voted on any of it.

    A statement of set -1 is in none.
    """
    sets = np.eye(int(of.max(initial=-1)) + 1)[of] * (of >= 0)[:, None]
    voted = seen.astype(np.float64) @ sets
    mean = votes.astype(np.float64) @ sets / np.maximum(voted, 1)
    return mean, voted > 0


def _distances(texts: Sequence[str], vectors: Float[np.ndarray, "S D"]) -> np.ndarray:
    cosine = np.clip(vectors @ vectors.T, -1, 1)
    forbids = np.array([not demands(text) for text in texts], dtype=bool)
    distance = 1 - cosine
    denied = (forbids[:, None] != forbids[None, :]) & (cosine >= OPPOSED)
    distance[denied] = 2 - distance[denied]
    np.fill_diagonal(distance, 0.0)
    return np.asarray(np.maximum(distance, 0.0))


def _counts(
    votes: Int8[np.ndarray, "P S"], seen: Bool[np.ndarray, "P S"], groups: OpinionGroups
) -> Float[np.ndarray, "S G 3"]:
    """Agreeing, disagreeing and passing people of each group; of all where no groups are known."""
    of = groups.of if groups.count else np.zeros(len(votes), dtype=np.int64)
    kinds = np.stack([(votes == sign) & seen for sign in (1, -1, 0)], axis=2).astype(np.float64)
    return np.stack([kinds[of == group].sum(0) for group in range(max(1, groups.count))], axis=1)


def _mixed(
    said: Float[np.ndarray, "S W"],
    counts: Float[np.ndarray, "S G 3"],
    of: Int[np.ndarray, " S"],
) -> Int[np.ndarray, " S"]:
    """Each statement where its words and its votes fit best."""
    views = int(of.max(initial=-1)) + 1
    if views < 2 or not said.any():
        return of
    member = np.eye(views)[of]
    for _ in range(ROUNDS):
        share = (member.sum(0) + 1) / (len(said) + views)
        words = member.T @ said + 0.05
        words /= words.sum(1, keepdims=True)
        voted = np.einsum("sv,sgk->vgk", member, counts) + np.array([0.5, 0.5, 0.25])
        voted /= voted.sum(2, keepdims=True)
        fit = np.log(share) + said @ np.log(words).T
        fit += np.einsum("sgk,vgk->sv", counts, np.log(voted))
        fit = np.exp(fit - fit.max(1, keepdims=True))
        fit /= fit.sum(1, keepdims=True)
        settled = np.abs(fit - member).max() < 1e-6
        member = fit
        if settled:
            break
    return _in_order(member.argmax(1))


def _in_order(labels: np.ndarray) -> Int[np.ndarray, " S"]:
    """Numbers without a gap, by the first that bears them."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse.reshape(-1)], dtype=np.int64)
