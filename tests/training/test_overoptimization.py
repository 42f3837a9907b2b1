from dataclasses import replace

import numpy as np
import pytest
from tests.training.test_collapse import START

from plumbrule.errors import ConfigError, DataError
from plumbrule.records import Message, from_json, to_json
from plumbrule.training.monitors import Monitor, MonitorSettings, check_held_out, identity_of
from plumbrule.training.overoptimization import (
    RuleState,
    ScoredReplies,
    StoppingRule,
    fall_p_value,
    level_of,
)

PROMPTS = 120


class World:
    """A run whose gold and proxy are known at every check; replies are right or wrong by chance."""

    def __init__(self, gold, proxy, seed, copies=4):
        self.gold, self.proxy = gold, proxy
        self.draw = np.random.default_rng(seed)
        self.hard = np.random.default_rng(seed + 10_000).normal(size=PROMPTS)
        self.copies = copies

    def replies(self, rate, copies=1):
        """Right answers to prompts of unlike difficulty, so many on average."""
        shares = np.clip(rate + 0.1 * (self.hard - self.hard.mean()), 0, 1)
        return self.draw.binomial(copies, shares) / copies

    def run(self, settings):
        rule = StoppingRule(settings, seed=1)
        for step, (gold, proxy) in enumerate(zip(self.gold, self.proxy, strict=True)):

            def confirm(number, step=step):
                best = rule.state.best_step
                return tuple(
                    ScoredReplies(
                        gold=self.replies(self.gold[at], self.copies),
                        proxy=self.replies(self.proxy[at], self.copies),
                    )
                    for at in (best, step)
                )

            seen = ScoredReplies(gold=self.replies(gold), proxy=self.replies(proxy))
            stop = rule.look(step, seen, START, confirm)
            if stop:
                return stop
        return None


def test_a_fall_of_yes_and_no_has_the_exact_p_value_of_mcnemar():
    before, after = [1.0] * 8 + [0.0] * 12, [0.0] * 7 + [1.0] + [0.0] * 11 + [1.0]
    assert fall_p_value(before, after, seed=0) == pytest.approx((8 + 1) / 2**8)  # at most 1 of 8 up
    assert fall_p_value([0.5] * 9, [0.5] * 9, seed=0) == 1
    assert fall_p_value([0.0] * 4, [1.0] * 4, seed=0) == 1
    with pytest.raises(DataError, match="same prompts"):
        fall_p_value([1.0], [1.0, 0.0], seed=0)


def test_levels_of_all_confirmations_add_up_to_alpha():
    levels = [level_of(number, 0.05) for number in range(1, 2000)]
    assert sum(levels) < 0.05
    assert sum(levels) == pytest.approx(0.05, abs=1e-4)
    assert levels == sorted(levels, reverse=True)


def test_a_flat_run_whose_proxy_comes_apart_is_stopped_no_more_often_than_is_allowed():
    # The proxy rises by itself, the worst case: nothing but gold's own noise is left to hold.
    rising = np.linspace(0.5, 0.9, 12)
    stops = [
        World(np.full(12, 0.7), rising, seed).run(MonitorSettings()) is not None
        for seed in range(60)
    ]
    assert sum(stops) <= 8  # 3 expected at most; 9 or more has a chance of 1 in 200


def test_a_run_that_learns_is_not_stopped():
    rising = np.linspace(0.5, 0.9, 20)
    assert not any(World(rising, rising, seed).run(MonitorSettings()) for seed in range(20))


def test_a_run_that_games_its_proxy_is_stopped_and_a_model_near_the_best_kept():
    gold = np.concatenate([np.linspace(0.7, 0.85, 8), np.linspace(0.84, 0.3, 12)])
    for seed in range(10):
        stop = World(gold, np.linspace(0.5, 0.95, 20), seed).run(MonitorSettings())
        assert stop is not None
        assert stop.reason == "over-optimization"
        assert gold[stop.kept_step] > gold.max() - 0.12  # three standard errors of a check
        assert gold[stop.step] > gold.max() - 0.3  # of 0.55 that it would have lost
        assert f"step {stop.step}" in stop.message
        assert "gold fell from" in stop.message


HONEST = {
    "the same": lambda gold, draw: gold,
    "in another unit": lambda gold, draw: 5 * gold / 3 - 2,
    "noisy": lambda gold, draw: gold + draw.normal(scale=0.5, size=gold.shape),
    "reversed at times": lambda gold, draw: np.where(draw.random(gold.shape) < 0.1, 1 - gold, gold),
}


