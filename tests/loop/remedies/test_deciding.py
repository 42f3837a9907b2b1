"""Prompts are parted so that nothing is repaired on its test; causes; and what is accepted."""

from dataclasses import replace

import pytest
from tests.loop.remedies.ground_sample import BLUE, LAW, asked, exchange, judge, looker, prompt

from plumbrule.errors import DataError
from plumbrule.loop.remedies import LoopFault, LoopSettings, part_prompts
from plumbrule.loop.remedies.candidates import diagnose, propose
from plumbrule.loop.remedies.faults import find_broken
from plumbrule.loop.remedies.ground import Accepted, families_of, nearest
from plumbrule.loop.remedies.looking import JudgedLook, ReadReply
from plumbrule.loop.remedies.trials import (
    decide,
    falls,
    little_is_left,
    needed_of,
    rate_change,
    sibling_changes,
)
from plumbrule.records import Estimate, Finding

SETTINGS = LoopSettings()
PEOPLE = ("Anna", "Bram", "Cleo", "Dirk", "Elsa", "Finn", "Gwen", "Hugo", "Iris", "Jens")
FORMS = ("Where does {0} sleep?", "Tell me where {0} sleeps.", "In which place sleeps {0}?")


def village():
    return [
        prompt(f"{side}{name}{at}", form.format(name), kind="sleep", held_out=side == "h")
        for side in "ht"
        for name in PEOPLE + tuple(f"{one}a" for one in PEOPLE)
        for at, form in enumerate(FORMS[:2] if side == "h" else FORMS[2:])
    ]


def test_no_paraphrase_finds_and_proves_and_nothing_is_repaired_on_its_test():
    parted = part_prompts(village(), SETTINGS)
    families = {each.id: name for each, name in zip(village(), families_of(village()), strict=True)}
    find, prove = ({families[each.id] for each in side} for side in (parted.find, parted.prove))
    tests = {each.dialogue for each in [*parted.find, *parted.prove]}

    assert not find & prove
    assert not tests & {each.dialogue for each in parted.teach}
    assert min(map(len, (parted.find, parted.prove, parted.teach))) > 0


def test_a_prompt_that_is_a_test_is_not_learned_from_though_it_stands_there_too():
    prompts = village()
    taught = [replace(each, id=f"again {each.id}", held_out=False) for each in prompts[:5]]
    parted = part_prompts([*prompts, *taught], SETTINGS)
    tests = {each.dialogue for each in [*parted.find, *parted.prove]}

    assert not tests & {each.dialogue for each in parted.teach}


def test_the_nearest_share_most_words():
    options = [asked("Surely Anna is a smith?"), asked("Where can I buy a rope?")]

    assert nearest(options, [asked("Surely Bram is a smith?")], 1) == [0]


def test_too_few_prompts_are_refused():
    with pytest.raises(DataError, match="at least 8 prompts each"):
        part_prompts(village()[:12], SETTINGS)


def read(replies, texts=None):
    prompts = [prompt(at, (texts or {}).get(at, f"Tell me {at}.")) for at in range(len(replies))]
    exchanges = [
        exchange(each.id, each.dialogue[-1].content, text)
        for each, text in zip(prompts, replies, strict=True)
    ]
    said = judge(exchanges, [*LAW.principles, BLUE])
    return JudgedLook(
        prompts=prompts,
        exchanges=exchanges,
        read=[ReadReply(exchange_id=e.id, broken=s) for e, s in zip(exchanges, said, strict=True)],
        tokens=0,
    )


def fault_of(looked, looker):
    (fault,) = find_broken(looked, LAW, looker)
    return fault


def stands(looker, data=(), law=LAW):
    return Accepted(constitution=law, model=looker.folder, identity="m", data=data)


def diagnosed(tmp_path, texts, data=(), law=LAW):
    asks = looker(tmp_path)
    looked = read(["red"] * 12 + ["white"] * 12, texts)
    fault = fault_of(looked, asks)
    shown = [looked.exchanges[at] for at in looked.failing("no-red")]
    found = diagnose(fault, stands(asks, data, law), shown, asks)
    return found, propose(found, stands(asks, data, law), shown, looked, asks)


INSISTING = {at: f"I insist on {at}." for at in range(12)}


