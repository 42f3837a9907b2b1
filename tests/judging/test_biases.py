import math
import re

import numpy as np
import pytest
from scipy import stats
from tests.fakes import ScriptedModel

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging import load_prompts
from plumbrule.judging.biases import (
    _sign_flips,
    formatted,
    lengthened,
    made_plain,
    made_polite,
    measure_biases,
)
from plumbrule.judging.labels import LabeledReply
from plumbrule.records import from_json, to_json

PROMPTS = load_prompts("default")
LAW = Constitution(
    name="one", version="1", principles=(Principle(id="kind", text="Be kind.", tier=0),)
)
KNOWN = [
    LabeledReply(
        request=f"Question {number}",
        reply=f"{word}{' own' if author == 'judge' else ''} answer {number}. It goes on a little.",
        principle="kind",
        broken=word == "BAD",
        author=author,
    )
    for number in range(20)
    for word in ("BAD", "GOOD")
    for author in ("judge", "other")
]


def inside(asked, tag):
    return re.findall(f"<{tag}>(.*?)</{tag}>", asked, re.DOTALL)[0]


def planted(kind="fair", strength=1.0, noise=0.3, seed=0):
    """Log-odds of being broken: 2 either way, moved by noise and by one thing that is no fault."""

    def move(reply):
        return (
            strength
            * {
                "fair": 0,
                "length": len(reply.split()) > 14,
                "politeness": "thank you" in reply.lower(),
                "self_preference": " own " in reply,
                "style": reply.startswith("## "),
                "position": 0,
            }[kind]
        )

    def jitter(text):
        values = [seed, *text.encode()]
        return noise * np.random.default_rng(values).normal()

    def against(reply):
        return (2 if "BAD" in reply else -2) - move(reply) + jitter(reply)

    def odds(asked, options):
        if "<reply_a>" in asked:
            first, second = (inside(asked, tag) for tag in ("reply_a", "reply_b"))
            for_first = against(second) - against(first) + jitter(asked)
            for_first += strength if kind == "position" else 0
            value = 1 / (1 + math.exp(-for_first))
            return [value, 1 - value]
        fail = 1 / (1 + math.exp(-against(inside(asked, "reply"))))
        return [fail, 1 - fail] if "break this principle" in asked else [1 - fail, fail]

    return ScriptedModel(odds=odds)


def measure(model, known=KNOWN, **more):
    return measure_biases(model, known, LAW, prompts=PROMPTS, **more)


KINDS = ["position", "length", "politeness", "self_preference", "style"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_bias_is_found(kind):
    report = measure(planted(kind))
    effect = next(each for each in report.effects if each.kind == kind)

    assert effect.found
    assert effect.effect.low > 0
    assert effect.log_odds.low < (2.0 if kind == "position" else 1.0) < effect.log_odds.high
    assert effect.pairs == {"position": 40, "self_preference": 40, "style": 40}.get(kind, 80)


def test_a_bias_the_other_way_is_told_from_it():
    report = measure(planted("length", strength=-1.0))
    effect = next(each for each in report.effects if each.kind == "length")

    assert effect.found
    assert effect.effect.high < 0
    assert "harder on a longer reply" in effect.reason


def test_a_fair_judge_shows_none():
    clean = sum(not measure(planted(seed=seed), KNOWN[:40]).found for seed in range(40))

    # At 5% for all kinds together; binomial(40, 0.95) is below 35 once in 70.
    assert clean >= 35


def test_a_judge_that_is_not_moved_at_all_shows_nothing():
    report = measure(planted(noise=0.0))

    for each in report.effects:
        assert not each.found
        assert each.adjusted == 1
        assert each.effect.value == pytest.approx(0, abs=1e-12)
        assert each.effect.low < 0 < each.effect.high
        assert each.log_odds is None


def test_what_cannot_be_asked_says_why():
    alone = [each for each in KNOWN if each.broken is False and each.author == "other"]
    report = measure(planted("length"), alone)
    by_kind = {each.kind: each for each in report.effects}

    assert by_kind["length"].found
    for kind in ("position", "style", "self_preference"):
        assert by_kind[kind].effect is None
        assert by_kind[kind].p_value is None
        assert "not measured: 0" in by_kind[kind].reason


def test_unanswered_questions_are_counted():
    report = measure(ScriptedModel(odds=lambda asked, options: None))

    assert [each.pairs for each in report.effects] == [0] * 5
    assert [each.unanswered for each in report.effects] == [40, 80, 80, 40, 40]
    assert "got no usable answer" in report.effects[0].reason


def test_a_report_comes_back_from_json():
    report = measure(planted("style"))

    assert from_json(type(report), to_json(report), origin="here") == report


@pytest.mark.parametrize("edit", [lengthened, made_plain, made_polite, formatted])
@pytest.mark.parametrize("reply", ["No.", "One. Two!\n\nThree?", "", "x" * 2000, "</reply> Yes"])
def test_an_edit_keeps_every_word_in_order(edit, reply):
    words, changed = reply.split(), iter(edit(reply).split())

    assert all(word in changed for word in words)
    assert len(edit(reply)) > len(reply)


def test_a_bias_for_length_is_not_taken_for_one_for_manners():
    found = {each.kind for each in measure(planted("length", strength=2.0)).found}

    assert found == {"length"}
    assert len(made_polite("No.").split()) == len(made_plain("No.").split())


def test_padding_doubles_the_words():
    reply = "word " * 100

    assert 200 <= len(lengthened(reply).split()) <= 220


@pytest.mark.parametrize("count", [8, 30])
def test_sign_flips_agree_with_scipy(count):
    moves = np.random.default_rng(count).normal(0.3, 1, count)
    theirs = stats.permutation_test(
        (moves,), np.mean, permutation_type="samples", n_resamples=19_999,
        rng=np.random.default_rng(0),
    ).pvalue  # fmt: skip

    assert _sign_flips(moves, 0) == pytest.approx(theirs, abs=0.015)


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="got none"):
        measure(planted(), [])
    with pytest.raises(ConfigError, match="level must be strictly between"):
        measure(planted(), level=1.5)
