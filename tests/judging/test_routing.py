from dataclasses import replace

import numpy as np
import pytest

from plumbrule.errors import ConfigError, DataError
from plumbrule.judging.routing import (
    FEATURES,
    learn_router,
    mix_labels,
    pair_features,
    route,
    weigh_preferences,
    weigh_satisfaction,
)
from plumbrule.records import Message, Preference

PAIR = Preference(
    id="p",
    dialogue=(Message("user", "What is 12 + 30?"),),
    first="It is 42, as you can easily see for yourself.",
    second="It is 42.",
    probability=0.8,
    by_principle={},
    order_disagreement={"a": 0.3, "b": 0.1},
    constitution_sha256="",
    source="ai",
    labeler="m",
    method="log-probs",
)


def doubled(count, seed, signal=True):
    """Features, and whether both labels agree: seldom where the first feature is high."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 6))
    chance = np.where(features[:, 0] > 0.8, 0.25, 0.9) if signal else np.full(count, 0.8)
    return features, rng.random(count) < chance, chance


def test_features_say_what_a_pair_is():
    one, other = pair_features([PAIR, replace(PAIR, probability=0.2)])
    told = dict(zip(FEATURES, one, strict=True))

    assert told["digits in the request"] == pytest.approx(np.log1p(4))
    assert told["asks a question"] == 1
    assert told["confidence"] == pytest.approx(0.3)
    assert told["disagreement of both orders"] == 0.3
    assert told["chosen reply longer by, in log words"] > 0
    assert dict(zip(FEATURES, other, strict=True))["chosen reply longer by, in log words"] < 0
    assert np.isfinite(pair_features([replace(PAIR, probability=None, first="")])).all()


def test_where_the_model_errs_is_learned_beyond_its_confidence():
    features, agrees, _ = doubled(400, 0)
    blind = np.random.default_rng(1).random(400)

    router = learn_router(features, agrees, confidence=blind)

    assert router.told is not None
    assert router.by_confidence is not None
    assert router.told.low > 0.6
    assert router.by_confidence.low < 0.5 < router.by_confidence.high
    fresh, agree, chance = doubled(2000, 2)
    weakest = np.argsort(router.expected(fresh))[:200]
    assert chance[weakest].mean() < 0.4
    assert router.expected(fresh).mean() == pytest.approx(agree.mean(), abs=0.05)


def test_where_agreement_is_the_same_everywhere_nothing_is_learned():
    found = [learn_router(*doubled(300, seed, signal=False)[:2]).method for seed in range(8)]

    assert found.count("the same everywhere") >= 7


def test_too_few_double_labels_teach_nothing_and_it_says_so():
    features, agrees, _ = doubled(30, 0)

    router = learn_router(features, agrees)

    assert (router.method, router.told) == ("the same everywhere", None)
    assert "too few" in router.reason
    assert router.expected(features) == pytest.approx(agrees.mean())


@pytest.mark.parametrize("bad", [np.zeros(5, bool), np.zeros((40, 2), bool), np.zeros(40)])
def test_double_labels_that_do_not_fit_are_refused(bad):
    with pytest.raises(DataError):
        learn_router(np.zeros((40, 3)), bad)


def test_people_get_what_is_critical_and_what_the_model_gets_wrong():
    expected = np.array([0.9, 0.2, 0.95, 0.4, 0.1, 0.8])
    critical = np.array([True, False, False, False, False, False])
    checkable = np.array([False, False, False, False, True, False])

    found = route(expected, people=2, critical=critical, checkable=checkable)

    assert found == ["person", "person", "model", "model", "checker", "model"]
    both = route(expected, people=1, critical=critical, checkable=critical)
    assert both[0] == "person"
    assert route(expected, people=0) == ["model"] * 6
    with pytest.raises(ConfigError, match="critical"):
        route(expected, people=0, critical=critical)
    with pytest.raises(DataError):
        route(expected, people=1, critical=critical[:3])
    with pytest.raises(DataError):
        route(np.array([np.nan]), people=1)


def test_a_label_is_as_sure_as_its_giver_and_a_coin_weighs_nothing():
    labels = mix_labels(
        ["a", "b", "c", "d", "e"],
        np.array([0.9, 0.9, 0.1, 0.5, 0.9]),
        np.array([0.8, 0.5, 0.8, 0.9, 0.2]),
        {"e": ("person", False)},
        person_accuracy=0.9,
        dollars={"person": 1.0, "model": 0.01},
    )

    told = {each.item: each for each in labels}
    assert [told[name].probability for name in "abcde"] == pytest.approx([0.8, 0.5, 0.2, 0.5, 0.1])
    assert told["a"].weight == pytest.approx(0.36)
    assert told["b"].weight == told["d"].weight == 0
    assert told["e"].weight == pytest.approx(0.64)
    assert [told[name].dollars for name in "abcde"] == pytest.approx([0.01] * 4 + [1.01])


def test_where_the_model_is_mostly_wrong_its_label_is_turned_round():
    (label,) = mix_labels(["a"], np.array([0.9]), np.array([0.1]), {})

    assert label.probability == pytest.approx(0.1)
    assert label.weight > 0.5


@pytest.mark.parametrize(
    ("says", "right", "given"),
    [
        (np.array([0.5, 0.5]), np.array([0.5]), {}),
        (np.array([1.5]), np.array([0.5]), {}),
        (np.array([0.5]), np.array([np.nan]), {}),
        (np.array([0.5]), np.array([0.5]), {"z": ("person", True)}),
    ],
)
def test_labels_that_do_not_fit_are_refused(says, right, given):
    with pytest.raises(DataError):
        mix_labels(["a"], says, right, given)


def test_who_wins_and_satisfies_less_is_told():
    rng = np.random.default_rng(0)
    before = rng.random(400) < 0.8
    worse, same = before & (rng.random(400) < 0.9), before.copy()
    wins = rng.random(400) < 0.62

    assert weigh_satisfaction(before, worse, wins).style_over_substance
    assert not weigh_satisfaction(before, same, wins).style_over_substance
    assert not weigh_satisfaction(before, worse, ~wins).style_over_substance
    with pytest.raises(DataError):
        weigh_satisfaction(before, worse, wins[:0])


def test_luck_rarely_says_style_over_substance():
    rng = np.random.default_rng(1)
    told = [
        weigh_satisfaction(
            rng.random(100) < 0.7, rng.random(100) < 0.7, rng.random(100) < 0.5
        ).style_over_substance
        for _ in range(200)
    ]

    assert sum(told) <= 2


def test_mixed_labels_become_preferences_with_their_weights():
    items = ["a", "b", "c"]
    pairs = [replace(PAIR, id=item) for item in items]
    labels = mix_labels(items, np.array([0.9, 0.9, 0.5]), np.full(3, 0.8), {"a": ("person", False)})

    found = weigh_preferences(pairs, labels)

    assert [(each.id, each.source, each.labeler) for each in found] == [
        ("a", "human", "person"), ("b", "ai", "model"), ("c", "ai", "model"),
    ]  # fmt: skip
    assert [each.probability for each in found] == [each.probability for each in labels]
    assert [each.weight for each in found] == pytest.approx([0.81, 0.36, 0.0])
    assert found[0].first == PAIR.first


def test_mixed_labels_without_their_pairs_are_refused():
    labels = mix_labels(["a"], np.array([0.9]), np.array([0.8]), {})

    with pytest.raises(DataError, match="without their counterpart are a, p"):
        weigh_preferences([PAIR], labels)
