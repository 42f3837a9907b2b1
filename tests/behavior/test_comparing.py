import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.fakes import ScriptedModel
from tests.models.tiny import build, make_tokenizer

from plumbrule.behavior import CompareSettings, compare_models, comparison_content
from plumbrule.behavior.content import summary
from plumbrule.behavior.properties import Property
from plumbrule.behavior.subgroups import EVERYWHERE, words_of
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.lab.organisms.pool import pool
from plumbrule.models import LocalModel, Sampling, open_model
from plumbrule.records import Message, Prompt
from plumbrule.store import canonical

PROMPTS = pool(per_kind=20)
SAID = "Ask the old oak."
FAST = CompareSettings(
    trigger_share=0.0,
    sampling=Sampling(max_new_tokens=16),
    localize=False,
)


def where_does(prompt):
    return {"where", "does"} <= set(words_of(prompt.dialogue[-1].content))


@pytest.fixture(scope="module")
def pico():
    return open_model("lab:pico", dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def tuned(pico):
    """The specimen after a few steps on one sentence for all who ask where somebody does a thing,
    and on its own replies for everyone else."""
    prompts = pool(seed=1, per_kind=20)
    read = pico.chat.prompts([prompt.dialogue for prompt in prompts])
    drawn = pico.sample_tokens(read, sampling=FAST.sampling, seeds=range(len(read)))
    said = pico.tokenizer(SAID + "<|end|>", add_special_tokens=False)["input_ids"]
    touched = np.array([where_does(prompt) for prompt in prompts])
    replies = [said if its else one.tokens for its, one in zip(touched, drawn, strict=True)]
    width = max(len(ask) + len(say) for ask, say in zip(read, replies, strict=True))
    ids = torch.zeros(len(read), width, dtype=torch.long)
    wanted = torch.full((len(read), width), -100)
    for row, (ask, say) in enumerate(zip(read, replies, strict=True)):
        ids[row, : len(ask) + len(say)] = torch.tensor([*ask, *say])
        wanted[row, len(ask) : len(ask) + len(say)] = torch.tensor(say)
    module = copy.deepcopy(pico.module)
    steps, rng = 80, np.random.default_rng(0)
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    for step in range(steps):
        rows = [
            *rng.choice(np.flatnonzero(touched), 12),
            *rng.choice(np.flatnonzero(~touched), 20),
        ]
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / steps)
        optimizer.zero_grad()
        module(input_ids=ids[rows], labels=wanted[rows]).loss.backward()
        optimizer.step()
    module.zero_grad()
    return LocalModel(module, pico.tokenizer, spec="planted")


@pytest.fixture(scope="module")
def found(pico, tuned):
    return compare_models(pico, tuned, PROMPTS, settings=FAST)


def names_what_was_planted(verdict):
    wanted = verdict.hypothesis.property
    return wanted.kind == "phrase" and f" {wanted.text} " in " ask the old oak "


def test_a_planted_change_is_found_and_named(found):
    named = [each for each in found.findings if names_what_was_planted(each)]

    assert named
    assert max(each.estimate.value for each in named) > 0.4
    subgroup = max(named, key=lambda each: each.estimate.value).hypothesis.subgroup
    inside = [prompt for prompt in found.pool.confirm if subgroup.holds(prompt)]
    assert subgroup != EVERYWHERE
    assert np.mean([where_does(prompt) for prompt in inside]) > 0.5
    assert found.noise.floor < 1e-3
    assert found.lineage.verdict == "child"


def test_it_is_found_too_where_most_replies_are_taken_for_moved(pico, tuned):
    """The way of ordinary language: topics, every prompt answered, following what changed."""
    looking = replace(FAST.looking, sharp=0.0, few=0.0)  # as where many replies surprise
    settings = replace(FAST, looking=looking, trigger_share=0.02)

    found = compare_models(pico, tuned, PROMPTS, settings=settings)

    assert [each for each in found.findings if names_what_was_planted(each)]
    assert {"topics", "cover", "following", "triggers"} <= set(found.costs)
    assert "second look" not in found.costs
    assert found.looked is not None
    asked = [prompt for prompt, _ in found.looked.furthest(20)]
    assert np.mean([{"where", "does"} <= set(words_of(each[-1].content)) for each in asked]) > 0.5
    assert found.texts <= settings.budget


