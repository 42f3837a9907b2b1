# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Checks that the numbers of a paper agree: in its sentences, and by way of the other checks.

Percentages of counts, parts of a whole, ends of a range, changes, and pointers to tables and
figures are checked here.
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from plumbrule.oversight.papers.abstract import changed_samples, check_abstract
from plumbrule.oversight.papers.document import (
    CheckResult,
    Flaw,
    Paper,
    PaperSentence,
    in_order,
    word_set,
)
from plumbrule.oversight.papers.lists import listed_counts, numbers_again
from plumbrule.oversight.papers.quantities import (
    COUNT,
    NUMBER,
    PrintedNumber,
    read_count,
    read_number,
)
from plumbrule.oversight.papers.references import expanded
from plumbrule.oversight.papers.tables import check_tables, check_test_rows

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
            message = f"{part} of {whole} is {exact:.4g}%, the text says {share.value}%"
            place = sentence.place(match)
            yield None if share.fits(exact) else paper.flaw("percentage_of_count", message, place)


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
            message = f"the range begins at {low.value} and ends at {high.value}"
            upwards, place = low.value <= high.value, sentence.place(match)
            yield None if upwards else paper.flaw("reversed_range", message, place)


_UP = r"rose|risen|rise|increas\w+|grew|grown|climb\w*"
_DOWN = r"fell|fallen|drop\w*|decreas\w+|declin\w+|shrank"
_UNIT = r"(?:\s*%|\s*percent|\s+[a-z]{1,12})?"
_CHANGE = re.compile(
    rf"\b(?:(?P<up>{_UP})|(?P<down>{_DOWN})|chang\w+|went|improv\w+|reduc\w+)\b[^.;:]{{0,80}}?\bfrom\s+"
    rf"(?P<first>{NUMBER})(?P<unit>{_UNIT})\s+to\s+(?P<last>{NUMBER})(?P<last_unit>{_UNIT})"
    rf"(?:,?\s*\(?(?:(?:that is|i\.e\.|or),?\s+)?(?:(?:an?|the)\s+(?:[a-z]+\s+){{0,2}}?"
    rf"(?:increase|rise|gain|growth|decrease|drop|decline|fall|reduction|change|difference)\s+of|by)"
    rf"\s+(?P<by>{NUMBER})(?P<by_unit>\s*%|\s*percent(?:age points?)?|\s+points?)?)?",
    re.IGNORECASE,
)
_PERCENTAGE = re.compile(
    rf"(?P<share>{NUMBER})\s*(?:%|percent\b|per cent\b)(?P<what>[^%;()]{{0,80}}?)"
    r"(?=,|;|\)|\.|$|\s+and\s)"
)
_APART = re.compile(
    r"\baged?\b|\byears?[ -]olds?\b|\b(?:wo)?men\b|\b(?:fe)?males?\b|\bgirls?\b|\bboys?\b"
    r"|\bnon-?binary\b|\bsingle\b|\bmarried\b|\bdivorced\b|\bwidowed\b|\b(?:left|right)-handed\b"
    r"|\bnever\b|\bsometimes\b|\boften\b|\balways\b|\bgrade\b|\bprimary\b|\bsecondary\b"
    r"|\bno (?:answer|opinion)\b|\bundecided\b|\bunsure\b|\bdisagreed?\b|\bagreed?\b|\bneutral\b",
    re.IGNORECASE,
)
"""Words for groups of which everybody belongs to one."""

FEWEST_PARTS = 3


def changes(paper: Paper, sentence: PaperSentence) -> Iterator[Flaw | None]:
    """Changes such as `rose from 12 to 15, an increase of 3`; None for one that holds.

    Kind: `change_mismatch`. A change in per cent may be one of points or of the first number.
    """
    for match in _CHANGE.finditer(sentence.text):
        first, last = read_number(match["first"]), read_number(match["last"])
        if first is None or last is None or _other_units(match["unit"], match["last_unit"]):
            continue
        problem, place = _problem(match, first, last), sentence.place(match)
        yield paper.flaw("change_mismatch", problem, place) if problem else None


