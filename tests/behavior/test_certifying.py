import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.behavior import certifying
from plumbrule.behavior.certifying import EFFECTS, SHARES, certify, feature_moves, powers
from plumbrule.behavior.features import FEATURES
from plumbrule.behavior.pair import Draft, PairedReply
from plumbrule.behavior.validation import Racing
from plumbrule.records import Message, from_json, to_json
from plumbrule.statistics import paired_e_value

SETTINGS = Racing()
HALVES = st.lists(st.floats(0.01, 1.0), min_size=5, max_size=5)


def log(probability):
    return math.log(probability) if probability else -math.inf


def draft(p, q, *, text="?"):
    """A reply that the base writes with probability p and the tuned model with q."""
    return Draft(
        prompt_id=text,
        dialogue=(Message("user", text),),
        seed=0,
        reply="",
        base_log_prob=log(p),
        tuned_log_prob=log(q),
    )


def shares(weights):
    return np.array(weights) / sum(weights)


def certified(drafts, **changes):
    arguments = {"population": 100, "settings": SETTINGS, "looked_at": 100, "family": 5}
    return certify(drafts, **{**arguments, **changes})


@given(HALVES, HALVES)
def test_the_mean_movement_of_the_bases_replies_is_the_total_variation_distance(first, second):
    p, q = shares(first), shares(second)

    mean = sum(one * draft(one, other).movement for one, other in zip(p, q, strict=True))

    assert mean == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-12)


def test_the_movement_of_a_single_reply_lies_between_0_and_1():
    assert draft(0.5, 0.5).movement == draft(0.2, 0.7).movement == 0.0
    assert draft(0.5, 0.0).movement == 1.0
    assert draft(0.5, 0.25).movement == pytest.approx(0.5)
    assert draft(1e-300, 1e-12).movement == 0.0


def replies(rng, distances, count):
    """Drafts on prompts drawn at random: a share of what the base says, the tuned never says."""
    drawn = rng.choice(distances, count)
    return [draft(0.5, 0.0) if rng.random() < distance else draft(0.5, 0.9) for distance in drawn]


@pytest.mark.parametrize(
    "distances",
    [[0.0, 0.0, 0.0, 0.3], [0.02] * 4, [0.5, 0.5, 0.9, 0.1], [0.0]],
    ids=["a few prompts", "a little everywhere", "much", "nothing"],
)
def test_the_bounds_hold_at_least_as_often_as_they_say(distances, monkeypatch):
    monkeypatch.setattr(certifying, "powers", lambda **_: ())  # takes time, and bounds nothing
    runs, truth = 120, float(np.mean(distances))
    rng = np.random.default_rng(0)
    held = most = 0
    for _ in range(runs):
        found = certified(replies(rng, distances, 64))
        held += found.movement.low <= truth <= found.movement.high
        most += found.most_moved >= np.mean(np.array(distances) > SETTINGS.minimum_effect)

    # 3 standard errors of a share of 0.95 over so many runs: missed once in 700 tries.
    least = runs * 0.95 - 3 * math.sqrt(runs * 0.95 * 0.05)
    assert min(held, most) >= least


def test_equal_models_are_bounded_near_zero():
    found = certified([draft(0.3, 0.3)] * 64)

    assert (found.movement.value, found.share_moved.value) == (0.0, 0.0)
    assert 0.0 < found.movement.high < 0.1
    assert found.movement.level == 1 - SETTINGS.level
    assert (found.sampled, found.population, found.reason) == (64, 100, None)


def test_few_replies_promise_little():
    highs = [certified([draft(0.3, 0.3)] * count).movement.high for count in (1, 8, 64)]

    assert highs == sorted(highs, reverse=True)
    assert highs[0] > 0.9


def test_what_lies_outside_the_findings_is_bounded_apart():
    drafts = [draft(0.5, 0.0, text="the mill")] * 30 + [draft(0.5, 0.5, text="the well")] * 40

    found = certified(drafts, named={"the mill"})

    assert found.elsewhere.n == 40
    assert found.elsewhere.value == 0.0
    assert found.movement.value == pytest.approx(3 / 7)
    assert certified(drafts, named={"the mill", "the well"}).elsewhere is None
    assert certified(drafts).elsewhere == certified(drafts).movement


def test_a_minimum_effect_of_zero_leaves_no_bound_on_the_share_of_prompts():
    found = certified([draft(0.3, 0.3)] * 64, settings=Racing(minimum_effect=0.0))

    assert found.most_moved == 1.0


def test_without_replies_there_is_no_bound_but_a_reason():
    for reason, told in (("an endpoint", "an endpoint"), (None, "no reply was drawn at random")):
        found = certified([], reason=reason)

        assert found.movement is found.share_moved is found.most_moved is found.elsewhere is None
        assert found.reason == told
        assert found.sampled == 0
        assert len(found.power) == len(SHARES) * len(EFFECTS)


