"""Labels of which it is known what they follow."""

import json

import numpy as np
import pytest
from tests.fakes import ScriptedModel

from plumbrule.constitution import dump_constitution, parse_constitution
from plumbrule.drafting import (
    LabeledPair,
    PreferenceJudge,
    draft_inverse,
    inverse_page,
    inverse_record,
    plain_pair,
    preference_judge,
    usable_pairs,
)
from plumbrule.drafting.ballots import fit
from plumbrule.drafting.inverse import tiers_of
from plumbrule.drafting.wordings import parts_of
from plumbrule.errors import ConfigError, DataError
from plumbrule.loop.drafting import reply_properties

TOPICS = {
    "bread": [
        "Mix the flour and the water in a large bowl.",
        "Knead the dough well until it is quite smooth.",
        "Bake it in a hot oven until it is brown.",
        "Leave the loaf to cool before you cut it.",
        "A pinch of salt in the dough is enough.",
    ],
    "chess": [
        "Try to control the center of the board early.",
        "Develop the knights before the bishops and the queen.",
        "Castle early in the game to keep the king safe.",
        "Do not move the same piece twice at first.",
        "Look at what the other side wants to do.",
    ],
    "roses": [
        "Cut the old stems back in the early spring.",
        "Water the roots in the morning, not the leaves.",
        "Give them some compost once or twice a year.",
        "They want at least six hours of sun daily.",
        "Remove the faded flowers through the whole summer.",
    ],
}
WARNING = "Ask an expert."


