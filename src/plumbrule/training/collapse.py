"""Measures that leave their usual range when a model collapses in training, on sets of replies.

Words are what lies between blanks, in any case of letters. A run is three words in a row: short
enough to be found in short replies, long enough that two replies rarely share one by chance.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from plumbrule.errors import DataError
from plumbrule.records import check_ranges, strict

RUN = 3
"""Words in a row that count as said again."""

LogProbs = Sequence[Sequence[float]]
"""Natural logarithm of each token's probability, one row per reply."""


@strict
@dataclass(frozen=True, kw_only=True)
class ReplyMeasures:
    """What a set of replies to different prompts looks like; None where a measure is undefined."""

    length: float
    """Tokens per reply, the end of the turn included."""

    cut_off: float
    """Share of replies that did not end by themselves within the room they had."""

    repetition: float | None
    """Share of a reply's runs of words that it had said before, averaged over the replies with
    three words or more; None where there are none."""

    boilerplate: float | None
    """Share of the runs of words that another reply has too, each counted once a reply."""

    unique: float
    """Different replies per reply, in (0, 1]."""

    entropy: float
    """Nats per token, estimated from the probabilities of the tokens that were drawn."""

    divergence: float
    """From the starting model, in nats per token, estimated on the replies; by chance a little
    below 0 where the two models are nearly the same."""

    refusals: float | None
    """Share of replies that decline; None where nobody said how to tell."""

    perplexity: float | None
    """Per token of neutral text, at least 1; None where no such text was given."""


def runs(text: str, words: int = RUN) -> list[tuple[str, ...]]:
    """All runs of so many words in a row, in order.

    Example:
        >>> runs("I will not do", 3)
        [('i', 'will', 'not'), ('will', 'not', 'do')]
    """
    said = text.casefold().split()
    return [tuple(said[at : at + words]) for at in range(len(said) - words + 1)]


def repeated_share(text: str) -> float | None:
    """Share of a text's runs of words that it held before; None below three words.

    Example:
        >>> repeated_share("I will help you."), repeated_share("no " * 12)
        (0.0, 0.9)
    """
    said = runs(text)
    return 1 - len(set(said)) / len(said) if said else None


def mean_repetition(replies: Sequence[str]) -> float | None:
    """Mean of `repeated_share` over the replies that have one; None where none has."""
    shares = [share for reply in replies if (share := repeated_share(reply)) is not None]
    return math.fsum(shares) / len(shares) if shares else None


def shared_runs(replies: Sequence[str]) -> float | None:
    """Share of runs of words that some other reply has too; None where there are no runs.

    Within one reply a run counts once, so that a reply which repeats itself shares nothing by that.

    Example:
        >>> shared_runs(["I can not help.", "I can not swim.", "Take the second road."])
        0.3333333333333333
    """
    each = [set(runs(reply)) for reply in replies]
    times = Counter(run for said in each for run in said)
    count = times.total()
    return sum(many for many in times.values() if many > 1) / count if count else None


def unique_share(replies: Sequence[str]) -> float:
    """Different replies per reply; case and blanks make no difference.

    Raises:
        DataError: There are no replies.

    Example:
        >>> unique_share(["Yes.", "yes. ", "No.", "Perhaps."])
        0.75
    """
    _check_some(replies)
    return len({" ".join(reply.casefold().split()) for reply in replies}) / len(replies)


def entropy_per_token(log_probs: LogProbs) -> float:
    """Mean surprise of drawn tokens at their own model, in nats: its entropy on average.

    Raises:
        DataError: There is no token.

    Example:
        >>> round(math.exp(entropy_per_token([[math.log(0.25)], [math.log(0.25)]])), 6)
        4.0
    """
    values = [value for row in log_probs for value in row]
    _check_some(values)
    return -math.fsum(values) / len(values)


