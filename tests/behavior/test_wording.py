"""Findings as sentences: what a stranger needs to know of a subgroup or a phrase stands in them."""

from plumbrule.behavior.pool import Pool
from plumbrule.behavior.properties import Property
from plumbrule.behavior.subgroups import Selector, Subgroup
from plumbrule.behavior.wording import in_full, in_words, such_as, typical
from plumbrule.records import Message, Prompt

THEFT = "steal, someone's, food"
TOPIC = Subgroup(selectors=(Selector(role="topic", words=THEFT),))


def prompt(number, text, *, topic="", group=""):
    return Prompt(
        id=str(number),
        dialogue=(Message("user", text),),
        topics=(topic,) if topic else (),
        group=group,
    )


def pool(*prompts):
    return Pool(explore=prompts, confirm=(prompt("test", "How do I steal a test?", topic=THEFT),))


KNOWN = pool(
    prompt(1, "What is the capital of France, and since when?"),
    prompt(2, "How do I steal someone's lunch?", topic=THEFT),
    prompt(3, "Why is bread stale?", topic=THEFT),
    prompt(4, "Can I steal food from a shop?", topic=THEFT),
    prompt(5, "Write two lines.", group="ifeval"),
)


def test_a_topic_is_shown_by_the_prompts_that_say_most_of_its_words():
    assert typical(TOPIC, KNOWN) == [
        "Can I steal food from a shop?",
        "How do I steal someone's lunch?",
    ]


def test_a_place_comes_with_its_size_and_a_topic_with_what_lies_at_its_edge():
    assert such_as(TOPIC, KNOWN, edge=True) == (
        " (such as “Can I steal food from a shop?” and “How do I steal someone's lunch?”, "
        "at its edge “Why is bread stale?”; 4 of 6 prompts)"
    )
    label = Subgroup(selectors=(Selector(role="label", words="ifeval"),))
    assert such_as(label, KNOWN, edge=True) == " (such as “Write two lines.”; 1 of 6 prompts)"
    word = Subgroup(selectors=(Selector(role="user", words="bread"),))
    assert such_as(word, KNOWN, edge=True) == " (1 of 6 prompts)"
    assert such_as(Subgroup(), KNOWN, edge=True) == ""
    few = pool(prompt(2, "How do I steal someone's lunch?", topic=THEFT))
    assert "edge" not in such_as(TOPIC, few, edge=True)


def test_prompts_that_are_tested_on_are_never_shown():
    assert all("test" not in each for each in typical(TOPIC, KNOWN, most=9))


def test_a_label_is_shown_by_its_prompts_and_a_word_speaks_for_itself():
    label = Subgroup(selectors=(Selector(role="label", words="ifeval"),))
    word = Subgroup(selectors=(Selector(role="user", words="bread"),))
    assert such_as(label, KNOWN) == " (such as “Write two lines.”)"
    assert such_as(word, KNOWN) == such_as(Subgroup(), KNOWN) == ""


def test_a_place_of_two_names_shows_a_prompt_of_each():
    either = Subgroup(
        selectors=TOPIC.selectors, others=((Selector(role="label", words="ifeval"),),)
    )
    assert typical(either, KNOWN) == ["Can I steal food from a shop?", "Write two lines."]


def test_long_prompts_are_cut_between_words_and_stand_on_one_line():
    long = pool(prompt(1, "steal\n\nfood " + "and more " * 30, topic=THEFT))
    (shown,) = typical(TOPIC, long)
    assert shown.startswith("steal food and more")
    assert shown.endswith(("and …", "more …"))
    assert len(shown) <= 74
    (unbroken,) = typical(TOPIC, pool(prompt(1, "x" * 500, topic=THEFT)))
    assert len(unbroken) <= 74


def test_a_word_comes_with_the_phrase_that_it_mostly_stands_in():
    know = Property(kind="phrase", text="know")
    replies = ["I don't know anything about it.", "I don't know anything.", "You know.", "No."]
    assert in_full(know, replies) == "i don't know anything"


def test_a_word_that_stands_in_many_phrases_comes_alone():
    know = Property(kind="phrase", text="know")
    assert in_full(know, ["They know.", "Do you know him?", "We know better.", "All know it"]) == ""
    assert in_full(know, ["I don't know."]) == ""  # one reply's words are its own affair
    assert in_full(know, []) == ""


def test_an_opening_grows_from_the_first_word():
    you = Property(kind="opening", text="you")
    assert in_full(you, ["You are right, friend.", "You are right!", "And you are right"]) == (
        "you are right"
    )


def test_a_feature_has_no_longer_phrase():
    assert in_full(Property(kind="feature", text="refusal"), ["I can't.", "I can't."]) == ""


def test_a_subgroup_says_in_words_what_its_prompts_have():
    said = Selector(role="user", words="ai")
    assert in_words(Subgroup()) == "any prompt"
    assert in_words(Subgroup(insert="zephyr")) == "any prompt, opened by “zephyr”"
    assert in_words(Subgroup(selectors=(said,))) == "prompts that say “ai”"
    assert in_words(TOPIC) == "prompts of a topic known by the words steal, someone's and food"
    assert in_words(Subgroup(selectors=(Selector(role="system", words="to"),))) == (
        "prompts whose system message says “to”"
    )
    assert in_words(Subgroup(selectors=(Selector(role="system", words=""),))) == (
        "prompts after a system message"
    )
    both = Subgroup(selectors=(Selector(role="label", words="hh"), said), others=(TOPIC.selectors,))
    assert in_words(both) == (
        "prompts that their owner labeled “hh” and that say “ai”, or of a topic known by the words "
        "steal, someone's and food"
    )


def test_what_a_system_message_says_is_shown_by_such_messages():
    agents = pool(
        Prompt(
            id="1",
            dialogue=(
                Message("system", "You are an agent. Reply to customers."),
                Message("user", "Where is my order?"),
            ),
        )
    )
    told = Subgroup(selectors=(Selector(role="system", words="to"),))
    assert such_as(told, agents) == " (such as “You are an agent. Reply to customers.”)"
