# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Checks counts in sentences: percentages of counts, parts of a whole, ends of a range."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from plumbrule.oversight.papers.document import Flaw, Paper, PaperSentence
from plumbrule.oversight.papers.quantities import COUNT, NUMBER, read_count, read_number

_PERCENT = r"\s*(?:%|percent\b|per cent\b)(?!\s*(?:CI\b|CrI\b|confidence|credib|interval))"
_OF = r"\s*(?:/|(?:out )?of)\s*(?:the |all |our |a total of |these )?"
_WORDS = r"(?:\s+[A-Za-z][\w’'-]*){0,5}"
_SHARES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?P<part>{COUNT}){_OF}(?P<whole>{COUNT}){_WORDS}\s*[,;]?\s*[(\[](?:i\.e\.,? |or "
        rf"|about )?(?P<share>{NUMBER}){_PERCENT}",
        rf"[(\[](?:n\s*=\s*)?(?P<part>{COUNT}){_OF}(?P<whole>{COUNT}){_WORDS}\s*[,;=:]\s*(?:or "
        rf")?(?P<share>{NUMBER}){_PERCENT}",
        rf"(?P<share>{NUMBER}){_PERCENT}{_WORDS}\s*[(\[](?:n\s*=\s*|i\.e\.,? )?"
        rf"(?P<part>{COUNT}){_OF}(?P<whole>{COUNT})",
        rf"(?:\bof|\bamong)\s+(?:the |all |our |these )?(?P<whole>{COUNT})"
        rf"(?:\s+[A-Za-z][\w-]*){{1,5}},\s+(?P<part>{COUNT})(?:\s+[A-Za-z][\w-]*){{0,2}}\s*\((?P<share>{NUMBER}){_PERCENT}",
    )
)
_APPROXIMATE = re.compile(
    r"(?:about|around|approximately|nearly|almost|roughly|over|under|~|≈|>|<|some)\s*$", re.I
)
_PEOPLE = (
    r"(?:participants?|patients?|people|persons?|subjects?|students?|adults?|children|volunteers?"
    r"|respondents?|individuals?|adolescents?|undergraduates?|workers?|employees|infants|teachers?"
    r"|nurses?|users?|raters?|mice|rats|animals|cases|observers|players|athletes|residents|recruits)"
)
_WHOLE = re.compile(
    rf"(?P<a>{COUNT})(?:\s+[A-Za-z][\w-]*){{0,3}}?\s+{_PEOPLE}\b|\bN\s*=\s*(?P<b>\d[\d,]*)(?![.\d])",
    re.IGNORECASE,
)
_FAMILIES: tuple[tuple[tuple[str, str], ...], ...] = (
    (("women", r"women|woman|females?|girls?"), ("men", r"men|man|males?|boys?")),
    (
        ("treated", r"treatment|intervention|experimental|active|drug|training|exercise|treated"),
        ("control", r"controls?|placebo|comparison|wait-?list|usual[ -]care|sham|untreated"),
    ),
    (("yes", r"smokers?"), ("no", r"non-?smokers?")),
    (("right", r"right-handed|right-handers"), ("left", r"left-handed|left-handers")),
)
_LEAD = (
    r"(?:(?:were|was|who were|participants|patients|people|students|subjects|of them|identified as"
    r"|randomly|assigned|allocated|randomi[sz]ed|in|to|into|received|the|a|an|adult|young|older"
    r"|healthy|self-identified|as)\s+){0,6}"
)
_EXTRA = re.compile(
    rf"(?P<count>{COUNT})\s+(?:[A-Za-z][\w-]*\s+){{0,5}}?(?:non-?binary|other|undisclosed|unknown|missing"
    r"|not (?:report|disclos|specif|stat|say)|did not|declin|prefer|exclud|withdr|dropped|lost"
    r"|third)",
    re.IGNORECASE,
)
_LEFT_OUT = re.compile(
    r"non-?binary|undisclosed|unknown|missing|did not|declin|prefer not|exclud|withdr|dropped"
    r"|lost to"
    r"|at least|more than|per (?:group|arm|condition)|each|other gender|remaining|the rest",
    re.IGNORECASE,
)
_CARRIES_ON = re.compile(
    r"(?:of|among)\s+(?:these|them|those|whom)\b|they\s+were|these\s+were", re.I
)
_RANGES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:CI|CrI|confidence intervals?|credible intervals?)\s*[:=,]?\s*(?:of\s+)?["
        rf"(\[]?\s*(?P<low>{NUMBER})\s*%?\s*(?:,|;|–|to|\band\b)\s*(?P<high>{NUMBER})",
        rf"\brang(?:e[ds]?|ing)\b(?:\s+(?:of\s+[a-z]+\s+)?(?:was|were|is))?\s*[:=,]?\s*(?:from\s+|of\s+|between\s+)?[(\[]?\s*(?P<low>{NUMBER})\s*(?:–|-|to|and)\s*(?P<high>{NUMBER})",
        rf"\bbetween\s+(?P<low>{NUMBER})\s*%?\s+and\s+(?P<high>{NUMBER})(?!\s*(?:BC|AD))",
        rf"\baged\s+(?:from\s+|between\s+)?(?P<low>{NUMBER})\s*(?:–|-|to|and)\s*(?P<high>{NUMBER})",
    )
)


def _parts(side: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<a>{COUNT})\s+{_LEAD}(?:{side})\b|\b(?:{side})(?:\s+(?:group|arm|condition))?[\s,:]*\(?\s*n\s*=\s*(?P<b>\d[\d,]*)(?![.\d])",
        re.IGNORECASE,
    )


