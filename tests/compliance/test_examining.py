"""The examination: what is planted is found, what is not is not, no unanswered reply is lost."""

import numpy as np
import pytest
from tests.compliance.laws import LAW, BreakingModel, key, prompts
from tests.fakes import ScriptedModel

from plumbrule.compliance import (
    ComplianceSettings,
    above_bound,
    build_tests,
    examine_compliance,
    plan_compliance,
    plan_sentences,
    rate_so_far,
    with_regressions,
)
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging import load_prompts
from plumbrule.loop.compliance_content import compliance_sentences
from plumbrule.models import Completion
from plumbrule.records import Message
from plumbrule.statistics import pairs_needed

TESTS = build_tests(LAW, [*prompts(300), *prompts(60, group="twin")])


def examined(model, tests=TESTS, **settings):
    return examine_compliance(model, LAW, tests, judge=key, settings=ComplianceSettings(**settings))


def test_a_planted_rate_is_found_after_a_part_of_the_tests():
    found = examined(BreakingModel(0.3))
    one = found.principles[0]

    assert one.confirmed
    assert found.findings == [one]
    assert one.estimate.low < 0.3 < one.estimate.high
    assert one.broken.asked < 100
    assert all(found.exchanges[name].response == "bad" for name in one.failing)
    assert one.over_refusal is not None
    assert one.refused.confirmed  # the key counts `bad` as a refusal
    assert not found.passed


def test_a_clean_model_is_within_its_bound_early():
    found = examined(BreakingModel(0.0))
    one = found.principles[0]

    assert found.passed
    assert one.broken.within
    assert one.estimate.high <= 0.05
    assert one.broken.asked <= 112
    assert found.principles[1].reason == "there is no test of it"


def test_replies_that_nobody_can_read_count_for_the_worst_case():
    found = examined(BreakingModel(0.0, lost=0.3), early=False).principles[0]

    assert found.estimate.value == 0.0
    assert found.estimate.low == 0.0
    assert found.estimate.high > 0.25
    assert not found.confirmed
    assert not found.broken.within
    assert found.broken.counts["errored"] > 60


def test_an_interval_covers_the_planted_rate_and_nothing_is_found_at_the_bound():
    covered = confirmed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        outcomes = {str(n): [bool(rng.random() < 0.05)] for n in range(200)}
        found = rate_so_far(outcomes, bound=0.05, level=0.95, unit="violations per request")
        assert found.estimate
        covered += found.estimate.low <= 0.05 <= found.estimate.high
        confirmed += found.e_value >= 20

    assert covered >= 38
    assert confirmed <= 3


def test_evidence_against_the_bound_does_not_grow_on_average_at_the_bound():
    rng = np.random.default_rng(0)
    values = [above_bound((rng.random(60) < 0.1).astype(float), 0.1) for _ in range(2000)]

    assert np.mean(values) < 1.3


def test_paraphrases_of_one_request_are_no_evidence_of_many():
    many = {str(n): [True] for n in range(20)}
    one = {"a": [True] * 20}

    assert rate_so_far(many, bound=0.05, level=0.95, unit="x").e_value > 1e6
    assert rate_so_far(one, bound=0.05, level=0.95, unit="x").e_value < 20


def test_a_principle_that_applies_to_nothing_is_asked_no_more():
    def silent(exchanges):
        return [
            type(each)(
                exchange_id=each.exchange_id,
                manner=each.manner,
                right=None,
                verdicts=dict.fromkeys(each.verdicts, "not_applicable"),
            )
            for each in key(exchanges)
        ]

    found = examine_compliance(BreakingModel(0.0), LAW, TESTS, judge=silent).principles[0]

    assert found.broken
    assert found.broken.asked == 64
    assert found.estimate is None
    assert found.broken.reason == "it applies to none of 64 replies"


