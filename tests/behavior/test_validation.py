import math
from dataclasses import replace

import numpy as np
import pytest

from plumbrule.behavior import validation
from plumbrule.behavior.hypotheses import Hypothesis
from plumbrule.behavior.pair import PairedReply
from plumbrule.behavior.properties import Property
from plumbrule.behavior.subgroups import EVERYWHERE, Selector, Subgroup
from plumbrule.behavior.validation import Racing, decide, evidence, race
from plumbrule.errors import ConfigError
from plumbrule.records import Message, from_json, to_json
from plumbrule.statistics import e_bh, paired_e_value

SETTINGS = Racing()


def subgroup(number):
    return Subgroup(selectors=(Selector(role="user", words=f"word{number}"),))


def family(count, *, direction="increase"):
    return [
        Hypothesis(
            id=str(number),
            subgroup=subgroup(number),
            property=Property(kind="phrase", text="x"),
            direction=direction,
        )
        for number in range(count)
    ]


def read(hypothesis, pairs):
    """The texts are the scores."""
    return [(float(pair.base), float(pair.tuned)) for pair in pairs]


def pair(base, tuned, *, number=0, usable=True):
    return PairedReply(
        prompt_id=f"prompt {number}",
        dialogue=(Message("user", "?"),),
        seed=number,
        base=str(base),
        tuned=str(tuned),
        usable=usable,
    )


def drawing(rates, *, seed=0, usable=1.0, asked=None):
    """Draws pairs whose scores are 0 or 1 with a subgroup's two rates, independently."""
    rng = np.random.default_rng(seed)

    def draw(where, before, count):
        if asked is not None:
            asked.append((where, before, count))
        base, tuned = rates[where]
        scores = rng.random((count, 2)) < (base, tuned)
        there = rng.random(count) < usable
        return [
            pair(int(one), int(other), number=before + index, usable=bool(there[index]))
            for index, (one, other) in enumerate(scores)
        ]

    return at_once(draw)


def at_once(draw):
    """A way to draw in one subgroup, for several subgroups at once."""
    return lambda wanted: [draw(*each) for each in wanted]


def rates_of(hypotheses, *rates):
    return {each.subgroup: rates[index % len(rates)] for index, each in enumerate(hypotheses)}


@pytest.mark.parametrize("direction", ["increase", "decrease"])
def test_a_large_planted_change_is_found_at_the_earliest(direction):
    hypotheses = family(5, direction=direction)
    ends = (0.0, 1.0) if direction == "increase" else (1.0, 0.0)
    rates = rates_of(hypotheses, ends, (0.5, 0.5), (0.0, 0.0), (1.0, 1.0), ends[::-1])

    verdicts, _ = race(hypotheses, drawing(rates), read, settings=SETTINGS)

    assert [each.confirmed for each in verdicts] == [True, False, False, False, False]
    assert (verdicts[0].stopped, verdicts[0].pairs) == ("enough", SETTINGS.fewest)
    assert verdicts[0].estimate is not None
    assert abs(verdicts[0].estimate.value) == 1.0
    assert [each.stopped for each in verdicts[1:]] == ["hopeless"] * 4
    assert all(each.pairs < SETTINGS.most_pairs for each in verdicts)


def test_a_change_the_other_way_is_no_evidence():
    (one,) = family(1)

    (verdict,), _ = race([one], drawing({one.subgroup: (1.0, 0.0)}), read, settings=SETTINGS)

    assert verdict.e_value < SETTINGS.hopeless
    assert not verdict.confirmed


@pytest.fixture
def remembered(monkeypatch):
    """The same numbers, worked out once for equal counts: simulations meet few different ones."""

    def remember(work):
        known = {}

        def recalled(before, after, **how):
            moved = (after - before).tolist()
            key = (len(moved), moved.count(1.0), moved.count(-1.0), *sorted(how.items()))
            if key not in known:
                known[key] = work(before, after, **how)
            return known[key]

        return recalled

    for name in ("paired_e_value", "paired_difference"):
        monkeypatch.setattr(validation, name, remember(getattr(validation, name)))


