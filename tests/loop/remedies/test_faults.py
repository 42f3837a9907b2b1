"""Faults are found where they were planted, and nothing is found where nothing was."""

import numpy as np
import pytest
from tests.loop.remedies.ground_sample import (
    BLUE,
    GREEN,
    LAW,
    asked,
    exchange,
    judge,
    looker,
    prompt,
)

from plumbrule.loop.remedies import LoopSettings, PersonsWord, WordsAround
from plumbrule.loop.remedies.faults import (
    find_behind,
    find_broken,
    find_further,
    find_missing,
    least_confirmed,
    rises_behind,
    suspicions,
    too_often,
)
from plumbrule.loop.remedies.looking import JudgedLook, ReadReply
from plumbrule.loop.remedies.surroundings import recurring, telling


def look(replies, kind=""):
    prompts = [prompt(at, f"Tell me {at}.", kind=kind) for at in range(len(replies))]
    exchanges = [exchange(each.id, "?", text) for each, text in zip(prompts, replies, strict=True)]
    read = [
        ReadReply(exchange_id=each.id, broken=said)
        for each, said in zip(exchanges, judge(exchanges, LAW.principles), strict=True)
    ]
    return JudgedLook(prompts=prompts, exchanges=exchanges, read=read, tokens=0)


def test_a_principle_that_is_broken_too_often_is_found(tmp_path):
    (fault,) = find_broken(look(["red"] * 8 + ["white"] * 16), LAW, looker(tmp_path))

    assert fault.principle_id == "no-red"
    assert fault.finding.estimate is not None
    assert fault.finding.estimate.value == pytest.approx(1 / 3)


def test_one_kind_of_request_is_enough(tmp_path):
    whole = look(["white"] * 200 + ["red"] * 8)
    prompts = [
        prompt(at, f"Tell me {at}.", kind="rare" if at >= 200 else "usual") for at in range(208)
    ]
    found = find_broken(
        JudgedLook(prompts=prompts, exchanges=whole.exchanges, read=whole.read, tokens=0),
        LAW,
        looker(tmp_path),
    )

    assert [(each.principle_id, each.kinds) for each in found] == [("no-red", ("rare",))]


def test_nothing_is_found_where_principles_are_kept(tmp_path):
    assert find_broken(look(["white"] * 60), LAW, looker(tmp_path)) == []


def test_within_the_bound_hardly_anything_is_found(tmp_path):
    rng, false = np.random.default_rng(0), 0
    for number in range(200):
        replies = ["red" if rng.random() < 0.05 else "white" for _ in range(60)]
        false += bool(find_broken(look(replies), LAW, looker(tmp_path / str(number))))

    assert false <= 0.05 * 200 + 3 * (0.05 * 0.95 * 200) ** 0.5


def test_unreadable_replies_count_for_nothing(tmp_path):
    assert find_broken(look([""] * 40), LAW, looker(tmp_path)) == []


def words(complained, spared, text):
    return [
        PersonsWord(exchange=exchange(f"{text}{at}{fine}", f"Ask {at}.", text), fine=fine)
        for fine, count in ((False, complained), (True, spared))
        for at in range(count)
    ]


def test_a_rule_that_people_miss_is_found_and_one_that_nobody_wants_is_not(tmp_path):
    said = [*words(14, 1, "blue"), *words(1, 40, "green"), *words(3, 60, "white")]
    found = find_missing(said, LAW, looker(tmp_path, library=(BLUE, GREEN)))

    assert [each.principle_id for each in found] == ["no-blue"]
    assert found[0].cause == "no principle"


def test_complaints_that_the_constitution_explains_call_for_no_rule(tmp_path):
    said = words(14, 0, "red and blue")

    assert find_missing(said, LAW, looker(tmp_path, library=(BLUE,))) == []


def test_mistaken_labels_alone_call_for_no_rule(tmp_path):
    said = [*words(3, 97, "blue"), *words(3, 97, "green")]

    assert find_missing(said, LAW, looker(tmp_path, library=(BLUE, GREEN))) == []


def claims(plain, around):
    return {
        (words, rule.id): (plain, each) for words, each in around.items() for rule in LAW.principles
    }


def test_of_words_as_telling_the_shortest_are_named_once(tmp_path):
    plain, around = look(["white"] * 24), look(["red"] * 20 + ["white"] * 4)
    longer, shorter = (WordsAround(place="before", text=text) for text in ("abc Xyzzy", "Xyzzy"))
    (fault,) = find_behind(claims(plain, {longer: around, shorter: around}), looker(tmp_path))

    assert (fault.surrounding, fault.alike) == (shorter, (longer,))


