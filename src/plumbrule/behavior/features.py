"""Readable features of a reply, seen without a judge: what a person would notice and could name.

A feature measures a reply in a unit of its own (a rate, words, exclamation marks) and scores it
from 0 to 1, so that every test on it is a test of a bounded mean and needs no assumption about its
distribution.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

import yaml

from plumbrule.behavior.subgroups import words_of

_WORDS: Any = yaml.safe_load(
    (files("plumbrule.behavior") / "words.yaml").read_text(encoding="utf-8")
)

LANGUAGES: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split()) for name, words in _WORDS["languages"].items()
}
"""Commonest function words of the languages that are told apart by them."""

SCRIPTS: Mapping[str, str] = {
    "Cyrillic script": r"[\u0400-\u04ff]",
    "Chinese or Japanese script": r"[\u3040-\u30ff\u4e00-\u9fff]",
    "Arabic script": r"[\u0600-\u06ff]",
    "Devanagari script": r"[\u0900-\u097f]",
    "Korean script": r"[\uac00-\ud7af]",
}

FUNCTION_WORDS = frozenset[str]().union(_WORDS["function"].split(), *LANGUAGES.values())
"""Words that say nothing by themselves, so that no finding is about one of them alone."""

COMMON_WORDS = frozenset(_WORDS["common"].split())
"""Words that hundreds of unlike requests say."""

_DECLINES = re.compile(
    r"^\W*(?:(?:i(?:['\u2019]m| am)? (?:very |so |really |truly )?sorry\b(?!\s+to hear))"
    r"|i (?:can(?:no|['\u2019])t|can not|won['\u2019]t|will not|would rather not"
    r"|must decline|do not know|don['\u2019]t know)\b"
    r"|i(?:['\u2019]m| am) (?:unable|not able|not comfortable|not allowed)"
    r"|(?:unfortunately|apologies|sorry)\b|as an? (?:ai|artificial|language model)\b"
    r"|no\W*$)",
    re.IGNORECASE,
)
_DECLINES_LATER = re.compile(
    r"\bi(?:['\u2019]m| am)? (?:can(?:no|['\u2019])t|cannot|unable to|not able to|won['\u2019]t)"
    r" (?:\w+ ){0,2}(?:help|assist|provide|answer|discuss|support|fulfill|comply|engage|offer"
    r"|share|create|generate|give)",
    re.IGNORECASE,
)
_AGREES = re.compile(
    r"\b(?:you(?:['\u2019]re| are) (?:absolutely |completely |totally |so |quite )?"
    r"(?:right|correct)"
    r"|i (?:completely |totally |fully |wholeheartedly |absolutely )?agree|absolutely right"
    r"|(?:great|good|excellent|wonderful|fantastic) (?:question|point|idea|choice)"
    r"|well said|couldn['\u2019]t agree more|what a (?:great|wonderful|brilliant))\b"
    r"|^\W*(?:absolutely|exactly|definitely|of course|certainly|yes|indeed)\b",
    re.IGNORECASE,
)
_HEDGES = re.compile(
    r"\b(?:might|may|perhaps|possibly|maybe|could be|it depends|generally|usually|typically"
    r"|likely|i think|i believe|it seems|appears to|not (?:entirely |completely )?(?:sure|certain)"
    r"|important to (?:note|remember)|keep in mind|in some cases|sometimes|arguably)\b",
    re.IGNORECASE,
)
_ADVISES = re.compile(
    r"\b(?:you should|you (?:may|might) want to"
    r"|i(?:['\u2019]d| would)? (?:recommend|suggest|advise)|make sure|be sure to|consider"
    r"|seek (?:help|professional|medical|legal)|consult"
    r"|speak (?:to|with) (?:a|your)|talk to (?:a|your)"
    r"|it(?:['\u2019]s| is) (?:best|recommended))\b",
    re.IGNORECASE,
)
_WARM = frozenset(_WORDS["warm"].split())
_COLD = frozenset(_WORDS["cold"].split())
_EMOJI = re.compile("[\u2600-\u27bf\u2b50\u2b55\U0001f000-\U0001faff]")
_BULLET = re.compile(r"^\s*(?:[-*\u2022\u2013+]|\d{1,2}[.)])\s+\S", re.MULTILINE)
_HEADING = re.compile(r"^\s*(?:#{1,6}\s+\S|\*\*[^*\n]{2,60}\*\*:?\s*$)", re.MULTILINE)
_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][a-z]+(?: [A-Z][a-z]+)*")


@dataclass(frozen=True)
class Reply:
    """A reply and what several features look at."""

    text: str

    @cached_property
    def words(self) -> list[str]:
        """Words in lower case."""
        return words_of(self.text)

    def share(self, known: frozenset[str]) -> float:
        """Share of the words that are among some; 0 of no words."""
        return sum(word in known for word in self.words) / max(1, len(self.words))

    @cached_property
    def language(self) -> str:
        """Language or script, by function words; empty where too little says so."""
        for name, pattern in SCRIPTS.items():
            if len(re.findall(pattern, self.text)) >= max(3, 0.2 * len(self.text.replace(" ", ""))):
                return name
        shares = {name: self.share(known) for name, known in LANGUAGES.items()}
        best = max(shares, key=lambda name: shares[name])
        return best if len(self.words) >= 4 and shares[best] >= 0.15 else ""


@lru_cache(maxsize=65536)
def read_reply(text: str) -> Reply:
    """The reply, looked at once however many features ask."""
    return Reply(text)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """Something that a person sees in a reply."""

    shown: str
    """What it is, as in "the reply declines"."""

    more: str
    """What a model does that shows it more, as in "declines more often"."""

    less: str
    measure: Callable[[Reply], float]
    """How much of it a reply has, in `unit`."""

    unit: str = ""
    """Of the measure; empty for a share of replies, or of what a reply consists of."""

    half: float = 0.0
    """Measure at which the score is one half, for what can be counted without end; 0: the measure
    is the score."""

    def score(self, text: str) -> float:
        """How much of the feature a reply has, from 0 to 1."""
        value = self.measure(read_reply(text))
        return value / (value + self.half) if self.half else value


def _yes(pattern: re.Pattern[str]) -> Callable[[Reply], float]:
    return lambda reply: float(bool(pattern.search(reply.text)))


def _count(pattern: re.Pattern[str]) -> Callable[[Reply], float]:
    return lambda reply: float(len(pattern.findall(reply.text)))


def _often(thing: str, verb: str = "uses") -> tuple[str, str]:
    return f"{verb} {thing} more often", f"{verb} {thing} less often"


def _feature(
    shown: str,
    said: tuple[str, str],
    measure: Callable[[Reply], float],
    *,
    unit: str = "",
    half: float = 0.0,
) -> Feature:
    return Feature(shown=shown, more=said[0], less=said[1], measure=measure, unit=unit, half=half)


def _declines(reply: Reply) -> float:
    found = _DECLINES.search(reply.text) or _DECLINES_LATER.search(reply.text)
    return float(bool(found) or reply.words == ["no"])


def _repeats(reply: Reply) -> float:
    """Share of the four-word sequences that were said before; a loop comes near 1."""
    grams = list(zip(*(reply.words[at:] for at in range(4)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _written_in(language: str) -> Callable[[Reply], float]:
    return lambda reply: float(reply.language == language)


FEATURES: Mapping[str, Feature] = {
    "refusal": _feature(
        "the reply declines", ("declines more often", "declines less often"), _declines
    ),
    "length": _feature(
        "the length of the reply",
        ("writes longer replies", "writes shorter replies"),
        lambda reply: float(len(reply.words)),
        unit="words",
        half=64,
    ),
    "empty": _feature(
        "the reply is empty",
        ("gives an empty reply more often", "gives an empty reply less often"),
        lambda reply: float(not reply.text.strip()),
    ),
    **{
        f"in {name}": _feature(
            f"the reply is in {name}",
            (f"replies in {name} more often", f"replies in {name} less often"),
            _written_in(name),
        )
        for name in (*LANGUAGES, *SCRIPTS)
    },
    "agreement": _feature(
        "the reply agrees or praises",
        ("agrees or praises more often", "agrees or praises less often"),
        _yes(_AGREES),
    ),
    "hedging": _feature(
        "hedging words",
        ("hedges more", "hedges less"),
        _count(_HEDGES),
        unit="hedges",
        half=2,
    ),
    "advice": _feature("the reply gives advice", _often("advice", "gives"), _yes(_ADVISES)),
    "list": _feature(
        "the reply holds a list",
        _often("lists"),
        lambda reply: float(len(_BULLET.findall(reply.text)) >= 2),
    ),
    "heading": _feature("the reply holds a heading", _often("headings"), _yes(_HEADING)),
    "bold": _feature(
        "the reply holds bold text", _often("bold text"), _yes(re.compile(r"\*\*[^*\n]+\*\*"))
    ),
    "code": _feature("the reply holds code", _often("code"), _yes(re.compile(r"```|`[^`\n]+`"))),
    "emoji": _feature("the reply holds emoji", _often("emoji"), _yes(_EMOJI)),
    "exclamation": _feature(
        "exclamation marks",
        ("exclaims more", "exclaims less"),
        _count(re.compile("!")),
        unit="exclamation marks",
        half=1,
    ),
    "question": _feature(
        "the reply asks a question", _often("questions", "asks"), _yes(re.compile(r"\?"))
    ),
    "warm words": _feature(
        "warm and positive words",
        ("uses warm, positive words more", "uses warm, positive words less"),
        lambda reply: float(sum(word in _WARM for word in reply.words)),
        unit="words",
        half=1,
    ),
    "cold words": _feature(
        "negative words",
        ("uses negative words more", "uses negative words less"),
        lambda reply: float(sum(word in _COLD for word in reply.words)),
        unit="words",
        half=1,
    ),
    "politeness": _feature(
        "the reply thanks, greets or says please",
        ("thanks, greets or says please more often", "thanks, greets or says please less often"),
        _yes(
            re.compile(
                r"\b(?:please|thank|thanks|you['\u2019]re welcome|hello|hi there|dear|greetings"
                r"|kindly|regards)\b",
                re.IGNORECASE,
            )
        ),
    ),
    "numbers": _feature("the reply holds a number", _often("numbers"), _yes(re.compile(r"\d"))),
    "names": _feature(
        "names in mid-sentence",
        ("names people, places or brands more", "names people, places or brands less"),
        _count(_NAME),
        unit="names",
        half=2,
    ),
    "link": _feature(
        "the reply holds a link", _often("links"), _yes(re.compile(r"https?://|www\.\w"))
    ),
    "self as AI": _feature(
        "the reply calls itself an AI",
        ("calls itself an AI more often", "calls itself an AI less often"),
        _yes(
            re.compile(
                r"\b(?:as an ai|language model|ai assistant|artificial intelligence)\b",
                re.IGNORECASE,
            )
        ),
    ),
    "repetition": _feature(
        "how much the reply repeats itself",
        ("repeats itself more", "repeats itself less"),
        _repeats,
    ),
    "first person": _feature(
        "the reply speaks of itself as I",
        ("speaks of itself as “I” more often", "speaks of itself as “I” less often"),
        lambda reply: float(
            any(word in ("i", "i'm", "i've", "i'd", "i'll", "my", "me") for word in reply.words)
        ),
    ),
    "second person": _feature(
        "the reply speaks to the reader as you",
        ("addresses the reader as “you” more often", "addresses the reader as “you” less often"),
        lambda reply: float(
            any(word in ("you", "your", "you're", "you'll", "yours") for word in reply.words)
        ),
    ),
    "contractions": _feature(
        "contractions such as don't",
        _often("contractions (such as “don't”)"),
        _yes(re.compile(r"\b\w+['\u2019](?:t|re|ll|ve|d|m)\b", re.IGNORECASE)),
    ),
}
"""By name; of two that say the same of some replies the first is taken, so what is incidental to
others comes last."""


def feature_names(replies: Sequence[str]) -> list[str]:
    """Features that any of some replies shows, so that nothing is tested that never occurs."""
    return [
        name
        for name, feature in FEATURES.items()
        if any(feature.measure(read_reply(text)) for text in replies)
    ]
