"""Reads what a sentence says happened to an outcome: more, less, no difference."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from plumbrule.oversight.papers.quantities import stem
from plumbrule.oversight.papers.whole.direction_words import (
    ASSOCIATED,
    BESIDE,
    CHANGES,
    COMPARATIVES,
    EMPTY,
    GROUPS,
    HEDGE,
    NOTHING,
    PAIRS,
    QUANTITY,
    RELATION,
    SOME,
    WHEN,
)
from plumbrule.oversight.papers.whole.places import Place
from plumbrule.oversight.papers.whole.rewording import reworded

_CLAUSES = re.compile(
    r"[;:]\s| and (?=(?:did|does|was|were|is|had|not|no|nothing|fell|rose|remained|stayed"
    r"|dropped)\b)|,? (?:but|whereas|while|although|though|yet|even though) |, and (?=(?:the|no"
    r"|in|on|it|their)\b)"
    r"|\((?=[^)]{0,200}\))|\)"
)
_FORMS = tuple(
    (re.compile(rf"\b(?:{pattern})\b"), axis, sign, change)
    for table, change in ((COMPARATIVES, False), (CHANGES, True))
    for (axis, sign), pattern in table.items()
)
_PERCENT = re.compile(
    r"(?:%|percent|\d\)?|adults|volunteers|students|patients|participants|people) $"
)
_GROUP_FORMS = tuple((name, re.compile(rf"\b(?:{pattern})\b")) for name, pattern in GROUPS)
_REFERENCE = re.compile(r"\b(?:than|compared (?:with|to)|relative to|versus|vs\.?|over that of)\b")
_ON = re.compile(
    r"\b(?:on|in|of|for|at|regarding|concerning|in terms of|with respect to) (?:the |their |its "
    r"|a |our )*"
    r"((?:(?!(?:over|in|on|of|for|at|by|with|from|after|during|among|to|came|was|were"
    r"|is)\b)[\w-]+ ?){1,4})"
)
_MEANS = re.compile(
    r"(?P<g>treatment|intervention|experimental) (?:group|arm|condition)[^;]{0,60}?\bm = "
    r"(?P<a>-?[\d.]+)"
    r"[^;]*?(?P<h>control|placebo|comparison) (?:group|arm|condition)[^;]{0,60}?\bm = "
    r"(?P<b>-?[\d.]+)"
    r"[^;]*?\bon (?:the )?(?P<o>[\w-]+(?: [\w-]+)?)[,.;]? .*?\bp (?P<s>[<=>]) (?P<p>\.\d+|0\.\d+)"
)
_AMONG_ARM = re.compile(
    r"\bamong (?:the |all |our |both )?(?:treated|trained|controls?|treatment|intervention"
    r"|untreated"
    r"|experimental|participants|groups)\b"
)
_BASE = {"slept": "sleep", "felt": "feel", "ate": "eat", "spoke": "speak", "drank": "drink",
         "ran": "run", "walked": "walk", "worried": "worry"}  # fmt: skip
"""Irregular past forms that name an outcome."""
_COUNTED = re.compile(r"\d|%|percent")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a clause says happened to an outcome."""

    outcome: frozenset[str]
    words: frozenset[str]
    """All words of the clause that can name an outcome."""

    agents: frozenset[str]
    """Words for what acts on the outcome."""

    pair: tuple[str, str]
    """The group that is compared and the other one, in a fixed order."""

    sign: int
    """1 for more, -1 for less, 0 for no difference, 2 for a difference of unsaid direction."""

    axis: str
    when: frozenset[str]
    place: Place
    says: str


def effects_in(place: Place) -> Iterator[Effect]:
    """Effects that a sentence reports, clause by clause."""
    means = _MEANS.search(place.full)
    if means is not None:
        yield from _from_means(place, means)
        return
    full = reworded(place.full)
    for clause in _CLAUSES.split(full):
        if clause and not HEDGE.search(clause) and not HEDGE.search(full.split(",")[0]):
            found = _effect(place, clause.strip(" .,"))
            if found is not None:
                yield found


def _from_means(place: Place, match: re.Match[str]) -> Iterator[Effect]:
    outcome = _content(match["o"])
    first, second = float(match["a"]), float(match["b"])
    significant = match["s"] in "<=" and float(match["p"]) <= 0.05
    if outcome and first != second:
        sign = (1 if first > second else -1) if significant else 0
        yield Effect(
            outcome=outcome, words=outcome, agents=frozenset(), pair=PAIRS[0], sign=sign,
            axis=QUANTITY, when=frozenset(), place=place,
            says=match[0],
        )  # fmt: skip


def _effect(place: Place, clause: str) -> Effect | None:
    agents: frozenset[str] = frozenset()
    nothing, some = NOTHING.search(clause), SOME.search(clause)
    associated = ASSOCIATED.search(clause)
    relation = RELATION.search(clause)
    if relation is not None and nothing is None and not _groups(clause):
        ups = [bool(relation[number]) for number in (1, 4, 7, 10)]
        first, second = (ups[0], ups[1]) if relation[1] or relation[2] else (ups[2], ups[3])
        words = _content(clause)
        found = (words, PAIRS[0]) if 2 <= len(words) <= 6 else None
        sign, axis = (1 if first == second else -1), QUANTITY
    elif associated is not None:
        words = _content(clause[: associated.start()]) | _content(clause[associated.end() :])
        found = (words, PAIRS[0]) if 2 <= len(words) <= 5 else None
        sign = {"positive": 1, "negative": -1, "inverse": -1}.get(associated[1] or "", 0)
        axis = QUANTITY
    elif some is not None and nothing is None:
        found, sign, axis = _null(clause, some), 2, QUANTITY
    elif nothing is not None:
        found = _null(clause, nothing)
        sign, axis = 0, QUANTITY
    else:
        read = _directed(clause)
        if read is None:
            return None
        found, sign, axis, agents = read
    if found is None:
        return None
    outcome, pair = found
    return Effect(
        outcome=outcome, words=_content(_strip_groups(clause)), agents=agents, pair=pair,
        sign=sign, axis=axis,
        when=_when(clause), place=place, says=clause,
    )  # fmt: skip