def _other_units(one: str, other: str) -> bool:
    """Whether two numbers are in units of their own, such as mg and g."""
    first, second = one.strip().lower(), other.strip().lower()
    return bool(first and second) and first != second and not {first, second} & _NO_UNITS


_NO_UNITS = word_set("and in at on for with by per after of the a an")


def _problem(match: re.Match[str], first: PrintedNumber, last: PrintedNumber) -> str | None:
    """What is wrong with a change; None where nothing is."""
    told = f"from {match['first']} to {match['last']}"
    if (match["up"] and last.value < first.value) or (match["down"] and last.value > first.value):
        return f"{told} is no {'rise' if match['up'] else 'fall'}"
    by = read_number(match["by"]) if match["by"] else None
    if by is None or (not match["by_unit"] and 1900 <= by.value < 2100):
        return None
    size = abs(last.value - first.value)
    room = first.half + last.half + by.half
    if abs(size - abs(by.value)) <= room:
        return None
    percent = (match["by_unit"] or "").strip() in ("%", "percent")
    if percent and first.value > first.half:
        low = 100 * (size - first.half - last.half) / (first.value + first.half)
        high = 100 * (size + first.half + last.half) / (first.value - first.half)
        if low - by.half <= abs(by.value) <= high + by.half:
            return None
        exact = 100 * size / first.value
        return f"{told} is a change of {size} or of {exact:.3g}%, the text says {by.value}%"
    return f"{told} is a change of {size}, the text says {by.value}"


def percentage_parts(paper: Paper, sentence: PaperSentence) -> Iterator[Flaw | None]:
    """Percentages of groups that part one whole: together they are no more than 100.

    Kind: `percentage_total`. Only lists of three and more are looked at whose groups nobody can
    belong to two of, such as ages; fewer than 100 may be named for other reasons.
    """
    run: list[re.Match[str]] = []
    for match in [*_PERCENTAGE.finditer(sentence.text), None]:
        if match is not None and run and match.start() - run[-1].end() <= len(", and "):
            run.append(match)
            continue
        if len(run) >= FEWEST_PARTS and sum(bool(_APART.search(each["what"])) for each in run) >= 2:
            yield _over(paper, sentence, run)
        run = [match] if match is not None else []


def _over(paper: Paper, sentence: PaperSentence, run: list[re.Match[str]]) -> Flaw | None:
    shares = [share for each in run if (share := read_number(each["share"])) is not None]
    value = sum((share.value for share in shares), Decimal(0))
    allowed = sum((share.half for share in shares), Decimal(0))
    if value <= 100 + allowed:
        return None
    return paper.flaw(
        "percentage_total",
        f"the percentages add up to {value}, to more than 100 (rounding allows {allowed})",
        (sentence.start + run[0].start(), sentence.start + run[-1].end()),
    )


_CAPTION = re.compile(
    r"^[ \t*_#>]*(?P<kind>Table|Tab\.|Figure|Fig\.)[ \t]+(?P<number>\d{1,3})[ \t]*(?:[.:|—–]|\*"
    r"|\s+[A-Z]|[ \t]*$)",
    re.MULTILINE,
)
_POINTER = re.compile(
    r"\b(?P<kind>Tables?|Tabs?\.|Figures?|Figs?\.)[ \t\n]+(?P<list>\d{1,3}[a-h]?(?:(?:,\s*"
    r"|\s*[–-]\s*|\s+and\s+|,\s+and\s+|\s*&\s*)\d{1,3}[a-h]?\b)*|\?\?)"
)
_ELSEWHERE = re.compile(
    r"^\s*(?:of|in|from)\s+(?:the\s+)?(?:[A-Z@\[]|supplement|appendix|online|original)|^[^.;]{0,30}\bsupplement",
    re.IGNORECASE,
)
_WORK_BEFORE = re.compile(
    r"(?:\d{4}[a-z]?|@[\w:-]+|et al\.|supplement\w*|appendix|online|see|their|\[\d+)[,;]?\s*$", re.I
)


