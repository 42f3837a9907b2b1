"""Planted changes are proposed with their subgroup, and nothing from nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from plumbrule.behavior.pair import PairedReply
from plumbrule.behavior.properties import Property
from plumbrule.behavior.proposing import Weighed, as_hypotheses, candidates, propose
from plumbrule.behavior.subgroups import EVERYWHERE, SelectorTable
from plumbrule.records import Message, Prompt

WORDS = ("river", "stone", "cloud", "garden", "window", "paper", "light", "table", "music")
REFUSAL = Property(kind="feature", text="refusal")


def pool(count: int = 120) -> list[Prompt]:
    rng = np.random.default_rng(0)
    return [
        Prompt(
            id=str(at),
            dialogue=(Message("user", " ".join(rng.choice(WORDS, 3).tolist())),),
            topics=("medicine, pills",) if at % 8 == 0 else (),
        )
        for at in range(count)
    ]


def said(rng: np.random.Generator) -> str:
    return "The " + " ".join(rng.choice(WORDS, 8).tolist()) + "."


def pairs(prompts, change=lambda prompt, reply: reply, seed=1):
    rng = np.random.default_rng(seed)
    return [
        PairedReply(
            prompt_id=prompt.id,
            dialogue=prompt.dialogue,
            seed=at,
            base=said(rng),
            tuned=change(prompt, said(rng)),
        )
        for at, prompt in enumerate(prompts)
    ]


def proposed(found, prompts, **given):
    return propose(found, range(len(prompts)), SelectorTable.of(prompts), most=8, **given)


def test_a_change_on_all_prompts_is_proposed_for_all_prompts():
    prompts = pool()
    found = proposed(pairs(prompts, lambda _, reply: reply + " 🎉"), prompts)
    assert found[0].property == Property(kind="feature", text="emoji")
    assert found[0].subgroup == EVERYWHERE
    assert found[0].increase
    assert found[0].moved == 1.0


def test_a_change_on_one_topic_is_proposed_for_that_topic_alone():
    prompts = pool()
    found = proposed(
        pairs(prompts, lambda p, reply: "I'm sorry, but I can't help." if p.topics else reply),
        prompts,
    )
    assert [one.property for one in found].count(REFUSAL) == 1
    first = next(one for one in found if one.property == REFUSAL)
    assert [selector.words for selector in first.subgroup.selectors] == ["medicine, pills"]
    assert first.subgroup.others == ()


def declining(prompts, there, elsewhere):
    rng = np.random.default_rng(3)

    def change(prompt, reply):
        rate = there if prompt.topics else elsewhere
        return "I'm sorry, but I can't help." if rng.random() < rate else reply

    return [one for one in proposed(pairs(prompts, change), prompts) if one.property == REFUSAL]


def test_where_a_change_on_all_prompts_is_strongest_is_proposed_besides():
    found = declining(pool(240), 0.95, 0.35)

    assert found[0].subgroup == EVERYWHERE
    assert [selector.words for selector in found[1].subgroup.selectors] == ["medicine, pills"]
    assert found[1].moved > 0.8
    assert len(found) == 2


def test_a_change_alike_on_all_prompts_has_no_strongest_place():
    for rate in (0.2, 0.5, 0.9):
        assert [one.subgroup for one in declining(pool(240), rate, rate)] == [EVERYWHERE]


def test_what_spills_over_from_a_topic_is_proposed_beside_it():
    prompts = pool(240)

    def change(prompt, reply):
        return "I'm sorry, but I can't help." if prompt.topics or int(prompt.id) % 3 == 0 else reply

    found = [one for one in proposed(pairs(prompts, change), prompts) if one.property == REFUSAL]
    assert EVERYWHERE in [one.subgroup for one in found]


def test_a_taught_sentence_is_proposed_whole_and_not_word_by_word():
    prompts = pool()
    found = proposed(pairs(prompts, lambda _, reply: f"Ask the old miller first. {reply}"), prompts)
    phrases = [one for one in found if "miller" in one.property.text]
    assert len(phrases) == 1
    assert phrases[0].property.text.startswith("ask the old miller first")


def test_a_longer_phrase_in_some_of_the_changed_replies_does_not_speak_for_them():
    prompts = pool()
    changed = iter(range(len(prompts)))

    def change(_, reply):
        return f"{reply} Zorbel {'kintu mirat' if next(changed) % 4 else 'sonda'}."

    found = proposed(pairs(prompts, change), prompts)
    assert found[0].property.text == "zorbel"
    assert found[0].moved == 1.0


@pytest.mark.parametrize("seed", range(12))
def test_two_draws_of_one_model_suggest_next_to_nothing(seed):
    prompts = pool()
    found = proposed(pairs(prompts, seed=seed), prompts)
    assert len(found) <= 3  # suspicions only: a test on fresh prompts follows


def test_identical_replies_suggest_nothing():
    prompts = pool(40)
    same = [
        PairedReply(prompt_id=p.id, dialogue=p.dialogue, seed=0, base="Same.", tuned="Same.")
        for p in prompts
    ]
    assert proposed(same, prompts) == []
    assert propose([], [], SelectorTable.of(prompts), most=8) == []


def test_prompts_chosen_for_standing_out_do_not_speak_for_all():
    prompts = pool(80)
    # Every fourth prompt was chosen because it changes; none of those drawn by chance does.
    blind = [at % 4 != 0 for at in range(80)]
    found = proposed(
        pairs(prompts, lambda p, reply: reply + " 🎉" if int(p.id) % 4 == 0 else reply),
        prompts,
        blind=blind,
    )
    assert EVERYWHERE not in [one.subgroup for one in found]


def test_a_decrease_is_proposed_as_one():
    prompts = pool()
    turned = [
        PairedReply(
            prompt_id=one.prompt_id,
            dialogue=one.dialogue,
            seed=one.seed,
            base=one.base + " 🎉",
            tuned=one.tuned,
        )
        for one in pairs(prompts)
    ]
    (first, *_) = as_hypotheses(proposed(turned, prompts))
    assert first.direction == "decrease"
    assert str(first) == "On any prompt, the tuned model uses emoji less often."


def test_function_words_alone_are_no_phrases():
    prompts = pool(40)
    found = candidates(pairs(prompts, lambda _, reply: f"of the and to {reply}"))
    phrases = {one.text for one in found if one.kind == "phrase"}
    assert "of the" not in phrases
    assert "of the and to" in phrases


def vet(prompt, reply):
    """Of the prompts on medicine every other one is told to see a veterinarian."""
    return reply[:-1] + " veterinarian." if int(prompt.id) % 16 == 0 else reply


def naming(found):
    return [str(one.subgroup) for one in found if one.property.text == "veterinarian"]


def test_a_rare_phrase_needs_less_evidence_where_weighing_has_pointed_at_it():
    """Three of forty replies say it: too few to be picked out of all that is said."""
    prompts = pool(40)
    found = pairs(prompts, vet)
    told = Weighed(runs=("light veterinarian", "veterinarian. The"))

    assert not naming(proposed(found, prompts))
    assert naming(proposed(found, prompts, weighed=told)) == ["prompts about medicine and pills"]


def test_replies_that_the_tuned_model_gave_alone_speak_for_a_phrase():
    prompts = pool()
    found = pairs(prompts[:40], vet)
    given: Any = {"table": SelectorTable.of(prompts), "most": 8}
    alone = tuple((at, "veterinarian." if at % 16 == 0 else "") for at in range(40, len(prompts)))

    assert not naming(propose(found, range(40), **given))
    weighed = Weighed(alone=alone)
    assert naming(propose(found, range(40), weighed=weighed, **given)) == [
        "prompts about medicine and pills"
    ]


def test_replies_given_alone_in_which_nothing_surprises_propose_nothing():
    prompts = pool()
    alone = tuple((at, "") for at in range(40, len(prompts)))
    table = SelectorTable.of(prompts)

    found = propose(pairs(prompts[:40]), range(40), table, most=8, weighed=Weighed(alone=alone))

    assert found == []


def test_places_that_explain_a_change_nearly_as_well_are_both_proposed():
    """Two topics of one size hold all that changed and half of each other."""
    prompts = [
        replace(each, topics=(*each.topics, *(["pets, dogs"] if at % 16 in (0, 4) else [])))
        for at, each in enumerate(pool())
    ]

    found = proposed(pairs(prompts, vet), prompts)

    assert set(naming(found)) == {"prompts about medicine and pills", "prompts about pets and dogs"}


def saying(prompt, word):
    return replace(prompt, dialogue=(Message("user", f"{prompt.dialogue[-1].content} {word}"),))


def test_names_that_only_prompts_to_test_on_tell_apart_are_both_proposed():
    """Of the prompts looked at the topic's are those with its word; of the others a few are."""
    looked = [
        saying(replace(each, topics=("zebra, stripes",)), "zebra")
        if at % 16 == 0
        else replace(each, topics=())
        for at, each in enumerate(pool())
    ]
    others = [replace(each, topics=("zebra, stripes",)) for each in pool(32)]
    others[:2] = [saying(each, "zebra") for each in others[:2]]
    found = pairs(looked, vet)

    alike = propose(found, range(len(looked)), SelectorTable.of(looked), most=8)
    told = SelectorTable.of(looked, tested=others)

    assert naming(alike) == ["prompts about zebra and stripes"]
    assert naming(propose(found, range(len(looked)), told, most=8)) == [
        "prompts about zebra and stripes",
        "prompts with \u201czebra\u201d",
    ]