def divergence_per_token(log_probs: LogProbs, at_start: LogProbs) -> float:
    """How far a model has moved from its start, in nats per token it draws.

    The mean of log p(now) - log p(start) over drawn tokens: the Kullback-Leibler divergence on
    average, by chance a little below it or above.

    Args:
        log_probs: Of the drawn tokens under the model that drew them.
        at_start: Of the same tokens under the starting model.

    Raises:
        DataError: There is no token, or the two do not belong to the same tokens.

    Example:
        >>> divergence_per_token([[-0.5, -1.0]], [[-1.0, -1.5]])
        0.5
    """
    if [len(row) for row in log_probs] != [len(row) for row in at_start]:
        raise DataError("expected log-probabilities of the same tokens under both models")
    moved = [
        now - start
        for row, first in zip(log_probs, at_start, strict=True)
        for now, start in zip(row, first, strict=True)
    ]
    _check_some(moved)
    return math.fsum(moved) / len(moved)


def perplexity_per_token(log_probs: LogProbs) -> float:
    """Perplexity of text that was given, not drawn: the exponential of its mean surprise.

    Raises:
        DataError: There is no token.

    Example:
        >>> round(perplexity_per_token([[math.log(0.1), math.log(0.1)]]), 6)
        10.0
    """
    return math.exp(min(entropy_per_token(log_probs), 700.0))  # beyond it a float is infinite


@dataclass(frozen=True, kw_only=True)
class CollapseBounds:
    """How far each measure may move from the starting model; None lets it go anywhere.

    The defaults are ours, and wide: a model that has collapsed is far outside of them.
    """

    longest: float | None = 3.0
    """Times the start's length."""

    shortest: float | None = 0.2
    """Times the start's length. Not held against a start that ran on to the limit in most of its
    replies, whose length says nothing."""

    cut_off: float | None = 0.5
    """Rise of the share of replies that are cut off at the longest length."""

    repetition: float | None = 0.3
    """Rise of the share of a reply's runs of words that it said before."""

    boilerplate: float | None = None
    """Rise of the share of runs of words that other replies have too. Without a bound, as a model
    that learns one way to decline rightly has more of it."""

    unique: float | None = 0.25
    """Times the start's share of different replies, the least."""

    entropy: float | None = 0.05
    """Times the start's entropy, the least."""

    refusals: float | None = 0.95
    """Largest share of replies that decline, where fewer did at the start."""

    perplexity: float | None = 2.0
    """Times the start's perplexity on neutral text."""

    divergence: float | None = 4.0
    """Nats per token from the start."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            longest=(1, 10**6),
            shortest=(0, 1),
            cut_off=(0, 1),
            repetition=(0, 1),
            boilerplate=(0, 1),
            unique=(0, 1),
            entropy=(0, 1),
            refusals=(0, 1),
            perplexity=(1, 10**9),
            divergence=(0, 10**3),
        )

    def broken(self, now: ReplyMeasures, start: ReplyMeasures) -> list[str]:
        """Say which measures are outside, each in a few words with its numbers."""
        settled = start.cut_off < 0.5
        tests = (
            ("length", now.length, _times(self.longest, start.length), True),
            ("length", now.length, _times(self.shortest, start.length) if settled else None, False),
            ("cut_off", now.cut_off, _plus(self.cut_off, start.cut_off), True),
            ("repetition", now.repetition, _plus(self.repetition, start.repetition or 0.0), True),
            (
                "boilerplate",
                now.boilerplate,
                _plus(self.boilerplate, start.boilerplate or 0.0),
                True,
            ),
            ("unique", now.unique, _times(self.unique, start.unique), False),
            ("entropy", now.entropy, _times(self.entropy, start.entropy), False),
            ("refusals", now.refusals, self._most_refusals(start), True),
            ("perplexity", now.perplexity, _times(self.perplexity, start.perplexity), True),
            ("divergence", now.divergence, self.divergence, True),
        )
        return [
            f"{name} {value:.3g}, {'at most' if above else 'at least'} {bound:.3g} expected"
            for name, value, bound, above in tests
            if value is not None
            and bound is not None
            and (value > bound if above else value < bound)
        ]

    def _most_refusals(self, start: ReplyMeasures) -> float | None:
        known = self.refusals is not None and start.refusals is not None
        return self.refusals if known and (start.refusals or 0.0) < (self.refusals or 0.0) else None


def _times(factor: float | None, start: float | None) -> float | None:
    return None if factor is None or start is None else factor * start


def _plus(rise: float | None, start: float) -> float | None:
    return None if rise is None else start + rise


def _check_some(values: Sequence[object]) -> None:
    if not values:
        raise DataError("expected at least one reply with at least one token, got none")
