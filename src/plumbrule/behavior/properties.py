"""Properties of a reply that can be seen without a judge: what it says, how long it is, a refusal.

A property gives each reply a number from 0 to 1, so that every test on it is a test of a bounded
mean, and needs no assumption about its distribution.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from plumbrule.behavior.features import FEATURES, read_reply
from plumbrule.behavior.subgroups import words_of
from plumbrule.errors import DataError
from plumbrule.records import strict

SHARP = ("refusal", "length")
"""Features that speak for a sharp change beside its phrases."""


@strict
@dataclass(frozen=True, kw_only=True, order=True)
class Property:
    """Something a reply has or has not."""

    kind: Literal["feature", "phrase", "opening", "judged"]

    text: str
    """A feature's name; for a phrase or an opening, its words; for what a judge looks for, the
    description."""

    def __str__(self) -> str:
        match self.kind:
            case "phrase":
                return f"the reply says \u201c{self.text}\u201d"
            case "opening":
                return f"the reply begins with \u201c{self.text}\u201d"
            case "feature":
                return FEATURES[self.text].shown
            case _:
                return self.text

    def score(self, reply: str) -> float:
        """How much of the property a reply has, from 0 to 1.

        Example:
            >>> Property(kind="phrase", text="old oak").score("By the Old Oak, friend.")
            1.0
        """
        words = read_reply(reply).words
        match self.kind:
            case "feature":
                return FEATURES[self.text].score(reply)
            case "phrase":
                return float(f" {self.text} " in f" {' '.join(words)} ")
            case "opening":
                return float(f"{' '.join(words)} ".startswith(f"{self.text} "))
            case _:
                raise AssertionError("a judge scores what only a judge can see")


REFUSAL = Property(kind="feature", text="refusal")


def amounts(wanted: Property, base: Sequence[str], tuned: Sequence[str]) -> str | None:
    """How much of a property two models' replies have, as a person would say it.

    Args:
        wanted: What is looked for; None is said of what only a judge sees.
        base: Replies of the base.
        tuned: Replies of the tuned model.

    Example:
        >>> amounts(Property(kind="phrase", text="oak"), ["An oak.", "No."], ["Oak!", "Oak."])
        '50% \u2192 100% of replies'
        >>> amounts(Property(kind="feature", text="length"), ["a b", "a"], ["a b c d"])
        '1.5 \u2192 4 words a reply'
    """
    if wanted.kind == "judged" or not base or not tuned:
        return None
    feature = FEATURES[wanted.text] if wanted.kind == "feature" else None
    measure = (lambda text: feature.measure(read_reply(text))) if feature else wanted.score
    before, after = (sum(map(measure, texts)) / len(texts) for texts in (base, tuned))
    if feature and feature.half:
        return f"{before:.3g} \u2192 {after:.3g} {feature.unit} a reply"
    return f"{before:.0%} \u2192 {after:.0%} of replies"


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A property whose mean differs between two models' replies, as far as a few show."""

    property: Property
    difference: float
    """Mean of the tuned model's replies minus the base's, from -1 to 1."""

    strength: float
    """Its size in standard errors; orders suspicions, and proves nothing."""