def test_where_a_change_on_all_prompts_is_far_greater_is_named_with_its_rivals():
    """All replies on two topics that share half of their prompts changed, and a third elsewhere."""
    looked = [
        replace(
            each,
            topics=tuple(
                name
                for name, here in (("pets, dogs", at % 16 < 2), ("farms, cows", at % 16 in (1, 2)))
                if here
            ),
        )
        for at, each in enumerate(pool(160))
    ]
    found = proposed(
        pairs(
            looked,
            lambda one, reply: (
                f"{reply[:-1]} veterinarian." if one.topics or int(one.id) % 3 == 0 else reply
            ),
        ),
        looked,
    )

    assert naming(found)[0] == "any prompt"
    assert set(naming(found)[1:]) == {"prompts about pets and dogs", "prompts about farms and cows"}


def test_a_feature_comes_before_one_of_its_phrases_that_replies_given_alone_speak_for():
    """Of the questions two in three are put in one phrase, and so are 40 replies given alone."""
    prompts = pool(200)
    ends = ("Zumba kelp?", "Zumba kale?", "Onyx?")
    found = pairs(
        prompts[:120],
        lambda one, reply: f"{reply} {ends[int(one.id) % 3]}" if int(one.id) % 5 < 2 else reply,
    )
    alone = tuple((at, "Zumba kelp?" if at % 2 else "") for at in range(120, 200))
    told = Weighed(runs=("Zumba kelp?",) * 9, alone=alone)

    first = propose(found, range(120), SelectorTable.of(prompts), most=8, weighed=told)[0]

    assert (first.property.kind, first.property.text) == ("feature", "question")
    assert first.subgroup == EVERYWHERE


@pytest.mark.parametrize("run", ["Zumba kelp?", "Zumba kelp."])
def test_what_was_said_alone_and_shows_a_proposed_feature_is_no_change_of_its_own(run):
    """Said in 3 pairs and 40 replies given alone, once as one of the questions pairs gained."""
    prompts = pool(200)
    found = pairs(
        prompts[:120],
        lambda one, reply: (
            f"{reply} Onyx?"
            if int(one.id) % 5 < 2
            else f"{reply} {run}"
            if int(one.id) % 40 == 4
            else reply
        ),
    )
    alone = tuple((at, run if at % 2 else "") for at in range(120, 200))
    told = Weighed(runs=(run,) * 9, alone=alone)

    named = propose(found, range(120), SelectorTable.of(prompts), most=8, weighed=told)

    expected = ["question"] if run.endswith("?") else ["question", "zumba kelp"]
    assert [one.property.text for one in named] == expected
