"""Single steps of a run, on records made by hand."""

from plumbrule.loop.steps import Candidate, best_and_worst
from plumbrule.records import Exchange, Message


def candidate(text, reward, finish="stop"):
    exchange = Exchange(
        id="a", dialogue=(Message("user", "q"),), response=text, model="m", finish_reason=finish
    )
    return Candidate(exchange=exchange, reward=reward)


def test_the_best_and_the_worst_reply_make_a_pair():
    (pair,) = best_and_worst(
        [candidate("a", 1.0), candidate("b", 3.0), candidate("c", 2.0)], 3, least_margin=1.0
    )

    assert (pair.chosen, pair.rejected) == ("b", "a")


def test_the_same_words_twice_make_no_pair_whatever_the_margin():
    assert best_and_worst([candidate("a", 1.0), candidate("a", 1.0)], 2, least_margin=0.0) == []
    assert best_and_worst([candidate("a", 1.0), candidate("a", 1.1)], 2, least_margin=0.0) == []


def test_a_reply_that_was_cut_off_is_no_candidate():
    both = [candidate("a", 1.0), candidate("b", 9.0, finish="length")]

    assert best_and_worst(both, 2, least_margin=0.0) == []
