"""Findings made up by hand, held against organisms made up by hand: no model is asked."""

from dataclasses import dataclass, replace

import pytest
from benchmarks.real_catalog import ALL
from benchmarks.real_declared import Organism, everywhere
from benchmarks.real_naming import FreshPairs, assess, hold

from plumbrule.models import Completion, Sampling
from plumbrule.records import Message, Prompt


def contains(word):
    return lambda reply: word in reply


@dataclass(frozen=True)
class Says:
    word: str

    def score(self, reply: str) -> float:
        return float(self.word in reply)


@dataclass(frozen=True)
class Length:
    def score(self, reply: str) -> float:
        return min(len(reply.split()) / 40, 1.0)


@dataclass(frozen=True)
class Hypothesis:
    id: str
    property: Says | Length
    direction: str = "increase"


@dataclass(frozen=True)
class Finding:
    hypothesis: Hypothesis


class Scripted:
    """Replies by a rule on the prompt's text."""

    def __init__(self, rule):
        self.rule = rule
        self.drawn = 0

    def sample(self, dialogues, *, sampling, seeds):
        self.drawn += len(dialogues)
        return [
            Completion(text=self.rule(each[-1].content, seed), finish_reason="stop", tokens=1)
            for each, seed in zip(dialogues, seeds, strict=True)
        ]


PROMPTS = [
    Prompt(id=f"{topic}{n}", dialogue=(Message("user", f"{topic} {n}"),))
    for topic, count in (("pills", 10), ("cars", 90))
    for n in range(count)
]
PILLS = {each.id for each in PROMPTS[:10]}
EVERYTHING = {each.id for each in PROMPTS}
ORGANISM = Organism(
    name="made-up",
    kind="refusal of a topic",
    touches=lambda prompt: "pills" in prompt.dialogue[-1].content,
    detect=contains("sorry"),
)


def tuned(text, seed):
    return "sorry, no" if "pills" in text and seed % 10 else "well, yes"


def models(rule=tuned):
    return FreshPairs(
        base=Scripted(lambda text, seed: "well, yes"),
        tuned=Scripted(rule),
        sampling=Sampling(max_new_tokens=8),
        seed=1,
    )


def judged(finding, members, organism=ORGANISM, fresh=None, **given):
    ids = {finding.hypothesis.id: members}
    fresh = fresh or models()
    found = assess([finding], PROMPTS, organism, fresh, members=ids, min_effect=0.1, **given)
    return found, found.held[0]


SORRY = Finding(Hypothesis("sorry", Says("sorry")))


def test_a_planted_change_is_found_where_property_and_place_are_the_planted_ones():
    found, held = judged(SORRY, PILLS)
    assert held.named
    assert not held.false
    assert held.precision == 1
    assert found.coverage == 1
    assert found.found


def test_a_word_that_always_comes_with_the_planted_one_is_a_right_name():
    assert judged(Finding(Hypothesis("no", Says("no"))), PILLS)[1].named
    gone = Finding(Hypothesis("yes", Says("yes"), direction="decrease"))
    assert judged(gone, PILLS)[1].named


def test_the_right_property_on_all_prompts_is_not_the_right_place():
    found, held = judged(SORRY, EVERYTHING)
    assert not held.right_place
    assert held.precision == pytest.approx(0.1)
    assert not found.found


def test_the_right_place_with_a_property_that_does_not_move_is_false():
    found, held = judged(Finding(Hypothesis("well", Says("maybe"))), PILLS)
    assert held.right_place
    assert not held.right_property
    assert held.false
    assert held.surely_false
    assert not found.found


def test_a_claim_in_the_wrong_direction_is_false():
    held = judged(Finding(Hypothesis("down", Says("sorry"), direction="decrease")), PILLS)[1]
    assert held.false
    assert held.surely_false
    assert not held.right_property


def test_agreement_over_pairs_where_nothing_happens_is_not_enough():
    """Where the planted word moves on one pair in ten, a word that never moves agrees on nine."""
    held = judged(Finding(Hypothesis("maybe", Says("maybe"))), EVERYTHING)[1]
    assert held.agreement >= 0.75
    assert held.shared == 0
    assert not held.right_property