def chance(share, runs, sigmas=3):
    """What a share may look like over so many runs, but for once in 700 tries."""
    return share + sigmas * math.sqrt(share * (1 - share) / runs)


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize(
    ("base", "tuned"), [(0.0, 0.05), (0.5, 0.55)], ids=["rare", "as often as not"]
)
def test_a_change_of_just_the_minimum_effect_is_seldom_confirmed(base, tuned):
    runs = 300
    (one,) = family(1)
    settings = replace(SETTINGS, batch=20)

    confirmed = [
        race([one], drawing({one.subgroup: (base, tuned)}, seed=seed), read, settings=settings)[0][
            0
        ]
        for seed in range(runs)
    ]

    assert sum(each.confirmed for each in confirmed) <= chance(settings.level, runs) * runs


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize(
    ("rates", "runs"), [((0.3, 0.3), 300), ((0.2, 0.25), 150)], ids=["no change", "at the border"]
)
def test_where_nothing_of_twenty_changed_hardly_a_run_finds_anything(rates, runs):
    hypotheses = family(20)
    settings = replace(SETTINGS, batch=24, most_pairs=120)

    found = [
        any(
            verdict.confirmed
            for verdict in race(
                hypotheses, drawing(rates_of(hypotheses, rates), seed=seed), read, settings=settings
            )[0]
        )
        for seed in range(runs)
    ]

    assert sum(found) <= chance(settings.level, runs) * runs


@pytest.mark.usefixtures("remembered")
def test_among_the_findings_few_are_false_and_most_of_the_true_are_made():
    hypotheses = family(12)
    rates = rates_of(hypotheses, (0.1, 0.6), (0.3, 0.3), (0.3, 0.3), (0.2, 0.2))
    false = made = true = 0
    for seed in range(25):
        verdicts, _ = race(hypotheses, drawing(rates, seed=seed), read, settings=SETTINGS)
        real = [verdict.confirmed for verdict in verdicts[::4]]
        made += sum(verdict.confirmed for verdict in verdicts)
        true += sum(real)
        false += sum(verdict.confirmed for verdict in verdicts) - sum(real)

    assert true >= 0.9 * 25 * 3
    assert false <= chance(SETTINGS.level, made) * made