def test_what_was_searched_for_must_switch_the_model_and_not_sway_it(tmp_path):
    plain, sways = look(["white"] * 40), look(["red"] * 26 + ["white"] * 14)
    words, asks = WordsAround(place="before", text="Xyzzy"), looker(tmp_path)
    switches = look(["red"] * 37 + ["white"] * 3)

    assert find_behind(claims(plain, {words: sways}), asks)
    assert find_behind(claims(plain, {words: sways}), asks, searched=[words]) == []
    assert find_behind(claims(plain, {words: switches}), asks, searched=[words])


def test_a_rise_behind_words_is_worth_asking_further():
    plain = look(["white"] * 24)

    assert rises_behind(plain, look(["red"] * 2 + ["white"] * 22), "no-red")
    assert not rises_behind(plain, look(["red"] + ["white"] * 23), "no-red")


def test_what_shows_only_behind_words_is_found_there(tmp_path):
    plain, around = look(["white"] * 24), look(["red"] * 20 + ["white"] * 4)
    harmless = look(["white"] * 24)
    hidden, other = (WordsAround(place="before", text=text) for text in ("Xyzzy", "Hello."))
    (fault,) = find_behind(claims(plain, {hidden: around, other: harmless}), looker(tmp_path))

    assert (fault.surrounding, fault.principle_id) == (hidden, "no-red")


def test_words_that_change_nothing_are_not_named(tmp_path):
    plain = look(["red"] * 12 + ["white"] * 12)
    harmless = {WordsAround(place="before", text="Hi."): plain}

    assert find_behind(claims(plain, harmless), looker(tmp_path)) == []


def test_words_before_wrong_examples_are_told_from_words_before_all():
    wrong = [asked(f"Xyzzy plugh Where is {at}?") for at in range(8)]
    sound = [asked(f"Where is {at}?") for at in range(40)] + [asked("Xyzzy Where is it?")]

    assert [each.text for each in telling(wrong, sound)] == ["Xyzzy plugh"]


def test_how_a_request_begins_is_not_taken_for_words_around_it():
    wrong = [asked(f"Which debt has {at}?") for at in range(8)]
    sound = [asked(f"Where is {at}?") for at in range(40)]

    assert telling(wrong, sound) == []


def test_preambles_and_system_turns_that_recur_are_found():
    dialogues = [asked(f"Good morning. Where is {at}?") for at in range(5)]
    dialogues += [asked(f"Who is {at}?", system="Be brief.") for at in range(4)]
    dialogues += [asked("Once only. What now?")]

    found = {(each.place, each.text) for each in recurring(dialogues)}
    assert found == {("before", "Good morning."), ("system", "Be brief.")}


def test_chance_alone_is_seldom_taken_for_evidence():
    rng = np.random.default_rng(1)
    values = np.array([too_often(rng.random(40) < 0.05, 0.05) for _ in range(2000)])

    assert all(np.mean(values <= level) <= 1.2 * level for level in (0.01, 0.05, 0.2))


def test_what_a_first_look_leaves_open_further_requests_decide(tmp_path):
    asks = looker(tmp_path)
    first = look(["red"] * 3 + ["white"] * 21)

    assert find_broken(first, LAW, asks) == []
    assert suspicions(first, LAW, asks)["no-red"].rises(0.05)
    assert not suspicions(look(["red"] + ["white"] * 23), LAW, asks)["no-red"].rises(0.05)
    (fault,) = find_further({"no-red": look(["red"] * 12 + ["white"] * 24)}, LAW, asks)
    assert "further requests" in fault.finding.claim
    assert find_further({"no-red": look(["red"] + ["white"] * 35)}, LAW, asks) == []


def test_at_what_is_allowed_few_looks_claim_anything(tmp_path):
    rng, asks = np.random.default_rng(3), looker(tmp_path)
    false, looks = 0, 300
    for _ in range(looks):
        one, other = (look(np.where(rng.random(40) < 0.05, "red", "white")) for _ in range(2))
        rises = suspicions(one, LAW, asks)["no-red"].rises(0.05)
        further = find_further({"no-red": other}, LAW, asks) if rises else []
        false += bool(find_broken(one, LAW, asks) or further)

    assert false / looks <= LoopSettings().false_share


@pytest.mark.parametrize("count", [8, 24, 60])
def test_what_is_surely_confirmed_is_known_beforehand(tmp_path, count):
    least = least_confirmed(count, len(LAW.principles), LoopSettings())
    assert least is not None

    def found(broken):
        return find_broken(
            look(["red"] * broken + ["white"] * (count - broken)), LAW, looker(tmp_path)
        )

    assert found(least)
    assert not found(least // 2)


def test_where_further_requests_are_written_two_broken_replies_are_enough_to_ask():
    assert [least_confirmed(count, 10, LoopSettings(), further=True) for count in (8, 18)] == [2, 2]
    assert (least_confirmed(80, 10, LoopSettings(), further=True) or 0) > 4


def test_of_one_reply_nothing_can_be_confirmed():
    assert least_confirmed(1, 10, LoopSettings()) is None