def test_what_follows_from_the_constitution_is_answered_by_an_amendment(tmp_path):
    fault, candidates = diagnosed(tmp_path, INSISTING)

    assert fault.cause == "constitution"
    assert {each.kind for each in candidates} == {"amendment"}
    assert candidates[0].amendment.kind == "tier"
    law = candidates[0].law
    assert law.principle("no-red").tier <= law.principle("be-helpful").tier


def test_what_the_data_show_is_answered_by_a_patch(tmp_path):
    data = [exchange(f"d{at}", f"Ask {at}.", "red" if at < 6 else "white") for at in range(20)]
    fault, candidates = diagnosed(tmp_path, {}, data)

    assert fault.cause == "data"
    assert candidates[0].kind == "data patch"


def test_what_neither_asks_for_is_answered_without_an_amendment(tmp_path):
    fault, candidates = diagnosed(tmp_path, {})

    assert fault.cause == "not learned"
    assert "amendment" not in {each.kind for each in candidates}


def trial(before, after, **named):
    one, other = read(before), read(after)
    given = {
        "p_value": falls([(one, other)], "no-red"),
        "needed": needed_of(0, SETTINGS),
        "little_left": little_is_left(one, other, "no-red"),
        "matched": [],
        "siblings": sibling_changes(one, other, LAW, "no-red", SETTINGS.margin),
        "unreadable": (one.unreadable, other.unreadable),
        "settings": SETTINGS,
        **named,
    }
    return decide(**given)


RED = ["red"] * 20 + ["white"] * 40


def test_a_fault_that_is_gone_is_accepted():
    assert trial(RED, ["white"] * 60)[0] == "accepted"


def test_a_change_that_chance_explains_is_rejected():
    decision, why = trial(RED, ["white"] * 2 + RED[2:])

    assert decision == "rejected"
    assert "not certain enough" in why


def test_a_repair_that_breaks_another_principle_is_rejected():
    decision, why = trial(RED, ["white"] * 50 + ["nothing"] * 10)

    assert (decision, "be-helpful" in why) == ("rejected", True)


def test_a_repair_that_makes_replies_unreadable_is_rejected():
    decision, why = trial(RED, [""] * 20 + ["white"] * 40, p_value=1e-6)

    assert (decision, "readable" in why) == ("rejected", True)


def test_a_repair_that_goes_too_far_on_the_nearest_prompts_is_rejected():
    texts = {at: f"Surely {at} is a smith?" for at in range(44)}
    before = read(RED + ["white"] * 200, texts)
    after = read(["white"] * 20 + ["nothing"] * 5 + ["white"] * 235, texts)
    changes = sibling_changes(before, after, LAW, "no-red", SETTINGS.margin)

    assert [(each.principle_id, each.worse) for each in changes] == [("be-helpful", True)]
    assert changes[0].where == "prompts most like the fault's"


def test_a_fault_that_is_back_in_its_surroundings_is_rejected():
    back = rate_change(read(RED), read(RED), "no-red", where="in code")
    decision, why = trial(RED, ["white"] * 60, matched=[back])

    assert (decision, "in code" in why) == ("rejected", True)


def test_half_a_repair_is_handed_to_a_person():
    assert trial(RED, ["white"] * 13 + ["red"] * 7 + ["white"] * 40)[0] == "handed to a person"


def test_the_more_was_tried_the_more_is_needed_and_all_together_spend_the_level():
    needed = [needed_of(count, SETTINGS) for count in range(10_000)]

    assert needed == sorted(needed, reverse=True)
    assert sum(needed) == pytest.approx(SETTINGS.false_share, rel=1e-3)


def test_a_prompt_counts_once_however_many_words_were_put_around_it():
    one, other = read(RED), read(["white"] * 60)

    assert falls([(one, other)] * 3, "no-red") == pytest.approx(falls([(one, other)], "no-red"))


def test_a_fault_keeps_its_words():
    finding = Finding(
        claim="c", where="w", what="x", reason=None, evidence=(), principle_id="no-red",
        severity="low", guarantee=None, reproduce="",
        estimate=Estimate(value=0.1, low=0, high=1, level=0.95, n=3, unit="u", method="m"),
    )  # fmt: skip

    assert LoopFault(finding=finding, principle_id="no-red").name == "no-red"
