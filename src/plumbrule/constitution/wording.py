"""What two sentences have in common, and whether one demands what the other forbids.

Plain bags of words: deterministic, without a model, good enough to show a person where to look.
Words are English; text in another language is compared word for word.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")
_LEADING_CLAUSE = re.compile(r"^(?:when|if|where|unless|while|for|in|on|even if)\b[^,]*,\s*")

_NEGATIONS = {"not", "never", "no", "nor", "without", "neither"}
_REVERSALS = _NEGATIONS | {"avoid", "refuse", "decline", "refrain", "fail", "omit", "stop"}
_BEFORE_THE_VERB = frozenset(
    """
    please always must should shall will would may might can could do does did to from the a an
    assistant model it you is are be ever simply also and just only
    """.split()  # noqa: SIM905 - a list of words reads as one
)
_STOPWORDS = frozenset(
    """
    a an the and or but if then than that this these those it its they them their there you your
    he she his her him we our us i me my who whom which what when where how why as at by for from
    in into of off on onto out over to up with about is are was were be been being am do does did
    has have had will would shall should can could may might must so such any all each every some
    even also just only very much more most
    """.split()  # noqa: SIM905 - a list of words reads as one
)
_IRREGULAR = {"people": "person", "children": "child", "men": "man", "women": "woman"}


@dataclass(frozen=True)
class StrippedSentence:
    """A sentence without its small words."""

    demands: bool
    """False where the sentence forbids."""

    words: frozenset[str]


def words(text: str) -> list[str]:
    """Words of a text, in small letters, `don't` and `cannot` taken apart."""
    plain = text.casefold().replace("\u2019", "'")
    plain = plain.replace("cannot", "can not").replace("can't", "can not").replace("won't", "not")
    return _WORD.findall(plain.replace("n't", " not"))


def stems(tokens: Iterable[str]) -> list[str]:
    """Words that carry a subject, with plural and verb endings off."""
    return [_stem(word) for word in tokens if word not in _STOPWORDS]


def sentences(text: str) -> list[StrippedSentence]:
    """Take a rule apart into what it demands and what it forbids.

    Example:
        >>> [sentence.demands for sentence in sentences("Be kind. Never refuse help. Don't lie.")]
        [True, True, False]
    """
    found = []
    for part in _SENTENCE_END.split(text.casefold()):
        clause = _LEADING_CLAUSE.match(part)
        before = words(clause.group()) if clause else []
        main = words(part[clause.end() :] if clause else part)
        demands, start = True, 0
        while start < len(main) and (main[start] in _BEFORE_THE_VERB or main[start] in _REVERSALS):
            demands ^= main[start] in _REVERSALS
            start += 1
        kept = frozenset(stems(before + main[start:]))
        if kept:
            found.append(StrippedSentence(demands, kept))
    return found


def condition(text: str) -> StrippedSentence:
    """Read a condition: what it is about, and whether it is denied."""
    tokens = words(text)
    denied = sum(token in _NEGATIONS for token in tokens) % 2 == 1
    kept = frozenset(stems(token for token in tokens if token not in _NEGATIONS)) - _ALWAYS_SAID
    return StrippedSentence(not denied, kept)


def covers(wide: str, narrow: str) -> bool:
    """Whether the first condition seems to hold wherever the second does.

    Said to hold where everything the first mentions is also mentioned by the second, so that the
    second only adds detail.

    Example:
        >>> covers("the request is harmful", "the request is harmful and urgent")
        True
        >>> covers("the request is harmful", "the request is not harmful")
        False
    """
    broad, detailed = condition(wide), condition(narrow)
    if not broad.words:
        return broad.demands and bool(words(wide))
    if "or" in words(narrow) and broad.words != detailed.words:
        return False
    return broad.demands == detailed.demands and broad.words <= detailed.words


def excludes(first: str, second: str) -> bool:
    """Whether two conditions deny each other."""
    one, other = condition(first), condition(second)
    return bool(one.words) and one.words == other.words and one.demands != other.demands


def impossible(text: str) -> bool:
    """Whether a condition denies itself, as in "it is new and it is not new"."""
    parts = re.split(r"\band\b", text.casefold())
    return any(
        excludes(first, second) for n, first in enumerate(parts) for second in parts[n + 1 :]
    )


def alike(first: str, second: str) -> float:
    """Share of words that two conditions have in common, 0 to 1; 0 where one denies the other."""
    one, other = condition(first), condition(second)
    if one.demands != other.demands or not one.words | other.words:
        return 0.0
    return len(one.words & other.words) / len(one.words | other.words)


def rarity(texts: Sequence[str]) -> Mapping[str, float]:
    """Weight of each word: high where few of the texts use it (inverse document frequency).

    Source:
        Smoothed form ln((1 + n) / (1 + uses)) + 1, as in common text-retrieval software.
    """
    uses = Counter(word for text in texts for word in set(stems(words(text))))
    return {word: math.log((1 + len(texts)) / (1 + count)) + 1 for word, count in uses.items()}


def similarity(
    first: frozenset[str], second: frozenset[str], weights: Mapping[str, float]
) -> float:
    """Cosine of two bags of words under the given weights, 0 to 1."""
    common = sum(weights.get(word, 1.0) ** 2 for word in sorted(first & second))
    if not common:
        return 0.0
    lengths = [
        math.sqrt(sum(weights.get(word, 1.0) ** 2 for word in sorted(bag)))
        for bag in (first, second)
    ]
    return min(1.0, common / (lengths[0] * lengths[1]))


def _stem(word: str) -> str:
    word = _IRREGULAR.get(word, word)
    for ending, instead in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", "e"), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + instead
            if ending in ("ing", "ed") and word[-1] == word[-2] and word[-1] not in "ls":
                word = word[:-1]
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


_ALWAYS_SAID = frozenset(
    _stem(word)
    for word in ("request", "user", "assistant", "case", "situation", "time", "always", "ever")
)
"""Words of conditions that tell no situation from another."""