_SIDES = tuple(tuple(_parts(words) for _, words in family) for family in _FAMILIES)


def shares_of_counts(paper: Paper, sentence: PaperSentence) -> Iterator[Flaw | None]:
    """Percentages beside their counts, such as `45 of 120 (38%)`; None for one that holds."""
    seen: set[int] = set()
    for pattern in _SHARES:
        for match in pattern.finditer(sentence.text):
            share = read_number(match["share"])
            part, whole = read_count(match["part"]), read_count(match["whole"])
            if share is None or not whole > 0 or part > whole or match.start("share") in seen:
                continue
            if _APPROXIMATE.search(sentence.text[: match.start("share")]):
                continue
            seen.add(match.start("share"))
            exact = Decimal(100 * part) / whole
            if share.fits(exact):
                yield None
                continue
            yield paper.flaw(
                "percentage_of_count",
                f"{part} of {whole} is {exact:.4g}%, the text says {share.value}%",
                (sentence.start + match.start(), sentence.start + match.end()),
            )


def parts_of_whole(
    paper: Paper, before: PaperSentence | None, sentence: PaperSentence
) -> Iterator[Flaw | None]:
    """Groups that cut one whole, such as `120 participants, 64 women and 56 men`.

    Yields:
        A flaw, or None for a whole whose parts add up. Nothing where the sentence names people
        that belong to no group, or where the parts make any other number of the sentence.
    """
    context = before.text if before and _CARRIES_ON.match(sentence.text) else ""
    for sides in _SIDES:
        found = [list(side.finditer(sentence.text)) for side in sides]
        if any(len(matches) != 1 for matches in found):
            continue
        matches = [each[0] for each in found]
        parts = [read_count(match["a"] or match["b"]) for match in matches]
        places = {match.start("a") if match["a"] else match.start("b") for match in matches}
        wholes = [
            (match, read_count(match["a"] or match["b"]))
            for match in _WHOLE.finditer(sentence.text)
            if (match.start("a") if match["a"] else match.start("b")) not in places
        ]
        earlier = [read_count(m["a"] or m["b"]) for m in _WHOLE.finditer(context)]
        if not wholes and not earlier:
            continue
        everything = re.findall(COUNT, context + " " + sentence.text, re.IGNORECASE)
        others = [read_count(each) for each in everything]
        more = [read_count(match["count"]) for match in _EXTRA.finditer(sentence.text)]
        if sum(parts) in others or sum(parts) + sum(more) in others:
            yield None
        elif not more and not _LEFT_OUT.search(sentence.text + " " + context):
            whole = wholes[-1][1] if wholes else earlier[-1]
            if whole > max(parts):
                start = before.start if context and before and not wholes else sentence.start
                yield _wrong_parts(paper, parts, whole, start, sentence.end)


_LISTED = re.compile(
    rf"(?P<whole>{COUNT})\s+(?:[A-Za-z][\w-]*\s+){{0,3}}?(?:[a-z]{{3,}}s|people|children|men|women)\b"
    r"(?:\s+\([^()]{0,80}\))?\s*(?P<intro>:|,\s+of\s+(?:which|whom|these),?)\s+(?P<list>[^.;:()]{5,300})",
    re.IGNORECASE,
)
_NEXT = re.compile(r",\s+(?:and\s+)?|\s+and\s+(?=\d)")
_ITEM = re.compile(rf"(?P<count>{COUNT})(?!\s*(?:%|percent|of\b|to\b|or\b))[^\d%]*", re.IGNORECASE)
FEWEST_LISTED = 3
CLOSE = 0.2
"""Share of a whole that the parts behind a colon may lack before they are taken for some of it."""


def listed_parts(paper: Paper, sentence: PaperSentence) -> Iterator[Flaw | None]:
    """Wholes with all their parts listed, such as `90 people: 30 in A, 30 in B and 30 in C`."""
    for match in _LISTED.finditer(sentence.text):
        items = [_ITEM.fullmatch(each.strip()) for each in _NEXT.split(match["list"])]
        if len(items) < FEWEST_LISTED or None in items:
            continue
        parts, whole = (
            [read_count(each["count"]) for each in items if each],
            read_count(match["whole"]),
        )
        added = sum(parts)
        if added == whole:
            yield None
        elif added > whole > max(parts) or (
            match["intro"] == ":" and whole - added <= CLOSE * whole and whole > added
        ):
            yield _wrong_parts(paper, parts, whole, sentence.start, sentence.end)


def _wrong_parts(paper: Paper, parts: Sequence[int], whole: int, start: int, end: int) -> Flaw:
    return paper.flaw(
        "subgroup_sum",
        f"the groups add up to {' + '.join(map(str, parts))} = {sum(parts)}, the whole is {whole}",
        (start, end),
    )


def reversed_ranges(paper: Paper, sentence: PaperSentence) -> Iterator[Flaw | None]:
    """Ranges and intervals whose lower end is above the upper; None for one that is in order."""
    seen: set[int] = set()
    for pattern in _RANGES:
        for match in pattern.finditer(sentence.text):
            low, high = read_number(match["low"]), read_number(match["high"])
            if low is None or high is None or match.start("low") in seen:
                continue
            seen.add(match.start("low"))
            if low.value <= high.value:
                yield None
                continue
            yield paper.flaw(
                "reversed_range",
                f"the range begins at {low.value} and ends at {high.value}",
                (sentence.start + match.start(), sentence.start + match.end()),
            )
