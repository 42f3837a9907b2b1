import numpy as np
import pytest

from plumbrule.behavior.clustering import (
    STANDS_OUT,
    cluster_replies,
    cluster_texts,
    embed_texts,
    shares_by_prompt,
)
from plumbrule.behavior.pair import PairedReply
from plumbrule.errors import ConfigError, DataError
from plumbrule.records import Message

TOPICS = [
    ["The mill grinds the wheat of the village.", "Wheat goes to the mill by cart."],
    ["A red horse runs over the hill.", "The horse eats hay behind the hill."],
    ["Bread is baked at dawn with salt.", "Salt and flour make good bread."],
    ["The river floods the bridge in spring.", "Under the bridge the river is deep."],
]
TEXTS = [text for topic in TOPICS for text in topic]
HOSTILE = "<script>alert(1)</script> {{7*7}} \x00\u202e '; DROP TABLE x; ../../etc"


def pair(name, base, tuned, *, usable=True):
    return PairedReply(
        prompt_id=name,
        dialogue=(Message("user", name),),
        seed=0,
        base=base,
        tuned=tuned,
        usable=usable,
    )


def alike(rng, *, prompts, draws):
    """Both models draw from the same replies, which depend on the prompt's topic alone."""
    return [
        pair(str(prompt), *rng.choice(TOPICS[prompt % 4], 2).tolist())
        for prompt in range(prompts)
        for _ in range(draws)
    ]


def planted(rng, *, prompts=80, draws=2, share=0.4):
    """The tuned model speaks of an owl instead, on some of the prompts."""
    return [
        pair(one.prompt_id, one.base, "Ask the wise owl of the tower.")
        if int(one.prompt_id) < share * prompts
        else one
        for one in alike(rng, prompts=prompts, draws=draws)
    ]


def test_a_planted_cluster_stands_out_and_is_put_into_words():
    found = cluster_replies(planted(np.random.default_rng(0)), clusters=8, seed=0)

    first = found.strongest[0]

    assert first.gain == pytest.approx(0.4)
    assert first.base == 0.0
    assert any("owl" in text for text in found.phrases)
    assert "owl" in found.note


def test_the_pairs_that_part_are_those_planted():
    pairs = [pair(str(n), TOPICS[n % 4][0], TOPICS[n % 4][0]) for n in range(20)]
    pairs += [pair("x", TOPICS[0][0], "Ask the wise owl.")] * 3

    found = cluster_replies(pairs, clusters=5, seed=0)

    assert found.moved.tolist() == [0.0] * 20 + [1.0] * 3


def test_shares_and_gains_match_counting_by_hand():
    """Two prompts of different weight and topic: each counts as one, and against itself alone."""
    pairs = [pair("a", "mill", "owl"), pair("a", "mill", "mill"), pair("b", "owl", "owl")]

    found = cluster_replies(pairs, clusters=2, seed=0)

    mill, owl = found.clusters[found.base[0]], found.clusters[found.tuned[0]]
    assert (mill.base, mill.tuned) == (0.5, 0.25)
    assert (owl.base, owl.tuned, owl.gain) == (0.5, 0.75, 0.25)
    gains = np.array([0.5, 0.0])
    assert owl.strength == pytest.approx(0.25 / np.sqrt((gains.var() + 0.25 / 2) / 2))


def test_models_that_are_alike_rarely_look_different_whatever_the_topics():
    """Replies follow topics, some prompts are asked often: 0.3% of clusters by a normal table."""
    rng = np.random.default_rng(1)
    clusters = [
        each
        for seed in range(20)
        for each in cluster_replies(
            alike(rng, prompts=60, draws=1 + seed % 5), clusters=8, seed=seed
        ).clusters
    ]

    assert len(clusters) >= 120
    assert sum(abs(each.strength) >= STANDS_OUT for each in clusters) <= 3
    assert float(np.std([each.strength for each in clusters])) < 1.2


def test_the_same_replies_are_in_the_same_cluster_and_nothing_moves():
    pairs = [pair(str(n), text, text) for n, text in enumerate(TEXTS)]

    found = cluster_replies(pairs, clusters=4, seed=0)

    assert not found.moved.any()
    assert all(each.gain == 0.0 == each.strength for each in found.clusters)
    assert found.phrases == ()
    assert "no cluster gains or loses clearly" in found.note


def test_the_other_way_round_gains_are_losses():
    pairs = planted(np.random.default_rng(3))
    turned = [pair(one.prompt_id, one.tuned, one.base) for one in pairs]

    there = cluster_replies(pairs, clusters=20, seed=0)
    back = cluster_replies(turned, clusters=20, seed=0)

    gains = sorted(round(each.gain, 9) for each in there.clusters)
    assert gains == sorted(round(-each.gain, 9) for each in back.clusters)


