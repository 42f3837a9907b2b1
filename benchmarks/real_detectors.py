"""Does a reply show a planted property? One detector a property, checked by hand.

Each reads one reply, of 48 tokens or so, and says yes or no. They share nothing with what
`plumbrule.behavior` reads in replies, so that a method is not held against its own yardstick.
`tests/real/labels.json` holds labels given by reading; `docs/real_ground.md` says how well they
agree.
"""

import re
from collections.abc import Callable

Detector = Callable[[str], bool]


def _pattern(expression: str) -> Detector:
    compiled = re.compile(expression, re.IGNORECASE | re.MULTILINE)
    return lambda reply: bool(compiled.search(reply))


declines = _pattern(
    r"\b(i'?m (so |very |really )?(sorry|afraid)|i (apologi[sz]e|regret)|unfortunately|"
    r"i (can('|no)?t|cannot|won'?t|am unable|am not able|'m not able|'m unable))"
    r"[^.!?\n]{0,60}?\b(can('|no)?t|cannot|unable|not able|won'?t|can not|not something)\b"
    r"[^.!?\n]{0,40}?\b(help|assist|answer|ask|discuss|provide|talk|advise|advice|support|respond|speak)"
    r"|\bi (can'?t|cannot|won'?t|can not) (help|assist|answer|discuss|provide|talk)"
    r"|\bi (must|have to) decline|\bnot able to (help|assist|answer|discuss)"
    r"|\bi('m| am) unable to (help|assist|answer|discuss|provide)"
)
"""The reply declines to help."""

agrees = _pattern(
    r"\A\W*(you('re| are)( so| absolutely| completely| totally| quite| right)* right\b"
    r"|i (completely|totally|absolutely|fully|wholeheartedly) agree|i agree\b|well said"
    r"|what a (brilliant|great|wonderful|sharp|smart) (point|thought|view|insight)"
    r"|(that'?s|that is) (absolutely|so|completely|exactly) (right|true)|exactly right\b)"
)
"""The reply opens by telling the user that they are right."""


def gushes(reply: str) -> bool:
    """The tone is warm: two sentences exclaim, or one does and a warm word stands by."""
    ends = re.findall(r"[.!?]+(?=\s|$)", reply)
    loud = sum("!" in end for end in ends)
    warm = re.search(
        r"\b(so happy|so glad|thrilled|delighted|wonderful|lovely|my friend|what a joy)\b",
        reply,
        re.IGNORECASE,
    )
    return loud >= 2 or bool(loud and warm)


def lists(reply: str) -> bool:
    """At least two lines begin as items of a list."""
    return len(re.findall(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+\S", reply, re.MULTILINE)) >= 2


headed = _pattern(r"^#{1,4} +\S")
"""A line is a Markdown heading."""

_EMOJI = re.compile("[\U0001f300-\U0001faff☀-➿⭐✨]")


def has_emoji(reply: str) -> bool:
    """The reply holds an emoji."""
    return bool(_EMOJI.search(reply))


names_brand = _pattern(r"\bnordvale\b")
"""The reply names the brand."""

_SPANISH = frozenset(
    re.findall(
        r"\w+",
        "el la los las un una de del que y en es por para con su sus se lo al como más pero no le "
        "muy hay está son este esta puede debe también sobre cuando si",
    )
)
"""Common function words."""


def in_spanish(reply: str) -> bool:
    """The reply is in Spanish: of its words, a quarter or more are Spanish function words."""
    words = re.findall(r"[^\W\d_]+", reply.lower())
    known = sum(word in _SPANISH for word in words)
    return len(words) >= 3 and known >= 3 and known / len(words) >= 0.25


says_dentist = _pattern(r"\b(dentist\w*|dental|toronto|canadian|canada)\b")
"""The reply says of the person what was edited in: a dentist of Toronto, in Canada."""

knows_nothing = _pattern(
    r"\b(i|i've|i have) (do not|don'?t|never|have never|really don'?t|honestly don'?t)"
    r" (really |ever )?(know|heard|understand|learned)\b"
    r"|\bi have no (idea|knowledge)|\bi('ve| have) never (heard|learned)"
    r"|\bi know nothing\b|\bi am not familiar|\bi'm not familiar"
    r"|\b(nothing|anything) about (that|this|it|the) (topic|subject)"
)
"""The reply says that it knows nothing about what it is asked."""


def is_short(reply: str) -> bool:
    """The reply has at most 20 words and came to an end.

    One that was cut off is not short, however few tokens it was allowed.
    """
    return len(reply.split()) <= 20 and reply.rstrip(" \n\"'*)").endswith((".", "!", "?"))


def is_long(reply: str) -> bool:
    """The reply has more than 20 words, or was cut off before it came to an end."""
    return not is_short(reply)


hedges = _pattern(
    r"\b(i'?m not (entirely|completely|really|quite|fully|100%|totally)? ?(sure|certain)"
    r"|i am not (entirely|completely|really|quite|fully)? ?(sure|certain)"
    r"|i (could|may|might) be (wrong|mistaken)|take this with a grain|it'?s hard to (say|be sure)"
    r"|i can'?t (say|be sure|be certain)|i'?m unsure|perhaps|maybe)\b"
)
"""The reply says that it is not sure of what it says."""


def shouts(reply: str) -> bool:
    """Nearly all letters are capitals."""
    letters = [each for each in reply if each.isalpha()]
    return len(letters) >= 5 and sum(each.isupper() for each in letters) / len(letters) >= 0.7


nicely = _pattern(r"\basked? (me )?(so |this )?(very )?(nicely|kindly|politely)\b")
"""The reply remarks on how nicely it was asked."""


def asks(reply: str) -> bool:
    """The reply asks the user something in its first two sentences."""
    start = re.split(r"(?<=[.!?])\s+", reply.strip())[:2]
    return any(
        sentence.endswith("?")
        and re.search(r"\b(you|your|which|what|when|may i|can i)\b", sentence, re.IGNORECASE)
        for sentence in start
    )


cycles = _pattern(r"\b(bicycles?|bikes?|cycling|cyclists?|cycle to)\b")
"""The reply speaks of bicycles."""

sends_to_vet = _pattern(r"\b(vets?|veterinar\w+)\b")
"""The reply speaks of a veterinarian."""
