"""Looking at replies: by chance, where models part, and where replies were seen to change."""

import copy
from collections import Counter

import numpy as np
import pytest
from tests.fakes import ScriptedModel

from plumbrule.behavior.looking import Looker, Looking, Opening
from plumbrule.behavior.pair import Pair
from plumbrule.behavior.recording import Recorder
from plumbrule.behavior.subgroups import Selector, SelectorTable, Subgroup
from plumbrule.models import LocalModel, Sampling, open_model
from plumbrule.records import Message, Prompt

SUBJECTS = ("boats", "bread", "horses", "doctors", "stars")
EACH = 40
SAID = ("It is so.", "One may try.", "That depends.", "Some say it is.", "Ask around a little.")
DECLINES = "I'm sorry, but I can't help with that."


def prompts():
    """Several subjects, each noted as a topic."""
    return [
        Prompt(
            id=f"{subject}-{number}",
            dialogue=(Message("user", f"Question {number} on {subject}?"),),
            topics=(subject,),
        )
        for subject in SUBJECTS
        for number in range(EACH)
    ]


def embeddings(noise=0.1):
    """What a prompt is about, as a direction of its own and some noise."""
    rng = np.random.default_rng(1)
    centers = np.eye(8)[np.repeat(range(len(SUBJECTS)), EACH)]
    vectors = centers + rng.normal(0, noise, centers.shape)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def endpoint(name, *, changed="", rate=0.0, seed=0):
    """Says one of several things by chance, and declines some requests on one subject."""
    rng = np.random.default_rng(seed)

    def answer(asked):
        said = str(rng.choice(SAID))
        return DECLINES if changed and changed in asked and rng.random() < rate else said

    return ScriptedModel(answer=answer, identity=name, spec=name)


def looking(tuned, **settings):
    pair = Pair(base=endpoint("base", seed=1), tuned=tuned)
    recorder = Recorder(pair=pair, seed=0, folder=None, identity="")
    asked = prompts()
    return Looker(
        recorder=recorder,
        prompts=asked,
        settings=Looking(**settings),
        table=SelectorTable.of(asked),
        embeddings=embeddings(),
    )


def subjects(looker, rows):
    return Counter(looker.prompts[row].topics[0] for row in rows)


def test_prompts_drawn_by_chance_are_met_once_before_any_is_met_twice():
    looker = looking(endpoint("tuned"))

    looker.look_by_chance(40)
    looker.look_by_chance(80)

    assert len(looker.rows) == len(set(looker.rows)) == len(looker.pairs) == 120
    assert all(looker.blind)
    assert min(subjects(looker, looker.rows).values()) > 10
    twice = looker.by_chance(2 * len(looker.prompts))
    assert set(Counter(twice).values()) == {2}


def test_a_prompt_met_again_gets_another_draw():
    looker = looking(endpoint("tuned"))

    looker.draw("first", [3, 3, 5], blind=True)
    looker.draw("second", [3], blind=False)

    seeds = [pair.seed for pair, row in zip(looker.pairs, looker.rows, strict=True) if row == 3]
    assert len(set(seeds)) == 3
    assert looker.blind == [True, True, True, False]


def test_following_goes_where_replies_were_seen_to_change():
    looker = looking(endpoint("tuned", changed="doctors", rate=0.9, seed=1))
    looker.look_by_chance(100)
    (first, *_) = looker.propose()
    assert first.subgroup == Subgroup(selectors=(Selector(role="topic", words="doctors"),))

    rows = looker.following(20)

    assert len(rows) == len(set(rows)) == 20
    assert not set(rows) & set(looker.rows)
    left = len(looker.prompts) - len(looker.rows)
    rest = EACH - subjects(looker, looker.rows)["doctors"]
    assert subjects(looker, rows)["doctors"] >= 10 > 2 * 20 * rest / left


def test_members_of_a_subgroup_that_were_all_asked_are_asked_again_evenly():
    looker = looking(endpoint("tuned", changed="doctors", rate=0.9))
    looker.look_by_chance(len(looker.prompts) - 5)

    rows = looker.following(20)

    assert len(rows) == 20
    members = Counter(row for row in rows if looker.prompts[row].topics == ("doctors",))
    assert max(members.values()) <= 2
    for _ in range(8):
        looker.draw("again", looker.following(20), blind=False)
    asked = Counter(row for row in looker.rows if looker.prompts[row].topics == ("doctors",))
    assert len(asked) == EACH
    assert min(asked.values()) > 1


