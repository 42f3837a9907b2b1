from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.behavior.pool import COVER, Pool
from plumbrule.behavior.subgroups import (
    EVERYWHERE,
    Selector,
    Subgroup,
    selectors_of,
    united,
    words_of,
)
from plumbrule.errors import DataError
from plumbrule.lab.organisms.pool import pool as village_pool
from plumbrule.records import Message, Prompt


def asked(texts, *, system=""):
    turns = (Message("system", system),) if system else ()
    return [
        Prompt(id=f"{number:03d}", dialogue=(*turns, Message("user", text)))
        for number, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def prompts():
    return village_pool(per_kind=20)


@pytest.fixture(scope="module")
def pool(prompts):
    return Pool.of(prompts, seed=0)


def test_the_halves_are_disjoint_complete_and_about_equal(prompts, pool):
    explore, confirm = ({each.id for each in side} for side in (pool.explore, pool.confirm))

    assert not explore & confirm
    assert explore | confirm == {each.id for each in prompts}
    assert abs(len(explore) - len(confirm)) <= 1


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_the_file(prompts, pool):
    order = np.random.default_rng(0).permutation(len(prompts))

    shuffled = Pool.of([prompts[index] for index in order], seed=0)

    assert shuffled == pool
    assert shuffled.sha256 == pool.sha256
    assert Pool.of(prompts, seed=1).sha256 != pool.sha256


def test_what_few_prompts_ask_for_is_in_both_halves():
    rare = [
        f"{opening} the job of Zebulon{end}" for opening in ("Tell me", "What is") for end in ".?"
    ]
    for seed in range(20):
        split = Pool.of(village_pool(per_kind=10) + asked(rare), seed=seed)
        there = sum("Zebulon" in each.dialogue[-1].content for each in split.explore)
        assert 1 <= there <= 3


def test_each_prompt_is_looked_at_under_about_half_of_the_seeds(prompts):
    seen = {each.id: 0 for each in prompts}
    for seed in range(40):
        for each in Pool.of(prompts, seed=seed).explore:
            seen[each.id] += 1

    # 4.5 standard deviations of a fair coin thrown 40 times.
    assert all(abs(times - 20) <= 4.5 * 40**0.5 / 2 for times in seen.values())


@given(
    st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=30), st.integers(0, 9), st.randoms()
)
def test_a_dialogue_that_stands_there_twice_is_on_one_side(texts, seed, random):
    prompts = asked(texts)
    if len(set(texts)) < 2:
        with pytest.raises(DataError):
            Pool.of(prompts, seed=seed)
        return

    pool = Pool.of(prompts, seed=seed)

    assert pool.explore
    assert pool.confirm
    assert not {each.dialogue for each in pool.explore} & {each.dialogue for each in pool.confirm}
    assert len(pool.explore) + len(pool.confirm) == len(texts)
    random.shuffle(prompts)
    assert Pool.of(prompts, seed=seed) == pool


@pytest.mark.parametrize("texts", [[], ["a"], ["a", "a", "a"]], ids=["none", "one", "one thrice"])
def test_too_few_different_prompts_are_refused_with_what_to_do(texts):
    with pytest.raises(
        DataError, match=f"at least 2 different .* got {len(set(texts))}.*--prompts"
    ):
        Pool.of(asked(texts), seed=0)


def test_two_prompts_of_one_id_are_refused():
    (one,) = asked(["a"])

    with pytest.raises(DataError, match="same id"):
        Pool.of([one, Prompt(id=one.id, dialogue=(Message("user", "b"),))], seed=0)


def test_two_prompts_are_one_of_each():
    pool = Pool.of(asked(["a", "b"]), seed=0)

    assert len(pool.explore) == len(pool.confirm) == 1


