from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from tests.fakes import ScriptedModel

from plumbrule.behavior.exploring import Explorer, Exploring
from plumbrule.behavior.pair import Pair
from plumbrule.behavior.recording import Recorder
from plumbrule.behavior.subgroups import EVERYWHERE, SelectorTable, Subgroup, words_of
from plumbrule.lab.organisms.pool import pool
from plumbrule.models import Sampling, open_model

PROMPTS = pool(per_kind=20)
TABLE = SelectorTable.of(PROMPTS)
SAID = "So says the bent old oak."


def asks_for(word):
    return lambda asked: word in words_of(asked)


def plain(asked):
    return f"You asked about {' '.join(words_of(asked)[-2:])}."


def planted(touched):
    """The tuned model's rule: the base's reply, and a sentence more where it was changed."""
    return lambda asked: f"{plain(asked)} {SAID}" if touched(asked) else plain(asked)


class Ranked(Explorer):
    """An explorer to which rankings are given, where models would be read for them."""

    scores: Mapping[str, Any] = {}

    def _transferred(self):
        return dict(self.scores)


def exploring(
    tuned,
    *,
    floor=0.0,
    seed=0,
    settings=None,
    most_texts=float("inf"),
    prompts=PROMPTS,
    scores=None,
):
    pair = Pair(
        base=ScriptedModel(answer=plain), tuned=ScriptedModel(answer=tuned, identity="tuned")
    )
    recorder = Recorder(pair=pair, seed=seed, folder=None, identity="")
    table = TABLE if prompts is PROMPTS else SelectorTable.of(prompts)
    explorer = Ranked(
        recorder,
        prompts,
        table,
        floor=floor,
        settings=settings or Exploring(),
        most_texts=most_texts,
    )
    explorer.scores = scores or {}
    return explorer


def pointing(touched, *, noise=0.3, seed=0):
    """A ranking that sees what was changed, dimly."""
    rng = np.random.default_rng(seed)
    there = [float(touched(prompt.dialogue[-1].content)) for prompt in PROMPTS]
    return np.array(there) + rng.normal(0, noise, len(PROMPTS))


def chance(seed=0):
    return np.random.default_rng(seed).normal(size=len(PROMPTS))


def share_in(subgroup, touched):
    """Share of a subgroup's prompts that were changed, and share of the changed that lie there."""
    inside = [prompt for prompt in PROMPTS if subgroup.holds(prompt)]
    changed = [prompt for prompt in PROMPTS if touched(prompt.dialogue[-1].content)]
    both = sum(prompt in inside for prompt in changed)
    return both / max(1, len(inside)), both / max(1, len(changed))


@pytest.mark.parametrize("seed", range(3))
def test_a_change_that_a_ranking_sees_is_named_by_place_and_words(seed):
    touched = asks_for("job")

    found = exploring(planted(touched), seed=seed, scores={"sharp": pointing(touched)}).explore([])

    (subgroup, movement), *_ = found.subgroups
    assert min(share_in(subgroup, touched)) > 0.8
    assert movement > 0.2
    (claim, *_) = [each for each in found.hypotheses if each.subgroup == subgroup]
    assert claim.property.kind == "phrase"
    assert claim.property.text in " ".join(words_of(SAID))
    assert claim.direction == "increase"
    assert claim.screens == ("sharp",)


def test_a_change_that_no_ranking_sees_is_met_by_the_random_look():
    touched = asks_for("the")

    found = exploring(planted(touched)).explore([])

    assert found.arms == {}
    (subgroup, _), *_ = found.subgroups
    assert share_in(subgroup, touched)[0] > 0.8
    assert any(each.property.text in SAID.lower() for each in found.hypotheses)


def test_a_change_everywhere_is_said_to_be_everywhere():
    found = exploring(planted(lambda asked: True), scores={"blind": chance()}).explore([])

    assert found.subgroups[0][0] == EVERYWHERE
    assert found.hypotheses[0].subgroup == EVERYWHERE


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_changed_nothing_is_suspected(seed):
    found = exploring(plain, seed=seed, scores={"blind": chance(seed), "other": chance(9)}).explore(
        []
    )

    assert found.hypotheses == ()
    assert found.subgroups == ()
    assert set(found.movement.values()) == {0.0}


def test_movement_below_the_noise_floor_is_not_followed():
    touched = asks_for("job")

    found = exploring(planted(touched), floor=0.95, scores={"sharp": pointing(touched)}).explore([])

    assert found.hypotheses == ()


