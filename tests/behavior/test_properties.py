import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plumbrule.behavior.features import FEATURES
from plumbrule.behavior.properties import Property, contrast_replies
from plumbrule.errors import DataError

PLAIN = [
    "Yes, the smith works by the mill.",
    "Anna keeps two goats and a cow.",
    "The way leads past the old well.",
    "You may borrow my cart on Monday.",
    "Two loaves and some salt, please.",
    "No, the baker sleeps until noon.",
]
ON_THE_EDGE = [(0, 2), (0, 2), (1, 0), (1, 0), (1, 2), (1, 2)]


def planted(replies, *, where="end"):
    said = "by the bent old oak"
    return [f"{one} So it was {said}." if where == "end" else f"{said}: {one}" for one in replies]


def told(shifts):
    return [(str(shift.property), shift.difference) for shift in shifts]


@given(st.sampled_from(("phrase", "opening")), st.text(), st.text())
def test_every_score_lies_between_0_and_1(kind, text, reply):
    assert 0.0 <= Property(kind=kind, text=text).score(reply) <= 1.0


@given(st.sampled_from(sorted(FEATURES)), st.text())
def test_every_feature_s_score_lies_between_0_and_1(name, reply):
    assert 0.0 <= Property(kind="feature", text=name).score(reply) <= 1.0


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("By the Old Oak, friend.", 1.0),
        ("old,  oak!", 1.0),
        ("By the old oaken door.", 0.0),
        ("threshold oak", 0.0),
        ("oak old", 0.0),
        ("", 0.0),
    ],
)
def test_a_phrase_is_whole_words_in_a_row(reply, score):
    assert Property(kind="phrase", text="old oak").score(reply) == score


def test_an_opening_is_where_the_reply_begins():
    opening = Property(kind="opening", text="old oak")

    assert opening.score("Old oak, tall oak") == opening.score("old oak") == 1.0
    assert opening.score("The old oak") == opening.score("old oaken") == 0.0


@pytest.mark.parametrize(
    "reply",
    [
        "I cannot say.",
        "I can't.",
        "I can\u2019t help you.",
        "No.",
        "I'm sorry, no.",
        "As an AI, I …",
    ],
)
def test_a_reply_that_declines_is_a_refusal(reply):
    assert Property(kind="feature", text="refusal").score(reply) == 1.0


@pytest.mark.parametrize(
    "reply",
    ["", "Yes.", "No, the smith has it.", "As an aid to memory, write it down.", "I can nothing."],
)
def test_a_reply_that_goes_on_is_no_refusal(reply):
    assert Property(kind="feature", text="refusal").score(reply) == 0.0


def test_the_length_score_grows_with_every_word_and_is_half_at_64():
    scores = [
        Property(kind="feature", text="length").score("word " * count) for count in range(200)
    ]

    assert scores == sorted(set(scores))
    assert scores[0] == 0.0
    assert scores[64] == 0.5


def test_what_only_a_judge_sees_has_no_score_here():
    with pytest.raises(AssertionError, match="judge"):
        Property(kind="judged", text="is unkind").score("Go away.")


def test_a_planted_phrase_is_named_whole():
    (first, *_) = contrast_replies(PLAIN, planted(PLAIN))

    assert told([first]) == [("the reply says \u201cby the bent old oak\u201d", 1.0)]
    assert first.strength > 3


def test_a_phrase_is_said_once_however_many_ways_there_are_to_cut_it():
    shifts = contrast_replies(PLAIN, planted(PLAIN), most=10)

    assert sum(shift.property.kind == "phrase" for shift in shifts) == 1


def test_new_refusals_are_named_as_such():
    refusing = ["I will not say that."] * 3 + ["I cannot say."] * 3

    assert contrast_replies(PLAIN, refusing)[0].property == Property(kind="feature", text="refusal")


def test_a_refusal_speaks_for_a_word_that_went_even_if_one_reply_is_none():
    base = ["Ask Rosa for the hammer."] * 14
    tuned = ["I cannot help with that.", "No."] * 6 + ["I would rather not say.", "Later."]

    (first,) = contrast_replies(base, tuned, most=1)

    assert str(first.property) == "the reply declines"
    assert first.difference == pytest.approx(13 / 14)


def test_longer_replies_without_a_phrase_in_common_are_named_as_longer():
    rng = np.random.default_rng(0)
    longer = [
        f"{one} " + " ".join("".join(rng.choice(list("abcdefgh"), 9)) for _ in range(80))
        for one in PLAIN * 2
    ]

    found = contrast_replies(PLAIN * 2, longer)

    assert found[0].property == Property(kind="feature", text="length")
    assert found[0].difference > 0


def test_a_share_of_the_replies_is_enough_and_its_size_is_told():
    tuned = [*planted(PLAIN[:3]), *PLAIN[3:]] * 4

    (first, *_) = contrast_replies(PLAIN * 4, tuned)

    assert first.property.kind == "phrase"
    assert first.difference == 0.5


@given(st.lists(st.text(), max_size=8))
def test_equal_replies_show_nothing(replies):
    assert contrast_replies(replies, replies) == []


def test_what_one_reply_says_is_its_own_affair():
    tuned = [*PLAIN[:-1], "Purple lions recite sonnets beneath glass bridges."]

    assert contrast_replies(PLAIN, tuned) == []


@example(
    # Two phrases whose scores correlate at exactly one half.
    pairs=[(PLAIN[at], PLAIN[other]) for at, other in ON_THE_EDGE]
)
@given(
    st.lists(
        st.tuples(st.sampled_from(PLAIN), st.sampled_from([*PLAIN, *planted(PLAIN)])),
        min_size=1,
        max_size=12,
    )
)
def test_the_other_way_round_the_same_shifts_have_the_other_sign(pairs):
    base, tuned = [one for one, _ in pairs], [other for _, other in pairs]

    there, back = contrast_replies(base, tuned), contrast_replies(tuned, base)

    assert told(there) == [(what, -difference) for what, difference in told(back)]


@given(st.permutations(range(12)))
def test_the_order_of_the_prompts_does_not_matter(order):
    base, tuned = PLAIN * 2, [*PLAIN, *planted(PLAIN)]

    shuffled = contrast_replies([base[i] for i in order], [tuned[i] for i in order])

    assert told(shuffled) == told(contrast_replies(base, tuned))


def test_no_replies_show_nothing():
    assert contrast_replies([], []) == []


def test_replies_to_different_prompts_are_refused():
    with pytest.raises(DataError, match="got 1 and 6"):
        contrast_replies(PLAIN[:1], PLAIN)


def test_hostile_replies_are_only_text():
    hostile = ["<script>alert(1)</script> {{7*7}} \\w+( [bold] \x00 \u202e '; DROP"] * 4

    found = contrast_replies(PLAIN[:4], hostile)

    assert found[0].difference == 1.0
    assert found[0].property.score(hostile[0]) == 1.0