def missing_floats(paper: Paper) -> CheckResult:
    """Compare pointers such as `Table 3` with the captions; kind `missing_float`.

    Where a paper has no caption of a kind at all, its tables or figures may simply not have been
    read, and nothing is claimed.
    """
    known: dict[str, set[int]] = {"Table": set(), "Figure": set()}
    captions = set()
    for match in _CAPTION.finditer(paper.text):
        known[_kind(match["kind"])].add(int(match["number"]))
        captions.add(match.start("kind"))
    flaws, checked, unsure = [], 0, set()
    end = paper.references.start if paper.references else len(paper.text)
    for match in _POINTER.finditer(paper.text, 0, end):
        kind = _kind(match["kind"])
        if match.start() in captions or _is_elsewhere(paper.text, match):
            continue
        checked += 1
        if match["list"] == "??":
            flaws.append(_flaw(paper, match, f"a reference to a {kind.lower()} leads nowhere"))
        elif not known[kind]:
            unsure.add(kind)
        else:
            flaws += [
                _flaw(paper, match, f"the text points to {kind} {number}, which does not exist")
                for number in dict.fromkeys(expanded(match["list"], longest=20))
                if number not in known[kind]
            ]
    return CheckResult(
        name="cross-references",
        checked=checked,
        flaws=tuple(flaws),
        not_checked=tuple(
            f"references to {kind.lower()}s: no caption of a {kind.lower()} was found"
            for kind in sorted(unsure)
        ),
    )


def _kind(word: str) -> str:
    return "Table" if word.lower().startswith("tab") else "Figure"


def _is_elsewhere(text: str, match: re.Match[str]) -> bool:
    """Whether a table of another work is meant."""
    before, after = (
        text[max(0, match.start() - 30) : match.start()],
        text[match.end() : match.end() + 60],
    )
    return bool(_ELSEWHERE.match(after) or _WORK_BEFORE.search(before)) and match["list"] != "??"


def _flaw(paper: Paper, match: re.Match[str], message: str) -> Flaw:
    return paper.flaw("missing_float", message, match.span())


def check_numbers(paper: Paper) -> CheckResult:
    """Run every check of numbers.

    Kinds: `abstract_mismatch`, `table_total`, `percentage_total`, `percentage_of_count`,
    `subgroup_sum`, `reversed_range`, `change_mismatch`, `missing_float`, `listed_count`,
    `number_changed`, `table_statistic`.
    """
    parts = [
        check(paper)
        for check in (check_tables, _sentences, check_abstract, missing_floats, check_test_rows)
    ]
    left = [reason for part in parts for reason in part.not_checked]
    if not paper.tables:
        left.append("sums of tables: no table was found")
    return CheckResult(
        name="numbers",
        checked=sum(part.checked for part in parts),
        flaws=in_order([flaw for part in parts for flaw in part.flaws]),
        not_checked=tuple(left),
    )


def _sentences(paper: Paper) -> CheckResult:
    found: list[Flaw | None] = []
    end = paper.references.start if paper.references else len(paper.text)
    before = None
    for sentence in paper.sentences:
        if sentence.start >= end:
            break
        if sentence.text.startswith("|"):
            continue
        found += (
            *shares_of_counts(paper, sentence),
            *parts_of_whole(paper, before, sentence),
            *listed_parts(paper, sentence),
            *reversed_ranges(paper, sentence),
            *changes(paper, sentence),
            *percentage_parts(paper, sentence),
        )
        before = sentence
    found += (*listed_counts(paper), *numbers_again(paper), *changed_samples(paper))
    flaws = tuple(each for each in found if each is not None)
    return CheckResult(name="sentences", checked=len(found), flaws=flaws, not_checked=())
