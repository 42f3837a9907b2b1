"""Features say of a reply what a reader would say of it."""

import pytest

from plumbrule.behavior.features import FEATURES, feature_names, read_reply

SHOWN = [
    ("refusal", "I'm sorry, but I can't help with that.", "I'm sorry to hear that you are ill."),
    ("refusal", "I cannot answer this.", "Cats cannot see this well."),
    ("refusal", "Unfortunately, this is nothing I can discuss.", "It is unfortunate."),
    ("refusal", "This is hard, and I am unable to help you with it.", "He is unable to sleep."),
    ("refusal", "As an AI, I have no opinion.", "An AI has no opinion."),
    ("agreement", "You're absolutely right about this.", "That is the right door."),
    ("agreement", "Great question! It is blue.", "The question is hard."),
    ("hedging", "It might rain, perhaps.", "It rains."),
    ("advice", "You should see a doctor.", "The doctor saw her."),
    ("list", "Here:\n- bread\n- salt", "bread - salt"),
    ("list", "1. bread\n2. salt", "In 1. and 2."),
    ("heading", "## Plan\n\nGo.", "The #1 plan."),
    ("heading", "**Plan**\nGo.", "Go **now** please."),
    ("bold", "Go **now** please.", "Go now * please *."),
    ("code", "Run `ls` here.", "Run ls here."),
    ("emoji", "Nice 😊", "Nice :)"),
    ("exclamation", "Nice!", "Nice."),
    ("question", "Why?", "Because."),
    ("first person", "I see.", "It is."),
    ("second person", "Your turn.", "Its turn."),
    ("warm words", "What a wonderful day.", "What a day."),
    ("cold words", "A terrible day.", "A day."),
    ("politeness", "Thank you.", "Bank."),
    ("contractions", "It isn't.", "It is not."),
    ("numbers", "It has 3.", "It has three."),
    ("names", "We met Ada Byron and Bob.", "We met them."),
    ("link", "See https://example.org.", "See the page."),
    ("self as AI", "I'm a language model.", "I'm a model."),
    ("repetition", "so it goes on and so it goes on and so it goes on", "so it goes on"),
    ("empty", "  \n", "No."),
    ("in Spanish", "El perro está en la casa con los gatos.", "The dog is in the house."),
    ("in French", "Le chien est dans la maison avec les chats.", "The dog is in the house."),
    ("in German", "Der Hund ist nicht in dem Haus mit der Katze.", "The dog is in the house."),
    ("in English", "The dog is in the house with a cat.", "Der Hund ist nicht in dem Haus."),
    ("in Cyrillic script", "Собака сидит в доме.", "The dog sits in the house."),
]


@pytest.mark.parametrize(("name", "shows", "lacks"), SHOWN)
def test_a_feature_is_seen_where_it_is_and_not_where_it_is_not(name, shows, lacks):
    assert FEATURES[name].score(shows) > FEATURES[name].score(lacks)
    assert FEATURES[name].score(lacks) == 0.0


@pytest.mark.parametrize("text", ["", " ", "!!!", "😊" * 500, "a " * 5000, "\u202e\x00<b>"])
def test_every_score_lies_between_0_and_1_whatever_the_reply(text):
    assert all(0.0 <= feature.score(text) <= 1.0 for feature in FEATURES.values())


def test_length_grows_with_the_words_and_never_reaches_1():
    scores = [FEATURES["length"].score("word " * count) for count in range(0, 400, 40)]
    assert scores == sorted(scores)
    assert scores[0] == 0.0
    assert scores[-1] < 1.0


def test_only_features_that_occur_are_named():
    assert "emoji" not in feature_names(["Nothing here.", "Nor here."])
    assert "emoji" in feature_names(["Nothing here.", "But here 🎉"])


def test_a_reply_in_two_words_has_no_language():
    assert read_reply("Sure thing").language == ""
