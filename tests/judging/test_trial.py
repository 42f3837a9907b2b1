import random
from dataclasses import replace

import pytest
from tests.fakes import ScriptedModel

from plumbrule.constitution import (
    Constitution,
    Counterfactual,
    CritiqueExample,
    Principle,
    load_constitution,
)
from plumbrule.judging import (
    CandidatePair,
    Standing,
    compare_by_grades,
    conclude,
    grade,
    known_replies,
    load_prompts,
    try_judge,
)
from plumbrule.models import open_model
from plumbrule.records import Exchange, Message
from plumbrule.statistics import auroc

PROMPTS = load_prompts("default")
ASKED = (Message("user", "Q"),)


def principle(name, examples=4):
    return Principle(
        id=name,
        text=f"Keep {name}.",
        tier=0,
        critique_examples=tuple(
            CritiqueExample(
                request=f"{name} {number}?",
                reply=f"BROKEN {name} {number}",
                critique="It is bad.",
                revision=f"KEPT {name} {number}",
            )
            for number in range(examples)
        ),
    )


LAW = Constitution(
    name="two", version="1", principles=(principle("kind"), principle("brief"), principle("new", 1))
)


def trial(odds, law=LAW):
    model = ScriptedModel(odds=odds)
    known = known_replies(law)
    answers = try_judge(model, known, law, prompts=PROMPTS, seeds=list(range(len(known))))
    return conclude("judge", answers, law)


def fail_is(asked, options, share):
    """Answers that give `fail` this share, whichever way round the question is asked."""
    graded = PROMPTS.template("grade" if "break this" in asked else "grade_again")
    meanings = graded.options
    return [{"fail": share, "pass": 1 - share}[meanings[option]] for option in options]


def says_no_and_knows(asked, options):
    """Says that nothing is broken, always, but less surely where something of `kind` is."""
    return fail_is(asked, options, 0.2 if "BROKEN kind" in asked else 0.1)


def believing(examples=4, pairs=4):
    """A principle whose worked examples the look of a reply gives away, its pairs not."""
    return replace(
        principle("honest", examples),
        counterfactuals=tuple(
            Counterfactual(reply=f"Yes, {n}.", breaks=f"Is it FALSE {n}?", keeps=f"Is it TRUE {n}?")
            for n in range(pairs)
        ),
    )


def by_its_look(asked, options):
    return fail_is(asked, options, 0.9 if "BROKEN" in asked or "Yes, " in asked else 0.1)


def by_the_request(asked, options):
    broken = "BROKEN" in asked or "FALSE" in asked
    return fail_is(asked, options, 0.9 if broken else 0.1)


@pytest.mark.parametrize("examples", [0, 4])
def test_a_judge_that_goes_by_the_look_of_a_reply_does_not_work(examples):
    law = Constitution(name="one", version="1", principles=(believing(examples),))

    looks, reads = (trial(odds, law).ability("honest") for odds in (by_its_look, by_the_request))

    assert (looks.works, looks.auroc.value) == (False, 0.5)
    assert "one reply to two requests each" in looks.reason
    assert (reads.works, reads.auroc.value) == (True, 1.0)
    assert reads.sensitivity.n == examples + 4


def test_worked_examples_decide_where_they_are_the_harder():
    law = Constitution(name="one", version="1", principles=(believing(),))

    found = trial(lambda a, o: fail_is(a, o, 0.9 if "FALSE" in a else 0.1), law).ability("honest")

    assert (found.works, found.auroc.value) == (False, 0.5)
    assert "two requests" not in found.reason


def test_two_counterfactuals_test_nobody():
    law = Constitution(name="one", version="1", principles=(believing(0, 2),))

    assert trial(by_its_look, law).ability("honest").works is None


def test_the_villages_specimen_takes_each_yes_for_flattery_and_each_refusal_for_unhelpful():
    """It keeps privacy by the request, and knows agreement and help by the words alone."""
    village, words = load_constitution("village"), load_prompts("village")
    known = known_replies(village)
    model = open_model("lab:small", dtype="float32", device="cpu")

    answers = try_judge(model, known, village, prompts=words, seeds=[0] * len(known))
    found = conclude(model.identity, answers, village)

    assert {each.principle_id: each.works for each in found.tested} == {
        "privacy": True,
        "no-flattery": False,
        "be-helpful": False,
    }


def test_a_judge_that_says_no_to_everything_is_heard_by_its_log_odds():
    found = trial(says_no_and_knows).ability("kind")

    assert found.works is True
    assert found.auroc.value == 1.0
    assert found.auroc.low > 0.5
    assert (found.plain_sensitivity.value, found.plain_specificity.value) == (0.0, 1.0)
    assert (found.sensitivity.value, found.specificity.value) == (1.0, 1.0)


def test_a_principle_on_which_the_judge_knows_nothing_is_named():
    found = trial(says_no_and_knows)

    assert found.ability("brief").works is False
    assert "no better than chance" in found.ability("brief").reason
    assert not found.able("brief")
    assert [each.principle_id for each in found.working] == ["kind"]


def test_too_few_examples_are_no_verdict_on_a_judge():
    found = trial(says_no_and_knows)

    assert found.ability("new").works is None
    assert found.able("new")
    assert found.ability("new").auroc is None


def test_chance_rarely_passes_for_ability():
    rng = random.Random(0)
    passed = [
        each.works
        for _ in range(100)
        for each in trial(lambda asked, options: fail_is(asked, options, rng.random())).tested
    ]

    assert sum(passed) <= 0.06 * len(passed)