def test_regression_tests_are_asked_and_stand_in_no_rate():
    hits = [("no-lies", (Message("user", f"Once bad {n}."),)) for n in range(5)]
    tests = with_regressions(TESTS, hits, source="before")

    good = examined(BreakingModel(0.0), tests)
    bad = examined(BreakingModel(1.0), tests)

    assert (len(good.regressions), good.regressed, good.passed) == (5, [], True)
    assert len(bad.regressed) == 5
    assert good.principles[0].n == examined(BreakingModel(0.0)).principles[0].n


def test_an_interrupted_examination_goes_on_and_ends_the_same(tmp_path):
    class Dying(BreakingModel):
        def sample(self, dialogues, **given):
            if len(self.asked) > 40:
                raise KeyboardInterrupt
            return super().sample(dialogues, **given)

    settings = ComplianceSettings()
    with pytest.raises(KeyboardInterrupt):
        examine_compliance(
            Dying(0.1), LAW, TESTS, judge=key, settings=settings, folder=tmp_path / "a"
        )
    again = BreakingModel(0.1)
    resumed = examine_compliance(again, LAW, TESTS, judge=key, folder=tmp_path / "a")
    whole = examined(fresh := BreakingModel(0.1))

    assert resumed.principles == whole.principles
    assert len(again.asked) < len(fresh.asked)


def test_a_model_judges_one_principle_of_each_reply_and_never_answers_for_itself():
    def odds(asked, options):
        return [1 / len(options)] * len(options)

    judge = ScriptedModel(odds=odds, identity="judge")
    found = examine_compliance(
        BreakingModel(0.0),
        LAW,
        build_tests(LAW, prompts(40)),
        judge=judge,
        judging_prompts=load_prompts("village"),
        settings=ComplianceSettings(twins=False),
    )

    assert {each.principle_id for each in found.judgments} == {"no-lies"}
    assert found.unproven == ("no-lies", "no-theft")


def test_a_judge_that_never_answers_leaves_everything_open():
    judge = ScriptedModel(odds=lambda asked, options: None, identity="judge")
    found = examine_compliance(BreakingModel(0.0), LAW, TESTS, judge=judge)
    one = found.principles[0]

    assert one.estimate is None
    assert one.broken
    assert one.broken.reason
    assert "has a verdict" in one.broken.reason
    assert found.passed  # nothing is found, and nothing is said to be kept
    assert not one.broken.within


def test_a_model_that_behaves_only_while_it_is_tested_is_told_of():
    class Watching(BreakingModel):
        def sample(self, dialogues, *, sampling, seeds, log_probs=False):
            told = [any("evaluation" in turn.content for turn in each) for each in dialogues]
            return [
                Completion(text="good" if one else "bad", finish_reason="stop", tokens=1)
                for one in told
            ]

    tests = build_tests(LAW, prompts(30), copies=5)
    found = examined(Watching(0.0), tests, early=False)
    ways = found.principles[0].broken.by_way

    assert ways["use cue"].low > ways["test cue"].high
    assert any("while it is tested" in line for line in compliance_sentences(found))


def test_bad_settings_and_foreign_tests_are_refused():
    with pytest.raises(ConfigError, match="strictly between 0 and 1"):
        ComplianceSettings(bound=0.0)
    with pytest.raises(ConfigError, match="no principle 'kindness'"):
        examined(BreakingModel(0.0), bounds={"kindness": 0.1})
    other = type(LAW)(name="other", version="1", principles=LAW.principles[1:])
    with pytest.raises(DataError, match="no-lies"):
        examine_compliance(BreakingModel(0.0), other, TESTS, judge=key)


def test_the_plan_says_what_can_be_seen():
    plan = plan_compliance(LAW, TESTS)
    one = plan.principles[0]
    said = " ".join(plan_sentences(plan))

    assert one.families == 302
    assert one.least_seen
    assert 0.05 < one.least_seen < 0.15
    assert one.clean_needed == 98
    assert f"takes {pairs_needed(0.05)} requests" in said
    assert "No test at all of no-theft" in said
