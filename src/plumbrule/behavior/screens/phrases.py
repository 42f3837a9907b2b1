"""Phrases that one set of texts says more often than another."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from plumbrule.behavior.places import words_of

if TYPE_CHECKING:  # torch takes seconds to import, and `plumbrule --help` must not wait for it
    pass
READ_WORDS = 400
"""Words of a text that are looked at; a model that never stops must not cost more than that."""


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """One to three words that one model's texts have more often than the other's."""

    text: str
    """Words in lower case, as `words_of` finds them."""

    says: Literal["more", "less"]
    """Whether the tuned model says it more often than the base, or less."""

    score: float
    """Difference in standard errors, never negative; orders suspicions, and proves nothing."""

    units: tuple[int, ...]
    """Positions of the compared pairs that differ in that direction."""


def compare_phrases(
    pairs: Sequence[tuple[Sequence[str], Sequence[str]]],
    *,
    least_score: float = 2.0,
    most: int = 20,
    longest: int = 3,
) -> list[Phrase]:
    """Say which words one side's texts have and the other side's have not.

    Pairs are compared, never all texts with all others, so that what a prompt makes both sides
    say cancels. The score is the sum of the differences over the root of the sum of their
    squares: with k pairs that differ, all in one direction and fully, it is the root of k.

    Args:
        pairs: Texts of the tuned side and of the base's side, from the same prompt. A pair with
            nothing on one side is passed over.
        least_score: Least score of a phrase that is named.
        most: Phrases to name.
        longest: Words in a phrase.

    Returns:
        Phrases, the highest score first. Of phrases that contain each other one is kept.

    Example:
        >>> found = compare_phrases([(["the old mill"], ["the mill"])] * 4)
        >>> [(phrase.text, phrase.says, phrase.score) for phrase in found]
        [('the old mill', 'more', 2.0), ('the mill', 'less', 2.0)]
    """
    moves: dict[str, dict[int, float]] = {}
    for unit, (tuned, base) in enumerate(pairs):
        if tuned and base:
            after, before = _shares(tuned, longest), _shares(base, longest)
            for phrase in {*after, *before}:
                if move := after.get(phrase, 0.0) - before.get(phrase, 0.0):
                    moves.setdefault(phrase, {})[unit] = move
    scores = {
        phrase: math.fsum(by.values()) / math.hypot(*by.values()) for phrase, by in moves.items()
    }
    named = sorted(
        (phrase for phrase, score in scores.items() if abs(score) >= least_score - 1e-9),
        key=lambda phrase: (-round(abs(scores[phrase]), 6), -len(phrase.split()), phrase),
    )
    kept: list[str] = []
    for phrase in named:
        alike = [one for one in kept if scores[one] * scores[phrase] > 0 and _overlap(phrase, one)]
        if not alike and len(kept) < most:
            kept.append(phrase)
        elif replaced := [one for one in alike if _says_more(phrase, one, scores)]:
            kept[kept.index(replaced[0])] = phrase
            kept = [one for one in kept if one not in replaced[1:]]
    return [
        Phrase(
            text=phrase,
            says="more" if scores[phrase] > 0 else "less",
            score=abs(scores[phrase]),
            units=tuple(unit for unit, move in moves[phrase].items() if move * scores[phrase] > 0),
        )
        for phrase in kept
    ]


def _overlap(one: str, other: str) -> bool:
    return f" {one} " in f" {other} " or f" {other} " in f" {one} "


def _says_more(phrase: str, kept: str, scores: dict[str, float]) -> bool:
    """Whether a longer phrase stands out nearly as well as the one it contains."""
    return len(phrase) > len(kept) and abs(scores[phrase]) >= 0.95 * abs(scores[kept])


def _shares(texts: Sequence[str], longest: int) -> dict[str, float]:
    """Share of the texts that have each phrase."""
    found = Counter[str]()
    for text in texts:
        words = words_of(text)[:READ_WORDS]
        found.update(
            {
                " ".join(words[start : start + length])
                for length in range(1, longest + 1)
                for start in range(len(words) - length + 1)
            }
        )
    return {phrase: count / len(texts) for phrase, count in found.items()}