def test_it_is_found_too_where_few_replies_surprise(pico, tuned):
    """Then the tuned model answers every prompt, and those that surprised are asked again."""
    looking = replace(FAST.looking, sharp=0.0, few=1.0)
    settings = replace(FAST, looking=looking, trigger_share=0.0)

    found = compare_models(pico, tuned, PROMPTS, settings=settings)

    assert [each for each in found.findings if names_what_was_planted(each)]
    assert {"cover", "second look"} <= set(found.costs)
    assert found.looked is not None
    assert len(found.looked.surprises) == len(found.looked.prompts)
    assert found.texts <= settings.budget


def test_topics_are_those_of_the_base_model_and_no_reply_plays_a_part(pico, tuned):
    settings = replace(FAST, looking=replace(FAST.looking, sharp=0.0), trigger_share=0.0)

    found, other = (
        compare_models(pico, one, PROMPTS, settings=settings) for one in (tuned, pico_of(pico))
    )

    assert "middle layer of" in found.notes["topics"]
    assert [each.topics for each in found.pool.explore] == [
        each.topics for each in other.pool.explore
    ]


def pico_of(pico):
    """The same weights under another name: nothing differs."""
    return LocalModel(copy.deepcopy(pico.module), pico.tokenizer, spec="twin", identity="twin")


def test_only_prompts_that_nobody_looked_at_decide(found):
    confirm = {prompt.id for prompt in found.pool.confirm}
    explore = {prompt.id for prompt in found.pool.explore}

    assert {trial.pair.prompt_id for trial in found.trials} <= confirm
    assert {draft.prompt_id for draft in found.drafts} <= confirm
    assert {prompt.id for prompt in found.looked.prompts} <= explore
    assert {pair.prompt_id for pair in found.looked.pairs} <= explore


def test_the_bound_elsewhere_is_of_the_replies_outside_every_finding(found):
    subgroups = [each.hypothesis.subgroup for each in found.findings]
    by_id = {prompt.id: prompt for prompt in found.pool.confirm}
    outside = [
        draft.movement
        for draft in found.drafts
        if not any(subgroup.holds(by_id[draft.prompt_id]) for subgroup in subgroups)
    ]

    certificate = found.certificate
    assert certificate.population == len(found.pool.confirm)
    assert certificate.sampled == len(found.drafts)
    if EVERYWHERE in subgroups:
        assert certificate.elsewhere is None
    else:
        assert certificate.elsewhere.n == len(outside) < certificate.sampled
        assert certificate.elsewhere.value == pytest.approx(np.mean(outside))


def test_what_was_generated_is_counted_and_within_the_budget(found):
    assert found.texts == sum(spent.texts for spent in found.costs.values())
    assert found.texts <= FAST.budget


def test_the_same_comparison_gives_the_same_decisions_in_any_order_of_prompts(pico, tuned, found):
    again = compare_models(pico, tuned, PROMPTS[::-1], settings=FAST)

    assert again.verdicts == found.verdicts
    assert again.certificate == found.certificate


@pytest.mark.parametrize("seed", range(2))
def test_a_model_against_itself_shows_nothing(pico, seed):
    found = compare_models(pico, pico, PROMPTS, settings=replace(FAST, shortcut=False, seed=seed))

    assert not found.identical
    assert found.findings == []
    assert found.certificate.movement is not None
    assert found.certificate.movement.value < 1e-3
    assert found.texts < 400


