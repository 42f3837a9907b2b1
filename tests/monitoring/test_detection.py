import numpy as np
import pytest

from plumbrule.errors import ConfigError, DataError
from plumbrule.monitoring import (
    LabelCounts,
    RiseDetector,
    Shares,
    attribute_rise,
    baseline_bound,
    corrected_sequence,
    draw,
    drift_detector,
    sequence_of,
    stable_uniform,
)
from plumbrule.monitoring.detection import ALLOWANCES
from plumbrule.statistics import BettingSequence, clopper_pearson


def by_hand(scores, detector):
    """The sum over all starts, each gambler by itself."""
    stakes, bound = detector.stakes[0], detector.bound
    wealth = []
    for place, score in enumerate(scores):
        if place % detector.every == 0:
            wealth.append(np.ones(len(stakes)))
        wealth = [each * (1 + stakes * (score - bound)) for each in wealth]
        if sum(each.mean() for each in wealth) >= detector.threshold:
            return place
    return None


@pytest.mark.parametrize("seed", range(5))
def test_the_alarm_is_that_of_every_gambler_by_itself(seed):
    rng = np.random.default_rng(seed)
    scores = (rng.random(600) < 0.2).astype(float)
    make = lambda: RiseDetector.for_rate(0.05, alpha=0.05, per_year=24 * 365 * 7)  # noqa: E731
    expected = by_hand(scores, make())
    whole, pieces = make(), make()
    at = None
    for start in range(0, 600, 37):
        found = pieces.update(scores[start : start + 37])
        if found is not None:
            at = start + found
            break

    assert expected is not None
    assert whole.update(scores) == expected == at


def test_years_without_a_change_seldom_have_an_alarm():
    # Short "years" of 400 starts, at the bound itself.
    alarms = 0
    for year in range(60):
        rng = np.random.default_rng([1, year])
        detector = RiseDetector.for_rate(0.02, alpha=0.05, per_year=8_760, allowances=(0.0,))
        detector.starts = 400
        alarms += detector.update((rng.random(400) < 0.02).astype(float)) is not None

    assert alarms <= 7  # 3 expected at most; more than 7 has a chance of 1%
    detector = RiseDetector.for_rate(0.02, alpha=0.05, per_year=8_760, allowances=(0.0,))
    assert detector.update((np.random.default_rng(1).random(2_000) < 0.1).astype(float)) is not None


def test_a_rise_is_seen_soon_and_weights_count_as_what_they_stand_for():
    for share in (1.0, 0.2):
        rng = np.random.default_rng(3)
        detector = RiseDetector.for_rate(
            0.03, alpha=0.05, per_year=365_000, largest=Shares(plain=share).weights
        )
        drawn = rng.random(20_000) < share
        before = (rng.random(20_000) < 0.02) * drawn / share
        after = (rng.random(20_000) < 0.09) * drawn / share

        assert detector.update(before) is None
        at = detector.update(after)
        assert at is not None
        assert at < 600 / share


def test_a_bound_lies_above_what_was_seen_and_covers():
    missed = 0
    for seed in range(200):
        rng = np.random.default_rng([2, seed])
        scores = (rng.random(2_000) < 0.02).astype(float)
        missed += baseline_bound(scores, largest=1.0, chance=0.05).value < 0.02

    assert missed <= 17  # 10 expected; more has a chance of 1%
    with pytest.raises(DataError, match="got none"):
        baseline_bound(np.zeros(0), largest=1.0, chance=0.05)


@pytest.mark.parametrize(("bound", "alpha"), [(0.0, 0.05), (1.0, 0.05), (0.1, 0.0), (0.1, 1.5)])
def test_settings_beyond_their_range_are_refused(bound, alpha):
    with pytest.raises(ConfigError):
        RiseDetector.for_rate(bound, alpha=alpha, per_year=1000)


def anchors(rng, moved):
    before = rng.random(500) < 0.03
    return before, before | (rng.random(500) < moved)


def risen(rate=0.12):
    detector = RiseDetector.for_rate(0.03, alpha=0.05, per_year=365_000)
    rng = np.random.default_rng(5)
    detector.update((rng.random(6_000) < rate).astype(float), stop_at_alarm=False)
    return detector


def test_a_rise_is_the_judges_where_the_anchors_rise_as_much():
    rng = np.random.default_rng(6)

    assert attribute_rise(risen(), *anchors(rng, 0.0)).cause == "model"
    assert attribute_rise(risen(), *anchors(rng, 0.09)).cause == "judge"
    assert attribute_rise(risen(0.4), *anchors(rng, 0.04)).cause == "both"


def test_without_anchors_and_with_others_nothing_is_told():
    none = np.zeros(0, dtype=bool)

    assert attribute_rise(risen(), none, none).cause == "undecided"
    with pytest.raises(DataError, match="judged again"):
        attribute_rise(risen(), none, np.zeros(3, dtype=bool))


def test_a_judge_that_rules_as_it_did_is_not_called_changed_and_another_is():
    rng = np.random.default_rng(7)
    calm = drift_detector(0.02, alpha=0.005, per_year=9_125)
    changed = drift_detector(0.02, alpha=0.005, per_year=9_125)
    noise = rng.choice([-1.0, 0.0, 1.0], p=[0.01, 0.98, 0.01], size=9_125)

    assert calm.update(noise) is None
    assert changed.update(rng.choice([0.0, 1.0], p=[0.9, 0.1], size=1_000)) is not None
    assert ALLOWANCES[0] == 0.0


def test_counts_give_what_single_observations_give():
    values = np.array([0.0] * 50 + [5.0] * 3 + [1.0] * 7)
    one = BettingSequence(high_bound=5.0, unit="x")
    one.update(values)

    assert sequence_of({0.0: 50, 5.0: 3, 1.0: 7}, largest=5.0).high == pytest.approx(
        one.estimate().high
    )


def test_the_corrected_rate_covers_whatever_the_judge_does():
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng([8, seed])
        broken = rng.random(4_000) < 0.05
        flagged = np.where(broken, rng.random(4_000) < 0.7, rng.random(4_000) < 0.1)
        labels = {True: [0, 0], False: [0, 0]}
        for truth, said in zip(broken.tolist(), flagged.tolist(), strict=True):
            if rng.random() < (0.4 if said else 0.05):
                labels[said][0] += 1
                labels[said][1] += truth
        found = corrected_sequence(
            {1.0: int(flagged.sum()), 0.0: int((~flagged).sum())},
            LabelCounts(
                flagged=labels[True][0], flagged_broken=labels[True][1],
                cleared=labels[False][0], cleared_broken=labels[False][1],
            ),
        )  # fmt: skip
        assert found is not None
        covered += found.low <= 0.05 <= found.high

    assert covered >= 36
    assert corrected_sequence({0.0: 5}, LabelCounts(flagged=3)) is None


def test_draws_are_the_same_everywhere_and_have_their_chance():
    shares = Shares(plain=0.1, suspect=0.5)
    drawn = [
        draw(f"c{place}", suspect=place % 2 == 0, shares=shares, salt="w") for place in range(8_000)
    ]

    assert drawn[7] == draw("c7", suspect=False, shares=shares, salt="w")
    for suspect, chance in ((True, 0.5), (False, 0.1)):
        part = [each for place, each in enumerate(drawn) if (place % 2 == 0) == suspect]
        known = clopper_pearson(sum(e.judged for e in part), len(part), level=0.999, unit="")
        assert known.low <= chance <= known.high
    assert stable_uniform("a", "b") == 0.9990435296234165
    with pytest.raises(ConfigError, match="above 0"):
        Shares(plain=0.0)