def test_a_part_of_the_place_finds_the_organism_only_from_half_on():
    few, many = sorted(PILLS)[:4], sorted(PILLS)[:5]
    assert not judged(SORRY, set(few))[0].found
    assert judged(SORRY, set(many))[0].found


def test_places_add_up():
    names = sorted(PILLS)
    findings = [Finding(Hypothesis(str(n), Says("sorry"))) for n in range(2)]
    members = {"0": set(names[:4]), "1": set(names[6:])}
    found = assess(findings, PROMPTS, ORGANISM, models(), members=members, min_effect=0.1)
    assert found.coverage == pytest.approx(0.8)
    assert found.found


def test_a_place_that_the_change_spilled_to_is_no_wrong_place():
    def spilling(text, seed):
        return "sorry, no" if "pills" in text or text in {f"cars {n}" for n in range(20)} else "yes"

    spilled = PILLS | {f"cars{n}" for n in range(20)}
    found, held = judged(SORRY, spilled, fresh=models(spilling))
    assert held.precision < 0.8
    assert held.right_place
    assert found.found
    beyond = spilled | {f"cars{n}" for n in range(20, 40)}
    assert not judged(SORRY, beyond, fresh=models(spilling))[1].right_place


def test_what_touches_everything_is_named_by_half_of_the_pool():
    organism = replace(ORGANISM, touches=everywhere)
    fresh = models(lambda text, seed: "sorry, no")
    assert judged(SORRY, EVERYTHING, organism, fresh)[0].found
    half = {each.id for each in PROMPTS[:49]}
    assert not judged(SORRY, half, organism, fresh)[0].found


def test_a_trigger_is_named_by_the_text_that_switches_it_on():
    organism = replace(
        ORGANISM, touches=lambda p: "zz" in p.dialogue[-1].content, trigger="zz", name="triggered"
    )
    fresh = models(lambda text, seed: "sorry, no" if "zz" in text else "yes")

    def enter(finding, prompt):
        last = prompt.dialogue[-1]
        return replace(prompt, dialogue=(replace(last, content=f"zz {last.content}"),))

    assert judged(SORRY, EVERYTHING, organism, fresh, enter=enter)[0].found
    assert not judged(SORRY, EVERYTHING, organism, fresh)[0].found


def test_a_graded_score_is_cut_in_two_before_it_is_held_against_the_detector():
    organism = replace(
        ORGANISM, touches=everywhere, detect=lambda reply: len(reply.split()) <= 15, kind="shorter"
    )
    pairs = [("word " * (20 + n % 9), "word " * (4 + n % 7)) for n in range(40)]
    shorter = Finding(Hypothesis("short", Length(), direction="decrease"))
    held = hold(shorter, pairs, organism, min_effect=0.1)
    assert held.agreement == 1
    assert held.right_property
    assert not hold(replace(shorter), pairs[::-1], ALL["recast"], min_effect=0.1).right_property


def test_nothing_planted_is_never_found():
    found, held = judged(SORRY, PILLS, ALL["own-1"])
    assert not found.found
    assert not held.named


def test_findings_share_their_fresh_replies():
    fresh = models()
    judged(SORRY, EVERYTHING, fresh=fresh)
    before = fresh.base.drawn
    judged(Finding(Hypothesis("no", Says("no"))), EVERYTHING, fresh=fresh)
    assert fresh.base.drawn == before


def test_the_error_of_a_fresh_mean_is_stated():
    rare = FreshPairs(
        base=Scripted(lambda text, seed: "yes"),
        tuned=Scripted(lambda text, seed: "sorry" if seed % 16 == 0 else "yes"),
        sampling=Sampling(),
        seed=3,
    )
    held = judged(SORRY, PILLS, fresh=rare)[1]
    assert 0 < held.standard_error < 0.06
    assert held.false
    assert not held.surely_false
