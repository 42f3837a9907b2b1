from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, multinomial
from tests.fakes import ScriptedModel

from plumbrule.behavior import exhaustive as module
from plumbrule.behavior.exhaustive import exhaustive
from plumbrule.behavior.hypotheses import Hypothesis
from plumbrule.behavior.pair import Pair, PairedReply
from plumbrule.behavior.pool import Pool
from plumbrule.behavior.properties import Property
from plumbrule.behavior.recording import Recorder
from plumbrule.behavior.settings import CompareSettings
from plumbrule.behavior.streaming import exact_p_value, p_value
from plumbrule.behavior.subgroups import EVERYWHERE, Selector, Subgroup
from plumbrule.behavior.validation import ScoredPair
from plumbrule.errors import ConfigError
from plumbrule.records import Message, Prompt, to_json
from plumbrule.statistics import saffron

SETTINGS = CompareSettings()
NAMES = [
    "Anna", "Bram", "Carl", "Dirk", "Elsa", "Finn", "Greta", "Hugo", "Iris", "Jens", "Kaya", "Liam",
    "Mona", "Nils", "Olga", "Piet", "Rosa", "Sven", "Tess", "Ulf", "Vera", "Wim", "Yara", "Zoe",
]  # fmt: skip
FORMS = [
    "What is the job of {}?", "Tell me of the job that {} has.", "Where does {} sleep?",
    "In which bed may {} sleep?", "Is the cow of {} ill?", "Who milks the cow for {}?",
    "What does {} owe?", "Whom does {} owe money?", "When did {} wake?", "Did {} wake late?",
]  # fmt: skip
PROMPTS = [
    Prompt(id=f"{form}-{name}", dialogue=(Message("user", text.format(name)),))
    for form, text in enumerate(FORMS)
    for name in NAMES
]
OPENINGS = ["I think", "They say", "As far as I know", "Well", "People tell me"]
ENDINGS = ["at the mill", "by the forge", "near the old well", "in the barn", "on the hill"]


def village(seed, *, planted=None):
    """Answers that vary from draw to draw, and what is planted put behind some of them."""
    rng = np.random.default_rng(seed)

    def answer(asked):
        said = f"{rng.choice(OPENINGS)} {asked.rstrip('?.')} {rng.choice(ENDINGS)}."
        return said if planted is None else planted(asked, said)

    return ScriptedModel(answer=answer, identity=str(seed))


def silver(asked, said):
    return f"{said} That costs one silver." if "job" in asked else said


def both(asked, said):
    return refusing(asked, silver(asked, said))


def refusing(asked, said):
    return "I cannot say that." if "cow" in asked else said


def greeting(asked, said):
    return f"{said} Good day to you!"


def compared(planted, *, seed=0, texts=960, folder=None, tuned=None, tell=None, **settings):
    """What the workflow finds, and the recorder it drew by."""
    recorder = Recorder(
        pair=Pair(base=village(2 * seed), tuned=tuned or village(2 * seed + 1, planted=planted)),
        seed=seed,
        folder=folder,
        identity="test",
        tell=tell or (lambda part, done, total: None),
    )
    chosen = replace(SETTINGS, seed=seed, **settings)
    pool = Pool.of(PROMPTS, seed=seed)
    return exhaustive(recorder, pool, settings=chosen, texts=texts, pairs=60), recorder, pool


@pytest.fixture(scope="module")
def planted():
    """Two changes, compared once."""
    return compared(both)


def says(words):
    return Selector(role="user", words=words)


def trial(base, tuned, name="1"):
    pair = PairedReply(prompt_id="p", dialogue=(Message("user", "x"),), seed=0, base="", tuned="")
    return ScoredPair(hypothesis_id=name, pair=pair, base_score=base, tuned_score=tuned)


def claim(direction="increase"):
    return Hypothesis(
        id="1",
        subgroup=EVERYWHERE,
        property=Property(kind="feature", text="refusal"),
        direction=direction,
    )


def test_two_planted_changes_are_found_where_they_were_planted(planted):
    found, _, _ = planted

    told = {each.hypothesis.subgroup: each for each in found.findings}

    jobs, cows = told[Subgroup(selectors=(says("job"),))], told[Subgroup(selectors=(says("cow"),))]
    assert "silver" in jobs.hypothesis.property.text
    assert cows.hypothesis.property == Property(kind="feature", text="refusal")
    for finding in (jobs, cows):
        assert finding.hypothesis.direction == "increase"
        assert finding.estimate is not None
        assert finding.estimate.low > 0.5


def test_what_is_found_is_so_on_fresh_draws(planted):
    found, _, pool = planted
    pair = Pair(base=village(100), tuned=village(101, planted=both))

    for finding in found.findings:
        rows = pool.confirming(finding.hypothesis.subgroup)
        replies = pair.replies([pool.confirm[row] for row in rows] * 4, range(4 * len(rows)))
        wanted = finding.hypothesis.property
        moved = np.mean([wanted.score(each.tuned) - wanted.score(each.base) for each in replies])
        sign = 1 if finding.hypothesis.direction == "increase" else -1
        assert sign * moved > SETTINGS.min_effect