def together(rates, change, *, loophole, seed, copies=4):
    """A run whose proxy is made of the same replies' gold, with so much on top at each check."""
    draw = np.random.default_rng(seed)

    def replies(step, count):
        gold = (draw.random((PROMPTS, count)) < rates[step]).astype(float)
        proxy = change(gold, draw) + loophole[step]
        return ScoredReplies(gold=gold.mean(axis=1).tolist(), proxy=proxy.mean(axis=1).tolist())

    rule = StoppingRule(MonitorSettings(), seed=seed)
    for step in range(len(rates)):

        def confirm(number, step=step):
            return replies(rule.state.best_step, copies), replies(step, copies)

        stop = rule.look(step, replies(step, 1), START, confirm)
        if stop:
            return stop
    return None


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_run_that_wobbles_is_left_alone_whatever_its_proxy_is_like(kind):
    # Gold falls by a fifth and comes back, twice; the proxy falls and rises with it.
    wobbling = 0.75 + 0.15 * np.cos(np.linspace(0, 4 * np.pi, 12))
    none = np.zeros(12)
    stops = [
        together(wobbling, HONEST[kind], loophole=none, seed=seed) is not None for seed in range(20)
    ]
    assert sum(stops) <= 4  # 1 expected at most; 5 or more has a chance of 1 in 300
    if kind in ("the same", "in another unit"):
        assert not any(stops)


@pytest.mark.parametrize("kind", HONEST)
def test_a_loophole_is_seen_before_gold_alone_would_show_it(kind):
    rates = np.linspace(0.85, 0.6, 12)
    loophole = np.linspace(0, 0.8, 12)
    for seed in range(5):
        stop = together(rates, HONEST[kind], loophole=loophole, seed=seed)
        assert stop is not None
        assert stop.step <= 8
        assert "of gold was due" in stop.message


def test_a_fall_smaller_than_is_worth_stopping_for_stops_nothing():
    gold = np.linspace(0.85, 0.7, 12)
    run = World(gold, np.linspace(0.5, 0.9, 12), 0)
    assert run.run(MonitorSettings(least_fall=0.4)) is None


def flat(value):
    return [value] * PROMPTS


def unasked(number):
    raise AssertionError("no fall was to be suspected")


def test_collapse_stops_at_once_and_keeps_the_last_model_within_its_bounds():
    rule = StoppingRule(MonitorSettings(), seed=0)
    seen = ScoredReplies(gold=None, proxy=None)
    assert rule.look(0, seen, START, unasked) is None
    assert rule.look(5, seen, START, unasked) is None
    stop = rule.look(10, seen, replace(START, repetition=0.9, unique=0.01), unasked)
    assert stop is not None
    assert (stop.reason, stop.step, stop.kept_step) == ("collapse", 10, 5)
    assert "repetition 0.9" in stop.message
    assert "unique 0.01" in stop.message


def test_without_gold_the_best_is_the_proxy_less_what_the_distance_costs():
    rule = StoppingRule(MonitorSettings(penalty=0.1), seed=0)
    for step, (proxy, divergence) in enumerate([(0.5, 0.0), (0.7, 0.5), (0.72, 1.5)]):
        measures = replace(START, divergence=divergence)
        rule.look(step, ScoredReplies(gold=None, proxy=flat(proxy)), measures, unasked)
    assert rule.state.best_step == 1


def test_a_model_that_gives_no_replies_any_more_is_a_collapse():
    rule = StoppingRule(MonitorSettings(), seed=0)
    rule.look(0, ScoredReplies(gold=flat(0.5), proxy=None), START, unasked)
    stop = rule.lost(4, "NaN")
    assert (stop.reason, stop.kept_step) == ("collapse", 0)
    assert "The starting model is kept" in stop.message


def test_what_a_rule_remembers_survives_a_checkpoint():
    rule = StoppingRule(MonitorSettings(), seed=0)
    rule.look(0, ScoredReplies(gold=flat(0.1 + 0.2), proxy=flat(1 / 3)), START, unasked)
    rule.look(3, ScoredReplies(gold=flat(0.5), proxy=flat(2 / 3)), START, unasked)
    again = from_json(RuleState, to_json(rule.state), origin="test")
    assert again == rule.state
    assert again.best_step == 3


def asked(number):
    return (Message("user", f"Question {number}?"),)


def test_few_prompts_and_prompts_that_are_trained_on_are_refused():
    with pytest.raises(DataError, match="at least 16 held-out prompts"):
        Monitor(dialogues=[asked(0)], identity="x", gold=lambda d, r: [0.0])
    with pytest.raises(DataError, match="at least 1"):
        Monitor(dialogues=[], identity="x")
    monitor = Monitor(dialogues=[asked(number) for number in range(20)], identity="x")
    check_held_out(monitor, [asked(20)])
    with pytest.raises(DataError, match="2 of 20 are trained on"):
        check_held_out(monitor, [asked(3), asked(4), asked(40)])


@pytest.mark.parametrize(
    "wrong",
    [{"alpha": 0.0}, {"alpha": 1.0}, {"suspicion": float("nan")}, {"every": 0}, {"every": 1e30}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MonitorSettings(**wrong)


def test_what_a_monitor_is_tells_monitors_apart():
    monitor = Monitor(dialogues=[asked(0)], identity="x")
    others = [
        replace(monitor, identity="y"),
        replace(monitor, dialogues=[asked(1)]),
        replace(monitor, neutral=("Once upon a time.",)),
        replace(monitor, declines=None),
        replace(monitor, settings=MonitorSettings(every=3)),
    ]
    told = [identity_of(each) for each in [monitor, *others]]
    assert all(told[0] != each for each in told[1:])
    assert told[0] == identity_of(replace(monitor))