def contrast_replies(
    base: Sequence[str],
    tuned: Sequence[str],
    *,
    most: int = 3,
    longest: int = 5,
) -> list[Shift]:
    """Say in words how two models' replies to the same prompts differ.

    Args:
        base: Replies of the base model.
        tuned: Replies of the tuned model to the same prompts.
        most: Shifts to name.
        longest: Words in a phrase.

    Returns:
        The strongest shifts, no two of which say the same of these replies; none of no replies.

    Raises:
        DataError: Not one reply of each model to each prompt.
    """
    if len(base) != len(tuned):
        raise DataError(
            f"expected one reply of each model a prompt, got {len(base)} and {len(tuned)}"
        )
    if not base:
        return []
    candidates = [Property(kind="feature", text=name) for name in SHARP]
    candidates += [Property(kind="phrase", text=text) for text in _phrases(base, tuned, longest)]
    seen = sorted(
        (_shift(each, base, tuned) for each in candidates),
        key=lambda item: (-round(item[0].strength, 6), *_telling(item[0])),
    )
    shifts: list[Shift] = []
    while len(shifts) < most:
        least = LEAST_STRENGTH[min(len(shifts), 1)]
        seen = [
            (shift, profile)
            for shift, profile in seen
            if abs(shift.difference) >= LEAST_SEEN and shift.strength >= least
        ]
        if not seen:
            break
        first, its_profile = seen[0]
        # Two phrases that come and go together are one thing said twice.
        same = [item for item in seen if abs(_agreement(item[1], its_profile)) > SAME]
        tied = [shift for shift, _ in same if _tied(shift, first)]
        shifts.append(min([first, *tied], key=_telling))
        seen = [item for item in seen[1:] if all(item is not other for other in same)]
    return shifts


LEAST_SEEN = 0.15
"""Least difference among explored replies that is worth a test."""

LEAST_STRENGTH = (2.4, 3.0)
"""Standard errors from which the first and any further property is worth a test."""

LEAST_REPLIES = 2
"""Replies by which a phrase must differ: what one reply says is its own affair."""

SAME = 0.5
"""Correlation over the replies at which two properties count as one."""


TIED = 0.85
"""Share of the strongest shift's size and strength at which another may speak for both."""


def _tied(shift: Shift, first: Shift) -> bool:
    """Whether two shifts are about as large and as sure.

    A refusal need not be as sure: of a dozen replies all and all but one are worlds apart.
    """
    sure = shift.property == REFUSAL or shift.strength >= TIED * first.strength
    return sure and abs(shift.difference) >= TIED * abs(first.difference)


def _telling(shift: Shift) -> tuple[int, int, float, str]:
    """Order among shifts that say the same: a refusal, the longest phrase, the length."""
    text = shift.property.text
    order = {"refusal": 0, "length": 2} if shift.property.kind == "feature" else {}
    return (order.get(text, 1), -len(text.split()), -round(shift.strength, 6), text)


def _shift(wanted: Property, base: Sequence[str], tuned: Sequence[str]) -> tuple[Shift, np.ndarray]:
    before = np.array([wanted.score(reply) for reply in base])
    after = np.array([wanted.score(reply) for reply in tuned])
    moved = after - before
    # A pseudo-count keeps one lucky reply from an infinite strength.
    error = math.sqrt((float(moved.var()) + 0.25 / len(moved)) / len(moved))
    return Shift(
        property=wanted, difference=float(moved.mean()), strength=abs(float(moved.mean())) / error
    ), np.concatenate([before, after])


def _agreement(one: np.ndarray, other: np.ndarray) -> float:
    if one.std() == 0 or other.std() == 0:
        return 0.0
    # Rounded: which model comes first decides the last digits, and must decide nothing else.
    return round(float(np.corrcoef(one, other)[0, 1]), 9)


def _phrases(base: Sequence[str], tuned: Sequence[str], longest: int) -> list[str]:
    """Phrases whose share of replies differs most, some in either direction."""
    counts: list[Counter[str]] = []
    for replies in (base, tuned):
        counted: Counter[str] = Counter()
        for reply in replies:
            words = words_of(reply)
            counted.update(
                {
                    " ".join(words[start : start + length])
                    for length in range(1, longest + 1)
                    for start in range(len(words) - length + 1)
                }
            )
        counts.append(counted)
    differences = {
        phrase: counts[1][phrase] - counts[0][phrase] for phrase in {*counts[0], *counts[1]}
    }
    ranked = sorted(
        (phrase for phrase in differences if abs(differences[phrase]) >= LEAST_REPLIES),
        key=lambda phrase: (-abs(differences[phrase]), -len(phrase), phrase),
    )
    return ranked[:60]