def test_confirming_is_what_trying_every_prompt_gives(pool):
    selectors = sorted({selector for each in pool.confirm[:40] for selector in selectors_of(each)})
    rng = np.random.default_rng(0)
    subgroups = [Subgroup(selectors=(selector,)) for selector in selectors[:: len(selectors) // 40]]
    subgroups += [
        Subgroup(
            selectors=tuple(sorted(rng.choice(np.array(selectors, dtype=object), 2, replace=False)))
        )
        for _ in range(20)
    ]
    subgroups += [united(subgroups[start : start + 3]) for start in range(0, 30, 3)]
    subgroups += [
        EVERYWHERE,
        Subgroup(insert="moss"),
        Subgroup(selectors=(Selector(role="label", words="none"),)),
    ]

    for subgroup in subgroups:
        brute = tuple(row for row, each in enumerate(pool.confirm) if subgroup.holds(each))
        assert pool.confirming(subgroup) == brute


def test_exploring_is_what_trying_every_prompt_and_place_gives(pool):
    selectors = sorted({selector for each in pool.explore[:10] for selector in selectors_of(each)})
    subgroups = [Subgroup(selectors=(selector,)) for selector in selectors[:: len(selectors) // 5]]

    for some in (subgroups, subgroups[:1], []):
        brute = [
            row for row, each in enumerate(pool.explore) if any(one.holds(each) for one in some)
        ]
        assert pool.exploring(some) == brute


def test_confirming_a_topic_finds_it_whatever_the_prompts_say():
    """A topic is noted on a prompt; its name need not be said there."""
    topic = Selector(role="topic", words="illness, doctor, pain")
    prompts = [
        replace(each, topics=(topic.words,) if number % 3 else ())
        for number, each in enumerate(asked([f"How is cow {number}?" for number in range(30)]))
    ]
    split = Pool.of(prompts, seed=0)

    inside = split.confirming(Subgroup(selectors=(topic,)))

    assert inside == tuple(at for at, one in enumerate(split.confirm) if one.topics)
    assert inside
    beside = split.confirming(Subgroup(selectors=(Selector(role="user", words="cow"), topic)))
    assert beside == inside


def test_confirming_a_label_alone_or_beside_words_finds_it():
    labeled = [
        Prompt(id=str(n), dialogue=(Message("user", f"say {n % 3} of {n}"),), group=f"g{n % 2}")
        for n in range(40)
    ]
    pool = Pool.of([*labeled, *asked(["x", "y", "z"])], seed=0)
    label = Selector(role="label", words="g1")

    for selectors in [(label,), (label, Selector(role="user", words="say 2"))]:
        subgroup = Subgroup(selectors=selectors)
        found = pool.confirming(subgroup)
        assert found == tuple(row for row, one in enumerate(pool.confirm) if subgroup.holds(one))
        assert found


def test_covering_meets_every_word_several_times_and_stays_small():
    pool = Pool.of(village_pool(per_kind=80), seed=0)

    chosen = pool.covering(400, seed=0)

    def counted(prompts):
        counts: dict[str, int] = {}
        for each in prompts:
            for word in {word for turn in each.dialogue for word in words_of(turn.content)}:
                counts[word] = counts.get(word, 0) + 1
        return counts

    met, there = counted(pool.explore[row] for row in chosen), counted(pool.explore)
    assert len(chosen) == 400 < 0.5 * len(pool.explore)
    assert chosen == sorted(set(chosen))
    assert all(met.get(word, 0) >= min(COVER, count) for word, count in there.items())


def test_covering_is_bounded_where_every_prompt_has_words_of_its_own():
    pool = Pool.of(asked([f"word{n} other{n}" for n in range(300)]), seed=0)

    assert len(pool.covering(40, seed=0)) == 40
    assert pool.covering(40, seed=0) == pool.covering(40, seed=0) != pool.covering(40, seed=1)


def test_covering_takes_all_of_a_small_pool():
    pool = Pool.of(asked([f"word{n}" for n in range(20)]), seed=0)

    assert pool.covering(40, seed=0) == list(range(10))


def test_hostile_prompts_are_split_like_any_others():
    hostile = ["", " ", "\x00", "\u202e", "../../etc/passwd", "[bold]", "{{7*7}}", "\U0001f642"]

    pool = Pool.of(asked(hostile), seed=0)

    assert len(pool.explore) + len(pool.confirm) == len(hostile)