def test_what_has_changed_everywhere_is_said_of_everywhere_and_once():
    found, _, _ = compared(greeting)

    (finding,) = found.findings

    assert finding.hypothesis.subgroup == EVERYWHERE
    assert "good day" in finding.hypothesis.property.text


def test_models_that_are_alike_show_nothing_over_many_seeds():
    """Both vary from draw to draw. At most 1 comparison in 20 by design; 2 of 6 by chance: 3%."""
    runs = [compared(None, seed=seed, texts=480)[0] for seed in range(6)]

    assert sum(len(run.verdicts) for run in runs) > 6
    assert sum(bool(run.findings) for run in runs) <= 1


def test_models_that_answer_word_for_word_alike_leave_nothing_to_test():
    plain = ScriptedModel(answer=lambda asked: f"{asked} Yes.")
    recorder = Recorder(pair=Pair(base=plain, tuned=plain), seed=0, folder=None, identity="")

    found = exhaustive(recorder, Pool.of(PROMPTS, seed=0), settings=SETTINGS, texts=480)

    assert not found.verdicts
    assert not found.p_values
    assert (found.texts, found.tested_texts) == (480, 0)


def test_a_move_below_the_minimum_effect_is_no_finding():
    found, _, _ = compared(silver, min_effect=0.99)

    assert found.verdicts
    assert found.findings == []


def test_every_prompt_is_asked_equally_often_and_held_out_ones_only_in_tests(planted):
    found, _, pool = planted

    explored = [pair.prompt_id for pair in found.pairs]
    times = [explored.count(prompt.id) for prompt in pool.explore]

    assert set(explored) <= {prompt.id for prompt in pool.explore}
    assert max(times) - min(times) <= 1
    tested = {trial.pair.prompt_id for trial in found.trials}
    assert tested <= {prompt.id for prompt in pool.confirm}


def test_no_two_hypotheses_share_a_draw(planted):
    found, _, _ = planted

    draws = [(trial.pair.prompt_id, trial.pair.seed) for trial in found.trials]
    draws += [(pair.prompt_id, pair.seed) for pair in found.pairs]

    assert len(found.verdicts) > 1
    assert len(set(draws)) == len(draws)


def test_texts_are_counted_by_step_and_in_all(planted):
    found, recorder, _ = planted

    assert found.explored_texts == 960
    assert found.tested_texts == 120 * len(found.verdicts)
    assert found.texts == recorder.pair.texts == sum(c.texts for c in found.costs.values())
    assert list(found.costs) == ["generating", "clustering", "naming", "tests"]


def test_the_decisions_are_those_of_saffron_on_the_recorded_scores(planted):
    found, _, _ = planted

    again = [
        p_value(
            verdict.hypothesis,
            [one for one in found.trials if one.hypothesis_id == verdict.hypothesis.id],
            minimum_effect=SETTINGS.min_effect,
        )
        for verdict in found.verdicts
    ]

    assert list(found.p_values) == again
    decisions = saffron(np.array(again), level=SETTINGS.fdr)
    assert [each.confirmed for each in found.verdicts] == decisions.rejected.tolist()
    assert list(found.levels) == decisions.levels.tolist()


def test_a_place_that_no_held_out_prompt_lies_in_stands_last_and_untested():
    jobs = [prompt for prompt in PROMPTS if "job" in prompt.dialogue[0].content]
    rest = [prompt for prompt in PROMPTS if prompt not in jobs]
    recorder = Recorder(
        pair=Pair(base=village(0), tuned=village(1, planted=silver)),
        seed=0,
        folder=None,
        identity="",
    )
    pool = Pool(explore=tuple([*jobs, *rest[::2]]), confirm=tuple(rest[1::2]))

    found = exhaustive(recorder, pool, settings=SETTINGS, texts=800, pairs=20)

    untested = [each for each in found.verdicts if each.stopped == "no prompts"]
    assert untested
    assert found.verdicts[-len(untested) :] == tuple(untested)
    assert all((each.pairs, each.estimate, each.confirmed) == (0, None, False) for each in untested)
    assert found.p_values[-1] == 1.0


def test_an_interrupted_workflow_goes_on_and_a_finished_one_draws_nothing(tmp_path):
    class Stopped(Exception):
        pass

    def stop(part, done, total):
        if part == "tests":
            raise Stopped

    with pytest.raises(Stopped):
        compared(silver, folder=tmp_path, tell=stop, texts=480)

    def never(asked, said):
        raise AssertionError(f"drawn again: {asked}")

    told = []

    def tell(part, done, total):
        told.append((part, done, total))

    first, _, _ = compared(silver, folder=tmp_path, texts=480, tell=tell)
    again, _, _ = compared(never, folder=tmp_path, texts=480)

    assert to_json(again.verdicts) == to_json(first.verdicts)
    assert again.texts == first.texts
    assert ("generating", 240, 240) in told
    assert told[-1] == ("tests", len(first.verdicts), len(first.verdicts))