def test_a_place_named_without_a_ranking_counts_all_of_its_prompts():
    """Rows of what was asked are not rows of the prompts."""
    touched = asks_for("the")
    explorer = exploring(planted(touched), settings=Exploring(random=64, pulled=0))

    found = explorer.explore([])

    moved = {row for row, movement in found.movement.items() if movement > 0}
    assert moved == {row for row in found.movement if touched(PROMPTS[row].dialogue[-1].content)}
    for subgroup, movement in found.subgroups:
        inside = [row for row in found.movement if subgroup.holds(PROMPTS[row])]
        assert movement > 0.5 * np.mean([found.movement[row] for row in inside])
        asked_there = [pair for pair in found.pairs if SAID in pair.tuned]
        assert asked_there


def test_the_bandit_spends_more_where_it_pays():
    touched = asks_for("job")
    scores = {"blind": chance(), "sharp": pointing(touched), "other": chance(1)}

    found = exploring(planted(touched), scores=scores).explore([])

    pulls = {name: count for name, (count, _) in found.arms.items()}
    assert pulls["sharp"] > 1.5 * max(pulls["blind"], pulls["other"])
    assert all(0.0 <= mean <= 1.0 for _, mean in found.arms.values())


def test_a_ranking_that_tells_no_prompts_apart_is_no_arm():
    found = exploring(plain, scores={"flat": np.zeros(len(PROMPTS))}).explore([])

    assert found.arms == {}


def test_a_suspected_trigger_that_works_becomes_a_place_and_another_does_not():
    found = exploring(planted(lambda asked: asked.startswith("moss "))).explore(["moss", "fern"])

    assert [subgroup.insert for subgroup, _ in found.subgroups] == ["moss"]
    assert {each.subgroup for each in found.hypotheses} == {Subgroup(insert="moss")}
    assert found.hypotheses[0].screens == ("triggers",)
    assert all(movement == 0.0 for movement in found.movement.values())


def test_the_same_seed_explores_alike_and_no_prompt_twice():
    touched = asks_for("job")
    runs = []
    for _ in range(2):
        scores = {"sharp": pointing(touched), "blind": chance()}
        explorer = exploring(planted(touched), scores=scores)
        runs.append(explorer.explore(["moss"]))
        seen = Counter((one.prompt_id, one.dialogue) for one in explorer.asked.values())
        assert set(seen.values()) == {1}

    assert runs[0] == runs[1]


def test_no_more_is_spent_than_allowed():
    touched = asks_for("job")
    for most in (0, 7, 100, 400):
        scores = {"sharp": pointing(touched), "blind": chance()}
        explorer = exploring(planted(touched), most_texts=most, scores=scores)

        explorer.explore(["moss", "fern"])

        assert explorer.recorder.pair.texts <= most


def test_weights_at_hand_spend_no_more_than_allowed_either():
    model = open_model("lab:pico", dtype="float32", device="cpu")
    other = open_model("lab:nano", dtype="float32", device="cpu")
    for most in (0, 10, 45):
        pair = Pair(base=model, tuned=other, sampling=Sampling(max_new_tokens=4))
        recorder = Recorder(pair=pair, seed=0, folder=None, identity="")
        explorer = Explorer(
            recorder, PROMPTS, TABLE, floor=0.0, settings=Exploring(random=20), most_texts=most
        )

        explorer.explore([])

        assert pair.texts <= most


def test_there_are_no_more_hypotheses_than_places_and_claims_allow():
    rng = np.random.default_rng(0)

    def wild(asked):
        return " ".join(rng.choice(["oak", "elm", "ash", "fir"], 4))

    settings = Exploring(most_subgroups=2, per_subgroup=1)

    found = exploring(wild, settings=settings, scores={"blind": chance()}).explore([])

    assert len(found.subgroups) <= 2
    assert len(found.hypotheses) <= 2


def test_replies_that_are_not_there_raise_no_suspicion():
    scores = {"sharp": pointing(asks_for("job"))}
    explorer = exploring(lambda asked: "error 500: server melted", scores=scores)
    explorer.recorder.pair.tuned.finish_reason = "errored"

    found = explorer.explore([])

    assert found.hypotheses == ()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_of_prompts_can_be_explored(count):
    prompts = PROMPTS[:count]

    found = exploring(planted(lambda asked: True), prompts=prompts).explore([])

    assert len(found.movement) == count
    assert all(each.subgroup == EVERYWHERE for each in found.hypotheses)