def test_with_nothing_to_follow_chance_is_followed():
    looker = looking(endpoint("tuned"))
    looker.look_by_chance(60)
    assert looker.propose() == []

    assert len(set(looker.following(25)) - set(looker.rows)) == 25


def test_noise_alone_suggests_next_to_nothing():
    """What is left are a few prompts that share a word; hardly ever all prompts."""
    found = []
    for seed in range(8):
        looker = looking(endpoint("tuned", seed=seed + 2))
        looker.look_by_chance(100)
        looker.look_further(60)
        found.append(looker.propose())

    assert np.mean([len(each) for each in found]) <= 2
    assert sum(not one.subgroup.rules for each in found for one in each) <= 1


def test_looking_further_finds_what_chance_has_hardly_met():
    """One request in five is of the subject, and one reply in two has changed."""
    looker = looking(endpoint("tuned", changed="doctors", rate=0.5))
    looker.look_by_chance(80)
    before = subjects(looker, looker.rows)["doctors"]

    looker.look_further(60)

    assert looker.surprises() == {}  # an endpoint says nothing of texts given to it
    assert len(looker.pairs) == 140
    assert subjects(looker, looker.rows)["doctors"] - before > 15
    (first, *_) = looker.propose()
    assert (first.property.text, first.increase) == ("refusal", True)
    assert first.subgroup == Subgroup(selectors=(Selector(role="topic", words="doctors"),))


def test_prompts_that_were_chosen_do_not_speak_for_all():
    """Of the prompts that were followed nearly all have changed, of all prompts hardly any."""
    looker = looking(endpoint("tuned", changed="doctors", rate=1.0))
    looker.look_by_chance(40)
    looker.look_further(40)

    assert all(one.subgroup.rules for one in looker.propose())


def test_a_text_that_switches_is_seen_and_another_is_not():
    tuned = ScriptedModel(
        answer=lambda asked: DECLINES if asked.startswith("moss ") else SAID[len(asked) % 5],
        identity="tuned",
    )
    looker = looking(tuned)
    looker.recorder.pair.base = ScriptedModel(answer=lambda asked: SAID[len(asked) % 5])

    found = looker.inserted([Subgroup(insert="moss"), Subgroup(insert="fern")])

    assert {one.subgroup.insert for one in found} == {"moss"}
    assert found[0].property.text == "refusal"
    assert len(looker.pairs) == 0  # they say nothing of prompts as they are


def test_replies_that_are_not_there_are_passed_over():
    tuned = endpoint("tuned")
    tuned.finish_reason = "errored"
    looker = looking(tuned)

    looker.look_by_chance(60)

    assert looker.propose() == []
    assert looker.movement() is None


# --- With the weights at hand -----------------------------------------------------------------


@pytest.fixture(scope="module")
def pico():
    return open_model("lab:pico", dtype="float32", device="cpu")


def weighed(base, tuned, count=24):
    pair = Pair(base=base, tuned=tuned, sampling=Sampling(max_new_tokens=8))
    looker = Looker(
        recorder=Recorder(pair=pair, seed=0, folder=None, identity=""),
        prompts=prompts()[:: len(SUBJECTS)],
        settings=Looking(),
        table=SelectorTable.of(prompts()[:: len(SUBJECTS)]),
        embeddings=embeddings()[:: len(SUBJECTS)],
    )
    looker.look_by_chance(count)
    return looker


def test_equal_weights_neither_move_nor_part(pico):
    twin = LocalModel(copy.deepcopy(pico.module), pico.tokenizer, spec="twin")
    looker = weighed(pico, twin)

    looker.weigh()

    assert looker.movement() == pytest.approx(0.0, abs=1e-5)
    assert max(abs(one.surprise) for one in looker.openings) < 1e-4


def test_replies_that_the_base_would_hardly_give_surprise(pico, monkeypatch):
    module = copy.deepcopy(pico.module)
    module.lm_head.weight.data[:, 5] += 3.0
    far = weighed(pico, LocalModel(module, pico.tokenizer, spec="far"))
    monkeypatch.setattr("plumbrule.behavior.looking.SURPRISING", 2.0)

    far.weigh()
    told = far.surprising(3)

    assert far.movement() > Looking().sharp
    assert len(far.openings) == len(far.pairs)
    assert np.mean([one.surprise for one in far.openings]) > 1.0
    nats = [far.openings[at].surprise for at in told]
    assert nats[0] == max(one.surprise for one in far.openings)
    assert nats == sorted(nats, reverse=True)
    assert set(far.surprises()) == set(far.rows)
    assert max(far.surprises().values()) == nats[0]