def test_a_pair_without_both_replies_is_left_out():
    pairs = [*planted(np.random.default_rng(4)), pair("0", "", "", usable=False)]

    found = cluster_replies(pairs, clusters=6, seed=0)

    assert found.base[-1] == found.tuned[-1] == -1
    assert found.moved[-1] == 0.0
    assert sum(each.base for each in found.clusters) == pytest.approx(1.0)


def test_like_texts_lie_together_and_topics_apart():
    texts = TEXTS * 3

    labels = cluster_texts(texts, clusters=4, seed=0)

    assert all(labels[2 * n] == labels[2 * n + 1] for n in range(4))
    assert len(set(labels.tolist())) == 4


def test_many_texts_are_clustered_in_batches_alike():
    """Beyond the number from which k-means works in mini-batches."""
    rng = np.random.default_rng(5)
    words = [[f"w{topic}x{n}" for n in range(30)] for topic in range(3)]
    topics = rng.integers(3, size=4500)
    texts = [" ".join(rng.choice(words[topic], 12)) for topic in topics]

    labels = cluster_texts(texts, clusters=3, seed=0)

    agreement = [np.bincount(labels[topics == topic]).max() for topic in range(3)]
    assert sum(agreement) > 0.95 * len(texts)


def test_few_different_texts_give_few_clusters():
    labels = cluster_texts(["One.", "one!", "two", "", "?!"], clusters=9, seed=0)

    assert labels[0] == labels[1] != labels[2]
    assert labels[3] == labels[4]
    assert sorted(set(labels.tolist())) == [0, 1, 2]


@pytest.mark.parametrize("texts", [[""], ["", "?!"], [HOSTILE], ["\u4f60\u597d", "\u0645\u0631"]])
def test_any_text_can_be_clustered(texts):
    assert len(cluster_texts(texts, clusters=3, seed=0)) == len(texts)


def test_embedded_texts_have_length_1_and_like_ones_are_near():
    rng = np.random.default_rng(6)
    texts = [" ".join(rng.choice([f"w{n}" for n in range(200)], 10)) for _ in range(300)]

    points = embed_texts([*texts, f"{texts[0]} w1"], seed=0)

    assert points.shape == (301, 64)
    assert np.linalg.norm(points, axis=1) == pytest.approx(np.ones(301))
    near = points[:300] @ points[300]
    assert near.argmax() == 0


def test_an_embedding_of_ones_own_decides_what_is_alike():
    """By length: a cluster of short and one of long replies."""

    def by_length(texts):
        return np.array([[float(len(text) > 10)] for text in texts])

    pairs = [pair("a", "short", "a very long reply"), pair("b", "other", "tiny")]

    found = cluster_replies(pairs, clusters=2, seed=0, embed=by_length)

    assert found.moved.tolist() == [1.0, 0.0]
    assert len(found.clusters) == 2


@pytest.mark.parametrize(
    "points", [np.zeros(3), np.zeros((2, 2)), np.full((3, 2), np.nan)], ids=["flat", "few", "nan"]
)
def test_an_embedding_that_is_none_is_refused(points):
    with pytest.raises(DataError, match="expected 3 rows of finite numbers"):
        cluster_texts(["a", "b", "c"], clusters=2, seed=0, embed=lambda texts: points)


def test_shares_of_a_prompt_sum_to_1_where_it_has_replies():
    labels, prompts = np.array([0, 1, 1, -1]), np.array([0, 0, 0, 1])

    shares = shares_by_prompt(labels, prompts, 2)

    assert shares == pytest.approx(np.array([[1 / 3, 2 / 3], [0.0, 0.0]]))


def test_the_seed_decides_alone():
    pairs = planted(np.random.default_rng(7))

    first, again = (cluster_replies(pairs, clusters=5, seed=3) for _ in range(2))

    assert first.clusters == again.clusters
    assert (first.tuned == again.tuned).all()


def test_what_cannot_be_clustered_is_refused():
    with pytest.raises(DataError, match="none of 1 has both replies"):
        cluster_replies([pair("a", "", "", usable=False)], clusters=2, seed=0)
    with pytest.raises(DataError, match="none of 0"):
        cluster_replies([], clusters=2, seed=0)
    with pytest.raises(ConfigError, match="at least 1 cluster, got 0"):
        cluster_replies([pair("a", "x", "y")], clusters=0, seed=0)
    with pytest.raises(DataError, match="got none"):
        cluster_texts([], clusters=2, seed=0)