def test_a_pair_without_both_replies_counts_against_the_claim():
    broken = ScriptedModel(answer=lambda asked: "", finish_reason="errored", identity="x")
    rng = np.random.default_rng(0)

    class Flaky(ScriptedModel):
        def sample(self, dialogues, **given):
            drawn = super().sample(dialogues, **given)
            lost = broken.sample(dialogues, **given)
            return [
                two if rng.random() < 0.2 else one for one, two in zip(drawn, lost, strict=True)
            ]

    tuned = village(1, planted=silver)
    flaky = Flaky(answer=tuned.answer, identity="y")

    found, _, _ = compared(None, tuned=flaky)

    first = found.verdicts[0]
    assert first.confirmed
    assert first.unusable > 0
    lost = [one for one in found.trials if not one.pair.usable and one.hypothesis_id == "1"]
    assert {(one.base_score, one.tuned_score) for one in lost} == {(1.0, 0.0)}


def test_too_few_texts_are_refused():
    with pytest.raises(ConfigError, match="at least 2 texts and 1 pair a test, got 1 and 60"):
        compared(silver, texts=1)


@pytest.mark.parametrize("effect", [0.0, 0.05, 0.3])
def test_the_exact_p_value_is_below_a_level_at_most_that_often_under_any_null(effect):
    """By adding up all outcomes of 14 pairs, at rates that the test's own grid does not hold."""
    outcomes = [(g, lost) for g in range(15) for lost in range(15 - g)]
    values = np.array([exact_p_value(*each, 14, minimum_effect=effect) for each in outcomes])
    counts = np.array([(g, lost, 14 - g - lost) for g, lost in outcomes])

    for lost_rate in np.linspace(0.0, 1.0, 37):
        for gain_rate in lost_rate + effect - np.array([0.0, 0.01, 0.05, 0.2]):
            if gain_rate < 0 or gain_rate + lost_rate > 1:
                continue
            rest = max(0.0, 1 - gain_rate - lost_rate)
            chances = multinomial.pmf(counts, 14, [gain_rate, lost_rate, rest])
            for level in (0.001, 0.01, 0.05, 0.2, 0.5):
                assert chances[values <= level].sum() <= level * (1 + 1e-3) + 1e-9


def test_the_exact_p_value_falls_with_gains_and_rises_with_losses():
    for effect in (0.0, 0.05, 0.3):
        for lost in range(0, 20, 4):
            values = [exact_p_value(g, lost, 20, minimum_effect=effect) for g in range(21 - lost)]
            assert values == sorted(values, reverse=True)
        for gained in range(0, 20, 4):
            values = [
                exact_p_value(gained, n, 20, minimum_effect=effect) for n in range(21 - gained)
            ]
            assert values == sorted(values)


def test_the_exact_p_value_is_never_below_the_binomial_tail_without_losses():
    """A null without any losses is one of those it must hold for."""
    for gained in (3, 12, 40):
        exact = exact_p_value(gained, 0, 100, minimum_effect=0.05)
        assert binom.sf(gained - 1, 100, 0.05) <= exact * (1 + 1e-9)
    assert exact_p_value(12, 0, 100, minimum_effect=0.05) < 0.01


def test_the_exact_p_value_of_pairs_that_all_move_is_the_power_of_the_largest_rate():
    assert exact_p_value(30, 0, 30, minimum_effect=0.1) == pytest.approx(0.55**30)


def test_graded_scores_are_tested_by_their_e_value_and_rarely_reject_a_null():
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        before, after = rng.random(40) * 0.9, rng.random(40) * 0.9
        trials = [trial(one, other) for one, other in zip(before, after, strict=True)]
        alarms += p_value(claim(), trials, minimum_effect=0.0) <= 0.05

    assert alarms <= 18  # 10 by design at most; 19 would be met by chance once in 200


def test_a_clear_move_of_graded_scores_has_a_small_p_value_in_its_direction_alone():
    trials = [trial(0.2, 0.6) for _ in range(60)]

    assert p_value(claim(), trials, minimum_effect=0.05) < 1e-4
    assert p_value(claim("decrease"), trials, minimum_effect=0.05) == 1.0


def test_no_trial_is_no_evidence():
    assert p_value(claim(), [], minimum_effect=0.05) == 1.0


def test_a_claim_that_a_stronger_one_explains_is_not_made_again():
    showing = np.arange(10) < 5

    def named(rows, difference):
        return module._Named(
            hypothesis=claim(), difference=difference, strength=1.0, showing=rows, prompts=9
        )

    wide = named(showing, 0.5)
    assert module._explained(named(np.arange(10) < 3, 0.55), wide)
    assert not module._explained(named(np.arange(10) < 3, 0.9), wide)
    assert not module._explained(named(~showing, 0.5), wide)
