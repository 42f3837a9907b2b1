"""Words that by themselves show that a text breaks a principle, and what to write in their place.

An entry is a word or a phrase; an asterisk at a word's end stands for any ending, and what follows
an arrow is written in its place: `villain*`, `by heaven -> indeed`. There are no other signs, so
that whoever wrote the constitution can read it, and so that no text can make the search take long.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from plumbrule.errors import ConstitutionError

_ARROW = re.compile(r"\s*->\s*")
_WORD = r"['\u2019]?[^\W_]+(?:['\u2019-][^\W_]+)*(?:\*|['\u2019])?"
_ENTRY = re.compile(rf"{_WORD}(?: {_WORD})*")
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class WordRule:
    """One entry of a principle's `words`."""

    words: str
    """The word or phrase, as it was given."""

    instead: str | None
    """What is written in its place, nothing included; None where nobody said."""


@dataclass(frozen=True, kw_only=True)
class WordHit:
    """A place in a text where a rule's words are."""

    rule: WordRule
    start: int
    stop: int


def word_rule(entry: str) -> WordRule:
    """Read one entry.

    Raises:
        ConstitutionError: It is no word or phrase.

    Example:
        >>> word_rule("by heaven -> indeed")
        WordRule(words='by heaven', instead='indeed')
    """
    words, *instead = _ARROW.split(entry.strip(), maxsplit=1)
    words = " ".join(words.split())
    if not _ENTRY.fullmatch(words) or len(words) > _LONGEST:
        raise ConstitutionError(
            "expected a word or a phrase of letters, such as `knave*` or `by heaven -> indeed`, "
            f"got {entry[:60]!r}; an asterisk is allowed at a word's end only"
        )
    return WordRule(words=words, instead=instead[0] if instead else None)


def find_words(text: str, entries: Sequence[str]) -> list[WordHit]:
    """Where a text holds the words of some entries, whatever their case.

    Args:
        text: Any text. Marks that nobody sees, such as a soft hyphen within a word, hide nothing
            from `holds_words`; here they do, because there is no place to name.
        entries: As a principle has them.

    Returns:
        The places from first to last, none over another; of entries that begin at one place, the
        longest counts.
    """
    if not entries:
        return []
    pattern, rules = _compiled(tuple(entries))
    return [
        WordHit(rule=rules[int(match.lastindex or 1) - 1], start=match.start(), stop=match.end())
        for match in pattern.finditer(text)
    ]


def holds_words(text: str, entries: Sequence[str]) -> list[str]:
    r"""The entries whose words a text holds, each once, also where invisible marks break them.

    Example:
        >>> holds_words("Thou art a kna\u00adve, sir KNAVE!", ["knave*", "rogue"])
        ['knave*']
    """
    return list(dict.fromkeys(hit.rule.words for hit in find_words(_seen(text), entries)))


def replace_words(text: str, entries: Sequence[str]) -> str | None:
    """A text with the words of entries replaced as they say.

    Returns:
        The new text; None where an entry says of no replacement, or words are left all the same.

    Example:
        >>> replace_words("Villain, by heaven!", ["villain* -> fellow", "by heaven -> indeed"])
        'Fellow, indeed!'
    """
    parts, at = [], 0
    for hit in find_words(text, entries):
        if hit.rule.instead is None:
            return None
        old, new = text[hit.start : hit.stop], hit.rule.instead
        if len(old) > 1 and old.isupper():
            new = new.upper()
        elif old[:1].isupper():
            new = new[:1].upper() + new[1:]
        before = text[at : hit.start]
        if not new:  # no gap is left behind
            before = before.rstrip(" ") if text[hit.stop : hit.stop + 1] != "" else before
        parts += [before, new]
        at = hit.stop
    changed = "".join([*parts, text[at:]])
    return None if holds_words(changed, entries) else changed


def _seen(text: str) -> str:
    """A text as a reader sees it: without invisible marks, and with plain forms of letters."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(sign for sign in plain if unicodedata.category(sign) != "Cf")


@lru_cache(maxsize=256)
def _compiled(entries: tuple[str, ...]) -> tuple[re.Pattern[str], tuple[WordRule, ...]]:
    # The longest first, so that of several at one place it is the one that is found.
    rules = sorted((word_rule(each) for each in entries), key=lambda rule: -len(rule.words))
    parts = [f"({_pattern(rule.words)})" for rule in rules]
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)", re.IGNORECASE), tuple(rules)


def _pattern(words: str) -> str:
    found = []
    for word in words.split(" "):
        stem = word.removesuffix("*")
        text = "".join("['\u2019]" if sign in "'\u2019" else re.escape(sign) for sign in stem)
        found.append(text + (r"\w*" if word.endswith("*") else ""))
    return r"\s+".join(found)