def pairs(count=600, seed=0, *, random=False):
    """Shorter replies are preferred; on roses, before that, whatever has a warning."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        topic = str(rng.choice(list(TOPICS)))
        sides = []
        for _ in range(2):
            body = [str(each) for each in rng.permutation(TOPICS[topic])[: rng.integers(1, 6)]]
            sides.append(" ".join([*body, *([WARNING] if rng.random() < 0.5 else [])]))
        warned = [WARNING in side for side in sides]
        words = [len(side.split()) for side in sides]
        if topic == "roses" and warned[0] != warned[1]:
            better = warned[0]
        elif words[0] != words[1]:
            better = words[0] < words[1]
        else:
            better = bool(rng.random() < 0.5)
        if random or rng.random() < 0.03:
            better = bool(rng.random() < 0.5)
        request = f"Question {number}: what should I know about {topic}?"
        made.append(plain_pair(request, *sides, probability=float(better)))
    return usable_pairs(made)


@pytest.fixture(scope="module")
def drafted():
    return draft_inverse(pairs(), reply_properties())


def test_the_principles_behind_labels_are_found_with_their_conditions(drafted):
    always = [each for each in drafted.principles if each.rule.condition.kind == "always"]
    warning = next(each for each in drafted.principles if each.rule.face.kind == "phrases")

    assert [(each.rule.face.name, each.rule.direction) for each in always] == [("length", -1)]
    assert warning.rule.direction == 1
    assert "ask an expert" in warning.rule.face.phrases
    assert "roses" in warning.rule.condition.phrases


def test_held_out_labels_are_explained_better_than_by_length_alone(drafted):
    assert drafted.agreement is not None
    assert drafted.agreement.value > 0.85
    assert drafted.longer_wins.value < 0.4
    assert drafted.agreement.low > drafted.always_first.high


def test_agreement_is_that_of_its_own_predictions_on_new_pairs(drafted):
    new = pairs(300, seed=9).pairs

    right = np.mean((drafted.predict(new) > 0) == [pair.probability > 0.5 for pair in new])

    assert drafted.agreement is not None
    assert drafted.agreement.low - 0.03 <= right <= drafted.agreement.high + 0.03


def test_what_is_heavier_than_all_else_together_decides_first(drafted):
    assert drafted.constitution is not None
    tier = {each.id: each.tier for each in drafted.constitution.principles}
    warning = next(each for each in drafted.principles if each.rule.face.kind == "phrases")
    length = next(each for each in drafted.principles if each.rule.face.name == "length")

    assert tier[warning.principle_id] < tier[length.principle_id]


def test_other_constitutions_are_counted_as_they_are_defined(drafted):
    others = drafted.others
    assert others is not None

    assert others.by_place == tuple(len(each.alternatives) for each in drafted.principles)
    assert others.considered == np.prod([1 + count for count in others.by_place]) - 1
    assert others.as_well <= others.considered
    if others.share is not None and others.counted:
        assert others.as_well == round(others.share.value * others.share.n)


def test_two_properties_that_always_go_together_can_stand_for_each_other():
    rng = np.random.default_rng(3)
    made: list[LabeledPair] = []
    for number in range(300):
        sides = []
        for _ in range(2):
            shown = rng.random() < 0.5
            sides.append(f"Take {rng.integers(1, 9)} spoons{'! 😊' if shown else '.'} {number}")
        better = "😊" in sides[0]
        if ("😊" in sides[1]) != better:
            made.append(plain_pair(f"How {number}?", *sides, probability=float(better)))

    draft = draft_inverse(usable_pairs(made), reply_properties())

    assert len(draft.principles) == 1
    assert draft.others is not None
    # Emoji and exclamation marks cast the same votes: then one stands for both.
    assert draft.agreement is not None
    assert draft.agreement.value == 1.0


def test_labels_at_random_confirm_no_principle():
    confirmed = 0
    for seed in range(4):
        draft = draft_inverse(pairs(200, seed, random=True), reply_properties(), seed=seed)
        confirmed += len(draft.principles)
        if not draft.principles:
            assert draft.constitution is None
            assert draft.agreement is None
            assert "confirm" in str(draft.reason)
            assert "No principle" in inverse_page(draft)

    assert confirmed <= 1


def test_the_constitution_reads_back_and_its_numbers_are_plain_values(drafted):
    assert drafted.constitution is not None

    assert parse_constitution(dump_constitution(drafted.constitution)) == drafted.constitution
    json.dumps(inverse_record(drafted), allow_nan=False)
    assert "the longer reply wins" in inverse_page(drafted)


def test_the_same_pairs_and_seed_give_the_same_constitution(drafted):
    again = draft_inverse(pairs(), reply_properties())

    assert again.constitution == drafted.constitution


def hidden_pairs(count=160, seed=0):
    """What is preferred no property shows: the reply whose number of letters is even."""
    rng = np.random.default_rng(seed)
    made: list[LabeledPair] = []
    while len(made) < count:
        sides = ["".join(rng.choice(list("abcdefgh"), size=rng.integers(6, 9))) for _ in range(2)]
        even = [len(side) % 2 == 0 for side in sides]
        if even[0] != even[1]:
            made.append(plain_pair(f"Word {len(made)}?", *sides, probability=float(even[0])))
    return usable_pairs(made)


def test_a_judge_s_principle_is_found_where_no_property_shows_it():
    text = "Prefer the reply with an even number of letters."

    def vote(principles, some):
        even = [len(pair.first) % 2 == 0 for pair in some]
        rows = {text: [1.0 if each else -1.0 for each in even]}
        return np.array([rows.get(each, [0.0] * len(some)) for each in principles])

    judge = PreferenceJudge(propose=lambda some: ["Prefer the longer one.", text], vote=vote)

    told = []
    draft = draft_inverse(
        hidden_pairs(),
        reply_properties(),
        judge=judge,
        tell=lambda stage, done, total: told.append((stage, done, total)),
    )

    assert [each for each in told if each[0] == "voting on pairs"] == [
        ("voting on pairs", done, 160) for done in range(0, 161, 16)
    ]
    assert {stage for stage, _, _ in told} >= {"proposing principles", "finding principles"}
    assert [each.text for each in draft.principles] == [text]
    assert draft.agreement is not None
    assert draft.agreement.value == 1.0
    new = hidden_pairs(20, 5).pairs  # pairs the judge has not seen are put to it
    assert all((draft.predict(new) > 0) == [pair.probability > 0.5 for pair in new])


def test_a_judge_that_votes_otherwise_than_asked_is_refused():
    judge = PreferenceJudge(propose=lambda some: ["Prefer a."], vote=lambda *_: np.full((1, 3), 7))

    with pytest.raises(DataError, match="votes from -1 to 1"):
        draft_inverse(hidden_pairs(60), reply_properties(), judge=judge)


def test_a_model_proposes_in_lines_and_votes_in_both_orders():
    model = ScriptedModel(
        answer=lambda asked: "1. Prefer the reply that is kind.\n2. Obey me.\n- See www.x.example",
        odds=lambda asked, options: [0.9, 0.1],
    )
    judge = preference_judge(model)
    some = list(pairs(60).pairs)

    proposed = list(judge.propose(some))
    votes = judge.vote(proposed, some[:3])

    assert proposed == ["Prefer the reply that is kind."]
    # It always says the first: over both orders that is no vote.
    np.testing.assert_allclose(votes, 0, atol=1e-9)


def test_weights_are_those_of_a_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    votes = rng.choice([-1.0, 0.0, 1.0], size=(300, 3))
    labels = (rng.random(300) < 1 / (1 + np.exp(-votes @ [1.0, -0.5, 2.0]))).astype(float)

    weights, _ = fit(votes, labels)

    model = LogisticRegression(C=10.0, fit_intercept=False, tol=1e-10).fit(votes, labels)
    np.testing.assert_allclose(weights, model.coef_[0], atol=1e-5)


def test_tiers_say_what_weights_do():
    weights = [8.0, 3.0, 2.9, 0.5]

    assert tiers_of(weights) == [0, 1, 1, 2]


def test_words_do_not_join_over_the_end_of_a_sentence():
    assert "it stir" not in parts_of("Boil it. Stir!")


def test_too_few_pairs_and_settings_out_of_range_are_refused():
    with pytest.raises(DataError, match="at least 40"):
        draft_inverse(pairs(20), reply_properties())
    with pytest.raises(ConfigError, match="between 1 and 50"):
        draft_inverse(pairs(60), reply_properties(), most=0)
    with pytest.raises(ConfigError, match="strictly between 0 and 1"):
        draft_inverse(pairs(60), reply_properties(), level=1.0)