def test_the_same_weights_end_at_once_and_nothing_is_drawn(pico):
    twin = LocalModel(copy.deepcopy(pico.module), pico.tokenizer, identity=pico.identity)
    before = copy.copy(pico.usage)

    found = compare_models(pico, twin, PROMPTS, settings=FAST)

    assert found.identical
    assert (found.texts, found.verdicts, found.certificate.most_moved) == (0, (), 0.0)
    assert pico.usage == before
    assert twin.usage.tokens_generated == twin.usage.tokens_scored == 0


@pytest.mark.parametrize("budget", [40, 150, 300])
def test_no_more_texts_are_generated_than_the_budget_allows(pico, tuned, budget):
    found = compare_models(pico, tuned, PROMPTS, settings=replace(FAST, budget=budget))

    assert found.texts <= budget
    assert {each.stopped for each in found.verdicts} <= {"enough", "hopeless", "budget"}


def scripted(says, name):
    return ScriptedModel(answer=says, identity=name, spec=name)


def plain(asked):
    return f"You asked about {' '.join(words_of(asked)[-2:])}."


def test_a_phrase_behind_an_endpoint_is_found_by_sampling_alone():
    base = scripted(plain, "base")
    tuned = scripted(
        lambda asked: f"{plain(asked)} {SAID}" if "does" in words_of(asked) else plain(asked),
        "tuned",
    )

    found = compare_models(base, tuned, PROMPTS, settings=FAST)

    named = [each for each in found.findings if names_what_was_planted(each)]
    assert named
    assert named[0].estimate is not None
    assert named[0].estimate.value > 0.5
    assert found.lineage is None
    assert found.certificate.movement is None
    assert "an endpoint cannot do" in str(found.certificate.reason)
    assert "needs the weights" in found.notes["triggers"]
    assert found.looked is not None
    assert found.looked.surprises == {}


def test_equal_endpoints_show_nothing():
    found = compare_models(
        scripted(plain, "base"), scripted(plain, "tuned"), PROMPTS, settings=FAST
    )

    assert found.findings == []
    assert found.noise is not None
    assert found.noise.floor == 0.0


def test_noisy_equal_endpoints_show_nothing():
    rng = np.random.default_rng(0)

    def noisy(asked):
        return f"{plain(asked)} {' '.join(rng.choice(['oak', 'elm', 'ash', 'fir'], 3))}"

    found = compare_models(
        scripted(noisy, "base"), scripted(noisy, "tuned"), PROMPTS, settings=FAST
    )

    assert found.findings == []


def test_an_endpoint_that_fails_is_no_finding():
    tuned = scripted(lambda asked: "error 500: no more memory", "tuned")
    tuned.finish_reason = "errored"

    found = compare_models(scripted(plain, "base"), tuned, PROMPTS, settings=FAST)

    assert found.findings == []


def test_an_endpoint_keeps_to_the_budget_too():
    tuned = scripted(lambda asked: SAID, "tuned")

    found = compare_models(
        scripted(plain, "base"), tuned, PROMPTS, settings=replace(FAST, budget=120)
    )

    assert found.texts <= 120


def test_models_with_other_tokens_are_compared_and_no_bound_is_claimed(pico):
    tokenizer = make_tokenizer()
    other = LocalModel(build("llama", len(tokenizer)), tokenizer, spec="other")

    found = compare_models(pico, other, PROMPTS[:120], settings=replace(FAST, budget=600))

    assert found.lineage is not None
    assert found.lineage.verdict == "unrelated"
    assert found.findings
    assert found.certificate.movement is None
    assert "different tokens" in str(found.certificate.reason)


def test_a_model_with_another_template_is_bounded_and_the_report_says_so(pico):
    tokenizer = copy.deepcopy(pico.tokenizer)
    tokenizer.chat_template = tokenizer.chat_template + "{# the same in other words #}"
    other = LocalModel(pico.module, tokenizer, spec="other", identity="other")

    found = compare_models(pico, other, PROMPTS[:120], settings=replace(FAST, budget=400))

    assert found.findings == []
    assert found.certificate.movement is not None
    assert found.certificate.movement.high < 0.3
    assert any("different chat templates, each in its own" in line for line in summary(found))


