"""Statements made ready: what is no view is taken out, what says the same is merged.

Nothing is dropped in silence: each statement taken out keeps its reason, each that was merged keeps
its id in the provenance of what it was merged with. A statement is text of a stranger: it is never
run, and what seems to talk to a machine rather than to people is taken out.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int8

from plumbrule.constitution.wording import stems, words
from plumbrule.drafting.statements import PublicInput, Statement
from plumbrule.drafting.wordings import demands, word_vectors

LONGEST = 600
"""Characters of a statement; Polis takes 140, a longer one holds more than one view."""

ALIKE = 0.8
"""Cosine of two statements' words, weighted by rarity, from which they are one statement in two
spellings."""

Removal = Literal[
    "moderated",
    "empty",
    "too long",
    "link or address",
    "advertisement",
    "talks to a machine",
    "not words",
    "off topic",
    "passed over",
]
"""Why a statement is no view."""

_LINK = re.compile(
    r"https?:|www\.|\b[\w-]+\.(?:com|net|org|io|info|biz|ru|shop|xyz|site|online|co|ly|me|tv|click)\b"
    r"|[\w.+-]+@[\w-]+\.\w+|(?:\+?\d[\d ()./-]{7,}\d)",
    re.IGNORECASE,
)
_SELLS = re.compile(
    r"\b(?:buy (?:now|cheap|one|two|my|our|the best)|(?:for|on) sale|discount|promo(?:tion)? code"
    r"|coupon|limited (?:time )?offer|free (?:trial|shipping|money|gift|iphone|followers|crypto)"
    r"|(?:click|tap) (?:here|the link|now|below)|subscribe to|follow (?:me|us|my)|check out my"
    r"|my (?:channel|website|web ?site|podcast|newsletter|onlyfans|shop|store|page)"
    r"|(?:dm|message|call|text|whatsapp|contact) (?:me|us) (?:now|for|to|at|on|today)"
    r"|make money|earn (?:\$|£|€|money|cash|up to|\d)|work from home|(?:bit|doge)coin|crypto\w*"
    r"|casino|jackpot|lottery|viagra|cialis|weight ?loss|lose weight|cheap (?:\w+ )?(?:pills|meds"
    r"|loans?|watches|tickets)|payday|(?:low|no) interest|money back|guaranteed (?:income|profit"
    r"|results|returns)|\d+ ?% off|act now|order (?:now|today)|sign up (?:now|today|here)"
    r"|best prices?|hot singles|vote for me|win a)\b",
    re.IGNORECASE,
)
_COMMANDS = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass) (?:\w+ ){0,4}(?:previous|prior|above|earlier"
    r"|preceding|foregoing|other|your|these|all|any) (?:\w+ ){0,3}(?:instructions?|prompts?|rules?"
    r"|statements?|messages?|directions?|commands?|guidelines?|principles?)\b"
    r"|\b(?:system|developer|assistant|user) ?(?:prompt|message|override)?:|<\|?/?\w+\|?>"
    r"|\[/?(?:inst|system)\]|\b(?:drop|delete|truncate|insert|update|select)\b[^.]{0,40}\b(?:table"
    r"|from|into|where)\b.*[;*=]|\$\(|`[^`]+`|\{\{.*\}\}|\{%.*%\}|javascript:|on(?:error|load)="
    r"|__\w+__|\bimport os\b|\beval\(|\bexec\(|\bsudo \w+|\brm -rf\b"
    r"|\byou (?:are|must) now (?:\w+ )?(?:in|a|an|act|the|output|reply|answer|write)\b"
    r"|\b(?:output|print|reply|respond|answer|write|rank|rate|score) (?:only|exactly"
    r"|this statement)\b"
    r"|\bnew instructions?\b|\bas (?:the|an?|your) (?:administrator|admin|moderator|developer)\b"
    r"|\b(?:add|insert|remove|delete|append|mark|rank) (?:\w+ ){0,3}(?:principles?|rules?"
    r"|statements?)\b",
    re.IGNORECASE,
)
_NORMATIVE = re.compile(
    r"\b(?:should|shouldn['\u2019]?t|must|mustn['\u2019]?t|ought|shall|never|always|needs? to"
    r"|ha(?:s|ve) to|may not|must not|allowed|forbidden|prohibited|banned?|avoid|ensure|make sure"
    r"|important|essential|right to|responsib\w+|wants?|prefer\w*|expects?|let"
    r"|don['\u2019]?t|do not"
    r"|cannot|can['\u2019]?t|won['\u2019]?t|not okay|okay|wrong|fair|be)\b",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"\b(?:ai|a\.i\.|ais|assistants?|chat ?bots?|bots?|models?|machines?|robots?|computers?"
    r"|systems?|algorithms?|software|technolog\w+|programs?|it|its|they|itself)\b",
    re.IGNORECASE,
)


PASSED = 0.001
"""Chance of so many passes on a statement like the others, below which people passed it over."""

PASSED_OFF_TOPIC = 0.05
"""The same, for a statement whose words belong to no other."""

VOTED = 5
"""Votes from which they say whether people took a statement for one."""


@dataclass(frozen=True, kw_only=True)
class Removed:
    """A statement that was taken out."""

    statement: Statement
    why: Removal


@dataclass(frozen=True, kw_only=True, eq=False)
class Cleaned:
    """What is left to be read as views. Axes: P people, K kept statements."""

    kept: tuple[Statement, ...]
    """One of each set that says the same."""

    merged: tuple[tuple[Statement, ...], ...]
    """Of each kept one all that said nearly the same, itself first; copies not among them."""

    copies: Mapping[str, str]
    """Of each statement with the very words of another, that one. It counts beside it as nothing,
    but its votes do."""

    votes: Int8[np.ndarray, "P K"]
    """1 agrees, -1 disagrees, 0 passed, saw nothing, or said both of two that say the same."""

    seen: Bool[np.ndarray, "P K"]

    removed: tuple[Removed, ...]

    torn: int
    """Votes left out of count, because one person agreed and disagreed with the same thing."""


def clean(given: PublicInput, *, alike: float = ALIKE) -> Cleaned:
    """Take out what is no view, and merge what says the same.

    Args:
        given: What people said.
        alike: Cosine of two statements' words from which they are one; 1 merges equal ones only.

    Returns:
        What is kept, with its votes. Of statements that say the same the one that most people voted
        on stands for all; of equally many the first.
    """
    counts = Counter(stem for each in given.statements for stem in set(stems(words(each.text))))
    whys = [_why_none(statement) for statement in given.statements]
    chances = _chance_of_passes(given, [why is None for why in whys])
    removed, places = [], []
    for at, statement in enumerate(given.statements):
        why = whys[at] or _why_unwanted(statement, counts, chances[at])
        if why is None:
            places.append(at)
        else:
            removed.append(Removed(statement=statement, why=why))
    sets = _alike([given.statements[at].text for at in places], alike)
    sets = [[places[row] for row in rows] for rows in sets]
    copies: dict[str, str] = {}
    votes = np.zeros((len(given.people), len(sets)), dtype=np.int8)
    seen = np.zeros(votes.shape, dtype=bool)
    merged, torn = [], 0
    for column, rows in enumerate(sets):
        order = sorted(rows, key=lambda at: (-int(given.seen[:, at].sum()), at))
        first: dict[str, str] = {}
        for at in order:
            own_words = _words_alone(given.statements[at].text)
            if own_words in first:
                copies[given.statements[at].id] = first[own_words]
            first.setdefault(own_words, given.statements[at].id)
        merged.append(
            tuple(given.statements[at] for at in order if given.statements[at].id not in copies)
        )
        own = given.votes[:, rows]
        votes[:, column] = np.sign(own.sum(1))
        seen[:, column] = given.seen[:, rows].any(1)
        torn += int(((own == 1).any(1) & (own == -1).any(1)).sum())
    return Cleaned(
        kept=tuple(each[0] for each in merged),
        merged=tuple(merged),
        copies=copies,
        votes=votes,
        seen=seen,
        removed=tuple(removed),
        torn=torn,
    )


def _chance_of_passes(given: PublicInput, whole: Sequence[bool]) -> list[float | None]:
    """Chance of as many passes on each statement, were it like the others; None of few votes."""
    from scipy.stats import binom

    seen = given.seen.sum(0)
    passed = (given.seen & (given.votes == 0)).sum(0)
    usual = passed[np.asarray(whole)].sum() / max(1, seen[np.asarray(whole)].sum())
    return [
        float(binom.sf(passes - 1, votes, usual)) if votes >= VOTED else None
        for passes, votes in zip(passed.tolist(), seen.tolist(), strict=True)
    ]


def _why_unwanted(
    statement: Statement, counts: Counter[str], chance: float | None
) -> Removal | None:
    """Why a statement that may be a view is none after all, by its words and by what people did."""
    text = unicodedata.normalize("NFKC", statement.text)
    if chance is not None and chance < PASSED:
        return "passed over"
    shared = any(counts[stem] > 1 for stem in stems(words(text)))
    if _NORMATIVE.search(text) or (_SUBJECT.search(text) and shared):
        return None
    if chance is not None:
        return "off topic" if chance < PASSED_OFF_TOPIC else None
    return None if shared else "off topic"


def why_removed(text: str) -> Removal | None:
    """Why a text cannot be an opinion, whatever one thinks of it; None where it can be one."""
    return _why_none(Statement(id="", text=text))


def _words_alone(text: str) -> str:
    return " ".join(words(text))


def _why_none(statement: Statement) -> Removal | None:
    """Why a statement is no view whatever anybody thinks of it; None where it may be one."""
    if statement.rejected:
        return "moderated"
    text = unicodedata.normalize("NFKC", statement.text).strip()
    said = [word for word in words(text) if any(letter.isalpha() for letter in word)]
    if len(said) < 2:
        return "empty"
    if len(text) > LONGEST:
        return "too long"
    if _COMMANDS.search(text) or any(
        unicodedata.category(c) in ("Cc", "Cf", "Co") and c not in "\n\t\r\u200c\u200d\u00ad"
        for c in text
    ):
        return "talks to a machine"
    if _LINK.search(text):
        return "link or address"
    if _SELLS.search(text):
        return "advertisement"
    if _mashed(text, said):
        return "not words"
    return None


def _mashed(text: str, said: Sequence[str]) -> bool:
    """Whether a text is keys struck at random, one thing over and over, or mostly signs."""
    letters = sum(char.isalpha() for char in text)
    if 2 * letters < len("".join(text.split())):
        return True
    if len(said) >= 4 and 3 * len(set(said)) <= len(said):
        return True
    latin = [word for word in said if word.isascii() and len(word) > 3]
    odd = sum(
        bool(
            re.search(r"(.)\1\1|[bcdfghjklmnpqrstvwxz]{6}", word)
            or not re.search(r"[aeiouy]", word)
        )
        for word in latin
    )
    return bool(latin) and 2 * odd > len(latin)


def _alike(texts: Sequence[str], least: float) -> list[list[int]]:
    """Sets of texts that say the same, each set in order, in the order of their first."""
    vectors = word_vectors(texts) if texts else np.zeros((0, 1))
    forbids = np.array([not demands(text) for text in texts], dtype=bool)
    numbers = [frozenset(re.findall(r"\d+", text)) for text in texts]
    plain = [_words_alone(text) for text in texts]
    leader: list[int] = []
    sets: dict[int, list[int]] = {}
    for row in range(len(texts)):
        near = vectors[leader] @ vectors[row] if leader else np.zeros(0)
        found = [
            first
            for first, cosine in zip(leader, near.tolist(), strict=True)
            if plain[first] == plain[row]
            or (
                cosine >= least
                and forbids[first] == forbids[row]
                and numbers[first] == numbers[row]
            )
        ]
        if found:
            best = max(
                found, key=lambda first: (plain[first] == plain[row], near[leader.index(first)])
            )
            sets[best].append(row)
        else:
            leader.append(row)
            sets[row] = [row]
    return list(sets.values())