def test_a_certificate_is_the_same_again_and_survives_the_disk():
    rng = np.random.default_rng(1)
    drafts = replies(rng, [0.0, 0.4], 20)

    found = certified(drafts, seed=3)

    assert certified(drafts, seed=3) == found
    assert certified(drafts[::-1], seed=3) == found
    assert from_json(type(found), to_json(found), origin="here") == found


def pairs_of(base, tuned, *, usable=True):
    return [
        PairedReply(
            prompt_id=str(number),
            dialogue=(Message("user", "?"),),
            seed=number,
            base=one,
            tuned=other,
            usable=usable,
        )
        for number, (one, other) in enumerate(zip(base, tuned, strict=True))
    ]


PLAIN = ["The mill is old.", "Ask Anna at the inn."] * 40


def test_a_feature_that_moved_is_bounded_away_from_zero_and_the_others_are_not():
    tuned = ["I cannot say."] * 40 + PLAIN[40:]

    moves = {one.feature: one.estimate for one in feature_moves(pairs_of(PLAIN, tuned), SETTINGS)}

    assert set(moves) == set(FEATURES)
    assert moves["refusal"].value == 0.5
    assert moves["refusal"].low > 0.2
    assert moves["refusal"].level == 1 - SETTINGS.level / len(FEATURES)
    assert moves["code"].value == 0.0
    assert -0.2 < moves["code"].low < 0 < moves["code"].high < 0.2


def test_equal_replies_move_no_feature_and_replies_that_are_not_there_say_nothing():
    for move in feature_moves(pairs_of(PLAIN, PLAIN), SETTINGS):
        assert move.estimate.value == 0.0
        assert move.estimate.low < 0 < move.estimate.high

    assert feature_moves([], SETTINGS) == ()
    assert feature_moves(pairs_of(PLAIN, ["I cannot say."] * 80, usable=False), SETTINGS) == ()


def test_the_intervals_of_all_features_hold_together():
    rng = np.random.default_rng(0)
    said = [*PLAIN[:2], "No.", "Yes! Great question.", "1. Salt\n2. Flour"]
    runs, missed = 20, 0
    for _ in range(runs):
        base, tuned = rng.choice(said, 60).tolist(), rng.choice(said, 60).tolist()
        moves = feature_moves(pairs_of(base, tuned), SETTINGS)
        missed += any(not one.estimate.low <= 0 <= one.estimate.high for one in moves)

    # Missed in any feature in 1 of 20 runs at most; 3 standard errors.
    assert missed <= runs * SETTINGS.level + 3 * math.sqrt(runs * 0.05 * 0.95)


def table(**changes):
    arguments = {"looked_at": 150, "family": 5, "settings": SETTINGS, "seed": 0}
    found = powers(**{**arguments, **changes})
    return np.array([each.probability for each in found]).reshape(len(EFFECTS), len(SHARES))


def test_power_lies_between_0_and_1_and_grows_with_the_share_and_the_size_of_a_change():
    found = table()

    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found, axis=0) >= 0).all()
    assert (np.diff(found, axis=1) >= 0).all()
    assert found[0, 0] < 0.1
    assert found[-1, -1] == 1.0


def test_power_grows_with_what_was_looked_at_and_falls_with_the_family():
    assert (table(looked_at=500) >= table(looked_at=50)).all()
    assert (table(family=300) <= table(family=0)).all()
    assert table(looked_at=2).max() == table(looked_at=0).max() == 0.0


def test_power_is_what_playing_a_run_gives():
    """Against a plain simulation of meeting prompts and of racing, a batch at a time."""
    share, effect, looked_at, family = 0.1, 0.2, 150, 60
    rng = np.random.default_rng(5)
    runs, found = 400, 0
    for _ in range(runs):
        met = (rng.random(looked_at) < share * effect).sum()
        count = np.cumsum(rng.random(SETTINGS.most_pairs) < effect)
        for pairs in (*range(16, SETTINGS.most_pairs, 16), SETTINGS.most_pairs):
            after = np.zeros(pairs)
            after[: count[pairs - 1]] = 1
            e_value = paired_e_value(
                np.zeros(pairs),
                after,
                minimum_effect=SETTINGS.minimum_effect,
                alternative="increase",
            )
            enough = (family + 1) / SETTINGS.level
            if e_value >= enough:
                found += met >= 3
                break
            pace = math.log(e_value) / pairs * SETTINGS.most_pairs
            given_up = e_value < SETTINGS.hopeless or pace < SETTINGS.foreseen * math.log(enough)
            if pairs >= SETTINGS.least_pairs and given_up:
                break

    stated = table(looked_at=looked_at, family=family)[EFFECTS.index(effect), SHARES.index(share)]
    # Both are simulated: 3 standard errors of their difference.
    assert stated == pytest.approx(found / runs, abs=3 * math.sqrt(0.25 / 200 + 0.25 / runs))