@pytest.mark.usefixtures("remembered")
def test_the_intervals_of_findings_cover():
    """Over chosen claims, the expected share that misses is at most the level."""
    hypotheses = family(8)
    truth = [0.15, 0.3, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    rates = rates_of(hypotheses, *[(0.2, 0.2 + move) for move in truth])
    shares, chosen = [], 0
    for seed in range(60):
        verdicts, _ = race(hypotheses, drawing(rates, seed=seed), read, settings=SETTINGS)
        missed = [
            not verdict.estimate.low <= move <= verdict.estimate.high
            for verdict, move in zip(verdicts, truth, strict=True)
            if verdict.confirmed and verdict.estimate
        ]
        chosen += len(missed)
        shares.append(sum(missed) / max(1, len(missed)))

    assert chosen > 90
    assert np.mean(shares) <= chance(SETTINGS.level, 60)


def test_intervals_widen_with_the_share_of_the_family_that_was_chosen():
    """e-BY (Xu, Wang & Ramdas 2024): level times chosen over family."""
    hypotheses = family(10)
    rates = rates_of(hypotheses, (0.0, 1.0), (0.3, 0.3))

    verdicts, _ = race(hypotheses, drawing(rates), read, settings=SETTINGS)

    assert sum(each.confirmed for each in verdicts) == 5
    assert {each.estimate.level for each in verdicts if each.estimate} == {
        1 - SETTINGS.level * 5 / 10
    }


def test_e_values_and_decisions_are_those_of_the_statistics():
    hypotheses = family(4)
    rates = rates_of(hypotheses, (0.1, 0.8), (0.3, 0.3))

    verdicts, trials = race(hypotheses, drawing(rates, seed=5), read, settings=SETTINGS)

    for verdict in verdicts:
        mine = [trial for trial in trials if trial.hypothesis_id == verdict.hypothesis.id]
        assert verdict.pairs == len(mine)
        assert verdict.e_value == paired_e_value(
            np.array([float(trial.pair.base) for trial in mine]),
            np.array([float(trial.pair.tuned) for trial in mine]),
            minimum_effect=SETTINGS.minimum_effect,
            alternative="increase",
        )
    stand = e_bh(np.array([each.e_value for each in verdicts]), level=SETTINGS.level)
    assert [each.confirmed for each in verdicts] == stand.tolist()


def test_deciding_again_from_the_trials_gives_the_same_bytes():
    hypotheses = family(6)
    rates = rates_of(hypotheses, (0.1, 0.5), (0.3, 0.3), (0.9, 0.2))
    verdicts, trials = race(
        hypotheses, drawing(rates, usable=0.9), read, settings=replace(SETTINGS, most_pairs=50)
    )
    stored = [from_json(type(one), to_json(one), origin="here") for one in trials[::-1]]

    again = decide(
        hypotheses,
        {each.id: [t for t in stored if t.hypothesis_id == each.id] for each in hypotheses},
        {each.hypothesis.id: each.stopped for each in verdicts},
        settings=SETTINGS,
    )

    assert [to_json(each) for each in again] == [to_json(each) for each in verdicts]


def test_the_order_of_the_family_changes_no_verdict():
    hypotheses = family(5)
    rates = rates_of(hypotheses, (0.1, 0.5), (0.3, 0.3), (0.2, 0.3))

    def draw(where, before, count):
        seed = int(where.selectors[0].words[4:])
        return drawing(rates, seed=[seed, before])([(where, before, count)])[0]

    straight, _ = race(hypotheses, at_once(draw), read, settings=SETTINGS)
    turned, _ = race(hypotheses[::-1], at_once(draw), read, settings=SETTINGS)

    assert turned[::-1] == straight


def test_hypotheses_of_one_place_share_their_draws():
    first = Hypothesis(
        id="1",
        subgroup=EVERYWHERE,
        property=Property(kind="phrase", text="x"),
        direction="increase",
    )
    second = replace(first, id="2", direction="decrease")
    asked: list[tuple[Subgroup, int, int]] = []

    verdicts, trials = race(
        [first, second],
        drawing({EVERYWHERE: (0.4, 0.6)}, asked=asked),
        read,
        settings=replace(SETTINGS, hopeless=0.0, foreseen=-100.0),
    )

    most = max(each.pairs for each in verdicts)
    assert sum(count for _, _, count in asked) == most
    assert [before for _, before, _ in asked] == list(range(0, most, SETTINGS.batch))
    shared = min(each.pairs for each in verdicts)
    seen = [[t.pair for t in trials if t.hypothesis_id == name][:shared] for name in ("1", "2")]
    assert seen[0] == seen[1]


def test_a_place_is_not_asked_again_when_all_its_hypotheses_have_stopped():
    hypotheses = family(2)
    asked: list[tuple[Subgroup, int, int]] = []

    race(
        hypotheses,
        drawing(rates_of(hypotheses, (0.0, 1.0), (0.1, 0.2)), asked=asked),
        read,
        settings=SETTINGS,
    )

    assert sum(count for where, _, count in asked if where == subgroup(0)) == SETTINGS.fewest


def test_pairs_without_a_reply_count_against_the_claim():
    for direction, ends in (("increase", (0.0, 1.0)), ("decrease", (1.0, 0.0))):
        (one,) = family(1, direction=direction)
        draw = drawing({one.subgroup: ends}, usable=0.5, seed=1)

        (verdict,), trials = race([one], draw, read, settings=SETTINGS)

        missing = [trial for trial in trials if not trial.pair.usable]
        assert verdict.unusable == len(missing) > 0
        assert {(t.base_score, t.tuned_score) for t in missing} == {ends[::-1]}
        assert not verdict.confirmed


def test_a_judge_is_not_asked_about_replies_that_are_not_there():
    (one,) = family(1)
    judged = []

    def score(hypothesis, pairs):
        judged.extend(pairs)
        return read(hypothesis, pairs)

    race([one], drawing({one.subgroup: (0, 1)}, usable=0.0), score, settings=SETTINGS)

    assert judged == []


def test_without_prompts_in_a_place_nothing_is_said_about_it():
    hypotheses = family(2)

    def draw(where, before, count):
        return None if where == subgroup(0) else [pair(0, 1, number=n) for n in range(count)]

    (nowhere, somewhere), trials = race(hypotheses, at_once(draw), read, settings=SETTINGS)

    assert (nowhere.stopped, nowhere.e_value, nowhere.pairs) == ("no prompts", 1.0, 0)
    assert nowhere.estimate is None
    assert not nowhere.confirmed
    assert somewhere.confirmed
    assert {trial.hypothesis_id for trial in trials} == {"1"}


@pytest.mark.parametrize("left", [0, 5, 8, 13])
def test_when_the_budget_ends_the_race_ends_and_says_so(left):
    hypotheses = family(2)
    texts = [left]

    def draw(where, before, count):
        count = min(count, texts[0])
        texts[0] -= count
        return [pair(0, 0, number=before + n) for n in range(count)]

    verdicts, trials = race(hypotheses, at_once(draw), read, settings=SETTINGS)

    assert {each.stopped for each in verdicts} == {"budget"}
    assert len(trials) == left == sum(each.pairs for each in verdicts)


def test_what_was_shown_before_the_budget_ended_still_stands():
    (one,) = family(1)

    def draw(where, before, count):
        return [] if before >= 16 else [pair(0, 1, number=before + n) for n in range(count)]

    (verdict,), _ = race([one], at_once(draw), read, settings=replace(SETTINGS, fewest=40))

    assert (verdict.stopped, verdict.pairs, verdict.confirmed) == ("budget", 16, True)


def test_at_the_cap_a_hypothesis_is_given_up():
    (one,) = family(1)
    asked: list[tuple[Subgroup, int, int]] = []
    settings = replace(SETTINGS, most_pairs=30, hopeless=0.0, foreseen=-100.0)

    (verdict,), _ = race(
        [one], drawing({one.subgroup: (0.3, 0.3)}, asked=asked), read, settings=settings
    )

    assert (verdict.stopped, verdict.pairs) == ("cap", 30)
    assert [count for _, _, count in asked] == [16, 14]


def test_evidence_that_grows_too_slowly_to_suffice_is_given_up_early():
    """One reply in twelve says it: worth something, and not enough to stand within the cap."""
    hypotheses = family(40)
    rates = rates_of(hypotheses, (0.0, 0.08))
    patient = replace(SETTINGS, foreseen=-100.0)

    given_up, _ = race(hypotheses, drawing(rates), read, settings=SETTINGS)
    played_on, _ = race(hypotheses, drawing(rates), read, settings=patient)

    assert sum(each.confirmed for each in played_on) <= 4
    assert sum(each.pairs for each in given_up) < 0.5 * sum(each.pairs for each in played_on)
    dropped = [each for each in given_up if each.stopped == "hopeless"]
    assert any(each.e_value >= SETTINGS.hopeless for each in dropped)


def test_the_same_prompt_drawn_twice_is_one_prompt():
    (one,) = family(1)

    draw = at_once(lambda where, before, count: [pair(0, 1)] * count)

    (verdict,), _ = race([one], draw, read, settings=SETTINGS)

    assert (verdict.prompts, verdict.pairs) == (1, SETTINGS.fewest)


def test_no_hypotheses_need_no_draws():
    def draw(wanted):
        raise AssertionError("nothing was to be drawn")

    assert race([], draw, read, settings=SETTINGS) == ([], [])


def test_before_any_trial_there_is_no_evidence():
    assert evidence(family(1)[0], [], 0.05) == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"level": 0.0}, "strictly between 0 and 1"),
        ({"level": 1.0}, "strictly between 0 and 1"),
        ({"minimum_effect": -0.1}, "at least 0 and below 1"),
        ({"minimum_effect": 1.0}, "at least 0 and below 1"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"most_pairs": 0}, "most_pairs must be at least 1"),
    ],
)
def test_settings_out_of_range_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        Racing(**values)
