"""Labels of people and of a model together: each as sure as its giver was seen to be."""

from dataclasses import replace

import numpy as np
import pytest

from plumbrule.errors import DataError
from plumbrule.loop.feedback import mixed_preferences
from plumbrule.records import Message, Preference


def pair(name, probability, *, long=False, source="ai"):
    words = "tell me all that there is to know about it and more " * 4 if long else "say it"
    return Preference(
        id=name,
        dialogue=(Message("user", f"{words} {name}"),),
        first="one reply", second="another reply altogether",
        probability=probability, by_principle={}, order_disagreement={},
        constitution_sha256="", source=source, labeler="someone", method="test",
    )  # fmt: skip


def planted(count=200):
    """People's labels, and a model's that are right on short requests and coins on long ones."""
    rng = np.random.default_rng(0)
    people, doubled = [], []
    for number in range(count):
        truth, long = bool(rng.random() < 0.5), number % 2 == 0
        says = bool(rng.random() < 0.5) if long else truth
        people.append(pair(f"p{number}", float(truth), long=long, source="human"))
        doubled.append(pair(f"p{number}", 0.9 if says else 0.1, long=long))
    return people, doubled


def test_where_the_model_was_seen_to_err_its_labels_count_for_less():
    people, doubled = planted()
    ai = [pair(f"a{number}", 0.9, long=number % 2 == 0) for number in range(40)]

    mixed = mixed_preferences(ai, people, doubled, person_accuracy=0.95, seed=0)

    own = {int(each.id[1:]): each.weight for each in mixed.preferences if each.source == "ai"}
    doubtful, sure = (np.mean([own[n] for n in own if n % 2 == odd]) for odd in (0, 1))
    assert sure > 0.6
    assert doubtful < sure / 2
    assert {each.source for each in mixed.preferences} == {"ai", "human"}
    assert {int(each.id[1:]) % 2 for each in mixed.ask[:20]} == {0}


def test_a_model_that_is_right_everywhere_counts_as_people_do():
    people, _ = planted()
    right = [replace(each, source="ai") for each in people]

    mixed = mixed_preferences([pair("a", 0.9)], people, right, person_accuracy=0.95, seed=0)

    (own,) = [each for each in mixed.preferences if each.source == "ai"]
    assert own.weight == pytest.approx(mixed.preferences[0].weight)


def test_a_pair_that_people_labeled_is_theirs_whichever_reply_they_saw_first():
    people, doubled = planted()
    ai = pair("a1", 0.9)
    seen = replace(
        ai, id="seen", source="human", first=ai.second, second=ai.first, probability=1.0,
        dialogue=(Message("user", ai.dialogue[-1].content),),
    )  # fmt: skip
    ai = replace(ai, dialogue=(Message("system", "You serve."), *ai.dialogue))

    mixed = mixed_preferences([ai], [*people, seen], doubled, person_accuracy=0.95, seed=0)

    assert not [each for each in mixed.preferences if each.source == "ai"]
    (theirs,) = [each for each in mixed.preferences if each.id == "seen"]
    assert theirs.dialogue == ai.dialogue
    assert theirs.first == "another reply altogether"
    assert theirs.probability == 0.95


def test_nothing_that_both_decide_is_refused():
    people, doubled = planted(20)
    undecided = [replace(each, probability=None) for each in doubled]

    with pytest.raises(DataError, match="people and the critic both decide"):
        mixed_preferences([pair("a", 0.9)], people, undecided, person_accuracy=0.95, seed=0)