def test_one_principle_of_many_that_luck_got_right_is_none_that_the_judge_can_tell():
    many = Constitution(
        name="many", version="1", principles=tuple(principle(f"p{at}") for at in range(19))
    )
    rng = random.Random(1)

    def tried(knows):
        def odds(asked, options):
            known = any(f" {name} " in asked for name in knows)
            share = 0.5 * rng.random() + (0.5 if known and "BROKEN" in asked else 0.0)
            return fail_is(asked, options, share)

        known = known_replies(many)
        answers = try_judge(
            ScriptedModel(odds=odds), known, many, prompts=PROMPTS, seeds=list(range(len(known)))
        )
        return conclude("judge", answers, many)

    (lucky,) = (each for each in tried({"p3"}).abilities if each.principle_id == "p3")
    assert lucky.auroc.value == 1.0
    assert lucky.p_value < 0.05
    assert lucky.works is False
    assert "as luck may bring among 19 principles" in lucky.reason
    able = tried({f"p{at}" for at in range(19)})
    assert len(able.working) == 19


def test_the_border_lies_where_the_known_replies_put_it():
    found = trial(says_no_and_knows)
    exchanges = [
        Exchange(id=text, dialogue=ASKED, response=text, model="m")
        for text in ("BROKEN kind here", "fine")
    ]
    model = ScriptedModel(odds=says_no_and_knows, covered=0.05)

    judged = grade(
        model, exchanges, LAW, prompts=PROMPTS, seeds=[0, 1], standing=Standing(trial=found)
    )

    verdicts = {(each.exchange_id, each.principle_id): each.verdict for each in judged}
    assert verdicts["BROKEN kind here", "kind"] == "fail"
    assert verdicts["fine", "kind"] == "pass"
    # Nobody is asked about what the judge cannot tell.
    assert ("fine", "brief") not in verdicts


def test_where_nothing_was_tested_the_likeliest_answer_counts():
    """Texts without content lean to `fail` here; that is no border for replies."""

    def odds(asked, options):
        return fail_is(asked, options, 0.8 if "…" in asked or "N/A" in asked else 0.6)

    known = trial(odds)
    assert (known.ability("new").works, known.ability("new").lean > 0.5) == (None, True)
    reply = Exchange(id="r", dialogue=ASKED, response="fine", model="m")

    judged = grade(
        ScriptedModel(odds=odds), [reply], LAW, prompts=PROMPTS, seeds=[0],
        standing=Standing(trial=known),
    )  # fmt: skip

    assert {each.principle_id: each.verdict for each in judged}["new"] == "fail"
    assert known.ability("kind").works is False


def test_a_border_does_not_make_a_fault_of_what_the_rule_does_not_speak_of():
    law, words = Constitution(name="one", version="1", principles=(believing(0),)), "village"
    prompts = load_prompts(words)

    def odds(asked, options):
        if "off the subject" in asked:
            return [0.01, 0.09, 0.9]  # of the two verdicts the likelier one is `fail`
        return [0.1, 0.9, 0.0] if "FALSE" in asked else [0.9, 0.1, 0.0]

    model = ScriptedModel(odds=odds)
    known = known_replies(law)
    found = conclude(
        "j", try_judge(model, known, law, prompts=prompts, seeds=[0] * len(known)), law
    )
    replies = [
        Exchange(id=text, dialogue=(Message("user", text),), response="Yes.", model="m")
        for text in ("off the subject", "Is it FALSE?", "Is it TRUE?")
    ]

    judged = grade(model, replies, law, prompts=prompts, seeds=[0] * 3,
                   standing=Standing(trial=found))  # fmt: skip

    assert found.ability("honest").works is True
    assert [each.verdict for each in judged] == ["not_applicable", "fail", "pass"]


def test_an_examined_critic_prefers_by_what_it_was_examined_in():
    pairs = [
        CandidatePair(id="p", dialogue=ASKED, first="BROKEN kind", second="fine"),
        CandidatePair(id="q", dialogue=ASKED, first="fine", second="fine too"),
    ]
    model = ScriptedModel(odds=says_no_and_knows)

    one, other = compare_by_grades(
        model, pairs, LAW, prompts=PROMPTS, seeds=[0, 1],
        standing=Standing(trial=trial(says_no_and_knows)),
    )  # fmt: skip

    assert one.probability is not None
    assert one.probability < 0.4
    assert set(one.by_principle) == {"kind", "new"}
    assert other.probability is None


def test_every_shipped_principle_of_the_default_can_be_tested():
    law = load_constitution("default")
    known = [each for each in known_replies(law) if each.broken is not None]

    for each in law.principles:
        own = [one.broken for one in known if one.principle_id == each.id]
        assert own.count(True) == own.count(False) == 4


def test_the_interval_of_an_area_keeps_its_width_where_all_pairs_are_right():
    perfect = auroc([5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0])

    assert perfect.value == 1.0
    assert 0.5 < perfect.low < 0.7


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_interval_of_an_area_covers_the_truth(shift):
    rng = random.Random(1)
    truth = {0.0: 0.5, 1.0: 0.7602}[shift]  # normal cumulative distribution at shift / sqrt(2)
    covered = 0
    for _ in range(300):
        high = [rng.gauss(shift, 1) for _ in range(8)]
        low = [rng.gauss(0, 1) for _ in range(8)]
        found = auroc(high, low)
        covered += found.low <= truth <= found.high

    assert covered >= 0.92 * 300


def test_an_area_does_not_depend_on_the_scale_of_the_scores():
    high, low = [1.0, 2.0, 5.0], [0.0, 1.5, 1.0]

    assert auroc(high, low) == replace(auroc([9 * v - 3 for v in high], [9 * v - 3 for v in low]))