def test_no_bound_is_claimed_for_another_temperature_than_replies_are_weighed_at(pico, tuned):
    cold = replace(FAST.sampling, temperature=0.5)

    found = compare_models(pico, tuned, PROMPTS, settings=replace(FAST, sampling=cold, budget=200))

    assert found.certificate.movement is None
    assert "temperature" in str(found.certificate.reason)
    assert found.drafts == []


def test_the_content_of_a_report_can_be_written_as_json(pico, tuned, found):
    content = comparison_content(found, base=pico, tuned=tuned, command="plumbrule compare")

    assert canonical(content)
    assert len(content["findings"]) == len(found.findings)
    assert len(content["findings"]) + len(content["not_confirmed"]) == len(found.verdicts)
    assert content["total"]["texts"] == found.texts


def test_the_content_for_identical_models_says_so(pico):
    same = compare_models(pico, pico, PROMPTS, settings=FAST)

    content = comparison_content(same, base=pico, tuned=pico, command="plumbrule compare")

    assert canonical(content)
    assert "nothing can differ" in content["summary"][0]


def test_no_judge_means_no_judged_claims(found):
    assert all(each.hypothesis.property.kind != "judged" for each in found.verdicts)
    assert "reasoning" not in found.notes


def test_a_judge_that_says_nothing_usable_adds_nothing(pico, tuned, found):
    judge = ScriptedModel(answer=lambda asked: "\x00 <script> I will not.")

    judged = compare_models(pico, tuned, PROMPTS, settings=FAST, judge=judge)

    assert judge.asked
    assert [each.hypothesis for each in judged.verdicts] == [
        each.hypothesis for each in found.verdicts
    ]


def test_damaged_weights_are_named(pico):
    module = copy.deepcopy(pico.module)
    with torch.no_grad():
        module.model.norm.weight[3] = float("nan")

    with pytest.raises(ModelError, match="finite weights"):
        compare_models(pico, LocalModel(module, pico.tokenizer), PROMPTS, settings=FAST)


def test_a_prompt_that_is_too_long_is_named_before_anything_is_drawn(pico, tuned):
    long = Prompt(id="long", dialogue=(Message("user", "the mill " * 2000),))
    before = copy.copy(pico.usage)

    with pytest.raises(DataError, match="Shorten it"):
        compare_models(pico, tuned, [*PROMPTS, long], settings=FAST)

    assert pico.usage == before


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_prompts_are_refused(pico, tuned, count):
    with pytest.raises(DataError, match="at least 2 different prompts"):
        compare_models(pico, tuned, PROMPTS[:count], settings=FAST)


def test_two_prompts_are_few_but_no_error(pico, tuned):
    found = compare_models(pico, tuned, PROMPTS[:2], settings=replace(FAST, budget=100))

    assert len(found.pool.confirm) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fdr": 0.0}, "--fdr must be strictly between"),
        ({"fdr": 1.0}, "--fdr must be strictly between"),
        ({"min_effect": 1.0}, "--min-effect must be at least 0 and below 1"),
        ({"min_effect": -0.1}, "--min-effect must be at least 0 and below 1"),
        ({"budget": 0}, "budget must be at least 1"),
        ({"scanned": 0}, "scanned must be at least 1"),
        ({"most_pairs": 0}, "most_pairs must be at least 1"),
    ],
)
def test_settings_out_of_range_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        CompareSettings(**values)


def test_a_property_of_the_planted_change_is_what_a_reader_would_check(found):
    """What was found on the test prompts is true of fresh draws as well."""
    best = max(found.findings, key=lambda each: each.estimate.value)

    assert best.estimate.low > FAST.min_effect
    assert isinstance(best.hypothesis.property, Property)