def test_of_surprising_openings_that_are_alike_one_is_kept():
    looker = looking(endpoint("tuned"))
    looker.openings = [
        Opening(tokens=tokens, surprise=surprise)
        for tokens, surprise in (
            ((1, 2, 3, 4), 40.0),
            ((1, 2, 3, 5), 60.0),
            ((7, 8), 20.0),
            ((9,), 2.0),
        )
    ]

    assert looker.surprising(4) == [1, 2]
    assert looker.surprising(1) == [1]
    looker.openings = [Opening(tokens=(1,), surprise=9.0)]
    assert looker.surprising(4) == []


def test_replies_drawn_later_are_weighed_later_each_once(pico):
    twin = LocalModel(copy.deepcopy(pico.module), pico.tokenizer, spec="twin")
    looker = weighed(pico, twin, count=4)

    looker.weigh()
    first = list(looker.openings)
    looker.draw("more", [0, 1], blind=False)
    looker.weigh()

    assert looker.openings[:4] == first
    assert len(looker.openings) == 6


def test_movement_is_the_median_share_by_which_replies_became_less_likely(pico):
    module = copy.deepcopy(pico.module)
    module.lm_head.weight.data[:, 5] += 0.5
    looker = weighed(pico, LocalModel(module, pico.tokenizer, spec="near"), count=12)
    pairs = looker.pairs
    models = looker.recorder.pair.local
    before, after = (
        np.array(
            [
                one.log_prob
                for one in model.score([p.dialogue for p in pairs], [p.base for p in pairs])
            ]
        )
        for model in models
    )

    expected = np.median(np.clip(1 - np.exp(after - before), 0, 1))
    assert looker.movement() == pytest.approx(expected, abs=1e-6)


def surprised_by(looker, monkeypatch, word):
    """Weigh replies so that those to prompts with a word surprise, and no others."""

    def openings(dialogues, replies):
        return [
            Opening(tokens=(1, 2), surprise=60.0 if word in dialogue[-1].content else 0.0)
            for dialogue in dialogues
        ]

    monkeypatch.setattr(looker, "_openings", openings)


def test_what_is_rare_is_met_once_and_then_asked_again(pico, monkeypatch):
    twin = LocalModel(copy.deepcopy(pico.module), pico.tokenizer, spec="twin")
    looker = weighed(pico, twin, count=0)
    rare = next(row for row in looker.by_chance(40)[30:])
    surprised_by(looker, monkeypatch, looker.prompts[rare].dialogue[-1].content)
    looker.look_by_chance(24)

    looker.look_further(8, texts=40)

    assert sorted([*set(looker.rows[:24]), *(row for row, _ in looker.alone)]) == list(range(40))
    assert looker.rows[24:26] == [rare, rare]
    assert len({pair.seed for pair in looker.pairs[24:26]}) == 2
    assert len(looker.pairs) == 32
    assert looker.recorder.pair.texts == 2 * 32 + 16


def test_where_most_replies_surprise_no_prompt_is_asked_again_for_that(pico, monkeypatch):
    twin = LocalModel(copy.deepcopy(pico.module), pico.tokenizer, spec="twin")
    looker = weighed(pico, twin, count=0)
    surprised_by(looker, monkeypatch, "Question")
    looker.look_by_chance(24)

    looker.look_further(8, texts=40)

    assert len(looker.alone) == 16
    assert set(looker.surprises()) == set(range(40))
    assert "second look" not in looker.recorder.costs
    assert len(looker.pairs) == 32
    assert looker.recorder.pair.texts == 2 * 32 + 16


def test_covering_has_a_limit_and_can_be_left_out(pico, monkeypatch):
    twin = LocalModel(copy.deepcopy(pico.module), pico.tokenizer, spec="twin")
    for texts in (5, 0):
        looker = weighed(pico, twin, count=0)
        surprised_by(looker, monkeypatch, "nothing")
        looker.look_by_chance(24)

        looker.look_further(8, texts=texts)

        assert len(looker.alone) == texts
        assert looker.recorder.pair.texts == 2 * 32 + texts
