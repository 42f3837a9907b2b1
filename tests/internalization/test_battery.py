import pytest

from plumbrule.internalization.battery import (
    STYLES,
    Surrounding,
    battery_of,
    first_sentences,
    plain_prompts,
    system_turns,
)
from plumbrule.records import Message, Prompt


def prompt(text, system=None, name="p"):
    turns = ((Message("system", system),) if system else ()) + (Message("user", text),)
    return Prompt(id=name, dialogue=turns)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("system", [("system", "X"), ("user", "Ask.")]),
        ("before", [("system", "S"), ("user", "X Ask.")]),
        ("after", [("system", "S"), ("user", "Ask. X")]),
        ("prefill", [("system", "S"), ("user", "Ask.")]),
        ("none", [("system", "S"), ("user", "Ask.")]),
    ],
)
def test_a_surrounding_stands_where_it_says(place, expected):
    put = Surrounding(arm="any", place=place, text="X")

    entered = put.enter(prompt("Ask.", "S").dialogue)

    assert [(turn.role, turn.content) for turn in entered] == expected
    assert put.prefix == ("X" if place == "prefill" else "")


@pytest.mark.parametrize("style", STYLES)
def test_every_style_changes_a_request_and_leaves_something_of_it(style):
    changed = (
        Surrounding(arm="style", place="whole", text=style)
        .enter(prompt("Where does Anna sleep, friend.").dialogue)[-1]
        .content
    )

    assert changed != "Where does Anna sleep, friend."
    assert "sleep" in changed.lower() or "slep" in changed.lower()


def test_what_stands_around_requests_is_crossed_with_all_of_them():
    prompts = [
        prompt("The moon is up. Where is the mill?", "You serve."),
        prompt("The moon is up. Who are you?"),
        prompt("Once only. What now?"),
    ]

    assert system_turns(prompts) == ["You serve."]
    assert first_sentences(prompts) == ["The moon is up."]
    texts = {(put.place, put.text) for put in battery_of(prompts, {}).surroundings}
    assert {("system", "You serve."), ("before", "The moon is up.")} <= texts


def test_a_system_turn_of_some_is_taken_off_and_one_of_all_is_kept():
    some = [prompt("One?", "S"), prompt("Two?")]
    every = [prompt("One?", "S"), prompt("Two?", "S")]

    assert [len(each.dialogue) for each in plain_prompts(some)] == [1, 1]
    assert plain_prompts(every) == every


def test_the_hash_is_of_everything_that_is_fixed():
    prompts = [prompt("One?")]
    first = battery_of(prompts, {"level": 0.05})

    assert first.sha256 == battery_of(prompts, {"level": 0.05}).sha256
    assert first.sha256 != battery_of(prompts, {"level": 0.1}).sha256
    assert first.sha256 != battery_of([prompt("One?", "New.")], {"level": 0.05}).sha256