def _when(clause: str) -> frozenset[str]:
    """Time or part of the sample it speaks of; none where before and after are what it compares."""
    if re.search(
        r"\b(?:than|from|and) (?:\w+ )?(?:before|at (?:the )?(?:start|baseline|outset"
        r"|beginning))\b",
        clause,
    ):
        return frozenset()
    return frozenset(WHEN.findall(_AMONG_ARM.sub(" ", clause)))


def _directed(
    clause: str,
) -> tuple[tuple[frozenset[str], tuple[str, str]], int, str, frozenset[str]] | None:
    matches = [
        (match, axis, sign, change)
        for form, axis, sign, change in _FORMS
        for match in form.finditer(clause)
    ]
    if not matches or len({sign for _, _, sign, _ in matches}) > 1:
        return None
    match, axis, sign, change = min(matches, key=lambda each: each[0].start())
    before, after = clause[: match.start()], clause[match.end() :]
    if _PERCENT.search(before) and _COUNTED.search(before):
        return None  # `50% improved` counts people
    if match[0] in ("more", "less") and re.match(
        r" (?:than|research|work|studies|detail)\b", after
    ):
        return None
    reference = _REFERENCE.search(after)
    beside = match[0] in BESIDE
    compared = after[: reference.start()] if reference else after
    subject = _groups(before if beside else before + " | " + compared)
    other = _groups(after if beside else after[reference.end() :] if reference else "")
    if len(subject) > 1 or len(other) > 1:
        return None
    transitive = change and bool(
        re.match(r" (?!in\b|by\b|from\b|over\b|on\b|with\b|after\b|at\b|to\b|and\b|during\b"
                 r"|under\b|among\b"
                 r"|for\b|as\b|when\b|through)[a-z]", after)
    )  # fmt: skip
    outcome = _outcome(before, compared, (transitive or not change) and not beside)
    if not outcome:
        return None
    who = next(iter(subject), None)
    against = next(iter(other), None)
    within = change and not transitive and against is None and who == "control"
    if within:
        return None
    pair, flip = _pair(who, against)
    agents = _content(_strip_groups(before)) if transitive else frozenset()
    return (outcome, pair), -sign if flip else sign, axis, agents - outcome


def _null(clause: str, match: re.Match[str]) -> tuple[frozenset[str], tuple[str, str]] | None:
    reference = _REFERENCE.search(clause)
    named = _groups(clause)
    pair = next((pair for pair in PAIRS if named & set(pair)), PAIRS[0])
    before = clause[: match.start()]
    after = clause[match.end() : reference.start() if reference else len(clause)]
    if len(named) == 1 and named == {"control"}:
        return None
    lead = match[0].split()[-1]
    lead = lead if re.match(r"effect|impact|influence|benefit|differ", lead) else " "
    outcome = _outcome(before, lead + after, True)
    return (outcome, pair) if outcome else None


def _pair(who: str | None, against: str | None) -> tuple[tuple[str, str], bool]:
    """The pair in its fixed order, and whether that turns the direction around."""
    for first, second in PAIRS:
        if who in (first, second) or against in (first, second):
            return (first, second), who == second or against == first
    return PAIRS[0], False


def _groups(text: str) -> set[str]:
    return {name for name, form in _GROUP_FORMS if form.search(text)}


def _outcome(before: str, after: str, after_first: bool) -> frozenset[str]:
    """Words that name the outcome: behind the direction, behind `on`, or the subject before it."""
    without = _strip_groups(after)
    agent = re.search(r"\b(?:effects?|impact|influence|benefits?) of .*? (?=on\b)", after)
    if agent is not None:
        after = after[agent.end() :]
        without = _strip_groups(after)
    on = [match[1] for match in _ON.finditer(_strip_groups(before) + " | " + without)]
    behind = re.split(r"\b(?:in|on|for|at|among|after|during|by|with|from|through|when|because"
                      r"|of|to"
                      r"|compared|under|and)\b|[|,]", without)[0]  # fmt: skip
    subject = _strip_groups(re.split(r"\b(?:that|which|,)\b", before)[-1])
    candidates = [behind, *on, subject] if after_first else [subject, *on, behind]
    for each in candidates:
        words = _content(each)
        if words and len(words) <= 4:
            return words
    return frozenset()


def _strip_groups(text: str) -> str:
    for _, form in _GROUP_FORMS:
        text = form.sub(" ", text)
    return text


def _content(text: str) -> frozenset[str]:
    return frozenset(
        stem(_BASE.get(word, word))
        for word in re.findall(r"[a-z][a-z-]{2,}", text)
        if word not in EMPTY and not any(form.fullmatch(word) for form, *_ in _FORMS)
        and not word.endswith("ly")
    )  # fmt: skip
