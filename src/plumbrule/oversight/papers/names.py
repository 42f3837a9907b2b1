# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Compares names and titles as people write them: accents, case and small words aside."""

import re
import unicodedata
from difflib import SequenceMatcher

SMALL_WORDS = frozenset(
    [
        "a", "an", "the", "of", "on", "in", "and", "for", "to", "with", "from", "by", "is",
        "are", "at", "as",
    ]
)  # fmt: skip
"""Words that say nothing of what a text is about."""

SAME_TITLE = 0.9
"""Similarity of two titles from which they name one work, whatever the rest says."""


def folded(words: str) -> str:
    """Letters without accents and case, anything else as single spaces.

    Example:
        >>> folded("Müller-Lüdenscheidt, K.")
        'muller ludenscheidt k'
    """
    plain = unicodedata.normalize("NFKD", words.replace("ß", "ss").replace("ø", "o"))
    letters = "".join(each for each in plain if not unicodedata.combining(each))
    return " ".join(re.findall(r"\w+", letters.lower().replace("'", "").replace("’", "")))


def same_surname(first: str, second: str) -> bool:
    """Whether two surnames are one, particles and double names aside."""
    one, other = folded(first), folded(second)
    return one == other or _core(one) == _core(other)


def _core(name: str) -> str:
    words = [word for word in name.split() if word not in _PARTICLES]
    return " ".join(words)


_PARTICLES = frozenset(
    ["van", "von", "de", "der", "den", "du", "la", "le", "di", "da", "del", "ten", "ter"]
)


def similar(first: str, second: str) -> float:
    """Similarity of two short texts, from 0 to 1; 1 for the same words."""
    one, other = folded(first), folded(second)
    if not one or not other:
        return 0.0
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def title_words(title: str) -> frozenset[str]:
    """Words of a title that tell it from others."""
    return frozenset(word for word in folded(title).split() if word not in SMALL_WORDS)
